//! Entries whose files cannot be looked for, because a look at them does not return, as on a dead network file system: the
//! others are looked for without them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use logcatch_settings::LogEntry;

/// A look at one entry may take this long: listing a million files takes a few seconds.
const PATIENCE: Duration = Duration::from_secs(20);
/// It is given up when it still hangs this long after that was seen first: the whole process may have been stopped.
const CONFIRM: Duration = Duration::from_millis(500);

/// How far a look has come: how many entries it has begun with. Held by the thread that looks, for as long as it does.
pub type Progress = Arc<AtomicUsize>;

/// The look under way, and the entries that are left out.
#[derive(Debug, Default)]
pub struct Blind {
    looking: Option<Looking>,
    /// With the look that hangs in them.
    left_out: HashMap<String, Weak<AtomicUsize>>,
}

#[derive(Debug)]
struct Looking {
    names: Vec<String>,
    progress: Progress,
    /// What it had come to when that was last seen to change.
    seen: (usize, Instant),
    /// When it was first seen to hang.
    suspected: Option<Instant>,
}

// === impl Blind ===

impl Blind {
    /// A look begins: at these of the entries, and this is to be counted up by the thread that looks.
    pub fn begin(&mut self, entries: &[Arc<LogEntry>], now: Instant) -> (Vec<Arc<LogEntry>>, Progress) {
        self.left_out.retain(|_, look| look.strong_count() > 0);
        let seen = entries.iter().filter(|entry| !self.is_left_out(&entry.name));
        let seen: Vec<_> = seen.cloned().collect();
        let progress = Progress::default();
        self.looking = Some(Looking {
            names: seen.iter().map(|entry| entry.name.clone()).collect(),
            progress: Arc::clone(&progress),
            seen: (0, now),
            suspected: None,
        });
        (seen, progress)
    }

    /// A look ended. False when it was given up before: what it found is old.
    pub fn ended(&mut self, progress: &Progress) -> bool {
        self.looking
            .take_if(|looking| Arc::ptr_eq(&looking.progress, progress))
            .is_some()
    }

    /// Gives the look under way up if it hangs, and gives the name of the entry in which it does.
    pub fn give_up(&mut self, now: Instant) -> Option<String> {
        let looking = self.looking.as_mut()?;
        let begun = looking.progress.load(Ordering::Relaxed);
        if looking.seen.0 != begun {
            (looking.seen, looking.suspected) = ((begun, now), None);
        }
        if now.saturating_duration_since(looking.seen.1) < PATIENCE {
            return None;
        }
        let suspected = *looking.suspected.get_or_insert(now);
        if now.saturating_duration_since(suspected) < CONFIRM {
            return None;
        }
        // One that has not begun with any entry waits for a thread, not for a disk.
        let name = looking.names.get(begun.checked_sub(1)?)?.clone();
        let looking = self.looking.take()?;
        self.left_out.insert(name.clone(), Arc::downgrade(&looking.progress));
        Some(name)
    }

    /// Whether an entry is not looked at now.
    pub fn is_left_out(&self, log: &str) -> bool {
        self.left_out.contains_key(log)
    }

    /// Whether any entry is.
    pub fn is_any_left_out(&self) -> bool {
        !self.left_out.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<Arc<LogEntry>> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("logcatch.toml");
        let logs = ["a", "b"].map(|name| format!("[[logs]]\nname = \"{name}\"\npath = \"{name}\"\n"));
        let head = "[kafka]\nbrokers = [\"k:9092\"]\ntopic = \"t\"\n";
        std::fs::write(&path, head.to_owned() + &logs.concat()).unwrap();
        let loaded = logcatch_settings::load(&path, &|_| None).unwrap();
        loaded.settings.logs.into_iter().map(Arc::new).collect()
    }

    #[test]
    fn an_entry_in_which_a_look_hangs_is_left_out_until_it_returns() {
        let entries = entries();
        let mut blind = Blind::default();
        let now = Instant::now();
        let (seen, hung) = blind.begin(&entries, now);
        assert_eq!(seen.len(), 2);
        hung.fetch_add(1, Ordering::Relaxed);
        assert_eq!(blind.give_up(now + PATIENCE), None, "it goes on");
        hung.fetch_add(1, Ordering::Relaxed);
        let later = now + PATIENCE + PATIENCE;
        assert_eq!(blind.give_up(later - PATIENCE), None);
        assert_eq!(blind.give_up(later), None, "the process may have been stopped");
        assert_eq!(blind.give_up(later + CONFIRM).as_deref(), Some("b"));
        let (seen, next) = blind.begin(&entries, later);
        assert_eq!(seen.len(), 1);
        assert!(blind.ended(&next));
        assert!(!blind.ended(&hung), "given up");
        drop(hung);
        assert_eq!(blind.begin(&entries, later).0.len(), 2, "it returned");
    }
}
