//! The result, as a table.

use std::fmt::Write;

use serde_json::json;

use super::figures::{rounded, say};
use super::input::Input;
use super::measure::Measured;
use super::megabytes;

/// Measured runs by contender. All are divided by the first.
pub struct Table(Vec<(&'static str, Vec<Measured>)>);

struct Row {
    wall: f64,
    flow: f64,
    cpu: f64,
    peak: f64,
}

impl Table {
    /// A table with these rows.
    pub fn new(names: impl Iterator<Item = &'static str>) -> Table {
        Table(names.map(|name| (name, Vec::new())).collect())
    }

    /// Adds a run of one of them.
    pub fn add(&mut self, name: &'static str, measured: Measured) {
        let row = self.0.iter_mut().find(|(known, _)| *known == name);
        row.expect("a row of the table").1.push(measured);
    }

    /// The medians, and their ratios to the reference.
    pub fn render(&self, lines: u32) -> String {
        let rows = self.rows();
        let reference = &rows[0].1;
        let mut text = String::from(
            "| | wall s | CPU s | CPU us/line | peak MB | lines/s | flowing | wall x | CPU x |\n|---|---|---|---|---|---|---|---|---|\n",
        );
        for (name, row) in &rows {
            let lines = f64::from(lines);
            writeln!(
                text,
                "| {name} | {:.2} | {:.2} | {:.2} | {:.1} | {:.0} | {:.0} | {:.2} | {:.2} |",
                row.wall,
                row.cpu,
                row.cpu * 1e6 / lines,
                row.peak,
                lines / row.wall,
                row.flow,
                row.wall / reference.wall,
                row.cpu / reference.cpu
            )
            .expect("a string takes all");
        }
        text
    }

    /// The same for programs.
    pub fn say(&self, scenario: &str, partitions: i32, input: &Input) {
        let rows = self.rows();
        let reference = &rows[0].1;
        for (name, row) in &rows {
            let figures = json!({
                "who": name, "partitions": partitions, "files": input.files().len(), "lines": input.lines(),
                "bytes": input.bytes(), "wall_seconds": rounded(row.wall), "cpu_seconds": rounded(row.cpu),
                "cpu_us_per_line": rounded(row.cpu * 1e6 / f64::from(input.lines())),
                "cpu_ns_per_byte": rounded(row.cpu * 1e3 / megabytes(input.bytes())),
                "peak_mb": rounded(row.peak), "flow_lines_per_second": rounded(row.flow),
                "wall_ratio": rounded(row.wall / reference.wall), "cpu_ratio": rounded(row.cpu / reference.cpu),
            });
            say(scenario, figures);
        }
    }

    /// Lines a second of each from its first line on, divided by those of the reference.
    pub fn flow_ratios(&self) -> Vec<f64> {
        let rows = self.rows();
        rows.iter().map(|(_, row)| row.flow / rows[0].1.flow).collect()
    }

    fn rows(&self) -> Vec<(&'static str, Row)> {
        self.0.iter().map(|(name, runs)| (*name, Row::of(runs))).collect()
    }
}

impl Row {
    fn of(runs: &[Measured]) -> Row {
        Row {
            wall: median(runs.iter().map(|run| run.wall.as_secs_f64())),
            flow: median(runs.iter().map(|run| run.flow)),
            cpu: median(runs.iter().map(|run| run.cpu.as_secs_f64())),
            peak: median(runs.iter().map(|run| megabytes(run.peak))),
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
