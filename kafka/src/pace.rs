//! When to try again, and when to say so again.

use std::time::{Duration, Instant};

/// Pauses that double from one second to ten: soon enough when a short trouble ends, cheap during a long one.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    last: Option<Duration>,
}

impl Backoff {
    const FIRST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_secs(10);

    /// The next pause.
    pub(crate) fn pause(&mut self) -> Duration {
        let pause = self.last.map_or(Self::FIRST, |last| (last * 2).min(Self::LONGEST));
        self.last = Some(pause);
        pause
    }

    /// None if there was no trouble yet, else as [`Backoff::pause`]: for what may be tried at once the first time.
    pub(crate) fn pause_unless_first(&mut self) -> Duration {
        if self.last.is_none() {
            self.last = Some(Duration::ZERO);
            return Duration::ZERO;
        }
        if self.last == Some(Duration::ZERO) {
            self.last = None;
        }
        self.pause()
    }

    pub(crate) fn reset(&mut self) {
        self.last = None;
    }
}

/// A trouble that is said once and then rarely: after a minute, ten minutes, and each hour.
#[derive(Debug, Default)]
pub(crate) struct Complaint {
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    what: i32,
    since: Instant,
    said: u32,
    due: Instant,
}

impl Complaint {
    const MINUTE: Duration = Duration::from_secs(60);
    const TEN_MINUTES: Duration = Duration::from_secs(600);
    const HOUR: Duration = Duration::from_secs(3600);

    /// The trouble, told by a number, is there; true if it is to be said now. A new one is said after `grace`.
    pub(crate) fn raise(&mut self, what: i32, grace: Duration, now: Instant) -> bool {
        self.note(what, grace, now);
        self.due(now)
    }

    /// The trouble is there, and [`Complaint::due`] tells when it is to be said.
    pub(crate) fn note(&mut self, what: i32, grace: Duration, now: Instant) {
        match &self.current {
            Some(current) if current.what == what => {}
            _ => {
                self.current = Some(Current {
                    what,
                    since: now,
                    said: 0,
                    due: now + grace,
                })
            }
        }
    }

    /// True if the trouble that is there is to be said now; it is taken as said then.
    pub(crate) fn due(&mut self, now: Instant) -> bool {
        let Some(current) = self.current.as_mut().filter(|current| current.due <= now) else {
            return false;
        };
        current.said += 1;
        let since_start = match current.said {
            1 => Self::MINUTE,
            2 => Self::TEN_MINUTES,
            hours => Self::HOUR * (hours - 2),
        };
        current.due = (current.since + since_start).max(now + Self::MINUTE / 2);
        true
    }

    /// When it is to be said next.
    pub(crate) fn due_at(&self) -> Option<Instant> {
        self.current.as_ref().map(|current| current.due)
    }

    /// The trouble is over; how long it lasted, if it was ever said.
    pub(crate) fn clear(&mut self, now: Instant) -> Option<Duration> {
        let current = self.current.take()?;
        (current.said > 0).then(|| now.saturating_duration_since(current.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_ten_seconds() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..6).map(|_| backoff.pause().as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 10, 10]);
        backoff.reset();
        assert_eq!(backoff.pause_unless_first(), Duration::ZERO);
        assert_eq!(backoff.pause_unless_first().as_secs(), 1);
        assert_eq!(backoff.pause_unless_first().as_secs(), 2);
    }

    #[test]
    fn a_trouble_is_said_once_and_then_rarely() {
        let start = Instant::now();
        let mut complaint = Complaint::default();
        let mut said = Vec::new();
        for second in 0..8000 {
            if complaint.raise(3, Duration::ZERO, start + Duration::from_secs(second)) {
                said.push(second);
            }
        }
        assert_eq!(said, [0, 60, 600, 3600, 7200]);
        assert_eq!(
            complaint.clear(start + Duration::from_secs(8000)),
            Some(Duration::from_secs(8000))
        );
        assert_eq!(complaint.clear(start), None);
    }

    #[test]
    fn another_trouble_is_said_anew_and_one_within_its_grace_is_never_said() {
        let start = Instant::now();
        let mut complaint = Complaint::default();
        assert!(complaint.raise(3, Duration::ZERO, start));
        assert!(!complaint.raise(3, Duration::ZERO, start));
        assert!(complaint.raise(29, Duration::ZERO, start));
        complaint.clear(start);
        assert!(!complaint.raise(3, Duration::from_secs(2), start));
        assert_eq!(complaint.clear(start), None);
    }
}
