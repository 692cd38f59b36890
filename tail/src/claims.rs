//! Which watcher reads which file: one per entry name, under whatever path the file goes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use smallvec::SmallVec;

use crate::identity::Inode;
use crate::looks::Looks;
use crate::packed::pack;
use crate::position::StreamRecord;
use crate::watcher::Watcher;

/// Claims of all watchers. A link and its target, two patterns that match one file, and a file that was renamed within
/// a pattern are each read by the watcher that claimed the inode first.
#[derive(Debug, Default)]
pub struct Claims {
    entries: Mutex<HashMap<Arc<str>, Entry>>,
    pub(crate) looks: Looks,
}

/// The claims of one settings entry.
#[derive(Debug, Default)]
struct Entry {
    owners: BTreeMap<Inode, Owner>,
    /// The same by a hash of the path: each watcher gives up its own without a look at those of all others.
    held: BTreeSet<(u64, Inode)>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Owner {
    path: Arc<Path>,
    /// The file is, or may be, a copy of what another path holds or held: the watcher of that one may take it.
    copy: bool,
}

impl Claims {
    /// Claims a file of an entry for the watcher of `path`.
    ///
    /// # Errors
    /// The path of the watcher that has it.
    pub fn claim(&self, log: &str, inode: Inode, path: &Arc<Path>) -> Result<(), PathBuf> {
        self.put(log, inode, path, false, |_| false)
    }

    /// Claims a file that is not read, because it is or may be a copy of what another path holds or held.
    ///
    /// # Errors
    /// The path of the watcher that has it.
    pub fn claim_copy(&self, log: &str, inode: Inode, path: &Arc<Path>) -> Result<(), PathBuf> {
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
    pub fn take(&self, log: &str, inode: Inode, path: &Arc<Path>) -> Result<(), PathBuf> {
        self.put(log, inode, path, false, |owner| owner.copy)
    }

    fn put(
        &self,
        log: &str,
        inode: Inode,
        path: &Arc<Path>,
        copy: bool,
        yields: impl Fn(&Owner) -> bool,
    ) -> Result<(), PathBuf> {
        let mut entries = self.lock();
        let entry = match entries.get_mut(log) {
            Some(entry) => entry,
            None => entries.entry(log.into()).or_default(),
        };
        match entry.owners.get_mut(&inode) {
            Some(owner) if owner.path == *path => owner.copy = copy,
            Some(owner) if !yields(owner) => return Err(owner.path.to_path_buf()),
            _ => {
                entry.remove(inode);
                entry.insert(inode, path, copy);
            }
        }
        Ok(())
    }

    /// The path of the watcher that has a file.
    #[must_use]
    pub fn owner(&self, log: &str, inode: Inode) -> Option<PathBuf> {
        let entries = self.lock();
        let owner = entries.get(log)?.owners.get(&inode)?;
        Some(owner.path.to_path_buf())
    }

    /// Whether the watcher that has a file has it as a copy.
    #[must_use]
    pub fn is_copy(&self, log: &str, inode: Inode) -> bool {
        let entries = self.lock();
        let owner = entries.get(log).and_then(|entry| entry.owners.get(&inode));
        owner.is_some_and(|owner| owner.copy)
    }

    /// Gives a file up; only the watcher that has it can.
    pub fn release(&self, log: &str, inode: Inode, path: &Path) {
        let mut entries = self.lock();
        if let Some(entry) = entries.get_mut(log)
            && entry.owners.get(&inode).is_some_and(|owner| *owner.path == *path)
        {
            entry.remove(inode);
        }
    }

    /// Gives up what the watcher of `path` has, but for these.
    pub fn keep_only(&self, log: &str, path: &Path, inodes: &[Inode]) {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(log) else { return };
        for inode in entry.held_by(path) {
            if !inodes.contains(&inode) {
                entry.remove(inode);
            }
        }
    }

    /// Gives up everything the watcher of `path` has.
    pub fn release_all(&self, log: &str, path: &Path) {
        self.keep_only(log, path, &[]);
    }

    /// Many watchers came: the room between their claims goes.
    pub(crate) fn pack(&self) {
        self.looks.pack();
        for entry in self.lock().values_mut() {
            pack(&mut entry.owners);
            entry.held = std::mem::take(&mut entry.held).into_iter().collect();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn insert(&mut self, inode: Inode, path: &Arc<Path>, copy: bool) {
        self.held.insert((self.hasher.hash_one(path), inode));
        let path = Arc::clone(path);
        self.owners.insert(inode, Owner { path, copy });
    }

    fn remove(&mut self, inode: Inode) {
        if let Some(owner) = self.owners.remove(&inode) {
            self.held.remove(&(self.hasher.hash_one(&owner.path), inode));
        }
    }

    fn held_by(&self, path: &Path) -> SmallVec<[Inode; 1]> {
        let hash = self.hasher.hash_one(path);
        let held = self.held.range((hash, Inode::LEAST)..);
        let held = held.take_while(|(of, _)| *of == hash).map(|(_, inode)| *inode);
        // Another path may have the same hash.
        let is_owner = |inode: &Inode| self.owners.get(inode).is_some_and(|owner| *owner.path == *path);
        held.filter(is_owner).collect()
    }
}

impl Watcher {
    /// Claims a file for this watcher; the error is the path of the one that has it.
    pub(crate) fn claim(&self, inode: Inode) -> Result<(), PathBuf> {
        if self.world.lease.is_revoked() {
            return Err(self.spec.path.to_path_buf());
        }
        self.world.claims.claim(&self.spec.log, inode, &self.spec.path)
    }

    /// Claims a file that is, or may be, a copy of what another path holds or held.
    pub(crate) fn claim_copy(&self, inode: Inode) -> bool {
        let claims = &self.world.claims;
        !self.world.lease.is_revoked() && claims.claim_copy(&self.spec.log, inode, &self.spec.path).is_ok()
    }

    /// Claims a file that holds the content of a generation of this path, also from one that has it as a copy.
    pub(crate) fn take(&self, inode: Inode) -> bool {
        !self.world.lease.is_revoked() && self.world.claims.take(&self.spec.log, inode, &self.spec.path).is_ok()
    }

    /// Gives a file up, unless another generation of this path is in it now.
    pub(crate) fn release(&self, inode: Inode) {
        let suspect = self.suspect.as_ref().map(|suspect| suspect.inode);
        let is_held = self.inodes().chain(suspect).any(|held| held == inode);
        if !is_held {
            self.release_unheld(inode);
        }
    }

    /// The same of a file that none of this path is in.
    pub(crate) fn release_unheld(&self, inode: Inode) {
        if !self.world.lease.is_revoked() {
            self.world.claims.release(&self.spec.log, inode, &self.spec.path);
        }
    }

    /// Whether the watcher of another path has a file, and not for a copy.
    pub(crate) fn has_other_reader(&self, inode: Inode) -> bool {
        self.has_other_owner(inode) && !self.world.claims.is_copy(&self.spec.log, inode)
    }

    /// Whether the watcher of another path has a file.
    pub(crate) fn has_other_owner(&self, inode: Inode) -> bool {
        let owner = self.world.claims.owner(&self.spec.log, inode);
        owner.is_some_and(|owner| *owner != *self.spec.path)
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
        let (a, b) = (&Arc::<Path>::from(Path::new("/a")), &Arc::<Path>::from(Path::new("/b")));
        assert_eq!(claims.claim("x", inode, a), Ok(()));
        assert_eq!(claims.claim("x", inode, a), Ok(()));
        assert_eq!(claims.claim("x", inode, b), Err(a.to_path_buf()));
        assert_eq!(claims.claim("y", inode, b), Ok(()));
        claims.release("x", inode, b);
        claims.keep_only("x", a, &[inode]);
        assert_eq!(claims.claim("x", inode, b), Err(a.to_path_buf()));
        claims.release_all("x", a);
        assert_eq!(claims.claim("x", inode, b), Ok(()));
    }

    #[test]
    fn laid_out_anew_they_are_the_same() {
        let claims = Claims::default();
        let inode = |ino| Inode {
            dev: 1,
            ino,
            born: None,
        };
        let (a, b) = (&Arc::<Path>::from(Path::new("/a")), &Arc::<Path>::from(Path::new("/b")));
        let _looker = claims.looks.watcher(&"x".into(), a, Arc::new(|| {}));
        for ino in 0..100 {
            assert_eq!(claims.claim("x", inode(ino), if ino % 2 == 0 { a } else { b }), Ok(()));
        }
        claims.pack();
        assert!(claims.looks.is_watched("x", a) && !claims.looks.is_watched("x", b));
        claims.keep_only("x", b, &[inode(1)]);
        let owner = |ino| claims.owner("x", inode(ino));
        assert_eq!([owner(0), owner(1)], [Some(a.to_path_buf()), Some(b.to_path_buf())]);
        assert_eq!((98..100).filter_map(owner).collect::<Vec<_>>(), [a.to_path_buf()]);
    }

    #[test]
    fn a_copy_is_left_to_the_watcher_of_the_original() {
        let claims = Claims::default();
        let inode = Inode {
            dev: 1,
            ino: 2,
            born: None,
        };
        let (live, copy, other) = (
            &Arc::<Path>::from(Path::new("/a")),
            &Arc::<Path>::from(Path::new("/a.1")),
            &Arc::<Path>::from(Path::new("/a.2")),
        );
        assert_eq!(claims.claim_copy("x", inode, copy), Ok(()));
        assert_eq!(claims.claim("x", inode, other), Err(copy.to_path_buf()));
        assert_eq!(claims.take("x", inode, live), Ok(()));
        assert_eq!(claims.claim_copy("x", inode, copy), Err(live.to_path_buf()));
        assert_eq!(claims.take("x", inode, other), Err(live.to_path_buf()));
    }

    #[test]
    fn what_was_taken_by_another_is_not_given_up_with_the_rest() {
        let claims = Claims::default();
        let inodes: Vec<_> = (1..4)
            .map(|ino| Inode {
                dev: 1,
                ino,
                born: None,
            })
            .collect();
        let (copy, live) = (
            &Arc::<Path>::from(Path::new("/a.1")),
            &Arc::<Path>::from(Path::new("/a")),
        );
        for inode in &inodes {
            assert_eq!(claims.claim_copy("x", *inode, copy), Ok(()));
        }
        assert_eq!(claims.take("x", inodes[0], live), Ok(()));
        claims.keep_only("x", copy, &inodes[..2]);
        let owners = inodes.iter().map(|inode| claims.owner("x", *inode));
        let expected = [Some(live.to_path_buf()), Some(copy.to_path_buf()), None];
        assert_eq!(owners.collect::<Vec<_>>(), expected);
        claims.release_all("x", copy);
        claims.release("x", inodes[0], live);
        let entries = claims.lock();
        assert!(entries["x"].owners.is_empty() && entries["x"].held.is_empty());
    }
}
