//! When the world was fit for reading, and when the service ended without having drained: what a loss or a duplicate is
//! weighed by. Times are milliseconds since the epoch, as the broker stamps records.

use std::time::SystemTime;

/// The service does not run, or has been told to end, or is not up yet.
pub const DOWN: u8 = 1;
/// It is stopped by SIGSTOP.
pub const FROZEN: u8 = 2;
/// Kafka is away, or the service may not have found it again.
pub const NO_KAFKA: u8 = 4;
/// The entry of the second directory is not in force.
pub const NO_SIDE: u8 = 8;

/// The longest checkpoint interval that the plan sets.
pub const CHECKPOINT: i64 = 1000;
/// What a save, and the news of an acknowledgement, may take on a busy machine.
const SAVE: i64 = 2000;

/// Milliseconds since the epoch.
pub fn now() -> i64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().expect("the clock is past 1970");
    i64::try_from(since.as_millis()).expect("the clock is sane")
}

/// See the module.
pub struct Timeline {
    /// What stood in the way, from when on.
    changes: Vec<(i64, u8)>,
    crashes: Vec<i64>,
}

impl Timeline {
    /// Nothing runs yet.
    pub fn new() -> Timeline {
        Timeline {
            changes: vec![(0, DOWN)],
            crashes: Vec::new(),
        }
    }

    fn state(&self) -> u8 {
        self.changes.last().map_or(DOWN, |(_, state)| *state)
    }

    /// Whether this stands in the way now.
    pub fn has(&self, what: u8) -> bool {
        self.state() & what != 0
    }

    /// Something stands in the way from now on.
    pub fn set(&mut self, what: u8) {
        self.changes.push((now(), self.state() | what));
    }

    /// It does so no more.
    pub fn clear(&mut self, what: u8) {
        if self.state() & what != 0 {
            self.changes.push((now(), self.state() & !what));
        }
    }

    /// The service ended with something in flight.
    pub fn crash(&mut self) {
        self.crashes.push(now());
    }

    /// Milliseconds of `from..to` in which none of `what` stood in the way.
    pub fn fit(&self, from: i64, to: i64, what: u8) -> i64 {
        let ends = self.changes.iter().skip(1).map(|(at, _)| *at).chain([i64::MAX]);
        let span = |((at, state), end): (&(i64, u8), i64)| {
            let free = state & what == 0;
            if free {
                (end.min(to) - (*at).max(from)).max(0)
            } else {
                0
            }
        };
        self.changes.iter().zip(ends).map(span).sum()
    }

    /// What the crashes so far put at risk.
    pub fn risks(&self) -> Vec<Risk> {
        let near = |from, to| self.fit(from, to, FROZEN | NO_KAFKA) <= CHECKPOINT + SAVE;
        let risk = |crash: &i64| Risk {
            from: first(0, *crash, |at| near(at, *crash)),
            to: first(*crash, now() + 1, |at| !near(*crash, at)) - 1,
            crash: *crash,
        };
        self.crashes.iter().map(risk).collect()
    }
}

/// The first time of `low..=high` from which on a condition holds.
fn first(mut low: i64, mut high: i64, condition: impl Fn(i64) -> bool) -> i64 {
    while low < high {
        let middle = low + (high - low) / 2;
        if condition(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

/// What Kafka appended `from..=to` was in flight at a crash, or acknowledged after the last save before it. While the process
/// stands still, or Kafka is away, neither saves nor acknowledgements come.
pub struct Risk {
    from: i64,
    to: i64,
    crash: i64,
}

impl Risk {
    /// Whether a record of this time may be repeated.
    pub fn covers(&self, time: i64) -> bool {
        (self.from..=self.to).contains(&time)
    }

    /// Whether the crash lies between two records of one line and explains the second.
    pub fn explains(&self, first: i64, again: i64) -> bool {
        self.covers(first) && self.crash <= again
    }
}
