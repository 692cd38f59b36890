//! `rate_limit`: so many bytes a second for all files of an entry together. It delays, and drops nothing: what is not read
//! stays in its file.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The limits of all entries that have one, by name: all watchers of an entry share its limit, also across reloads.
#[derive(Debug, Default)]
pub struct Rates(Mutex<HashMap<String, Arc<Rate>>>);

/// The limit of one entry.
#[derive(Debug)]
pub struct Rate(Mutex<Pace>);

#[derive(Debug)]
struct Pace {
    /// Bytes a second.
    limit: u64,
    /// When all that was read so far will have been due.
    due: Option<Instant>,
}

impl Rates {
    /// That of an entry, if it has one now: `limit` in bytes a second.
    pub fn of(&self, log: &str, limit: Option<u64>) -> Option<Arc<Rate>> {
        let mut rates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(limit) = limit else {
            rates.remove(log);
            return None;
        };
        let fresh = || Arc::new(Rate(Mutex::new(Pace { limit, due: None })));
        let rate = rates.entry(log.to_owned()).or_insert_with(fresh);
        rate.pace().limit = limit;
        Some(Arc::clone(rate))
    }
}

impl Rate {
    /// When more may be read, unless that is now.
    pub fn wait(&self, now: Instant) -> Option<Instant> {
        self.pace().due.filter(|due| *due > now)
    }

    /// So many bytes were read now.
    pub fn spend(&self, bytes: u64, now: Instant) {
        let mut pace = self.pace();
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(pace.limit.max(1));
        let took = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        pace.due = Some(pace.due.map_or(now, |due| due.max(now)) + took);
    }

    fn pace(&self) -> std::sync::MutexGuard<'_, Pace> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_of_an_entry_together_read_no_faster_than_the_limit() {
        let rates = Rates::default();
        let files: Vec<_> = (0..5).map(|_| rates.of("app", Some(1000)).unwrap()).collect();
        let start = Instant::now();
        let (mut now, mut read) = (start, 0);
        while read < 100_000 {
            for file in &files {
                if file.wait(now).is_none() {
                    file.spend(300, now);
                    read += 300;
                }
            }
            now = files[0].wait(now).unwrap_or(now);
        }
        let least = Duration::from_secs(read / 1000) - Duration::from_millis(5);
        assert!(now - start >= least, "{read} bytes in {:?}", now - start);
        assert!(now - start <= Duration::from_secs(read / 1000 + 2));
    }

    #[test]
    fn quiet_time_is_not_saved_up_and_a_new_limit_counts_from_now_on() {
        let rates = Rates::default();
        let rate = rates.of("app", Some(1000)).unwrap();
        let start = Instant::now();
        rate.spend(1000, start);
        let later = start + Duration::from_secs(100);
        assert_eq!(rate.wait(later), None);
        rate.spend(1000, later);
        assert_eq!(rate.wait(later), Some(later + Duration::from_secs(1)));
        rates.of("app", Some(10)).unwrap();
        rate.spend(10, later);
        assert_eq!(rate.wait(later), Some(later + Duration::from_secs(2)));
        assert!(rates.of("other", Some(10)).unwrap().wait(later).is_none());
        assert!(rates.of("app", None).is_none());
    }
}
