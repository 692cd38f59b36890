//! How fast and how cheap: the real binary beside a bare loop over librdkafka's producer and beside kcat, same file, same
//! properties, same real Kafka, in turns. Then: how long until one appended line can be read.
//!
//! `cargo bench --bench ship`, or with less: `cargo bench --bench ship -- --lines 200000 --runs 1`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking"
)]

mod bare;
mod contender;
#[allow(dead_code, unused_macros, unused_imports, reason = "the tests use more of it")]
#[path = "../harness/mod.rs"]
mod harness;
mod input;
mod latency;
mod measure;
mod order;
mod table;

use clap::Parser;
use harness::kafka::Broker;
use harness::{guard, writers};

use contender::Contender;
use table::Table;

/// As Kafka's own start script runs it.
const JAVA: &[&str] = &["-Xms1g", "-Xmx1g", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"];

/// Ships a generated access log and measures it.
#[derive(Parser)]
struct Arguments {
    /// Lines of the access log, about 124 bytes each
    #[arg(long, default_value_t = 2_000_000)]
    lines: u32,
    /// Runs of each contender on each topic; medians are shown
    #[arg(long, default_value_t = 3)]
    runs: u32,
    /// Lines that are appended one by one for the latency; 0 for none
    #[arg(long, default_value_t = 200)]
    appends: usize,
    /// Given by cargo when it benches; without it nothing is measured
    #[arg(long, hide = true)]
    bench: bool,
    /// Be the bare loop: the broker, the topic, the key and the file
    #[arg(long, hide = true, num_args = 4)]
    bare: Option<Vec<String>>,
}

fn main() {
    let arguments = Arguments::parse();
    match &arguments.bare {
        Some(bare) => bare::run(&bare[0], &bare[1], &bare[2], bare[3].as_ref()),
        None if arguments.bench => {
            measure_all(&arguments);
            guard::end();
        }
        None => println!("nothing measured: run it with `cargo bench --bench ship`"),
    }
}

fn measure_all(arguments: &Arguments) {
    let file = input::access_log(arguments.lines);
    let bytes = file.metadata().unwrap().len();
    println!(
        "{} lines, {:.1} MB, Kafka {}",
        arguments.lines,
        megabytes(bytes),
        harness::jars::VERSION
    );
    let broker = Broker::start("bench", JAVA);
    let mut contenders = vec![Contender::Bare, Contender::Logcatch, Contender::LogcatchJson];
    if writers::installed("kcat") {
        contenders.push(Contender::Kcat);
    } else {
        println!("kcat is not installed and left out");
    }
    // Not counted: Java compiles what is used often.
    let warm_up = broker.topic("warm-up", 1);
    contender::ship(Contender::Bare, &broker, &warm_up, 1, &file, arguments.lines);
    for partitions in [1, 16] {
        let mut table = Table::new(contenders.iter().map(|who| who.name()));
        let mut turn = contenders.clone();
        for run in 0..arguments.runs {
            // Each is first in its turn: what the others leave behind in Kafka must not count for one only.
            turn.rotate_left(1);
            for &contender in &turn {
                let topic = broker.topic("bench", partitions);
                let measured = contender::ship(contender, &broker, &topic, partitions, &file, arguments.lines);
                table.add(contender.name(), measured);
                if run == 0 && contender == Contender::Logcatch {
                    order::check(&broker, &topic, &file);
                    println!(
                        "read back: all {} lines, whole and in order, on one partition",
                        arguments.lines
                    );
                }
            }
        }
        println!(
            "\n{partitions} partition(s), medians of {} runs:\n{}",
            arguments.runs,
            table.render(arguments.lines)
        );
    }
    if arguments.appends > 0 {
        println!("{}", latency::measure(&broker, arguments.appends));
    }
}

/// Millions of bytes.
fn megabytes(bytes: u64) -> f64 {
    // Exact far beyond any file here.
    let kilobytes = u32::try_from(bytes / 1000).unwrap();
    f64::from(kilobytes) / 1000.0
}
