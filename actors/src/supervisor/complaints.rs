//! What an operator is told of looks at the disk: once when it begins, not with each look.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;

use logcatch_tail::PathGlob;

use super::entries::Findings;

/// What was said and still holds.
#[derive(Debug, Default)]
pub struct Complaints {
    /// Entries that match no file.
    unmatched: HashSet<String>,
    /// What could not be looked at.
    unreadable: BTreeSet<PathBuf>,
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
    }

    /// The entry is gone; should it come back, it is said again.
    pub fn forget(&mut self, log: &str) {
        self.unmatched.remove(log);
    }
}
