//! Listings of directories that many watchers ask for: read once for all, as long as the directory does not change.
//!
//! Each watcher looks for the rotated generations of its own path. With 10,000 files in one directory, 10,000 listings of
//! 10,000 names took 40 s of a core at a start. What is kept here answers only while it cannot be told from a fresh listing:
//! the kernel changes a directory's times before the caller of `rename`, `open` or `unlink` goes on.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::siblings::live_names;

/// A directory that changed less than this before it was listed may change again without its times telling, where they
/// count in whole seconds (ext3).
const SETTLED: Duration = Duration::from_secs(3);
/// The same where they have fractions of seconds: they count in ticks of the kernel, 10 ms at most, as the clock does that they
/// are measured by. So a start does not list a directory for each of its files because one of them was made a second ago.
const SETTLED_FINE: Duration = Duration::from_millis(100);
/// A listing that nobody asked for this long is given back.
const UNUSED: Duration = Duration::from_secs(30);

/// So many paths that may not be looked at are remembered, so that each is said once.
const MOST_REFUSED: usize = 1024;

/// File systems of this machine, whose directories change only here and whose times tell: ext2 to ext4, xfs, btrfs, tmpfs,
/// overlay, f2fs; from linux/magic.h. On others each listing is read.
const TRUSTED: [i64; 6] = [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0x794C_7630, 0xF2F5_2010];

/// What is known of directories, for all watchers.
#[derive(Debug, Default)]
pub struct Listings {
    known: Mutex<HashMap<PathBuf, Known>>,
    read: AtomicU64,
    /// What may not be looked at, and was said.
    refused: Mutex<HashSet<PathBuf>>,
}

#[derive(Debug)]
struct Known {
    stamp: Stamp,
    /// None until it is asked for again: to order the names of a directory costs more than to go through them once.
    listing: Option<Arc<Listing>>,
    used: Instant,
}

/// What tells one state of a directory from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: (u64, u64),
    modified: (i64, i64),
    changed: (i64, i64),
}

/// A name in a directory, and the number of the file that has it.
pub(crate) type Entry = (OsString, u64);

/// The names in a directory, by the names of which they may be rotated generations.
#[derive(Debug)]
struct Listing(HashMap<PathBuf, Vec<Entry>>);

impl Listings {
    /// Names in `directory` that may be rotated generations of `live` by [`live_names`], and others perhaps.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub(crate) fn around(&self, directory: &Path, live: &OsStr) -> io::Result<Vec<Entry>> {
        self.around_at(directory, live, clock())
    }

    fn around_at(&self, directory: &Path, live: &OsStr, now: SystemTime) -> io::Result<Vec<Entry>> {
        let Some(stamp) = Stamp::settled(&fs::metadata(directory)?, now) else {
            return self.read(directory)?.collect();
        };
        let is_asked_again = match self.lock().get_mut(directory) {
            Some(known) if known.stamp == stamp => {
                known.used = Instant::now();
                if let Some(listing) = &known.listing {
                    return Ok(listing.around(live));
                }
                true
            }
            _ => false,
        };
        // Nothing is locked while the disk is asked.
        let (names, listing) = if is_asked_again && is_trusted(directory) {
            let listing = Arc::new(Listing::of(self.read(directory)?)?);
            (listing.around(live), Some(listing))
        } else {
            (self.read(directory)?.collect::<io::Result<_>>()?, None)
        };
        let used = Instant::now();
        let known = Known { stamp, listing, used };
        self.lock().insert(directory.to_owned(), known);
        Ok(names)
    }

    /// Gives back what nobody asked for lately.
    pub fn tick(&self, now: Instant) {
        self.lock()
            .retain(|_, known| now.saturating_duration_since(known.used) < UNUSED);
    }

    /// What is known of a directory was found to be out of date.
    pub(crate) fn forget(&self, directory: &Path) {
        self.lock().remove(directory);
    }

    /// Says that a path may not be looked at: once, for all watchers that look.
    pub(crate) fn refused(&self, path: &Path, error: &io::Error) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.contains(path) {
            return;
        }
        if refused.len() >= MOST_REFUSED {
            refused.clear();
        }
        refused.insert(path.to_owned());
        log::warn!(path:% = path.display(), cause:% = error, help = "give the service's user the right to read it";
            "this cannot be looked at; rotated files there are not found");
    }

    /// How many directories were read so far.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    fn read(&self, directory: &Path) -> io::Result<impl Iterator<Item = io::Result<Entry>> + use<>> {
        self.read.fetch_add(1, Ordering::Relaxed);
        Ok(fs::read_dir(directory)?.map(|entry| entry.map(|entry| (entry.file_name(), entry.ino()))))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stamp {
    /// None where the directory may change again without another stamp.
    fn settled(meta: &Metadata, now: SystemTime) -> Option<Self> {
        let stamp = Self {
            inode: (meta.dev(), meta.ino()),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        };
        stamp.is_settled(now).then_some(stamp)
    }

    fn is_settled(&self, now: SystemTime) -> bool {
        let (seconds, nanos) = self.modified.max(self.changed);
        let since = |last| now.duration_since(SystemTime::UNIX_EPOCH + last).ok();
        let (Ok(seconds), Ok(nanos)) = (u64::try_from(seconds), u32::try_from(nanos)) else {
            return false;
        };
        let is_fine = self.modified.1 != 0 || self.changed.1 != 0;
        let settled = if is_fine { SETTLED_FINE } else { SETTLED };
        since(Duration::new(seconds, nanos)).is_some_and(|since| since > settled)
    }
}

impl Listing {
    fn of(names: impl Iterator<Item = io::Result<Entry>>) -> io::Result<Self> {
        let mut by_live: HashMap<PathBuf, Vec<Entry>> = HashMap::new();
        for name in names {
            let name = name?;
            for live in live_names(&name.0) {
                let listed = by_live.entry(live).or_default();
                if listed.last() != Some(&name) {
                    listed.push(name.clone());
                }
            }
        }
        Ok(Self(by_live))
    }

    fn around(&self, live: &OsStr) -> Vec<Entry> {
        self.0.get(Path::new(live)).cloned().unwrap_or_default()
    }
}

/// The clock of the kernel's ticks, by which file systems stamp. It stands where that stands: when ticks are late, as on a host
/// that is short of processors, a change right after a listing has the stamp of one before, however long ago that was.
fn clock() -> SystemTime {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    let since = Duration::try_from(now).unwrap_or_default();
    SystemTime::UNIX_EPOCH + since
}

/// Whether a directory is on one of the file systems of which that is known.
pub(crate) fn is_trusted(directory: &Path) -> bool {
    rustix::fs::statfs(directory).is_ok_and(|found| {
        #[allow(
            clippy::useless_conversion,
            reason = "the type differs from one platform to the next"
        )]
        i64::try_from(found.f_type).is_ok_and(|kind| TRUSTED.contains(&kind))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    use proptest::prelude::*;

    use crate::archive::Coding;
    use crate::siblings::age_of;
    use std::os::unix::ffi::OsStrExt;

    fn around(listings: &Listings, directory: &Path, live: &str, now: SystemTime) -> Vec<OsString> {
        let names = listings.around_at(directory, OsStr::new(live), now).unwrap();
        let mut names: Vec<_> = names.into_iter().map(|(name, _)| name).collect();
        // As its caller does: what is not ordered yet is everything.
        names.retain(|name| live_names(name).contains(&live.into()));
        names
    }

    #[test]
    fn a_stamp_counts_only_when_the_next_change_makes_another() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let at = |now| Stamp::settled(&fs::metadata(directory).unwrap(), now);
        let later = SystemTime::now() + SETTLED * 5;
        let before = at(later);
        assert!(before.is_some());
        // A tick of the kernel passes: until then it may be the same moment for it.
        while at(later) == before {
            let path = directory.join("a.log.1");
            File::create(&path).unwrap();
            fs::remove_file(path).unwrap();
        }
    }

    /// By another clock a stamp was taken for settled while the clock of the stamps stood.
    #[test]
    fn what_changes_is_stamped_no_earlier_than_the_clock_said_before() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        for _ in 0..1000 {
            let before = clock();
            let path = directory.join("a.log.1");
            File::create(&path).unwrap();
            fs::remove_file(path).unwrap();
            let stamp = fs::metadata(directory).unwrap().modified().unwrap();
            assert!(stamp >= before, "{stamp:?} {before:?}");
        }
    }

    #[test]
    fn times_with_fractions_settle_after_some_ticks_and_whole_seconds_after_seconds() {
        for (fraction, settled) in [(0, SETTLED), (4_000_000, SETTLED_FINE)] {
            let stamp = Stamp {
                inode: (1, 2),
                modified: (7, 0),
                changed: (1000, fraction),
            };
            let changed = SystemTime::UNIX_EPOCH + Duration::new(1000, u32::try_from(fraction).unwrap());
            assert!(!stamp.is_settled(changed + settled) && stamp.is_settled(changed + settled * 2));
            assert!(!stamp.is_settled(changed - settled), "it changed in the future");
        }
    }

    #[test]
    fn ten_thousand_files_that_ask_for_their_siblings_cost_two_listings() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        File::create(directory.join("7.log.1")).unwrap();
        let (listings, later) = (Listings::default(), SystemTime::now() + SETTLED * 5);
        for number in 0..10_000 {
            let expected = if number == 7 { &["7.log.1"][..] } else { &[] };
            assert_eq!(around(&listings, directory, &format!("{number}.log"), later), expected);
        }
        assert_eq!(listings.reads(), 2);
        listings.forget(directory);
        assert!(around(&listings, directory, "8.log", later).is_empty());
        assert_eq!(listings.reads(), 3, "what was found to be out of date is read again");
        listings.tick(Instant::now() + UNUSED * 2);
        assert!(listings.lock().is_empty());
    }

    #[test]
    fn what_changes_is_seen_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let listings = Listings::default();
        let (now, later) = (SystemTime::now(), SystemTime::now() + SETTLED * 5);
        File::create(directory.join("a.log.1")).unwrap();
        for now in [now, now, later, later, later] {
            assert_eq!(around(&listings, directory, "a.log", now), ["a.log.1"]);
        }
        assert_eq!(listings.reads(), 4, "where it may change again it is read each time");
        let before = fs::metadata(directory).unwrap().modified().unwrap();
        while fs::metadata(directory).unwrap().modified().unwrap() == before {
            // Until the kernel's clock ticks.
            let _ = fs::rename(directory.join("a.log.1"), directory.join("a.log.2.gz"));
            File::create(directory.join("else")).unwrap();
            fs::remove_file(directory.join("else")).unwrap();
        }
        for now in [later, later, later] {
            assert_eq!(around(&listings, directory, "a.log", now), ["a.log.2.gz"]);
        }
        assert!(
            listings
                .around(&directory.join("nowhere"), OsStr::new("a.log"))
                .is_err()
        );
    }

    proptest! {
        /// What the order of names leaves out is no sibling.
        #[test]
        fn no_sibling_is_overlooked(live in "[a.-]{1,3}(log)?", more in "[a.1-]{0,5}(2026|11)?[.-]?(log)?(\\.gz)?") {
            let name = format!("{live}{more}");
            for name in [name.clone(), name.replacen(".log", "-2026-11-24.log", 1), name.replacen('.', ".1.", 1)] {
                let (coding, stem) = Coding::of(name.as_bytes());
                let is_in_place = coding != Coding::Plain && stem == live.as_bytes();
                let is_rotated = age_of(OsStr::new(&live), OsStr::from_bytes(stem)).is_some();
                let is_listed = live_names(OsStr::new(&name)).contains(&PathBuf::from(&live));
                prop_assert!(is_listed || !(is_in_place || is_rotated), "{name} of {live}");
            }
        }
    }
}
