//! What a batch owes: the bytes it was charged for, and word to its file's ledger when it is settled.

use std::sync::Arc;
use std::time::Instant;

use logcatch_kafka::{Hold, Outcome, Settle, Target};
use logcatch_tail::{Batch, Placement, Settled, Spares, Stream};

use crate::budget::Permit;
use crate::observe::Gauge;

/// Called when a batch is settled or given up.
pub type Told = Box<dyn Fn() + Send + Sync>;

/// Rides in a batch. Settled, it moves the file's position; given back or dropped unsettled, the lines will be read again.
pub struct Ticket {
    stream: Arc<Stream>,
    seq: u64,
    bytes: u64,
    lines: u64,
    target: Arc<Target>,
    told: Told,
    gauge: Option<Arc<Gauge>>,
    spares: Option<Arc<Spares>>,
    /// What is free again with the ticket: of the budget first, then of the topic's share of it.
    _charge: (Permit, Option<Hold>),
}

impl Ticket {
    /// The ticket of a batch that `charge` pays for.
    #[must_use]
    pub fn new(batch: &Batch, target: Arc<Target>, charge: (Permit, Option<Hold>), told: Told) -> Self {
        Self {
            stream: Arc::clone(&batch.stream),
            seq: batch.seq,
            bytes: batch.bytes,
            lines: batch.records.len() as u64,
            target,
            told,
            gauge: None,
            spares: None,
            _charge: charge,
        }
    }

    /// What is acknowledged shows there.
    #[must_use]
    pub fn counted_by(mut self, gauge: Arc<Gauge>) -> Self {
        self.gauge = Some(gauge);
        self
    }

    /// The batch's buffer goes there.
    #[must_use]
    pub fn returned_to(mut self, spares: Arc<Spares>) -> Self {
        self.spares = Some(spares);
        self
    }
}

impl Ticket {
    fn placement(&self, partition: Option<i32>) -> Option<Placement> {
        let topic = self.target.topic_name();
        partition.map(|partition| Placement::new(Arc::clone(topic), partition, self.target.key()))
    }
}

impl Settle for Ticket {
    fn pledge(&self, partition: Option<i32>) {
        self.stream.pledge(self.seq, self.placement(partition));
    }

    fn give_back(&self, buffer: Vec<u8>) {
        if let Some(spares) = &self.spares {
            spares.give_back(buffer);
        }
    }

    fn settle(self: Box<Self>, outcome: Outcome) {
        let placement = self.placement(outcome.partition);
        let settled = Settled {
            lines: self.lines - outcome.dead_lettered.len() as u64,
            dead_lettered: outcome.dead_lettered_bytes,
        };
        if let Some(gauge) = &self.gauge {
            let delivered = self.bytes.saturating_sub(settled.dead_lettered);
            gauge.acknowledged(delivered, settled.lines, Instant::now());
            gauge.buried(&outcome.dead_letter_reasons);
        }
        if outcome.committed {
            self.stream.settle_committed(self.seq, settled, placement);
        } else {
            self.stream.settle(self.seq, settled, placement);
        }
    }

    fn take_back(self: Box<Self>) {
        self.stream.take_back(self.seq);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        (self.told)();
    }
}
