//! When to look at the disk: one look at a time, not too often, and never much of the time.

use std::time::{Duration, Instant};

/// Files often come and go in groups: one look for all.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// Looking takes at most one part in so many of the time, however many files there are.
const SHARE: u32 = 10;

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

    /// Whether the last look is so long ago that it is time for another.
    pub fn is_overdue(&self, pause: Duration, now: Instant) -> bool {
        let pause = pause.max(self.took * SHARE);
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
        assert!(looks.is_overdue(Duration::from_secs(10), now));
        assert!(looks.begin());
        assert!(!looks.begin(), "one is under way");
        assert!(looks.is_wanted());
        let later = now + Duration::from_secs(3);
        looks.ended(now, later);
        assert_eq!(looks.schedule(), Some(Duration::from_secs(30)));
        assert_eq!(looks.schedule(), None);
        looks.due();
        assert!(looks.schedule().is_some());
        assert!(!looks.is_overdue(Duration::from_secs(10), later + Duration::from_secs(29)));
        assert!(looks.is_overdue(Duration::from_secs(10), later + Duration::from_secs(30)));
        assert!(looks.begin() && !looks.is_wanted());
    }
}
