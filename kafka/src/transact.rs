//! What a shipper needs for transactions: calls of its producer, and somebody who knows the positions.

use std::fmt;
use std::time::{Duration, Instant};

use crate::error::Code;
use crate::options::Options;
use crate::outlet::ParcelId;

/// Positions are reported under this parcel.
pub(crate) const POSITIONS: ParcelId = ParcelId::MAX;

/// Transactions of a client. Each call may block up to the time given, while another thread takes the client's reports.
pub trait Transact: Send + 'static {
    /// Fences every other client with the same transactional id, and ends what it left open.
    ///
    /// # Errors
    /// See [`Cure`].
    fn init(&self, timeout: Duration) -> Result<(), TransactError>;

    /// Begins one; Kafka hears of it with the first record.
    ///
    /// # Errors
    /// See [`Cure`].
    fn begin(&self) -> Result<(), TransactError>;

    /// Commits it.
    ///
    /// # Errors
    /// See [`Cure`]. Unless it says [`Cure::Abort`], it may have been committed.
    fn commit(&self, timeout: Duration) -> Result<(), TransactError>;

    /// What made the transaction one that can only be aborted, where the client knows. Records that come back because of it do
    /// not say.
    fn why(&self) -> Option<Code>;

    /// Aborts it. What is not sent yet comes back.
    ///
    /// # Errors
    /// See [`Cure`].
    fn abort(&self, timeout: Duration) -> Result<(), TransactError>;
}

/// A call about a transaction that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct TransactError {
    /// Why.
    pub code: Code,
    /// In the library's words, without secrets.
    pub text: String,
    /// What helps.
    pub cure: Cure,
}

/// What helps when a call about a transaction failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cure {
    /// The same call again: it goes on where it was.
    Again,
    /// Aborting the transaction.
    Abort,
    /// Only a new client.
    NewClient,
    /// The library does not say.
    Unknown,
}

/// A position as a record of the positions topic. Without a value it is forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PositionRecord {
    /// Names the position.
    pub key: Vec<u8>,
    /// What is known.
    pub value: Option<Vec<u8>>,
}

/// Who keeps positions, in the transactions of the lines that they cover.
pub trait PositionLog: Send + Sync {
    /// Reads back what was committed, after all others are fenced. May block for some seconds.
    ///
    /// # Errors
    /// See [`OpenError`].
    fn open(&self, options: &Options) -> Result<Opened, OpenError>;

    /// The topic they are kept in.
    fn topic(&self) -> &str;

    /// Everything that is to be written in the transaction of this version, never empty: pledged positions, and what else
    /// changed. Kept until [`PositionLog::committed`] or [`PositionLog::aborted`].
    fn take(&self, version: u64) -> Vec<PositionRecord>;

    /// What was taken is committed.
    fn committed(&self);

    /// It is not.
    fn aborted(&self);

    /// When something is to be written even if no line is; none while there is nothing.
    fn due(&self) -> Option<Instant>;
}

/// What was read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The partition that positions are written to.
    pub partition: i32,
    /// The version of the last transaction that was committed; 0 before the first.
    pub last: u64,
    /// Whether it was committed by this run of the service.
    pub is_ours: bool,
}

/// Why positions could not be read back.
#[derive(Clone, PartialEq, Eq)]
pub enum OpenError {
    /// It may work later; why it does not now.
    Later(String),
    /// Nothing may be shipped any more; who knows the reason says it.
    Never,
}

impl fmt::Debug for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Later(reason) => write!(f, "Later({reason})"),
            Self::Never => f.write_str("Never"),
        }
    }
}
