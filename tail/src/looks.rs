//! How far the watchers have looked: a file that may be a copy waits until the watcher of the original has looked for
//! copies after it came, however long that takes, as when Kafka is away and something older must be read first.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

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
    /// When the last whole look of each began.
    looks: HashMap<(String, PathBuf), Weak<AtomicU64>>,
    tidy_at: usize,
}

/// What one watcher tells of its looks.
#[derive(Debug)]
pub(crate) struct Looker {
    done: Arc<AtomicU64>,
    /// When the look began that goes on.
    begun: Option<Moment>,
}

impl Looks {
    /// A new watcher of a path.
    pub(crate) fn watcher(&self, log: &str, path: &Path) -> Looker {
        let done = Arc::new(AtomicU64::new(0));
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        if watchers.looks.len() >= watchers.tidy_at.max(TIDY_AT) {
            watchers.looks.retain(|_, look| look.strong_count() > 0);
            watchers.tidy_at = 2 * watchers.looks.len();
        }
        let key = (log.to_owned(), path.to_owned());
        watchers.looks.insert(key, Arc::downgrade(&done));
        Looker { done, begun: None }
    }

    /// Now.
    pub(crate) fn now(&self) -> Moment {
        Moment(self.clock.fetch_add(1, Ordering::AcqRel))
    }

    /// Whether the watcher of a path, if there is one, has begun and ended a look since.
    pub(crate) fn has_looked(&self, log: &str, path: &Path, since: Moment) -> bool {
        let watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        let look = watchers.looks.get(&(log.to_owned(), path.to_owned()));
        let done = look.and_then(Weak::upgrade);
        done.is_none_or(|done| done.load(Ordering::Acquire) > since.0)
    }
}

impl Looker {
    /// A poll begins that looks, or does not.
    pub(crate) fn begin_if(&mut self, looks: bool, all: &Looks) {
        if looks {
            self.begun = Some(all.now());
        }
    }

    /// The look that began last has seen everything, unless a copy can be there that was not looked for.
    pub(crate) fn end_unless(&mut self, is_hidden: bool) {
        if let Some(begun) = self.begun.take_if(|_| !is_hidden) {
            self.done.store(begun.0, Ordering::Release);
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
        let mut looker = looks.watcher("app", path);
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
            looks.watcher("app", Path::new(&format!("/{n}")));
        }
        assert!(looks.watchers.lock().unwrap().looks.len() <= TIDY_AT);
    }
}
