//! What applying settings would do to a running service.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use logcatch_actors::Key;
use logcatch_settings::{Change, Settings, changes_delivery, diff, needs_restart};
use logcatch_tail::sweep;
use serde::{Deserialize, Serialize};

/// The difference that applying would make. Entries that stay as they are are counted only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Entries that come, go or change, in the order of the file; those that go are last.
    pub entries: Vec<PlannedEntry>,
    /// Entries that stay as they are.
    pub unchanged: usize,
    /// What else changes: "the Kafka producer is replaced", "limits change", ...
    pub service: Vec<String>,
    /// What cannot change while the service runs: with any of it, all is refused.
    pub refused: Vec<String>,
    /// What one should know of the file, though nothing is wrong.
    #[serde(default)]
    pub notices: Vec<String>,
}

/// What would become of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedEntry {
    /// Its name.
    pub log: String,
    /// Whether it comes, goes or changes.
    pub what: What,
    /// What changes in it: "paths", "topic", "key", "reading".
    pub changes: Vec<String>,
    /// Paths whose watcher starts.
    pub start: Vec<String>,
    /// Paths whose watcher stops; their positions are kept.
    pub stop: Vec<String>,
    /// How many watchers go on under changed settings, without reading anything again.
    pub go_on: usize,
}

/// See [`PlannedEntry`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is another one under its name.
    Changed,
}

/// Compares the settings in force with others, for what is `watched` now. Looks at the disk.
pub fn plan(before: &Settings, after: &Settings, watched: &[Key]) -> Plan {
    let diff = diff(before, after);
    let mut entries = Vec::new();
    let mut taken: HashSet<PathBuf> = HashSet::new();
    for log in &after.logs {
        let is_added = diff.added.contains(&log.name);
        let changed = diff.changed.iter().find(|changed| changed.name == log.name);
        let mut files: BTreeSet<PathBuf> = sweep(&log.paths, &log.exclude_paths).files.into_keys().collect();
        if !log.named {
            // Among entries without a name the first one wins.
            files.retain(|path| taken.insert(path.clone()));
        }
        if !is_added && changed.is_none() {
            continue;
        }
        let has = watched_of(watched, &log.name);
        let (go_on, stop): (Vec<&Path>, Vec<&Path>) = has.iter().copied().partition(|path| log.means(path));
        entries.push(PlannedEntry {
            log: log.name.clone(),
            what: if is_added { What::Added } else { What::Changed },
            changes: changed.map_or_else(Vec::new, |changed| changed.what.iter().map(name_of).collect()),
            start: texts(files.iter().map(PathBuf::as_path).filter(|path| !has.contains(path))),
            stop: texts(stop.into_iter()),
            go_on: go_on.len(),
        });
    }
    for name in &diff.removed {
        entries.push(PlannedEntry {
            log: name.clone(),
            what: What::Removed,
            changes: Vec::new(),
            start: Vec::new(),
            stop: texts(watched_of(watched, name).into_iter()),
            go_on: 0,
        });
    }
    let delivery = changes_delivery(before, after);
    let service = [
        (
            delivery,
            "the delivery mode changes: all watchers stop, what is on its way settles, and they go on from there",
        ),
        (
            diff.kafka && !delivery,
            "the Kafka producer is replaced; what is on its way settles or is sent again",
        ),
        (diff.limits, "limits change"),
        (rules(before) != rules(after), "the rules of the state directory change"),
        (diff.log, "the service's own log changes"),
        (diff.web, "the status page changes"),
        (diff.etcd, "entries come from another etcd, or from none"),
    ];
    let told = |(is, text): (bool, &str)| is.then(|| text.to_owned());
    Plan {
        entries,
        unchanged: diff.unchanged.len(),
        service: service.into_iter().filter_map(told).collect(),
        refused: needs_restart(before, after),
        notices: Vec::new(),
    }
}

impl Plan {
    /// Whether applying would change nothing.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.service.is_empty() && self.refused.is_empty()
    }
}

/// What of the state directory can change while the service runs.
fn rules(settings: &Settings) -> impl PartialEq {
    (settings.state.checkpoint_interval, settings.state.dead_letters)
}

fn watched_of<'a>(watched: &'a [Key], log: &str) -> BTreeSet<&'a Path> {
    let of_log = watched.iter().filter(|(name, _)| **name == *log);
    of_log.map(|(_, path)| &**path).collect()
}

fn texts<'a>(paths: impl Iterator<Item = &'a Path>) -> Vec<String> {
    paths.map(|path| path.display().to_string()).collect()
}

fn name_of(change: &Change) -> String {
    match change {
        Change::Paths => "paths",
        Change::Topic => "topic",
        Change::Key => "key",
        Change::Other => "reading",
    }
    .to_owned()
}
