//! The sections above and below the files.

use logcatch_actors::words::{bytes, seconds};
use logcatch_actors::{EventKind, FileRow, Refusal, State, verdict};
use maud::{Markup, html};

use super::View;
use super::files::{shape, why};

/// Of the files that need somebody the worst are shown; all are in the table.
const NEEDY: usize = 20;
/// Of the events the last are shown.
const EVENTS: usize = 50;
/// Seconds in a day, and in smaller parts of it.
const DAY: u64 = 86_400;

pub fn verdict(view: &View<'_>) -> Markup {
    let report = &view.snapshot.report;
    let (mood, sign) = match verdict::mood(report) {
        verdict::Mood::Good => ("good", "●"),
        verdict::Mood::Attention => ("attention", "◐"),
        verdict::Mood::Bad => ("bad", "■"),
    };
    html! {
        section #verdict class=(mood) aria-label="Verdict" {
            p aria-live="polite" { span.shape aria-hidden="true" { (sign) } (verdict::sentence(report)) }
            @let remarks = verdict::remarks(report);
            @if !remarks.is_empty() {
                ul { @for remark in remarks { li { (remark) } } }
            }
        }
    }
}

pub fn facts(view: &View<'_>) -> Markup {
    let report = &view.snapshot.report;
    let (kafka, settings) = (&report.kafka, &report.settings);
    let since = kafka.since_seconds.map(seconds);
    html! {
        section #facts aria-label="Service" {
            dl {
                div {
                    dt { "Kafka" }
                    dd {
                        @match kafka.up {
                            Some(true) => { b { "reached" } @if let Some(since) = since { " for " (since) } }
                            Some(false) => { b.bad { "away" } @if let Some(since) = since { " for " (since) } }
                            None => { "not reached yet" }
                        }
                    }
                }
                div {
                    dt { "Last acknowledgement" }
                    dd { @match kafka.last_ack_seconds { Some(ago) => { (seconds(ago)) " ago" } None => { "none yet" } } }
                }
                div {
                    dt { "In flight" }
                    dd {
                        (bytes(kafka.in_flight_bytes as f64)) " of " (bytes(kafka.in_flight_limit_bytes as f64)) " "
                        meter aria-label="of the limit" min="0" max=(kafka.in_flight_limit_bytes.max(1)) value=(kafka.in_flight_bytes) {}
                    }
                }
                div {
                    dt { "Settings" }
                    dd {
                        "applied " (ago(view.now, settings.applied_at)) ": " bdi { (settings.path) }
                    }
                }
                div {
                    dt { "Positions" }
                    dd {
                        @if report.positions.failing { b.bad { "cannot be saved" } }
                        @else if let Some(at) = report.positions.saved_at { "saved " (ago(view.now, at)) }
                        @else { "none saved yet" }
                    }
                }
                div { dt { "Running" } dd { "for " (seconds(report.uptime_seconds)) ", process " (report.pid) } }
            }
            @if let Some(refused) = &settings.refused { (refusal(view.now, refused)) }
        }
    }
}

/// The change that was refused: what, and every line of it.
fn refusal(now: u64, refused: &Refusal) -> Markup {
    html! {
        div.refused {
            h3 { "The settings file was refused " (ago(now, refused.at)) "; those before stay in force" }
            pre { (refused.text) }
        }
    }
}

/// What needs somebody; empty when nothing does.
pub fn needs(view: &View<'_>) -> Markup {
    let is_needy =
        |file: &&FileRow| matches!(file.state, State::Blocked | State::Failed) || file.time_to_loss_seconds.is_some();
    let mut files: Vec<&FileRow> = view.snapshot.report.files.iter().filter(is_needy).collect();
    let urgency = |file: &FileRow| file.time_to_loss_seconds.unwrap_or(f64::INFINITY);
    files.sort_by(|a, b| urgency(a).total_cmp(&urgency(b)).then(b.lag_bytes.cmp(&a.lag_bytes)));
    html! {
        section #needs aria-labelledby="needs-title" hidden[files.is_empty()] {
            h2 #needs-title { "Needs you" }
            ul {
                @for file in files.iter().take(NEEDY) {
                    li {
                        p {
                            span.shape aria-hidden="true" { (shape(file.state)) } b { bdi { (file.path) } } " is " (file.state) ": "
                            (why(file))
                        }
                        @if let Some(advice) = file.reason.and_then(|reason| reason.advice()) {
                            p { "What to do: " (advice) "." }
                        }
                        @if let Some(left) = file.time_to_loss_seconds {
                            p.bad { "Rotation deletes unread bytes in about " (seconds(left)) "." }
                        }
                    }
                }
            }
            @if files.len() > NEEDY { p { "and " (files.len() - NEEDY) " more" } }
        }
    }
}

/// Where the bytes of each entry went.
pub fn account(view: &View<'_>) -> Markup {
    let unread = |log: &str| {
        let files = view.snapshot.report.files.iter().filter(|file| file.log == log);
        files
            .map(|file| file.lag_bytes.saturating_sub(file.in_flight_bytes))
            .sum::<u64>()
    };
    html! {
        section #account aria-labelledby="account-title" {
            h2 #account-title { "Account since the start" }
            p.quiet { "In bytes of files: read = delivered + skipped + dead letters + in flight." }
            table {
                thead { tr {
                    th scope="col" { "Entry" }
                    @for title in ["Read", "Delivered", "Lines", "Skipped", "Dead letters", "In flight", "Unread", "Unreachable"] {
                        th scope="col" { (title) }
                    }
                } }
                tbody {
                    @for entry in &view.snapshot.entries {
                        @let balance = &entry.balance;
                        tr {
                            td data-label="Entry" { (entry.log) }
                            td.number data-label="Read" { (balance.read) }
                            td.number data-label="Delivered" { (balance.delivered) }
                            td.number data-label="Lines" { (balance.delivered_lines) }
                            td.number data-label="Skipped" { (balance.skipped()) }
                            td.number data-label="Dead letters" { (balance.dead_lettered) }
                            td.number data-label="In flight" { (balance.in_flight) }
                            td.number data-label="Unread" { (unread(&entry.log)) }
                            td.number.bad[balance.unreachable > 0] data-label="Unreachable" { (balance.unreachable) }
                        }
                    }
                }
            }
        }
    }
}

/// What happened lately, the last first.
pub fn events(view: &View<'_>) -> Markup {
    html! {
        section #events aria-labelledby="events-title" {
            h2 #events-title { "Events" }
            @if view.events.is_empty() { p.quiet { "nothing since the start" } }
            ol reversed {
                @for event in view.events.iter().rev().take(EVENTS) {
                    li id=(format!("event-{}", event.number)) {
                        span.quiet { (clock(event.at)) " UTC" } " " b { (title(event.kind)) } " "
                        @if let Some(path) = &event.path { bdi { (path) } " " }
                        (event.text)
                    }
                }
            }
        }
    }
}

fn title(kind: EventKind) -> &'static str {
    match kind {
        EventKind::SettingsApplied => "Settings applied",
        EventKind::SettingsRefused => "Settings refused",
        EventKind::WatcherRestarted => "Watcher restarted",
        EventKind::Rotated => "Rotated",
        EventKind::KafkaAway => "Kafka away",
        EventKind::KafkaBack => "Kafka back",
        EventKind::LossAhead => "Loss ahead",
        EventKind::Unreachable => "Unreachable",
    }
}

fn ago(now: u64, at: u64) -> String {
    format!("{} ago", seconds(now.saturating_sub(at) as f64))
}

/// The time of day.
fn clock(at: u64) -> String {
    let of_day = at % DAY;
    format!("{:02}:{:02}:{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Filter;
    use crate::query::tests::file;
    use crate::service::Snapshot;

    #[test]
    fn what_needs_somebody_says_what_to_do_and_the_most_urgent_is_first() {
        let (filter, mut snapshot) = (Filter::default(), Snapshot::default());
        let section = |snapshot: &Snapshot| needs(&View::new(snapshot, &[], &[], &filter)).into_string();
        snapshot.report.files = vec![file("app", "/fine", State::Reading, 1.0)];
        assert!(section(&snapshot).starts_with("<section id=\"needs\" aria-labelledby=\"needs-title\" hidden>"));
        snapshot
            .report
            .files
            .push(file("app", "/blocked", State::Blocked, 70.0));
        snapshot.report.files.push(file("app", "/late", State::Waiting, 7000.0));
        snapshot.report.files[2].time_to_loss_seconds = Some(1800.0);
        let html = section(&snapshot);
        assert!(html.contains("create the topic, or correct"), "{html}");
        assert!(html.contains("deletes unread bytes in about 30 min"), "{html}");
        assert!(html.find("/late") < html.find("/blocked"), "{html}");
        assert!(!html.contains("/fine"));
    }

    #[test]
    fn the_refused_change_is_shown_with_its_line() {
        let (filter, mut snapshot) = (Filter::default(), Snapshot::default());
        snapshot.report.settings.refused = Some(Refusal {
            at: 0,
            text: "cannot apply\n  /etc/l.toml:7: `kafka.topci` is not a known key".to_owned(),
        });
        let html = facts(&View::new(&snapshot, &[], &[], &filter)).into_string();
        assert!(
            html.contains("/etc/l.toml:7: `kafka.topci` is not a known key"),
            "{html}"
        );
    }

    #[test]
    fn times_are_told_in_words() {
        assert_eq!(clock(DAY * 3 + 3723), "01:02:03");
        assert_eq!(ago(100, 58), "42 s ago");
    }
}
