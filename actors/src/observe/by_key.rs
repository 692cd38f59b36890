//! Gauges in the order of keys: each has its own, and a table of both would take four words more for each file.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::sync::Arc;

use super::board::Key;
use super::gauge::Gauge;

/// A gauge, in the place of its key.
#[derive(Debug)]
pub(crate) struct ByKey(pub(crate) Arc<Gauge>);

impl ByKey {
    /// The name of the entry, and the path.
    pub(crate) fn key(&self) -> &Key {
        self.0.key()
    }
}

impl Borrow<Key> for ByKey {
    fn borrow(&self) -> &Key {
        self.key()
    }
}

impl Ord for ByKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(other.key())
    }
}

impl PartialOrd for ByKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByKey {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for ByKey {}
