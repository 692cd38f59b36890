//! What happened in a settings entry since the start, counted where it happens: what the accounts of bytes do not say.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// How a file went from its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// Another file is at the path: the old one was renamed or deleted.
    Rename,
    /// It was cut, or written anew in place.
    Truncate,
}

/// Why a watcher was started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restarted {
    /// A read failed, or it panicked.
    Failed,
    /// A step did not return.
    NotAnswering,
    /// An operator asked for it.
    Ordered,
}

/// The counters of one entry.
#[derive(Debug, Default)]
pub struct Tally {
    lines_read: AtomicU64,
    rotations: [AtomicU64; Rotation::ALL.len()],
    restarts: [AtomicU64; Restarted::ALL.len()],
    dead: Mutex<BTreeMap<&'static str, u64>>,
}

/// A [`Tally`] at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines handed over; what a restarted watcher reads again counts again.
    pub lines_read: u64,
    /// By kind, in the order of [`Rotation::ALL`].
    pub rotations: [u64; Rotation::ALL.len()],
    /// By reason, in the order of [`Restarted::ALL`].
    pub restarts: [u64; Restarted::ALL.len()],
    /// File bytes that became dead letters, by the name of Kafka's error.
    pub dead: BTreeMap<&'static str, u64>,
}

impl Rotation {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Rename, Self::Truncate];

    /// The word in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Rename => "rename",
            Self::Truncate => "truncate",
        }
    }
}

impl Restarted {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Failed, Self::NotAnswering, Self::Ordered];

    /// The word in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::NotAnswering => "not-answering",
            Self::Ordered => "ordered",
        }
    }
}

impl Tally {
    pub(crate) fn read(&self, lines: u64) {
        self.lines_read.fetch_add(lines, Ordering::Relaxed);
    }

    pub(crate) fn rotated(&self, kind: Rotation) {
        count(&self.rotations, kind as usize);
    }

    pub(crate) fn restarted(&self, why: Restarted) {
        count(&self.restarts, why as usize);
    }

    pub(crate) fn buried(&self, reasons: &[(&'static str, u64)]) {
        if reasons.is_empty() {
            return;
        }
        let mut dead = self.dead.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, bytes) in reasons {
            *dead.entry(name).or_default() += bytes;
        }
    }

    /// The counters now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            lines_read: load(&self.lines_read),
            rotations: self.rotations.each_ref().map(load),
            restarts: self.restarts.each_ref().map(load),
            dead: self.dead.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

fn count(counters: &[AtomicU64], at: usize) {
    if let Some(counter) = counters.get(at) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_counts_under_its_own_word() {
        let tally = Tally::default();
        tally.read(7);
        tally.rotated(Rotation::Truncate);
        tally.restarted(Restarted::Ordered);
        tally.restarted(Restarted::Ordered);
        tally.buried(&[("A", 3), ("B", 1)]);
        tally.buried(&[("A", 4)]);
        let counts = tally.counts();
        assert_eq!(
            (counts.lines_read, counts.rotations, counts.restarts),
            (7, [0, 1], [0, 0, 2])
        );
        assert_eq!(counts.dead, BTreeMap::from([("A", 7), ("B", 1)]));
        for (place, kind) in Rotation::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
        }
        for (place, why) in Restarted::ALL.into_iter().enumerate() {
            assert_eq!(why as usize, place);
        }
    }
}
