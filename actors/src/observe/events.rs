//! The last things that happened, for who looks later.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// Events kept: some hours of a restless host, and a fraction of a megabyte.
const KEPT: usize = 200;
/// Of a text; characters. Settings can be refused for many reasons at once.
const LONGEST: usize = 500;

/// What kind of thing happened. The words are fixed; more may be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// Settings came into force.
    SettingsApplied,
    /// Settings were refused.
    SettingsRefused,
    /// A watcher was started again.
    WatcherRestarted,
    /// A file was rotated, and not all of it was acknowledged.
    Rotated,
    /// No broker answers.
    KafkaAway,
    /// A broker answers again.
    KafkaBack,
    /// Rotation is going to delete bytes that are not read.
    LossAhead,
    /// Bytes that can no longer be read.
    Unreachable,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Rises from one to the next, from 1 at the start of the service.
    pub number: u64,
    /// When; seconds since the epoch.
    pub at: u64,
    /// What.
    pub kind: EventKind,
    /// The settings entry, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub log: Option<String>,
    /// The path, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub path: Option<String>,
    /// In words.
    pub text: String,
}

/// The last events of the service.
#[derive(Debug, Default)]
pub struct Events {
    kept: Mutex<VecDeque<Event>>,
}

impl Events {
    /// Something happened to the service as a whole.
    pub fn say(&self, kind: EventKind, text: impl Into<String>) {
        self.push(kind, None, text.into());
    }

    /// Something happened to a watched path.
    pub fn say_of(&self, kind: EventKind, (log, path): (&str, String), text: impl Into<String>) {
        self.push(kind, Some((log.to_owned(), path)), text.into());
    }

    fn push(&self, kind: EventKind, of: Option<(String, String)>, text: String) {
        let (log, path) = of.unzip();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let number = kept.back().map_or(1, |last| last.number + 1);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Event {
            number,
            at: SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs(),
            kind,
            log,
            path,
            text: text.chars().take(LONGEST).collect(),
        });
    }

    /// Those after this number, oldest first.
    #[must_use]
    pub fn after(&self, number: u64) -> Vec<Event> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().filter(|event| event.number > number).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_kept_and_numbers_go_on() {
        let events = Events::default();
        for count in 1..=KEPT + 5 {
            events.say(EventKind::KafkaBack, format!("{count}"));
        }
        let all = events.after(0);
        assert_eq!(all.len(), KEPT);
        assert_eq!((all[0].number, all[0].text.as_str()), (6, "6"));
        events.say_of(EventKind::Rotated, ("app", "/a".to_owned()), "x".repeat(2 * LONGEST));
        let new = events.after(all[KEPT - 1].number);
        assert_eq!(new.len(), 1);
        assert_eq!(
            (new[0].log.as_deref(), new[0].path.as_deref()),
            (Some("app"), Some("/a"))
        );
        assert_eq!(new[0].text.len(), LONGEST);
    }
}
