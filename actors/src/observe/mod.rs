//! What an operator can see: each watcher publishes how it stands into a [`Gauge`] on the [`Board`], without being asked, so
//! that one that hangs still shows; a [`Report`] is made from there.

mod board;
mod gauge;
mod rate;
mod report;

pub use board::{Board, Key, Sources};
pub(crate) use gauge::Activity;
pub use gauge::Gauge;
pub use report::{FileRow, KafkaRow, PositionsRow, Reason, Refusal, Report, SettingsRow, State, TopicRow};
