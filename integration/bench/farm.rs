//! Many files on one host, the service on them, and what it uses.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rdkafka::consumer::BaseConsumer;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::contender::arrived;
use super::harness::kafka::Broker;
use super::harness::process;
use super::harness::service::{Host, Service};
use super::input::line;

/// Partitions of its topic.
const PARTITIONS: i32 = 4;
/// How often it is looked whether something has come about.
const LOOK: Duration = Duration::from_millis(20);
/// After so long something is broken.
const DEADLINE: Duration = Duration::from_secs(300);

/// A host whose `logs/` is full.
pub struct Farm {
    pub host: Host,
    files: Vec<PathBuf>,
    topic: String,
    watcher: BaseConsumer,
    /// Lines written so far.
    written: u32,
}

/// What was used between two moments.
pub struct Used {
    pub cpu: Duration,
    pub wall: Duration,
}

impl Used {
    /// In percent of one core.
    pub fn percent(&self) -> f64 {
        self.cpu.as_secs_f64() / self.wall.as_secs_f64() * 100.0
    }
}

impl Farm {
    /// So many files in one directory, each with a line.
    pub fn new(broker: &Broker, files: usize) -> Farm {
        let host = Host::new("farm");
        let topic = broker.topic("farm", PARTITIONS);
        host.ship_logs(broker, &topic, "");
        let files = (0..files)
            .map(|number| host.path(format!("logs/service-{number:06}.log")))
            .collect();
        let mut farm = Farm {
            host,
            files,
            topic,
            watcher: broker.client().create().unwrap(),
            written: 0,
        };
        farm.line_each();
        farm
    }

    /// How many files.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// A file.
    pub fn file(&self, number: usize) -> PathBuf {
        self.files[number].clone()
    }

    /// Its topic, and how many partitions that has.
    pub fn topic(&self) -> (&str, i32) {
        (&self.topic, PARTITIONS)
    }

    /// A line more in each file, by opening it.
    pub fn line_each(&mut self) {
        for path in &self.files {
            let mut file = File::options().append(true).create(true).open(path).unwrap();
            file.write_all(line(self.written).as_bytes()).unwrap();
            self.written += 1;
        }
    }

    /// Lines were written by others.
    pub fn wrote(&mut self, lines: u32) {
        self.written += lines;
    }

    /// Each file is renamed to its next older generation, and nothing takes its place.
    pub fn rotate(&self) {
        for path in &self.files {
            fs::rename(path, path.with_extension("log.1")).unwrap();
        }
    }

    /// Waits until all lines are in Kafka.
    pub fn caught_up(&self) {
        until("all lines arrive", || {
            let arrived = arrived(&self.watcher, &self.topic, PARTITIONS);
            assert!(arrived <= i64::from(self.written), "lines came twice");
            arrived == i64::from(self.written)
        });
    }

    /// What the service uses in the next so many seconds.
    pub fn used(service: &Service, seconds: u64) -> Used {
        let (before, start) = (process::cpu(service.pid()), Instant::now());
        sleep(Duration::from_secs(seconds));
        Used {
            cpu: process::cpu(service.pid()) - before,
            wall: start.elapsed(),
        }
    }
}

/// Waits for what takes its time.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < DEADLINE, "waited {DEADLINE:?} for: {what}");
        sleep(LOOK);
    }
}

/// Room for so many handles in this process.
pub fn raise_handles() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = maximum;
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
}
