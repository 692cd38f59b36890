//! What is wrong with settings, and where.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use thiserror::Error;

use crate::cause::{self, Told};
use crate::sources::Sources;

/// Why settings are not used.
#[derive(Debug, Error)]
pub enum Refused {
    /// The settings file itself could not be read; nothing is known about its contents.
    #[error("cannot read the settings `{}`", path.display())]
    Unreadable {
        /// The settings file.
        path: PathBuf,
        /// Its kind tells a missing file from a forbidden one and from a directory.
        source: io::Error,
    },
    /// The settings were read and say something that cannot be done.
    #[error("cannot use the settings `{}`: {}", path.display(), Listed(problems))]
    Invalid {
        /// The settings file.
        path: PathBuf,
        /// All that is wrong, by file and line; never empty.
        problems: Vec<Problem>,
        /// The files that decide about these settings: a change of any is a reason to try again.
        sources: Sources,
    },
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// The file that holds it.
    pub file: PathBuf,
    /// Its line, counted from 1, where it is known.
    pub line: Option<usize>,
    /// The full name of the key, such as `logs[0].path`; empty where the text as a whole is meant.
    pub key: String,
    /// What is wrong, in words that follow the key.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// Where a value stands.
#[derive(Debug, Clone)]
pub(crate) struct Spot {
    pub(crate) file: Arc<Path>,
    pub(crate) line: Option<usize>,
    pub(crate) key: String,
}

struct Listed<'a>(&'a [Problem]);

// === impl Refused ===

impl Refused {
    /// What is wrong inside the settings; empty if they could not be read at all.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Unreadable { .. } => &[],
            Self::Invalid { problems, .. } => problems,
        }
    }

    /// All that is known, for who reads it beside a running service: the cause and what to do, too.
    #[must_use]
    pub fn in_full(&self) -> String {
        let Self::Unreadable { source, .. } = self else {
            return self.to_string();
        };
        let help = cause::settings_help(source.kind(), Told::BesideTheService);
        format!("{}\n    help: {help}", cause::chain(self))
    }
}

// === impl Problem ===

impl Problem {
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        if !self.key.is_empty() {
            write!(f, " `{}`", self.key)?;
        }
        write!(f, " {}", self.message)
    }
}

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("1 problem")?,
            count => write!(f, "{count} problems")?,
        }
        for problem in self.0 {
            write!(f, "\n  {problem}")?;
            if let Some(help) = &problem.help {
                write!(f, "\n    help: {help}")?;
            }
        }
        Ok(())
    }
}

// === impl Spot ===

impl Spot {
    /// The top of a file.
    pub(crate) fn file(file: &Path) -> Self {
        Self {
            file: file.into(),
            line: None,
            key: String::new(),
        }
    }

    /// The key `name` of the table here.
    pub(crate) fn key(&self, name: &str, line: Option<usize>) -> Self {
        let key = if self.key.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.key)
        };
        Self {
            file: self.file.clone(),
            line: line.or(self.line),
            key,
        }
    }

    /// An item of the list here.
    pub(crate) fn item(&self, index: usize, line: Option<usize>) -> Self {
        Self {
            file: self.file.clone(),
            line: line.or(self.line),
            key: format!("{}[{index}]", self.key),
        }
    }

    pub(crate) fn problem(&self, message: impl Into<String>) -> Problem {
        Problem {
            file: self.file.to_path_buf(),
            line: self.line,
            key: self.key.clone(),
            message: message.into(),
            help: None,
        }
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_listed_with_place_key_and_help() {
        let spot = Spot::file(Path::new("/etc/a.toml"))
            .key("kafka", Some(3))
            .key("brokrs", Some(4));
        let problems = vec![
            spot.problem("is not a known key").help("did you mean `brokers`?"),
            Spot::file(Path::new("/etc/a.toml")).problem("no log is named"),
        ];
        let refused = Refused::Invalid {
            path: "/etc/a.toml".into(),
            problems,
            sources: Sources::default(),
        };
        assert_eq!(
            refused.to_string(),
            "cannot use the settings `/etc/a.toml`: 2 problems\n  \
             /etc/a.toml:4: `kafka.brokrs` is not a known key\n    \
             help: did you mean `brokers`?\n  \
             /etc/a.toml: no log is named"
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_says_why_and_what_to_do() {
        let cases = [
            (2, "No such file or directory", "put it back"),
            (
                13,
                "Permission denied",
                "let the service's user read it and enter its directories",
            ),
            (21, "Is a directory", "put a file in its place"),
        ];
        for (number, cause, help) in cases {
            let (path, source) = ("/etc/a.toml".into(), io::Error::from_raw_os_error(number));
            assert_eq!(
                Refused::Unreadable { path, source }.in_full(),
                format!("cannot read the settings `/etc/a.toml`: {cause}\n    help: {help}")
            );
        }
    }
}
