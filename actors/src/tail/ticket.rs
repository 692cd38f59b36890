//! What a batch owes: the bytes it was charged for, and word to its file's ledger when it is settled.

use std::sync::Arc;
use std::time::Instant;

use logcatch_kafka::{Outcome, Settle, Target};
use logcatch_tail::{Batch, Placement, Settled, Stream};

use crate::budget::Permit;
use crate::observe::Gauge;

/// Called when a batch is settled or given up.
pub type Told = Arc<dyn Fn() + Send + Sync>;

/// Rides in a batch. Settled, it moves the file's position; dropped unsettled, the lines will be read again.
pub struct Ticket {
    stream: Arc<Stream>,
    seq: u64,
    bytes: u64,
    lines: u64,
    target: Arc<Target>,
    told: Told,
    gauge: Option<Arc<Gauge>>,
    /// Freed with the ticket.
    _permit: Permit,
}

impl Ticket {
    /// The ticket of a batch that `permit` pays for.
    #[must_use]
    pub fn new(batch: &Batch, target: Arc<Target>, permit: Permit, told: Told) -> Self {
        Self {
            stream: Arc::clone(&batch.stream),
            seq: batch.seq,
            bytes: batch.bytes,
            lines: batch.records.len() as u64,
            target,
            told,
            gauge: None,
            _permit: permit,
        }
    }

    /// What is acknowledged shows there.
    #[must_use]
    pub fn counted_by(mut self, gauge: Arc<Gauge>) -> Self {
        self.gauge = Some(gauge);
        self
    }
}

impl Settle for Ticket {
    fn settle(self: Box<Self>, outcome: Outcome) {
        let placement = outcome.partition.map(|partition| Placement {
            topic: self.target.topic().to_owned(),
            partition,
        });
        let dead = outcome.dead_lettered_bytes;
        let settled = Settled {
            delivered: self.bytes.saturating_sub(dead),
            lines: self.lines - outcome.dead_lettered.len() as u64,
            dead_lettered: dead,
        };
        if let Some(gauge) = &self.gauge {
            gauge.acknowledged(settled.delivered, settled.lines, Instant::now());
        }
        self.stream.settle(self.seq, settled, placement);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        (self.told)();
    }
}
