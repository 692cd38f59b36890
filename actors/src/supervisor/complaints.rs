//! What an operator is told of looks at the disk: once when it begins, not with each look.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use logcatch_tail::PathGlob;

use super::entries::Findings;
use crate::observe::Key;

/// What is on its way is acknowledged within seconds, unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was said and still holds.
#[derive(Debug, Default)]
pub struct Complaints {
    /// Entries that match no file.
    unmatched: HashSet<String>,
    /// Files that several entries match.
    overlaps: Vec<String>,
    /// What could not be looked at.
    unreadable: BTreeSet<PathBuf>,
    /// Files that nobody reads before what was read of them earlier is settled: since when, and whether that was said.
    unsettled: HashMap<Key, (Instant, bool)>,
}

impl Complaints {
    /// Says what is new in these findings, of entries that are `known`: others were removed while the disk was looked at.
    pub fn say(&mut self, findings: &Findings, known: impl Fn(&str) -> bool) {
        let mut unreadable = BTreeSet::new();
        for (entry, swept) in findings.entries.iter().filter(|(entry, _)| known(&entry.name)) {
            if !swept.files.is_empty() {
                self.unmatched.remove(&entry.name);
            } else if self.unmatched.insert(entry.name.clone()) {
                let paths: Vec<_> = entry.paths.iter().map(PathGlob::as_str).collect();
                log::warn!(log = entry.name, paths:? = paths; "no file matches yet; waiting for one");
            }
            for (path, error) in &swept.unreadable {
                if !self.unreadable.contains(path) {
                    log::warn!(log = entry.name, path:% = path.display(), cause:% = error,
                        help = "give the service's user the right to read it"; "cannot look for files here; waiting");
                }
                unreadable.insert(path.clone());
            }
        }
        self.unreadable = unreadable;
        for overlap in findings
            .overlaps
            .iter()
            .filter(|overlap| !self.overlaps.contains(overlap))
        {
            log::info!("several entries match the same files: {overlap}");
        }
        self.overlaps.clone_from(&findings.overlaps);
    }

    /// Says which files wait for long: of these nobody reads any, because what was read before is not settled.
    pub fn say_unsettled(&mut self, unsettled: &HashSet<Key>, now: Instant) {
        self.unsettled.retain(|key, _| unsettled.contains(key));
        for key in unsettled {
            let (since, is_said) = self.unsettled.entry(key.clone()).or_insert((now, false));
            if !*is_said && now.saturating_duration_since(*since) >= PATIENCE {
                *is_said = true;
                log::warn!(log = key.0, path:% = key.1.display(),
                    help = "let the topic that its entry had take the lines, or restart the service: then they are read again";
                    "the file waits until what was read of it before is acknowledged");
            }
        }
    }

    /// The entry is gone; should it come back, it is said again.
    pub fn forget(&mut self, log: &str) {
        self.unmatched.remove(log);
    }
}
