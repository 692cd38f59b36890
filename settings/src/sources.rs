//! The files that decide about settings.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use logcatch_tail::PathGlob;

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

    /// The directories in which such changes happen. A file that is replaced is noticed only in its directory.
    pub fn directories(&self) -> BTreeSet<PathBuf> {
        let parents = self.files.iter().filter_map(|file| file.parent());
        let bases = self.patterns.iter().map(PathGlob::base);
        parents.chain(bases).map(Path::to_path_buf).collect()
    }
}
