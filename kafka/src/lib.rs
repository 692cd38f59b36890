//! The Kafka side of logcatch: librdkafka's producer, fed from whole batches.
//!
//! Readers get a [`Lane`] for their topic from [`Lanes`], and hand over [`Batch`]es while it is open. A [`Shipper`]
//! owns the producer: it is told of batches, of the [`Wake`]-up and of the time, accounts for every record, and
//! settles each batch once. It never blocks; what may is an [`Errand`].

mod asking;
mod batch;
mod burials;
mod connection;
mod errand;
mod error;
#[cfg(test)]
mod fake;
mod ffi;
mod handover;
mod headers;
mod lane;
mod lanes;
mod letters;
mod metadata;
mod oidc;
mod options;
mod outlet;
mod pace;
mod parcels;
mod partition;
mod properties;
mod redo;
mod rewind;
mod security;
mod share;
mod shipper;
mod stats;
mod topic;
mod topic_check;
mod track;
mod transact;
mod transaction;
mod transactions;
mod wake;

pub use batch::{Batch, Outcome, Settle, Source, Target};
pub use errand::{Answer, Builder, Errand};
pub use error::{Code, ErrorClass};
pub use ffi::{Inquirer, Producer, gather_heap, give_back_heap};
pub use headers::{Headers, RecordHeaders};
pub use lanes::{Lane, LaneState, Lanes, Trouble};
pub use letters::{BuryCause, BuryError, DeadLetters, Letter};
pub use metadata::{InspectError, TopicFacts, TopicReport, inspect};
pub use options::{Options, RESERVED, StartError};
pub use outlet::{Inquire, Outlet, ParcelId, Picks, Report, Sent, Shipment, TopicId};
pub use partition::{murmur2, partition};
pub use properties::{Unfit as UnfitProperty, known_properties, unfit_properties};
pub use security::Refusal;
pub use share::Hold;
pub use shipper::Shipper;
pub use stats::{Histogram, Stats};
pub use topic::{Found, ReadError, read_back};
pub use topic_check::{PositionsTopic, Unfit, look_at_positions, try_transaction};
pub use transact::{Cure, OpenError, Opened, PositionLog, PositionRecord, Transact, TransactError};
pub use transaction::Bounds;
pub use wake::Wake;
