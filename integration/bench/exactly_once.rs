//! What exactly-once costs, held against the default mode in the same run.

use serde_json::json;

use super::Arguments;
use super::catch_up::compare;
use super::contender::Contender;
use super::figures::{rounded, say};
use super::harness::kafka::Broker;
use super::input::{Input, Shape};
use super::latency;

/// Of the default mode's throughput.
const THROUGHPUT: f64 = 0.9;
/// Milliseconds: the bound of the 99th percentile.
const P99_MS: f64 = 200.0;

/// Backlogs of one file and of a hundred, in turns, then latencies of both modes.
pub fn measure(broker: &Broker, arguments: &Arguments) {
    let &Arguments {
        lines,
        runs,
        appends,
        seconds,
        ..
    } = arguments;
    let hundred = Shape {
        lines,
        files: 100,
        length: 0,
    };
    let inputs = [
        (Input::one(lines), 1),
        (Input::one(lines), 16),
        (Input::of(hundred), 16),
    ];
    for (input, partitions) in &inputs {
        let both = [Contender::Logcatch, Contender::ExactlyOnce];
        let ratios = compare("exactly-once", broker, &both, *partitions, input, runs);
        let (throughput, files) = (ratios[1], input.files().len());
        eprintln!(
            "exactly-once, {files} file(s), {partitions} partition(s): {throughput:.3} of the default mode's throughput, wanted {THROUGHPUT}"
        );
        let figures = json!({
            "what": "throughput", "files": files, "partitions": partitions,
            "ratio": rounded(throughput), "is_good": throughput >= THROUGHPUT,
        });
        say("exactly-once", figures);
    }
    for who in [Contender::Logcatch, Contender::ExactlyOnce] {
        let p99 = latency::measure(who, broker, appends, seconds, lines);
        eprintln!(
            "{}: worst p99 {p99:.1} ms, of exactly-once at most {P99_MS} wanted",
            who.name()
        );
        if who == Contender::ExactlyOnce {
            let figures = json!({ "what": "latency", "p99_ms": p99, "is_good": p99 <= P99_MS });
            say("exactly-once", figures);
        }
    }
}
