//! `logcatch dead-letters`: what Kafka refused, to be looked at and to be sent again.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use actix::System;
use logcatch_actors::{DeadLetter, DrainKafka, KafkaActor, Refusals, Resend, Resent, Segments, ShipBatch, options};
use logcatch_kafka::Options;
use logcatch_settings::{load, state_directory};
use logcatch_tail::{StateLock, StoreError};

use crate::cli::{self, DeadLettersArgs, DeadLettersCommand, LetterFilter, ListLetters, ResendLetters, environment};
use crate::error::{CannotPrint, Failure};
use crate::run::{kafka_failure, state_failure};

/// Lists dead letters, or sends them again.
pub fn run(config: &Path, args: &DeadLettersArgs) -> Result<(), Failure> {
    match &args.command {
        DeadLettersCommand::List(list) => {
            let state = match &list.letters.state {
                Some(state) => state.clone(),
                None => state_directory(config, &environment)?,
            };
            print_letters(&Segments::of(&state), list)
        }
        DeadLettersCommand::Resend(resend) => send_again(config, resend),
    }
}

impl LetterFilter {
    fn means(&self, letter: &DeadLetter) -> bool {
        let is_path = |path: &PathBuf| {
            let named = |path: &Path| path.to_string_lossy() == letter.path;
            named(path) || std::path::absolute(path).is_ok_and(|path| named(&path))
        };
        self.log.as_ref().is_none_or(|log| *log == letter.log) && self.path.as_ref().is_none_or(is_path)
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

fn print_letters(segments: &Segments, args: &ListLetters) -> Result<(), Failure> {
    // Read twice, because all of them may not fit into memory, and columns are as wide as the widest.
    let mut widths = HEADS.map(str::len);
    let mut count = 0_u64;
    if !args.json {
        each(segments, &args.letters, |_, letter| {
            count += 1;
            for (width, text) in widths.iter_mut().zip(columns(letter)) {
                *width = (*width).max(text.chars().count());
            }
            Ok(())
        })?;
        if count == 0 {
            cli::note("no dead letters");
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
        let unreadable = each(segments, &args.letters, |_, letter| {
            row(columns(letter).each_ref().map(String::as_str))
        })?;
        return finish(out.flush(), unreadable);
    }
    let unreadable = each(segments, &args.letters, |raw, _| {
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
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::new(CannotPrint(error))),
        _ => Ok(()),
    }
}

/// Shows each letter that is meant, with the line that it stands in; returns how many lines are no letters.
fn each(
    segments: &Segments,
    filter: &LetterFilter,
    mut show: impl FnMut(&[u8], &DeadLetter) -> io::Result<()>,
) -> Result<u64, Failure> {
    let mut unreadable = 0;
    for segment in segments.list().map_err(Failure::new)? {
        for line in segment.lines().map_err(Failure::new)? {
            let line = line.map_err(Failure::new)?;
            match line.letter {
                Some(letter) if filter.means(&letter) => match show(&line.raw, &letter) {
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(unreadable),
                    shown => shown.map_err(|error| Failure::new(CannotPrint(error)))?,
                },
                Some(_) => {}
                None => unreadable += 1,
            }
        }
    }
    Ok(unreadable)
}

// === resend ===

fn send_again(config: &Path, args: &ResendLetters) -> Result<(), Failure> {
    let loaded = load(config, &environment)?;
    for notice in &loaded.notices {
        cli::note(notice);
    }
    let settings = loaded.settings;
    let state = args.letters.state.clone().unwrap_or(settings.state.directory.clone());
    let segments = Segments::of(&state);
    // No lock, and no directory for it, where nothing was ever kept.
    let lock = state.exists().then(|| StateLock::acquire(&state)).transpose();
    let _lock = lock.map_err(|error| {
        let is_held = matches!(error, StoreError::Held { .. });
        let failure = state_failure(error);
        if is_held {
            failure.help("stop the service first, send the letters again, then start it; `list` needs no stop")
        } else {
            failure
        }
    })?;
    let resent = if segments.list().map_err(Failure::new)?.is_empty() {
        Resent::default()
    } else {
        System::new().block_on(resend(options(&settings), &segments, args))?
    };
    if args.json {
        cli::print_json(&resent)?;
    } else {
        let Resent {
            sent, refused, left, ..
        } = resent;
        cli::print(&format!("sent {sent}, refused again {refused}, left {left}\n"))?;
    }
    if resent.left == 0 {
        return Ok(());
    }
    let mut reasons: Vec<String> = resent.reasons.into_iter().collect();
    if resent.unreadable > 0 {
        reasons.push(format!("{} lines are no dead letters", resent.unreadable));
    }
    let failure = Failure::new(format!("cannot send `{}` dead letters again", resent.left));
    Err(failure
        .place(reasons.join("\n  "))
        .help("mend what is named, or send them to another topic with --topic; those that are left are kept"))
}

async fn resend(options: Options, segments: &Segments, args: &ResendLetters) -> Result<Resent, Failure> {
    let refusals = Arc::new(Refusals::default());
    let (kafka, lanes) = KafkaActor::start(options, Arc::clone(&refusals) as _).map_err(kafka_failure)?;
    let ship = |batch| kafka.do_send(ShipBatch(batch));
    let resend = Resend::new(ship, lanes, refusals, args.topic.clone());
    let resent = resend.run(segments, |letter| args.letters.means(letter)).await;
    // Ends the producer; whatever it still holds is kept as a letter.
    let _ = kafka
        .send(DrainKafka {
            deadline: Instant::now(),
        })
        .await;
    resent.map_err(Failure::new)
}
