//! Settings as given: every value of the right shape, with its origin, defaults filled in; not yet related to others.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::problem::Spot;
use crate::schema::Key;

/// A table of the settings; it holds each key of its schema that has a value.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) keys: &'static [Key],
    pub(crate) spot: Spot,
    pub(crate) items: BTreeMap<&'static str, Item>,
}

#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) given: Given,
    pub(crate) spot: Spot,
    pub(crate) origin: Origin,
}

#[derive(Debug, Clone)]
pub(crate) enum Given {
    Flag(bool),
    /// A count, a size in bytes, or a rate in bytes a second.
    Number(u64),
    Duration(Duration),
    Text(Text),
    Texts(Vec<Text>),
    Map(BTreeMap<String, Text>),
    Table(Table),
    Tables(Vec<Table>),
}

/// A text of the settings, its substitutions done.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    pub(crate) value: String,
    /// It was written as a number, or as true or false.
    pub(crate) is_plain: bool,
    pub(crate) spot: Spot,
    pub(crate) origin: Origin,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nothing was given. Says in words how the value was found, if it is not constant.
    Default(Option<&'static str>),
    /// It is written in a file of settings.
    File {
        /// That file.
        file: PathBuf,
        /// Its line, counted from 1, where it is known.
        line: Option<usize>,
        /// The environment variables it was made from.
        variables: Vec<String>,
        /// The files it was made from.
        secrets: Vec<PathBuf>,
    },
    /// It is the value of this environment variable.
    Environment(&'static str),
}

// === impl Table ===

/// The getters give an empty value for a key without one: if it is a required one, that was reported before.
impl Table {
    pub(crate) fn given(&self, name: &str) -> Option<&Given> {
        self.items.get(name).map(|item| &item.given)
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        match self.given(name)? {
            Given::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn is_set(&self, name: &str) -> bool {
        matches!(self.given(name), Some(Given::Flag(true)))
    }

    pub(crate) fn duration(&self, name: &str) -> Duration {
        match self.given(name) {
            Some(Given::Duration(duration)) => *duration,
            _ => Duration::ZERO,
        }
    }

    pub(crate) fn text(&self, name: &str) -> Option<&Text> {
        match self.given(name)? {
            Given::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A word of a choice.
    pub(crate) fn word(&self, name: &str) -> &str {
        self.text(name).map_or("", |text| &text.value)
    }

    pub(crate) fn texts(&self, name: &str) -> &[Text] {
        match self.given(name) {
            Some(Given::Texts(texts)) => texts,
            _ => &[],
        }
    }

    pub(crate) fn map(&self, name: &str) -> impl Iterator<Item = (&str, &Text)> {
        let map = match self.given(name) {
            Some(Given::Map(map)) => Some(map),
            _ => None,
        };
        map.into_iter().flatten().map(|(name, text)| (name.as_str(), text))
    }

    pub(crate) fn table(&self, name: &str) -> Option<&Self> {
        match self.given(name)? {
            Given::Table(table) => Some(table),
            _ => None,
        }
    }

    pub(crate) fn tables(&self, name: &str) -> &[Self] {
        match self.given(name) {
            Some(Given::Tables(tables)) => tables,
            _ => &[],
        }
    }

    /// Where the key is given, or would be.
    pub(crate) fn spot_of(&self, name: &str) -> Spot {
        self.items
            .get(name)
            .map_or_else(|| self.spot.key(name, None), |item| item.spot.clone())
    }

    /// Fills in a value that was found out.
    pub(crate) fn put_text(&mut self, name: &'static str, value: impl Into<String>, origin: Origin) {
        let spot = self.spot.key(name, None);
        let text = Text {
            value: value.into(),
            is_plain: false,
            spot: spot.clone(),
            origin: origin.clone(),
        };
        self.items.insert(
            name,
            Item {
                given: Given::Text(text),
                spot,
                origin,
            },
        );
    }

    /// Fills in a number that was found out.
    pub(crate) fn put_number(&mut self, name: &'static str, number: u64, how: &'static str) {
        let item = Item {
            given: Given::Number(number),
            spot: self.spot.key(name, None),
            origin: Origin::Default(Some(how)),
        };
        self.items.entry(name).or_insert(item);
    }

    /// Takes another default, if none was given.
    pub(crate) fn put_default(&mut self, name: &'static str, number: u64, how: &'static str) {
        if let Some(item) = self.items.get_mut(name)
            && item.origin == Origin::Default(None)
        {
            item.given = Given::Number(number);
            item.origin = Origin::Default(Some(how));
        }
    }

    pub(crate) fn put_table(&mut self, name: &'static str, table: Self) {
        if let Some(item) = self.items.get_mut(name) {
            item.given = Given::Table(table);
        }
    }
}

// === impl Text ===

impl Text {
    /// Whether the value must not be shown.
    pub(crate) fn is_hidden(&self) -> bool {
        self.origin.is_hidden()
    }

    /// The value in quotes, for messages.
    pub(crate) fn shown(&self) -> String {
        if self.is_hidden() {
            HIDDEN.to_owned()
        } else {
            format!("\"{}\"", self.value)
        }
    }
}

/// Stands for what must not be shown.
pub(crate) const HIDDEN: &str = "***";

// === impl Origin ===

impl Origin {
    /// Adds what the values at `others` were made from.
    pub(crate) fn and<'a>(mut self, others: impl Iterator<Item = &'a Self>) -> Self {
        if let Self::File { variables, secrets, .. } = &mut self {
            for other in others {
                if let Self::File {
                    variables: more_variables,
                    secrets: more_secrets,
                    ..
                } = other
                {
                    variables.extend_from_slice(more_variables);
                    secrets.extend_from_slice(more_secrets);
                }
            }
        }
        self
    }

    /// Values that come from the environment or a file are not shown: it is not known whether they are secrets.
    pub(crate) fn is_hidden(&self) -> bool {
        matches!(self, Self::File { variables, secrets, .. } if !variables.is_empty() || !secrets.is_empty())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default(None) => f.write_str("default"),
            Self::Default(Some(how)) => write!(f, "default: {how}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::File {
                file,
                line,
                variables,
                secrets,
            } => {
                write!(f, "{}", file.display())?;
                if let Some(line) = line {
                    write!(f, ":{line}")?;
                }
                for name in variables {
                    write!(f, ", environment {name}")?;
                }
                for path in secrets {
                    write!(f, ", file {}", path.display())?;
                }
                Ok(())
            }
        }
    }
}
