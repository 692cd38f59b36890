//! What the service's user may not look at is waited for, and is never taken for gone.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod rig;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rig::{Rig, append};

const HOUR: Duration = Duration::from_secs(3600);
/// Of nobody, on every system.
const NOBODY: u32 = 65534;
static ALONE: Mutex<()> = Mutex::new(());

/// Runs a test as a user whom rights bind: root is none, and has it run by another process.
fn bound(test: &str, run: impl FnOnce()) {
    let home = tempfile::tempdir().unwrap();
    if fs::metadata(home.path()).unwrap().uid() != 0 {
        return run();
    }
    // A program that another test starts holds what is open for writing until it executes, and that cannot be executed.
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    fs::set_permissions(home.path(), Permissions::from_mode(0o777)).unwrap();
    let program = home.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut command = Command::new(program);
    command
        .args(["--exact", test, "--nocapture"])
        .env("TMPDIR", home.path());
    let ended = command.current_dir("/").uid(NOBODY).gid(NOBODY).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    let is_run = said.contains("1 passed");
    assert!(is_run, "{said}{}", String::from_utf8_lossy(&ended.stderr));
}

fn set(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_file_that_may_not_be_read_for_days_is_gone_on_with() {
    bound("a_file_that_may_not_be_read_for_days_is_gone_on_with", || {
        for is_directory in [false, true] {
            let mut rig = Rig::new();
            fs::create_dir(rig.path("d")).unwrap();
            rig.spec.path = rig.path("d/app.log").into();
            rig.restart();
            append(&rig.spec.path, "a1\n");
            rig.settle();
            rig.stop();
            append(&rig.spec.path, "a2\n");
            let shut = if is_directory {
                rig.path("d")
            } else {
                rig.spec.path.to_path_buf()
            };
            set(&shut, 0);
            rig.start();
            for _ in 0..30 {
                rig.pass(HOUR);
            }
            assert_eq!(rig.world.positions.account("app").balance().unreachable, 0);
            set(&shut, 0o755);
            rig.pass(HOUR);
            assert_eq!(rig.values(), ["a1", "a2"]);
        }
    });
}

#[test]
fn a_rotated_file_in_a_directory_that_may_not_be_listed_for_days_is_gone_on_with() {
    bound(
        "a_rotated_file_in_a_directory_that_may_not_be_listed_for_days_is_gone_on_with",
        || {
            let mut rig = Rig::new();
            // More than is read at once: it is known that lines are left.
            let lines: Vec<String> = (0..40_000).map(|n| format!("line {n:05}")).collect();
            append(&rig.spec.path, &(lines.join("\n") + "\n"));
            rig.run(1);
            rig.stop();
            fs::rename(&rig.spec.path, rig.path("app.log.1")).unwrap();
            append(&rig.spec.path, "b1\n");
            set(rig.logs.path(), 0o311);
            rig.start();
            for _ in 0..30 {
                rig.pass(HOUR);
            }
            set(rig.logs.path(), 0o755);
            rig.pass(HOUR);
            let (new, old): (Vec<_>, Vec<_>) = rig.values().into_iter().partition(|line| *line == "b1");
            assert!(new == ["b1"] && old == lines, "{} lines", old.len());
        },
    );
}

#[test]
fn what_may_not_be_looked_at_hides_no_other_rotated_file() {
    bound("what_may_not_be_looked_at_hides_no_other_rotated_file", || {
        let mut rig = Rig::new();
        fs::create_dir_all(rig.path("arch/lost+found")).unwrap();
        set(&rig.path("arch/lost+found"), 0);
        let glob = logcatch_tail::PathGlob::parse("arch/**/app.log.*", rig.logs.path()).unwrap();
        rig.spec.rotated.globs = vec![glob];
        rig.restart();
        append(&rig.spec.path, "a1\n");
        rig.settle();
        rig.stop();
        append(&rig.spec.path, "a2\n");
        fs::rename(&rig.spec.path, rig.path("app.log.2")).unwrap();
        std::thread::sleep(Duration::from_millis(15));
        append(&rig.path("arch/app.log.1"), "b1\n");
        // One to where nobody may look, one that leads to itself.
        symlink(rig.path("arch/lost+found/x"), rig.path("app.log.3")).unwrap();
        symlink(rig.path("app.log.4"), rig.path("app.log.4")).unwrap();
        symlink(rig.path("arch/app.log.5"), rig.path("arch/app.log.5")).unwrap();
        append(&rig.spec.path, "c1\n");
        rig.start();
        rig.settle();
        set(&rig.path("arch/lost+found"), 0o755);
        assert_eq!(rig.values(), ["a1", "a2", "b1", "c1"]);
    });
}

/// A link into a directory that may not be searched is in the way of what is behind it, and was passed over.
#[test]
fn a_link_to_a_directory_that_may_not_be_looked_at_is_not_taken_for_one_without_files() {
    let test = "a_link_to_a_directory_that_may_not_be_looked_at_is_not_taken_for_one_without_files";
    bound(test, || {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::create_dir_all(root.join("shut/logs")).unwrap();
        fs::create_dir(root.join("seen")).unwrap();
        symlink(root.join("shut/logs"), root.join("seen/link")).unwrap();
        symlink(root.join("seen/loop"), root.join("seen/loop")).unwrap();
        symlink(root.join("nowhere"), root.join("seen/nowhere")).unwrap();
        set(&root.join("shut"), 0);
        let swept = logcatch_tail::sweep(&[logcatch_tail::PathGlob::parse("seen/**/*.log", root).unwrap()], &[]);
        set(&root.join("shut"), 0o755);
        let unreadable: Vec<_> = swept.unreadable.into_iter().map(|(path, _)| path).collect();
        assert_eq!(unreadable, [root.join("seen/link")]);
    });
}
