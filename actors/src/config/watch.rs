//! Notices that files which decide about the settings changed: by notifications, and by looking now and then.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use logcatch_settings::Sources;
use logcatch_tail::{PathGlob, Stat};
use notify::event::EventKind;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

/// How the files look: what differs from the last look means that they must be read again.
pub type Looks = BTreeMap<PathBuf, Option<Stat>>;

/// Watches the directories of the files: an atomic replacement is seen nowhere else, and a ConfigMap swap names only
/// `..data`, a link beside them.
pub struct SourcesWatch {
    followed: Arc<Mutex<Followed>>,
    watcher: Option<RecommendedWatcher>,
}

/// What decides about the settings.
#[derive(Default)]
struct Followed {
    sources: Sources,
    /// Where those of the files that are links lead: written in place, they change there. And directories on the way to them
    /// that are links, which may be led elsewhere.
    links: BTreeSet<PathBuf>,
}

impl SourcesWatch {
    /// Calls `changed` when something happens to one of the sources.
    pub fn new(changed: impl Fn() + Send + 'static) -> Self {
        let followed: Arc<Mutex<Followed>> = Arc::default();
        let watcher = notify::recommended_watcher({
            let followed = Arc::clone(&followed);
            move |event: notify::Result<notify::Event>| {
                // A failed notification may hide any change.
                let concerns = event.map_or(true, |event| {
                    let followed = followed.lock().unwrap_or_else(PoisonError::into_inner);
                    let is_ours = |path: &PathBuf| followed.concerns(path);
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
        Self { followed, watcher }
    }

    /// Watches these sources from now on, under the directories that exist.
    pub fn follow(&mut self, sources: Sources) {
        let behind = sources.files.iter().filter_map(|path| path.canonicalize().ok());
        let mut links: BTreeSet<_> = behind.filter(|path| !sources.files.contains(path)).collect();
        let bases = sources.patterns.iter().map(PathGlob::base);
        let ways = sources.files.iter().filter_map(|path| path.parent()).chain(bases);
        links.extend(
            ways.flat_map(Path::ancestors)
                .filter(|way| way.is_symlink())
                .map(Path::to_owned),
        );
        if let Some(watcher) = self.watcher.as_mut() {
            let mut directories = sources.directories();
            directories.extend(links.iter().filter_map(|path| path.parent()).map(Path::to_owned));
            for directory in directories {
                // A directory that is missing for a while is looked for with the next look.
                let _ = watcher.watch(&directory, RecursiveMode::NonRecursive);
            }
        }
        *self.followed.lock().unwrap_or_else(PoisonError::into_inner) = Followed { sources, links };
    }

    /// How the sources look now.
    #[must_use]
    pub fn look(&self) -> Looks {
        let sources = self
            .followed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .sources
            .clone();
        let stat = |path: &PathBuf| std::fs::metadata(path).ok().map(|meta| Stat::from(&meta));
        let mut looks: Looks = sources.files.iter().map(|path| (path.clone(), stat(path))).collect();
        // Those that came to where nothing is watched, as in a directory that was moved there.
        looks.extend(sources.sweep().files.into_iter().map(|(path, stat)| (path, Some(stat))));
        looks
    }
}

impl Followed {
    /// Whether what happens to `path` can change the settings.
    fn concerns(&self, path: &Path) -> bool {
        self.sources.concerns(path)
            || self.links.contains(path)
            || path.ends_with("..data")
            || (self.sources.may_be_below(path) && path.is_dir())
    }
}
