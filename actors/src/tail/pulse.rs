//! What the thread of an arbiter is at: written by its watchers with each step, read by their supervisor now and then, so
//! that no watcher needs a timer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use logcatch_tail::Lease;
use tokio::sync::watch;

/// One arbiter's.
#[derive(Debug)]
pub struct Pulse {
    /// What times are counted from.
    epoch: Instant,
    /// Since when a step has been under way: milliseconds after `epoch`, plus 1; 0 between steps.
    since: AtomicU64,
    /// The incarnation of the watcher whose step it is.
    whose: AtomicU64,
    lease: Lease,
    given_up: watch::Sender<bool>,
}

/// A step that is under way until it is dropped.
#[derive(Debug)]
pub struct Step<'a>(&'a Pulse);

/// A step that takes longer than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stuck {
    /// The incarnation of the watcher whose step it is.
    pub whose: u64,
    /// For how long it has been under way.
    pub how_long: Duration,
}

// === impl Pulse ===

impl Default for Pulse {
    fn default() -> Self {
        Self {
            epoch: Instant::now(),
            since: AtomicU64::new(0),
            whose: AtomicU64::new(0),
            lease: Lease::default(),
            given_up: watch::Sender::new(false),
        }
    }
}

impl Pulse {
    /// The lease of the watchers here.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// A step of this incarnation begins.
    pub fn step(&self, whose: u64) -> Step<'_> {
        self.whose.store(whose, Ordering::Relaxed);
        self.since.store(self.millis(Instant::now()) + 1, Ordering::Release);
        Step(self)
    }

    /// The step that has been under way for at least `limit`, if one has.
    #[must_use]
    pub fn stuck(&self, now: Instant, limit: Duration) -> Option<Stuck> {
        let since = self.since.load(Ordering::Acquire).checked_sub(1)?;
        let how_long = Duration::from_millis(self.millis(now).saturating_sub(since));
        let whose = self.whose.load(Ordering::Relaxed);
        // Another step may have begun between the two.
        let is_same = self.since.load(Ordering::Acquire) == since + 1;
        (is_same && how_long >= limit).then_some(Stuck { whose, how_long })
    }

    /// Nobody waits for the watchers here any more.
    pub fn give_up(&self) {
        self.given_up.send_replace(true);
    }

    /// Whether nobody waits for the watchers here any more.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        *self.given_up.borrow()
    }

    /// Returns when nobody waits for the watchers here any more.
    pub async fn given_up(&self) {
        // The sender is ours: it is not dropped while we are here.
        let _ = self.given_up.subscribe().wait_for(|given_up| *given_up).await;
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.epoch).as_millis()).unwrap_or(u64::MAX)
    }
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        self.0.since.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_step_that_is_under_way_for_long_is_stuck() {
        const LIMIT: Duration = Duration::from_secs(10);
        let pulse = Pulse::default();
        let later = Instant::now() + Duration::from_secs(60);
        assert_eq!(pulse.stuck(later, LIMIT), None);
        let step = pulse.step(7);
        assert_eq!(pulse.stuck(Instant::now(), LIMIT), None);
        let stuck = pulse.stuck(later, LIMIT).unwrap();
        assert_eq!(stuck.whose, 7);
        assert!(stuck.how_long > Duration::from_secs(50));
        drop(step);
        assert_eq!(pulse.stuck(later, LIMIT), None);
    }
}
