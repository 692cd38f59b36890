//! Who ships the file.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rustix::process::Signal;

use super::bare::PROPERTIES;
use super::harness::guard;
use super::harness::kafka::Broker;
use super::harness::process::{peak_memory, pid, signal};
use super::harness::service::Host;
use super::measure::{Measured, wait_with_cpu};

/// A way to ship a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Contender {
    /// The real binary.
    Logcatch,
    /// The real binary with `format = "json"`.
    LogcatchJson,
    /// See [`super::bare`].
    Bare,
    /// The command line producer.
    Kcat,
}

/// How often it is looked whether all has arrived, and how much memory is used.
const LOOK: Duration = Duration::from_millis(10);

/// After so long without all lines arrived something is broken.
const DEADLINE: Duration = Duration::from_secs(600);

impl Contender {
    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Contender::Logcatch => "logcatch run",
            Contender::LogcatchJson => "logcatch run, json",
            Contender::Bare => "bare loop",
            Contender::Kcat => "kcat -P -l",
        }
    }

    fn command(self, broker: &Broker, topic: &str, file: &Path) -> Command {
        let host = Host::new("bench");
        let (address, key) = (broker.address(), host.key(file));
        match self {
            Contender::Logcatch | Contender::LogcatchJson => {
                let format = if self == Contender::Logcatch { "raw" } else { "json" };
                host.settings(&format!(
                    "{}[[logs]]\npath = \"{}\"\nformat = \"{format}\"\n",
                    host.head(&address, topic),
                    file.display()
                ));
                host.command(&["run"])
            }
            Contender::Bare => {
                let mut command = guard::command(std::env::current_exe().unwrap());
                command.args(["--bare", &address, topic, &key]).arg(file);
                command
            }
            Contender::Kcat => {
                let mut command = guard::command("kcat");
                command.args(["-P", "-b", &address, "-t", topic, "-k", &key]);
                for (name, value) in PROPERTIES {
                    command.args(["-X", &format!("{name}={value}")]);
                }
                command.arg("-l").arg(file);
                command
            }
        }
    }
}

/// Ships the file to an empty topic: from the start of the process until Kafka holds every line.
pub fn ship(who: Contender, broker: &Broker, topic: &str, partitions: i32, file: &Path, lines: u32) -> Measured {
    let watcher: BaseConsumer = broker.client().create().unwrap();
    let mut command = who.command(broker, topic, file);
    let start = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut peak = 0;
    while arrived(&watcher, topic, partitions) < i64::from(lines) {
        peak = peak.max(peak_memory(pid(&child)).unwrap_or(0));
        assert!(start.elapsed() < DEADLINE, "{} did not ship all lines", who.name());
        sleep(LOOK);
    }
    let wall = start.elapsed();
    peak = peak.max(peak_memory(pid(&child)).unwrap_or(0));
    let cpu = end(who, &mut child);
    assert_eq!(
        arrived(&watcher, topic, partitions),
        i64::from(lines),
        "{} shipped lines twice",
        who.name()
    );
    Measured { wall, cpu, peak }
}

/// The service is asked to end; the others do so by themselves. Gives all CPU time used.
fn end(who: Contender, child: &mut Child) -> Duration {
    if matches!(who, Contender::Logcatch | Contender::LogcatchJson) {
        signal(child, Signal::TERM);
    }
    let (status, cpu) = wait_with_cpu(child);
    assert!(status.success(), "{} ended with {status}", who.name());
    cpu
}

fn arrived(watcher: &BaseConsumer, topic: &str, partitions: i32) -> i64 {
    let timeout = Duration::from_secs(10);
    (0..partitions)
        .map(|partition| {
            watcher
                .fetch_watermarks(topic, partition, timeout)
                .map_or(0, |(_, end)| end)
        })
        .sum()
}
