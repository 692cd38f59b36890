//! The actors of logcatch and their messages: a [`ConfigActor`] watches the settings file and messages the
//! [`SupervisorActor`], which spawns a TailActor per log path; each sends batches to the one [`KafkaActor`].
//!
//! Only files named `actor.rs` know actix, but for `watchdog/crew.rs`, which makes arbiters; the logic is in plain types.

mod budget;
mod config;
mod dead_letters;
#[cfg(debug_assertions)]
mod fault;
mod kafka;
mod observe;
mod ping;
mod rate;
mod supervisor;
mod tail;

pub use budget::{Budget, Permit};
pub use config::{ConfigActor, Herald, Reload};
pub use dead_letters::{
    DeadLetter, DeadLetterStore, LettersError, Line, Refusals, Resend, Resent, SealError, Sealed, Segment, Segments,
};
pub use kafka::{
    DrainKafka, GetStats, KafkaActor, Lost, PositionsPlace, Reconfigure, ShipBatch, Side, Standing, TopicPositions,
    check_positions, load, options,
};
pub use observe::{
    Board, Counts, Event, EventKind, Events, FileRow, Gauge, KafkaRow, Key, Order, PositionsRow, Reason, Refusal,
    Reloads, Report, Restarted, Rotation, Scope, SettingsRow, Sources, State, Tally, TopicRow, verdict, words,
};
pub use ping::Ping;
pub use rate::{Rate, Rates};
pub use supervisor::{
    ApplySettings, Change, ChangePosition, Changed, Drain, OrderError, Restart, SupervisorActor, change,
};
pub use tail::{Common, TailSpec, headers_of, shape_of};
