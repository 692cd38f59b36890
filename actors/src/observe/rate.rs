//! Bytes and lines a second, over the last seconds.

use std::time::{Duration, Instant};

use smallvec::SmallVec;

/// Whole seconds that are looked at: long enough to be steady, short enough to show a stop soon.
const SECONDS: u32 = 5;
/// Counts what was acknowledged, second by second.
#[derive(Debug)]
pub(crate) struct Rate {
    start: Instant,
    /// Seconds in which something was counted, ascending, as far back as is looked. Of many files most have lines in one.
    slots: SmallVec<[Slot; 1]>,
}

#[derive(Debug)]
struct Slot {
    /// Seconds since the start: for 136 years.
    second: u32,
    lines: u32,
    bytes: u64,
}

impl Rate {
    /// Nothing counted yet.
    pub(crate) fn new(start: Instant) -> Self {
        Self {
            start,
            slots: SmallVec::new(),
        }
    }

    /// Nothing counted for so long that it does not show any more.
    pub(crate) fn after_a_rest(now: Instant) -> Self {
        let rest = Duration::from_secs(SECONDS.into());
        Self::new(now.checked_sub(rest).unwrap_or(now))
    }

    /// Whether nothing was counted in the seconds that are looked at, nor in the one that is not over yet.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        let second = self.second(now);
        second > SECONDS && self.slots.last().is_none_or(|slot| slot.second < second - SECONDS)
    }

    /// So much was acknowledged now.
    pub(crate) fn add(&mut self, bytes: u64, lines: u64, now: Instant) {
        let second = self.second(now);
        let lines = u32::try_from(lines).unwrap_or(u32::MAX);
        match self.slots.last_mut().filter(|slot| slot.second >= second) {
            Some(slot) => {
                slot.bytes += bytes;
                slot.lines = slot.lines.saturating_add(lines);
            }
            None => {
                self.slots.retain(|slot| slot.second + SECONDS >= second);
                self.slots.push(Slot { second, lines, bytes });
            }
        }
    }

    /// Bytes and lines a second.
    pub(crate) fn per_second(&self, now: Instant) -> (f64, f64) {
        let second = self.second(now);
        let first = second.saturating_sub(SECONDS);
        let recent = self.slots.iter().filter(|slot| (first..second).contains(&slot.second));
        let (bytes, lines) = recent.fold((0_u64, 0_u64), |sum, slot| {
            (sum.0 + slot.bytes, sum.1 + u64::from(slot.lines))
        });
        // A young watcher has fewer seconds behind it.
        let seconds = f64::from(second.clamp(1, SECONDS));
        (bytes as f64 / seconds, lines as f64 / seconds)
    }

    fn second(&self, now: Instant) -> u32 {
        u32::try_from(now.saturating_duration_since(self.start).as_secs()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_is_the_mean_of_the_last_whole_seconds_and_falls_to_nothing() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        for tenth in 0..100 {
            rate.add(100, 1, start + Duration::from_millis(tenth * 100));
        }
        let at = |seconds| rate.per_second(start + Duration::from_secs(seconds));
        assert_eq!(at(10), (1000.0, 10.0));
        assert_eq!(at(12), (600.0, 6.0));
        assert_eq!(at(15), (0.0, 0.0));
        let is_over = |seconds| rate.is_over(start + Duration::from_secs(seconds));
        assert!(!is_over(14) && is_over(15));
        let at = start + Duration::from_secs(60);
        let mut again = Rate::after_a_rest(at);
        again.add(500, 5, at);
        assert_eq!(again.per_second(at + Duration::from_secs(1)), (100.0, 1.0));
        let mut young = Rate::new(start);
        young.add(100, 1, start);
        assert_eq!(young.per_second(start + Duration::from_secs(1)), (100.0, 1.0));
    }
}
