//! Where all gauges are, and what else a report is made from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use logcatch_kafka::{LaneState, Stats};
use logcatch_settings::{Delivery, Settings};
use logcatch_tail::Positions;

use super::by_key::ByKey;
use super::events::{EventKind, Events};
use super::gauge::{Gauge, Shown, Surroundings};
use super::loss::time_to_loss;
use super::report::{FileRow, KafkaRow, PositionsRow, Reason, Refusal, Report, Scope, SettingsRow, TopicRow};
use super::tally::Tally;
use super::verdict::KEEPS_UP;
use crate::tail::Common;

/// A watcher: the name of its entry, and its path.
pub type Key = (Arc<str>, Arc<Path>);

/// What a [`Report`] is made from besides the board.
#[derive(Debug)]
pub struct Sources<'a> {
    /// Positions, lanes, budget.
    pub common: &'a Common,
    /// The counters of the Kafka side.
    pub stats: &'a Stats,
    /// The settings file.
    pub settings_path: String,
    /// Of the service.
    pub version: &'a str,
}

/// The gauges of all watchers, and the fate of the settings.
#[derive(Debug)]
pub struct Board {
    started: Instant,
    watchers: Mutex<BTreeSet<ByKey>>,
    settings: Mutex<Applied>,
    opening: Mutex<Option<Opening>>,
    saves: Mutex<Saves>,
    entries: Mutex<BTreeMap<String, Arc<Shown>>>,
    events: Arc<Events>,
    notes: Mutex<BTreeMap<&'static str, Vec<String>>>,
}

/// How often settings were read again, by what became of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reloads {
    /// They came into force.
    pub applied: u64,
    /// They said what was in force.
    pub unchanged: u64,
    /// They were refused.
    pub refused: u64,
}

#[derive(Debug, Default)]
struct Applied {
    settings: Option<Arc<Settings>>,
    at: u64,
    refused: Option<Refusal>,
    reloads: Reloads,
}

/// Why no watcher may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Opening {
    /// Positions are read back from this topic first.
    Positions(String),
    /// The delivery mode changes.
    Change,
}

/// Saving of positions as it was at the last look.
#[derive(Debug, Default, Clone, Copy)]
struct Saves {
    errors: u64,
    saved_at: u64,
    failing: bool,
}

impl Board {
    /// An empty one, at the start of the service.
    #[must_use]
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            watchers: Mutex::default(),
            settings: Mutex::default(),
            opening: Mutex::default(),
            saves: Mutex::default(),
            entries: Mutex::default(),
            events: Arc::default(),
            notes: Mutex::default(),
        }
    }

    /// What somebody should know of this part of the service, in place of what was told of it before.
    pub fn note(&self, part: &'static str, notes: Vec<String>) {
        lock(&self.notes).insert(part, notes);
    }

    /// A watcher came.
    pub(crate) fn add(&self, gauge: Arc<Gauge>) {
        gauge.shown_by(self.shown(&gauge.key().0));
        lock(&self.watchers).replace(ByKey(gauge));
    }

    /// Many watchers came: the room between them goes.
    pub(crate) fn pack(&self) {
        let mut watchers = lock(&self.watchers);
        *watchers = std::mem::take(&mut *watchers).into_iter().collect();
    }

    /// A watcher went.
    pub(crate) fn remove(&self, key: &Key) {
        lock(&self.watchers).remove(key);
    }

    /// All watchers, by entry and path.
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        lock(&self.watchers).iter().map(|gauge| gauge.key().clone()).collect()
    }

    /// The counters of a settings entry, from its first watcher on.
    #[must_use]
    pub fn tally(&self, log: &str) -> Arc<Tally> {
        Arc::clone(&self.shown(log).tally)
    }

    fn shown(&self, log: &str) -> Arc<Shown> {
        let mut entries = lock(&self.entries);
        if let Some(shown) = entries.get(log) {
            return Arc::clone(shown);
        }
        let shown = Arc::new(Shown {
            tally: Arc::default(),
            events: Arc::clone(&self.events),
        });
        entries.insert(log.to_owned(), Arc::clone(&shown));
        shown
    }

    /// The counters of all entries that had a watcher.
    #[must_use]
    pub fn tallies(&self) -> Vec<(String, Arc<Tally>)> {
        let entries = lock(&self.entries);
        entries
            .iter()
            .map(|(log, shown)| (log.clone(), Arc::clone(&shown.tally)))
            .collect()
    }

    /// What happened lately.
    #[must_use]
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// These settings are in force from now on.
    pub(crate) fn applied(&self, settings: Arc<Settings>) {
        let mut applied = lock(&self.settings);
        // Those at start are no reload.
        if applied.settings.is_some() {
            applied.reloads.applied += 1;
            self.events.say(EventKind::SettingsApplied, "settings came into force");
        }
        applied.settings = Some(settings);
        applied.at = now_in_seconds();
        applied.refused = None;
    }

    /// The file was refused, for these reasons. One that is tried again by itself, though nothing changed, is no reload.
    pub(crate) fn refused(&self, text: String, is_tried_again: bool) {
        let mut applied = lock(&self.settings);
        let is_known = applied.refused.as_ref().is_some_and(|refused| refused.text == text);
        if is_known && is_tried_again {
            return;
        }
        applied.reloads.refused += 1;
        if !is_known {
            self.events.say(EventKind::SettingsRefused, text.clone());
        }
        let at = now_in_seconds();
        applied.refused = Some(Refusal { at, text });
    }

    /// The file says what is in force; not for the first time, if it was read `again`.
    pub(crate) fn is_in_force(&self, again: bool) {
        let mut applied = lock(&self.settings);
        applied.refused = None;
        applied.reloads.unchanged += u64::from(again);
    }

    /// No watcher runs for this reason, or they may.
    pub(crate) fn set_opening(&self, opening: Option<Opening>) {
        *lock(&self.opening) = opening;
    }

    /// What is waited for before any watcher may run, by these counters of the Kafka side; none while they may.
    #[must_use]
    pub fn waits_for(&self, stats: &Stats) -> Option<String> {
        let opening = lock(&self.opening).clone()?;
        let Opening::Positions(topic) = opening else {
            return Some("what is on its way to Kafka to settle, because the delivery mode changes".to_owned());
        };
        // Why it is away is said beside it.
        let is_away = stats.connected == Some(false);
        let away = is_away.then_some("Kafka is away");
        let why = away.or(stats.positions_wait.as_deref());
        let why = why.unwrap_or("Kafka has not given them back yet");
        Some(of_positions(&topic, why))
    }

    /// Why positions are not read back or not committed, although watchers may run; none where that is what
    /// [`Self::waits_for`] says.
    fn positions_trouble(&self, stats: &Stats) -> Option<String> {
        let why = stats.positions_wait.as_deref()?;
        if matches!(*lock(&self.opening), Some(Opening::Positions(_))) {
            return None;
        }
        match &self.settings()?.kafka.delivery {
            Delivery::ExactlyOnce(exactly_once) => Some(of_positions(&exactly_once.positions_topic, why)),
            Delivery::AtLeastOnce => None,
        }
    }

    /// How often settings were read again.
    #[must_use]
    pub fn reloads(&self) -> Reloads {
        lock(&self.settings).reloads
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> Option<Arc<Settings>> {
        lock(&self.settings).settings.clone()
    }

    /// Looks at the saving of positions; called each second.
    pub(crate) fn look_at_saves(&self, errors: u64, saved_at: u64) {
        let mut saves = lock(&self.saves);
        // A failed save is repeated until one succeeds.
        if errors != saves.errors {
            saves.failing = true;
        } else if saved_at != saves.saved_at {
            saves.failing = false;
        }
        (saves.errors, saves.saved_at) = (errors, saved_at);
    }

    /// How everything stands. Takes a microsecond a row: not for an arbiter where there are thousands.
    #[must_use]
    pub fn report(&self, sources: &Sources<'_>, scope: Scope) -> Report {
        let now = Instant::now();
        let Sources { common, stats, .. } = sources;
        let saves = *lock(&self.saves);
        let around = Surroundings {
            kafka: stats.connected,
            refusal: stats.refusal,
            saves_fail: saves.failing,
        };
        let watchers: Vec<_> = lock(&self.watchers)
            .iter()
            .filter(|ByKey(gauge)| scope == Scope::All || !gauge.is_quiet())
            .map(|ByKey(gauge)| Arc::clone(gauge))
            .collect();
        let files: Vec<FileRow> = watchers
            .into_iter()
            .filter_map(|gauge| {
                let (log, path) = gauge.key();
                let row = gauge.row(around, || common.world.positions.of(log, path), now);
                if scope == Scope::Behind && row.lag_bytes == 0 {
                    return None;
                }
                // What is on its way as usual is not at risk.
                let is_late = row.lag_bytes > 0 && row.lag_seconds >= KEEPS_UP;
                let loss = || {
                    let streams = common.world.positions.of(log, path);
                    let records: Vec<_> = streams.iter().map(|stream| stream.record()).collect();
                    time_to_loss(&records, &gauge.seen(), row.bytes_per_second, now_in_nanoseconds())
                };
                Some(FileRow {
                    time_to_loss_seconds: is_late.then(loss).flatten(),
                    path: path.display().to_string(),
                    log: log.to_string(),
                    ..row
                })
            })
            .collect();
        Report {
            version: sources.version.to_owned(),
            pid: std::process::id(),
            host: common.host.to_string(),
            uptime_seconds: now.saturating_duration_since(self.started).as_secs_f64(),
            kafka: kafka(common, stats, now),
            settings: self.settings_row(sources.settings_path.clone()),
            positions: PositionsRow {
                waits_for: self.waits_for(stats),
                trouble: self.positions_trouble(stats),
                saved_at: Some(common.world.positions.saved_at()).filter(|at| *at > 0),
                errors: common.world.positions.save_errors(),
                failing: saves.failing,
            },
            notes: lock(&self.notes).values().flatten().cloned().collect(),
            files,
        }
    }

    /// Bytes on disk of files of which nothing was ever read, by entry; 0 for the other entries in force.
    #[must_use]
    pub fn never_read(&self, positions: &Positions) -> BTreeMap<String, u64> {
        let settings = self.settings();
        let entries = settings.iter().flat_map(|settings| &settings.logs);
        let mut unread: BTreeMap<String, u64> = entries.map(|entry| (entry.name.clone(), 0)).collect();
        let around = Surroundings {
            kafka: None,
            refusal: None,
            saves_fail: lock(&self.saves).failing,
        };
        for ByKey(gauge) in &*lock(&self.watchers) {
            let (log, path) = gauge.key();
            let streams = positions.of(log, path);
            if streams.iter().all(|stream| stream.record().size == 0) {
                let row = gauge.row(around, || streams, Instant::now());
                *unread.entry(log.to_string()).or_default() += row.lag_bytes;
            }
        }
        unread
    }

    fn settings_row(&self, path: String) -> SettingsRow {
        let applied = lock(&self.settings);
        let entries = applied.settings.iter().flat_map(|settings| &settings.logs);
        let names = entries.map(|entry| &entry.name);
        // While nobody looks for files, none is missed.
        let names = names.filter(|_| lock(&self.opening).is_none());
        SettingsRow {
            path,
            applied_at: applied.at,
            refused: applied.refused.clone(),
            unmatched: names.filter(|name| !self.is_matched(name)).cloned().collect(),
        }
    }

    /// Whether the entry has a watcher.
    fn is_matched(&self, log: &str) -> bool {
        let first: Key = (log.into(), Path::new("").into());
        let watchers = lock(&self.watchers);
        let next = watchers.range(first..).next();
        next.is_some_and(|gauge| *gauge.key().0 == *log)
    }
}

impl Default for Board {
    fn default() -> Self {
        Self::new()
    }
}

/// What is waited for, and why.
fn of_positions(topic: &str, why: &str) -> String {
    format!("its positions in `{topic}`: {why}")
}

fn kafka(common: &Common, stats: &Stats, now: Instant) -> KafkaRow {
    let ago = |at: SystemTime| at.elapsed().unwrap_or_default().as_secs_f64();
    let topics = common.lanes.states().into_iter().map(|(topic, state)| TopicRow {
        topic: topic.to_string(),
        open: state == LaneState::Open,
        detail: match state {
            LaneState::Open | LaneState::Asking => None,
            LaneState::Held { reason, .. } => Some(reason.to_string()),
        },
    });
    KafkaRow {
        up: stats.connected,
        since_seconds: stats
            .connected_since
            .map(|since| now.saturating_duration_since(since).as_secs_f64()),
        trouble: stats.trouble.clone(),
        refused: stats.refusal.map(Reason::of),
        last_ack_seconds: stats.last_ack.map(ago),
        in_flight_bytes: common.budget.used() as u64,
        in_flight_limit_bytes: common.budget.total() as u64,
        acknowledged_lines: stats.acked_records,
        dead_lettered_lines: stats.dead_lettered,
        producer_rebuilds: stats.rebuilds,
        topics: topics.collect(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is in there is changed in one step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now_in_nanoseconds() -> i64 {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

fn now_in_seconds() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_is_said_with_the_reason() {
        let board = Board::new();
        let stats = |connected, reason: Option<&str>| Stats {
            connected,
            positions_wait: reason.map(str::to_owned),
            ..Stats::default()
        };
        assert_eq!(board.waits_for(&stats(None, None)), None);
        board.set_opening(Some(Opening::Positions("p".to_owned())));
        let said = |connected, reason| board.waits_for(&stats(connected, reason)).unwrap();
        assert_eq!(
            said(None, None),
            "its positions in `p`: Kafka has not given them back yet"
        );
        assert_eq!(said(Some(true), Some("no right")), "its positions in `p`: no right");
        assert_eq!(
            said(Some(false), Some("timed out")),
            "its positions in `p`: Kafka is away"
        );
        board.set_opening(None);
        assert_eq!(board.waits_for(&stats(Some(false), None)), None);
    }

    #[test]
    fn why_positions_are_not_committed_is_said_once_while_watchers_may_run() {
        let board = Board::new();
        let trouble = |reason: Option<&str>| {
            board.positions_trouble(&Stats {
                positions_wait: reason.map(str::to_owned),
                ..Stats::default()
            })
        };
        assert_eq!(trouble(Some("no right")), None, "nothing is in force");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("logcatch.toml");
        let kafka = "brokers = [\"a:1\"]\ntopic = \"t\"\ndelivery = \"exactly-once\"\ninstance = \"i\"\npositions_topic = \"p\"\n";
        let text =
            format!("host = \"h\"\n[state]\ndirectory = \"/s\"\n[kafka]\n{kafka}[[logs]]\npath = \"/l/*.log\"\n");
        std::fs::write(&file, text).unwrap();
        let loaded = logcatch_settings::load(&file, &|_| None).unwrap();
        board.applied(Arc::new(loaded.settings));
        assert_eq!(trouble(None), None);
        let said = Some("its positions in `p`: no right".to_owned());
        assert_eq!(trouble(Some("no right")), said);
        // What settles waits for the same.
        board.set_opening(Some(Opening::Change));
        assert_eq!(trouble(Some("no right")), said);
        board.set_opening(Some(Opening::Positions("p".to_owned())));
        assert_eq!(trouble(Some("no right")), None);
    }

    #[test]
    fn saving_fails_from_an_error_until_the_next_save() {
        let board = Board::new();
        let failing = |errors, saved_at| {
            board.look_at_saves(errors, saved_at);
            lock(&board.saves).failing
        };
        assert!(!failing(0, 0));
        assert!(!failing(0, 100));
        assert!(failing(1, 100));
        assert!(failing(1, 100), "nothing was saved since");
        assert!(failing(2, 101), "one was saved, and the next one failed");
        assert!(!failing(2, 103));
    }
}
