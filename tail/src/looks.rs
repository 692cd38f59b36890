//! How far the watchers have looked: a file that may be a copy waits until the watcher of the original has looked for
//! copies after it came, however long that takes, as when Kafka is away and something older must be read first. It is
//! asked to look: nothing else wakes the watcher of a log to which nothing is written.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::handles::Wake;
use crate::packed::pack;

/// Entries of watchers that are gone are taken out when there are twice as many as at the last time, and this many.
const TIDY_AT: usize = 1024;

/// A moment: looks that begin later have greater ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

/// The looks of all watchers.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    clock: AtomicU64,
    watchers: Mutex<Watchers>,
}

#[derive(Debug, Default)]
struct Watchers {
    /// By entry, then by a hash of the path with a secret of this process: of a million paths two have the same in one of 37
    /// million runs, and then a copy may wait for the wrong one of them.
    looks: HashMap<Arc<str>, BTreeMap<u64, Weak<Shared>>>,
    hasher: RandomState,
    /// Of all entries.
    count: usize,
    tidy_at: usize,
}

/// What others see of one watcher.
struct Shared {
    /// When its last whole look began.
    done: AtomicU64,
    /// Another watcher waits for it to look.
    asked: AtomicBool,
    wake: Wake,
}

/// What one watcher tells of its looks.
#[derive(Debug)]
pub(crate) struct Looker {
    shared: Arc<Shared>,
    /// When the look began that goes on.
    begun: Option<Moment>,
}

impl Looks {
    /// A new watcher of a path, and what makes it poll.
    pub(crate) fn watcher(&self, log: &Arc<str>, path: &Path, wake: Wake) -> Looker {
        let shared = Arc::new(Shared {
            done: AtomicU64::new(0),
            asked: AtomicBool::new(false),
            wake,
        });
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        if watchers.count >= watchers.tidy_at.max(TIDY_AT) {
            watchers.tidy();
        }
        let path = watchers.hasher.hash_one(path);
        let of_entry = watchers.looks.entry(Arc::clone(log)).or_default();
        let before = of_entry.insert(path, Arc::downgrade(&shared));
        watchers.count += usize::from(before.is_none());
        Looker { shared, begun: None }
    }

    /// Many watchers came: the room between them goes.
    pub(crate) fn pack(&self) {
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.looks.values_mut().for_each(pack);
    }

    /// Now.
    pub(crate) fn now(&self) -> Moment {
        Moment(self.clock.fetch_add(1, Ordering::AcqRel))
    }

    /// Whether a path has a watcher.
    pub(crate) fn is_watched(&self, log: &str, path: &Path) -> bool {
        let watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.of(log, path).is_some_and(|look| look.strong_count() > 0)
    }

    /// Whether the watcher of a path, if there is one, has begun and ended a look since. If not, it is asked for one.
    pub(crate) fn has_looked(&self, log: &str, path: &Path, since: Moment) -> bool {
        let watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = watchers.of(log, path).and_then(Weak::upgrade);
        // What it is woken with may need another watcher.
        drop(watchers);
        let Some(shared) = shared else { return true };
        let has_looked = shared.done.load(Ordering::Acquire) > since.0;
        if !has_looked {
            shared.asked.store(true, Ordering::Release);
            (shared.wake)();
        }
        has_looked
    }
}

impl Watchers {
    fn of(&self, log: &str, path: &Path) -> Option<&Weak<Shared>> {
        self.looks.get(log)?.get(&self.hasher.hash_one(path))
    }

    fn tidy(&mut self) {
        self.looks.retain(|_, of_entry| {
            of_entry.retain(|_, look| look.strong_count() > 0);
            !of_entry.is_empty()
        });
        self.count = self.looks.values().map(BTreeMap::len).sum();
        self.tidy_at = 2 * self.count;
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("done", &self.done)
            .field("asked", &self.asked)
            .finish_non_exhaustive()
    }
}

impl Looker {
    /// Whether another watcher has asked for a look since the last call.
    pub(crate) fn take_asked(&self) -> bool {
        self.shared.asked.swap(false, Ordering::AcqRel)
    }

    /// A poll begins that looks, or does not.
    pub(crate) fn begin_if(&mut self, looks: bool, all: &Looks) {
        if looks {
            self.begun = Some(all.now());
        }
    }

    /// The look that began last has seen everything, unless a copy can be there that was not looked for.
    pub(crate) fn end_unless(&mut self, is_hidden: bool) {
        if let Some(begun) = self.begun.take_if(|_| !is_hidden) {
            self.shared.done.store(begun.0, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_look_that_began_later_counts() {
        let looks = Looks::default();
        let path = Path::new("/a");
        let mut looker = looks.watcher(&"app".into(), path, Arc::new(|| {}));
        looker.begin_if(true, &looks);
        let since = looks.now();
        looker.end_unless(false);
        assert!(!looks.has_looked("app", path, since), "it began before");
        looker.begin_if(true, &looks);
        assert!(!looks.has_looked("app", path, since), "it goes on");
        looker.end_unless(false);
        assert!(looks.has_looked("app", path, since));
        let since = looks.now();
        assert!(!looks.has_looked("app", path, since));
        drop(looker);
        assert!(looks.has_looked("app", path, since), "nobody looks any more");
    }

    #[test]
    fn watchers_that_are_gone_leave_nothing() {
        let looks = Looks::default();
        for n in 0..5 * TIDY_AT {
            looks.watcher(&"app".into(), Path::new(&format!("/{n}")), Arc::new(|| {}));
        }
        assert!(looks.watchers.lock().unwrap().count <= TIDY_AT);
    }
}
