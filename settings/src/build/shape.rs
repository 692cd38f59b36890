//! What records are made of the lines of an entry.

use std::collections::BTreeSet;
use std::sync::Arc;

use logcatch_tail::{Charset, Filter, PathGlob};

use super::{kafka, logs};
use crate::fields::{Field, FieldValue};
use crate::given::{Table, Text};
use crate::reader::Report;
use crate::template::Template;

/// How alike two labels must be for one to be meant by the other; 1 is the same.
const ALIKE: f64 = 0.5;

/// The shortest longest record with `format = "json"`, in bytes: room for the object around a message.
pub(super) const LEAST_JSON: u64 = 1024;
/// What is in every object already, and what holds something of it.
const OURS: &[&str] = &[
    "@timestamp",
    "message",
    "host",
    "host.name",
    "log",
    "log.file",
    "log.file.path",
    "log.offset",
];
/// All below it is ours.
const OUR_OBJECT: &str = "logcatch";

pub(super) fn charset(table: &Table, report: &mut Report) -> Charset {
    let Some(text) = table.text("encoding") else {
        return Charset::default();
    };
    let charset = Charset::of_label(&text.value);
    if table.word("input") == "container" && charset.is_some_and(|charset| charset != Charset::default()) {
        let problem = text.spot.problem("must be \"utf-8\" with `input = \"container\"`");
        report.problems.push(problem.help("container runtimes write UTF-8"));
    }
    charset.unwrap_or_else(|| {
        let problem = text
            .spot
            .problem(format!("must be an encoding by its WHATWG label, not {}", text.shown()));
        let nearest = nearest(&text.value).filter(|_| !text.is_hidden());
        report.problems.push(match nearest {
            Some(label) => problem.help(format!("did you mean \"{label}\"?")),
            None => problem.help("see https://encoding.spec.whatwg.org/#names-and-labels"),
        });
        Charset::default()
    })
}

fn nearest(label: &str) -> Option<&'static str> {
    let label = label.trim().to_lowercase().replace('_', "-");
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(&label, &known.replace('_', "-"));
    Charset::known_labels()
        .map(|known| (likeness(known), known))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        // The first of equals: the better known.
        .reduce(|best, other| if other.0 > best.0 { other } else { best })
        .map(|(_, known)| known)
}

/// `include_lines` and `exclude_lines`. Each expression is a good one.
pub(super) fn filter(table: &Table, report: &mut Report) -> Option<Arc<Filter>> {
    let patterns = |name| {
        let texts = table.texts(name).iter();
        texts.map(|text| text.value.clone()).collect::<Vec<_>>()
    };
    let (include, exclude) = (patterns("include_lines"), patterns("exclude_lines"));
    let filter = Filter::new(&include, &exclude).unwrap_or_else(|_| {
        let name = if include.len() > exclude.len() {
            "include_lines"
        } else {
            "exclude_lines"
        };
        let problem = table
            .spot_of(name)
            .problem("holds expressions that are too large together");
        report.problems.push(problem.help("make them fewer, or shorter"));
        None
    });
    filter.map(Arc::new)
}

/// `fields`: each a template, under a name that is nobody else's.
pub(super) fn fields(table: &Table, paths: &[PathGlob], is_container: bool, report: &mut Report) -> Vec<Field> {
    let names: BTreeSet<&str> = table.map("fields").map(|(name, _)| name).collect();
    let mut fields = Vec::new();
    for (name, text) in table.map("fields") {
        if let Some((message, help)) = misnamed(name, &names) {
            report.problems.push(text.spot.problem(message).help(help));
        }
        if let Some(value) = field_value(text, paths, is_container, report) {
            fields.push(Field {
                name: name.to_owned(),
                value,
            });
        }
    }
    fields
}

fn misnamed(name: &str, names: &BTreeSet<&str>) -> Option<(String, &'static str)> {
    let is_ours = OURS.contains(&name) || name.split('.').next() == Some(OUR_OBJECT);
    if is_ours {
        return Some((
            "is a name that logcatch sets itself".into(),
            "give the field another name",
        ));
    }
    if name.split('.').any(str::is_empty) {
        let message = "must have a name of parts joined by single dots";
        return Some((message.into(), "each dot begins an object inside"));
    }
    let outer = names
        .iter()
        .find(|other| name.strip_prefix(**other).is_some_and(|rest| rest.starts_with('.')))?;
    let message = format!("is inside `{outer}`, which has a value of its own");
    Some((message, "give one of them another name"))
}

fn field_value(text: &Text, paths: &[PathGlob], is_container: bool, report: &mut Report) -> Option<FieldValue> {
    if text.is_plain {
        let number = text.value.parse().map(FieldValue::Number);
        return Some(number.unwrap_or(FieldValue::Flag(text.value == "true")));
    }
    let template = Template::parse(&text.value)
        .map_err(|error| report.problems.push(kafka::template_problem(text, &error.to_string())))
        .ok()?;
    let unusable = template
        .placeholders()
        .find_map(|one| logs::unusable(one, text, paths, is_container));
    report.problems.extend(unusable);
    Some(FieldValue::Text(template))
}
