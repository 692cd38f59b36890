//! Notices that files which decide about the settings changed: by notifications, and by looking now and then.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use logcatch_settings::Sources;
use logcatch_tail::Stat;
use notify::event::EventKind;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

/// How the files look: what differs from the last look means that they must be read again.
pub type Looks = BTreeMap<PathBuf, Option<Stat>>;

/// Watches the directories of the files: an atomic replacement is seen nowhere else, and a ConfigMap swap names only
/// `..data`, a link beside them.
pub struct SourcesWatch {
    sources: Arc<Mutex<Sources>>,
    watcher: Option<RecommendedWatcher>,
}

impl SourcesWatch {
    /// Calls `changed` when something happens to one of the sources.
    pub fn new(changed: impl Fn() + Send + 'static) -> Self {
        let sources: Arc<Mutex<Sources>> = Arc::default();
        let watcher = notify::recommended_watcher({
            let sources = Arc::clone(&sources);
            move |event: notify::Result<notify::Event>| {
                // A failed notification may hide any change.
                let concerns = event.map_or(true, |event| {
                    let sources = sources.lock().unwrap_or_else(PoisonError::into_inner);
                    let is_ours = |path: &PathBuf| sources.concerns(path) || path.ends_with("..data");
                    event.need_rescan()
                        || (!matches!(event.kind, EventKind::Access(_)) && event.paths.iter().any(is_ours))
                });
                if concerns {
                    changed();
                }
            }
        });
        let watcher = watcher
            .inspect_err(|error| {
                log::warn!(cause:% = error; "no file notifications on this system; the settings file is looked at now and then");
            })
            .ok();
        Self { sources, watcher }
    }

    /// Watches these sources from now on, under the directories that exist.
    pub fn follow(&mut self, sources: Sources) {
        if let Some(watcher) = self.watcher.as_mut() {
            for directory in sources.directories() {
                // A directory that is missing for a while is looked for with the next look.
                let _ = watcher.watch(&directory, RecursiveMode::NonRecursive);
            }
        }
        *self.sources.lock().unwrap_or_else(PoisonError::into_inner) = sources;
    }

    /// How the sources look now.
    #[must_use]
    pub fn look(&self) -> Looks {
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let stat = |path: &PathBuf| std::fs::metadata(path).ok().map(|meta| Stat::from(&meta));
        sources.files.iter().map(|path| (path.clone(), stat(path))).collect()
    }
}
