//! Names under which rotation puts the earlier generations of a path, and their order.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::archive::Coding;
use crate::discovery::sweep;
use crate::glob::PathGlob;
use crate::identity::Stat;
use crate::inspect::undecided;
use crate::listings::{Entry, Listings, is_trusted};

mod order;

/// What the name of a sibling says about its age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Age {
    /// `.N`, up to three digits: counts back, 1 is the youngest, unless the files themselves say that it counts up.
    Number(u32),
    /// A date, or a longer number: later is younger.
    Date(Vec<u8>),
    /// The path's own name, compressed: the youngest.
    InPlace,
}

/// The age that `name` has as a rotated, not compressed, generation of `live`; none when it is no such name.
/// Numbers and dates after `.` or `-` count, also before the extension as in `app.1.log`.
#[must_use]
pub fn age_of(live: &OsStr, name: &OsStr) -> Option<Age> {
    let (live, name) = (live.as_bytes(), name.as_bytes());
    if let Some(suffix) = name.strip_prefix(live) {
        return token(suffix);
    }
    let dot = live.iter().rposition(|byte| *byte == b'.').filter(|at| *at > 0)?;
    let (stem, extension) = live.split_at(dot);
    token(name.strip_prefix(stem)?.strip_suffix(extension)?)
}

/// What stands before the number or date of a rotated name, and whether that stands before the extension.
fn shape_of(live: &[u8], name: &[u8]) -> Option<(u8, bool)> {
    if let Some(suffix) = name.strip_prefix(live) {
        return suffix.first().map(|separator| (*separator, false));
    }
    let dot = live.iter().rposition(|byte| *byte == b'.')?;
    name.strip_prefix(&live[..dot])?
        .first()
        .map(|separator| (*separator, true))
}

/// `.1`, `-20261124`, `-2026-11-24T01-02-03.123`.
fn token(text: &[u8]) -> Option<Age> {
    let (b'.' | b'-', token) = text.split_first().map(|(first, rest)| (*first, rest))? else {
        return None;
    };
    if !token.first()?.is_ascii_digit() {
        return None;
    }
    if token.len() <= 3 && token.iter().all(u8::is_ascii_digit) {
        return std::str::from_utf8(token).ok()?.parse().ok().map(Age::Number);
    }
    let digits = token.iter().filter(|byte| byte.is_ascii_digit()).count();
    let dated = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'T' | b'Z' | b'+');
    (digits >= 4 && token.iter().all(dated)).then(|| Age::Date(token.to_vec()))
}

/// While files are renamed, so many looks in a row may see different ones; who asks comes back then.
const LOOKS: usize = 4;

/// The names of which `name` may be a rotated generation, whether or not they exist.
#[must_use]
pub fn live_names(name: &OsStr) -> Vec<PathBuf> {
    let (coding, bytes) = Coding::of(name.as_bytes());
    let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
    let mut names = Vec::new();
    if coding != Coding::Plain {
        names.push(path(bytes));
    }
    for (at, _) in bytes
        .iter()
        .enumerate()
        .filter(|(at, byte)| *at > 0 && matches!(byte, b'.' | b'-'))
    {
        if token(&bytes[at..]).is_some() {
            names.push(path(&bytes[..at]));
        }
        for (dot, _) in bytes.iter().enumerate().skip(at + 1).filter(|(_, byte)| **byte == b'.') {
            if token(&bytes[at..dot]).is_some() {
                names.push(path(&[&bytes[..at], &bytes[dot..]].concat()));
            }
        }
    }
    names
}

/// Where the rotated generations of a path are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// Beside the path, by `age_of` their names.
    pub beside: bool,
    /// Files that match one of these, whatever their names say.
    pub globs: Vec<PathGlob>,
}

impl Rotated {
    /// Beside the path and nowhere else.
    pub const BESIDE: Self = Self {
        beside: true,
        globs: Vec::new(),
    };
}

impl Default for Rotated {
    fn default() -> Self {
        Self::BESIDE
    }
}

/// A rotated generation of a path.
#[derive(Debug, Clone)]
pub struct Sibling {
    /// Where it is.
    pub path: PathBuf,
    /// How its bytes are to be read.
    pub coding: Coding,
    /// What its name says; none when only a pattern says that it is a generation.
    pub age: Option<Age>,
    /// What stands before its number or date, and whether that stands before the extension: a rotation keeps to one.
    pub shape: Option<(u8, bool)>,
    /// One look at it.
    pub stat: Stat,
}

impl Sibling {
    pub(crate) fn new(live: &OsStr, path: PathBuf, stat: Stat) -> Self {
        let name = path.file_name().unwrap_or_default().as_bytes();
        let (coding, stem) = Coding::of(name);
        let is_in_place = coding != Coding::Plain && stem == live.as_bytes();
        let age = if is_in_place {
            Some(Age::InPlace)
        } else {
            age_of(live, OsStr::from_bytes(stem))
        };
        let shape = shape_of(live.as_bytes(), stem);
        Self {
            path,
            coding,
            age,
            shape,
            stat,
        }
    }

    /// Whether it is compressed.
    #[must_use]
    pub fn is_archive(&self) -> bool {
        self.coding != Coding::Plain
    }

    /// Whether it is the path itself, compressed: only its content can tell that it is a generation of it.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        self.age == Some(Age::InPlace)
    }

    /// Whether instances of a program name logs of their own so, too: `app-3.log` is that of the third.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        self.shape == Some((b'-', true)) && matches!(self.age, Some(Age::Number(_)))
    }

    /// Whether both can be of one rotation.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        self.is_in_place() || other.is_in_place() || self.shape == other.shape
    }

    /// Whether it is this path, compressed.
    #[must_use]
    pub fn is_of(&self, path: &Path) -> bool {
        self.stem() == path.as_os_str().as_bytes()
    }

    /// The path without what says that it is compressed: one generation goes under it.
    fn stem(&self) -> &[u8] {
        Coding::of(self.path.as_os_str().as_bytes()).1
    }
}

/// What could be seen of the rotated generations of a path.
#[derive(Debug, Default)]
pub struct Around {
    /// Those that exist, youngest first. What is there plain and compressed is there once, plain.
    pub siblings: Vec<Sibling>,
    /// What may not be looked at, and why. Nothing is known of what is there.
    pub unreadable: Vec<(PathBuf, io::Error)>,
}

/// The rotated generations of `live`, all of them.
///
/// # Errors
/// When something cannot be looked at: "could not look" is never "there is none".
pub fn siblings(live: &Path, rotated: &Rotated, listings: &Listings) -> io::Result<Vec<Sibling>> {
    let Around { siblings, unreadable } = around(live, rotated, listings)?;
    let refused = unreadable.into_iter().next();
    refused.map_or(Ok(siblings), |(_, error)| Err(error))
}

/// The rotated generations of `live`, as far as rights reach.
///
/// # Errors
/// When something cannot be looked at for another reason, which may pass.
pub fn around(live: &Path, rotated: &Rotated, listings: &Listings) -> io::Result<Around> {
    let (Some(directory), Some(name)) = (live.parent(), live.file_name()) else {
        return Ok(Around::default());
    };
    let mut unreadable = Vec::new();
    // Who rotates the file that a link leads to does it there, as kubelet.
    let is_link = fs::symlink_metadata(live).is_ok_and(|meta| meta.is_symlink());
    let real = is_link.then(|| fs::canonicalize(live).ok()).flatten();
    let mut found = Vec::new();
    if rotated.beside {
        unreadable.extend(beside(directory, name, listings, &mut found)?);
        if let Some((directory, name)) = real.as_deref().and_then(|real| real.parent().zip(real.file_name())) {
            unreadable.extend(beside(directory, name, listings, &mut found)?);
        }
    }
    let swept = sweep(&rotated.globs, &[]);
    for (path, error) in swept.unreadable {
        match error.kind() {
            io::ErrorKind::PermissionDenied => unreadable.push((path, error)),
            _ if leads_nowhere(&error) => {}
            _ => return Err(error),
        }
    }
    let files = swept
        .files
        .into_iter()
        .filter(|(path, _)| path != live && Some(path) != real.as_ref());
    found.extend(files.map(|(path, stat)| Sibling::new(name, path, stat)));
    found.sort_by(|a, b| (a.stem(), a.coding).cmp(&(b.stem(), b.coding)));
    found.dedup_by(|later, kept| later.stem() == kept.stem());
    order::sort(&mut found);
    Ok(Around {
        siblings: found,
        unreadable,
    })
}

/// Whether there is nothing where a link leads, as with one that leads to itself.
pub(crate) fn leads_nowhere(error: &io::Error) -> bool {
    let is_loop = error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
    is_loop || error.kind() == io::ErrorKind::NotFound
}

/// Files are renamed while they are listed and looked at. One that nobody sees, because it left its name before the look and came
/// to one that was looked at before, would be no generation of anybody: its lines would be lost, or read again as another's.
/// Returns what may not be looked at, of several the first.
fn beside(
    directory: &Path,
    live: &OsStr,
    listings: &Listings,
    found: &mut Vec<Sibling>,
) -> io::Result<Option<(PathBuf, io::Error)>> {
    let is_refused = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
    let list = || -> io::Result<Vec<Entry>> {
        let mut names = listings.around(directory, live)?;
        names.retain(|(name, _)| {
            let (coding, stem) = Coding::of(name.as_bytes());
            let is_in_place = coding != Coding::Plain && stem == live.as_bytes();
            is_in_place || age_of(live, OsStr::from_bytes(stem)).is_some()
        });
        names.sort_unstable();
        Ok(names)
    };
    let begin = found.len();
    let mut names = match list() {
        Err(error) if is_refused(&error) => return Ok(Some((directory.to_owned(), error))),
        names => names?,
    };
    let mut refused = None;
    for _ in 0..LOOKS {
        let (mut is_as_listed, mut is_gone) = (true, false);
        refused = None;
        found.truncate(begin);
        for (name, number) in &names {
            let path = directory.join(name);
            match fs::metadata(&path) {
                Ok(meta) => {
                    is_as_listed &= meta.ino() == *number;
                    if meta.is_file() {
                        found.push(Sibling::new(live, path, Stat::from(&meta)));
                    }
                }
                // A link to nowhere stays what it is; what is no link came back since, and may have been elsewhere.
                Err(error) if leads_nowhere(&error) => {
                    is_gone |= !fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_symlink());
                }
                Err(error) if is_refused(&error) => refused = refused.or(Some((path, error))),
                Err(error) => return Err(error),
            }
        }
        if is_as_listed && !is_gone {
            return Ok(refused);
        }
        if is_gone {
            listings.forget(directory);
        }
        // A link leads to another number than its own, and some file systems list others than they show.
        let again = list()?;
        if again == names && !is_gone {
            return Ok(refused);
        }
        names = again;
    }
    if is_trusted(directory) {
        return Err(undecided());
    }
    // As on NFS, which lists names for a minute after they are gone.
    Ok(refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::is_undecided;

    fn age(live: &str, name: &str) -> Option<String> {
        age_of(OsStr::new(live), OsStr::new(name)).map(|age| match age {
            Age::Number(n) => n.to_string(),
            Age::Date(date) => String::from_utf8(date).unwrap(),
            Age::InPlace => "in place".into(),
        })
    }

    #[test]
    fn rotated_names_are_known_and_others_are_not() {
        for (name, expected) in [
            ("app.log.1", "1"),
            ("app.log.12", "12"),
            ("app.1.log", "1"),
            ("app.log-20261124", "20261124"),
            ("app-20261124.log", "20261124"),
            ("app.log.2026-11-24", "2026-11-24"),
            ("app-2026-11-24T01-02-03.123.log", "2026-11-24T01-02-03.123"),
            ("app.log.1763943600", "1763943600"),
        ] {
            assert_eq!(age("app.log", name).as_deref(), Some(expected), "{name}");
            assert!(live_names(OsStr::new(name)).contains(&"app.log".into()), "{name}");
        }
        for name in [
            "app.log",
            "app.log.audit",
            "app.log.json",
            "app.log.swp",
            "app.log~",
            "app2.log",
            "app.log.1x",
        ] {
            assert_eq!(age("app.log", name), None, "{name}");
        }
        assert_eq!(age("syslog", "syslog.1").as_deref(), Some("1"));
        assert!(live_names(OsStr::new("app.log.3.gz")).contains(&"app.log".into()));
    }

    #[test]
    fn a_file_that_is_renamed_meanwhile_is_there_under_one_of_its_names() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("a.log.1"), "x").unwrap();
        let inode = Stat::from(&fs::metadata(path("a.log.1")).unwrap()).inode;
        let ends = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !ends.load(std::sync::atomic::Ordering::Relaxed) {
                    fs::rename(path("a.log.1"), path("a.log.2")).unwrap();
                    fs::rename(path("a.log.2"), path("a.log.1")).unwrap();
                }
            });
            let is_there = |_| match siblings(&path("a.log"), &Rotated::default(), &Listings::default()) {
                Ok(found) => found.iter().any(|sibling| sibling.stat.inode == inode),
                Err(error) => is_undecided(&error),
            };
            let is_there = (0..2_000).all(is_there);
            ends.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(is_there, "it was overlooked");
        });
    }

    #[track_caller]
    fn check(files: &[&str], patterns: &[&str], expected: &[&str]) {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        for (age, name) in files.iter().enumerate() {
            let path = directory.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let modified = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000 - age as u64);
            fs::File::create(path).unwrap().set_modified(modified).unwrap();
        }
        let rotated = Rotated {
            beside: patterns.is_empty(),
            globs: patterns
                .iter()
                .map(|text| PathGlob::parse(text, directory).unwrap())
                .collect(),
        };
        let found = siblings(&directory.join("a.log"), &rotated, &Listings::default()).unwrap();
        let names: Vec<_> = found
            .iter()
            .map(|sibling| {
                sibling
                    .path
                    .strip_prefix(directory)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn the_youngest_comes_first() {
        check(
            &[
                "a.log",
                "a.log.10",
                "a.log.2.gz",
                "a.log.1",
                "a.log.x",
                "a.log.gz",
                "a.3.log.zst",
            ],
            &[],
            &["a.log.gz", "a.log.1", "a.log.2.gz", "a.3.log.zst", "a.log.10"],
        );
        check(
            &["a-20261101.log", "a-20261103.log.gz", "a-20261102.log.zst"],
            &[],
            &["a-20261103.log.gz", "a-20261102.log.zst", "a-20261101.log"],
        );
        // Two schemes: as written, youngest first.
        check(
            &["a.log.2", "a.log-20261101", "a.log.1"],
            &[],
            &["a.log.2", "a.log-20261101", "a.log.1"],
        );
    }

    #[test]
    fn what_is_there_plain_and_compressed_is_there_once() {
        check(
            &["a.log.1.gz", "a.log.1", "a.log.1.zst", "a.log.2.zst", "a.log.2.gz"],
            &[],
            &["a.log.1", "a.log.2.gz"],
        );
    }

    #[test]
    fn patterns_say_where_rotated_files_are() {
        check(
            &["a.log", "a.log.1", "old/a.log.2.gz", "old/a.log.1", "old/b.log.1"],
            &["old/a.log.*"],
            &["old/a.log.1", "old/a.log.2.gz"],
        );
        check(
            &["a.log", "a.log.1", "a.log.new"],
            &["a.log*"],
            &["a.log.1", "a.log.new"],
        );
        check(&["a.log"], &["nowhere/a.log.*"], &[]);
    }
}
