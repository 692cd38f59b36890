//! Every key of the settings: its shape, its default, what it is for. Reading, suggestions, the JSON Schema and the
//! reference all come from here.

mod json;
mod reference;
mod tables;

use std::time::Duration;

pub use json::json_schema;
pub use reference::reference;
pub use tables::{INCLUDED, ROOT};

use crate::units::{format_duration, format_size};

/// One key of a table.
#[derive(Debug)]
pub struct Key {
    /// Its name, without that of its table.
    pub name: &'static str,
    /// What its value looks like.
    pub shape: Shape,
    /// What holds without it.
    pub default: Default,
    /// What it is for, in one sentence.
    pub doc: &'static str,
}

/// What a value looks like.
#[derive(Debug)]
pub enum Shape {
    /// A text that is not empty.
    Text,
    /// A text that may be empty.
    AnyText,
    /// A regular expression.
    Regex,
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A size in bytes, inclusive.
    Size(u64, u64),
    /// A duration, inclusive.
    Duration(Duration, Duration),
    /// A size each second, inclusive.
    Rate(u64, u64),
    /// A whole number, inclusive.
    Count(u64, u64),
    /// A text, or a list of texts.
    Texts,
    /// A list of regular expressions, or one.
    Regexes,
    /// Names and values, where dots in a name and nested tables are the same.
    Map,
    /// A table with these keys.
    Table(&'static [Key]),
    /// A list of tables with these keys.
    Tables(&'static [Key]),
    /// One of these words, or a table with these keys.
    ChoiceOrTable(&'static [&'static str], &'static [Key]),
}

/// What holds without a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default {
    /// The key must be given.
    Required,
    /// Nothing.
    None,
    /// What this text would mean as its value, for numbers and flags as well.
    Value(&'static str),
    /// These texts.
    Values(&'static [&'static str]),
    /// What is found out at start, in words.
    Found(&'static str),
}

// === impl Key ===

impl Key {
    const fn new(name: &'static str, shape: Shape, default: Default, doc: &'static str) -> Self {
        Self {
            name,
            shape,
            default,
            doc,
        }
    }

    /// The documentation as a part of a sentence.
    pub(crate) fn doc_clause(&self) -> String {
        let mut chars = self.doc.trim_end_matches('.').chars();
        chars
            .next()
            .map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
    }
}

// === impl Shape ===

impl Shape {
    /// What is allowed, in words that follow "must be".
    pub(crate) fn allowed(&self) -> String {
        match self {
            Self::Text => "a text that is not empty".to_owned(),
            Self::AnyText => "a text".to_owned(),
            Self::Regex => "a regular expression".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::Choice(words) => quoted(words),
            Self::Size(least, most) => {
                format!("a size from \"{}\" to \"{}\"", format_size(*least), format_size(*most))
            }
            Self::Rate(least, most) => {
                format!(
                    "a rate from \"{}/s\" to \"{}/s\"",
                    format_size(*least),
                    format_size(*most)
                )
            }
            Self::Duration(least, most) => {
                format!(
                    "a duration from \"{}\" to \"{}\"",
                    format_duration(*least),
                    format_duration(*most)
                )
            }
            Self::Count(least, most) => format!("a whole number from {least} to {most}"),
            Self::Texts => "a text or a list of texts, none of them empty".to_owned(),
            Self::Regexes => "a regular expression or a list of them".to_owned(),
            Self::Map => "a table of names and values".to_owned(),
            Self::Table(_) => "a table".to_owned(),
            Self::Tables(_) => "a list of tables".to_owned(),
            Self::ChoiceOrTable(words, _) => format!("{}, or a table", quoted(words)),
        }
    }

    /// How the value is written, where that is not plain.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Size(..) => Some("write a whole number and a unit, such as \"64MiB\", \"10MB\" or \"1024B\""),
            Self::Rate(..) => Some("write a whole number, a unit and \"/s\", such as \"10MiB/s\""),
            Self::Duration(..) => Some("write a whole number and a unit: \"500ms\", \"1s\", \"5m\", \"2h\" or \"7d\""),
            Self::Tables(_) => Some("in TOML begin each entry with a line `[[logs]]`"),
            _ => None,
        }
    }

    /// The tables below.
    fn table(&self) -> Option<&'static [Key]> {
        match self {
            Self::Table(keys) | Self::Tables(keys) | Self::ChoiceOrTable(_, keys) => Some(keys),
            _ => None,
        }
    }
}

/// The full names of all tables that know `name`, such as `kafka.topic`.
pub(crate) fn homes_of(name: &str) -> Vec<String> {
    fn search(keys: &'static [Key], above: &str, name: &str, found: &mut Vec<String>) {
        for key in keys {
            let full = if above.is_empty() {
                key.name.to_owned()
            } else {
                format!("{above}.{}", key.name)
            };
            if key.name == name {
                found.push(full.clone());
            }
            if let Some(keys) = key.shape.table() {
                search(keys, &full, name, found);
            }
        }
    }
    let mut found = Vec::new();
    search(ROOT, "", name, &mut found);
    found
}

fn quoted(words: &[&str]) -> String {
    let quoted = words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_documented_and_named_once() {
        fn check(keys: &'static [Key]) {
            for (index, key) in keys.iter().enumerate() {
                assert!(key.doc.ends_with('.'), "{}", key.name);
                assert!(keys[..index].iter().all(|other| other.name != key.name), "{}", key.name);
                if let Some(keys) = key.shape.table() {
                    check(keys);
                }
            }
        }
        check(ROOT);
    }

    #[test]
    fn homes_are_found_in_all_tables() {
        assert_eq!(homes_of("topic"), ["kafka.topic", "logs.topic"]);
        assert_eq!(homes_of("max_lines"), ["logs.multiline.max_lines"]);
        assert!(homes_of("tpoic").is_empty());
    }

    #[test]
    fn what_is_allowed_is_said_in_words() {
        assert_eq!(Shape::Choice(&["a", "b", "c"]).allowed(), "\"a\", \"b\" or \"c\"");
        assert_eq!(Shape::Size(1024, 1 << 20).allowed(), "a size from \"1KiB\" to \"1MiB\"");
    }
}
