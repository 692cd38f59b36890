//! What is measured, for programs: a line of JSON on standard output each.

use std::time::Duration;

use serde_json::{Map, Value};

/// Says the figures of a scenario; a name ends with the unit.
pub fn say(scenario: &str, figures: Value) {
    let Value::Object(figures) = figures else {
        panic!("figures have names");
    };
    let mut line = Map::new();
    line.insert("scenario".to_owned(), scenario.into());
    line.extend(figures);
    println!("{}", Value::Object(line));
}

/// Three digits after the point are more than any of this is exact to.
pub fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Latencies, in milliseconds.
pub struct Percentiles(Vec<Duration>);

impl Percentiles {
    /// Of these, which are not none.
    pub fn of(mut all: Vec<Duration>) -> Percentiles {
        assert!(!all.is_empty(), "nothing was timed");
        all.sort_unstable();
        Percentiles(all)
    }

    /// So many percent took at most this long, in milliseconds.
    pub fn at(&self, percent: usize) -> f64 {
        rounded(self.0[(self.0.len() * percent).div_ceil(100).max(1) - 1].as_secs_f64() * 1e3)
    }
}
