//! What was read for entries that are gone, or do not mean its path any more. It ships, where its topic takes it; where that is
//! missing or forbidden it is given back, so that it holds no memory, no stop, and not its own file should the entry return.
//!
//! Nothing is lost by that: it is asked for only when the watcher has ended, of what is still in its file. From then on
//! its stream takes nothing that would move its position, until a watcher reads it from there.

pub(crate) mod actor;

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use logcatch_tail::FileId;

use crate::observe::Key;

/// What was found on the disk so long ago tells nothing any more.
const STALE: Duration = Duration::from_secs(10);

/// What is on its way is acknowledged within seconds, unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(10);

/// Paths whose watcher was stopped because nobody means them any more.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    /// Those of which something may be on its way. No watcher began there since.
    keys: HashSet<Key>,
    /// Of these it is asked for now: none begins before the answer.
    asked: HashSet<Key>,
    /// Files that were not found: since when, and whether that was said.
    missing: HashMap<FileId, (Instant, bool)>,
    /// The disk is looked at, or Kafka's side asked.
    is_busy: bool,
}

impl Leaving {
    /// Whether no watcher may begin there for now.
    pub(super) fn is_asked(&self, key: &Key) -> bool {
        self.asked.contains(key)
    }

    /// A watcher begins there.
    pub(super) fn is_back(&mut self, key: &Key) {
        self.keys.remove(key);
    }
}
