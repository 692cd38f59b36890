//! The settings that were in force last: kept with each change, and fallen back to when the settings file is broken at start.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use logcatch_settings::{Loaded, Texts, default_state_directory, keep, last_good, state_directory};

use crate::cli::{self, environment};

/// What to run on when the settings file is refused; none when nothing was kept.
pub fn fall_back(config: &Path) -> Option<Loaded> {
    // Where it is, the broken file may still say.
    let state = state_directory(config, &environment).unwrap_or_else(|_| default_state_directory(&environment));
    let kept = last_good(&state, config, &environment)?;
    kept.inspect_err(|refused| {
        cli::note(&format!(
            "the settings that were in force last are refused, too: {}",
            refused.in_full()
        ))
    })
    .ok()
}

/// Keeps settings files, off the arbiters: an fsync may take as long as the disk likes.
#[derive(Debug, Clone)]
pub struct Keeper(Arc<Shelf>);

#[derive(Debug)]
struct Shelf {
    state: PathBuf,
    /// What is to be kept: only the youngest counts.
    waiting: Mutex<Option<Texts>>,
    /// One writes at a time.
    turn: Mutex<()>,
}

impl Keeper {
    /// Keeps them in this state directory.
    pub fn new(state: &Path) -> Self {
        Self(Arc::new(Shelf {
            state: state.to_owned(),
            waiting: Mutex::default(),
            turn: Mutex::default(),
        }))
    }

    /// These are in force now.
    pub fn keep(&self, texts: &Texts) {
        *lock(&self.0.waiting) = Some(texts.clone());
        let keeper = self.clone();
        actix_rt::task::spawn_blocking(move || keeper.flush());
    }

    /// Returns when what was to be kept is on disk, or cannot be.
    pub fn flush(&self) {
        let _turn = lock(&self.0.turn);
        let Some(texts) = lock(&self.0.waiting).take() else {
            return;
        };
        if let Err(error) = keep(&self.0.state, &texts) {
            log::warn!(state:% = self.0.state.display(), cause:% = error;
                "cannot keep the settings in force for a start that finds the file broken");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
