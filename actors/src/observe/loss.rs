//! Time to loss: how long the lag of a path lasts until rotation deletes bytes that are not acknowledged.
//!
//! It is an estimate from what the records of the path's generations say, without a look at the disk:
//! - as many rotated generations are kept as there are now: the next rotation deletes the oldest one. Where that number is still
//!   growing, as in the first days of a host, the estimate is too short, never too long;
//! - rotations come at the pace of the last ones, whose times are those of the last write to each rotated generation. Of several
//!   intervals the median counts (the shorter of two), so that one rotation by hand changes nothing. A rotation that is
//!   overdue is expected at any moment;
//! - bytes are acknowledged at the rate of the last seconds. What is acknowledged before its generation goes is not at risk.
//!
//! A deleted file that the service has open is read all the same, as long as the service runs: the estimate does not count on that.
//!
//! A path of which no rotated generation is known has no such time: nothing says that it is rotated.

use std::collections::HashMap;

use logcatch_tail::{FileId, Life, StreamRecord};

/// Intervals that count: the last week of a daily rotation.
const INTERVALS: usize = 7;
/// Nanoseconds in a second.
const SECOND: f64 = 1e9;

/// One generation of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Generation {
    is_rotated: bool,
    /// First seen; nanoseconds since the epoch.
    born: i64,
    /// Last written to; nanoseconds since the epoch.
    modified: i64,
    /// Bytes that are not acknowledged.
    unread: u64,
}

/// A file that is read, as it was seen last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LastSeen {
    /// Bytes.
    pub(crate) size: u64,
    /// Modification time, nanoseconds since the epoch; 0 where it is not known.
    pub(crate) modified: i64,
}

/// Seconds until rotation deletes bytes of these generations that will not be acknowledged by then; none if nothing speaks for
/// that. What was `seen` of one is newer than its record. The rate is in bytes a second, `now` in nanoseconds since the epoch.
pub(crate) fn time_to_loss(
    records: &[StreamRecord],
    seen: &HashMap<FileId, LastSeen>,
    rate: f64,
    now: i64,
) -> Option<f64> {
    let mut records: Vec<&StreamRecord> = records.iter().filter(|record| record.absent_seconds == 0).collect();
    records.sort_by_key(|record| record.order);
    let generation = |record: &&StreamRecord| {
        let (size, modified) = seen.get(&record.id).map_or((0, 0), |seen| (seen.size, seen.modified));
        Generation {
            is_rotated: record.life == Life::Rotated,
            born: i64::try_from(record.id.0).unwrap_or(i64::MAX),
            modified: record.modified.max(modified),
            unread: record.size.max(size).saturating_sub(record.mark.offset),
        }
    };
    let generations: Vec<Generation> = records.iter().map(generation).collect();
    estimate(&generations, rate, now)
}

/// The same of generations from the oldest to the live one.
fn estimate(generations: &[Generation], rate: f64, now: i64) -> Option<f64> {
    let rotated: Vec<&Generation> = generations.iter().filter(|one| one.is_rotated).collect();
    let interval = interval(&rotated)?;
    let last = rotated.iter().map(|one| one.modified).max()?;
    let next = ((last - now) as f64 / SECOND + interval).max(0.0);
    let mut ahead = 0;
    let mut soonest: Option<f64> = None;
    for (place, generation) in generations.iter().enumerate() {
        ahead += generation.unread;
        // Of the rotated ones, the oldest goes with the next rotation, the one after it with the one after that.
        let before = rotated.len().min(place);
        let deadline = next + interval * before as f64;
        let is_saved = rate > 0.0 && ahead as f64 / rate <= deadline;
        if generation.unread > 0 && !is_saved {
            soonest = Some(soonest.map_or(deadline, |known| known.min(deadline)));
        }
    }
    soonest
}

/// Seconds from one rotation to the next.
fn interval(rotated: &[&Generation]) -> Option<f64> {
    let mut times: Vec<i64> = rotated.iter().map(|one| one.modified).collect();
    times.sort_unstable();
    let mut intervals: Vec<i64> = times
        .windows(2)
        .rev()
        .map(|pair| pair[1] - pair[0])
        .filter(|interval| *interval > 0)
        .take(INTERVALS)
        .collect();
    if intervals.is_empty() {
        // One rotation: it lived at least as long as we knew it.
        intervals.extend(
            rotated
                .last()
                .map(|one| one.modified - one.born)
                .filter(|lived| *lived > 0),
        );
    }
    intervals.sort_unstable();
    let median = intervals.get(intervals.len().checked_sub(1)? / 2)?;
    Some(*median as f64 / SECOND)
}

#[cfg(test)]
mod tests {
    use logcatch_tail::{Head, Inode, Mark};

    use super::*;

    const HOUR: f64 = 3600.0;

    fn hours(hours: f64) -> i64 {
        i64::try_from(std::time::Duration::from_secs_f64(hours * HOUR).as_nanos()).unwrap()
    }

    /// Rotated each hour, `kept` are there, and of the oldest ones so much is unread.
    fn hourly(kept: u32, unread: &[u64]) -> Vec<Generation> {
        (0..=kept)
            .map(|place| Generation {
                is_rotated: place < kept,
                born: hours(f64::from(place)),
                modified: hours(f64::from(place) + 1.0),
                unread: unread.get(place as usize).copied().unwrap_or(0),
            })
            .collect()
    }

    fn estimated(generations: &[Generation], rate: f64, now: f64) -> Option<f64> {
        estimate(generations, rate, hours(now)).map(|seconds| (seconds / HOUR * 100.0).round() / 100.0)
    }

    #[test]
    fn what_is_unread_lasts_until_as_many_rotations_as_are_kept() {
        // The last rotation was at three o'clock; it is a quarter past.
        let live = hourly(3, &[0, 0, 0, 10]);
        assert_eq!(estimated(&live, 0.0, 3.25), Some(3.75));
        assert_eq!(estimated(&hourly(3, &[0, 10, 10, 10]), 0.0, 3.25), Some(1.75));
        assert_eq!(estimated(&hourly(3, &[10, 0, 0, 0]), 0.0, 3.25), Some(0.75));
        assert_eq!(estimated(&hourly(3, &[0, 0, 0, 0]), 0.0, 3.25), None);
    }

    #[test]
    fn a_rotation_that_is_overdue_may_come_now() {
        assert_eq!(estimated(&hourly(3, &[10, 0, 0, 0]), 0.0, 9.0), Some(0.0));
        assert_eq!(estimated(&hourly(3, &[0, 0, 0, 10]), 0.0, 9.0), Some(3.0));
    }

    #[test]
    fn what_is_acknowledged_in_time_is_not_at_risk() {
        let lag = hourly(3, &[1000, 100_000, 0, 0]);
        let rate = |bytes: f64, in_hours: f64| bytes / (in_hours * HOUR);
        assert_eq!(estimated(&lag, rate(101_000.0, 1.5), 3.25), None);
        assert_eq!(
            estimated(&lag, rate(101_000.0, 2.0), 3.25),
            Some(1.75),
            "the second one is late"
        );
        assert_eq!(estimated(&lag, rate(1000.0, 1.0), 3.25), Some(0.75), "both are");
    }

    #[test]
    fn one_rotation_counts_from_the_first_sight_and_none_says_nothing() {
        assert_eq!(estimated(&hourly(1, &[0, 10]), 0.0, 1.5), Some(1.5));
        assert_eq!(estimated(&hourly(0, &[10]), 0.0, 1.5), None);
    }

    /// In an outage nothing is read, and records stay as they were when their files were new.
    #[test]
    fn what_was_seen_of_a_file_is_newer_than_its_record() {
        let record = |order: u32, life| StreamRecord {
            log: "app".into(),
            path: std::path::Path::new("/a").into(),
            id: FileId(u64::try_from(hours(f64::from(order))).unwrap()),
            order: order.into(),
            inode: Inode {
                dev: 1,
                ino: order.into(),
                born: None,
            },
            head: Head::default(),
            mark: Mark::default(),
            size: 0,
            modified: hours(f64::from(order)),
            life,
            truncated: false,
            copy: false,
            absent_seconds: 0,
            archived: None,
            charset: None,
            target: None,
            placement: None,
        };
        let records = [
            record(1, Life::Rotated),
            record(2, Life::Rotated),
            record(3, Life::Live),
        ];
        let seen = |order: u32| {
            let last = LastSeen {
                size: 100,
                modified: hours(f64::from(order) + 1.0),
            };
            (records[order as usize - 1].id, last)
        };
        let left = |seen: &[(FileId, LastSeen)]| {
            let seen = seen.iter().copied().collect();
            time_to_loss(&records, &seen, 0.0, hours(3.5)).map(|seconds| seconds / HOUR)
        };
        assert_eq!(left(&[]), None, "all of them are empty");
        assert_eq!(left(&[seen(1), seen(2), seen(3)]), Some(0.5));
        assert_eq!(
            left(&[seen(2), seen(3)]),
            Some(3.5),
            "two hours from the first rotation to the second"
        );
        let mut gone = records.clone();
        gone[0].absent_seconds = 1;
        let seen = [seen(1), seen(2), seen(3)].into_iter().collect();
        assert_eq!(time_to_loss(&gone, &seen, 0.0, hours(3.5)), Some(0.5 * HOUR));
    }

    #[test]
    fn one_rotation_by_hand_changes_nothing() {
        let mut lag = hourly(5, &[10]);
        lag[4].modified = lag[3].modified + hours(0.1);
        assert_eq!(estimated(&lag, 0.0, 4.1), Some(1.0));
    }
}
