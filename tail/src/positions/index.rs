//! What finds generations: by entry and path, and by inode.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::account::Account;
use crate::identity::Inode;
use crate::packed::pack;
use crate::position::{FileId, StreamRecord};
use crate::saver::Dirty;
use crate::stream::Stream;

/// Forgotten generations are taken out of the index after half as many new ones as there are, and this many: often enough
/// that files that come and go leave nothing, rarely enough to cost a new one next to nothing.
const TIDY_AFTER: usize = 1024;

/// Names that were asked for at one time, faster than the clock ticks or while it was set back a little, follow one another;
/// nanoseconds.
const SAME_TIME: u64 = 1_000_000_000;

#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) entries: HashMap<Arc<str>, Entry>,
    pub(super) applied: HashSet<String>,
    /// The greatest that is known, and the last that was given.
    pub(super) ids: (u64, u64),
}

/// The generations of a path: nearly always one.
pub(super) type Streams = SmallVec<[Arc<Stream>; 1]>;

/// What is known of one settings entry. Names and paths are the same `Arc` wherever they are kept.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) by_path: HashMap<Arc<Path>, Streams>,
    /// By the inode a generation was first seen with.
    pub(super) by_inode: BTreeMap<Inode, Arc<Stream>>,
    pub(super) account: Arc<Account>,
    /// Generations taken in since forgotten ones were last taken out.
    added: usize,
}

impl Index {
    pub(super) fn of(&mut self, log: &str, path: &Path) -> Option<&mut Streams> {
        self.entries.get_mut(log)?.by_path.get_mut(path)
    }

    pub(super) fn entry(&mut self, log: &str) -> (Arc<str>, &mut Entry) {
        let known = self.entries.get_key_value(log).map(|(log, _)| Arc::clone(log));
        let log = known.unwrap_or_else(|| log.into());
        (Arc::clone(&log), self.entries.entry(log).or_default())
    }

    /// The time, in nanoseconds, or the first after it that no other has: also when the clock was ahead, because it says what
    /// was there at first sight.
    pub(super) fn new_id(&mut self, now: u64) -> FileId {
        let (greatest, last) = self.ids;
        let mut id = if (now..now.saturating_add(SAME_TIME)).contains(&last) {
            last + 1
        } else {
            now
        };
        while id <= greatest && self.has(FileId(id)) {
            id += 1;
        }
        self.ids = (greatest.max(id), id);
        FileId(id)
    }

    fn has(&self, id: FileId) -> bool {
        let mut streams = self.entries.values().flat_map(|entry| entry.by_path.values().flatten());
        streams.any(|stream| stream.id() == id)
    }

    pub(super) fn insert(&mut self, record: StreamRecord, dirty: &Arc<Dirty>) -> Arc<Stream> {
        self.ids.0 = self.ids.0.max(record.id.0);
        let (log, entry) = self.entry(&record.log);
        entry.insert(StreamRecord { log, ..record }, dirty)
    }
}

impl Entry {
    pub(super) fn shared(&self, path: &Path) -> Option<Arc<Path>> {
        self.by_path.get_key_value(path).map(|(path, _)| Arc::clone(path))
    }

    fn insert(&mut self, mut record: StreamRecord, dirty: &Arc<Dirty>) -> Arc<Stream> {
        record.path = self.shared(&record.path).unwrap_or(record.path);
        let (path, inode) = (Arc::clone(&record.path), record.inode);
        let stream = Stream::new(record, Arc::clone(&self.account), Arc::clone(dirty));
        self.by_path.entry(path).or_default().push(Arc::clone(&stream));
        self.added += 1;
        if self.added > TIDY_AFTER + self.by_inode.len() / 2 {
            self.tidy();
        }
        // Who reads a file knows more of it than who has it as a copy.
        let is_read = |known: &Arc<Stream>| !known.is_gone() && known.record().inode == inode && !known.record().copy;
        if !(stream.record().copy && self.by_inode.get(&inode).is_some_and(is_read)) {
            self.by_inode.insert(inode, Arc::clone(&stream));
        }
        stream
    }

    pub(super) fn pack(&mut self) {
        pack(&mut self.by_inode);
    }

    /// Takes forgotten generations out, and paths that have none any more.
    fn tidy(&mut self) {
        self.added = 0;
        self.by_inode.retain(|_, stream| !stream.is_gone());
        self.by_path.retain(|_, streams| {
            streams.retain(|stream| !stream.is_gone());
            !streams.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_times_also_after_the_clock_was_ahead() {
        let (mut index, dirty) = (Index::default(), Arc::new(Dirty::new(std::time::Duration::ZERO)));
        let hour = 3_600_000_000_000;
        let mut given = HashSet::new();
        for now in [2 * hour, 2 * hour, 0, 0, 1, 2 * hour, 1, hour] {
            let id = index.new_id(now);
            assert!((now..now + 10).contains(&id.0), "{id:?} at {now}");
            assert!(given.insert(id), "{id:?} is given twice");
            index.insert(StreamRecord::example("/a".as_ref(), id), &dirty);
        }
    }
}
