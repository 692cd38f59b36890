//! The words and numbers that are shown.

use std::path::Path;
use std::time::Duration;

use super::broker::TOPIC;
use super::line::Log;
use super::screen::{Look, Row};
use super::script::Fault;
use super::stage::{Stage, Who};
use super::tally::Tally;
use super::verdict::grouped;

/// Of the service's messages, so many a second are shown; the rest is counted.
const MESSAGES_A_SECOND: usize = 6;

/// When, of the time there is.
#[derive(Clone, Copy)]
pub struct Clock {
    /// Since the start.
    pub elapsed: Duration,
    /// How long the demo lasts.
    pub length: Duration,
}

/// What comes next.
pub enum Next {
    /// The script causes a fault in so many seconds.
    Fault(Fault, u64),
    /// Nothing but the end.
    End,
    /// The demo is ending: this is what it waits for.
    Ending(&'static str),
}

/// Turns what is said into rows, not too many at once.
pub struct Events {
    /// The demo's directory, with a slash: paths in messages are shown without it.
    directory: String,
    look: Look,
    second: u64,
    shown: usize,
    hidden: usize,
}

impl Events {
    /// For a demo that lives in `directory`.
    pub fn new(directory: &Path) -> Self {
        let directory = format!("{}/", directory.display());
        Self {
            directory,
            look: Look::Plain,
            second: 0,
            shown: 0,
            hidden: 0,
        }
    }

    /// Rows for what was said.
    pub fn rows(&mut self, elapsed: Duration, said: Vec<(Who, String)>) -> Vec<Row> {
        let mut rows = Vec::new();
        if elapsed.as_secs() != self.second {
            self.second = elapsed.as_secs();
            self.shown = 0;
            if self.hidden > 0 {
                let text = format!("... and {} more messages", self.hidden);
                rows.push(event(elapsed, Who::Service, Look::Dim, &text));
                self.hidden = 0;
            }
        }
        for (who, text) in said {
            let (look, text) = match who {
                Who::Demo => (Look::Strong, text),
                Who::Service => {
                    if self.shown == MESSAGES_A_SECOND {
                        self.hidden += 1;
                        continue;
                    }
                    self.shown += 1;
                    let text = self.without_head(&text).replace(&self.directory, "");
                    (self.look, text)
                }
            };
            rows.push(event(elapsed, who, look, &text));
        }
        rows
    }

    /// A message without `[time level target]`; the level gives it its look. Without them it belongs to the one before.
    fn without_head<'a>(&mut self, message: &'a str) -> &'a str {
        let split = message.strip_prefix('[').and_then(|rest| rest.split_once("] "));
        let level = split.and_then(|(head, _)| head.split_whitespace().nth(1));
        let look = match level {
            Some("ERROR") => Look::Bad,
            Some("WARN") => Look::Busy,
            Some("INFO") => Look::Plain,
            Some("DEBUG" | "TRACE") => Look::Dim,
            _ => return message,
        };
        self.look = look;
        split.map_or(message, |(_, text)| text)
    }
}

/// The first rows: what the visitor can do in other windows.
pub fn head(stage: &Stage) -> Vec<Row> {
    let title = "logcatch demo: three logs, a broker inside this process, a mistreated service";
    // Quiet about the end of each partition, and no end when the broker goes away.
    let kcat = format!("kcat -CqE -b {} -t {TOPIC}", stage.broker.address());
    let row = |label: &str, text: String| Row::default().with(Look::Dim, label).with(Look::Plain, text);
    vec![
        Row::default().with(Look::Strong, title),
        row("read along   ", kcat),
        row("edit live    ", stage.settings.path().display().to_string()),
        Row::default(),
    ]
}

/// The rows at the foot of the screen.
pub fn foot(stage: &Stage, tally: &Tally, clock: Clock, next: &Next) -> Vec<Row> {
    vec![
        Row::default(),
        counts(stage, tally),
        on_the_way(stage, tally),
        parts(stage, clock, next),
        keys(),
    ]
}

/// The counts as a line of its own, where there is no foot.
pub fn line(stage: &Stage, tally: &Tally, clock: Clock) -> Row {
    event(clock.elapsed, Who::Demo, Look::Plain, &counts(stage, tally).text())
}

/// Written, arrived, lost, out of order, twice. Numbers that grow have their place, so that nothing jumps.
fn counts(stage: &Stage, tally: &Tally) -> Row {
    let written: u64 = stage.writers.written().values().sum();
    let fault = |row: Row, label: &str, count: u64| {
        let look = if count == 0 { Look::Good } else { Look::Bad };
        row.with(Look::Dim, format!("  {label} ")).with(look, grouped(count))
    };
    let mut row = Row::default()
        .with(Look::Dim, "written ")
        .with(Look::Strong, format!("{:>6}", grouped(written)));
    row = row
        .with(Look::Dim, "  arrived ")
        .with(Look::Strong, format!("{:>6}", grouped(tally.arrived())));
    row = fault(row, "lost", tally.missing());
    row = fault(row, "out of order", tally.out_of_order);
    row = match stage.kills {
        0 => fault(row, "twice", tally.twice).with(Look::Dim, " (only after k)"),
        kills => row
            .with(Look::Dim, "  twice ")
            .with(Look::Plain, grouped(tally.twice))
            .with(Look::Dim, format!(" ({kills} kill -9)")),
    };
    if tally.damaged > 0 {
        fault(row, "damaged", tally.damaged)
    } else {
        row
    }
}

/// The event as a row: when, who, what.
fn event(elapsed: Duration, who: Who, look: Look, text: &str) -> Row {
    let row = Row::default().with(Look::Dim, format!("{:>5}  ", minutes(elapsed)));
    match who {
        Who::Demo => row.with(Look::Strong, "demo     "),
        Who::Service => row.with(Look::Dim, "service  "),
    }
    .with(look, text)
}

fn on_the_way(stage: &Stage, tally: &Tally) -> Row {
    let mut row = Row::default().with(Look::Dim, "on the way ");
    for log in Log::ALL {
        let written = stage
            .writers
            .written()
            .iter()
            .filter(|((of, _), _)| *of == log)
            .map(|(_, lines)| lines)
            .sum();
        let waiting = u64::saturating_sub(written, tally.arrived_of(log));
        // What a reader that is up to date has not seen yet is on the way for a moment only.
        let look = if waiting < u64::from(log.rate()) / 2 {
            Look::Plain
        } else {
            Look::Busy
        };
        row = row
            .with(Look::Dim, format!(" {} ", log.name()))
            .with(look, format!("{:>6}", grouped(waiting)));
    }
    if tally.guests > 0 || stage.guest {
        row = row
            .with(Look::Dim, "   your own ")
            .with(Look::Plain, grouped(tally.guests))
            .with(Look::Dim, " arrived");
    }
    row
}

fn parts(stage: &Stage, clock: Clock, next: &Next) -> Row {
    let part = |row: Row, label: &str, look: Look, state: &str, width: usize| {
        row.with(Look::Dim, format!("{label} "))
            .with(look, format!("{state:<width$}  "))
    };
    let mut row = match stage.service.pid() {
        Some(pid) => part(Row::default(), "service", Look::Good, &format!("up, pid {pid}"), 13),
        None => part(Row::default(), "service", Look::Bad, "down", 13),
    };
    let (look, state) = if stage.broker.is_away() {
        (Look::Bad, "away")
    } else {
        (Look::Good, "up")
    };
    row = part(row, "broker", look, state, 4);
    let (look, state) = if stage.settings.is_spoiled() {
        (Look::Bad, "typo")
    } else {
        (Look::Good, "ok")
    };
    row = part(row, "settings", look, state, 4);
    row = row.with(
        Look::Dim,
        format!("{}/{}", minutes(clock.elapsed), minutes(clock.length)),
    );
    match next {
        Next::Fault(fault, seconds) => row.with(Look::Dim, format!("  {} in {seconds} s", fault.label())),
        Next::End => row,
        Next::Ending(what) => row.with(Look::Busy, format!("  {what}")),
    }
}

fn keys() -> Row {
    let key = |row: Row, key: char, label: &str| {
        row.with(Look::Strong, key.to_string())
            .with(Look::Dim, format!(" {label}  "))
    };
    let row = Fault::ALL
        .iter()
        .fold(Row::default(), |row, fault| key(row, fault.key(), fault.label()));
    key(row, 'q', "end")
}

fn minutes(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(rows: &[Row]) -> Vec<String> {
        rows.iter().map(Row::text).collect()
    }

    fn service(message: &str) -> (Who, String) {
        (Who::Service, message.to_owned())
    }

    #[test]
    fn messages_are_shown_without_their_time_and_without_the_directory() {
        let mut events = Events::new(Path::new("/tmp/demo-1"));
        let said = vec![
            service("[2026-01-02T03:04:05.678Z WARN  logcatch_tail] file waits path=/tmp/demo-1/logs/web.log"),
            service("  a second line of it"),
            (Who::Demo, "the broker is back".to_owned()),
        ];
        assert_eq!(
            texts(&events.rows(Duration::from_secs(65), said)),
            [
                " 1:05  service  file waits path=logs/web.log",
                " 1:05  service    a second line of it",
                " 1:05  demo     the broker is back",
            ]
        );
        assert_eq!(events.look, Look::Busy);
    }

    #[test]
    fn a_flood_of_messages_is_counted() {
        let mut events = Events::new(Path::new("/tmp/demo-1"));
        let flood = (0..100).map(|_| service("again")).collect();
        assert_eq!(events.rows(Duration::from_secs(1), flood).len(), MESSAGES_A_SECOND);
        assert_eq!(
            texts(&events.rows(Duration::from_secs(2), vec![service("at last")])),
            [" 0:02  service  ... and 94 more messages", " 0:02  service  at last"]
        );
    }
}
