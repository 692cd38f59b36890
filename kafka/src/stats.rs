//! Plain counters of the Kafka side, from the start of the process.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use crate::error::{Code, ErrorClass};
use crate::security::Refusal;

/// A snapshot of the Kafka side.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// True if Kafka is reached, false if it is not, none before the first answer.
    pub connected: Option<bool>,
    /// Since when it is so; none before the first answer.
    pub connected_since: Option<Instant>,
    /// What the client said last of its connections, while Kafka is not reached.
    pub trouble: Option<String>,
    /// The trouble is that Kafka and we do not let each other in.
    pub refusal: Option<Refusal>,
    /// Why positions are not read back, or not committed, while that is waited for; with exactly-once only.
    pub positions_wait: Option<String>,
    /// Records acknowledged.
    pub acked_records: u64,
    /// Bytes of settled batches, without what became dead letters.
    pub sent_bytes: u64,
    /// The last acknowledgement.
    pub last_ack: Option<SystemTime>,
    /// From handing a record to librdkafka to its acknowledgement, one sample per acknowledged request.
    pub ack_duration: Histogram,
    /// Errors by class and name: of records, and of connections.
    pub errors: BTreeMap<(ErrorClass, &'static str), u64>,
    /// Producers replaced after a fatal error.
    pub rebuilds: u64,
    /// Transactions committed.
    pub committed: u64,
    /// Transactions aborted.
    pub aborted: u64,
    /// Records that became dead letters.
    pub dead_lettered: u64,
    /// Records handed to librdkafka and not reported.
    pub in_flight_records: u64,
    /// Batches not settled.
    pub unsettled_batches: u64,
}

/// Counts durations in fixed buckets.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    counts: [u64; Self::BOUNDS_MS.len() + 1],
    sum: Duration,
}

impl Histogram {
    /// The buckets' upper bounds in milliseconds: 1 ms to 60 s, about three a decade.
    pub const BOUNDS_MS: [u64; 15] = [
        1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000,
    ];

    /// Counts one.
    pub fn observe(&mut self, took: Duration) {
        let bucket = Self::BOUNDS_MS
            .iter()
            .position(|bound| took <= Duration::from_millis(*bound))
            .unwrap_or(Self::BOUNDS_MS.len());
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.sum += took;
    }

    /// How many fell into each bucket; the last is beyond all bounds.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// The sum of all durations.
    pub fn sum(&self) -> Duration {
        self.sum
    }
}

impl Stats {
    pub(crate) fn count_error(&mut self, code: Code) {
        *self.errors.entry((code.class(), code.name())).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_the_first_bucket_that_holds_it() {
        let mut histogram = Histogram::default();
        for ms in [0, 1, 2, 59_999, 60_000, 60_001] {
            histogram.observe(Duration::from_millis(ms));
        }
        assert_eq!(histogram.counts().first(), Some(&2));
        assert_eq!(histogram.counts().get(1), Some(&1));
        assert_eq!(histogram.counts().get(14), Some(&2));
        assert_eq!(histogram.counts().get(15), Some(&1));
        assert_eq!(histogram.sum(), Duration::from_millis(180_003));
    }
}
