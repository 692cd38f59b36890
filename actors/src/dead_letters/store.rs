//! Keeps the records that Kafka refuses for themselves, in files that never outgrow their limit together.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use logcatch_kafka::{BuryCause, BuryError, DeadLetters, Letter};

use super::entry::DeadLetter;
use super::seal::{Claim, SealError, Sealed};
use super::segments::{Segment, Segments};

/// A file that has reached this size in bytes is followed by another: what is sent again is freed file by file, and one
/// that must be written anew is soon written.
const SEGMENT: u64 = 8 * 1024 * 1024;

/// The dead letters of a state directory. Its files are created with the first letter.
#[derive(Debug)]
pub struct DeadLetterStore {
    segments: Segments,
    limit: AtomicU64,
    stored: AtomicU64,
    last: Mutex<Option<Last>>,
    /// Files up to this number are sealed.
    sealed: AtomicU64,
    claim: Claim,
}

/// The file that is added to.
#[derive(Debug)]
struct Last {
    number: u64,
    file: File,
    bytes: u64,
}

impl DeadLetterStore {
    /// The letters of this state directory, which take at most `limit` bytes.
    #[must_use]
    pub fn new(state_directory: &Path, limit: u64) -> Self {
        let store = Self {
            segments: Segments::of(state_directory),
            limit: AtomicU64::new(limit),
            stored: AtomicU64::new(0),
            last: Mutex::new(None),
            sealed: AtomicU64::new(0),
            claim: Claim::default(),
        };
        store.segments.tidy();
        store.look();
        store
    }

    /// The directory of its files.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.segments.directory().to_owned()
    }

    /// The size of all its files in bytes.
    #[must_use]
    pub fn stored(&self) -> u64 {
        self.stored.load(Ordering::Relaxed)
    }

    /// Changes the limit in bytes. Letters that are there stay.
    pub fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Seals the letters that are there now, to be sent again: what comes from now on goes to another file.
    ///
    /// # Errors
    /// Others are being sent again, the service stops, or the files cannot be read.
    pub fn seal(self: &Arc<Self>) -> Result<Sealed, SealError> {
        let claimed = self.claim.take()?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let files = self.segments.list()?;
        let newest = files.last().map_or(0, |segment| segment.number);
        self.sealed.fetch_max(newest, Ordering::Relaxed);
        *last = None;
        drop(last);
        Ok(Sealed::new(Arc::clone(self), files, claimed))
    }

    /// Has what is being sent again end after what is on its way, and waits for that; none can be sealed from now on.
    pub async fn end_resend(&self) {
        self.claim.end().await;
    }

    /// Its files.
    #[must_use]
    pub fn segments(&self) -> &Segments {
        &self.segments
    }

    /// Whether [`Self::end_resend`] was called.
    pub(super) fn is_ending(&self) -> bool {
        self.claim.is_ending()
    }

    /// What is there now; an operator may have made room.
    pub(super) fn look(&self) -> Vec<Segment> {
        let segments = self.segments.list().unwrap_or_default();
        let bytes = segments.iter().map(|segment| segment.bytes).sum();
        self.stored.store(bytes, Ordering::Relaxed);
        segments
    }

    /// The file to add to.
    fn open(&self) -> io::Result<Last> {
        let newest = self.look().last().map_or(0, |segment| segment.number);
        let number = newest.max(self.sealed.load(Ordering::Relaxed) + 1);
        let (file, bytes) = self.segments.open(number)?;
        self.look();
        Ok(Last { number, file, bytes })
    }

    /// Appends as many letters as there is room for; how many.
    fn append(&self, letters: &[Letter]) -> io::Result<usize> {
        let mut slot = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &*slot
            && !self.segments.is_in_place(last.number, &last.file)?
        {
            // Somebody deleted it or moved it away: what is added there, nobody finds.
            *slot = None;
        }
        let last = match &mut *slot {
            Some(last) => last,
            none => none.insert(self.open()?),
        };
        if last.bytes >= SEGMENT {
            let number = last.number + 1;
            let (file, bytes) = self.segments.open(number)?;
            *last = Last { number, file, bytes };
        }
        let (fit, text) = self.fitting(letters)?;
        if fit > 0 {
            if let Err(error) = last.file.write_all(&text).and_then(|()| last.file.sync_data()) {
                // Opened anew the next time, which takes a torn line away; whole ones of now would be kept twice.
                let _ = last.file.set_len(last.bytes);
                *slot = None;
                return Err(error);
            }
            last.bytes += text.len() as u64;
            self.stored.fetch_add(text.len() as u64, Ordering::Relaxed);
        }
        Ok(fit)
    }

    /// How many letters there is room for, and how they are written.
    fn fitting(&self, letters: &[Letter]) -> io::Result<(usize, Vec<u8>)> {
        let limit = self.limit.load(Ordering::Relaxed);
        let mut text = Vec::new();
        for (fit, letter) in letters.iter().enumerate() {
            let before = text.len();
            serde_json::to_writer(&mut text, &DeadLetter::new(letter, SystemTime::now()))?;
            text.push(b'\n');
            let is_over = || self.stored() + text.len() as u64 > limit;
            if is_over() {
                self.look();
                if is_over() {
                    text.truncate(before);
                    return Ok((fit, text));
                }
            }
        }
        Ok((letters.len(), text))
    }
}

impl DeadLetters for DeadLetterStore {
    fn bury(&self, letters: &[Letter]) -> Result<(), BuryError> {
        let total = letters.len();
        match self.append(letters) {
            Ok(buried) if buried == total => Ok(()),
            Ok(buried) => {
                let cause = BuryCause::Full {
                    limit: self.limit.load(Ordering::Relaxed),
                };
                Err(BuryError { buried, total, cause })
            }
            Err(error) => Err(BuryError {
                buried: 0,
                total,
                cause: BuryCause::Write(error),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs::{self, OpenOptions};
    use std::sync::Arc;

    use logcatch_kafka::Source;

    use super::*;

    fn letter(line: &[u8]) -> Letter {
        let source = Source {
            log: "nginx".into(),
            path: Path::new("/var/log/nginx/access.log").into(),
            file_id: "f1".into(),
        };
        let reason = "MSG_SIZE_TOO_LARGE: Broker: Message size too large".to_owned();
        Letter::new(Arc::new(source), "web".into(), 4711, reason, line.to_vec())
    }

    /// The lines that are kept, file by file.
    fn kept(store: &DeadLetterStore) -> Vec<Vec<String>> {
        let segments = store.segments.list().unwrap();
        assert_eq!(
            store.stored(),
            segments.iter().map(|segment| segment.bytes).sum::<u64>()
        );
        let text = |line: super::super::segments::Line| String::from_utf8(line.letter.unwrap().line()).unwrap();
        let of = |segment: &Segment| segment.lines().unwrap().map(|line| text(line.unwrap())).collect();
        segments.iter().map(of).collect()
    }

    #[test]
    fn full_letters_take_what_fits_and_say_so_and_go_on_when_the_limit_is_raised() {
        let state = tempfile::tempdir().unwrap();
        let letters = DeadLetterStore::new(state.path(), 500);
        let many = vec![letter(b"line"); 5];
        let error = letters.bury(&many).unwrap_err();
        assert!(matches!(error.cause, BuryCause::Full { limit: 500 }));
        assert_eq!((error.buried, error.total), (kept(&letters).concat().len(), 5));
        assert!(error.buried > 0 && error.buried < 5 && letters.stored() <= 500);
        letters.set_limit(10_000);
        letters.bury(&many[error.buried..]).unwrap();
        assert_eq!(kept(&letters).concat().len(), 5);
    }

    #[test]
    fn room_that_an_operator_makes_is_found() {
        let state = tempfile::tempdir().unwrap();
        let letters = DeadLetterStore::new(state.path(), 500);
        let many = vec![letter(b"line"); 5];
        let buried = letters.bury(&many).unwrap_err().buried;
        fs::remove_dir_all(letters.path()).unwrap();
        assert_eq!(letters.bury(&many).unwrap_err().buried, buried);
        assert_eq!(kept(&letters).concat().len(), buried);
    }

    #[test]
    fn letters_that_are_moved_away_leave_room_for_others_in_their_place() {
        let state = tempfile::tempdir().unwrap();
        let letters = DeadLetterStore::new(state.path(), 1_000_000);
        letters.bury(&[letter(b"first")]).unwrap();
        fs::rename(letters.path(), state.path().join("away")).unwrap();
        letters.bury(&[letter(b"second")]).unwrap();
        assert_eq!(kept(&letters), [["second"]]);
        // A backup that is made of links keeps the file when its name is deleted.
        let name = letters.path().join("letters-00000001.jsonl");
        fs::hard_link(&name, state.path().join("backup")).unwrap();
        fs::remove_file(&name).unwrap();
        letters.bury(&[letter(b"third")]).unwrap();
        assert_eq!(kept(&letters), [["third"]]);
    }

    #[test]
    fn a_torn_line_is_taken_away_and_whole_ones_stay() {
        let state = tempfile::tempdir().unwrap();
        let letters = DeadLetterStore::new(state.path(), 1_000_000);
        letters.bury(&[letter(b"first")]).unwrap();
        let torn = format!("{{\"log\": \"{}", "x".repeat(200_000));
        OpenOptions::new()
            .append(true)
            .open(letters.path().join("letters-00000001.jsonl"))
            .unwrap()
            .write_all(torn.as_bytes())
            .unwrap();
        let letters = DeadLetterStore::new(state.path(), 1_000_000);
        letters.bury(&[letter(b"second")]).unwrap();
        assert_eq!(kept(&letters), [["first", "second"]]);
    }

    #[test]
    fn letters_taken_out_make_room_file_by_file() {
        let state = tempfile::tempdir().unwrap();
        let letters = DeadLetterStore::new(state.path(), u64::MAX);
        let big = vec![b'x'; usize::try_from(SEGMENT).unwrap() / 2];
        for line in [&b"a"[..], &big, &big, b"b", b"c", b"d"] {
            letters.bury(&[letter(line)]).unwrap();
        }
        assert_eq!(kept(&letters)[1], ["b", "c", "d"]);
        let segments = letters.segments.list().unwrap();
        let take = |segment: &Segment, lines: &[usize]| {
            letters
                .segments
                .take_out(segment, &lines.iter().copied().collect::<BTreeSet<_>>())
                .unwrap();
        };
        take(&segments[0], &[0, 1, 2]);
        take(&segments[1], &[1]);
        letters.look();
        assert_eq!(kept(&letters), [["b", "d"]]);
        assert_eq!(fs::read_dir(letters.path()).unwrap().count(), 1);
        // Its files were written anew: the store goes on in the one that is there now.
        letters.bury(&[letter(b"e")]).unwrap();
        assert_eq!(kept(&letters), [["b", "d", "e"]]);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_an_error_and_works_once_it_can() {
        let state = tempfile::tempdir().unwrap();
        let in_the_way = state.path().join("dead-letters");
        fs::write(&in_the_way, "").unwrap();
        let letters = DeadLetterStore::new(state.path(), 1000);
        let error = letters.bury(&[letter(b"line")]).unwrap_err();
        assert!(matches!(error.cause, BuryCause::Write(_)), "{error}");
        fs::remove_file(&in_the_way).unwrap();
        letters.bury(&[letter(b"line")]).unwrap();
        assert_eq!(kept(&letters), [["line"]]);
    }
}
