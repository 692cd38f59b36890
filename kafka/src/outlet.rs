//! What the shipper needs of a producer; librdkafka's is [`crate::Producer`], tests script their own.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Code;
use crate::headers::RecordHeaders;
use crate::transact::{PositionRecord, Transact};

/// A topic's handle in one outlet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TopicId(pub(crate) u32);

/// Names a batch towards an outlet; chosen by the caller, one at a time in use.
pub type ParcelId = u32;

/// Some records of one parcel, in the order in which they are to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Shipment<'a> {
    /// Where to.
    pub topic: TopicId,
    /// Which partition of it.
    pub partition: i32,
    /// Empty means none.
    pub key: &'a [u8],
    /// The parcel; its buffer has been lent.
    pub parcel: ParcelId,
    /// All records of the parcel, as ranges of its buffer.
    pub records: &'a [Range<u32>],
    /// Which of them.
    pub picks: Picks<'a>,
    /// Their headers, if they have some; then it is one record.
    pub headers: Option<RecordHeaders<'a>>,
}

/// Which records of a parcel.
#[derive(Clone, Copy, Debug)]
pub enum Picks<'a> {
    /// The first and how many.
    Run(u32, u32),
    /// Each by its index.
    List(&'a [u32]),
}

/// What became of a shipment.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// How many, from the first, are dealt with: queued or refused. The others found the queue full.
    pub dealt: u32,
    /// Among those, the records that the library refused at once: index and reason.
    pub refused: Vec<(u32, Code)>,
}

/// What an outlet reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// So many records of a parcel are acknowledged.
    Acked {
        /// The parcel.
        parcel: ParcelId,
        /// How many.
        records: u32,
        /// From handing the first of them over until its acknowledgement; once for records acknowledged together.
        took: Option<Duration>,
    },
    /// A record came back.
    Failed {
        /// The parcel.
        parcel: ParcelId,
        /// The record's index in it.
        index: u32,
        /// Why.
        code: Code,
        /// Equal for records that were refused together.
        refusal: u64,
        /// True if it was refused alone, and the verdict is on it.
        alone: bool,
    },
    /// The client has no token to log in with, or soon none that holds.
    TokenWanted,
    /// Something is wrong with the connection or the client.
    Trouble {
        /// What.
        code: Code,
        /// In the library's words.
        text: String,
        /// The client takes nothing any more.
        fatal: bool,
    },
}

/// A producer's queue: takes records of lent buffers, reports what became of them.
pub trait Outlet: Send + 'static {
    /// Asks Kafka for things, off the thread that ships.
    type Inquirer: Inquire + Transact;

    /// Registers a topic. Creates nothing in the cluster.
    ///
    /// # Errors
    /// The name cannot be one of a topic.
    fn topic(&mut self, name: &str) -> Result<TopicId, Code>;

    /// Drops a topic's handle.
    fn forget_topic(&mut self, topic: TopicId);

    /// Lends a parcel's buffer: the outlet keeps it until every record sent from it has been reported and
    /// [`Outlet::release`] was called, or the outlet is gone.
    fn lend(&mut self, parcel: ParcelId, buffer: &Arc<Vec<u8>>);

    /// The parcel's buffer is no longer needed.
    fn release(&mut self, parcel: ParcelId);

    /// Hands records over. Those dealt with and not refused are reported later, each once.
    fn send(&mut self, shipment: &Shipment<'_>) -> Sent;

    /// Takes what there is to report, up to about `records` records; true if there may be more.
    fn reports(&mut self, records: u32, into: &mut Vec<Report>) -> bool;

    /// How many records are handed over and not reported.
    fn outstanding(&self) -> u32;

    /// How many records it holds at most.
    fn capacity(&self) -> u32;

    /// Makes everything handed over come back soon, under whatever code.
    fn purge(&mut self);

    /// A handle for questions, and for transactions.
    fn inquirer(&self) -> Self::Inquirer;

    /// Hands a position over, in the transaction under way. It is reported under a parcel of its own. False: the queue is full.
    ///
    /// # Errors
    /// The library refused it.
    fn send_position(&mut self, topic: TopicId, partition: i32, record: &PositionRecord) -> Result<bool, Code>;
}

/// Questions to Kafka. May block, up to the time given.
pub trait Inquire: Send + 'static {
    /// How many partitions a topic has. Creates no topic.
    ///
    /// # Errors
    /// The topic cannot be used, or nobody answers.
    fn partitions(&self, topic: &str, timeout: Duration) -> Result<u32, Code>;

    /// A topic's `max.message.bytes`, if we may know it.
    fn max_message_bytes(&self, topic: &str, timeout: Duration) -> Option<u64>;

    /// Fetches a token to log in with, if it is by tokens; a failure is reported as trouble.
    fn renew_token(&self);
}

impl<'a> Picks<'a> {
    /// As many as `count` of them, from the first.
    pub(crate) fn first(self, count: usize) -> Picks<'a> {
        match self {
            Picks::Run(first, all) => Picks::Run(first, all.min(u32::try_from(count).unwrap_or(u32::MAX))),
            Picks::List(indexes) => Picks::List(indexes.get(..count).unwrap_or(indexes)),
        }
    }

    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Picks::Run(_, count) => *count as usize,
            Picks::List(indexes) => indexes.len(),
        }
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The index of the record at `place`.
    pub fn get(&self, place: usize) -> Option<u32> {
        match self {
            Picks::Run(first, count) => {
                let place = u32::try_from(place).ok().filter(|place| place < count)?;
                first.checked_add(place)
            }
            Picks::List(indexes) => indexes.get(place).copied(),
        }
    }

    /// All indexes, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.len()).filter_map(|place| self.get(place))
    }
}

impl Shipment<'_> {
    /// A record's bytes in its parcel's buffer; none if it does not lie there.
    pub fn record<'b>(&self, index: u32, buffer: &'b [u8]) -> Option<&'b [u8]> {
        let range = self.records.get(index as usize)?;
        buffer.get(range.start as usize..range.end as usize)
    }
}
