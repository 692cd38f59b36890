//! `logcatch dead-letters`: what Kafka refused, to be looked at and to be sent again; through the service, or on the files
//! if none runs.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use actix::System;
use logcatch_actors::{DeadLetter, Resent, Segments, load, options};
use logcatch_tail::{StateLock, StoreError};
use tokio::sync::watch;

use crate::cli::{self, DeadLettersArgs, DeadLettersCommand, LetterFilter, ListLetters, ResendLetters, environment};
use crate::control::client::{Client, ConnectError, state_of};
use crate::control::{Answer, Meant, Named, Request, ResendError, resend, unexpected};
use crate::error::{CannotPrint, Failure};
use crate::run::kafka_failure;
use crate::state_failure::state_failure;

/// Lists dead letters, or sends them again.
pub fn run(config: &Path, args: &DeadLettersArgs) -> Result<(), Failure> {
    let letters = match &args.command {
        DeadLettersCommand::List(list) => &list.letters,
        DeadLettersCommand::Resend(resend) => &resend.letters,
    };
    let state = state_of(config, letters.state.as_deref())?;
    let service = match Client::connect(&state) {
        Ok(client) => Some(client),
        // Nothing was ever kept where there is no directory: it is rather misspelt.
        Err(error @ ConnectError::NoService { .. }) if !state.is_dir() => return Err(error.into()),
        Err(ConnectError::NoService { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    match &args.command {
        DeadLettersCommand::List(list) => {
            // Asked once more for each reading of them.
            print_letters(&Place::of(&state, service.is_some()), list)
        }
        DeadLettersCommand::Resend(args) => {
            let place = Place::of(&state, service.is_some());
            let resent = match service {
                Some(client) => through_the_service(client, args)?,
                None => from_the_files(config, &state, args)?,
            };
            let is_nothing = resent.sent == 0 && resent.left == 0 && !resent.cut;
            say(resent, args.json)?;
            // A file that is there may have none left, which is all that was asked for; one that is not is rather misspelt.
            let is_nowhere = args.letters.path.as_ref().is_some_and(|path| !path.exists());
            match others(&place, &args.letters.meant()).filter(|_| is_nothing && is_nowhere) {
                Some(others) => Err(
                    Failure::new("cannot send again what is not there: no dead letter is as named")
                        .help(format!("{others}; `logcatch dead-letters list` shows them")),
                ),
                None => Ok(()),
            }
        }
    }
}

impl LetterFilter {
    fn meant(&self) -> Meant {
        Meant {
            log: self.log.clone(),
            path: self.path.as_ref().map(|path| Named::new(&path.to_string_lossy())),
        }
    }
}

// === list ===

/// How a letter is shown: all but its line.
fn columns(letter: &DeadLetter) -> [String; 7] {
    [
        letter.time.clone(),
        // Names of files are any bytes: none may move the cursor.
        letter.log.escape_debug().to_string(),
        letter.path.escape_debug().to_string(),
        letter.offset.to_string(),
        letter.topic.clone(),
        letter.line().len().to_string(),
        letter.reason.clone(),
    ]
}

const HEADS: [&str; 7] = ["TIME", "LOG", "PATH", "OFFSET", "TOPIC", "BYTES", "REASON"];

fn print_letters(place: &Place, args: &ListLetters) -> Result<(), Failure> {
    let meant = args.letters.meant();
    // Read twice, because all of them may not fit into memory, and columns are as wide as the widest.
    let mut widths = HEADS.map(str::len);
    let mut count = 0_u64;
    if !args.json {
        each(place, &meant, |_, letter| {
            count += 1;
            for (width, text) in widths.iter_mut().zip(columns(letter)) {
                *width = (*width).max(text.chars().count());
            }
            Ok(())
        })?;
        if count == 0 {
            match others(place, &meant) {
                Some(others) => cli::note(&format!("no dead letters as named; {others}")),
                None => cli::note("no dead letters"),
            }
            return Ok(());
        }
    }
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut row = |columns: [&str; 7]| {
        let padded = columns.iter().zip(widths).map(|(text, width)| format!("{text:width$}"));
        writeln!(out, "{}", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    if !args.json {
        // A reader that has seen enough is no error, here and below.
        if row(HEADS).is_err() {
            return Ok(());
        }
        let unreadable = each(place, &meant, |_, letter| {
            row(columns(letter).each_ref().map(String::as_str))
        })?;
        return finish(out.flush(), unreadable);
    }
    let unreadable = each(place, &meant, |raw, _| {
        out.write_all(raw)?;
        out.write_all(b"\n")
    })?;
    finish(out.flush(), unreadable)
}

fn finish(printed: io::Result<()>, unreadable: u64) -> Result<(), Failure> {
    if unreadable > 0 {
        cli::note(&format!("{unreadable} lines are no dead letters, and are left out"));
    }
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::from(CannotPrint(error))),
        _ => Ok(()),
    }
}

/// Where letters are read.
enum Place {
    /// From the service of this state directory.
    Service(PathBuf),
    /// From the files, because no service runs.
    Files(Segments),
}

impl Place {
    fn of(state: &Path, has_service: bool) -> Self {
        if has_service {
            Self::Service(state.to_owned())
        } else {
            Self::Files(Segments::of(state))
        }
    }
}

/// Of a longer list of names so many are told.
const NAMED: usize = 5;

/// Whose letters there are besides those that are meant; none if all are, or none can be read.
fn others(place: &Place, meant: &Meant) -> Option<String> {
    if *meant == Meant::default() {
        return None;
    }
    let (mut count, mut names) = (0_u64, BTreeSet::new());
    let read = each(place, &Meant::default(), |_, letter| {
        count += 1;
        if names.len() < NAMED {
            let (log, path) = (letter.log.escape_debug(), letter.path.escape_debug());
            names.insert(if letter.log == letter.path {
                format!("`{path}`")
            } else {
                format!("`{path}` ({log})")
            });
        }
        Ok(())
    });
    let names: Vec<String> = names.into_iter().collect();
    let are = if count == 1 {
        "1 is kept".to_owned()
    } else {
        format!("{count} are kept")
    };
    (read.is_ok() && count > 0).then(|| format!("{are}, of {}", names.join(", ")))
}

/// Shows each letter that is meant, with the line that it stands in; returns how many lines are no letters.
fn each(
    place: &Place,
    meant: &Meant,
    mut show: impl FnMut(&[u8], &DeadLetter) -> io::Result<()>,
) -> Result<u64, Failure> {
    // False when nobody reads it any more.
    let mut shown = |raw: &[u8], letter: &DeadLetter| match show(raw, letter) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        shown => shown.map(|()| true).map_err(|error| Failure::from(CannotPrint(error))),
    };
    match place {
        Place::Service(state) => of_the_service(state, meant, &mut shown),
        Place::Files(segments) => of_the_files(segments, meant, &mut shown),
    }
}

type Show<'a> = &'a mut dyn FnMut(&[u8], &DeadLetter) -> Result<bool, Failure>;

fn of_the_service(state: &Path, meant: &Meant, show: Show<'_>) -> Result<u64, Failure> {
    let mut client = Client::connect(state)?;
    client.tell(&Request::DeadLettersList { meant: meant.clone() })?;
    let mut unreadable = 0;
    loop {
        let part = match client.hear()? {
            Answer::Letters(part) => part,
            answer => return Err(unexpected(&answer)),
        };
        unreadable += part.unreadable;
        for raw in part.letters {
            let letter = serde_json::from_str(&raw).map_err(Failure::new)?;
            if !show(raw.as_bytes(), &letter)? {
                return Ok(unreadable);
            }
        }
        if part.last {
            return Ok(unreadable);
        }
    }
}

fn of_the_files(segments: &Segments, meant: &Meant, show: Show<'_>) -> Result<u64, Failure> {
    let mut unreadable = 0;
    for segment in segments.list().map_err(Failure::new)? {
        for line in segment.lines().map_err(Failure::new)? {
            let line = line.map_err(Failure::new)?;
            match line.letter {
                Some(letter) if meant.is(&letter) => {
                    if !show(&line.raw, &letter)? {
                        return Ok(unreadable);
                    }
                }
                Some(_) => {}
                None => unreadable += 1,
            }
        }
    }
    Ok(unreadable)
}

// === resend ===

fn through_the_service(mut client: Client, args: &ResendLetters) -> Result<Resent, Failure> {
    client.tell(&Request::DeadLettersResend {
        meant: args.letters.meant(),
        topic: args.topic.clone(),
    })?;
    let is_watched = io::stderr().is_terminal();
    let resent = loop {
        match client.hear()? {
            Answer::Resending(so_far) => {
                if is_watched {
                    eprint!("\r{}", in_words(&so_far));
                }
            }
            Answer::Resent(resent) => break resent,
            answer => return Err(unexpected(&answer)),
        }
    };
    if is_watched {
        // What stands there gives way to the result.
        eprint!("\r\x1b[K");
    }
    Ok(resent)
}

/// No service runs: the lock sees to it that none starts meanwhile.
fn from_the_files(config: &Path, state: &Path, args: &ResendLetters) -> Result<Resent, Failure> {
    let loaded = load(config, &environment)?;
    for notice in &loaded.notices {
        cli::note(notice);
    }
    let segments = Segments::of(state);
    let _lock = StateLock::acquire(state).map_err(|error| {
        let is_held = matches!(error, StoreError::Held { .. });
        let failure = state_failure(error);
        if is_held {
            failure.help("it does not answer yet: try again when it has started, or stop it first")
        } else {
            failure
        }
    })?;
    segments.tidy();
    let files = segments.list().map_err(Failure::new)?;
    let (progress, _seen) = watch::channel(Resent::default());
    let (options, meant, topic) = (options(&loaded.settings), args.letters.meant(), args.topic.clone());
    let resent = resend(options, &segments, &files, &meant, topic, progress, || false);
    System::new().block_on(resent).map_err(|error| match error {
        ResendError::Start(error) => kafka_failure(error, config),
        ResendError::Letters(error) => Failure::new(error),
    })
}

fn in_words(resent: &Resent) -> String {
    format!(
        "sent {}, refused again {}, left {}",
        resent.sent, resent.refused, resent.left
    )
}

fn say(resent: Resent, json: bool) -> Result<(), Failure> {
    if json {
        cli::print_json(&resent)?;
    } else {
        cli::print(&format!("{}\n", in_words(&resent)))?;
    }
    if resent.left == 0 && !resent.cut {
        return Ok(());
    }
    let mut reasons: Vec<String> = resent.reasons.into_iter().collect();
    if resent.unreadable > 0 {
        reasons.push(format!("{} lines are no dead letters", resent.unreadable));
    }
    let error = if resent.cut {
        reasons.push("the service stopped before all were tried".to_owned());
        "cannot send all dead letters again".to_owned()
    } else {
        let letters = if resent.left == 1 { "letter" } else { "letters" };
        format!("cannot send {} dead {letters} again", resent.left)
    };
    let help = "mend what is named, or send them to another topic with --topic; those that are left are kept";
    Err(Failure::new(error).place(reasons.join("\n  ")).help(help))
}
