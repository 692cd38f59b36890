//! What holds, and where each value comes from: for people, with secrets hidden.

use serde_json::{Value, json};

use crate::build::is_secret_property;
use crate::given::{Given, HIDDEN, Origin, Table, Text};
use crate::schema::Shape;
use crate::units::{format_duration, format_size};

/// A table of effective settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// Its name, such as `kafka` or `logs[0]`; empty for the top.
    pub name: String,
    /// Its keys that have a value, in the order of the schema.
    pub rows: Vec<Row>,
}

/// A key that has a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its name in its table.
    pub key: String,
    /// Its value as it would be written, or `***`.
    pub value: Value,
    /// Where the value comes from.
    pub origin: Origin,
}

/// Everything that holds.
pub(crate) fn sections<'a>(root: &Table, logs: impl Iterator<Item = &'a Table>) -> Vec<Section> {
    let mut sections = vec![Section {
        name: String::new(),
        rows: Vec::new(),
    }];
    rows(root, "", 0, &mut sections);
    for (index, log) in logs.enumerate() {
        let at = sections.len();
        let name = format!("logs[{index}]");
        sections.push(Section {
            name: name.clone(),
            rows: Vec::new(),
        });
        rows(log, &name, at, &mut sections);
    }
    sections.retain(|section| !section.rows.is_empty());
    sections
}

/// Adds the rows of `table` to the section at `at`, and sections for the tables in it.
fn rows(table: &Table, name: &str, at: usize, sections: &mut Vec<Section>) {
    for key in table.keys {
        let Some(item) = table.items.get(key.name) else {
            continue;
        };
        let below = if name.is_empty() {
            key.name.to_owned()
        } else {
            format!("{name}.{}", key.name)
        };
        match &item.given {
            Given::Table(table) => {
                let at = sections.len();
                sections.push(Section {
                    name: below.clone(),
                    rows: Vec::new(),
                });
                rows(table, &below, at, sections);
            }
            Given::Map(map) => {
                let row = |(key, text): (&String, &Text)| Row {
                    key: key.clone(),
                    value: if is_secret_property(key) {
                        json!(HIDDEN)
                    } else {
                        shown(text)
                    },
                    origin: text.origin.clone(),
                };
                sections.push(Section {
                    name: below,
                    rows: map.iter().map(row).collect(),
                });
            }
            // The entries of all files are given apart.
            Given::Tables(_) => {}
            given => {
                let value = match given {
                    Given::Text(_) if is_secret_property(key.name) => json!(HIDDEN),
                    given => value(given, &key.shape),
                };
                sections[at].rows.push(Row {
                    key: key.name.to_owned(),
                    value,
                    origin: item.origin.clone(),
                });
            }
        }
    }
}

fn value(given: &Given, shape: &Shape) -> Value {
    match (given, shape) {
        (Given::Number(bytes), Shape::Size(..)) => json!(format_size(*bytes)),
        (Given::Number(bytes), Shape::Rate(..)) => json!(format!("{}/s", format_size(*bytes))),
        (Given::Number(number), _) => json!(number),
        (Given::Flag(flag), _) => json!(flag),
        (Given::Duration(duration), _) => json!(format_duration(*duration)),
        (Given::Text(text), _) => shown(text),
        (Given::Texts(texts), _) => texts.iter().map(shown).collect(),
        (Given::Map(_) | Given::Table(_) | Given::Tables(_), _) => Value::Null,
    }
}

fn shown(text: &Text) -> Value {
    if text.is_hidden() {
        return json!(HIDDEN);
    }
    // Numbers, true and false stay what they are: among `fields` they are no texts.
    let plain = text.is_plain.then(|| serde_json::from_str(&text.value).ok()).flatten();
    plain.unwrap_or_else(|| json!(text.value))
}
