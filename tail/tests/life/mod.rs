//! One life of a log file, interpreted on real files and against an exact model: every line that was written comes out,
//! once, in the order of its generation; after a crash what was not saved comes again, and nothing else does.
#![allow(
    dead_code,
    clippy::unwrap_used,
    missing_docs,
    reason = "shared by several test files, each using a part"
)]

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use logcatch_tail::{HOLD, QUIET};

use crate::rig::{Rig, copy};

/// More rotations than a life has.
pub const NAMES: usize = 40;

#[derive(Debug, Clone)]
pub enum Action {
    /// Whole lines of about this length.
    Write(u8, u16),
    /// A line in two halves, the watcher reading in between or not.
    Halves(bool),
    /// Rename to `.1`, older ones up by one, and create.
    Rotate,
    /// A line into the generation that was rotated last, by a writer that kept its handle.
    Late,
    /// Copy to `.1` and truncate, with so many lines not read yet; a line read between the two or not.
    CopyTruncate(u8, bool),
    /// The youngest rotated generation that is plain is compressed; its writer has closed it.
    Compress,
    /// Truncate, when everything was read.
    Truncate,
    /// Delete and create, the watcher having seen the file.
    Delete,
    /// The watcher reads so many batches.
    Read(u8),
    /// The same before it was told what happened to its files, as after an acknowledgement.
    ReadUntold(u8),
    /// Kafka acknowledges.
    Acknowledge,
    /// Positions reach the disk.
    Save,
    /// Time passes and everything is read.
    Pass(u8),
    /// A stop that drains, and a start.
    Restart,
    /// Stop; the next actions happen while the service is down; start after so many of them.
    Down(u8),
    /// `kill -9`, with what is in flight in Kafka or not; the next actions happen while the service is down.
    Crash { arrived: bool, down: u8 },
    /// A transaction of so many batches is committed: with exactly-once only.
    Commit(u8),
    /// Other files have all handles; this one gets one again after so many actions.
    Close(u8),
}

/// Which names are watched, and in which order their watchers look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// The log alone.
    One,
    /// Its rotated names as well, after it.
    AllAfter,
    /// Its rotated names as well, before it.
    AllBefore,
}

pub struct World {
    rig: Rig,
    /// The live writer, and the one of the generation before.
    writer: File,
    previous: Option<(File, usize)>,
    generation: usize,
    written: Vec<(usize, String)>,
    down: u8,
    /// So many actions are still to come before there is a handle.
    closed: u8,
    /// Lines written to what was rotated: others may have overtaken them.
    late: HashSet<String>,
    pattern: Pattern,
    /// Records handed out before they were saved: they may come again, once per crash.
    may_repeat: HashMap<String, usize>,
    saved: usize,
    is_acknowledged: usize,
    /// What is delivered is committed.
    is_exact: bool,
}

impl World {
    /// A whole life.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn live(actions: &[Action], pattern: Pattern) -> Result<(), String> {
        Self::new(pattern, Rig::new()).through(actions)
    }

    /// A whole life with exactly-once: nothing may come again.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn live_exactly_once(actions: &[Action], pattern: Pattern) -> Result<(), String> {
        let mut world = Self::new(pattern, Rig::exactly_once());
        world.is_exact = true;
        world.through(actions)
    }

    fn through(mut self, actions: &[Action]) -> Result<(), String> {
        let world = &mut self;
        for action in actions {
            world.act(action);
        }
        world.finish();
        world.check()
    }

    fn new(pattern: Pattern, mut rig: Rig) -> Self {
        rig.others_first = pattern == Pattern::AllBefore;
        if pattern != Pattern::One {
            (1..=NAMES).for_each(|n| rig.watch(&format!("app.log.{n}")));
        }
        let writer = File::options().append(true).create(true).open(&rig.spec.path).unwrap();
        rig.run(0);
        Self {
            rig,
            writer,
            previous: None,
            generation: 0,
            written: vec![],
            down: 0,
            closed: 0,
            late: HashSet::new(),
            pattern,
            may_repeat: HashMap::new(),
            saved: 0,
            is_acknowledged: 0,
            is_exact: false,
        }
    }

    fn line(&mut self, generation: usize, length: u16) -> String {
        let line = format!("g{generation} n{} {}", self.written.len(), "x".repeat(length.into()));
        self.written.push((generation, line.clone()));
        line
    }

    fn is_up(&self) -> bool {
        self.down == 0
    }

    /// Has the live file closed for a while, in whatever state it is.
    fn close(&mut self, actions: u8) {
        self.closed = actions + 1;
        self.rig.world.handles.set_limit(0);
        // One that has something to read keeps its handle for a while.
        self.rig.now += HOLD;
        self.read(0);
    }

    fn open(&mut self) {
        self.closed = 0;
        self.rig.world.handles.set_limit(usize::MAX);
        self.read(0);
    }

    fn read(&mut self, reads: usize) {
        if self.is_up() {
            self.rig.run(reads);
        }
    }

    fn acknowledge(&mut self) {
        if self.is_up() {
            self.rig.acknowledge();
            self.is_acknowledged = self.rig.delivered.len();
        }
    }

    fn save(&mut self) {
        if self.is_up() {
            self.rig.checkpoint();
            self.saved = self.is_acknowledged;
        }
    }

    fn kill(&mut self, arrived: bool) {
        if self.is_exact {
            self.saved = self.rig.delivered.len();
        } else if !arrived {
            self.rig.delivered.truncate(self.is_acknowledged);
        }
        for record in &self.rig.delivered[self.saved..] {
            *self.may_repeat.entry(record.value.clone()).or_default() += 1;
        }
        self.rig.kill();
        self.closed = 0;
        self.is_acknowledged = self.rig.delivered.len();
        self.saved = self.is_acknowledged;
    }

    fn settle(&mut self) {
        // A closed file that is no longer where it was is looked for when all of it is acknowledged.
        for _ in 0..2 {
            self.read(usize::MAX);
            self.acknowledge();
        }
    }

    fn shift_siblings(&self) {
        for n in (1..NAMES).rev() {
            for suffix in ["", ".gz"] {
                let from = self.rig.path(&format!("app.log.{n}{suffix}"));
                if from.exists() {
                    fs::rename(from, self.rig.path(&format!("app.log.{}{suffix}", n + 1))).unwrap();
                }
            }
        }
    }

    fn next_generation(&mut self) {
        let fresh = File::options()
            .append(true)
            .create(true)
            .open(&self.rig.spec.path)
            .unwrap();
        let old = std::mem::replace(&mut self.writer, fresh);
        self.previous = Some((old, self.generation));
        self.generation += 1;
    }

    fn act(&mut self, action: &Action) {
        match *action {
            Action::Write(n, length) => {
                for _ in 0..n {
                    let line = self.line(self.generation, length);
                    writeln!(self.writer, "{line}").unwrap();
                }
            }
            Action::Halves(read) => {
                let line = self.line(self.generation, 10) + "\n";
                let (first, second) = line.split_at(7);
                self.writer.write_all(first.as_bytes()).unwrap();
                if read {
                    self.settle();
                }
                self.writer.write_all(second.as_bytes()).unwrap();
            }
            Action::Rotate => {
                self.shift_siblings();
                fs::rename(&self.rig.spec.path, self.rig.path("app.log.1")).unwrap();
                self.next_generation();
            }
            Action::Late => {
                if let Some((mut writer, generation)) = self.previous.take() {
                    let line = self.line(generation, 3);
                    self.late.insert(line.clone());
                    writeln!(writer, "{line}").unwrap();
                    self.previous = Some((writer, generation));
                }
            }
            Action::CopyTruncate(unread, between) => {
                self.open();
                for _ in 0..unread {
                    let line = self.line(self.generation, 5);
                    writeln!(self.writer, "{line}").unwrap();
                }
                self.shift_siblings();
                copy(&self.rig.spec.path, &self.rig.path("app.log.1"));
                if between && self.is_up() {
                    // Nobody else has it.
                    self.act(&Action::Write(1, 5));
                    self.settle();
                }
                self.writer.set_len(0).unwrap();
                // Seen before it grows beyond where it was read to with the same first bytes; and where the copy has less than
                // was read, before a restart: of less than 1 KiB only memory can tell whose beginning it is.
                self.read(if between { usize::MAX } else { 0 });
                self.generation += 1;
                self.previous = None;
            }
            Action::Compress => {
                let mut names = (1..NAMES).map(|n| self.rig.path(&format!("app.log.{n}")));
                if let Some(plain) = names.find(|plain| plain.exists()) {
                    compress(&plain);
                    self.previous = None;
                }
            }
            Action::Truncate => {
                if self.is_up() {
                    let closed = self.closed;
                    self.open();
                    self.settle();
                    if closed > 0 {
                        self.close(closed);
                    }
                    self.writer.set_len(0).unwrap();
                    self.read(0);
                    self.generation += 1;
                }
            }
            Action::Delete => {
                if self.is_up() {
                    self.open();
                    // One that is not where it was is looked for when it is settled, and what took its place is seen then.
                    self.acknowledge();
                    self.read(0);
                    fs::remove_file(&self.rig.spec.path).unwrap();
                    self.next_generation();
                    self.read(0);
                    // Its handle is all there is: a crash would lose what only it can reach.
                    self.settle();
                    self.previous = None;
                }
            }
            Action::Read(reads) => self.read(reads.into()),
            Action::ReadUntold(reads) => {
                self.rig.is_quiet = true;
                self.read(reads.into());
                self.rig.is_quiet = false;
            }
            Action::Acknowledge => self.acknowledge(),
            Action::Save => self.save(),
            Action::Pass(seconds) => {
                if self.is_up() {
                    self.settle();
                    self.rig.pass(Duration::from_secs(seconds.into()));
                    self.acknowledge();
                }
            }
            Action::Restart => {
                if self.is_up() {
                    self.acknowledge();
                    self.rig.restart();
                    self.closed = 0;
                    self.saved = self.is_acknowledged;
                    self.read(0);
                }
            }
            Action::Down(actions) => {
                if self.is_up() {
                    self.acknowledge();
                    self.rig.stop();
                    self.closed = 0;
                    self.saved = self.is_acknowledged;
                    self.down = actions + 1;
                }
            }
            Action::Crash { arrived, down } => {
                if self.is_up() {
                    self.kill(arrived);
                    self.down = down + 1;
                }
            }
            Action::Commit(batches) => {
                if self.is_up() {
                    self.rig.commit(batches.into());
                }
            }
            Action::Close(actions) => {
                if self.is_up() {
                    self.close(actions);
                }
            }
        }
        if self.closed > 0 {
            self.closed -= 1;
            if self.closed == 0 {
                self.open();
            }
        }
        if self.down > 0 {
            self.down -= 1;
            if self.down == 0 {
                self.rig.start();
                self.read(0);
            }
        }
    }

    fn finish(&mut self) {
        if self.down > 0 {
            self.down = 0;
            self.rig.start();
        }
        self.open();
        self.settle();
        self.rig.pass(QUIET);
        self.rig.pass(QUIET);
        self.rig.pass(Duration::from_secs(70));
    }

    fn check(&self) -> Result<(), String> {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for record in &self.rig.delivered {
            *counts.entry(&record.value).or_default() += 1;
        }
        for (_, line) in &self.written {
            let count = counts.remove(line.as_str()).unwrap_or(0);
            let repeats = self.may_repeat.get(line).copied().unwrap_or(0);
            if count == 0 {
                return Err(format!("lost: {line:.40}"));
            }
            if count > 1 + repeats {
                return Err(format!("came {count} times, may {}: {line:.40}", 1 + repeats));
            }
        }
        if let Some(line) = counts.keys().next() {
            return Err(format!("nobody wrote {line:.40}"));
        }
        let mut first: HashMap<&str, usize> = HashMap::new();
        for (at, record) in self.rig.delivered.iter().enumerate() {
            first.entry(&record.value).or_insert(at);
        }
        let mut last: HashMap<usize, (usize, &str)> = HashMap::new();
        for (generation, line) in &self.written {
            let at = first[line.as_str()];
            if let Some((before, other)) = last.insert(*generation, (at, line))
                && before >= at
            {
                return Err(format!("reordered: {line:.20} before {other:.20}"));
            }
        }
        if self.pattern == Pattern::One {
            // Watchers of their own do not wait for one another.
            let mut last: Option<(usize, &str)> = None;
            for (_, line) in self.written.iter().filter(|(_, line)| !self.late.contains(line)) {
                let at = first[line.as_str()];
                if let Some((before, other)) = last.replace((at, line))
                    && before > at
                {
                    return Err(format!("overtaken: {other:.20} by {line:.20}"));
                }
            }
        }
        Ok(())
    }
}

/// What `gzip` does.
fn compress(plain: &Path) {
    let archive = File::create_new(format!("{}.gz", plain.display())).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(archive, flate2::Compression::fast());
    encoder.write_all(&fs::read(plain).unwrap()).unwrap();
    let archive = encoder.finish().unwrap();
    archive
        .set_modified(fs::metadata(plain).unwrap().modified().unwrap())
        .unwrap();
    fs::remove_file(plain).unwrap();
}
