//! Entries that are applied for the first time: `start` counts for the files that exist then, and for no later ones.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use logcatch_tail::Positions;

/// Which first looks are still to be taken.
#[derive(Debug, Default)]
pub struct FirstLooks {
    /// Entries whose files were not looked for yet.
    fresh: HashSet<String>,
    /// Per entry that was never applied before, the watchers that have not taken their first look.
    unready: HashMap<String, HashSet<Arc<Path>>>,
}

impl FirstLooks {
    /// A new entry; `is_first` when it was never applied before.
    pub fn begin(&mut self, log: &str, is_first: bool) {
        self.fresh.insert(log.to_owned());
        if is_first {
            self.unready.insert(log.to_owned(), HashSet::new());
        }
    }

    /// Whether this look is the first one for the entry.
    pub fn take_fresh(&mut self, log: &str) -> bool {
        self.fresh.remove(log)
    }

    /// Whether the entry is applied for the first time.
    pub fn is_first(&self, log: &str) -> bool {
        self.unready.contains_key(log)
    }

    /// These files existed: their watchers have yet to take their first look.
    pub fn expect(&mut self, log: &str, paths: impl Iterator<Item = Arc<Path>>) {
        self.unready.insert(log.to_owned(), paths.collect());
    }

    /// A watcher took its first look, or will not any more.
    pub fn taken(&mut self, log: &str, path: &Path) {
        if let Some(unready) = self.unready.get_mut(log) {
            unready.remove(path);
        }
    }

    /// Whether every file that existed was looked at; true once.
    fn take_complete(&mut self, log: &str) -> bool {
        let is_complete = !self.fresh.contains(log) && self.unready.get(log).is_some_and(HashSet::is_empty);
        is_complete && self.unready.remove(log).is_some()
    }

    /// Once every file that existed was looked at, the entry counts as applied: later files are read from their start.
    pub fn say_applied(&mut self, log: &str, positions: &Positions) {
        if self.take_complete(log) {
            positions.applied(log);
        }
    }

    /// The entry is gone.
    pub fn forget(&mut self, log: &str) {
        self.unready.remove(log);
        self.fresh.remove(log);
    }
}
