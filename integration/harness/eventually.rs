//! Waiting for a condition: generous, because a slow machine is no bug, and telling, because a missing condition is one.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a condition may take to come true before the test fails.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Between two looks: short beside anything worth waiting for, long enough to leave the cores to the service.
const PAUSE: Duration = Duration::from_millis(20);

/// Waits until `look` gives a value; its `Err` says what it sees instead, for the message of the failed test.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match look() {
            Ok(value) => return value,
            Err(seen) if start.elapsed() > DEADLINE => {
                panic!("waited {DEADLINE:?} for: {what}\nbut saw: {seen}")
            }
            Err(_) => sleep(PAUSE),
        }
    }
}

/// For a look that only knows yes or no: `Ok(())` or what is seen instead.
pub fn when(condition: bool, seen: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(seen()) }
}
