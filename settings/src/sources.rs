//! The files that decide about settings.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use logcatch_tail::{PathGlob, Sweep, sweep};

/// The files that decide about settings: the file itself, those it includes, and the secrets both name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// Absolute paths, whether the files exist or not.
    pub files: BTreeSet<PathBuf>,
    /// The patterns of `include`: a new file that matches one counts too.
    pub patterns: Vec<PathGlob>,
}

// === impl Sources ===

impl Sources {
    /// Whether a change of `path` can change the settings.
    pub fn concerns(&self, path: &Path) -> bool {
        self.files.contains(path) || self.patterns.iter().any(|pattern| pattern.is_match(path))
    }

    /// Whether files that `include` means may be below the directory `path`.
    pub fn may_be_below(&self, path: &Path) -> bool {
        let leads_there = |pattern: &PathGlob| pattern.base().starts_with(path) || pattern.may_descend(path);
        self.patterns.iter().any(leads_there)
    }

    /// What `include` means on the disk now.
    pub fn sweep(&self) -> Sweep {
        sweep(&self.patterns, &[])
    }

    /// The directories in which such changes happen. A file that is replaced is noticed only in its directory.
    pub fn directories(&self) -> BTreeSet<PathBuf> {
        let mut directories = self.sweep().directories;
        directories.extend(self.files.iter().filter_map(|file| file.parent()).map(Path::to_owned));
        directories
    }
}
