//! The last 15 minutes, a sample every few seconds.

use std::collections::VecDeque;
use std::time::Duration;

use logcatch_kafka::Histogram;
use serde::Serialize;

use crate::service::Snapshot;

/// What is looked back at.
const SPAN: Duration = Duration::from_secs(15 * 60);

/// What happened between two looks. Rates and quantiles are of the time between them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Sample {
    /// When; seconds since the epoch.
    pub at: u64,
    /// Lines handed over each second.
    pub read_lines_per_second: f64,
    /// Lines acknowledged each second.
    pub acknowledged_lines_per_second: f64,
    /// Of the file that is behind most; seconds.
    pub lag_seconds: f64,
    /// Read and not acknowledged, bookkeeping included.
    pub in_flight_bytes: u64,
    /// Half of the requests to Kafka were acknowledged sooner; none without a request.
    pub ack_p50_seconds: Option<f64>,
    /// One in a hundred took longer; none without a request.
    pub ack_p99_seconds: Option<f64>,
}

/// The samples, oldest first.
#[derive(Debug, Default)]
pub struct History {
    samples: VecDeque<Sample>,
    last: Option<Look>,
}

/// What the next sample is told from.
#[derive(Debug)]
struct Look {
    read: u64,
    acknowledged: u64,
    acks: Histogram,
}

impl History {
    /// Takes down how the service stands now, `elapsed` after the last time.
    pub fn add(&mut self, snapshot: &Snapshot, at: u64, elapsed: Duration) {
        let sum = |figure: fn(&crate::service::EntryFigures) -> u64| snapshot.entries.iter().map(figure).sum::<u64>();
        let look = Look {
            read: sum(|entry| entry.counts.lines_read),
            acknowledged: sum(|entry| entry.balance.delivered_lines),
            acks: snapshot.stats.ack_duration.clone(),
        };
        if let Some(last) = self.last.take() {
            let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / elapsed.as_secs_f64().max(0.001);
            let counts: Vec<u64> = (look.acks.counts().iter())
                .zip(last.acks.counts())
                .map(|(now, before)| now.saturating_sub(*before))
                .collect();
            self.samples.push_back(Sample {
                at,
                read_lines_per_second: rate(look.read, last.read),
                acknowledged_lines_per_second: rate(look.acknowledged, last.acknowledged),
                lag_seconds: worst_lag(snapshot),
                in_flight_bytes: snapshot.report.kafka.in_flight_bytes,
                ack_p50_seconds: quantile(&counts, 0.5),
                ack_p99_seconds: quantile(&counts, 0.99),
            });
        }
        self.last = Some(look);
        let first = at.saturating_sub(SPAN.as_secs());
        while self.samples.front().is_some_and(|sample| sample.at < first) {
            self.samples.pop_front();
        }
    }

    /// The samples, oldest first.
    pub fn samples(&self) -> Vec<Sample> {
        self.samples.iter().copied().collect()
    }
}

/// Seconds; of files with something to ship.
fn worst_lag(snapshot: &Snapshot) -> f64 {
    let files = snapshot.report.files.iter().filter(|file| file.lag_bytes > 0);
    files.map(|file| file.lag_seconds).fold(0.0, f64::max)
}

/// The time in seconds that this part of the acknowledgements did not exceed, as if they were spread evenly in each bucket.
fn quantile(counts: &[u64], part: f64) -> Option<f64> {
    let total: u64 = counts.iter().sum();
    let wanted = total as f64 * part;
    let (mut below, mut lower) = (0.0, 0.0);
    for (place, count) in counts.iter().enumerate() {
        let Some(upper) = Histogram::BOUNDS_MS.get(place) else {
            break;
        };
        let (upper, count) = (*upper as f64 / 1000.0, *count as f64);
        if count > 0.0 && below + count >= wanted {
            return Some(lower + (upper - lower) * (wanted - below) / count);
        }
        (below, lower) = (below + count, upper);
    }
    // Beyond all bounds.
    (total > 0).then_some(lower)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::EntryFigures;

    fn snapshot(read: u64, acknowledged: u64) -> Snapshot {
        let mut entry = EntryFigures::default();
        entry.counts.lines_read = read;
        entry.balance.delivered_lines = acknowledged;
        Snapshot {
            entries: vec![entry],
            ..Snapshot::default()
        }
    }

    #[test]
    fn rates_are_of_the_time_between_two_looks() {
        let mut history = History::default();
        history.add(&snapshot(1000, 900), 100, Duration::from_secs(5));
        assert!(history.samples().is_empty(), "nothing to compare with");
        let mut next = snapshot(2000, 1400);
        next.stats.ack_duration.observe(Duration::from_millis(3));
        history.add(&next, 105, Duration::from_secs(5));
        let sample = history.samples()[0];
        assert_eq!((sample.at, sample.read_lines_per_second), (105, 200.0));
        assert_eq!(sample.acknowledged_lines_per_second, 100.0);
        assert_eq!(sample.ack_p50_seconds, Some(0.0035));
        history.add(&next, 110, Duration::from_secs(5));
        assert_eq!(history.samples()[1].ack_p50_seconds, None);
    }

    #[test]
    fn a_quarter_of_an_hour_is_kept() {
        let mut history = History::default();
        for at in 0..10_000 {
            history.add(&Snapshot::default(), at * 5, Duration::from_secs(5));
        }
        assert_eq!(history.samples().len(), 181);
    }

    #[test]
    fn quantiles_are_told_from_buckets() {
        // 1, 2, 5 ms and more.
        assert_eq!(quantile(&[0, 0, 0], 0.5), None);
        assert_eq!(quantile(&[100, 0, 0], 0.5), Some(0.0005));
        assert_eq!(quantile(&[50, 50, 0], 0.75), Some(0.0015));
        assert_eq!(quantile(&[99, 0, 1], 1.0), Some(0.005));
        let mut beyond = [0; 16];
        beyond[15] = 1;
        assert_eq!(quantile(&beyond, 0.5), Some(60.0));
    }
}
