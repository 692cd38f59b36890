//! Where the bytes of one settings entry went. Every byte is in exactly one account, and the accounts add up.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Why bytes were passed over without being sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// `start = "end"`: they were there before the entry was first applied.
    Start,
    /// `ignore_older`: the file had not been written to for so long when it was first seen.
    Old,
    /// NULs that no program wrote as data: a hole left by a truncation, or room a writer had reserved.
    Nuls,
}

/// Counters of one settings entry since the service started; bytes are file bytes, line ends included.
#[derive(Debug, Default)]
pub struct Account {
    read: AtomicU64,
    delivered: AtomicU64,
    delivered_lines: AtomicU64,
    skipped_start: AtomicU64,
    skipped_old: AtomicU64,
    skipped_nuls: AtomicU64,
    dead_lettered: AtomicU64,
    unreachable: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Balance {
    /// Bytes taken from files: handed over, or skipped.
    pub read: u64,
    /// Bytes whose records Kafka acknowledged.
    pub delivered: u64,
    /// Records Kafka acknowledged.
    pub delivered_lines: u64,
    /// Bytes skipped by `start = "end"`.
    pub skipped_start: u64,
    /// Bytes skipped by `ignore_older`.
    pub skipped_old: u64,
    /// NUL bytes that were not data.
    pub skipped_nuls: u64,
    /// Bytes whose records are in the dead-letter file.
    pub dead_lettered: u64,
    /// Bytes that are known to have been written and can no longer be read.
    pub unreachable: u64,
}

impl Account {
    /// The counters now.
    #[must_use]
    pub fn balance(&self) -> Balance {
        Balance {
            read: self.read.load(Relaxed),
            delivered: self.delivered.load(Relaxed),
            delivered_lines: self.delivered_lines.load(Relaxed),
            skipped_start: self.skipped_start.load(Relaxed),
            skipped_old: self.skipped_old.load(Relaxed),
            skipped_nuls: self.skipped_nuls.load(Relaxed),
            dead_lettered: self.dead_lettered.load(Relaxed),
            unreachable: self.unreachable.load(Relaxed),
        }
    }

    pub(crate) fn add_read(&self, bytes: u64) {
        self.read.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn add_skipped(&self, why: Skip, bytes: u64) {
        self.read.fetch_add(bytes, Relaxed);
        match why {
            Skip::Start => &self.skipped_start,
            Skip::Old => &self.skipped_old,
            Skip::Nuls => &self.skipped_nuls,
        }
        .fetch_add(bytes, Relaxed);
    }

    pub(crate) fn add_unreachable(&self, bytes: u64) {
        self.unreachable.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn add_settled(&self, delivered: u64, lines: u64, dead_lettered: u64) {
        self.delivered.fetch_add(delivered, Relaxed);
        self.delivered_lines.fetch_add(lines, Relaxed);
        self.dead_lettered.fetch_add(dead_lettered, Relaxed);
    }
}
