//! How long a failed watcher rests before it is started again.

use std::time::{Duration, Instant};

/// After the first failure.
const FIRST: Duration = Duration::from_secs(1);
/// However often it fails.
const LONGEST: Duration = Duration::from_secs(60);
/// A watcher that ran this long without failing starts over at [`FIRST`].
const QUIET: Duration = Duration::from_secs(60);

/// Doubles from 1 s to 60 s; a quiet minute resets it.
#[derive(Debug, Default)]
pub struct Backoff {
    /// Few fail: in a box.
    last: Option<Box<(Instant, Duration)>>,
}

impl Backoff {
    /// A failure now: how long to wait.
    pub fn failed(&mut self, now: Instant) -> Duration {
        let wait = match self.last.as_deref() {
            // It ran from the end of its rest on.
            Some((at, wait)) if now < *at + *wait + QUIET => (*wait * 2).min(LONGEST),
            _ => FIRST,
        };
        self.last = Some(Box::new((now, wait)));
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_to_a_minute_and_a_quiet_minute_resets_it() {
        let mut backoff = Backoff::default();
        let mut now = Instant::now();
        for expected in [1, 2, 4, 8, 16, 32, 60, 60] {
            let wait = backoff.failed(now);
            assert_eq!(wait.as_secs(), expected);
            now += wait + Duration::from_millis(10);
        }
        now += QUIET;
        assert_eq!(backoff.failed(now), FIRST);
    }
}
