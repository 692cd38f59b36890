//! What to do about a state directory that cannot be used.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use logcatch_tail::StoreError;

use crate::error::{Exit, Failure};

/// Names another one.
const ANOTHER: &str = "name another as state.directory in the settings";

/// A state directory that cannot be used.
pub fn state_failure(error: StoreError) -> Failure {
    match &error {
        StoreError::Held { .. } => Failure::new(error)
            .help("stop the other one, or give this one another state.directory")
            .exit(Exit::Held),
        StoreError::Directory { path, source } => {
            let help = help(path, source);
            Failure::new(error).help(help)
        }
        StoreError::Database { .. } => Failure::new(error).help(format!("free space on its disk, or {ANOTHER}")),
    }
}

fn help(path: &Path, source: &io::Error) -> String {
    match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => format!("free space on its disk, or {ANOTHER}"),
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
            format!("something else is in its place: move that away, or {ANOTHER}")
        }
        ErrorKind::ReadOnlyFilesystem => format!("its file system is read-only: mount it writable, or {ANOTHER}"),
        ErrorKind::PermissionDenied => match foreign_owner(path) {
            Some(owner) => format!(
                "`{}` belongs to user `{owner}`: run it as that user, or give the file to the user of the service with `chown`",
                path.display()
            ),
            None => format!("make it writable for this user, or {ANOTHER}"),
        },
        _ => format!("make it writable for this user, or {ANOTHER}"),
    }
}

/// Whose it is, if it is somebody else's.
fn foreign_owner(path: &Path) -> Option<String> {
    let owner = fs::metadata(path).ok()?.uid();
    (owner != rustix::process::geteuid().as_raw()).then(|| name_in("/etc/passwd", owner))
}

/// The name of a user or group, else its number.
pub fn name_in(file: &str, id: u32) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let named = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| id.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_is_about_what_the_system_answered() {
        let help = |number, path: &str| help(Path::new(path), &io::Error::from_raw_os_error(number));
        assert!(help(28, "/a").starts_with("free space"), "{}", help(28, "/a"));
        for number in [17, 20, 21] {
            assert!(help(number, "/a").starts_with("something else is in its place"));
        }
        assert!(help(30, "/a").contains("read-only"));
        assert!(help(13, "/nowhere/at/all").starts_with("make it writable"));
        let is_root = rustix::process::geteuid().is_root();
        assert_eq!(help(13, "/etc/passwd").contains("belongs to user `root`"), !is_root);
    }
}
