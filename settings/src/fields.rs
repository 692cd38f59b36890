//! `fields`: what users add to every record of an entry.

use std::path::Path;

use serde_json::{Map, Value};

use crate::settings::LogEntry;
use crate::template::{Template, Values};

/// A field: a member of the JSON object, or a header of a raw record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name; in JSON each dot begins an object inside.
    pub name: String,
    /// Its value.
    pub value: FieldValue,
}

/// The value of a [`Field`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldValue {
    /// A text, with placeholders.
    Text(Template),
    /// A number, written as one.
    Number(i64),
    /// True or false, written as such.
    Flag(bool),
}

impl FieldValue {
    fn text(&self, values: &Values<'_>) -> String {
        match self {
            Self::Text(template) => template.render(values),
            Self::Number(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
        }
    }

    fn json(&self, values: &Values<'_>) -> Value {
        match self {
            Self::Text(template) => template.render(values).into(),
            Self::Number(number) => (*number).into(),
            Self::Flag(flag) => (*flag).into(),
        }
    }
}

impl LogEntry {
    /// The fields of records of the file at `path`, as members of a JSON object.
    pub fn fields_json(&self, host: &str, path: &Path) -> Map<String, Value> {
        self.with_values(host, path, |values| {
            let mut members = Map::new();
            for field in &self.fields {
                put(&mut members, &field.name, field.value.json(values));
            }
            members
        })
    }

    /// The same as texts under their whole names.
    pub fn fields_text(&self, host: &str, path: &Path) -> Vec<(String, String)> {
        self.with_values(host, path, |values| {
            let text = |field: &Field| (field.name.clone(), field.value.text(values));
            self.fields.iter().map(text).collect()
        })
    }
}

/// Puts a value in its place; that no value is where an object must be was checked.
fn put(members: &mut Map<String, Value>, name: &str, value: Value) {
    let Some((first, rest)) = name.split_once('.') else {
        members.insert(name.to_owned(), value);
        return;
    };
    let inner = members.entry(first).or_insert_with(|| Map::new().into());
    if let Value::Object(inner) = inner {
        put(inner, rest, value);
    }
}
