//! From a tree of values to given settings: unknown keys, wrong shapes, ranges, substitutions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use regex::Regex;

use crate::document::{Data, Node};
use crate::expand::{Environment, expand};
use crate::given::{Given, Item, Origin, Table, Text};
use crate::problem::{Problem, Spot};
use crate::schema::{self, Default, Key, Shape};
use crate::units::{parse_duration, parse_rate, parse_size};

/// How alike two names must be for one to be meant by the other; 1 is the same.
const ALIKE: f64 = 0.6;

/// Reads the values of one file.
pub(crate) struct Reader<'a> {
    pub(crate) env: &'a Environment<'a>,
    /// What relative paths of `${file:}` are relative to.
    pub(crate) directory: &'a Path,
    pub(crate) report: &'a mut Report,
}

/// What comes up while settings are read.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) problems: Vec<Problem>,
    /// The files that were asked for by `${file:}`.
    pub(crate) secrets: BTreeSet<PathBuf>,
    /// What the user should know, though nothing is wrong.
    pub(crate) notices: Vec<String>,
}

// === impl Reader ===

impl Reader<'_> {
    /// Reads a table; without a node, its defaults.
    pub(crate) fn table(&mut self, spot: Spot, node: Option<&Node>, keys: &'static [Key]) -> Table {
        let empty = BTreeMap::new();
        let given = node.and_then(Node::as_table).unwrap_or(&empty);
        for (name, node) in given {
            if keys.iter().all(|key| key.name != name) {
                self.report.problems.push(unknown_key(&spot, name, node.line, keys));
            }
        }
        let mut table = Table {
            keys,
            spot,
            items: BTreeMap::new(),
        };
        for key in keys {
            if let Some(item) = self.item(&table.spot, key, given.get(key.name)) {
                table.items.insert(key.name, item);
            }
        }
        table
    }

    fn item(&mut self, table: &Spot, key: &Key, node: Option<&Node>) -> Option<Item> {
        let spot = table.key(key.name, node.and_then(|node| node.line));
        let Some(node) = node else {
            return self.default_of(key, spot);
        };
        let Some(given) = self.value(&spot, node, &key.shape) else {
            // What is wrong was reported; what depends on it goes on with the default.
            return if key.default == Default::Required {
                None
            } else {
                self.default_of(key, spot)
            };
        };
        let origin = match &given {
            Given::Text(text) => text.origin.clone(),
            Given::Texts(texts) => origin_of(&spot).and(texts.iter().map(|text| &text.origin)),
            _ => origin_of(&spot),
        };
        Some(Item { given, spot, origin })
    }

    fn default_of(&mut self, key: &Key, spot: Spot) -> Option<Item> {
        let origin = Origin::Default(None);
        let text = |value: &str| Text {
            value: value.to_owned(),
            is_plain: false,
            spot: spot.clone(),
            origin: origin.clone(),
        };
        let given = match (key.default, &key.shape) {
            (Default::Value(value), Shape::Flag) => Given::Flag(value == "true"),
            (Default::Value(value), Shape::Count(..)) => Given::Number(value.parse().ok()?),
            (Default::Value(value), Shape::Size(..)) => Given::Number(parse_size(value)?),
            (Default::Value(value), Shape::Duration(..)) => Given::Duration(parse_duration(value)?),
            (Default::Value(value), _) => Given::Text(text(value)),
            (Default::Values(values), _) => Given::Texts(values.iter().map(|value| text(value)).collect()),
            (_, Shape::Table(keys)) => Given::Table(self.table(spot.clone(), None, keys)),
            (Default::Required, _) => {
                self.report
                    .problems
                    .push(spot.problem(format!("is missing: {}", key.doc_clause())));
                return None;
            }
            (Default::None | Default::Found(_), _) => return None,
        };
        Some(Item { given, spot, origin })
    }

    fn value(&mut self, spot: &Spot, node: &Node, shape: &Shape) -> Option<Given> {
        let given = match (shape, &node.data) {
            (Shape::Flag, Data::Flag(flag)) => Given::Flag(*flag),
            (Shape::Count(least, most), Data::Integer(number)) => {
                match u64::try_from(*number)
                    .ok()
                    .filter(|number| (least..=most).contains(&number))
                {
                    Some(number) => Given::Number(number),
                    None => return self.refuse(spot, shape, &number.to_string()),
                }
            }
            (Shape::Text | Shape::AnyText | Shape::Regex | Shape::Choice(_), Data::Text(_))
            | (Shape::Size(..) | Shape::Rate(..) | Shape::Duration(..), Data::Text(_))
            | (Shape::ChoiceOrTable(..), Data::Text(_)) => {
                let text = self.text(spot.clone(), node)?;
                return self.text_value(spot, text, shape);
            }
            (Shape::Texts | Shape::Regexes, Data::Text(_) | Data::List(_)) => {
                return self.texts(spot, node, shape);
            }
            (Shape::Map, Data::Table(_)) => {
                let mut map = BTreeMap::new();
                self.map(spot, node, &mut map);
                Given::Map(map)
            }
            (Shape::Table(keys) | Shape::ChoiceOrTable(_, keys), Data::Table(_)) => {
                Given::Table(self.table(spot.clone(), Some(node), keys))
            }
            (Shape::Tables(keys), Data::List(nodes)) => {
                let tables = nodes.iter().enumerate().filter_map(|(index, node)| {
                    let spot = spot.item(index, node.line);
                    match node.data {
                        Data::Table(_) => Some(self.table(spot, Some(node), keys)),
                        _ => self.refuse(&spot, &Shape::Table(keys), &node.data.described()),
                    }
                });
                Given::Tables(tables.collect())
            }
            (_, data) => return self.refuse(spot, shape, &data.described()),
        };
        Some(given)
    }

    fn text_value(&mut self, spot: &Spot, text: Text, shape: &Shape) -> Option<Given> {
        let value = text.value.as_str();
        let given = match shape {
            Shape::Text if value.is_empty() => None,
            Shape::Choice(words) | Shape::ChoiceOrTable(words, _) if !words.contains(&value) => {
                let nearest = nearest(value, words.iter().copied()).filter(|_| !text.is_hidden());
                let problem = spot.problem(format!("must be {}, not {}", shape.allowed(), text.shown()));
                self.report.problems.push(match nearest {
                    Some(word) => problem.help(format!("did you mean \"{word}\"?")),
                    None => problem,
                });
                return None;
            }
            Shape::Regex => {
                if let Err(error) = Regex::new(value) {
                    self.report.problems.push(bad_regex(&text, &error));
                    return None;
                }
                Some(Given::Text(text.clone()))
            }
            Shape::Size(least, most) => parse_size(value)
                .filter(|size| (least..=most).contains(&size))
                .map(Given::Number),
            Shape::Rate(least, most) => parse_rate(value)
                .filter(|rate| (least..=most).contains(&rate))
                .map(Given::Number),
            Shape::Duration(least, most) => parse_duration(value)
                .filter(|time| (least..=most).contains(&time))
                .map(Given::Duration),
            _ => Some(Given::Text(text.clone())),
        };
        given.or_else(|| self.refuse(spot, shape, &text.shown()))
    }

    fn texts(&mut self, spot: &Spot, node: &Node, shape: &Shape) -> Option<Given> {
        let nodes = match &node.data {
            Data::List(nodes) => nodes
                .iter()
                .enumerate()
                .map(|(index, node)| (spot.item(index, node.line), node))
                .collect(),
            _ => vec![(spot.clone(), node)],
        };
        let of_one = if matches!(shape, Shape::Regexes) {
            &Shape::Regex
        } else {
            &Shape::Text
        };
        let mut texts = Vec::new();
        let are_some = !nodes.is_empty();
        // All are read, so that all that is wrong is found; in those that are good something else may be.
        for (spot, node) in nodes {
            if let Some(Given::Text(text)) = self.value(&spot, node, of_one) {
                texts.push(text);
            }
        }
        (!texts.is_empty() || !are_some).then_some(Given::Texts(texts))
    }

    /// Adds the values below, under names joined by dots.
    fn map(&mut self, spot: &Spot, node: &Node, map: &mut BTreeMap<String, Text>) {
        self.map_below(spot, node, "", map);
    }

    fn map_below(&mut self, spot: &Spot, node: &Node, above: &str, map: &mut BTreeMap<String, Text>) {
        for (name, node) in node.as_table().into_iter().flatten() {
            let full = if above.is_empty() {
                name.clone()
            } else {
                format!("{above}.{name}")
            };
            let place = spot.key(&full, node.line);
            let text = match &node.data {
                Data::Table(_) => {
                    self.map_below(spot, node, &full, map);
                    continue;
                }
                Data::Text(_) => self.text(place.clone(), node),
                Data::Flag(flag) => Some(plain(flag.to_string(), place.clone())),
                Data::Integer(number) => Some(plain(number.to_string(), place.clone())),
                Data::Null | Data::Float(_) | Data::List(_) => {
                    let found = node.data.described();
                    let problem = place.problem(format!("must be a text, a whole number, true or false, not {found}"));
                    self.report.problems.push(problem.help("write it as a text, in quotes"));
                    None
                }
            };
            let Some(text) = text else { continue };
            if let Some(first) = map.insert(full, text) {
                let message = format!("is repeated: it stands at {} already", first.spot);
                self.report.problems.push(place.problem(message));
            }
        }
    }

    fn text(&mut self, spot: Spot, node: &Node) -> Option<Text> {
        let Data::Text(written) = &node.data else {
            return None;
        };
        match expand(written, self.env, self.directory, &mut self.report.secrets) {
            Ok(expanded) => {
                let origin = Origin::File {
                    file: spot.file.to_path_buf(),
                    line: spot.line,
                    variables: expanded.variables,
                    secrets: expanded.files,
                };
                Some(Text {
                    value: expanded.text,
                    is_plain: false,
                    spot,
                    origin,
                })
            }
            Err(error) => {
                self.report
                    .problems
                    .push(spot.problem(error.to_string()).help(error.help()));
                None
            }
        }
    }

    fn refuse<T>(&mut self, spot: &Spot, shape: &Shape, found: &str) -> Option<T> {
        let problem = spot.problem(format!("must be {}, not {found}", shape.allowed()));
        self.report.problems.push(match shape.hint() {
            Some(hint) => problem.help(hint),
            None => problem,
        });
        None
    }
}

// === impl Report ===

impl Report {
    /// Whether something is wrong with `key`, or in the list that it holds.
    pub(crate) fn concerns(&self, key: &str) -> bool {
        let inside = |rest: &str| rest.is_empty() || rest.starts_with('[');
        self.problems
            .iter()
            .any(|problem| problem.key.strip_prefix(key).is_some_and(inside))
    }
}

fn plain(value: String, spot: Spot) -> Text {
    let origin = origin_of(&spot);
    Text {
        value,
        is_plain: true,
        spot,
        origin,
    }
}

fn origin_of(spot: &Spot) -> Origin {
    let file = spot.file.to_path_buf();
    Origin::File {
        file,
        line: spot.line,
        variables: Vec::new(),
        secrets: Vec::new(),
    }
}

fn bad_regex(text: &Text, error: &regex::Error) -> Problem {
    let cause = error.to_string();
    // The last line says what is wrong; those before draw it.
    let cause = cause.lines().last().unwrap_or_default().trim_start_matches("error: ");
    let cause = if text.is_hidden() { "" } else { cause };
    text.spot
        .problem(format!("must be a regular expression, not {}", text.shown()))
        .help(match cause {
            "" => "correct the expression".to_owned(),
            cause => format!("correct the expression: {cause}"),
        })
}

fn unknown_key(table: &Spot, name: &str, line: Option<usize>, keys: &[Key]) -> Problem {
    let problem = table.key(name, line).problem("is not a known key");
    let known = keys.iter().map(|key| key.name);
    if let Some(nearest) = nearest(name, known.clone()) {
        return problem.help(format!("did you mean `{nearest}`?"));
    }
    match schema::homes_of(name).as_slice() {
        [home] if home == name && table.key.is_empty() => {
            problem.help("an included file holds [[logs]] only; this belongs in the settings file")
        }
        [home] if home == name => problem.help("it belongs at the top of the file, before the first table"),
        [] => problem.help(format!("known here: {}", known.collect::<Vec<_>>().join(", "))),
        homes => problem.help(format!("did you mean `{}`?", homes.join("` or `"))),
    }
}

/// The name that is most like `name`, if one is.
#[must_use]
pub fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let name = name.to_lowercase().replace('-', "_");
    known
        .map(|known| (strsim::normalized_damerau_levenshtein(&name, known), known))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}
