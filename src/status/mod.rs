//! `logcatch status`: the verdict in one sentence, then a row a file, worst first.

mod origin;
mod table;
mod view;
mod watch;

use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use logcatch_actors::{Order, Report, verdict};

use crate::cli;
use crate::control::Named;
use crate::control::args::StatusArgs;
use crate::control::client::state_of;
use crate::error::Failure;
use origin::Origin;

/// Between two looks: as `top` and its kin are read.
const PACE: Duration = Duration::from_secs(1);

pub fn run(config: &Path, args: &StatusArgs) -> Result<(), Failure> {
    let of = args.of.as_deref().map(Named::new);
    let mut origin = match &args.url {
        Some(url) => Origin::page(url, of),
        None => Origin::socket(state_of(config, args.client.state.as_deref())?, of),
    };
    let report = origin.report()?;
    if !args.watch {
        return if args.json {
            cli::print_json(&report)
        } else {
            cli::print(&text(&report))
        };
    }
    if !args.json && io::stdout().is_terminal() && io::stdin().is_terminal() {
        return watch::run(origin, report);
    }
    // For a program that reads along: a line a second.
    let mut report = report;
    loop {
        let line = if args.json {
            serde_json::to_string(&report).map_err(Failure::new)?
        } else {
            verdict::sentence(&report)
        };
        if !cli::print_on(&format!("{line}\n"))? {
            return Ok(());
        }
        sleep(PACE);
        report = origin.report()?;
    }
}

/// The verdict, what is wrong with the service as a whole, and the rows.
fn text(report: &Report) -> String {
    let colours = cli::stdout_has_colours();
    let mut lines = vec![verdict::sentence(report)];
    lines.extend(verdict::remarks(report));
    if !report.files.is_empty() {
        lines.push(String::new());
        let order = Order::default();
        lines.extend(table::lines(&table::sorted(&report.files, order), None, colours));
    }
    lines.push(String::new());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use logcatch_actors::{FileRow, Reason, State};

    pub fn file(path: &str, state: State, lag_seconds: f64) -> FileRow {
        let is_blocked = state == State::Blocked;
        FileRow {
            log: "app".into(),
            path: path.into(),
            topic: "t".into(),
            state,
            reason: is_blocked.then_some(Reason::TopicMissing),
            detail: is_blocked.then(|| "t: topic does not exist".into()),
            since_seconds: 1.0,
            size: 2048,
            position: 1024,
            lag_bytes: if lag_seconds > 0.0 { 1024 } else { 0 },
            lag_seconds,
            in_flight_bytes: 0,
            bytes_per_second: 0.0,
            lines_per_second: 0.0,
            restarts: 0,
            generations: 1,
            file_id: String::new(),
            time_to_loss_seconds: None,
        }
    }
}
