//! Whether a path can be read.

use std::io;
use std::path::Path;

/// Why a path is not read; what an operator is told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Condition {
    /// There is a file and it can be read.
    #[default]
    Present,
    /// There is no file.
    Absent,
    /// The file is read by the watcher of this other path.
    SharedWith(Box<Path>),
    /// The file is, or may be, a copy of what this other path holds or held.
    CopyOf(Box<Path>),
    /// It is a directory, FIFO, socket or device.
    NotAFile,
    /// The system refuses.
    Refused {
        /// What kind of answer that is.
        kind: io::ErrorKind,
        /// Its words.
        cause: Box<str>,
    },
}

impl Condition {
    pub(crate) fn refused(error: &io::Error) -> Self {
        Self::Refused {
            kind: error.kind(),
            cause: error.to_string().into(),
        }
    }
}
