//! What an operator orders of single watchers: to start anew, or to go on from another position.

pub(crate) mod actor;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use logcatch_tail::{EditError, Moved, Place, Positions};
use thiserror::Error;

pub use actor::{ChangePosition, Restart};

/// What to do with the position of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Move it, in the file that is there now.
    Set(Place),
    /// Forget it, and those of earlier generations.
    Reset,
}

/// What was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// It was moved.
    Moved(Moved),
    /// So many generations were forgotten.
    Forgotten(usize),
}

/// Why an order was not carried out.
#[derive(Debug, Error)]
pub enum OrderError {
    /// The watcher is gone.
    #[error("cannot restart `{0}`: its watcher was stopped meanwhile")]
    Gone(PathBuf),
    /// The service is ending.
    #[error("cannot do that: the service is stopping")]
    Stopping,
    /// The position cannot be changed.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The service broke off.
    #[error("cannot tell what became of the order: {0}")]
    Broken(String),
}

/// Changes a position, and waits until that is on disk. Touches the file: not for an arbiter.
///
/// # Errors
/// [`EditError`]; nothing is changed then.
pub fn change(positions: &Arc<Positions>, log: &str, path: &Path, change: Change) -> Result<Changed, EditError> {
    let changed = match change {
        Change::Set(place) => Changed::Moved(positions.set(log, path, place)?),
        Change::Reset => Changed::Forgotten(positions.reset(log, path)?),
    };
    let (saved, is_saved) = std::sync::mpsc::channel();
    positions.when_saved(move || {
        // Nobody may be waiting any more.
        let _ = saved.send(());
    });
    // A thread that ended without saving says so itself.
    let _ = is_saved.recv();
    Ok(changed)
}
