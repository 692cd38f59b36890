//! What goes over the control socket: a line of JSON asks, a line of JSON answers.

use std::path::Path;

use logcatch_actors::{DeadLetter, Report, Resent};
use logcatch_tail::{Life, Place, StreamRecord};
use serde::{Deserialize, Serialize};

use super::plan::Plan;

/// The longest request: a path of 4 KiB in JSON's longest notation, and the words around it.
pub const LONGEST_REQUEST: u64 = 64 * 1024;
/// The longest answer: 100,000 files of a kilobyte each, and room.
pub const LONGEST_ANSWER: u64 = 256 * 1024 * 1024;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Request {
    /// How everything stands, or what is named.
    Status { of: Option<Named> },
    /// Watchers anew.
    Restart { of: Named },
    /// Apply the settings file.
    Reload,
    /// What applying it would do.
    Plan,
    /// Every position, or those of what is named.
    PositionsList { of: Option<Named> },
    /// Move one.
    PositionsSet { path: Named, to: To },
    /// Forget those of what is named.
    PositionsReset { of: Named },
    /// The dead letters that are meant.
    DeadLettersList { meant: Meant },
    /// Send them again, to this topic instead of theirs if there is one.
    DeadLettersResend { meant: Meant, topic: Option<String> },
}

/// Which dead letters: without anything, all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meant {
    /// Only those of this entry.
    pub log: Option<String>,
    /// Only those of this file.
    pub path: Option<Named>,
}

/// An entry or a path, as somebody named it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// As it was typed.
    pub typed: String,
    /// The same as an absolute path, seen from where it was typed.
    pub path: String,
}

/// A [`Place`] in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum To {
    /// The first byte.
    Begin,
    /// The end as it is now.
    End,
    /// So many bytes from the start.
    Offset(u64),
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// To [`Request::Status`].
    Status(Box<Report>),
    /// To [`Request::Plan`].
    Plan(Plan),
    /// To [`Request::PositionsList`].
    Positions(Vec<PositionRow>),
    /// To what changes something.
    Done(Vec<Done>),
    /// To [`Request::DeadLettersList`], again and again.
    Letters(Letters),
    /// To [`Request::DeadLettersResend`], each second while they are on their way.
    Resending(Resent),
    /// To [`Request::DeadLettersResend`], in the end.
    Resent(Resent),
    /// It was not done.
    Refused(Refused),
}

/// Some of the dead letters that were asked for, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letters {
    /// As they are kept: JSON.
    pub letters: Vec<String>,
    /// Lines among them that are no letters, and are left out.
    pub unreadable: u64,
    /// No more follow.
    pub last: bool,
}

/// What was done, to one watcher or to the settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The entry.
    pub log: String,
    /// The path.
    pub path: String,
    /// What was done, in words.
    pub done: String,
}

/// Why it was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// `cannot <verb> <subject>: <cause>`.
    pub error: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub help: Option<String>,
    /// The settings are at fault.
    #[serde(default)]
    pub settings: bool,
}

/// A saved position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PositionRow {
    /// The settings entry.
    pub log: String,
    /// The path the file was first found under.
    pub path: String,
    /// Names the generation, as `logcatch.file_id` in records.
    pub file_id: String,
    /// Whether it is what the path leads to, or was rotated.
    pub life: Life,
    /// Everything before it is acknowledged; bytes.
    pub position: u64,
    /// The size when the file was last looked at; bytes.
    pub size: u64,
}

impl From<StreamRecord> for PositionRow {
    fn from(record: StreamRecord) -> Self {
        Self {
            path: record.path.display().to_string(),
            log: record.log.to_string(),
            file_id: record.id.to_string(),
            life: record.life,
            position: record.mark.offset,
            size: record.size,
        }
    }
}

impl Named {
    /// What was typed here.
    pub fn new(typed: &str) -> Self {
        let path = std::path::absolute(typed).map_or_else(|_| typed.to_owned(), |path| path.display().to_string());
        Self {
            typed: typed.to_owned(),
            path,
        }
    }

    /// Whether it is this entry. One without a name has its first path for a name.
    pub fn is_entry(&self, log: &str) -> bool {
        log == self.typed || log == self.path
    }

    /// Whether it is this path.
    pub fn is_path(&self, path: &Path) -> bool {
        path == Path::new(&self.path)
    }
}

impl Meant {
    /// Whether it is this letter.
    pub fn is(&self, letter: &DeadLetter) -> bool {
        let is_path = |path: &Named| letter.path == path.typed || path.is_path(Path::new(&letter.path));
        self.log.as_ref().is_none_or(|log| *log == letter.log) && self.path.as_ref().is_none_or(is_path)
    }
}

impl Answer {
    /// Whether nothing follows it.
    pub fn is_last(&self) -> bool {
        match self {
            Self::Resending(_) => false,
            Self::Letters(letters) => letters.last,
            _ => true,
        }
    }
}

impl From<To> for Place {
    fn from(to: To) -> Self {
        match to {
            To::Begin => Self::Beginning,
            To::End => Self::End,
            To::Offset(offset) => Self::Offset(offset),
        }
    }
}

impl Refused {
    /// Without help.
    pub fn new(error: impl Into<String>) -> Self {
        Self {
            error: error.into(),
            help: None,
            settings: false,
        }
    }

    /// Says what to do.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
