//! Who ships the files.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rustix::process::Signal;

use super::bare::PROPERTIES;
use super::harness::guard;
use super::harness::kafka::{Broker, unique};
use super::harness::process::{peak_memory, pid, signal};
use super::harness::service::{HOST, Host};
use super::harness::writers::installed;
use super::input::Input;
use super::measure::{Measured, has_failed, wait_with_cpu};
use super::peers::Peer;

/// A way to ship files.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Contender {
    /// The real binary.
    Logcatch,
    /// The same on one core: with one arbiter.
    LogcatchOnOneCore,
    /// The same with exactly-once.
    ExactlyOnce,
    /// The real binary with `format = "json"`.
    LogcatchJson,
    /// See [`super::bare`].
    Bare,
    /// The command line producer.
    Kcat,
    /// A service like this one.
    Peer(&'static Peer),
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
            Contender::LogcatchOnOneCore => "logcatch on one core",
            Contender::ExactlyOnce => "exactly once",
            Contender::LogcatchJson => "logcatch run, json",
            Contender::Bare => "bare loop",
            Contender::Kcat => "kcat -P -l",
            Contender::Peer(peer) => peer.name,
        }
    }

    /// Whether the machine has it; else that is said.
    pub fn is_here(self) -> bool {
        let program = match self {
            Contender::Logcatch | Contender::LogcatchJson | Contender::ExactlyOnce | Contender::Bare => return true,
            Contender::LogcatchOnOneCore => "taskset",
            Contender::Kcat => "kcat",
            Contender::Peer(peer) => peer.program,
        };
        let is_here = installed(program);
        if !is_here {
            eprintln!("{program} is not installed and left out");
        }
        is_here
    }

    fn command(self, broker: &Broker, topic: &str, input: &Input) -> Command {
        let mut host = Host::new("bench");
        if self == Contender::ExactlyOnce {
            host.exactly_once(&unique("bench"));
        }
        let address = broker.address();
        match self {
            Contender::Logcatch | Contender::LogcatchOnOneCore | Contender::LogcatchJson | Contender::ExactlyOnce => {
                let head = host.head(&address, topic);
                let format = if self == Contender::LogcatchJson { "json" } else { "raw" };
                host.settings(&format!(
                    "{head}[[logs]]\npath = \"{}\"\nformat = \"{format}\"\n",
                    input.pattern()
                ));
                let runner: &[&str] = match self {
                    Contender::LogcatchOnOneCore => &["taskset", "-c", "0"],
                    _ => &[],
                };
                host.command_under(runner, &["run"])
            }
            Contender::Bare => {
                let mut command = guard::command(std::env::current_exe().unwrap());
                command.args(["--bare", &address, topic]).args(input.files());
                command
            }
            Contender::Kcat => {
                let mut command = guard::command("kcat");
                // One key for all: it knows no file names.
                let key = format!("{HOST}:{}", input.files()[0].display());
                command.args(["-P", "-b", &address, "-t", topic, "-k", &key]);
                for (name, value) in PROPERTIES {
                    command.args(["-X", &format!("{name}={value}")]);
                }
                command.arg("-l").args(input.files());
                command
            }
            Contender::Peer(peer) => peer.command(&host, &address, topic, Path::new(input.pattern())),
        }
    }

    fn is_service(self) -> bool {
        !matches!(self, Contender::Bare | Contender::Kcat)
    }
}

/// Ships the files to an empty topic, which is then deleted: from the start of the process until Kafka holds every line.
/// `check` looks at the topic before.
pub fn ship(who: Contender, broker: &Broker, partitions: i32, input: &Input, check: impl FnOnce(&str)) -> Measured {
    let topic = broker.topic("bench", partitions);
    let watcher: BaseConsumer = broker.client().create().unwrap();
    let mut command = who.command(broker, &topic, input);
    let start = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (mut peak, mut first) = (0, None);
    let count = loop {
        let count = arrived(&watcher, &topic, partitions);
        if count >= i64::from(input.lines()) {
            break count;
        }
        if count > 0 {
            first.get_or_insert((Instant::now(), count));
        }
        peak = peak.max(peak_memory(pid(&child)).unwrap_or(0));
        assert!(!has_failed(&child), "{} ended before it shipped all lines", who.name());
        assert!(start.elapsed() < DEADLINE, "{} did not ship all lines", who.name());
        sleep(LOOK);
    };
    let wall = start.elapsed();
    // Without what a start takes, which is the same for any backlog.
    let (since, before) = first.unwrap_or((start, 0));
    let flow = u32::try_from(count - before).map_or(0.0, f64::from) / since.elapsed().as_secs_f64();
    peak = peak.max(peak_memory(pid(&child)).unwrap_or(0));
    let cpu = end(who, &mut child);
    // The marks that end transactions have offsets, too.
    if who != Contender::ExactlyOnce {
        assert_eq!(
            arrived(&watcher, &topic, partitions),
            i64::from(input.lines()),
            "{} shipped lines twice",
            who.name()
        );
    }
    check(&topic);
    broker.delete_topic(&topic);
    Measured { wall, flow, cpu, peak }
}

/// A service is asked to end; the others do so by themselves. Gives all CPU time used.
fn end(who: Contender, child: &mut Child) -> Duration {
    if who.is_service() {
        signal(child, Signal::TERM);
    }
    let (status, cpu) = wait_with_cpu(child);
    // Peers may end as they like.
    let is_fine = status.success() || matches!(who, Contender::Peer(_));
    assert!(is_fine, "{} ended with {status}", who.name());
    cpu
}

/// How many records a topic has.
pub fn arrived(watcher: &BaseConsumer, topic: &str, partitions: i32) -> i64 {
    let timeout = Duration::from_secs(10);
    (0..partitions)
        .map(|partition| {
            watcher
                .fetch_watermarks(topic, partition, timeout)
                .map_or(0, |(_, end)| end)
        })
        .sum()
}
