//! What rotates logs: by the system calls of real programs, and by the real logrotate.

use std::fs;
use std::path::{Path, PathBuf};

use super::books::Books;
use super::life::Life;
use super::writer::{Log, Rotated};
use crate::harness::guard;
use crate::harness::service::{Host, finish};
use crate::harness::writers::{installed, logrotate};

/// A way to rotate; `keep` is how many rotated generations stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `.1` becomes `.2`, and so on; the log becomes `.1`.
    Rename { keep: usize },
    /// The log gets a date.
    Dated { keep: usize },
    /// The log is copied to `.1` and cut to nothing.
    Copy { keep: usize },
    /// The log is deleted and made anew, often with the same inode.
    Recreate,
    /// The log is renamed, deleted at once, and made anew.
    RenameAndDelete,
    /// The log is cut to nothing.
    Truncate,
    /// logrotate with `create`.
    LogrotateCreate { keep: usize },
    /// logrotate with `copytruncate`.
    LogrotateCopy { keep: usize },
    /// As `Rename`; from `.2` on they are compressed.
    Compress { keep: usize },
    /// As `Copy`; from `.2` on they are compressed.
    CopyAndCompress { keep: usize },
    /// As `Copy`, with copies that the glob finds.
    CopyInGlob { keep: usize },
}

impl Kind {
    /// Its name in figures.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Rename { .. } => "renamed",
            Kind::Dated { .. } => "renamed to a date",
            Kind::Copy { .. } => "copied and cut",
            Kind::Recreate => "deleted and made anew",
            Kind::RenameAndDelete => "renamed and deleted",
            Kind::Truncate => "cut without a copy",
            Kind::LogrotateCreate { .. } => "logrotate create",
            Kind::LogrotateCopy { .. } => "logrotate copytruncate",
            Kind::Compress { .. } => "renamed and compressed",
            Kind::CopyAndCompress { .. } => "copied, cut and compressed",
            Kind::CopyInGlob { .. } => "copied within the glob and cut",
        }
    }
}

/// What a rotation needs besides the log.
pub struct Rotator<'a, 'b> {
    pub host: &'a Host,
    pub books: &'a mut Books,
    pub life: &'a Life<'b>,
}

impl Rotator<'_, '_> {
    /// Rotates a log.
    pub fn rotate(&mut self, log: &mut Log, kind: Kind) {
        if !matches!(kind, Kind::Rename { .. } | Kind::Dated { .. }) {
            // What is cut or deleted with half a line in it may tear that line: only renames are better than that.
            log.finish();
        }
        match kind {
            Kind::Rename { keep } => self.rename(log, keep),
            Kind::Dated { keep } => self.date(log, keep),
            Kind::Copy { keep } => self.copy(log, keep, numbered),
            Kind::CopyInGlob { keep } => self.copy(log, keep, numbered_in_glob),
            Kind::Recreate => {
                self.remove(log, &log.path.clone(), log.live.generation);
                log.begin_file(self.books);
            }
            Kind::RenameAndDelete => {
                let path = numbered(&log.path, 1);
                fs::rename(&log.path, &path).expect("rename a log");
                self.remove(log, &path, log.live.generation);
                log.begin_file(self.books);
            }
            Kind::Truncate => {
                let generation = log.live.generation;
                log.cut(self.books);
                self.books.cut(&log.name, generation, "cut to nothing without a copy");
            }
            Kind::LogrotateCreate { keep } if installed("logrotate") => {
                self.logrotate(log, keep, "create");
                log.begin_file(self.books);
            }
            Kind::LogrotateCopy { keep } if installed("logrotate") => {
                self.logrotate(log, keep, "copytruncate");
                log.was_cut(self.books);
            }
            Kind::LogrotateCreate { keep } => self.rename(log, keep),
            Kind::LogrotateCopy { keep } => self.copy(log, keep, numbered),
            Kind::Compress { keep } => {
                self.rename(log, keep);
                compress_second(log);
            }
            Kind::CopyAndCompress { keep } => {
                self.copy(log, keep, numbered);
                compress_second(log);
            }
        }
    }

    fn rename(&mut self, log: &mut Log, keep: usize) {
        self.shift(log, keep, numbered);
        self.rename_to(log, numbered(&log.path, 1));
    }

    fn date(&mut self, log: &mut Log, keep: usize) {
        if log.rotated.len() >= keep {
            self.drop_oldest(log);
        }
        log.dates += 1;
        self.rename_to(log, with_suffix(&log.path, &format!("-20260101-{:06}", log.dates)));
    }

    /// The log becomes its own youngest rotated generation, and is made anew.
    fn rename_to(&mut self, log: &mut Log, path: PathBuf) {
        fs::rename(&log.path, &path).expect("rename a log");
        push(log, path);
        log.begin_file(self.books);
    }

    fn copy(&mut self, log: &mut Log, keep: usize, name: fn(&Path, usize) -> PathBuf) {
        self.shift(log, keep, name);
        let path = name(&log.path, 1);
        fs::copy(&log.path, &path).expect("copy a log");
        push(log, path);
        log.cut(self.books);
    }

    /// Makes room for a new `.1`; the one after the last that is kept is deleted.
    fn shift(&mut self, log: &mut Log, keep: usize, name: fn(&Path, usize) -> PathBuf) {
        if log.rotated.len() >= keep {
            self.drop_oldest(log);
        }
        for (index, rotated) in log.rotated.iter_mut().enumerate().rev() {
            let mut path = name(&log.path, index + 2);
            if rotated.path.extension().is_some_and(|extension| extension == "gz") {
                path = with_suffix(&path, ".gz");
            }
            fs::rename(&rotated.path, &path).expect("rename a rotated log");
            rotated.path = path;
        }
    }

    fn drop_oldest(&mut self, log: &mut Log) {
        if let Some(oldest) = log.rotated.pop() {
            self.remove(log, &oldest.path, oldest.generation);
        }
    }

    /// Deletes the only name of a generation.
    fn remove(&mut self, log: &Log, path: &Path, generation: u32) {
        let holder = self.life.holder(path);
        fs::remove_file(path).expect("delete a log");
        self.books.deleted(&log.name, generation, holder);
    }

    fn logrotate(&mut self, log: &mut Log, keep: usize, how: &str) {
        let oldest = (log.rotated.len() >= keep).then(|| log.rotated.pop()).flatten();
        let holder = oldest.as_ref().and_then(|oldest| self.life.holder(&oldest.path));
        let rules = format!(
            "{} {{\n  rotate {keep}\n  {how}\n  nocompress\n  su root root\n}}\n",
            log.path.display()
        );
        logrotate(self.host, &rules);
        if let Some(oldest) = oldest {
            assert!(
                !with_suffix(&log.path, &format!(".{}", keep + 1)).exists(),
                "logrotate kept more than told"
            );
            self.books.deleted(&log.name, oldest.generation, holder);
        }
        push(log, PathBuf::new());
        for (index, rotated) in log.rotated.iter_mut().enumerate() {
            rotated.path = numbered(&log.path, index + 1);
            assert!(rotated.path.exists(), "logrotate made no `{}`", rotated.path.display());
        }
    }
}

/// What is in the log is its youngest rotated generation.
fn push(log: &mut Log, path: PathBuf) {
    let generation = log.live.generation;
    log.rotated.insert(0, Rotated { path, generation });
}

/// Compresses the second youngest as logrotate's `delaycompress` does. Programs that have it open must have let go of it.
fn compress_second(log: &mut Log) {
    let Some(rotated) = log.rotated.get_mut(1) else { return };
    if rotated.path.extension().is_some_and(|extension| extension == "gz") {
        return;
    }
    log.olds.retain(|old| old.generation != rotated.generation);
    let mut gzip = guard::command("gzip");
    gzip.arg(&rotated.path);
    let output = finish(gzip);
    assert_eq!(output.code, Some(0), "gzip failed: {output:?}");
    rotated.path = with_suffix(&rotated.path, ".gz");
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn numbered(path: &Path, number: usize) -> PathBuf {
    with_suffix(path, &format!(".{number}"))
}

/// `app.log` becomes `app.1.log`.
fn numbered_in_glob(path: &Path, number: usize) -> PathBuf {
    path.with_extension(format!("{number}.log"))
}
