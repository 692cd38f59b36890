//! Who takes over positions whose entry is gone, or does not ship their path any more: so that a new name, a pattern in another
//! entry or another order of entries reads nothing again, and passes nothing over.

pub(crate) mod actor;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use logcatch_settings::{LogEntry, Settings};

use crate::observe::Key;

/// Whether an entry ships what is at a path: of those without a name the first one that means it does.
pub fn ships(entries: &[Arc<LogEntry>], entry: &LogEntry, path: &Path) -> bool {
    let mut before = entries.iter().take_while(|other| other.name != entry.name);
    entry.means(path) && (entry.named || before.all(|other| other.named || !other.means(path)))
}

/// Whether some file may have another entry by these settings than by those before.
pub fn are_others(before: &Settings, after: &Settings) -> bool {
    let differ = |(old, new): (&LogEntry, &LogEntry)| {
        (&old.name, old.named) != (&new.name, new.named)
            || (&old.paths, &old.exclude_paths) != (&new.paths, &new.exclude_paths)
    };
    before.logs.len() != after.logs.len() || before.logs.iter().zip(&after.logs).any(differ)
}

/// How far it is with what is taken over.
#[derive(Debug)]
enum Legacy {
    /// Still with the entry of this name: somebody reads the file under it, or what was read is not settled.
    With(Arc<str>),
    /// Taken over, and no watcher yet.
    Given,
}

/// The heirs: an entry and a path each.
#[derive(Debug, Default)]
pub(super) struct Heirs {
    legacies: HashMap<Key, Legacy>,
}

impl Heirs {
    /// The paths of an entry that were or are to be taken over: they are watched also while no file is there.
    pub(super) fn paths(&self, log: &str) -> impl Iterator<Item = Arc<Path>> {
        let of_log = self.legacies.keys().filter(move |(name, _)| **name == *log);
        of_log.map(|(_, path)| Arc::clone(path))
    }

    /// Whether the watcher of a path must not begin yet.
    pub(super) fn is_awaited(&self, key: &Key) -> bool {
        matches!(self.legacies.get(key), Some(Legacy::With(_)))
    }

    /// It has a watcher now.
    pub(super) fn begun(&mut self, key: &Key) {
        self.legacies.remove(key);
    }
}
