//! Keeps the records that Kafka refuses for themselves: one JSON object a line, in a file that never outgrows its
//! limit.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use logcatch_kafka::{BuryCause, BuryError, DeadLetters, Letter};
use serde::Serialize;

/// The dead-letter file of a state directory. It is created with the first letter.
#[derive(Debug)]
pub struct DeadLetterFile {
    directory: PathBuf,
    limit: AtomicU64,
    stored: AtomicU64,
    file: Mutex<Option<File>>,
}

/// A letter as it is kept. Names may be added, never changed.
#[derive(Serialize)]
struct Entry<'a> {
    time: String,
    log: &'a str,
    path: String,
    file_id: &'a str,
    offset: u64,
    topic: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<i32>,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<&'a str>,
    /// Instead of `line`, if the line is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    line_base64: Option<String>,
}

impl DeadLetterFile {
    /// The file of this state directory, which takes at most `limit` bytes.
    #[must_use]
    pub fn new(state_directory: &Path, limit: u64) -> Self {
        let directory = state_directory.join("dead-letters");
        let stored = fs::metadata(directory.join(FILE)).map_or(0, |file| file.len());
        Self {
            directory,
            limit: AtomicU64::new(limit),
            stored: AtomicU64::new(stored),
            file: Mutex::new(None),
        }
    }

    /// Where it is, or will be.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.directory.join(FILE)
    }

    /// Its size in bytes.
    #[must_use]
    pub fn stored(&self) -> u64 {
        self.stored.load(Ordering::Relaxed)
    }

    /// Changes the limit in bytes. Letters that are there stay.
    pub fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Opens it to append, without the end of a line that a crash has torn: that letter was not counted as kept.
    fn open(&self) -> io::Result<File> {
        let created = !self.path().exists();
        fs::create_dir_all(&self.directory)?;
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o640)
            .open(self.directory.join(FILE))?;
        let whole = whole_lines(&mut file)?;
        file.set_len(whole)?;
        self.stored.store(whole, Ordering::Relaxed);
        if created {
            // The names must last like what stands in the file.
            File::open(&self.directory)?.sync_all()?;
            if let Some(parent) = self.directory.parent() {
                File::open(parent)?.sync_all()?;
            }
        }
        Ok(file)
    }

    /// Appends as many letters as there is room for; how many.
    fn append(&self, letters: &[Letter]) -> io::Result<usize> {
        let mut slot = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match &mut *slot {
            Some(file) => file,
            none => none.insert(self.open()?),
        };
        let (stored, limit) = (self.stored(), self.limit.load(Ordering::Relaxed));
        let mut text = Vec::new();
        let mut fit = 0;
        for letter in letters {
            let before = text.len();
            serde_json::to_writer(&mut text, &Entry::new(letter, SystemTime::now()))?;
            text.push(b'\n');
            if stored + text.len() as u64 > limit {
                text.truncate(before);
                break;
            }
            fit += 1;
        }
        if fit > 0 {
            if let Err(error) = file.write_all(&text).and_then(|()| file.sync_data()) {
                // Opened anew the next time, which takes a torn line away; whole ones of now would be kept twice.
                let _ = file.set_len(stored);
                *slot = None;
                return Err(error);
            }
            self.stored.store(stored + text.len() as u64, Ordering::Relaxed);
        }
        Ok(fit)
    }
}

/// The file's name in its directory.
const FILE: &str = "letters.jsonl";

impl DeadLetters for DeadLetterFile {
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

impl<'a> Entry<'a> {
    fn new(letter: &'a Letter, now: SystemTime) -> Self {
        let line = std::str::from_utf8(letter.line()).ok();
        Self {
            time: utc(now),
            log: &letter.source.log,
            path: letter.source.path.to_string_lossy().into_owned(),
            file_id: &letter.source.file_id,
            offset: letter.offset,
            topic: &letter.topic,
            partition: letter.partition,
            reason: &letter.reason,
            line,
            line_base64: line.is_none().then(|| base64(letter.line())),
        }
    }
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

/// RFC 3339 in UTC, to the millisecond.
fn utc(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Civil from days: counted in years that begin in March, so that the leap day is the last of its year.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day + 2) / 153;
    let day = day - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z",
        since.subsec_millis()
    )
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |place: usize| u32::from(group.get(place).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = (bits >> (18 - 6 * place) & 63) as usize;
            let digit = DIGITS.get(digit).copied().map_or('=', char::from);
            text.push(if place <= group.len() { digit } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use logcatch_kafka::Source;
    use serde_json::{Value, json};

    use super::*;

    fn letter(line: &[u8]) -> Letter {
        let source = Source {
            log: "nginx".into(),
            path: "/var/log/nginx/access.log".into(),
            file_id: "f1".into(),
        };
        let reason = "MSG_SIZE_TOO_LARGE: Broker: Message size too large".to_owned();
        Letter::new(Arc::new(source), "web".into(), 4711, reason, line.to_vec())
    }

    fn entries(letters: &DeadLetterFile) -> Vec<Value> {
        let text = fs::read_to_string(letters.path()).unwrap();
        assert_eq!(letters.stored(), text.len() as u64);
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_letter_says_what_where_and_why() {
        let state = tempfile::tempdir().unwrap();
        let letters = DeadLetterFile::new(state.path(), 1000);
        letters
            .bury(&[letter(b"a \"line\""), letter(&[0xff, 0xfe, b'a'])])
            .unwrap();
        let mut entries = entries(&letters);
        assert!(entries[0]["time"].take().as_str().unwrap().ends_with('Z'));
        entries[1]["time"].take();
        let mut expected = json!({
            "time": null, "log": "nginx", "path": "/var/log/nginx/access.log", "file_id": "f1", "offset": 4711,
            "topic": "web", "reason": "MSG_SIZE_TOO_LARGE: Broker: Message size too large", "line": "a \"line\"",
        });
        assert_eq!(entries[0], expected);
        expected.as_object_mut().unwrap().remove("line");
        expected["line_base64"] = json!("//5h");
        assert_eq!(entries[1], expected);
    }

    #[test]
    fn a_full_file_takes_what_fits_and_says_so_and_goes_on_when_the_limit_is_raised() {
        let state = tempfile::tempdir().unwrap();
        let letters = DeadLetterFile::new(state.path(), 500);
        let many = vec![letter(b"line"); 5];
        let error = letters.bury(&many).unwrap_err();
        assert!(matches!(error.cause, BuryCause::Full { limit: 500 }));
        assert_eq!((error.buried, error.total), (entries(&letters).len(), 5));
        assert!(error.buried > 0 && error.buried < 5 && letters.stored() <= 500);
        letters.set_limit(10_000);
        letters.bury(&many[error.buried..]).unwrap();
        assert_eq!(entries(&letters).len(), 5);
    }

    #[test]
    fn a_torn_line_is_taken_away_and_whole_ones_stay() {
        let state = tempfile::tempdir().unwrap();
        let letters = DeadLetterFile::new(state.path(), 1_000_000);
        letters.bury(&[letter(b"first")]).unwrap();
        let torn = format!("{{\"log\": \"{}", "x".repeat(200_000));
        OpenOptions::new()
            .append(true)
            .open(letters.path())
            .unwrap()
            .write_all(torn.as_bytes())
            .unwrap();
        let letters = DeadLetterFile::new(state.path(), 1_000_000);
        letters.bury(&[letter(b"second")]).unwrap();
        let lines: Vec<_> = entries(&letters).iter().map(|entry| entry["line"].clone()).collect();
        assert_eq!(lines, ["first", "second"]);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_an_error_and_works_once_it_can() {
        let state = tempfile::tempdir().unwrap();
        let in_the_way = state.path().join("dead-letters");
        fs::write(&in_the_way, "").unwrap();
        let letters = DeadLetterFile::new(state.path(), 1000);
        let error = letters.bury(&[letter(b"line")]).unwrap_err();
        assert!(matches!(error.cause, BuryCause::Write(_)), "{error}");
        fs::remove_file(&in_the_way).unwrap();
        letters.bury(&[letter(b"line")]).unwrap();
        assert_eq!(entries(&letters).len(), 1);
    }

    #[test]
    fn times_are_rfc_3339() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(utc(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
