//! What the SupervisorActor knows of the settings entries, and what a look at the disk means for them. No actors here.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use logcatch_settings::{LogEntry, Watch};
use logcatch_tail::{Stat, Sweep, pack, sweep};

use super::blind::Progress;
use super::overlaps::Overlaps;
use super::remote::is_remote;

/// When so many watchers come at once, what grew with them is laid out anew: one walk, beside starting them all.
pub const MANY: usize = 1000;

/// What one look at the disk found, entry by entry.
#[derive(Debug)]
pub struct Findings {
    /// In the order of the settings.
    pub entries: Vec<(Arc<LogEntry>, Sweep)>,
    /// Whether some entry must be looked at each second.
    pub is_polled: bool,
    /// Which files several entries match, and what then happens.
    pub overlaps: Vec<String>,
}

impl Findings {
    /// Looks, and counts up each entry it begins with. Takes as long as the disk likes: never on an arbiter.
    #[must_use]
    pub fn look(entries: &[Arc<LogEntry>], progress: &Progress) -> Self {
        let mut overlaps = Overlaps::default();
        let mut found = Vec::new();
        for (place, entry) in entries.iter().enumerate() {
            progress.fetch_add(1, Ordering::Relaxed);
            #[cfg(debug_assertions)]
            crate::fault::hang(&format!("look-{}", entry.name));
            let mut swept = sweep(&entry.paths, &entry.exclude_paths);
            if entries.len() > 1 {
                overlaps.take(place, entry, &mut swept);
            }
            found.push((Arc::clone(entry), swept));
        }
        let is_polled = found.iter().any(|(entry, swept)| match entry.watch {
            Watch::Poll => true,
            Watch::Notify => false,
            Watch::Auto => directories(swept).any(|directory| is_remote(&directory)),
        });
        Self {
            entries: found,
            is_polled,
            overlaps: overlaps.told(entries),
        }
    }

    /// The directories that should be watched: those of the entries that do not poll.
    #[must_use]
    pub fn directories(&self) -> BTreeSet<PathBuf> {
        let notified = self.entries.iter().filter(|(entry, _)| entry.watch != Watch::Poll);
        notified.flat_map(|(_, swept)| directories(swept)).collect()
    }
}

/// Where the files of an entry come and go, and where those are that links lead to.
fn directories(swept: &Sweep) -> impl Iterator<Item = PathBuf> {
    let behind = swept.links.values().filter_map(|real| real.parent());
    swept
        .directories
        .iter()
        .map(PathBuf::as_path)
        .chain(behind)
        .map(Path::to_owned)
}

/// The paths that are watched of an entry, and how their file looked last.
pub type Watched = BTreeMap<Arc<Path>, Option<Print>>;

/// How a file looks, as a hash of its [`Stat`]: that is eight times as large, and there may be tens of thousands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Print(NonZeroU64);

impl Print {
    fn of(stat: &Stat) -> Self {
        let mut hasher = DefaultHasher::new();
        stat.hash(&mut hasher);
        Self(NonZeroU64::MIN.saturating_add(hasher.finish()))
    }
}

/// What a sweep means for the watchers of one entry.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Paths that need a watcher.
    pub new: Vec<Arc<Path>>,
    /// Paths whose file is not as it was seen last.
    pub changed: Vec<Arc<Path>>,
    /// Paths that the entry does not mean any more.
    pub gone: Vec<Arc<Path>>,
}

/// Compares the watchers of an entry, with how their file looked last, to what is there now. `remembered` are paths
/// that have positions: they are watched even while no file is there. `ships` says whether the entry ships a path, `shared` gives
/// one as it is kept already.
pub fn compare(
    ships: impl Fn(&Path) -> bool,
    watched: &mut Watched,
    (files, remembered): (&BTreeMap<PathBuf, Stat>, &[Arc<Path>]),
    shared: impl Fn(&Path) -> Arc<Path>,
) -> Changes {
    let mut changes = Changes::default();
    // Both are in the order of paths: one walk through both, since a search for each would be most of what a look costs.
    let mut found = files
        .iter()
        .map(|(path, stat)| (path.as_path(), Some(Print::of(stat))))
        .peekable();
    let mut unknown = Vec::new();
    watched.retain(|path, seen| {
        unknown.extend(std::iter::from_fn(|| found.next_if(|(other, _)| *other < &**path)));
        let now = found.next_if(|(other, _)| *other == &**path).and_then(|(_, stat)| stat);
        // What was found for the entry is what it means: to ask its patterns again would be half the cost of a look.
        if now.is_none() && !ships(path) {
            changes.gone.push(Arc::clone(path));
            return false;
        }
        if *seen != now {
            changes.changed.push(Arc::clone(path));
            *seen = now;
        }
        true
    });
    let remembered = remembered.iter().filter(|path| ships(path)).map(|path| (&**path, None));
    unknown.extend(found);
    for (path, stat) in unknown.into_iter().chain(remembered) {
        if !watched.contains_key(path) {
            let path = shared(path);
            watched.insert(Arc::clone(&path), stat);
            changes.new.push(path);
        }
    }
    if changes.new.len() >= MANY {
        pack(watched);
    }
    changes
}
