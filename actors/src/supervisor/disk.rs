//! Word from the kernel about files and directories: one notify watcher for all, never recursive.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use logcatch_tail::{live_names, pack};
use notify::event::{EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use smallvec::SmallVec;

/// In bursts the callback rests this long, so that the kernel merges events of one file: a write in a burst then
/// costs a third.
const REST: Duration = Duration::from_millis(5);
/// So many events within [`REST`] are a burst.
const BURST: u32 = 32;
/// After so many rests in a row it goes on without one for [`CATCH_UP`]: time for thousands of events.
const RESTS: u32 = 8;
/// See [`RESTS`].
const CATCH_UP: Duration = Duration::from_millis(25);

/// A wake is under way.
const WAKE: u8 = 1;
/// One that looks for rotated files, too.
const RECONCILE: u8 = 2;

/// Wakes one watcher. Several events before it gets to run are one.
pub struct Route<W: ?Sized = dyn Fn(bool) + Send + Sync> {
    pending: AtomicU8,
    wake: W,
}

impl Route {
    /// Calls `wake`, with whether rotated files should be looked for, at most once until [`Route::answered`].
    pub fn new(wake: impl Fn(bool) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Route {
            pending: AtomicU8::new(0),
            wake,
        })
    }

    /// The one who is woken will look: what happens from now on wakes again.
    pub fn answered(&self) {
        self.pending.store(0, Ordering::Release);
    }

    /// Something happened.
    pub fn ring(&self, reconcile: bool) {
        let wanted = if reconcile { RECONCILE } else { WAKE };
        // A reconcile asks for more than a plain wake that may be under way, and not the other way round.
        if self.pending.fetch_or(wanted, Ordering::AcqRel) < wanted {
            (self.wake)(reconcile);
        }
    }
}

/// Who is woken by what.
#[derive(Default)]
pub struct Routes {
    listed: Mutex<Listed>,
    hasher: RandomState,
}

/// Paths are known by their hashes: where two have the same, each is woken once too often.
#[derive(Default)]
struct Listed {
    /// Nearly always one each.
    by_path: BTreeMap<u64, SmallVec<[Arc<Route>; 1]>>,
    /// By the address of a route, where else than at its own path it is: nobody should have to go through ten thousand others to
    /// remove it. Few are.
    elsewhere: BTreeMap<usize, Vec<u64>>,
}

impl Routes {
    /// Wakes `route` when something happens to `path`, its own.
    pub fn add(&self, path: &Path, route: &Arc<Route>) {
        self.lock().put(self.hasher.hash_one(path), route);
    }

    /// Wakes `route` also when something happens to `path`, where its own leads to.
    pub fn add_link(&self, path: &Path, route: &Arc<Route>) {
        let path = self.hasher.hash_one(path);
        let mut listed = self.lock();
        if listed.put(path, route) {
            listed.elsewhere.entry(address(route)).or_default().push(path);
        }
    }

    /// Many came: the room between them goes.
    pub fn pack(&self) {
        pack(&mut self.lock().by_path);
    }

    /// Forgets the route whose own path this is, under all its paths.
    pub fn remove(&self, path: &Path, route: &Arc<Route>) {
        let mut listed = self.lock();
        let elsewhere = listed.elsewhere.remove(&address(route)).unwrap_or_default();
        for path in elsewhere.into_iter().chain([self.hasher.hash_one(path)]) {
            let Some(routes) = listed.by_path.get_mut(&path) else {
                continue;
            };
            routes.retain(|other| !Arc::ptr_eq(other, route));
            if routes.is_empty() {
                listed.by_path.remove(&path);
            }
        }
    }

    /// Wakes those of `path`.
    fn ring(&self, path: &Path, reconcile: bool) {
        let listed = self.lock();
        listed
            .by_path
            .get(&self.hasher.hash_one(path))
            .into_iter()
            .flatten()
            .for_each(|route| route.ring(reconcile));
    }

    fn ring_all(&self) {
        let listed = self.lock();
        listed.by_path.values().flatten().for_each(|route| route.ring(true));
    }

    fn lock(&self) -> MutexGuard<'_, Listed> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listed {
    /// False when it is there already.
    fn put(&mut self, path: u64, route: &Arc<Route>) -> bool {
        let routes = self.by_path.entry(path).or_default();
        let is_new = !routes.iter().any(|other| Arc::ptr_eq(other, route));
        if is_new {
            routes.push(Arc::clone(route));
        }
        is_new
    }
}

fn address(route: &Arc<Route>) -> usize {
    Arc::as_ptr(route).cast::<()>() as usize
}

/// The directories that are watched.
pub struct Disk {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    /// Those the kernel refused to watch: they are looked at each second instead.
    refused: BTreeSet<PathBuf>,
}

impl Disk {
    /// Wakes by `routes`, and calls `changed` when files may have come or gone. Without notifications, as when the
    /// system has no watch left, everything is polled.
    pub fn new(routes: Arc<Routes>, changed: impl Fn() + Send + 'static) -> Self {
        let mut pace = Pace::default();
        let watcher = notify::recommended_watcher(move |event| {
            heed(event, &routes, &changed);
            pace.rest();
        });
        let watcher = watcher
            .inspect_err(|error| {
                log::warn!(cause:% = error; "no file notifications on this system; files are looked at each second");
            })
            .ok();
        Self {
            watcher,
            watched: BTreeSet::new(),
            refused: BTreeSet::new(),
        }
    }

    /// Watches exactly these directories. Waits for the thread that has the notifications: not for an arbiter. True when some were not watched before: what came to them since they were
    /// looked at raised no notification.
    #[must_use]
    pub fn watch(&mut self, wanted: &BTreeSet<PathBuf>) -> bool {
        let Some(watcher) = self.watcher.as_mut() else {
            self.refused.clone_from(wanted);
            return false;
        };
        for gone in self.watched.difference(wanted) {
            // It may be deleted already, and its watch with it.
            let _ = watcher.unwatch(gone);
        }
        let mut refused = BTreeSet::new();
        let mut watched = BTreeSet::new();
        for directory in wanted {
            // Asked for again even when it is watched: under the same name there may be another directory now.
            match watcher.watch(directory, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    watched.insert(directory.clone());
                }
                Err(error) => {
                    if !self.refused.contains(directory) {
                        log::warn!(directory:% = directory.display(), cause:% = error,
                            help = "let the service's user list it, or raise fs.inotify.max_user_watches, whichever the cause names";
                            "directory cannot be watched; its files are looked at each second");
                    }
                    refused.insert(directory.clone());
                }
            }
        }
        let is_news = watched.difference(&self.watched).next().is_some();
        self.watched = watched;
        self.refused = refused;
        is_news
    }

    /// Whether some directories must be looked at instead.
    #[must_use]
    pub fn must_poll(&self) -> bool {
        !self.refused.is_empty()
    }
}

fn heed(event: notify::Result<notify::Event>, routes: &Routes, changed: &impl Fn()) {
    let event = match event {
        Ok(event) => event,
        Err(error) => {
            log::warn!(cause:% = error; "file notifications failed; looking at everything");
            routes.ring_all();
            changed();
            return;
        }
    };
    if event.need_rescan() {
        log::info!("file notifications were lost; looking at everything");
        routes.ring_all();
        changed();
        return;
    }
    let names_change = match event.kind {
        // Our own reads raise these.
        EventKind::Access(_) => return,
        EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => true,
        _ => false,
    };
    for path in &event.paths {
        routes.ring(path, names_change);
        // A rotated file of a path that is watched, whether it is one itself or not: late lines, or a copy.
        let directory = path.parent().unwrap_or(Path::new("/"));
        for live in live_names(path.file_name().unwrap_or(OsStr::new(""))) {
            routes.ring(&directory.join(live), true);
        }
    }
    if names_change {
        changed();
    }
}

/// Slows the callback down in bursts, and lets it catch up after a while: events of many files do not merge, and as long as
/// some are waiting the thread does not do what else it is asked for.
struct Pace {
    since: Instant,
    events: u32,
    rests: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            events: 0,
            rests: 0,
        }
    }
}

impl Pace {
    fn rest(&mut self) {
        self.events += 1;
        let now = Instant::now();
        if self.rests == RESTS {
            if now.saturating_duration_since(self.since) >= CATCH_UP {
                (self.since, self.events, self.rests) = (now, 0, 0);
            }
        } else if now.saturating_duration_since(self.since) > REST {
            (self.since, self.events, self.rests) = (now, 0, 0);
        } else if self.events >= BURST {
            std::thread::sleep(REST);
            (self.since, self.events) = (Instant::now(), 0);
            self.rests += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn a_route_that_is_removed_is_removed_everywhere_and_no_other_is() {
        let routes = Routes::default();
        let rung: [Arc<AtomicUsize>; 2] = Default::default();
        let [link, target] = [0, 1].map(|index| {
            let rung = Arc::clone(&rung[index]);
            Route::new(move |_| {
                rung.fetch_add(1, Ordering::Relaxed);
            })
        });
        let seen = || {
            [&link, &target].into_iter().for_each(|route| route.answered());
            [0, 1].map(|index| rung[index].load(Ordering::Relaxed))
        };
        let (at_link, at_target) = (Path::new("/link"), Path::new("/target"));
        routes.add(at_link, &link);
        routes.add(at_target, &target);
        routes.add_link(at_target, &link);
        routes.add_link(at_target, &link);
        routes.ring(at_target, false);
        assert_eq!(seen(), [1, 1]);
        routes.ring(at_link, false);
        assert_eq!(seen(), [2, 1]);
        routes.remove(at_link, &link);
        routes.ring(at_target, false);
        routes.ring(at_link, false);
        assert_eq!(seen(), [2, 2]);
        routes.remove(at_target, &target);
        assert!(routes.lock().by_path.is_empty() && routes.lock().elsewhere.is_empty());
    }
}
