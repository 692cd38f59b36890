//! Which files a settings entry means, as the disk says now.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use crate::file::is_absent;
use crate::glob::{Exclude, PathGlob};
use crate::identity::{Inode, Stat};
use crate::siblings::leads_nowhere;

/// What one look at the disk found.
#[derive(Debug, Default)]
pub struct Sweep {
    /// Regular files that match, each path once, in path order.
    pub files: BTreeMap<PathBuf, Stat>,
    /// Directories in which a matching file or directory can appear: those to be watched.
    pub directories: BTreeSet<PathBuf>,
    /// Of the files, those that are links, and where they lead: what happens to the file happens there.
    pub links: BTreeMap<PathBuf, PathBuf>,
    /// What could not be looked at, and why. Nothing is known about what is in there.
    pub unreadable: Vec<(PathBuf, io::Error)>,
}

/// Looks for the files that match any of `globs` and none of `excludes`. Only regular files count, links followed; a
/// file with two matching names is found under both.
#[must_use]
pub fn sweep(globs: &[PathGlob], excludes: &[Exclude]) -> Sweep {
    let (mut sweep, mut found) = (Sweep::default(), Vec::new());
    for glob in globs {
        let mut walk = Walk {
            glob,
            excludes,
            sweep: &mut sweep,
            found: &mut found,
            inside: Vec::new(),
        };
        match glob.literal() {
            Some(path) => walk.literal(path),
            None => walk.directory(glob.base()),
        }
    }
    // Nearly the order of paths, and told from bytes, which is a tenth of the work of telling it from paths.
    found.sort_unstable_by(|(a, _), (b, _)| a.as_os_str().cmp(b.as_os_str()));
    sweep.files = found.into_iter().collect();
    sweep
}

struct Walk<'a> {
    glob: &'a PathGlob,
    excludes: &'a [Exclude],
    sweep: &'a mut Sweep,
    /// The files, in any order, some perhaps more than once.
    found: &'a mut Vec<(PathBuf, Stat)>,
    /// The directories on the way down, so that a link that leads back ends there.
    inside: Vec<Inode>,
}

impl Walk<'_> {
    fn literal(&mut self, path: &Path) {
        if self.excludes.iter().any(|exclude| exclude.matches(path)) {
            return;
        }
        if let Some(parent) = path.parent() {
            self.watch_nearest(parent);
        }
        let is_link = fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink());
        self.file(path.to_owned(), fs::metadata(path), is_link);
    }

    fn directory(&mut self, directory: &Path) {
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if is_absent(&error) => return self.watch_nearest(directory),
            Err(error) => {
                self.sweep.unreadable.push((directory.to_owned(), error));
                return;
            }
        };
        let Some(inode) = self.identify(directory, fs::metadata(directory)) else {
            return;
        };
        if self.inside.contains(&inode) {
            return;
        }
        self.inside.push(inode);
        self.sweep.directories.insert(directory.to_owned());
        for entry in entries {
            match entry {
                Ok(entry) => self.entry(directory, &entry),
                Err(error) => self.sweep.unreadable.push((directory.to_owned(), error)),
            }
        }
        self.inside.pop();
    }

    /// Which directory it is that was opened, or nothing when that cannot be told: then nothing is known of what is in there.
    fn identify(&mut self, directory: &Path, meta: io::Result<Metadata>) -> Option<Inode> {
        match meta {
            Ok(meta) => return Some(Stat::from(&meta).inode),
            Err(error) if is_absent(&error) => self.watch_nearest(directory),
            Err(error) => self.sweep.unreadable.push((directory.to_owned(), error)),
        }
        None
    }

    fn entry(&mut self, directory: &Path, entry: &fs::DirEntry) {
        let path = joined(directory, &entry.file_name());
        let kind = match entry.file_type() {
            Ok(kind) => kind,
            Err(error) if is_absent(&error) => return,
            Err(error) => return self.sweep.unreadable.push((path, error)),
        };
        // A link may lead to either.
        let is_directory = match kind.is_symlink().then(|| fs::metadata(&path)) {
            None => kind.is_dir(),
            Some(Ok(meta)) => meta.is_dir(),
            // What matches is asked below, and it is said then.
            Some(Err(error)) => {
                let is_there = !is_absent(&error) && !leads_nowhere(&error);
                if is_there && !self.glob.is_match(&path) && self.glob.may_descend(&path) {
                    self.sweep.unreadable.push((path.clone(), error));
                }
                false
            }
        };
        if is_directory {
            if self.glob.may_descend(&path) {
                self.directory(&path);
            }
        } else if self.glob.is_match(&path) && !self.excludes.iter().any(|exclude| exclude.matches(&path)) {
            let is_link = kind.is_symlink();
            // From the open directory, which costs half of what the path does; it does not follow links.
            let meta = if is_link { fs::metadata(&path) } else { entry.metadata() };
            self.file(path, meta, is_link);
        }
    }

    fn file(&mut self, path: PathBuf, meta: io::Result<Metadata>, is_link: bool) {
        match meta {
            Ok(meta) if meta.is_file() => {
                if is_link && let Ok(real) = fs::canonicalize(&path) {
                    self.sweep.links.insert(path.clone(), real);
                }
                self.found.push((path, Stat::from(&meta)));
            }
            Ok(_) => {}
            Err(error) if is_absent(&error) => {}
            Err(error) => self.sweep.unreadable.push((path, error)),
        }
    }

    /// A directory that does not exist yet is waited for in the nearest one that does.
    fn watch_nearest(&mut self, directory: &Path) {
        if let Some(nearest) = directory.ancestors().find(|ancestor| ancestor.is_dir()) {
            self.sweep.directories.insert(nearest.to_owned());
        }
    }
}

/// As [`Path::join`], which leaves up to as much room again: there may be tens of thousands at once.
fn joined(directory: &Path, name: &OsStr) -> PathBuf {
    let mut path = PathBuf::with_capacity(directory.as_os_str().len() + 1 + name.len());
    path.push(directory);
    path.push(name);
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn found(root: &Path, pattern: &str, excludes: &[&str]) -> Vec<String> {
        let globs = [PathGlob::parse(pattern, root).unwrap()];
        let excludes: Vec<_> = excludes
            .iter()
            .map(|text| Exclude::parse(text, root).unwrap())
            .collect();
        let swept = sweep(&globs, &excludes);
        let name = |path: &PathBuf| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        swept.files.keys().map(name).collect()
    }

    #[test]
    fn files_are_found_and_what_is_no_file_is_not() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        for path in ["a/x.log", "a/y.log", "a/y.log.gz", "b/c/z.log", "b/c/z.txt"] {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), "x").unwrap();
        }
        fs::create_dir(root.join("a/dir.log")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            root.join("a/pipe.log"),
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
        symlink(root.join("b"), root.join("b/back")).unwrap();
        symlink(root.join("nowhere"), root.join("a/broken.log")).unwrap();
        assert_eq!(found(root, "a/*.log", &[]), ["a/x.log", "a/y.log"]);
        assert_eq!(found(root, "a//./*.log*", &["*.gz"]), ["a/x.log", "a/y.log"]);
        assert_eq!(found(root, "a/*.log", &["a/x.*"]), ["a/y.log"]);
        assert_eq!(found(root, "b/**/*.log", &[]), ["b/c/z.log"]);
        assert_eq!(found(root, "a/x.log", &[]), ["a/x.log"]);
        assert_eq!(found(root, "none/*.log", &[]), [""; 0]);
    }

    /// As with a stale mount, between the listing and the look at what was listed.
    #[test]
    fn a_directory_that_cannot_be_told_is_one_that_could_not_be_looked_at() {
        let root = tempfile::tempdir().unwrap();
        let glob = PathGlob::parse("**/*.log", root.path()).unwrap();
        let mut sweep = Sweep::default();
        let mut walk = Walk {
            glob: &glob,
            excludes: &[],
            sweep: &mut sweep,
            found: &mut Vec::new(),
            inside: Vec::new(),
        };
        let errors = [io::ErrorKind::StaleNetworkFileHandle, io::ErrorKind::NotFound];
        for error in errors {
            assert_eq!(walk.identify(root.path(), Err(error.into())), None);
        }
        let unreadable: Vec<_> = sweep
            .unreadable
            .iter()
            .map(|(path, error)| (&**path, error.kind()))
            .collect();
        assert_eq!(unreadable, [(root.path(), errors[0])]);
    }

    #[test]
    fn what_does_not_exist_yet_is_waited_for_where_it_can_appear() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        for pattern in ["later/deep/*.log", "later/x.log"] {
            let swept = sweep(&[PathGlob::parse(pattern, root).unwrap()], &[]);
            assert_eq!(swept.directories, BTreeSet::from([root.to_owned()]), "{pattern}");
        }
    }
}
