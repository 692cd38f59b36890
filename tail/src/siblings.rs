//! Names under which rotation puts the earlier generations of a path, and their order.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::generation::open_regular;
use crate::identity::Stat;

/// Suffixes of compressed generations.
const COMPRESSED: [&[u8]; 2] = [b".gz", b".zst"];

/// What the name of a sibling says about its age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Age {
    /// `.N`, up to three digits: counts back, 1 is the youngest.
    Number(u32),
    /// A sortable date: later is younger.
    Date(Vec<u8>),
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

/// The names of which `name` may be a rotated generation, whether or not they exist.
#[must_use]
pub fn live_names(name: &OsStr) -> Vec<PathBuf> {
    let mut bytes = name.as_bytes();
    for suffix in COMPRESSED {
        bytes = bytes.strip_suffix(suffix).unwrap_or(bytes);
    }
    let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
    let mut names = Vec::new();
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

/// A rotated generation of a path.
#[derive(Debug, Clone)]
pub struct Sibling {
    /// Where it is.
    pub path: PathBuf,
    /// What its name says.
    pub age: Age,
    /// One look at it.
    pub stat: Stat,
}

impl Sibling {
    /// Opens it.
    ///
    /// # Errors
    /// What `open` answers; `NotFound` when its name leads to another file by now: rotation did not wait for us.
    pub fn open(&self) -> io::Result<(File, Stat)> {
        let (file, stat) = open_regular(&self.path)?;
        if stat.inode == self.stat.inode {
            Ok((file, stat))
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }
}

/// The rotated generations of `live` that exist as plain files in `directory`, youngest first.
///
/// # Errors
/// When the directory cannot be read: "could not look" is never "there is none".
pub fn siblings(directory: &Path, live: &OsStr) -> io::Result<Vec<Sibling>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(age) = age_of(live, &name) else { continue };
        let path = directory.join(OsStr::from_bytes(&name.into_vec()));
        match fs::metadata(&path) {
            Ok(meta) if meta.is_file() => found.push(Sibling {
                path,
                age,
                stat: Stat::from(&meta),
            }),
            Ok(_) => {}
            // Rotated away between the listing and the look; whoever needs it looks again.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    found.sort_by(younger_first);
    Ok(found)
}

fn younger_first(a: &Sibling, b: &Sibling) -> Ordering {
    match (&a.age, &b.age) {
        (Age::Number(a), Age::Number(b)) => a.cmp(b),
        (Age::Date(a), Age::Date(b)) => b.cmp(a),
        // Two schemes side by side, as after a change of the rotation settings.
        _ => b.stat.modified.cmp(&a.stat.modified),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn age(live: &str, name: &str) -> Option<String> {
        age_of(OsStr::new(live), OsStr::new(name)).map(|age| match age {
            Age::Number(n) => n.to_string(),
            Age::Date(date) => String::from_utf8(date).unwrap(),
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
    fn the_youngest_comes_first() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["a.log", "a.log.10", "a.log.2", "a.log.1", "a.log.x"] {
            fs::write(directory.path().join(name), "x").unwrap();
        }
        let found = siblings(directory.path(), OsStr::new("a.log")).unwrap();
        let names: Vec<_> = found
            .iter()
            .map(|s| s.path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["a.log.1", "a.log.2", "a.log.10"]);
    }
}
