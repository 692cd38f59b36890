//! `logcatch restart`, `reload`, `plan`: what is ordered of a running service.

use std::path::Path;

use crate::cli;
use crate::control::args::{ClientArgs, OrderArgs, ServiceArgs};
use crate::control::client::{ask, state_of};
use crate::control::{Answer, Done, Named, Plan, Request, What, unexpected};
use crate::error::{Exit, Failure};

/// Of a longer list of paths the rest is counted.
const LISTED: usize = 10;

pub fn restart(config: &Path, args: &OrderArgs) -> Result<(), Failure> {
    let of = Named::new(&args.of);
    order(config, &args.client, &Request::Restart { of }, args.json)
}

pub fn reload(config: &Path, args: &ServiceArgs) -> Result<(), Failure> {
    order(config, &args.client, &Request::Reload, args.json)
}

pub fn plan(config: &Path, args: &ServiceArgs) -> Result<(), Failure> {
    let state = state_of(config, args.client.state.as_deref())?;
    match ask(&state, &Request::Plan)? {
        Answer::Plan(plan) => {
            plan.notices.iter().for_each(|notice| cli::note(notice));
            if args.json {
                cli::print_json(&plan)?;
            } else {
                cli::print(&planned(&plan))?;
            }
            would_be_refused(&plan)
        }
        answer => Err(unexpected(&answer)),
    }
}

/// A failure where applying would change nothing but the log, so that `logcatch plan && logcatch reload` ends here.
fn would_be_refused(plan: &Plan) -> Result<(), Failure> {
    if plan.refused.is_empty() {
        return Ok(());
    }
    let refused = format!("cannot apply the settings: {}", plan.refused.join("; "));
    let help = "take these changes back, or restart the service";
    Err(Failure::new(refused).help(help).exit(Exit::Settings))
}

fn order(config: &Path, client: &ClientArgs, request: &Request, json: bool) -> Result<(), Failure> {
    let state = state_of(config, client.state.as_deref())?;
    match ask(&state, request)? {
        Answer::Done(done) if json => cli::print_json(&done),
        Answer::Done(done) => cli::print(&said(&done)),
        answer => Err(unexpected(&answer)),
    }
}

/// A line a watcher.
pub fn said(done: &[Done]) -> String {
    done.iter()
        .map(|done| format!("{}: {}\n", done.path, done.done))
        .collect()
}

fn planned(plan: &Plan) -> String {
    let mut text = String::new();
    for entry in &plan.entries {
        let (sign, what) = match entry.what {
            What::Added => ('+', "is added".to_owned()),
            What::Removed => ('-', "is removed; its positions are kept".to_owned()),
            What::Changed => ('~', format!("changes: {}", entry.changes.join(", "))),
        };
        text += &format!("{sign} {} {what}\n", entry.log);
        text += &listed("start", &entry.start);
        text += &listed("stop", &entry.stop);
        if entry.go_on > 0 {
            text += &format!("    {} go on where they are\n", entry.go_on);
        }
    }
    for line in &plan.service {
        text += &format!("~ {line}\n");
    }
    for line in &plan.refused {
        text += &format!("! {line}\n");
    }
    if plan.is_empty() {
        text += "nothing changes\n";
    } else if !plan.refused.is_empty() {
        text += "all of it would be refused\n";
    }
    text += &format!("{} unchanged\n", plan.unchanged);
    text
}

fn listed(what: &str, paths: &[String]) -> String {
    let mut text: String = paths
        .iter()
        .take(LISTED)
        .map(|path| format!("    {what} {path}\n"))
        .collect();
    if paths.len() > LISTED {
        text += &format!("    {what} {} more\n", paths.len() - LISTED);
    }
    text
}
