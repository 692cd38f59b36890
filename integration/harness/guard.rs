//! Ends every process that the tests started, whatever becomes of the tests themselves, and removes their files.
//!
//! A small shell waits on a pipe whose only other end is in this process. When this process is gone, however it went, the
//! pipe closes; the shell then kills what carries the run's variable in its environment, grandchildren included.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};

/// The variable that every process of a run carries.
const TAG: &str = "LOGCATCH_TEST_RUN";

/// $1: the variable with its value, $2: the directory of the run, or nothing to keep it. It looks until a look finds none:
/// what is being killed may just have started another.
const SCRIPT: &str = r#"
trap '' INT TERM HUP QUIT
kept=
while read -r word; do kept=$word; done
while found=$(grep -lzxF -e "$1" /proc/[0-9]*/environ 2>/dev/null); [ -n "$found" ]; do
    for file in $found; do
        pid=${file#/proc/}
        kill -9 "${pid%/environ}" 2>/dev/null
    done
done
[ -z "$2" ] || [ -n "$kept" ] || rm -rf "$2"
"#;

struct Guard {
    tag: String,
    dir: PathBuf,
    shell: Mutex<Option<Child>>,
}

fn guard() -> &'static Guard {
    static GUARD: OnceLock<Guard> = OnceLock::new();
    GUARD.get_or_init(|| {
        // Short, because a socket's path in it must stay under 108 bytes, and not under target/, whose path may be long.
        let dir = tempfile::Builder::new()
            .prefix("logcatch-")
            .tempdir()
            .expect("make a directory for the run")
            .keep();
        let tag = dir.display().to_string();
        let removed = if std::env::var_os("LOGCATCH_KEEP").is_some() {
            ""
        } else {
            tag.as_str()
        };
        let shell = Command::new("sh")
            .args(["-c", SCRIPT, "guard", &format!("{TAG}={tag}"), removed])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("start the shell that cleans up");
        Guard {
            tag,
            dir,
            shell: Mutex::new(Some(shell)),
        }
    })
}

/// The directory of this run. It is removed with everything in it, unless `LOGCATCH_KEEP` is set.
pub fn run_dir() -> &'static Path {
    &guard().dir
}

/// Keeps the directory of this run: something in it must be looked at.
pub fn keep() {
    let mut shell = guard().shell.lock().unwrap();
    if let Some(input) = shell.as_mut().and_then(|shell| shell.stdin.as_mut()) {
        input.write_all(b"keep\n").expect("tell the shell that cleans up");
    }
}

/// A program that ends with this run, in a process group of its own (a Ctrl-C meant for the tests does not reach it) and
/// with an environment of its own (so that a `RUST_LOG` of the person at the keyboard changes no outcome).
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env(TAG, &guard().tag)
        .stdin(Stdio::null())
        .process_group(0);
    for name in ["PATH", "HOME", "TMPDIR", "JAVA_HOME"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// Ends everything that still runs, and returns when it is gone.
pub fn end() {
    if let Some(mut shell) = guard().shell.lock().unwrap().take() {
        drop(shell.stdin.take());
        let _ = shell.wait();
    }
}
