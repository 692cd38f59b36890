//! `[[logs]]`: the entries, and what holds among them.

use std::collections::HashMap;
use std::path::Path;

use logcatch_tail::{Exclude, GlobError, PathGlob};

use super::{Entry, kafka, multiline, refuse_control_characters, shape};
use crate::given::{Origin, Table, Text};
use crate::problem::{Problem, Spot};
use crate::reader::Report;
use crate::rotated::{self, AUTO, RotatedFiles};
use crate::settings::{LogEntry, Start, Watch};
use crate::template::{Placeholder, Template, Values};
use crate::topic;
use crate::units::format_size;

/// Reads all entries. `max_line`: the longest line that the limits allow, in bytes.
pub(super) fn entries(
    entries: &mut [Entry],
    topic: Option<&Template>,
    host: &str,
    max_line: u64,
    report: &mut Report,
) -> Vec<LogEntry> {
    let mut names = HashMap::<String, Spot>::new();
    let mut logs = Vec::new();
    for entry in entries {
        let log = read(entry, topic, max_line, report);
        check_topic(&log, host, entry, report);
        if log.name.is_empty() {
            continue; // it has no path, which was reported
        }
        let spot = entry.table.spot_of("name");
        if let Some(first) = names.get(&log.name) {
            let problem = spot.problem(format!(
                "must be unique, but the entry at {first} has the same: \"{}\"",
                log.name
            ));
            let help = if log.named {
                "give it another name"
            } else {
                "give the entries names: they have the same first path"
            };
            report.problems.push(problem.help(help));
        } else {
            names.insert(log.name.clone(), spot);
        }
        logs.push(log);
    }
    logs
}

fn read(entry: &mut Entry, topic: Option<&Template>, max_line: u64, report: &mut Report) -> LogEntry {
    let paths = paths(entry, report);
    let exclude_paths = entry
        .table
        .texts("exclude_paths")
        .iter()
        .filter_map(|text| checked(Exclude::parse(&text.value, &entry.directory), text, report))
        .collect();

    let table = &mut entry.table;
    let named = table.text("name").is_some();
    if let Some(name) = table.text("name") {
        refuse_control_characters(name, report);
    } else if let Some(first) = paths.first() {
        if first.as_str().chars().any(char::is_control) {
            let problem = table.spot_of("path");
            let problem = problem.problem("must not hold control characters, such as a newline: it names the entry");
            report
                .problems
                .push(problem.help("give the entry a name, or correct the path"));
        }
        table.put_text("name", first.as_str(), Origin::Default(Some("the first path")));
    }
    let own_topic = table.text("topic").cloned();
    let topic = match (&own_topic, topic) {
        (Some(own), _) => kafka::topic(own, report),
        (None, Some(topic)) => {
            table.put_text("topic", topic.as_str(), Origin::Default(Some("kafka.topic")));
            Some(topic.clone())
        }
        (None, None) => {
            if !report.concerns("kafka.topic") && !report.concerns(&table.spot_of("topic").key) {
                let problem = table
                    .spot_of("topic")
                    .problem("is missing, and there is no `kafka.topic` either");
                report
                    .problems
                    .push(problem.help("give the entry a `topic`, or all entries one by `topic` under [kafka]"));
            }
            None
        }
    };
    check_max_line(table, max_line, report);
    let rotated = rotated(table, &entry.directory, &paths, report);
    LogEntry {
        name: table.word("name").to_owned(),
        named,
        key: table
            .text("key")
            .and_then(|text| key(text, &paths, is_container(table), report)),
        exclude_paths,
        // Nothing is applied with an empty one: a problem was reported.
        topic: topic.unwrap_or_default(),
        start: if table.word("start") == "end" {
            Start::End
        } else {
            Start::Beginning
        },
        ignore_older: table.given("ignore_older").map(|_| table.duration("ignore_older")),
        max_line: table
            .number("max_line")
            .and_then(|bytes| usize::try_from(bytes).ok())
            .unwrap_or_default(),
        charset: shape::charset(table, report),
        json: table.word("format") == "json",
        fields: shape::fields(table, &paths, is_container(table), report),
        filter: shape::filter(table, report),
        multiline: multiline::read(table, report),
        container: is_container(table),
        rate_limit: table.number("rate_limit"),
        headers: table.is_set("headers"),
        paths,
        rotated,
        watch: match table.word("watch") {
            "notify" => Watch::Notify,
            "poll" => Watch::Poll,
            _ => Watch::Auto,
        },
    }
}

fn is_container(table: &Table) -> bool {
    table.word("input") == "container"
}

fn paths(entry: &Entry, report: &mut Report) -> Vec<PathGlob> {
    let texts = entry.table.texts("path");
    if texts.is_empty() && entry.table.given("path").is_some() {
        report
            .problems
            .push(entry.table.spot_of("path").problem("must name at least one path"));
    }
    let parse = |text: &Text| checked(PathGlob::parse(&text.value, &entry.directory), text, report);
    texts.iter().filter_map(parse).collect()
}

fn checked<T>(parsed: Result<T, GlobError>, text: &Text, report: &mut Report) -> Option<T> {
    let error = match parsed {
        Ok(pattern) => return Some(pattern),
        Err(error) => error,
    };
    let message = if text.is_hidden() {
        "is no pattern of paths".to_owned()
    } else {
        error.to_string()
    };
    report.problems.push(text.spot.problem(message));
    None
}

fn key(text: &Text, paths: &[PathGlob], is_container: bool, report: &mut Report) -> Option<Template> {
    if text.value.is_empty() {
        return None;
    }
    let template = match Template::parse(&text.value) {
        Ok(template) => template,
        Err(error) => {
            report.problems.push(kafka::template_problem(text, &error.to_string()));
            return None;
        }
    };
    report.problems.extend(
        template
            .placeholders()
            .find_map(|placeholder| unusable(placeholder, text, paths, is_container)),
    );
    Some(template)
}

/// Whether what is known already makes a topic of a template: all but the wildcards and the name of the file.
fn check_topic(log: &LogEntry, host: &str, entry: &Entry, report: &mut Report) {
    let Some(text) = entry.table.text("topic").filter(|_| log.topic.literal().is_none()) else {
        return;
    };
    if let Some(problem) = log
        .topic
        .placeholders()
        .find_map(|one| unusable(one, text, &log.paths, log.container))
    {
        report.problems.push(problem);
        return;
    }
    let wildcards = vec!["x".to_owned(); log.paths.iter().map(PathGlob::wildcards).max().unwrap_or_default()];
    let with = |name, host| Values {
        host,
        name,
        path: "/",
        file: "x",
        wildcards: &wildcards,
        namespace: "x",
        pod: "x",
        container: "x",
    };
    let Some(fault) = topic::fault(&log.topic.render(&with(&log.name, host))) else {
        return;
    };
    // One after the other, so that the one at fault is named.
    let (at_fault, help) = if log.topic.placeholders().any(|one| one == Placeholder::Path) {
        ("{path}", "a path holds `/`: take {file} or {1}")
    } else if topic::fault(&log.topic.render(&with("x", host))).is_none() {
        ("{name}", "give the entry a `name` of such characters")
    } else {
        ("{host}", "give `host` such characters")
    };
    let fault = if text.is_hidden() {
        "it gives none".to_owned()
    } else {
        fault
    };
    let problem = text.spot.problem(format!(
        "must give a topic name, and with {at_fault} it cannot: {fault}"
    ));
    report.problems.push(problem.help(help));
}

/// What stands in the way of a placeholder.
pub(super) fn unusable(
    placeholder: Placeholder,
    text: &Text,
    paths: &[PathGlob],
    is_container: bool,
) -> Option<Problem> {
    match placeholder {
        Placeholder::Wildcard(number) => {
            let short = paths.iter().find(|path| path.wildcards() < number)?;
            let count = short.wildcards();
            let plural = if count == 1 { "" } else { "s" };
            let problem = text
                .spot
                .problem(format!("holds {placeholder}, but a path has {count} wildcard{plural}"));
            Some(problem.help("a placeholder with a number stands for a wildcard of `path`, counted from 1"))
        }
        Placeholder::Namespace | Placeholder::Pod | Placeholder::Container if !is_container => {
            let problem = text.spot.problem(format!(
                "holds {placeholder}, which stands for something in logs of containers only"
            ));
            Some(problem.help("give the entry `input = \"container\"`"))
        }
        _ => None,
    }
}

fn rotated(table: &Table, directory: &Path, paths: &[PathGlob], report: &mut Report) -> RotatedFiles {
    let is_container = is_container(table);
    let (auto, patterns): (Vec<_>, Vec<_>) = table.texts("rotated").iter().partition(|text| text.value == AUTO);
    let patterns = patterns.into_iter().filter_map(|text| {
        let template = Template::parse(&text.value)
            .map_err(|error| report.problems.push(kafka::template_problem(text, &error.to_string())))
            .ok()?;
        report.problems.extend(
            template
                .placeholders()
                .find_map(|placeholder| unusable(placeholder, text, paths, is_container)),
        );
        checked(rotated::glob(&template, &Values::default(), directory), text, report)?;
        Some((template, directory.to_owned()))
    });
    RotatedFiles {
        patterns: patterns.collect(),
        beside: !auto.is_empty(),
    }
}

fn check_max_line(table: &Table, most: u64, report: &mut Report) {
    // A line and the object it becomes are in memory at once.
    let is_json = table.word("format") == "json";
    let (most, part) = if is_json {
        (most / 2, "an eighth of `limits.in_flight` with `format = \"json\"`")
    } else if is_container(table) {
        (most / 2, "an eighth of `limits.in_flight` with `input = \"container\"`")
    } else {
        (most, "a quarter of `limits.in_flight`")
    };
    if is_json && table.number("max_line").is_some_and(|bytes| bytes < shape::LEAST_JSON) {
        let problem = table.spot_of("max_line").problem(format!(
            "must be at least {} with `format = \"json\"`",
            format_size(shape::LEAST_JSON)
        ));
        report
            .problems
            .push(problem.help("raise it: host, path and fields are part of a record, too"));
    }
    if table.number("max_line").is_some_and(|bytes| bytes > most) && !report.concerns("limits.in_flight") {
        let most = format_size(most);
        let problem = table
            .spot_of("max_line")
            .problem(format!("must be at most {part}: {most}"));
        report
            .problems
            .push(problem.help("lower it, or raise `limits.in_flight`"));
    }
}
