//! The faults, and the order in which the demo causes them when nobody presses a key.

use std::time::{Duration, Instant};

/// Without a key for this long, the script goes on.
const IDLE: Duration = Duration::from_secs(8);

/// The shortest time between two faults of the script, in which each can be seen with what follows from it.
const SHORTEST_GAP: Duration = Duration::from_secs(3);

/// Without a terminal nobody can press a key: the script begins after this time.
const PRELUDE: Duration = Duration::from_secs(3);

/// What can be done to the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `kill -9` of the service.
    Kill,
    /// The broker goes away and comes back.
    Broker,
    /// Logs are rotated by renaming.
    Rotate,
    /// A log is rotated by copying and truncating it.
    CopyTruncate,
    /// A typo in the settings, mended after a while.
    Typo,
}

/// When which fault is due.
pub struct Script {
    next: usize,
    at: Instant,
    gap: Duration,
    until: Instant,
}

impl Fault {
    /// All of them, in the order in which the script plays them.
    pub const ALL: [Self; 5] = [Self::Kill, Self::Broker, Self::Rotate, Self::CopyTruncate, Self::Typo];

    /// The key that causes it.
    pub fn key(self) -> char {
        match self {
            Self::Kill => 'k',
            Self::Broker => 'b',
            Self::Rotate => 'r',
            Self::CopyTruncate => 'c',
            Self::Typo => 't',
        }
    }

    /// What it is called in the list of keys.
    pub fn label(self) -> &'static str {
        match self {
            Self::Kill => "kill -9",
            Self::Broker => "broker away",
            Self::Rotate => "rotate",
            Self::CopyTruncate => "copy+truncate",
            Self::Typo => "settings typo",
        }
    }

    /// The fault that this key causes.
    pub fn of(key: char) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.key() == key)
    }
}

impl Script {
    /// For a demo that ends at `end`; `keys` tells whether somebody can press one.
    pub fn new(now: Instant, end: Instant, keys: bool) -> Self {
        let first = if keys { IDLE } else { PRELUDE };
        // Every fault has its turn, and the last one time to heal, also in a short demo.
        let turns = u32::try_from(Fault::ALL.len()).unwrap_or(u32::MAX);
        let gap = (end.saturating_duration_since(now + first) / turns).clamp(SHORTEST_GAP, IDLE);
        Self {
            next: 0,
            at: now + first,
            gap,
            until: end.checked_sub(SHORTEST_GAP).unwrap_or(now),
        }
    }

    /// A key was pressed: the visitor plays. What was seen just now does not come again at once.
    pub fn interrupt(&mut self, now: Instant, by: Fault) {
        self.at = now + IDLE;
        if Fault::ALL[self.next] == by {
            self.advance();
        }
    }

    /// The demo ends later than it was said.
    pub fn extend(&mut self, end: Instant) {
        self.until = end.checked_sub(SHORTEST_GAP).unwrap_or(end);
    }

    /// The next fault and when it is due; `None` when none comes any more.
    pub fn next(&self) -> Option<(Fault, Instant)> {
        (self.at <= self.until).then(|| (Fault::ALL[self.next], self.at))
    }

    /// The fault that is due now; each is given once.
    pub fn due(&mut self, now: Instant) -> Option<Fault> {
        let (fault, at) = self.next()?;
        if now < at {
            return None;
        }
        self.advance();
        self.at = now + self.gap;
        Some(fault)
    }

    fn advance(&mut self) {
        self.next = (self.next + 1) % Fault::ALL.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the script plays in a demo of so many seconds.
    fn played(seconds: u64, keys: bool) -> Vec<Fault> {
        let start = Instant::now();
        let end = start + Duration::from_secs(seconds);
        let mut script = Script::new(start, end, keys);
        let ticks = (0..seconds * 10).map(|tick| start + Duration::from_millis(tick * 100));
        ticks.filter_map(|now| script.due(now)).collect()
    }

    #[test]
    fn a_minute_shows_every_fault_with_and_without_a_terminal() {
        for keys in [true, false] {
            for seconds in [25, 30, 60, 90] {
                let played = played(seconds, keys);
                assert!(played.len() >= 5, "{seconds} s, keys {keys}: {played:?}");
                assert_eq!(played[..5], Fault::ALL);
            }
        }
    }

    #[test]
    fn a_key_stops_the_script_for_a_while() {
        let start = Instant::now();
        let mut script = Script::new(start, start + Duration::from_secs(60), true);
        script.interrupt(start + Duration::from_secs(6), Fault::Rotate);
        script.interrupt(start + Duration::from_secs(7), Fault::Kill);
        assert_eq!(script.due(start + Duration::from_secs(14)), None);
        assert_eq!(script.due(start + Duration::from_secs(15)), Some(Fault::Broker));
        assert_eq!(script.due(start + Duration::from_secs(15)), None);
    }
}
