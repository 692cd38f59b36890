//! Which lines are one record: `multiline`. What a line is to the one before depends on nothing but the lines from the
//! first of its group on, so that a group that is read again is the same group.

mod traces;

use std::time::Duration;

use regex::bytes::Regex;

pub use traces::{Language, Place};

/// What says whether a line belongs to the one before.
#[derive(Debug, Clone)]
pub enum Rule {
    /// Lines that match begin a record, all others belong to the one before.
    Start(Regex),
    /// Lines that match belong to the record before, all others begin one.
    Continues(Regex),
    /// As the traces of a language are written.
    Trace(Language),
}

/// How lines become groups.
#[derive(Debug, Clone, PartialEq)]
pub struct Multiline {
    /// Whether a line belongs to the one before.
    pub rule: Rule,
    /// How long a group waits for one more line.
    pub timeout: Duration,
    /// The most lines of a group: the next one begins another. At least 1.
    pub max_lines: usize,
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Start(a), Self::Start(b)) | (Self::Continues(a), Self::Continues(b)) => a.as_str() == b.as_str(),
            (Self::Trace(a), Self::Trace(b)) => a == b,
            _ => false,
        }
    }
}

impl Rule {
    /// Where a group stands whose first line this is.
    pub(crate) fn first(&self, line: &[u8]) -> Place {
        match self {
            Self::Trace(language) => language.first(line),
            Self::Start(_) | Self::Continues(_) => Place::Plain,
        }
    }

    /// Where a group stands with this line as its next; none when the line begins another.
    pub(crate) fn next(&self, place: Place, line: &[u8]) -> Option<Place> {
        match self {
            Self::Start(regex) => (!regex.is_match(line)).then_some(place),
            Self::Continues(regex) => regex.is_match(line).then_some(place),
            Self::Trace(language) => language.next(place, line),
        }
    }
}

#[cfg(test)]
impl Multiline {
    pub(crate) fn of(rule: Rule, max_lines: usize) -> Self {
        let timeout = Duration::from_secs(1);
        Self {
            rule,
            timeout,
            max_lines,
        }
    }
}
