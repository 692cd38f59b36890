//! How far a file is behind: what a watcher has seen of its files, and since when the oldest byte of them waits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use thin_vec::ThinVec;

use crate::stream::Stream;
use crate::turns::Closed;
use crate::watcher::Watcher;

/// Sizes kept at most: the oldest one counts, and half of the others are forgotten when there are more.
const SAMPLES: usize = 32;
/// Growth within this time of the last one is taken as seen with it: nobody tells lags of less apart.
const GRAIN: Duration = Duration::from_millis(100);

/// Tells when the oldest byte of a file that is not acknowledged was first seen. It has no clock of its own, and never makes
/// a lag shorter than it is.
#[derive(Debug, Default)]
pub struct LagClock {
    /// Sizes in bytes, and when each was first seen; both rise.
    samples: ThinVec<(u64, Instant)>,
}

impl LagClock {
    /// The file had `size` bytes at `at`.
    pub fn seen(&mut self, size: u64, at: Instant) {
        match self.samples.last_mut() {
            Some((known, _)) if size <= *known => return,
            Some((known, since)) if at.saturating_duration_since(*since) < GRAIN => {
                *known = size;
                return;
            }
            _ => {
                // Nearly always the only one: what is acknowledged soon.
                self.samples.reserve_exact(1);
                self.samples.push((size, at));
            }
        }
        if self.samples.len() > SAMPLES {
            self.halve();
        }
    }

    /// Everything before `position` is acknowledged.
    pub fn reached(&mut self, position: u64) {
        let reached = self.samples.partition_point(|(size, _)| *size <= position);
        if reached == self.samples.len() {
            // Of many files most are idle: up to 1 KB each.
            self.samples = ThinVec::new();
        } else {
            self.samples.drain(..reached);
        }
    }

    /// Since when the oldest byte that is not acknowledged is there; none when there is none.
    #[must_use]
    pub fn since(&self) -> Option<Instant> {
        self.samples.first().map(|(_, since)| *since)
    }

    /// Joins pairs of samples: the later size, the earlier time.
    fn halve(&mut self) {
        let samples: Vec<_> = self.samples.drain(..).collect();
        let joined = samples
            .chunks(2)
            .filter_map(|pair| Some((pair.last()?.0, pair.first()?.1)));
        self.samples = joined.collect();
    }
}

/// One generation as its watcher sees it.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Its stream.
    pub stream: &'a Arc<Stream>,
    /// Bytes it had at the last look.
    pub size: u64,
    /// Bytes handed over, acknowledged or not.
    pub handed_over: u64,
    /// Modification time at the last look, nanoseconds since the epoch; 0 where none was taken since it was opened.
    pub modified: i64,
}

impl Watcher {
    /// The generations of the path that are read or may grow, oldest first.
    pub fn seen(&self) -> impl Iterator<Item = Seen<'_>> {
        let open = self.olds.iter().map(|old| &old.generation).chain(&self.live);
        let open = open.map(|generation| Seen {
            stream: generation.stream(),
            size: generation.largest(),
            handed_over: generation.next().offset,
            modified: generation.last_modified(),
        });
        open.chain(self.closed.iter().map(|closed| Seen {
            stream: closed.paused.stream(),
            size: closed.size,
            handed_over: closed.paused.next().offset,
            modified: 0,
        }))
    }

    /// Whether there is something to read and other files have all the handles there are.
    #[must_use]
    pub fn waits_for_handle(&self) -> bool {
        let waits = |closed: &Closed| closed.is_wanted && !closed.is_lost;
        self.closed.as_deref().is_some_and(waits)
    }

    /// How many generations are followed, rotated ones whose handle is closed included.
    #[must_use]
    pub fn followed(&self) -> usize {
        self.olds.len() + self.parked.len() + usize::from(self.live.is_some() || self.closed.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lag_counts_from_when_the_oldest_unacknowledged_byte_was_first_seen() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut clock = LagClock::default();
        assert_eq!(clock.since(), None);
        clock.seen(100, at(0));
        clock.seen(100, at(1));
        clock.seen(300, at(2));
        clock.reached(99);
        assert_eq!(clock.since(), Some(at(0)));
        clock.reached(100);
        assert_eq!(clock.since(), Some(at(2)));
        clock.reached(300);
        assert_eq!(clock.since(), None);
        clock.seen(301, at(9));
        assert_eq!(clock.since(), Some(at(9)));
    }

    #[test]
    fn it_stays_small_and_never_makes_a_lag_shorter() {
        let start = Instant::now();
        let mut clock = LagClock::default();
        for second in 0..10_000 {
            clock.seen(second + 1, start + Duration::from_secs(second));
            assert!(clock.samples.len() <= SAMPLES);
        }
        for position in 0..9_999 {
            clock.reached(position);
            let since = clock.since().unwrap();
            assert!(since <= start + Duration::from_secs(position), "byte {position}");
        }
        clock.reached(10_000);
        assert_eq!(clock.since(), None);
    }
}
