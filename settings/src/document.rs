//! A file of settings as a tree of values, each with its line.
//!
//! The values come from the crate `config`; it keeps no lines and lets repeated keys pass, so each format is also read
//! for its places.

mod json;
mod toml;
mod yaml;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use config::{FileFormat, Format as _, Value, ValueKind};

use crate::problem::{Problem, Spot};

pub(crate) use toml::partial_text as partial_toml_text;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) line: Option<usize>,
    pub(crate) data: Data,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Data {
    Null,
    Flag(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Table(BTreeMap<String, Node>),
}

/// The notation of a file, by the end of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notation {
    Toml,
    Yaml,
    Json,
}

/// The lines of a tree of values.
#[derive(Debug, Default)]
struct Place {
    line: Option<usize>,
    keys: HashMap<String, Place>,
    items: Vec<Place>,
}

/// What keeps a text from being read.
struct Fault {
    line: Option<usize>,
    key: String,
    message: String,
}

/// The line of a byte of a text, counted from 1.
fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

/// Reads the contents of `file`; the text must be UTF-8.
pub(crate) fn read(file: &Path, bytes: &[u8]) -> Result<Node, Vec<Problem>> {
    let spot = Spot::file(file);
    let notation = Notation::of(file).ok_or_else(|| {
        let problem = spot.problem("is in no known notation");
        vec![problem.help("let its name end in .toml, .yaml, .yml or .json")]
    })?;
    let text = match str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let line = 1 + bytes[..error.valid_up_to()]
                .iter()
                .filter(|byte| **byte == b'\n')
                .count();
            let spot = Spot {
                line: Some(line),
                ..spot
            };
            return Err(vec![spot.problem("holds bytes that are not UTF-8")]);
        }
    };
    parse(notation, text).map_err(|faults| {
        let problem = |fault: Fault| {
            Spot {
                line: fault.line,
                key: fault.key,
                ..spot.clone()
            }
            .problem(fault.message)
        };
        faults.into_iter().map(problem).collect()
    })
}

fn parse(notation: Notation, text: &str) -> Result<Node, Vec<Fault>> {
    let (format, place) = match notation {
        Notation::Toml => (FileFormat::Toml, toml::places(text)?),
        Notation::Yaml => (FileFormat::Yaml, yaml::places(text)?),
        Notation::Json => (FileFormat::Json, json::places(text)?),
    };
    let values = format
        .parse(None, text)
        .map_err(|error| vec![Fault::new(None, error.to_string())])?;
    Ok(Node::new(Value::new(None, values), Some(&place)))
}

// === impl Notation ===

impl Notation {
    pub(crate) fn of(file: &Path) -> Option<Self> {
        match file.extension()?.to_str()? {
            "toml" => Some(Self::Toml),
            "yaml" | "yml" => Some(Self::Yaml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

// === impl Node ===

impl Node {
    fn new(value: Value, place: Option<&Place>) -> Self {
        let data = match value.kind {
            ValueKind::Nil => Data::Null,
            ValueKind::Boolean(flag) => Data::Flag(flag),
            ValueKind::I64(number) => Data::Integer(number.into()),
            ValueKind::U64(number) => Data::Integer(number.into()),
            ValueKind::I128(number) => Data::Integer(number),
            // Beyond all ranges, so that its exact value does not matter.
            ValueKind::U128(number) => Data::Integer(number.try_into().unwrap_or(i128::MAX)),
            ValueKind::Float(number) => Data::Float(number),
            ValueKind::String(text) => Data::Text(text),
            ValueKind::Array(items) => Data::List(
                items
                    .into_iter()
                    .enumerate()
                    .map(|(index, item)| Self::new(item, place.and_then(|place| place.items.get(index))))
                    .collect(),
            ),
            ValueKind::Table(table) => Data::Table(
                table
                    .into_iter()
                    .map(|(key, value)| {
                        let node = Self::new(value, place.and_then(|place| place.keys.get(&key)));
                        (key, node)
                    })
                    .collect(),
            ),
        };
        Self {
            line: place.and_then(|place| place.line),
            data,
        }
    }

    pub(crate) fn text(text: impl Into<String>, line: Option<usize>) -> Self {
        Self {
            line,
            data: Data::Text(text.into()),
        }
    }

    pub(crate) fn table<const N: usize>(keys: [(&str, Self); N], line: Option<usize>) -> Self {
        let keys = keys.into_iter().map(|(key, node)| (key.to_owned(), node)).collect();
        Self {
            line,
            data: Data::Table(keys),
        }
    }

    pub(crate) fn as_table(&self) -> Option<&BTreeMap<String, Self>> {
        match &self.data {
            Data::Table(table) => Some(table),
            _ => None,
        }
    }
}

// === impl Data ===

impl Data {
    /// What this is, in words that follow "not".
    pub(crate) fn described(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Flag(flag) => flag.to_string(),
            Self::Integer(number) => format!("the number {number}"),
            Self::Float(number) => format!("the number {number}"),
            Self::Text(_) => "a text".to_owned(),
            Self::List(_) => "a list".to_owned(),
            Self::Table(_) => "a table".to_owned(),
        }
    }
}

// === impl Fault ===

impl Fault {
    fn new(line: Option<usize>, message: impl Into<String>) -> Self {
        Self {
            line,
            key: String::new(),
            message: message.into(),
        }
    }

    fn repeated(line: Option<usize>, key: &str, first: Option<usize>) -> Self {
        let message = match first {
            Some(first) => format!("is repeated: it stands in line {first} already"),
            None => "is repeated".to_owned(),
        };
        Self {
            line,
            key: key.to_owned(),
            message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(file: &str, text: &str) -> Vec<String> {
        read(Path::new(file), text.as_bytes())
            .unwrap_err()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    /// Every value with its line, as `key=line`, in the order of the keys.
    fn lines(node: &Node, key: &str, found: &mut Vec<String>) {
        found.push(format!(
            "{key}={}",
            node.line.map_or("?".into(), |line| line.to_string())
        ));
        match &node.data {
            Data::Table(table) => table
                .iter()
                .for_each(|(name, node)| lines(node, &format!("{key}.{name}"), found)),
            Data::List(items) => {
                for (index, node) in items.iter().enumerate() {
                    lines(node, &format!("{key}[{index}]"), found);
                }
            }
            _ => {}
        }
    }

    #[test]
    fn the_same_values_have_their_lines_in_every_notation() {
        let cases = [
            (
                "a.toml",
                "a = 1\n\n[k]\nb.c = [\"x\",\n  \"y\"]\n[[l]]\nd = true\n\n[[l]]\nd = 1.5\n",
            ),
            (
                "a.yaml",
                "a: 1\n\nk:\n  b: {\n    c: [x,\n      y]}\nl:\n  - d: true\n\n  - d: 1.5\n",
            ),
            (
                "a.json",
                "{\"a\": 1,\n\n\"k\": {\n\"b\": {\"c\": [\"x\",\n\t\"y\"]}},\n\"l\": [{\n\"d\": true},\n{\n\"d\": 1.5}]}",
            ),
        ];
        let expected = [
            "=? .a=1 .k=3 .k.b=4 .k.b.c=4 .k.b.c[0]=4 .k.b.c[1]=5 .l=6 .l[0]=6 .l[0].d=7 .l[1]=9 .l[1].d=10",
            "=1 .a=1 .k=3 .k.b=4 .k.b.c=5 .k.b.c[0]=5 .k.b.c[1]=6 .l=7 .l[0]=8 .l[0].d=8 .l[1]=10 .l[1].d=10",
            "=1 .a=1 .k=3 .k.b=4 .k.b.c=4 .k.b.c[0]=4 .k.b.c[1]=5 .l=6 .l[0]=6 .l[0].d=7 .l[1]=8 .l[1].d=9",
        ];
        for ((file, text), expected) in cases.into_iter().zip(expected) {
            let node = read(Path::new(file), text.as_bytes()).unwrap();
            let mut found = Vec::new();
            lines(&node, "", &mut found);
            assert_eq!(found.join(" "), expected, "{file}");
            assert_eq!(node.as_table().unwrap()["a"].data, Data::Integer(1));
        }
    }

    #[test]
    fn all_repeated_keys_are_found_in_every_notation() {
        let toml = faults("a.toml", "a = 1\na = 2\n[k]\nb = 1\nb = 2\n");
        assert_eq!(toml, ["a.toml:2: `a` is repeated", "a.toml:5: `b` is repeated"]);
        let yaml = faults("a.yml", "a: 1\nk:\n  b: 1\n  b: 2\na: 2\n");
        assert_eq!(
            yaml,
            [
                "a.yml:4: `k.b` is repeated: it stands in line 3 already",
                "a.yml:5: `a` is repeated: it stands in line 1 already"
            ]
        );
        let json = faults("a.json", "{\"a\": [{\"b\": 1,\n\"b\": 2}],\n\"\\u0061\": 2}");
        assert_eq!(
            json,
            [
                "a.json:2: `a[0].b` is repeated: it stands in line 1 already",
                "a.json:3: `a` is repeated: it stands in line 1 already"
            ]
        );
    }

    #[test]
    fn what_cannot_be_read_is_said_with_its_line() {
        let toml = faults("a.toml", "a = \nb = 1\nc = 2024-01-01\n[d\n");
        assert_eq!(toml.len(), 3, "{toml:?}");
        assert!(
            toml.contains(&"a.toml:4: is not TOML: unclosed table, expected `]`".to_owned()),
            "{toml:?}"
        );
        assert_eq!(
            faults("a.toml", "a = 1\nc = 2024-01-01\n"),
            ["a.toml:2: `c` is a date, which no setting is"]
        );
        let yaml = faults("a.yaml", "a: 1\nb: [1\nc: 2\n");
        assert!(yaml[0].starts_with("a.yaml:3: "), "{yaml:?}");
        let json = faults("a.json", "{\"a\": 1,\n}");
        assert!(json[0].starts_with("a.json:2: "), "{json:?}");
        assert_eq!(faults("a.json", "[]"), ["a.json:1: holds no table of keys"]);
        assert_eq!(faults("a.yaml", "- a"), ["a.yaml:1: holds no table of keys"]);
        assert_eq!(
            faults("a.yaml", "a: 1\n---\na: 2\n"),
            ["a.yaml: Got 2 YAML documents, expected 1"]
        );
        assert_eq!(faults("a.conf", ""), ["a.conf: is in no known notation"]);
        let latin = read(Path::new("a.toml"), b"a = 1\nb = '\xe4'\n").unwrap_err();
        assert_eq!(latin[0].to_string(), "a.toml:2: holds bytes that are not UTF-8");
    }

    #[test]
    fn an_empty_file_is_an_empty_table() {
        for file in ["a.toml", "a.yaml", "a.yml"] {
            assert_eq!(
                read(Path::new(file), b"# nothing\n")
                    .unwrap()
                    .as_table()
                    .map(BTreeMap::len),
                Some(0),
                "{file}"
            );
        }
        assert_eq!(
            read(Path::new("a.toml"), b"\xef\xbb\xbfa = 1")
                .unwrap()
                .as_table()
                .map(BTreeMap::len),
            Some(1)
        );
    }
}
