//! `logcatch status`: the verdict in one sentence, then a row a file, worst first.

mod table;
mod verdict;
mod view;
mod watch;
mod words;

use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use logcatch_actors::Report;

use crate::cli;
use crate::control::args::StatusArgs;
use crate::control::client::{Client, state_of};
use crate::control::{Named, Request, reported};
use crate::error::Failure;

/// Between two looks: as `top` and its kin are read.
const PACE: Duration = Duration::from_secs(1);

pub fn run(config: &Path, args: &StatusArgs) -> Result<(), Failure> {
    let state = state_of(config, args.client.state.as_deref())?;
    let request = Request::Status {
        of: args.of.as_deref().map(Named::new),
    };
    let mut client = Client::connect(&state)?;
    let report = reported(client.ask(&request)?)?;
    if !args.watch {
        return if args.json {
            cli::print_json(&report)
        } else {
            cli::print(&text(&report))
        };
    }
    if !args.json && io::stdout().is_terminal() && io::stdin().is_terminal() {
        return watch::run(state, request, report);
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
        report = reported(client.ask(&request)?)?;
    }
}

/// The verdict, what is wrong with the service as a whole, and the rows.
fn text(report: &Report) -> String {
    let colours = cli::stdout_has_colours();
    let mut lines = vec![verdict::sentence(report)];
    lines.extend(verdict::remarks(report));
    if !report.files.is_empty() {
        lines.push(String::new());
        let order = table::Order::default();
        lines.extend(table::lines(&table::sorted(&report.files, order), None, colours));
    }
    lines.push(String::new());
    lines.join("\n")
}
