//! Rotated generations of many lines, compressed as programs do it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Rig, append};

/// Longer than any handle of a rotated file is kept.
pub const A_WHILE: Duration = Duration::from_secs(400);
/// What is compressed has as many lines: more than the first bytes that are compared.
pub const LINES: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Gz,
    Zst,
}
pub use Kind::{Gz, Zst};

impl Kind {
    pub fn of(self, path: &Path) -> PathBuf {
        let suffix = if self == Gz { ".gz" } else { ".zst" };
        PathBuf::from(format!("{}{suffix}", path.display()))
    }

    /// The archive of `path` as the programs write it, without touching `path`.
    pub fn bytes(self, path: &Path) -> Vec<u8> {
        if self == Zst {
            return zstd::encode_all(File::open(path).unwrap(), 0).unwrap();
        }
        let done = Command::new("gzip").arg("--stdout").arg(path).output().unwrap();
        assert!(done.status.success());
        done.stdout
    }

    /// What `gzip FILE` and `zstd --rm FILE` do.
    pub fn compress(self, path: &Path) {
        let modified = fs::metadata(path).unwrap().modified().unwrap();
        self.compress_anew(path);
        File::open(self.of(path)).unwrap().set_modified(modified).unwrap();
    }

    /// As a script does that redirects the output: the modification time is that of the compression.
    pub fn compress_anew(self, path: &Path) {
        let bytes = self.bytes(path);
        let mut archive = File::create_new(self.of(path)).unwrap();
        archive.write_all(&bytes).unwrap();
        fs::remove_file(path).unwrap();
    }
}

/// Lines of a generation; their number is in each.
pub fn lines(generation: &str, range: std::ops::Range<usize>) -> String {
    range
        .map(|n| format!("{generation} {n} of a line of the usual length\n"))
        .collect()
}

pub fn all(texts: &[&str]) -> Vec<String> {
    texts.iter().flat_map(|text| text.lines()).map(str::to_owned).collect()
}

#[track_caller]
pub fn check(rig: &Rig, expected: &[&str], context: &str) {
    let (found, expected) = (rig.values(), all(expected));
    let first = found.iter().zip(&expected).position(|(a, b)| a != b);
    assert!(
        found == expected,
        "{context}: {} of {} lines, first difference at {first:?}",
        found.len(),
        expected.len()
    );
}

/// Restarts and passing time repeat nothing.
#[track_caller]
pub fn check_for_good(rig: &mut Rig, expected: &[&str], context: &str) {
    check(rig, expected, context);
    rig.pass(A_WHILE);
    check(rig, expected, &format!("{context}, after a while"));
    for again in 1..=2 {
        rig.restart();
        rig.settle();
        rig.pass(A_WHILE);
        check(rig, expected, &format!("{context}, after {again} restarts"));
    }
}

/// A rotation: archives and plain files up by one, then the live file to `.1`, by renaming or copying.
pub fn rotate(rig: &Rig, copy: bool) {
    for n in (1..9).rev() {
        for suffix in ["", ".gz", ".zst"] {
            let from = rig.path(&format!("app.log.{n}{suffix}"));
            if from.exists() {
                fs::rename(from, rig.path(&format!("app.log.{}{suffix}", n + 1))).unwrap();
            }
        }
    }
    if copy {
        fs::copy(&rig.spec.path, rig.path("app.log.1")).unwrap();
        fs::write(&rig.spec.path, "").unwrap();
    } else {
        fs::rename(&rig.spec.path, rig.path("app.log.1")).unwrap();
        append(&rig.spec.path, "");
    }
}
