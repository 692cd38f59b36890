//! Records that Kafka refuses for themselves, and the sink that keeps them.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::batch::Source;
use crate::error::Code;
use crate::headers::Headers;

/// A record that was refused alone, on its way to the dead-letter file.
#[derive(Clone)]
pub struct Letter {
    /// Where it was read.
    pub source: Arc<Source>,
    /// The topic that refused it.
    pub topic: Arc<str>,
    /// Its key; empty means none.
    pub key: Arc<[u8]>,
    /// The partition it was meant for, if it had a key.
    pub partition: Option<i32>,
    /// The value of its header `logcatch.part`, if it is a part of a split line.
    pub part: Option<String>,
    /// What else it carries.
    pub headers: Option<Arc<Headers>>,
    /// The file offset, in bytes, of its first byte.
    pub offset: u64,
    /// Why it was refused.
    pub reason: String,
    pub(crate) code: Code,
    pub(crate) buffer: Arc<Vec<u8>>,
    pub(crate) range: Range<usize>,
}

/// Keeps dead letters. May block: it is never called on an arbiter.
pub trait DeadLetters: Send + Sync {
    /// Keeps these letters, safe from a crash when it returns.
    ///
    /// # Errors
    /// The letters from [`BuryError::buried`] on are not kept; they are handed over again later.
    fn bury(&self, letters: &[Letter]) -> Result<(), BuryError>;
}

/// Dead letters that could not be kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep `{total}` dead letters, only {buried}")]
pub struct BuryError {
    /// How many, from the first, are kept.
    pub buried: usize,
    /// How many there were.
    pub total: usize,
    /// Why no more.
    #[source]
    pub cause: BuryCause,
}

/// Why a dead letter could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum BuryCause {
    /// The file has reached its limit.
    #[error("the dead letters have reached their limit of {limit} bytes")]
    Full {
        /// The limit in bytes.
        limit: u64,
    },
    /// The file cannot be written.
    #[error("cannot write the dead-letter file")]
    Write(#[source] io::Error),
}

impl Letter {
    /// A letter of its own, for tools and tests.
    pub fn new(source: Arc<Source>, topic: Arc<str>, offset: u64, reason: String, line: Vec<u8>) -> Self {
        let range = 0..line.len();
        Self {
            source,
            topic,
            key: Arc::default(),
            partition: None,
            part: None,
            headers: None,
            offset,
            reason,
            code: Code::NONE,
            buffer: Arc::new(line),
            range,
        }
    }

    /// The record's bytes.
    pub fn line(&self) -> &[u8] {
        self.buffer.get(self.range.clone()).unwrap_or_default()
    }
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No line contents in any message.
        f.debug_struct("Letter")
            .field("source", &self.source)
            .field("topic", &self.topic)
            .field("partition", &self.partition)
            .field("offset", &self.offset)
            .field("reason", &self.reason)
            .field("bytes", &self.range.len())
            .finish_non_exhaustive()
    }
}
