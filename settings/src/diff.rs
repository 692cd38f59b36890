//! What a change of settings means, entry by entry.

use std::collections::HashMap;

use crate::settings::{Delivery, ExactlyOnce, KafkaSettings, LogEntry, Settings};
use crate::template::{Placeholder, Template};

/// The difference between two settings. Entries are known by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    /// Entries that are new.
    pub added: Vec<String>,
    /// Entries that are gone.
    pub removed: Vec<String>,
    /// Entries that changed.
    pub changed: Vec<Changed>,
    /// Entries that say the same; their order does not matter.
    pub unchanged: Vec<String>,
    /// Whether the producer has to be replaced.
    pub kafka: bool,
    /// Whether a limit changed.
    pub limits: bool,
    /// Whether the service's own log changed.
    pub log: bool,
    /// Whether the state directory or its rules changed.
    pub state: bool,
    /// Whether the status page changed.
    pub web: bool,
    /// Whether entries come from another etcd.
    pub etcd: bool,
}

/// An entry that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Its name.
    pub name: String,
    /// What changed; never empty.
    pub what: Vec<Change>,
}

/// What changed in an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Which files it ships.
    Paths,
    /// Where its lines go.
    Topic,
    /// The key of its records, or what the key is made from.
    Key,
    /// How files are read.
    Other,
}

/// Compares two settings.
pub fn diff(old: &Settings, new: &Settings) -> Diff {
    let before = old
        .logs
        .iter()
        .map(|log| (log.name.as_str(), log))
        .collect::<HashMap<_, _>>();
    let after = new.logs.iter().map(|log| log.name.as_str()).collect::<Vec<_>>();
    let mut diff = Diff {
        removed: old
            .logs
            .iter()
            .map(|log| log.name.clone())
            .filter(|name| !after.contains(&name.as_str()))
            .collect(),
        kafka: producer_of(&old.kafka) != producer_of(&new.kafka),
        limits: old.limits != new.limits,
        log: old.log != new.log,
        state: old.state != new.state,
        web: old.web != new.web,
        etcd: old.etcd != new.etcd,
        ..Diff::default()
    };
    let host_changed = old.host != new.host;
    for log in &new.logs {
        let name = log.name.clone();
        let Some(previous) = before.get(name.as_str()) else {
            diff.added.push(name);
            continue;
        };
        let what = changes(previous, log, host_changed);
        if what.is_empty() {
            diff.unchanged.push(name);
        } else {
            diff.changed.push(Changed { name, what });
        }
    }
    diff
}

/// Why these settings cannot take the place of those while the service runs, key by key; empty when they can.
pub fn needs_restart(old: &Settings, new: &Settings) -> Vec<String> {
    let exactly_once = |settings: &'_ Settings| match &settings.kafka.delivery {
        Delivery::AtLeastOnce => None,
        Delivery::ExactlyOnce(exactly_once) => Some(exactly_once.clone()),
    };
    let (was, is) = (exactly_once(old), exactly_once(new));
    // With another mode the others say nothing.
    let differs = |of: fn(&ExactlyOnce) -> &String| {
        let both = was.as_ref().zip(is.as_ref());
        both.is_some_and(|(was, is)| of(was) != of(is))
    };
    let keys = [
        ("state.directory", old.state.directory != new.state.directory),
        ("host", old.host != new.host),
        ("kafka.instance", differs(|one| &one.instance)),
        ("kafka.positions_topic", differs(|one| &one.positions_topic)),
    ];
    let changed = keys.into_iter().filter(|(_, changed)| *changed);
    changed
        .map(|(key, _)| format!("`{key}` cannot change while the service runs: restart it"))
        .collect()
}

/// Whether the delivery mode is another one.
#[must_use]
pub fn changes_delivery(old: &Settings, new: &Settings) -> bool {
    let is_exactly_once = |settings: &Settings| matches!(settings.kafka.delivery, Delivery::ExactlyOnce(_));
    is_exactly_once(old) != is_exactly_once(new)
}

// === impl Diff ===

impl Diff {
    /// Whether nothing has to be done.
    pub fn is_empty(&self) -> bool {
        *self
            == Self {
                unchanged: self.unchanged.clone(),
                ..Self::default()
            }
    }
}

/// What the producer is made from; `kafka.topic` is in the entries.
fn producer_of(kafka: &KafkaSettings) -> impl PartialEq + '_ {
    (&kafka.brokers, &kafka.delivery, &kafka.properties, kafka.files)
}

fn changes(old: &LogEntry, new: &LogEntry, host_changed: bool) -> Vec<Change> {
    let has_host = |template: &Template| template.placeholders().any(|one| one == Placeholder::Host);
    let of_host = |log: &LogEntry| log.key.iter().any(has_host);
    let checks = [
        (
            Change::Paths,
            old.paths != new.paths || old.exclude_paths != new.exclude_paths || old.named != new.named,
        ),
        (
            Change::Topic,
            old.topic != new.topic || host_changed && has_host(&new.topic),
        ),
        (Change::Key, old.key != new.key || host_changed && of_host(new)),
        (
            Change::Other,
            (old.start, old.ignore_older, old.max_line, old.watch, &old.rotated)
                != (new.start, new.ignore_older, new.max_line, new.watch, &new.rotated)
                || (old.charset, old.json, &old.fields, old.headers)
                    != (new.charset, new.json, &new.fields, new.headers)
                || (&old.filter, &old.multiline, old.container, old.rate_limit)
                    != (&new.filter, &new.multiline, new.container, new.rate_limit),
        ),
    ];
    checks
        .into_iter()
        .filter(|(_, changed)| *changed)
        .map(|(change, _)| change)
        .collect()
}
