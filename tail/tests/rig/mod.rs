//! A watcher on real files with a clock and a Kafka that the test moves: nothing here sleeps.
#![allow(
    dead_code,
    clippy::unwrap_used,
    missing_docs,
    reason = "shared by several test files, each using a part"
)]

pub mod archive;
pub mod topic;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use logcatch_tail::{
    Claims, Filter, Handles, Lease, Multiline, Positions, Settled, StateLock, StoreError, Stream, Todo, WatchSpec,
    Watcher, World,
};

/// One record as it was handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    pub value: String,
    pub bytes: Vec<u8>,
    pub file_id: String,
    pub offset: u64,
}

struct InFlight {
    stream: Arc<Stream>,
    seq: u64,
    settled: Settled,
    bytes: u64,
    /// What a reader sees once it is committed.
    records: Vec<Delivered>,
}

pub struct Rig {
    pub logs: tempfile::TempDir,
    state: tempfile::TempDir,
    pub world: World,
    pub watcher: Option<Watcher>,
    /// Watchers of more paths of the entry, as a pattern has them.
    pub others: Vec<Watcher>,
    /// They look before the watcher of the path does: in the service it is chance.
    pub others_first: bool,
    /// What happens to files is not told to the watchers: they poll for other reasons.
    pub is_quiet: bool,
    pub spec: WatchSpec,
    pub now: Instant,
    pub budget: usize,
    pub delivered: Vec<Delivered>,
    in_flight: Vec<InFlight>,
    /// Of the other watchers, while the service is down.
    paths: Vec<PathBuf>,
    /// File bytes of the batches since the start.
    handed: u64,
    /// Where positions are kept with exactly-once: what is not committed is delivered to nobody.
    topic: Option<topic::Topic>,
}

impl Rig {
    pub fn new() -> Self {
        let logs = tempfile::tempdir().unwrap();
        let state = tempfile::tempdir().unwrap();
        let spec = WatchSpec {
            log: "app".into(),
            path: logs.path().join("app.log").into(),
            max_line: 900 * 1024,
            shape: logcatch_tail::Shape::default(),
            from_end: false,
            rotated: logcatch_tail::Rotated::default(),
            ignore_before: None,
        };
        let world = open(state.path());
        let watcher = Some(watcher(&spec, &world));
        let now = Instant::now();
        Self {
            logs,
            state,
            world,
            watcher,
            others: vec![],
            others_first: false,
            is_quiet: false,
            spec,
            now,
            budget: usize::MAX,
            delivered: vec![],
            in_flight: vec![],
            paths: vec![],
            handed: 0,
            topic: None,
        }
    }

    /// As [`Rig::new`], with exactly-once.
    pub fn exactly_once() -> Self {
        let mut rig = Self::new();
        let mut topic = topic::Topic::new();
        topic.enter(&rig.world.positions);
        rig.topic = Some(topic);
        rig
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.logs.path().join(name)
    }

    /// Groups have so many lines at most from now on, and of them ships what has a match of this; for a rig with `multiline`.
    pub fn limit_groups(&mut self, max_lines: usize, included: &str) {
        let shape = &mut self.spec.shape;
        shape.filter = Filter::new(&[included.into()], &[]).unwrap().map(Arc::new);
        let multiline = (**shape.multiline.as_ref().unwrap()).clone();
        shape.multiline = Some(Arc::new(Multiline { max_lines, ..multiline }));
        self.restart();
    }

    /// Another path of the entry is watched from now on.
    pub fn watch(&mut self, name: &str) {
        let path = self.path(name);
        let spec = WatchSpec {
            path: path.into(),
            ..self.spec.clone()
        };
        self.others.push(watcher(&spec, &self.world));
    }

    /// Polls until the watchers want to wait; takes at most `reads` batches. True when they want to wait.
    pub fn run(&mut self, reads: usize) -> bool {
        let mut watcher = self.watcher.take().unwrap();
        let mut others = std::mem::take(&mut self.others);
        let mut waits = self.others_first || self.run_one(&mut watcher, reads);
        for other in &mut others {
            waits &= self.run_one(other, reads);
        }
        if self.others_first {
            waits &= self.run_one(&mut watcher, reads);
        }
        (self.watcher, self.others) = (Some(watcher), others);
        let rescued = self.assert_books();
        assert!(!waits || rescued == 0);
        waits
    }

    fn run_one(&mut self, watcher: &mut Watcher, mut reads: usize) -> bool {
        if !self.is_quiet {
            watcher.wake();
        }
        loop {
            self.assert_books();
            match watcher.poll(self.now).unwrap() {
                Todo::Wait { .. } => return true,
                Todo::Save { order } => {
                    self.checkpoint();
                    watcher.saved(order);
                }
                Todo::Read { cost } => {
                    if reads == 0 {
                        return false;
                    }
                    reads -= 1;
                    let Some(batch) = watcher.read(self.now, cost.max(self.budget.min(cost))).unwrap() else {
                        continue;
                    };
                    let id = batch.stream.id().to_string();
                    let mut records = vec![];
                    for (index, range) in batch.records.iter().enumerate() {
                        let bytes = &batch.buffer[range.start as usize..range.end as usize];
                        records.push(Delivered {
                            value: String::from_utf8_lossy(bytes).into_owned(),
                            bytes: bytes.to_vec(),
                            file_id: id.clone(),
                            offset: batch.offset_of(index),
                        });
                    }
                    if self.topic.is_none() {
                        self.delivered.append(&mut records);
                    }
                    let lines = batch.records.len() as u64;
                    let settled = Settled {
                        lines,
                        dead_lettered: 0,
                    };
                    self.handed += batch.bytes;
                    self.in_flight.push(InFlight {
                        stream: batch.stream,
                        seq: batch.seq,
                        settled,
                        bytes: batch.bytes,
                        records,
                    });
                }
            }
        }
    }

    /// Every byte is in exactly one account, and the accounts say what happened. Returns the bytes that are taken down
    /// and not handed over yet.
    pub fn assert_books(&self) -> u64 {
        let entry = self.world.positions.account("app").balance();
        let files = self.world.positions.all();
        assert!(entry.adds_up(), "{entry:?}");
        for file in &files {
            assert!(file.balance().adds_up(), "{:?}", file.balance());
            assert_eq!(file.balance().in_flight, file.in_flight());
        }
        let in_flight: u64 = self.in_flight.iter().map(|batch| batch.bytes).sum();
        assert_eq!(entry.delivered, self.handed - in_flight);
        // What a truncation took away in the file waits in the watcher until it is asked for.
        let rescued = entry.in_flight - in_flight;
        assert_eq!(entry.read - entry.skipped(), self.handed + rescued);
        let sum: u64 = files.iter().map(|file| file.balance().read).sum();
        assert!(sum <= entry.read, "forgotten files count on: {sum} of {}", entry.read);
        rescued
    }

    /// Kafka acknowledges everything.
    pub fn acknowledge(&mut self) {
        if self.topic.is_some() {
            self.commit(usize::MAX);
        }
        for batch in self.in_flight.drain(..) {
            batch.stream.settle(batch.seq, batch.settled, None);
        }
        self.assert_books();
    }

    /// A transaction of so many batches, the oldest, and of all that is known of files, is committed.
    pub fn commit(&mut self, batches: usize) {
        let Some(topic) = &mut self.topic else { return };
        let batches: Vec<InFlight> = self.in_flight.drain(..batches.min(self.in_flight.len())).collect();
        for batch in &batches {
            batch.stream.pledge(batch.seq, None);
        }
        topic.write();
        for batch in batches {
            batch.stream.settle_committed(batch.seq, batch.settled, None);
            self.delivered.extend(batch.records);
        }
        topic.committed();
        self.assert_books();
    }

    /// Everything there is to read is read and acknowledged.
    pub fn settle(&mut self) {
        assert!(self.run(usize::MAX));
        self.acknowledge();
    }

    /// Everything is read; then the log and those that were rotated, `files` in all, get the next number, and it is made anew.
    pub fn rotate(&mut self, files: usize) {
        self.settle();
        for n in (0..files).rev() {
            let name = |n: usize| {
                let suffix = (n > 0).then(|| format!(".{n}"));
                format!("app.log{}", suffix.unwrap_or_default())
            };
            std::fs::rename(self.path(&name(n)), self.path(&name(n + 1))).unwrap();
        }
        append(&self.spec.path, "");
        self.settle();
    }

    /// Quiet time passes.
    pub fn pass(&mut self, time: Duration) {
        self.now += time;
        self.watcher
            .iter_mut()
            .chain(&mut self.others)
            .for_each(Watcher::reconcile);
        self.settle();
    }

    /// The service ends as it should: what is in flight is acknowledged, positions are saved.
    pub fn stop(&mut self) {
        self.acknowledge();
        while self.topic.as_ref().is_some_and(|topic| !topic.is_empty()) {
            self.commit(0);
        }
        self.watcher = None;
        self.paths = self.others.drain(..).map(|other| other.path().to_owned()).collect();
        self.world.positions.close();
    }

    pub fn start(&mut self) {
        self.world = open(self.state.path());
        self.enter();
        self.handed = 0;
        self.watcher = Some(watcher(&self.spec, &self.world));
        for path in std::mem::take(&mut self.paths) {
            let spec = WatchSpec {
                path: path.into(),
                ..self.spec.clone()
            };
            self.others.push(watcher(&spec, &self.world));
        }
    }

    /// The service ends, and its store is garbage when it starts again.
    pub fn damage(&mut self) {
        self.stop();
        std::fs::write(self.state.path().join("positions.redb"), "garbage").unwrap();
    }

    /// Positions reach the disk.
    pub fn checkpoint(&mut self) {
        if self.topic.is_some() {
            return self.commit(0);
        }
        let (sender, receiver) = std::sync::mpsc::channel();
        self.world.positions.when_saved(move || sender.send(()).unwrap());
        receiver.recv().unwrap();
    }

    /// `kill -9` and start.
    pub fn crash(&mut self) {
        self.kill();
        self.start();
    }

    /// `kill -9`: what is in flight or was not saved is forgotten.
    pub fn kill(&mut self) {
        let copy = tempfile::tempdir().unwrap();
        std::fs::copy(
            self.state.path().join("positions.redb"),
            copy.path().join("positions.redb"),
        )
        .unwrap();
        self.in_flight.clear();
        let copy = if self.topic.is_some() {
            tempfile::tempdir().unwrap()
        } else {
            copy
        };
        // What it saves now is saved beside the copy.
        self.world.positions.close();
        self.watcher = None;
        self.paths = self.others.drain(..).map(|other| other.path().to_owned()).collect();
        self.state = copy;
    }

    /// Positions are read back from the topic, where they are in one.
    fn enter(&mut self) {
        if let Some(topic) = &mut self.topic {
            topic.enter(&self.world.positions);
            self.world.claims = Arc::new(claims(&self.world.positions));
        }
    }

    pub fn values(&self) -> Vec<&str> {
        self.delivered.iter().map(|record| record.value.as_str()).collect()
    }

    pub fn restart(&mut self) {
        self.stop();
        self.start();
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.world.positions.close();
    }
}

fn open(state: &Path) -> World {
    // A program that another test starts has a copy of every handle, of the locks too, until it executes.
    let positions = loop {
        // Saved only when asked: a crash then forgets exactly what was not.
        let lock = StateLock::acquire(state);
        match lock.and_then(|lock| Positions::open(state, lock, Duration::from_secs(3600))) {
            Err(StoreError::Held { .. }) => std::thread::yield_now(),
            opened => break opened.unwrap().0,
        }
    };
    World {
        claims: Arc::new(claims(&positions)),
        positions,
        handles: Handles::new(usize::MAX),
        listings: Arc::default(),
        spares: Arc::default(),
        lease: Lease::default(),
    }
}

/// As the supervisor does: what is known is reserved for the watcher of its path.
fn claims(positions: &Positions) -> Claims {
    let claims = Claims::default();
    for stream in positions.all() {
        claims.reserve(&stream.record());
    }
    claims
}

/// A watcher that the test wakes itself.
pub fn watcher(spec: &WatchSpec, world: &World) -> Watcher {
    Watcher::new(spec.clone(), world.clone(), Arc::new(|| {}))
}

pub fn append(path: &Path, text: &str) {
    use std::io::Write;
    let mut file = std::fs::File::options().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// Copies a file as a program does for which time passes meanwhile: file systems stamp births with the last timer tick.
pub fn copy(from: &Path, to: &Path) {
    let born = |path: &Path| std::fs::metadata(path).unwrap().created().unwrap();
    loop {
        std::fs::copy(from, to).unwrap();
        if born(to) > born(from) {
            return;
        }
        std::fs::remove_file(to).unwrap();
    }
}
