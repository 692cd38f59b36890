//! What a reader hands over: records of one file in one buffer, and whom to tell when they are accounted for.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use crate::headers::Headers;

/// Where a file's records go: one per open file stream, shared by its batches.
#[derive(Debug)]
pub struct Target {
    topic: Arc<str>,
    key: Arc<[u8]>,
    partition: AtomicI32,
    blocked: AtomicBool,
}

/// The file that a batch was read from, for dead letters and messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The name of the log's entry in the settings.
    pub log: Arc<str>,
    /// The path it was found under.
    pub path: Arc<Path>,
    /// Names the file whatever its path.
    pub file_id: String,
}

/// Records of one file, in file order, in one buffer that is never copied: librdkafka points into it.
pub struct Batch {
    /// Where they go.
    pub target: Arc<Target>,
    /// The bytes that `records` points into.
    pub buffer: Vec<u8>,
    /// The records' bytes, without line ends. An empty range is a record with an empty value.
    pub records: Vec<Range<u32>>,
    /// Sparse, ascending: the index of a record and the value of its header `logcatch.part`.
    pub parts: Vec<(u32, String)>,
    /// Where the lines of the records are, line ends included, counted from `offset`; empty where the buffer is what is there
    /// in the file.
    pub extents: Vec<Range<u32>>,
    /// What all of them carry.
    pub headers: Option<Arc<Headers>>,
    /// Where they come from.
    pub source: Arc<Source>,
    /// A file offset in bytes; that of the buffer's first byte, unless there are extents.
    pub offset: u64,
    /// Told once when all records are accounted for; owns what the batch is charged for.
    pub ticket: Box<dyn Settle>,
}

/// Told the outcome of a batch, exactly once: that it is settled, or that it was given back.
///
/// Dropped without having been told, nothing is known of the batch: what it was charged for is free again, and
/// its records will have to be read once more.
pub trait Settle: Send {
    /// All records will be accounted for when the transaction under way is committed; it may still be aborted. Records of
    /// a file with a key go to this partition.
    fn pledge(&self, partition: Option<i32>) {
        let _ = partition;
    }

    /// The batch's buffer, which nobody looks at any more, before it is settled.
    fn give_back(&self, buffer: Vec<u8>) {
        drop(buffer);
    }

    /// All records are accounted for.
    fn settle(self: Box<Self>, outcome: Outcome);

    /// The batch was given back, with all that is left of its file: nothing of it is on its way, nor ever will be. Its records
    /// will have to be read once more; what of them was acknowledged is sent twice then.
    fn take_back(self: Box<Self>) {
        drop(self);
    }
}

/// What became of a batch: every record is acknowledged, except those listed, which are dead letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The partition all of them went to; none for records without a key.
    pub partition: Option<i32>,
    /// Indexes of the records that are in the dead-letter file instead, ascending.
    pub dead_lettered: Vec<u32>,
    /// Bytes of the file that are those records, line ends included.
    pub dead_lettered_bytes: u64,
    /// The position was pledged, and committed in the same transaction.
    pub committed: bool,
    /// The same bytes by the name of the error: [`Code::name`](crate::Code::name).
    pub dead_letter_reasons: Vec<(&'static str, u64)>,
}

impl Target {
    /// A target with the partition that was chosen for it earlier, if it was. An empty key is no key: such
    /// records spread over all partitions, batch by batch.
    pub fn new(topic: Arc<str>, key: impl Into<Arc<[u8]>>, partition: Option<i32>) -> Self {
        Self {
            topic,
            key: key.into(),
            partition: AtomicI32::new(partition.filter(|chosen| *chosen >= 0).unwrap_or(-1)),
            blocked: AtomicBool::new(false),
        }
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The key of all its records; empty means none.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The partition of all its records; none until it is chosen, and never for records without a key.
    pub fn partition(&self) -> Option<i32> {
        let chosen = self.partition.load(Ordering::Relaxed);
        (chosen >= 0).then_some(chosen)
    }

    /// True while a record of it is to be a dead letter and cannot be: its positions do not move meanwhile.
    pub fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Relaxed)
    }

    pub(crate) fn key_bytes(&self) -> &Arc<[u8]> {
        &self.key
    }

    /// The topic's name, for those who keep it.
    pub fn topic_name(&self) -> &Arc<str> {
        &self.topic
    }

    pub(crate) fn choose(&self, partition: i32) {
        self.partition.store(partition, Ordering::Relaxed);
    }

    pub(crate) fn set_blocked(&self, blocked: bool) {
        self.blocked.store(blocked, Ordering::Relaxed);
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No line contents in any message.
        f.debug_struct("Batch")
            .field("target", &self.target)
            .field("bytes", &self.buffer.len())
            .field("records", &self.records.len())
            .field("source", &self.source)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}
