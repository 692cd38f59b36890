//! The programs whose logs are shipped: they write, and they rotate their logs as programs do.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::line::{Line, Log};
use super::tally::Written;

/// How long the writer of [`Log::Jobs`] goes on with its old handle after a rotation.
const OLD_HANDLE: Duration = Duration::from_secs(3);

/// Of the lines that are due while it holds the old handle, every how-manieth goes there.
const TO_OLD_HANDLE: u64 = 4;

/// What may be made up for after a pause: the demo shall not burst after the machine slept.
const LONGEST_STEP: Duration = Duration::from_secs(1);

/// All three writers.
pub struct Writers {
    writers: Vec<Writer>,
    written: Written,
    last: Instant,
    paused: bool,
}

/// One log and the program that writes it.
struct Writer {
    log: Log,
    path: PathBuf,
    current: Handle,
    old: Option<(Handle, Instant)>,
    /// Millionths of a line that are due.
    due: u64,
}

struct Handle {
    file: File,
    generation: u32,
}

impl Writers {
    /// Creates the logs in `directory`.
    pub fn start(directory: &Path, now: Instant) -> io::Result<Self> {
        let writers = Log::ALL
            .into_iter()
            .map(|log| Writer::start(log, directory))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            writers,
            written: BTreeMap::new(),
            last: now,
            paused: false,
        })
    }

    /// The file of a log.
    pub fn path(directory: &Path, log: Log) -> PathBuf {
        directory.join(log.name()).with_extension("log")
    }

    /// How many lines were written so far.
    pub fn written(&self) -> &Written {
        &self.written
    }

    /// Nothing is written until [`Writers::go_on`].
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// Ends a pause.
    pub fn go_on(&mut self) {
        self.paused = false;
    }

    /// Writes what is due.
    pub fn tick(&mut self, now: Instant) -> io::Result<()> {
        let step = now.saturating_duration_since(self.last).min(LONGEST_STEP);
        self.last = now;
        if self.paused {
            return Ok(());
        }
        self.writers
            .iter_mut()
            .try_for_each(|writer| writer.tick(now, step, &mut self.written))
    }

    /// Rotates by renaming: `web.log.1` becomes `web.log.2` and so on, `web.log` becomes `web.log.1` and is made anew.
    pub fn rotate(&mut self, now: Instant) -> io::Result<()> {
        for writer in self.writers.iter_mut().filter(|writer| writer.log != Log::Audit) {
            shift(&writer.path)?;
            fs::rename(&writer.path, numbered(&writer.path, 1))?;
            let next = Handle::open(&writer.path, writer.current.generation + 1)?;
            let old = std::mem::replace(&mut writer.current, next);
            writer.old = (writer.log == Log::Jobs).then_some((old, now + OLD_HANDLE));
        }
        Ok(())
    }

    /// Rotates by copying the file and truncating it.
    ///
    /// What a program writes between the copy and the truncation is in neither file, and no reader can ever see it:
    /// logrotate documents that loss. The question here is what logcatch loses, so the writer stands still meanwhile:
    /// both are done in one thread.
    pub fn copy_and_truncate(&mut self) -> io::Result<()> {
        for writer in self.writers.iter_mut().filter(|writer| writer.log == Log::Audit) {
            shift(&writer.path)?;
            fs::copy(&writer.path, numbered(&writer.path, 1))?;
            writer.current.file.set_len(0)?;
            writer.current.generation += 1;
        }
        Ok(())
    }
}

impl Writer {
    fn start(log: Log, directory: &Path) -> io::Result<Self> {
        let path = Writers::path(directory, log);
        let current = Handle::open(&path, 1)?;
        Ok(Self {
            log,
            path,
            current,
            old: None,
            due: 0,
        })
    }

    fn tick(&mut self, now: Instant, step: Duration, written: &mut Written) -> io::Result<()> {
        self.old.take_if(|(_, until)| now >= *until);
        self.due += u64::try_from(step.as_micros()).unwrap_or(0) * u64::from(self.log.rate());
        let lines = self.due / 1_000_000;
        self.due %= 1_000_000;
        let late = if self.old.is_some() { lines / TO_OLD_HANDLE } else { 0 };
        if let Some((old, _)) = &mut self.old {
            old.write(self.log, late, written)?;
        }
        self.current.write(self.log, lines - late, written)
    }
}

impl Handle {
    fn open(path: &Path, generation: u32) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(Self { file, generation })
    }

    fn write(&mut self, log: Log, lines: u64, written: &mut Written) -> io::Result<()> {
        if lines == 0 {
            return Ok(());
        }
        let count = written.entry((log, self.generation)).or_default();
        let mut text = Vec::new();
        for number in *count + 1..=*count + lines {
            Line {
                log,
                generation: self.generation,
                number,
            }
            .write(&mut text);
        }
        self.file.write_all(&text)?;
        *count += lines;
        Ok(())
    }
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// Makes room for a new `.1`. Nothing is deleted: what a rotation deletes before it was read is lost to any reader.
fn shift(path: &Path) -> io::Result<()> {
    let mut last = 0;
    while numbered(path, last + 1).try_exists()? {
        last += 1;
    }
    (1..=last)
        .rev()
        .try_for_each(|number| fs::rename(numbered(path, number), numbered(path, number + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &Path) -> Vec<Line> {
        let text = fs::read(path).unwrap();
        text.split_inclusive(|&byte| byte == b'\n')
            .map(|line| Line::parse(&line[..line.len() - 1]).unwrap())
            .collect()
    }

    /// Every line that was written is in exactly one file, in order, as the account says.
    fn assert_files_hold_what_was_written(directory: &Path, writers: &Writers) {
        let mut found = Written::new();
        for entry in fs::read_dir(directory).unwrap() {
            for line in lines(&entry.unwrap().path()) {
                let count = found.entry((line.log, line.generation)).or_default();
                *count += 1;
                assert_eq!(line.number, *count);
            }
        }
        assert_eq!(&found, writers.written());
    }

    #[test]
    fn rotations_keep_every_line() {
        let directory = tempfile::tempdir().unwrap();
        let mut now = Instant::now();
        let mut writers = Writers::start(directory.path(), now).unwrap();
        for round in 0..40 {
            now += Duration::from_millis(100);
            writers.tick(now).unwrap();
            match round % 10 {
                4 => writers.rotate(now).unwrap(),
                7 => writers.copy_and_truncate().unwrap(),
                _ => {}
            }
        }
        assert_files_hold_what_was_written(directory.path(), &writers);
        let late = lines(&directory.path().join("jobs.log.1"));
        assert!(late.len() > 25, "nothing was written to the old handle: {}", late.len());
        assert_eq!(writers.written().len(), 5 + 5 + 5);
    }

    #[test]
    fn a_pause_writes_nothing_and_is_not_made_up_for() {
        let directory = tempfile::tempdir().unwrap();
        let start = Instant::now();
        let mut writers = Writers::start(directory.path(), start).unwrap();
        writers.pause();
        writers.tick(start + Duration::from_secs(30)).unwrap();
        assert!(writers.written().is_empty());
        writers.go_on();
        writers.tick(start + Duration::from_millis(30_100)).unwrap();
        assert_eq!(writers.written()[&(Log::Web, 1)], 40);
    }
}
