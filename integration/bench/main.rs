//! How fast and how cheap: the real binary on a real Kafka, beside a bare loop over librdkafka's producer and whichever
//! peers are installed, same files, same properties, in turns; then what waiting, many files and lateness cost.
//!
//! `cargo bench --bench ship -- SCENARIO...`, all of them with `all`; see docs/performance.md. Tables and progress go to
//! standard error, each figure as a line of JSON to standard output.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking"
)]

mod away;
mod bare;
mod catch_up;
mod contender;
mod exactly_once;
mod farm;
mod figures;
#[allow(dead_code, unused_macros, unused_imports, reason = "the tests use more of it")]
#[path = "../harness/mod.rs"]
mod harness;
mod input;
mod latency;
mod many;
mod measure;
mod order;
mod peers;
mod scaling;
mod table;

use std::path::Path;

use clap::{Parser, ValueEnum};
use harness::guard;
use harness::kafka::Broker;

/// As Kafka's own start script runs it.
const JAVA: &[&str] = &["-Xms1g", "-Xmx1g", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"];

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// One big file, to 1 partition and to 16
    CatchUp,
    /// The same lines in 100 files
    Hundred,
    /// How long until an appended line can be read: now and then, 10 and 10,000 lines/s, and while another file catches up
    Latency,
    /// Exactly-once beside the default mode: backlogs in turns, and how long until a line can be read
    ExactlyOnce,
    /// Memory and CPU while Kafka is away and the log grows
    Away,
    /// Files to which nobody writes
    Idle,
    /// The same lines a second over 100, 1,000 and all files
    Busy,
    /// A start with saved positions, also beside rotated files
    Start,
    /// Ten times as many files as in the others
    Matched,
    /// Line lengths, numbers of files, one arbiter and two
    Scaling,
    /// Whichever other shippers are installed
    Peers,
    /// All of these
    All,
}

impl Scenario {
    fn includes(self, other: Scenario) -> bool {
        self == Scenario::All || self == other
    }
}

/// Ships generated logs and measures it.
#[derive(Parser)]
struct Arguments {
    /// What to measure
    #[arg(value_enum, default_values = ["catch-up", "latency"])]
    scenarios: Vec<Scenario>,
    /// Lines of the access log, about 124 bytes each
    #[arg(long, default_value_t = 2_000_000)]
    lines: u32,
    /// Runs of each contender on each topic; medians are shown
    #[arg(long, default_value_t = 3)]
    runs: u32,
    /// Lines that are appended one by one for the latency; 0 for none
    #[arg(long, default_value_t = 200)]
    appends: usize,
    /// Files of the scenarios with many
    #[arg(long, default_value_t = 10_000)]
    files: usize,
    /// How long Kafka is away, files are idle or busy, and latencies are collected
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Given by cargo when it benches; without it nothing is measured
    #[arg(long, hide = true)]
    bench: bool,
    /// Be the bare loop: the broker, the topic, and the files
    #[arg(long, hide = true, num_args = 3..)]
    bare: Option<Vec<String>>,
}

fn main() {
    let arguments = Arguments::parse();
    match &arguments.bare {
        Some(bare) => bare::run(&bare[0], &bare[1], bare[2..].iter().map(Path::new)),
        None if arguments.bench => {
            measure_all(&arguments);
            guard::end();
        }
        None => println!("nothing measured: run it with `cargo bench --bench ship`"),
    }
}

fn measure_all(arguments: &Arguments) {
    let is_wanted = |scenario| arguments.scenarios.iter().any(|wanted| wanted.includes(scenario));
    eprintln!("Kafka {}", harness::jars::VERSION);
    let broker = Broker::start("bench", JAVA);
    catch_up::warm_up(&broker);
    if is_wanted(Scenario::CatchUp) {
        catch_up::one_file(&broker, arguments.lines, arguments.runs);
    }
    if is_wanted(Scenario::Hundred) {
        catch_up::hundred(&broker, arguments.lines, arguments.runs);
    }
    if is_wanted(Scenario::Peers) {
        peers::measure(&broker, arguments.lines, arguments.runs);
    }
    if is_wanted(Scenario::Scaling) {
        scaling::measure(&broker, arguments.lines);
    }
    if is_wanted(Scenario::Latency) {
        let (appends, seconds) = (arguments.appends, arguments.seconds);
        latency::measure(
            contender::Contender::Logcatch,
            &broker,
            appends,
            seconds,
            arguments.lines,
        );
    }
    if is_wanted(Scenario::ExactlyOnce) {
        exactly_once::measure(&broker, arguments);
    }
    if is_wanted(Scenario::Idle) {
        many::idle(&broker, arguments.files, arguments.seconds);
    }
    if is_wanted(Scenario::Busy) {
        many::busy(&broker, arguments.files, arguments.seconds);
    }
    if is_wanted(Scenario::Start) {
        many::start(&broker, arguments.files);
    }
    if is_wanted(Scenario::Matched) {
        many::matched(&broker, arguments.files * 10, arguments.seconds);
    }
    if is_wanted(Scenario::Away) {
        away::measure(&broker, arguments.seconds);
    }
}

/// Millions of bytes.
fn megabytes(bytes: u64) -> f64 {
    // Exact far beyond any file here.
    let kilobytes = u32::try_from(bytes / 1000).unwrap();
    f64::from(kilobytes) / 1000.0
}
