//! The service, as this crate sees it.

use std::pin::Pin;
use std::sync::Arc;

use logcatch_actors::{Board, Counts, Reloads, Report, Scope};
use logcatch_kafka::Stats;
use logcatch_settings::Section;
use logcatch_tail::Balance;

/// A look that is under way. It stays on its thread, as actors' answers do.
pub type Looking<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// The running service.
pub trait Service: Send + Sync + 'static {
    /// How everything stands, with rows of these files.
    fn look(&self, scope: Scope) -> Looking<'_, Snapshot>;

    /// The parts that do not answer; none if all is well.
    fn silent(&self) -> Looking<'_, Vec<&'static str>>;

    /// Where events are.
    fn board(&self) -> &Board;
}

/// The service at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// What `logcatch status` shows.
    pub report: Report,
    /// The counters of the Kafka side.
    pub stats: Stats,
    /// Every settings entry, those that are gone included, by name.
    pub entries: Vec<EntryFigures>,
    /// How often settings were read again.
    pub reloads: Reloads,
    /// The size of all dead letters in bytes.
    pub dead_letter_bytes: u64,
    /// Whether metrics name each file.
    pub file_metrics: bool,
    /// The settings file was in force at some time since the start.
    pub were_in_force: bool,
    /// Positions were open at some time since the start.
    pub were_open: bool,
    /// Kafka was reached at some time since the start.
    pub reached_kafka: bool,
    /// The settings in force, secrets hidden.
    pub effective: Arc<Vec<Section>>,
}

/// The figures of a settings entry since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntryFigures {
    /// Its name.
    pub log: String,
    /// The settings have it; else only its counters are left.
    pub is_in_force: bool,
    /// Where its bytes went.
    pub balance: Balance,
    /// What happened to its files.
    pub counts: Counts,
}
