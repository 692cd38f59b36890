//! Which watcher reads which file: one per entry name, under whatever path the file goes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::identity::Inode;

/// Claims of all watchers. A link and its target, two patterns that match one file, and a file that was renamed within
/// a pattern are each read by the watcher that claimed the inode first.
#[derive(Debug, Default)]
pub struct Claims {
    owners: Mutex<HashMap<(String, Inode), PathBuf>>,
}

impl Claims {
    /// Claims a file of an entry for the watcher of `path`.
    ///
    /// # Errors
    /// The path of the watcher that has it.
    pub fn claim(&self, log: &str, inode: Inode, path: &Path) -> Result<(), PathBuf> {
        let mut owners = self.lock();
        let owner = owners.entry((log.to_owned(), inode)).or_insert_with(|| path.to_owned());
        if owner == path { Ok(()) } else { Err(owner.clone()) }
    }

    /// The path of the watcher that has a file.
    #[must_use]
    pub fn owner(&self, log: &str, inode: Inode) -> Option<PathBuf> {
        self.lock().get(&(log.to_owned(), inode)).cloned()
    }

    /// Gives a file up; only the watcher that has it can.
    pub fn release(&self, log: &str, inode: Inode, path: &Path) {
        let mut owners = self.lock();
        let key = (log.to_owned(), inode);
        if owners.get(&key).is_some_and(|owner| owner == path) {
            owners.remove(&key);
        }
    }

    /// Gives up what the watcher of `path` has, but for these.
    pub fn keep_only(&self, log: &str, path: &Path, inodes: &[Inode]) {
        self.lock()
            .retain(|(name, inode), owner| name != log || owner != path || inodes.contains(inode));
    }

    /// Gives up everything the watcher of `path` has.
    pub fn release_all(&self, log: &str, path: &Path) {
        self.lock().retain(|(name, _), owner| name != log || owner != path);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, Inode), PathBuf>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_reader_per_entry() {
        let claims = Claims::default();
        let inode = Inode {
            dev: 1,
            ino: 2,
            born: None,
        };
        let (a, b) = (Path::new("/a"), Path::new("/b"));
        assert_eq!(claims.claim("x", inode, a), Ok(()));
        assert_eq!(claims.claim("x", inode, a), Ok(()));
        assert_eq!(claims.claim("x", inode, b), Err(a.to_owned()));
        assert_eq!(claims.claim("y", inode, b), Ok(()));
        claims.release("x", inode, b);
        claims.keep_only("x", a, &[inode]);
        assert_eq!(claims.claim("x", inode, b), Err(a.to_owned()));
        claims.release_all("x", a);
        assert_eq!(claims.claim("x", inode, b), Ok(()));
    }
}
