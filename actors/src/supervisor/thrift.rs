//! When memory that a burst left free goes back to the system: the first sight of ten thousand files leaves megabytes.

use std::time::{Duration, Instant};

/// Quiet for this long, a burst is over, and all that it needed is let go: what files still count on is in use.
const QUIET: Duration = Duration::from_secs(8);

/// Knows whether there was a burst, and whether it is over.
#[derive(Debug, Default)]
pub struct Thrift {
    /// Since when nothing happens, if something happened before.
    quiet_since: Option<Instant>,
    is_due: bool,
}

impl Thrift {
    /// Something happens now, or nothing does. True if it is time: once after each burst.
    pub fn is_time(&mut self, is_busy: bool, now: Instant) -> bool {
        if is_busy {
            (self.quiet_since, self.is_due) = (None, true);
            return false;
        }
        let since = *self.quiet_since.get_or_insert(now);
        let is_over = now.saturating_duration_since(since) >= QUIET;
        is_over && std::mem::take(&mut self.is_due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_time_once_when_a_burst_is_over() {
        let mut thrift = Thrift::default();
        let start = Instant::now();
        let mut at = |seconds, is_busy| thrift.is_time(is_busy, start + Duration::from_secs(seconds));
        assert!(!at(0, false) && !at(20, false), "nothing happened");
        assert!(!at(21, true) && !at(22, false) && !at(29, false));
        assert!(!at(30, true), "it goes on");
        assert!(!at(31, false) && !at(38, false));
        assert!(at(39, false) && !at(40, false) && !at(90, false), "once");
    }
}
