//! What a watcher keeps of what it was made of.

use std::path::Path;
use std::sync::Arc;

use crate::siblings::Rotated;
use crate::watcher::WatchSpec;

/// What stays of a [`WatchSpec`] beside the recipe that is made of it.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) log: Arc<str>,
    pub(crate) path: Arc<Path>,
    pub(crate) from_end: bool,
    /// None for [`BESIDE`]: few files have any elsewhere.
    rotated: Option<Box<Rotated>>,
    pub(crate) ignore_before: Option<i64>,
}

/// Where rotated generations are looked for unless the settings say more.
static BESIDE: Rotated = Rotated::BESIDE;

impl Spec {
    pub(crate) fn of(spec: WatchSpec) -> Self {
        Self {
            log: spec.log,
            path: spec.path,
            from_end: spec.from_end,
            rotated: kept(spec.rotated),
            ignore_before: spec.ignore_before,
        }
    }

    /// Where rotated generations are.
    pub(crate) fn rotated(&self) -> &Rotated {
        self.rotated.as_deref().unwrap_or(&BESIDE)
    }

    /// They are there from now on.
    pub(crate) fn set_rotated(&mut self, rotated: Rotated) {
        self.rotated = kept(rotated);
    }
}

fn kept(rotated: Rotated) -> Option<Box<Rotated>> {
    (rotated != BESIDE).then(|| Box::new(rotated))
}
