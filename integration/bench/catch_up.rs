//! A backlog, as fast as it goes.

use super::contender::{Contender, ship};
use super::harness::kafka::Broker;
use super::input::{Input, Shape};
use super::megabytes;
use super::order;
use super::table::Table;

/// Lines that Java ships before anything counts: it compiles what is used often.
const WARM_UP: u32 = 1_000_000;

/// Makes the broker fast.
pub fn warm_up(broker: &Broker) {
    ship(Contender::Bare, broker, 1, &Input::one(WARM_UP), |_| ());
}

/// One file, to one partition and to many.
pub fn one_file(broker: &Broker, lines: u32, runs: u32) {
    let input = Input::one(lines);
    for partitions in [1, 16] {
        let all = [
            Contender::Bare,
            Contender::Logcatch,
            Contender::LogcatchJson,
            Contender::ExactlyOnce,
            Contender::Kcat,
        ];
        compare("catch-up", broker, &all, partitions, &input, runs);
    }
}

/// The same lines in a hundred files.
pub fn hundred(broker: &Broker, lines: u32, runs: u32) {
    let (files, length) = (100, 0);
    let input = Input::of(Shape { lines, files, length });
    let all = [Contender::Bare, Contender::Logcatch];
    compare("hundred", broker, &all, 16, &input, runs);
}

/// Those of `all` that are here ship the input in turns; all are held against the first.
/// Gives lines a second of each from its first line on, divided by those of the first.
pub fn compare(
    scenario: &str,
    broker: &Broker,
    all: &[Contender],
    partitions: i32,
    input: &Input,
    runs: u32,
) -> Vec<f64> {
    let mut turn: Vec<Contender> = all.iter().copied().filter(|who| who.is_here()).collect();
    let mut table = Table::new(turn.iter().map(|who| who.name()));
    for run in 0..runs {
        // Each is first in its turn: what the others leave behind in Kafka must not count for one only.
        turn.rotate_left(1);
        for &contender in &turn {
            let is_checked = run == 0 && contender == Contender::Logcatch;
            let measured = ship(contender, broker, partitions, input, |topic| {
                if is_checked {
                    order::check(broker, topic, input.files());
                    eprintln!("read back: every line, whole and in its file's order, each file on one partition");
                }
            });
            table.add(contender.name(), measured);
        }
    }
    eprintln!(
        "\n{scenario}: {} file(s), {} lines, {:.1} MB, {partitions} partition(s), medians of {runs} runs:\n{}",
        input.files().len(),
        input.lines(),
        megabytes(input.bytes()),
        table.render(input.lines())
    );
    table.say(scenario, partitions, input);
    table.flow_ratios()
}
