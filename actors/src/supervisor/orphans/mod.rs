//! Positions that no watcher looks after: forgotten in time, not kept for ever.

pub(crate) mod actor;

use std::time::{Duration, Instant};

/// They wait for a day: minutes do not matter.
const PAUSE: Duration = Duration::from_secs(600);

/// When they were looked after last.
#[derive(Debug)]
pub(super) struct Orphanage {
    last: Instant,
}

impl Default for Orphanage {
    fn default() -> Self {
        Self { last: Instant::now() }
    }
}

impl Orphanage {
    /// Time for a look: how long after the last one.
    fn take_due(&mut self, now: Instant) -> Option<Duration> {
        let elapsed = now.saturating_duration_since(self.last);
        let is_due = elapsed >= PAUSE;
        if is_due {
            self.last = now;
        }
        is_due.then_some(elapsed)
    }
}
