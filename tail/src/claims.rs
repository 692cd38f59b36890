//! Which watcher reads which file: one per entry name, under whatever path the file goes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::identity::Inode;
use crate::looks::Looks;
use crate::position::StreamRecord;

/// Claims of all watchers. A link and its target, two patterns that match one file, and a file that was renamed within
/// a pattern are each read by the watcher that claimed the inode first.
#[derive(Debug, Default)]
pub struct Claims {
    owners: Mutex<HashMap<(String, Inode), Owner>>,
    pub(crate) looks: Looks,
}

#[derive(Debug)]
struct Owner {
    path: PathBuf,
    /// The file is, or may be, a copy of what another path holds or held: the watcher of that one may take it.
    copy: bool,
}

impl Claims {
    /// Claims a file of an entry for the watcher of `path`.
    ///
    /// # Errors
    /// The path of the watcher that has it.
    pub fn claim(&self, log: &str, inode: Inode, path: &Path) -> Result<(), PathBuf> {
        self.put(log, inode, path, false, |_| false)
    }

    /// Claims a file that is not read, because it is or may be a copy of what another path holds or held.
    ///
    /// # Errors
    /// The path of the watcher that has it.
    pub fn claim_copy(&self, log: &str, inode: Inode, path: &Path) -> Result<(), PathBuf> {
        self.put(log, inode, path, true, |_| false)
    }

    /// Reserves the file of a saved generation for the watcher of its path. Of two that had one inode the first is reserved,
    /// but not one that has it as a copy; its content decides when their watchers look.
    pub fn reserve(&self, record: &StreamRecord) {
        let yields = |owner: &Owner| owner.copy && !record.copy;
        let _ = self.put(&record.log, record.inode, &record.path, record.copy, yields);
    }

    /// Claims a file whose content is that of a generation of `path`, also from a watcher that has it as a copy.
    ///
    /// # Errors
    /// The path of the watcher that reads it.
    pub fn take(&self, log: &str, inode: Inode, path: &Path) -> Result<(), PathBuf> {
        self.put(log, inode, path, false, |owner| owner.copy)
    }

    fn put(
        &self,
        log: &str,
        inode: Inode,
        path: &Path,
        copy: bool,
        yields: impl Fn(&Owner) -> bool,
    ) -> Result<(), PathBuf> {
        let mut owners = self.lock();
        let key = (log.to_owned(), inode);
        if let Some(owner) = owners.get(&key)
            && owner.path != path
            && !yields(owner)
        {
            return Err(owner.path.clone());
        }
        let path = path.to_owned();
        owners.insert(key, Owner { path, copy });
        Ok(())
    }

    /// The path of the watcher that has a file.
    #[must_use]
    pub fn owner(&self, log: &str, inode: Inode) -> Option<PathBuf> {
        self.lock()
            .get(&(log.to_owned(), inode))
            .map(|owner| owner.path.clone())
    }

    /// Whether the watcher that has a file has it as a copy.
    #[must_use]
    pub fn is_copy(&self, log: &str, inode: Inode) -> bool {
        self.lock()
            .get(&(log.to_owned(), inode))
            .is_some_and(|owner| owner.copy)
    }

    /// Gives a file up; only the watcher that has it can.
    pub fn release(&self, log: &str, inode: Inode, path: &Path) {
        let mut owners = self.lock();
        let key = (log.to_owned(), inode);
        if owners.get(&key).is_some_and(|owner| owner.path == path) {
            owners.remove(&key);
        }
    }

    /// Gives up what the watcher of `path` has, but for these.
    pub fn keep_only(&self, log: &str, path: &Path, inodes: &[Inode]) {
        self.lock()
            .retain(|(name, inode), owner| name != log || owner.path != path || inodes.contains(inode));
    }

    /// Gives up everything the watcher of `path` has.
    pub fn release_all(&self, log: &str, path: &Path) {
        self.lock().retain(|(name, _), owner| name != log || owner.path != path);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, Inode), Owner>> {
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

    #[test]
    fn a_copy_is_left_to_the_watcher_of_the_original() {
        let claims = Claims::default();
        let inode = Inode {
            dev: 1,
            ino: 2,
            born: None,
        };
        let (live, copy, other) = (Path::new("/a"), Path::new("/a.1"), Path::new("/a.2"));
        assert_eq!(claims.claim_copy("x", inode, copy), Ok(()));
        assert_eq!(claims.claim("x", inode, other), Err(copy.to_owned()));
        assert_eq!(claims.take("x", inode, live), Ok(()));
        assert_eq!(claims.claim_copy("x", inode, copy), Err(live.to_owned()));
        assert_eq!(claims.take("x", inode, other), Err(live.to_owned()));
    }
}
