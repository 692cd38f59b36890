//! `logcatch positions`: through the service, or on the store where none runs.

use std::path::Path;
use std::time::Duration;

use logcatch_actors::words::harmless;
use logcatch_actors::{Change, change};
use logcatch_tail::{Positions, StateLock, has_store};

use crate::cli;
use crate::control::args::{PositionsArgs, PositionsCommand};
use crate::control::client::{Client, ConnectError, state_of};
use crate::control::{Answer, Done, Named, PositionRow, Refused, Request, offline, unexpected};
use crate::error::Failure;
use crate::orders::said;
use crate::state_failure::state_failure;

/// Every change is saved at once.
const AT_ONCE: Duration = Duration::ZERO;

pub fn run(config: &Path, args: &PositionsArgs) -> Result<(), Failure> {
    let (request, client, json) = match &args.command {
        PositionsCommand::List(args) => {
            let of = args.of.as_deref().map(Named::new);
            (Request::PositionsList { of }, &args.client, args.json)
        }
        PositionsCommand::Set(args) => {
            let path = Named::new(&args.path);
            let to = args.to;
            (Request::PositionsSet { path, to }, &args.client, args.json)
        }
        PositionsCommand::Reset(args) => {
            let of = Named::new(&args.of);
            (Request::PositionsReset { of }, &args.client, args.json)
        }
    };
    let state = state_of(config, client.state.as_deref())?;
    let answer = match Client::connect(&state) {
        Ok(mut client) => client.ask(&request)?,
        Err(error @ ConnectError::NoService { .. }) if !state.is_dir() => return Err(error.into()),
        Err(ConnectError::NoService { .. }) => on_the_store(&state, &request)?,
        Err(error) => return Err(error.into()),
    };
    match answer {
        Answer::Positions(rows) if json => cli::print_json(&rows),
        Answer::Positions(rows) => cli::print(&table(&rows)),
        Answer::Done(done) if json => cli::print_json(&done),
        Answer::Done(done) => cli::print(&said(&done)),
        answer => Err(unexpected(&answer)),
    }
}

/// No service runs: the lock sees to it that none starts meanwhile.
fn on_the_store(state: &Path, request: &Request) -> Result<Answer, Failure> {
    if !has_store(state) {
        // Whoever only looks leaves nothing behind.
        return nothing_kept(state, request);
    }
    let lock = StateLock::acquire(state).map_err(state_failure)?;
    let (positions, damaged) = Positions::open(state, lock, AT_ONCE).map_err(state_failure)?;
    if let Some(moved) = damaged {
        cli::note(&format!(
            "the position store was damaged and is moved aside to {}",
            moved.display()
        ));
    }
    let answer = match request {
        Request::PositionsList { of } => offline::list(&positions, of.as_ref()).map(Answer::Positions),
        Request::PositionsSet { .. } | Request::PositionsReset { .. } if positions.follows_topic() => Err(
            Refused::new("cannot change positions here: they are kept in Kafka (`kafka.delivery` is \"exactly-once\")")
                .help("start the service and give the same command again"),
        ),
        Request::PositionsSet { path, to } => {
            let change = Change::Set((*to).into());
            each(&positions, path, "set a position in", change)
        }
        Request::PositionsReset { of } => each(&positions, of, "reset", Change::Reset),
        _ => Err(Refused::new("cannot do that without a service")),
    };
    let saved = positions.close();
    let answer = answer.map_err(Failure::from)?;
    if saved {
        Ok(answer)
    } else {
        let failure = Failure::new(format!("cannot save positions in `{}`", state.display()));
        Err(failure.help("free space on its disk"))
    }
}

/// Answers for a state directory in which no service ever ran.
fn nothing_kept(state: &Path, request: &Request) -> Result<Answer, Failure> {
    let (of, verb) = match request {
        Request::PositionsSet { path, .. } => (Some(path), "set a position in"),
        Request::PositionsReset { of } => (Some(of), "reset"),
        Request::PositionsList { of } => (of.as_ref(), "list positions of"),
        _ => (None, "answer"),
    };
    let of = of.map(|of| offline::pick(&[], of, verb)).transpose();
    of.map_err(|refused| refused.help("no positions are kept there yet: start the service first"))?;
    cli::note(&format!("no positions are kept in `{}` yet", state.display()));
    Ok(Answer::Positions(Vec::new()))
}

fn each(positions: &std::sync::Arc<Positions>, of: &Named, verb: &str, wanted: Change) -> Result<Answer, Refused> {
    let mut done = Vec::new();
    for (log, path) in offline::pick(&offline::keys_of(positions), of, verb)? {
        let changed = change(positions, &log, &path, wanted).map_err(|error| offline::edit_refused(&error))?;
        let path = path.display().to_string();
        done.push(Done {
            log: log.to_string(),
            path,
            done: offline::said(changed),
        });
    }
    Ok(Answer::Done(done))
}

fn table(rows: &[PositionRow]) -> String {
    let mut text = format!("{:>14} {:>14} {:<8} PATH\n", "POSITION", "SIZE", "LIFE");
    for row in rows {
        let life = format!("{:?}", row.life).to_lowercase();
        text += &format!(
            "{:>14} {:>14} {life:<8} {}",
            row.position,
            row.size,
            harmless(&row.path)
        );
        // The first path is the name of an entry without one.
        text += &if row.log.contains('/') {
            "\n".to_owned()
        } else {
            format!(" ({})\n", harmless(&row.log))
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_where_no_service_ever_ran_leaves_nothing_behind() {
        let state = tempfile::tempdir().unwrap();
        let list = Request::PositionsList { of: None };
        assert!(matches!(on_the_store(state.path(), &list), Ok(Answer::Positions(rows)) if rows.is_empty()));
        let of = Named::new("nginx");
        let refused = on_the_store(state.path(), &Request::PositionsReset { of }).unwrap_err();
        assert!(
            refused.sentence().starts_with("cannot reset `nginx`: "),
            "{}",
            refused.sentence()
        );
        assert_eq!(std::fs::read_dir(state.path()).unwrap().count(), 0);
    }
}
