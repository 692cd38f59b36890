//! All positions: in memory the truth, on disk as of the last checkpoint. A thread of its own saves, because an fsync
//! may take as long as the disk likes.

mod heirs;
mod index;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use crate::account::Account;
use crate::identity::{Inode, Stat};
use crate::lease::Lease;
use crate::position::{FileId, StreamRecord};
use crate::saver::{Dirty, Figures, save_until_stopped};
use crate::store::{Contents, Mode, StateLock, Store};
use crate::stream::Stream;
use index::{Entry, Index};

/// Every known file generation, by entry and path.
#[derive(Debug)]
pub struct Positions {
    index: Mutex<Index>,
    pub(crate) dirty: Arc<Dirty>,
    figures: Arc<Figures>,
    saver: Mutex<Option<JoinHandle<bool>>>,
    /// False where nothing is ever saved.
    kept: bool,
    /// When the store that was found damaged was last written; nanoseconds since the epoch.
    damaged_since: Option<i64>,
    /// What the store was last used for.
    pub(crate) mode: Mutex<Option<Mode>>,
}

impl Positions {
    /// Opens the store in `directory` and starts saving into it at most every `interval`. A damaged store was moved
    /// aside and is in the answer; everything then starts from the beginning.
    ///
    /// # Errors
    /// As [`Store::open`], and when no thread can be started.
    pub fn open(
        directory: &Path,
        lock: StateLock,
        interval: Duration,
    ) -> Result<(Arc<Self>, Option<PathBuf>), crate::StoreError> {
        let (store, contents) = Store::open(directory, &lock)?;
        let Contents {
            streams,
            entries,
            mode,
            damaged,
        } = contents;
        let dirty = Arc::new(Dirty::new(interval));
        let figures = Arc::new(Figures::default());
        let saver = std::thread::Builder::new()
            .name("positions".into())
            .spawn({
                let (dirty, figures) = (Arc::clone(&dirty), Arc::clone(&figures));
                move || {
                    let saved = save_until_stopped(store, &dirty, &figures);
                    drop(lock);
                    saved
                }
            })
            .map_err(|source| crate::StoreError::Directory {
                path: directory.to_owned(),
                source,
            })?;
        let positions = Self {
            index: Mutex::new(Index {
                applied: entries.into_iter().collect(),
                ..Index::default()
            }),
            dirty,
            figures,
            saver: Mutex::new(Some(saver)),
            kept: true,
            damaged_since: damaged.as_deref().map(last_written),
            mode: Mutex::new(mode),
        };
        {
            let mut index = positions.lock();
            for record in streams {
                index.insert(record, &positions.dirty);
            }
        }
        Ok((Arc::new(positions), damaged))
    }

    /// Positions that nobody keeps: for looking at files without shipping them.
    #[must_use]
    pub fn in_memory() -> Arc<Self> {
        Arc::new(Self {
            index: Mutex::default(),
            dirty: Arc::new(Dirty::new(Duration::ZERO)),
            figures: Arc::default(),
            saver: Mutex::new(None),
            kept: false,
            damaged_since: None,
            mode: Mutex::default(),
        })
    }

    /// The generations of a path, oldest first.
    #[must_use]
    pub fn of(&self, log: &str, path: &Path) -> Vec<Arc<Stream>> {
        let mut index = self.lock();
        let Some(streams) = index.of(log, path) else {
            return Vec::new();
        };
        streams.retain(|stream| !stream.is_gone());
        let mut streams = streams.to_vec();
        streams.sort_by_key(|stream| stream.record().order);
        streams
    }

    /// All paths of an entry that have positions.
    #[must_use]
    pub fn paths(&self, log: &str) -> Vec<Arc<Path>> {
        let index = self.lock();
        let paths = index.entries.get(log).into_iter().flat_map(|entry| &entry.by_path);
        let known = paths.filter(|(_, streams)| streams.iter().any(|stream| !stream.is_gone()));
        known.map(|(path, _)| Arc::clone(path)).collect()
    }

    /// Many files came: the room between them goes.
    pub(crate) fn pack(&self) {
        self.lock().entries.values_mut().for_each(Entry::pack);
    }

    /// Every known generation.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Stream>> {
        self.lock()
            .entries
            .values()
            .flat_map(|entry| entry.by_path.values().flatten())
            .filter(|stream| !stream.is_gone())
            .cloned()
            .collect()
    }

    /// Takes a new file generation in; its record is queued for saving.
    pub fn begin(&self, record: StreamRecord) -> Arc<Stream> {
        self.begin_under(&Lease::default(), record)
    }

    /// As [`Positions::begin`], for a watcher under this lease; without it, nothing is taken in.
    pub(crate) fn begin_under(&self, lease: &Lease, record: StreamRecord) -> Arc<Stream> {
        let mut index = self.lock();
        // Under the lock of the index, which `revoke` holds.
        if lease.is_revoked() {
            let stream = Stream::new(record, Arc::default(), Arc::clone(&self.dirty));
            stream.fence();
            return stream;
        }
        let stream = index.insert(record, &self.dirty);
        drop(index);
        self.dirty.push(&stream);
        stream
    }

    /// Takes the files of these entries and paths from watchers that do not answer. When they wake they change nothing
    /// here and hand nothing over; what they handed over before is settled as ever.
    pub fn revoke<'a>(&self, lease: &Lease, paths: impl IntoIterator<Item = &'a (Arc<str>, Arc<Path>)>) {
        let mut index = self.lock();
        lease.revoke();
        for (log, path) in paths {
            let streams = index.of(log, path).into_iter().flatten();
            streams.for_each(|stream| stream.fence());
        }
    }

    /// Gives what was revoked of a path to its next watcher, once it is at rest.
    pub fn renew(&self, log: &str, path: &Path) {
        let mut index = self.lock();
        let Some(entry) = index.entries.get_mut(log) else {
            return;
        };
        let streams = entry.by_path.get_mut(path).into_iter().flatten();
        for stream in streams.filter(|stream| stream.is_fenced()) {
            let renewed = stream.superseded();
            let known = entry.by_inode.get_mut(&renewed.record().inode);
            if let Some(known) = known.filter(|known| Arc::ptr_eq(known, stream)) {
                *known = Arc::clone(&renewed);
            }
            *stream = renewed;
        }
    }

    /// A name for a new file generation that no other has: nanoseconds of its first sight.
    #[must_use]
    pub fn new_id(&self) -> FileId {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
        self.lock().new_id(u64::try_from(now).unwrap_or(u64::MAX))
    }

    /// Calls back, from another thread, when everything changed before now is on disk; at once where nothing is kept;
    /// never after [`Positions::close`], which saves nothing more.
    pub fn when_saved(&self, callback: impl FnOnce() + Send + 'static) {
        if !self.kept {
            return callback();
        }
        if let Some(outbox) = self.dirty.outbox() {
            return outbox.when_committed(Box::new(callback));
        }
        self.when_stored(callback);
    }

    /// As [`Positions::when_saved`], of the store in the state directory also where positions are kept in Kafka.
    pub(crate) fn when_stored(&self, callback: impl FnOnce() + Send + 'static) {
        let mut queue = self.dirty.lock();
        if !queue.stop {
            queue.callbacks.push(Box::new(callback));
            self.dirty.changed.notify_one();
        }
    }

    /// Whether `start` counts for files of this entry that exist now: the entry was never applied before, and no
    /// damaged store hides that it was.
    #[must_use]
    pub fn is_first_application(&self, log: &str) -> bool {
        self.damaged_since.is_none() && !self.lock().applied.contains(log)
    }

    /// When the store was last saved that was found damaged at the start, so that all positions are gone; nanoseconds
    /// since the epoch.
    #[must_use]
    pub fn damaged_since(&self) -> Option<i64> {
        self.damaged_since
    }

    /// The files that exist were seen; from now on a new file of this entry is read from its beginning.
    pub fn applied(&self, log: &str) {
        if self.lock().applied.insert(log.to_owned()) {
            self.dirty.lock().entries.push(log.to_owned());
            self.dirty.changed.notify_one();
            if let Some(outbox) = self.dirty.outbox() {
                outbox.push_entry(log.to_owned());
            }
        }
    }

    /// No entry was applied, as far as is known. The store keeps what it knows.
    pub(crate) fn forget_applied(&self) {
        self.lock().applied.clear();
    }

    /// Every generation is taken out, and given back.
    pub(crate) fn take_all(&self) -> Vec<Arc<Stream>> {
        let mut index = self.lock();
        let entries = index.entries.values_mut();
        let taken = entries.flat_map(|entry| {
            entry.by_inode.clear();
            entry.by_path.drain().flat_map(|(_, streams)| streams)
        });
        taken.collect()
    }

    /// The entries that were applied.
    pub(crate) fn applied_entries(&self) -> Vec<String> {
        self.lock().applied.iter().cloned().collect()
    }

    /// The generation of an entry that was last seen with this inode.
    #[must_use]
    pub fn known(&self, log: &str, inode: Inode) -> Option<Arc<Stream>> {
        let stream = self.lock().entries.get(log)?.by_inode.get(&inode).cloned()?;
        (!stream.is_gone() && stream.record().inode == inode).then_some(stream)
    }

    /// The counters of an entry.
    #[must_use]
    pub fn account(&self, log: &str) -> Arc<Account> {
        Arc::clone(&self.lock().entry(log).1.account)
    }

    /// The name of an entry, the one that is kept already, if one is.
    #[must_use]
    pub fn name(&self, log: &str) -> Arc<str> {
        let index = self.lock();
        let known = index.entries.get_key_value(log);
        known.map_or_else(|| log.into(), |(log, _)| Arc::clone(log))
    }

    /// A path of an entry, the one that is kept already, if one is.
    #[must_use]
    pub fn path(&self, log: &str, path: &Path) -> Arc<Path> {
        let index = self.lock();
        let known = index.entries.get(log).and_then(|entry| entry.shared(path));
        known.unwrap_or_else(|| path.into())
    }

    /// Every entry that has counters, by name.
    #[must_use]
    pub fn accounts(&self) -> Vec<(String, Arc<Account>)> {
        let index = self.lock();
        let of = |(log, entry): (&Arc<str>, &Entry)| (log.to_string(), Arc::clone(&entry.account));
        let mut accounts: Vec<_> = index.entries.iter().map(of).collect();
        accounts.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        accounts
    }

    /// Saves at most this often from now on.
    pub fn set_interval(&self, interval: Duration) {
        self.dirty.lock().interval = interval;
        self.dirty.changed.notify_one();
    }

    /// Seconds since the epoch of the last successful save; 0 before the first.
    #[must_use]
    pub fn saved_at(&self) -> u64 {
        self.figures.saved_at.load(Ordering::Relaxed)
    }

    /// How many saves failed.
    #[must_use]
    pub fn save_errors(&self) -> u64 {
        self.figures.errors.load(Ordering::Relaxed)
    }

    /// Saves what is left, once, and ends the thread; blocks until then. False when it could not be saved.
    pub fn close(&self) -> bool {
        if let Some(outbox) = self.dirty.outbox() {
            outbox.end();
        }
        self.dirty.lock().stop = true;
        self.dirty.changed.notify_one();
        let saver = self.saver.lock().unwrap_or_else(PoisonError::into_inner).take();
        saver.is_none_or(|saver| saver.join().unwrap_or(false))
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When a file was last written; nanoseconds since the epoch, 0 where that cannot be told.
fn last_written(path: &Path) -> i64 {
    std::fs::metadata(path).map_or(0, |meta| Stat::from(&meta).modified)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Mark;
    use crate::stream::Settled;

    fn open(directory: &Path) -> Arc<Positions> {
        let lock = StateLock::acquire(directory).unwrap();
        Positions::open(directory, lock, Duration::from_millis(1)).unwrap().0
    }

    fn record(positions: &Positions, path: &str) -> StreamRecord {
        StreamRecord::example(path.as_ref(), positions.new_id())
    }

    #[test]
    fn only_what_is_settled_without_a_gap_survives() {
        let directory = tempfile::tempdir().unwrap();
        let positions = open(directory.path());
        let stream = positions.begin(record(&positions, "/a"));
        let mark = |offset| Mark {
            offset,
            ..Mark::default()
        };
        let (first, second, third) = (
            stream.issue(mark(10), 10),
            stream.issue(mark(20), 10),
            stream.issue(mark(30), 10),
        );
        let settled = Settled {
            lines: 1,
            dead_lettered: 0,
        };
        stream.settle(first, settled, None);
        stream.settle(third, settled, None);
        positions.close();
        let positions = open(directory.path());
        assert_eq!(positions.of("app", Path::new("/a"))[0].record().mark, mark(10));
        let _ = second;
    }

    #[test]
    fn a_callback_means_it_is_on_disk() {
        let directory = tempfile::tempdir().unwrap();
        let positions = open(directory.path());
        positions.begin(record(&positions, "/a"));
        let (sender, receiver) = std::sync::mpsc::channel();
        positions.when_saved(move || sender.send(()).unwrap());
        receiver.recv().unwrap();
        let copy = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(directory.path()).unwrap().flatten() {
            std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
        let copied = open(copy.path());
        assert_eq!(copied.of("app", Path::new("/a")).len(), 1);
        assert!(copied.is_first_application("app"));
    }

    #[test]
    fn a_watcher_that_lost_its_lease_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let positions = open(directory.path());
        let key = ("app".into(), Path::new("/a").into());
        let lease = Lease::default();
        let stream = positions.begin_under(&lease, record(&positions, "/a"));
        let mark = |offset| Mark {
            offset,
            ..Mark::default()
        };
        let sent = stream.issue(mark(10), 10);
        assert!(stream.hand_over(sent));
        let held = stream.issue(mark(20), 10);
        positions.revoke(&lease, [&key]);
        assert!(!stream.hand_over(held), "it woke");
        stream.update(|record| record.mark = mark(99));
        stream.retire();
        assert!(positions.begin_under(&lease, record(&positions, "/a")).is_fenced());
        assert!(!stream.is_at_rest());
        stream.settle(sent, Settled::default(), None);
        assert!(stream.is_at_rest(), "what it held is not waited for");
        positions.renew(&key.0, &key.1);
        let streams = positions.of(&key.0, &key.1);
        let [renewed] = streams.as_slice() else {
            panic!("{streams:?}")
        };
        assert_eq!(renewed.record().mark, mark(10));
        let next = renewed.issue(mark(30), 20);
        assert!(renewed.hand_over(next));
        renewed.settle(next, Settled::default(), None);
        stream.settle(held, Settled::default(), None);
        positions.close();
        let positions = open(directory.path());
        assert_eq!(positions.of(&key.0, &key.1)[0].record().mark, mark(30));
    }

    #[test]
    fn nothing_is_said_to_be_saved_after_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let positions = open(directory.path());
        assert!(positions.close());
        positions.begin(record(&positions, "/a"));
        let (sender, receiver) = std::sync::mpsc::channel();
        positions.when_saved(move || sender.send(()).unwrap());
        assert!(receiver.recv().is_err(), "the callback is dropped uncalled");
        assert!(open(directory.path()).of("app", Path::new("/a")).is_empty());
    }

    #[test]
    fn a_retired_generation_is_forgotten_after_its_last_batch() {
        let directory = tempfile::tempdir().unwrap();
        let positions = open(directory.path());
        let stream = positions.begin(record(&positions, "/a"));
        let seq = stream.issue(
            Mark {
                offset: 1,
                ..Mark::default()
            },
            1,
        );
        stream.retire();
        assert_eq!(positions.of("app", Path::new("/a")).len(), 1);
        stream.settle(seq, Settled::default(), None);
        assert_eq!(positions.of("app", Path::new("/a")).len(), 0);
        positions.close();
        assert_eq!(open(directory.path()).of("app", Path::new("/a")).len(), 0);
    }
}
