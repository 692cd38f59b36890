//! The settings that were in force last: kept with each change, and fallen back to when the settings file is broken at start.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use logcatch_settings::{Loaded, Texts, default_state_directory, keep, last_good, state_directory};

use crate::cli::{self, environment};

/// What to run on when the settings file is refused; none when nothing was kept.
pub fn fall_back(config: &Path) -> Option<Loaded> {
    // Where it is, the broken file may still say.
    let state = state_directory(config, &environment).unwrap_or_else(|_| default_state_directory(&environment));
    let kept = last_good(&state, config, &environment)?;
    kept.inspect_err(|refused| {
        cli::note(&format!(
            "the settings that were in force last are refused, too: {refused}"
        ))
    })
    .ok()
}

/// Keeps settings files, off the arbiters: an fsync may take as long as the disk likes.
#[derive(Debug, Clone)]
pub struct Keeper {
    state: PathBuf,
    /// Counts what was to be kept: only the youngest is.
    youngest: Arc<AtomicU64>,
    turn: Arc<Mutex<()>>,
}

impl Keeper {
    /// Keeps them in this state directory.
    pub fn new(state: &Path) -> Self {
        Self {
            state: state.to_owned(),
            youngest: Arc::default(),
            turn: Arc::default(),
        }
    }

    /// These are in force now.
    pub fn keep(&self, texts: &Texts) {
        let (keeper, texts) = (self.clone(), texts.clone());
        let number = self.youngest.fetch_add(1, Ordering::AcqRel) + 1;
        actix_rt::task::spawn_blocking(move || {
            let _turn = keeper.turn.lock().unwrap_or_else(PoisonError::into_inner);
            if keeper.youngest.load(Ordering::Acquire) != number {
                return;
            }
            if let Err(error) = keep(&keeper.state, &texts) {
                log::warn!(state:% = keeper.state.display(), cause:% = error;
                    "cannot keep the settings in force for a start that finds the file broken");
            }
        });
    }
}
