//! Faults that tests provoke: files in the directory that `LOGCATCH_FAULT_DIR` names. Not in release builds.
//!
//! `panic-NAME`, `error-NAME` and `hang-NAME` meet each step of the watchers whose path ends in NAME, for as long as the file
//! is there, `panic-outside-NAME` what they do between steps; `hang-read-NAME` only a step that reads, `hang-close-NAME` the end
//! of a watcher, `hang-look-ENTRY` a look for the files of an entry. `kill-STEP` kills the process once at a step of a transaction: `batch` (one comes), `positions` (its lines are handed over, they are not),
//! `commit` (all is handed over), `committing` (at some moment of it), `committed` (before anything here knows). `fatal-kafka` ends the producer once; `hang-kafka` keeps the Kafka side from answering whether it is alive.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::Duration;

use logcatch_tail::WatchError;

/// How often a step that hangs looks whether its file is gone.
const LOOK: Duration = Duration::from_millis(10);

/// Called before a step of the watcher of `path`.
pub fn strike(step: &str, path: &Path) -> Result<(), WatchError> {
    let Some((directory, name)) = directory().zip(path.file_name()) else {
        return Ok(());
    };
    let name = name.to_string_lossy();
    let is_there = |fault: &str| directory.join(format!("{fault}-{name}")).exists();
    hang(&name);
    hang(&format!("{step}-{name}"));
    assert!(!is_there("panic"), "a test wanted it");
    if is_there("error") {
        return Err(WatchError {
            path: path.to_owned(),
            source: io::Error::other("a test wanted it"),
        });
    }
    Ok(())
}

/// Called where a panic of the watcher of `path` is not caught.
pub fn panic_outside(path: &Path) {
    let fault = directory().zip(path.file_name()).map(|(directory, name)| {
        let name = name.to_string_lossy();
        directory.join(format!("panic-outside-{name}"))
    });
    assert!(!fault.is_some_and(|fault| fault.exists()), "a test wanted it");
}

/// Hangs at what the watcher of `path` does outside of a guarded step, such as to `close` its files.
pub fn hang_at(step: &str, path: &Path) {
    if let Some(name) = path.file_name() {
        hang(&format!("{step}-{}", name.to_string_lossy()));
    }
}

/// Hangs for as long as the file `hang-NAME` is there, and makes the file `hangs-NAME` before.
pub fn hang(name: &str) {
    if let Some(directory) = directory() {
        let file = directory.join(format!("hang-{name}"));
        if file.exists() {
            // For tests that wait for it.
            let _ = fs::write(directory.join(format!("hangs-{name}")), "");
        }
        while file.exists() {
            sleep(LOOK);
        }
    }
}

/// Whether the producer should fail fatally now; true once for each time the file is made.
pub fn is_kafka_fatal() -> bool {
    directory().is_some_and(|directory| fs::remove_file(directory.join("fatal-kafka")).is_ok())
}

/// Kills the process if a file `kill-STEP` is there; it is gone then.
pub fn kill(step: &str) {
    if directory().is_some_and(|directory| fs::remove_file(directory.join(format!("kill-{step}"))).is_ok()) {
        die();
    }
}

/// Kills the process within some milliseconds, while the caller goes on.
pub fn kill_soon(step: &str) {
    const LATEST: u32 = 6_000_000;
    if directory().is_some_and(|directory| fs::remove_file(directory.join(format!("kill-{step}"))).is_ok()) {
        let nanos = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().subsec_nanos() % LATEST;
        std::thread::spawn(move || {
            sleep(Duration::from_nanos(nanos.into()));
            die();
        });
    }
}

fn die() {
    let myself = rustix::process::getpid();
    let _ = rustix::process::kill_process(myself, rustix::process::Signal::KILL);
}

fn directory() -> Option<&'static Path> {
    static DIRECTORY: OnceLock<Option<PathBuf>> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| std::env::var_os("LOGCATCH_FAULT_DIR").map(PathBuf::from));
    directory.as_deref()
}
