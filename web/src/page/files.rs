//! The files: a form to look for some, and a row for each.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use logcatch_actors::words::{bytes, count, seconds};
use logcatch_actors::{FileRow, Order, State};
use maud::{Markup, html};

use super::View;
use crate::query::Filter;

const STATES: [State; 5] = [
    State::Failed,
    State::Blocked,
    State::Waiting,
    State::Reading,
    State::Idle,
];

/// The columns: what sorts by it, its title, whether the greatest is first.
const COLUMNS: [(Order, &str, &str); 6] = [
    (Order::Worst, "State", "descending"),
    (Order::Lag, "Lag", "descending"),
    (Order::Age, "Age", "descending"),
    (Order::Rate, "Rate", "descending"),
    (Order::Restarts, "Restarts", "descending"),
    (Order::Path, "File", "ascending"),
];

/// A state as a shape, so that it is told without colours.
pub fn shape(state: State) -> &'static str {
    match state {
        State::Idle => "○",
        State::Reading => "●",
        State::Waiting => "◐",
        State::Blocked => "■",
        State::Failed => "▲",
    }
}

/// What filters the rows; not part of what the stream renews, so that nobody's typing is disturbed.
pub fn form(view: &View<'_>) -> Markup {
    let filter = view.filter;
    let logs: Vec<&str> = view.snapshot.entries.iter().map(|entry| entry.log.as_str()).collect();
    html! {
        form #filter role="search" method="get" action="" aria-label="Files" {
            label { "Search " input type="search" name="q" value=(filter.text) placeholder="path, reason" maxlength="1000"; }
            label { "Entry "
                select name="log" {
                    option value="" { "all" }
                    @for log in logs {
                        option value=(log) selected[log == filter.log] { (log) }
                    }
                }
            }
            label { "State "
                select name="state" {
                    option value="" { "all" }
                    @for state in STATES {
                        option value=(state) selected[Some(state) == filter.state] { (state) }
                    }
                }
            }
            @if filter.order != Order::default() {
                input type="hidden" name="sort" value=(filter.order.word());
            }
            button { "Show" }
        }
    }
}

pub fn table(view: &View<'_>) -> Markup {
    let rows = view.filter.rows(&view.snapshot.report.files);
    html! {
        section #files aria-labelledby="files-title" {
            h2 #files-title { "Files" }
            p.quiet {
                (count(rows.files.len(), "file")) " shown"
                @if rows.matched > rows.files.len() { ", the first of " (rows.matched) " that match" }
                @if rows.matched < rows.total { ", of " (rows.total) " in all" }
            }
            table {
                thead { tr {
                    @for (order, title, direction) in COLUMNS {
                        th scope="col" aria-sort=[(order == view.filter.order).then_some(direction)] {
                            a href=(sorted(view.filter, order)) { (title) }
                        }
                    }
                    th scope="col" { "Why" }
                } }
                tbody {
                    @for file in &rows.files { (row(file)) }
                    @if rows.files.is_empty() {
                        tr { td.none colspan="7" { "no file" } }
                    }
                }
            }
        }
    }
}

fn row(file: &FileRow) -> Markup {
    let age = if file.lag_seconds > 0.0 {
        seconds(file.lag_seconds)
    } else {
        "-".to_owned()
    };
    html! {
        tr id=(id(file)) class=(format!("state-{}", file.state)) {
            td.state data-label="State" { span { span.shape aria-hidden="true" { (shape(file.state)) } (file.state) } }
            td.number data-label="Lag" { (bytes(file.lag_bytes as f64)) }
            td.number data-label="Age" { (age) }
            td.number data-label="Rate" { (bytes(file.bytes_per_second)) "/s" }
            td.number data-label="Restarts" { (file.restarts) }
            td.path data-label="File" {
                details {
                    summary { bdi { (file.path) } }
                    dl {
                        dt { "entry" } dd { (file.log) }
                        dt { "topic" } dd { (file.topic) }
                        dt { "position" } dd { (file.position) " of " (file.size) " bytes" }
                        dt { "in flight" } dd { (bytes(file.in_flight_bytes as f64)) }
                        dt { "lines" } dd { (format!("{:.0}", file.lines_per_second)) " a second" }
                        dt { "so for" } dd { (seconds(file.since_seconds)) }
                        dt { "generations" } dd { (file.generations) }
                        @if !file.file_id.is_empty() { dt { "file id" } dd { (file.file_id) } }
                        @if let Some(left) = file.time_to_loss_seconds { dt { "loss in" } dd { "about " (seconds(left)) } }
                    }
                }
            }
            td.why data-label="Why" { (why(file)) }
        }
    }
}

/// The reason, and what is known more.
pub fn why(file: &FileRow) -> Markup {
    html! {
        @if let Some(reason) = file.reason { (reason) }
        @if let Some(detail) = &file.detail { ": " (detail) }
    }
}

/// The same row has the same name for as long as the service runs.
fn id(file: &FileRow) -> String {
    let mut hasher = DefaultHasher::new();
    (&file.log, &file.path).hash(&mut hasher);
    format!("file-{:016x}", hasher.finish())
}

/// The address of the same rows in another order.
fn sorted(filter: &Filter, order: Order) -> String {
    let state = filter.state.map_or_else(String::new, |state| state.to_string());
    let pairs = [
        ("q", filter.text.as_str()),
        ("log", &filter.log),
        ("state", &state),
        ("sort", order.word()),
    ];
    let pairs = pairs.iter().filter(|(_, value)| !value.is_empty());
    let pairs: Vec<String> = pairs.map(|(key, value)| format!("{key}={}", encoded(value))).collect();
    format!("?{}", pairs.join("&"))
}

/// As RFC 3986 has it in a query.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_keeps_what_was_looked_for() {
        let filter = Filter {
            text: "a b&c=ü".to_owned(),
            state: Some(State::Blocked),
            ..Filter::default()
        };
        assert_eq!(
            sorted(&filter, Order::Lag),
            "?q=a%20b%26c%3D%C3%BC&state=blocked&sort=lag"
        );
        assert_eq!(sorted(&Filter::default(), Order::Path), "?sort=path");
    }

    #[test]
    fn every_state_has_a_shape_of_its_own() {
        let shapes: std::collections::BTreeSet<_> = STATES.into_iter().map(shape).collect();
        assert_eq!(shapes.len(), STATES.len());
    }
}
