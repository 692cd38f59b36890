//! One service at a time in a state directory, and whose the files are that it makes there.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::StoreError;

pub(super) const LOCK: &str = "logcatch.lock";

/// An exclusive lock on a state directory; a file in it names the process. Ends with the value, or the process.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

impl StateLock {
    /// Creates the directory where it is missing and locks it.
    ///
    /// # Errors
    /// [`StoreError::Directory`], or [`StoreError::Held`] when another process has it.
    pub fn acquire(directory: &Path) -> Result<Self, StoreError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::Directory { path, source }
        };
        fs::create_dir_all(directory).map_err(failed(directory))?;
        let path = directory.join(LOCK);
        let mut file = opened_or_created(&path).map_err(failed(&path))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut text = String::new();
            // Who holds it is a help, not a condition.
            let _ = file.read_to_string(&mut text);
            return Err(StoreError::Held {
                path: directory.to_owned(),
                pid: text.trim().parse().ok(),
            });
        }
        // Written over in place: the lock is on this inode.
        file.rewind()
            .and_then(|()| file.set_len(0))
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(failed(&path))?;
        Ok(Self { _file: file })
    }
}

fn opened_or_created(path: &Path) -> std::io::Result<File> {
    let open = || OpenOptions::new().read(true).write(true).open(path);
    match open() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => match created(path) {
            // Another was faster.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => open(),
            created => created,
        },
        opened => opened,
    }
}

/// Creates a file. What root makes in the directory of another user, as a command does where no service runs, is that
/// user's: the service could not start on it otherwise.
pub(super) fn created(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
    if let Some(directory) = path.parent() {
        give_to(&file, &fs::metadata(directory)?);
    }
    Ok(file)
}

/// Gives a file that this process created to the owner of another one.
pub fn give_to(file: &File, of: &fs::Metadata) {
    if of.uid() != rustix::process::geteuid().as_raw() {
        // Others than root may not give files away, and need not.
        let _ = fchown(file, Some(of.uid()), Some(of.gid()));
    }
}
