//! Messages that come again and again are said a few times, then once more with how often they came.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use log::Level;

/// So often the same message is said within [`WINDOW`]: enough to see a pace, too few to fill a disk.
const MOST: u64 = 10;
/// Counted from the first of them.
const WINDOW: Duration = Duration::from_secs(60);
/// Messages that differ are not counted beyond so many: they are said as they come.
const KEYS: usize = 1000;

/// What makes two messages the same: the constant phrase, and what it is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    pub level: Level,
    pub target: String,
    pub phrase: String,
    pub log: Option<String>,
    pub path: Option<String>,
}

/// A message that was held back, and how often.
#[derive(Debug, PartialEq, Eq)]
pub struct Repeated {
    pub key: Key,
    pub times: u64,
}

/// What was said of late.
#[derive(Debug, Default)]
pub struct Repeats {
    heard: HashMap<Key, (Instant, u64)>,
}

// === impl Repeats ===

impl Repeats {
    /// Whether a message is to be said now.
    pub fn hear(&mut self, key: Key, now: Instant) -> bool {
        if self.heard.len() >= KEYS && !self.heard.contains_key(&key) {
            return true;
        }
        let (_, times) = self.heard.entry(key).or_insert((now, 0));
        *times += 1;
        *times <= MOST
    }

    /// What was held back in windows that are over by now.
    pub fn take_over(&mut self, now: Instant) -> Vec<Repeated> {
        let mut repeated = Vec::new();
        self.heard.retain(|key, (since, times)| {
            let is_over = now.saturating_duration_since(*since) >= WINDOW;
            if is_over && *times > MOST {
                let (key, times) = (key.clone(), *times - MOST);
                repeated.push(Repeated { key, times });
            }
            !is_over
        });
        // What came with many files need not stay: a quarter of a MB.
        self.heard.shrink_to_fit();
        repeated
    }

    /// All that is held back now.
    pub fn take_all(&mut self) -> Vec<Repeated> {
        let latest = self.heard.values().map(|(since, _)| *since + WINDOW).max();
        latest.map_or_else(Vec::new, |latest| self.take_over(latest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(path: &str) -> Key {
        Key {
            level: Level::Warn,
            target: "t".into(),
            phrase: "file cannot be read".into(),
            log: None,
            path: Some(path.into()),
        }
    }

    #[test]
    fn the_same_of_the_same_path_is_said_a_few_times_then_once_with_a_count() {
        let mut repeats = Repeats::default();
        let start = Instant::now();
        for times in 1..=100 {
            assert_eq!(repeats.hear(key("/a"), start), times <= MOST, "{times}");
        }
        assert!(repeats.hear(key("/b"), start), "another path is another message");
        assert_eq!(repeats.take_over(start + WINDOW / 2), []);
        let held = Repeated {
            key: key("/a"),
            times: 100 - MOST,
        };
        assert_eq!(repeats.take_over(start + WINDOW), [held]);
        assert!(repeats.hear(key("/a"), start + WINDOW), "a new window");
        assert_eq!(repeats.take_all(), []);
    }

    #[test]
    fn messages_that_all_differ_take_bounded_memory() {
        let mut repeats = Repeats::default();
        let now = Instant::now();
        assert!((0..3 * KEYS).all(|n| repeats.hear(key(&n.to_string()), now)));
        assert_eq!(repeats.heard.len(), KEYS);
    }
}
