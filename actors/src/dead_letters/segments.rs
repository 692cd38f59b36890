//! The files that hold the dead letters of a state directory, oldest first. A file is added to at its end, and written
//! anew beside itself when letters are taken out, so that a crash at any moment loses none.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use logcatch_tail::give_to;
use thiserror::Error;

use super::entry::DeadLetter;

/// Dead letters that cannot be read or taken out.
#[derive(Debug, Error)]
pub enum LettersError {
    /// The system refuses.
    #[error("cannot read the dead letters `{path}`")]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the system answered.
        #[source]
        source: io::Error,
    },
    /// The system refuses; the letters stay, those that were sent too.
    #[error("cannot take letters out of `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        #[source]
        source: io::Error,
    },
}

/// The directory with the files.
#[derive(Debug, Clone)]
pub struct Segments {
    directory: PathBuf,
}

/// One of the files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Segment {
    /// Rises from one to the next.
    pub(super) number: u64,
    /// Where it is.
    pub(super) path: PathBuf,
    /// Its size in bytes.
    pub(super) bytes: u64,
}

/// A line of a file.
#[derive(Debug)]
pub struct Line {
    /// As it stands there, without its end.
    pub raw: Vec<u8>,
    /// What it says; none if no logcatch wrote it so.
    pub letter: Option<DeadLetter>,
}

impl Segments {
    /// Those of a state directory; nothing is created.
    #[must_use]
    pub fn of(state_directory: &Path) -> Self {
        Self {
            directory: state_directory.join("dead-letters"),
        }
    }

    /// Where they are, or will be.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// All that are there, oldest first.
    ///
    /// # Errors
    /// The directory is there and cannot be read.
    pub fn list(&self) -> Result<Vec<Segment>, LettersError> {
        let failed = |source| LettersError::Read {
            path: self.directory.clone(),
            source,
        };
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut segments = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let Some(number) = entry.file_name().to_str().and_then(number_of) else {
                continue;
            };
            segments.push(Segment {
                number,
                path: entry.path(),
                bytes: entry.metadata().map_err(failed)?.len(),
            });
        }
        segments.sort_unstable();
        Ok(segments)
    }

    /// Opens one to add to, made where it is missing, without the end of a line that a crash has torn: that letter was not
    /// counted as kept.
    pub(super) fn open(&self, number: u64) -> io::Result<(File, u64)> {
        fs::create_dir_all(&self.directory)?;
        let path = self.path(number);
        let is_new = !path.exists();
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(MODE)
            .open(path)?;
        let whole = whole_lines(&mut file)?;
        file.set_len(whole)?;
        if is_new {
            // The names must last like what stands in the file.
            self.sync()?;
            if let Some(parent) = self.directory.parent() {
                File::open(parent)?.sync_all()?;
            }
        }
        Ok((file, whole))
    }

    /// Whether an open file is still the one of this number.
    pub(super) fn is_in_place(&self, number: u64, file: &File) -> io::Result<bool> {
        let there = match fs::metadata(self.path(number)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            there => there?,
        };
        let open = file.metadata()?;
        Ok((there.dev(), there.ino()) == (open.dev(), open.ino()))
    }

    /// Removes what a crash left of taking letters out. Nobody may take any out meanwhile.
    pub fn tidy(&self) {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            if path.extension().is_some_and(|extension| extension == REST) {
                // It takes room and nothing else.
                let _ = fs::remove_file(path);
            }
        }
    }

    /// Takes these lines, counted from 0, out of a file; without any left it goes. Nobody may add to it meanwhile.
    ///
    /// # Errors
    /// The file stays as it was.
    pub fn take_out(&self, segment: &Segment, lines: &BTreeSet<usize>) -> Result<(), LettersError> {
        if lines.is_empty() {
            return Ok(());
        }
        let rest = segment.path.with_extension(REST);
        let write = || -> io::Result<()> {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(MODE);
            let file = options.open(&rest)?;
            if let Ok(meta) = fs::metadata(&segment.path) {
                // Root may send them again where no service runs; they stay the service's.
                give_to(&file, &meta);
            }
            let mut file = BufWriter::new(file);
            let mut kept = false;
            for (index, line) in segment.raw_lines()?.enumerate() {
                let line = line?;
                if !lines.contains(&index) {
                    kept = true;
                    file.write_all(&line)?;
                    file.write_all(b"\n")?;
                }
            }
            file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
            if kept {
                fs::rename(&rest, &segment.path)?;
            } else {
                remove(&segment.path)?;
                fs::remove_file(&rest)?;
            }
            self.sync()
        };
        write().map_err(|source| LettersError::Write {
            path: segment.path.clone(),
            source,
        })
    }

    fn path(&self, number: u64) -> PathBuf {
        self.directory.join(format!("letters-{number:08}.jsonl"))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }
}

impl Segment {
    /// Its lines in order, but one that a crash has torn; none if it is gone.
    ///
    /// # Errors
    /// It cannot be opened; each line may fail alike.
    pub fn lines(&self) -> Result<impl Iterator<Item = Result<Line, LettersError>> + use<'_>, LettersError> {
        let failed = |source| LettersError::Read {
            path: self.path.clone(),
            source,
        };
        let lines = self.raw_lines().map_err(failed)?;
        Ok(lines.map(move |raw| {
            let raw = raw.map_err(failed)?;
            let letter = serde_json::from_slice(&raw).ok().filter(DeadLetter::is_whole);
            Ok(Line { raw, letter })
        }))
    }

    fn raw_lines(&self) -> io::Result<impl Iterator<Item = io::Result<Vec<u8>>> + use<>> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            file => Some(BufReader::new(file?)),
        };
        Ok(std::iter::from_fn(move || {
            let mut line = Vec::new();
            match file.as_mut()?.read_until(b'\n', &mut line) {
                Ok(_) => line.pop_if(|last| *last == b'\n').map(|_| Ok(line)),
                Err(error) => Some(Err(error)),
            }
        }))
    }
}

/// For the service's user, and its group to look.
const MODE: u32 = 0o640;

/// What stays of a file, while it is written.
const REST: &str = "rest";

/// Removes a file that may be gone.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// The number in a file's name: of `letters-00000001.jsonl`, and 0 of `letters.jsonl`.
fn number_of(name: &str) -> Option<u64> {
    let middle = name.strip_prefix("letters")?.strip_suffix(".jsonl")?;
    if middle.is_empty() {
        return Some(0);
    }
    middle.strip_prefix('-')?.parse().ok()
}

/// The length of a file up to the end of its last whole line.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    const STEP: u64 = 64 * 1024;
    let mut end = file.metadata()?.len();
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(STEP);
        block.clear();
        file.seek(SeekFrom::Start(start))?;
        Read::by_ref(file).take(end - start).read_to_end(&mut block)?;
        if let Some(place) = block.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + place as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}
