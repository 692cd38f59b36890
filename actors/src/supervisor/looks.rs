//! When to look at the disk: one look at a time, not too often, and never much of the time.

use std::time::{Duration, Instant};

/// Files often come and go in groups: one look for all.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// Looking takes at most one part in so many of the time, however many files there are.
const SHARE: u32 = 10;
/// Looking though nothing happened takes at most one part in so many: a fifth of a percent of a core,
const IDLE_SHARE: u32 = 500;
/// and half of that as long as looks come this often then: so it is with 10,000 files.
const IDLE_OFTEN: Duration = Duration::from_secs(20);
/// But is never put off for longer than this, with however many files: it is what finds out that the kernel forgot to tell.
const IDLE_PAUSE: Duration = Duration::from_secs(60);

/// The looks so far, and those that are asked for.
#[derive(Debug, Default)]
pub struct Looks {
    under_way: bool,
    /// Another one is wanted when the one under way ends.
    wanted: bool,
    scheduled: bool,
    ended: Option<Instant>,
    took: Duration,
}

impl Looks {
    /// Whether a look may begin now; while one is under way another follows it.
    pub fn begin(&mut self) -> bool {
        if self.under_way {
            self.wanted = true;
            return false;
        }
        self.wanted = false;
        self.under_way = true;
        true
    }

    /// A look that began then ended now.
    pub fn ended(&mut self, began: Instant, now: Instant) {
        self.under_way = false;
        self.ended = Some(now);
        self.took = now.saturating_duration_since(began);
    }

    /// The look under way does not return: the next one does not wait for it.
    pub fn given_up(&mut self) {
        self.under_way = false;
    }

    /// What was found asks for another look.
    pub fn want(&mut self) {
        self.wanted = true;
    }

    /// Whether another look is wanted.
    pub fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// After how long a look that is wanted soon should begin; none when one is scheduled already.
    pub fn schedule(&mut self) -> Option<Duration> {
        let wait = (!self.scheduled).then(|| DEBOUNCE.max(self.took * SHARE));
        self.scheduled = true;
        wait
    }

    /// The time of the scheduled look has come.
    pub fn due(&mut self) {
        self.scheduled = false;
    }

    /// Whether the last look is so long ago that it is time for another. `pause` is the least: where nothing tells of changes,
    /// `must_poll`, it counts; else looks that take long are taken more rarely.
    pub fn is_overdue(&self, pause: Duration, must_poll: bool, now: Instant) -> bool {
        let mut pause = pause.max(self.took * SHARE);
        if !must_poll {
            pause = pause.max((self.took * IDLE_SHARE).min(IDLE_PAUSE));
            pause = pause.max((self.took * IDLE_SHARE * 2).min(IDLE_OFTEN));
        }
        self.ended.is_none_or(|at| now.saturating_duration_since(at) >= pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_look_at_a_time_and_slow_ones_more_rarely() {
        let mut looks = Looks::default();
        let now = Instant::now();
        assert!(looks.is_overdue(Duration::from_secs(10), true, now));
        assert!(looks.begin());
        assert!(!looks.begin(), "one is under way");
        assert!(looks.is_wanted());
        let later = now + Duration::from_secs(3);
        looks.ended(now, later);
        assert_eq!(looks.schedule(), Some(Duration::from_secs(30)));
        assert_eq!(looks.schedule(), None);
        looks.due();
        assert!(looks.schedule().is_some());
        assert!(!looks.is_overdue(Duration::from_secs(10), true, later + Duration::from_secs(29)));
        assert!(looks.is_overdue(Duration::from_secs(10), true, later + Duration::from_secs(30)));
        assert!(looks.begin() && !looks.is_wanted());
    }

    #[test]
    fn looks_that_nothing_asks_for_cost_next_to_nothing_and_come_each_minute() {
        let mut looks = Looks::default();
        let now = Instant::now();
        for (took, pause) in [(1, 10), (10, 10), (17, 17), (40, 20), (100, 50), (1000, 60), (7000, 70)] {
            looks.ended(now, now + Duration::from_millis(took));
            let at = |seconds: u64| now + Duration::from_millis(took) + Duration::from_secs(seconds);
            let is_overdue = |seconds| looks.is_overdue(Duration::from_secs(10), false, at(seconds));
            assert!(!is_overdue(pause - 1) && is_overdue(pause), "{took} ms");
        }
    }
}
