//! What an operator can see: each watcher publishes how it stands into a [`Gauge`] on the [`Board`], without being asked, so
//! that one that hangs still shows; a [`Report`] is made from there.

mod advice;
mod board;
mod by_key;
mod events;
mod gauge;
mod loss;
mod order;
mod rate;
mod report;
mod tally;
pub mod verdict;
pub mod words;

pub(crate) use board::Opening;
pub use board::{Board, Key, Reloads, Sources};
pub(crate) use by_key::ByKey;
pub use events::{Event, EventKind, Events};
pub use gauge::Gauge;
pub(crate) use gauge::{Activity, NOT_ANSWERING};
pub use order::Order;
pub use report::{FileRow, KafkaRow, PositionsRow, Reason, Refusal, Report, Scope, SettingsRow, State, TopicRow};
pub use tally::{Counts, Restarted, Rotation, Tally};
