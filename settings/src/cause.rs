//! Causes of I/O errors as an operator is told them: in the system's words, without its number, and what to do by their kind.
//! The one place for both; who has an error keeps its kind and asks here.

use std::error::Error;
use std::io::ErrorKind;
use std::iter;

/// Who is told what to do about a settings file that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Somebody whose command ends with it, and who may name another file.
    AtTheCommand,
    /// Somebody beside a service that goes on and waits for the file.
    BesideTheService,
}

/// The text of an error, without the number that the standard library puts behind the system's words: who reads them needs none.
#[must_use]
pub fn words(text: &str) -> &str {
    let number = |rest: &str| rest.strip_suffix(')').and_then(|number| number.parse::<i32>().ok());
    match text.rsplit_once(" (os error ") {
        Some((words, rest)) if number(rest).is_some() => words,
        _ => text,
    }
}

/// An error and its causes in one line, each in its [`words`].
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = iter::successors(Some(error), |&error| error.source());
    let texts = causes.map(|error| words(&error.to_string()).to_owned());
    texts.collect::<Vec<_>>().join(": ")
}

/// What to do about a settings file that cannot be read.
#[must_use]
pub fn settings_help(kind: ErrorKind, told: Told) -> &'static str {
    use Told::{AtTheCommand, BesideTheService};
    match (kind, told) {
        (ErrorKind::NotFound, AtTheCommand) => {
            "create it, or name another by --config or LOGCATCH_CONFIG; `logcatch demo` needs none"
        }
        (ErrorKind::NotFound, BesideTheService) => "put it back",
        (ErrorKind::PermissionDenied, AtTheCommand) => "let this user read the file and enter its directories",
        (ErrorKind::PermissionDenied, BesideTheService) => "let the service's user read it and enter its directories",
        (ErrorKind::IsADirectory, AtTheCommand) => "name a file in it",
        (ErrorKind::IsADirectory, BesideTheService) => "put a file in its place",
        (_, AtTheCommand) => "make it readable, or name another by --config or LOGCATCH_CONFIG",
        (_, BesideTheService) => "make it readable",
    }
}

/// What to do about a file that a key of the settings names, and that cannot be read.
#[must_use]
pub fn named_file_help(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => "create the file, or correct its path",
        ErrorKind::PermissionDenied => "let the user of the service read the file and enter its directories",
        ErrorKind::IsADirectory => "name a file in it",
        ErrorKind::InvalidData => "it must hold text in UTF-8",
        _ => "let the user of the service read the file",
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn only_the_systems_number_is_left_out() {
        let missing = io::Error::from_raw_os_error(2).to_string();
        assert_eq!(words(&missing), "No such file or directory");
        for text in ["a (os error b)", "(os error 2)", "a (os error 2) b", ""] {
            assert_eq!(words(text), text);
        }
    }

    #[test]
    fn causes_follow_each_other_in_words() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read `a`")]
        struct Outer(#[source] io::Error);
        let error = Outer(io::Error::from_raw_os_error(13));
        assert_eq!(chain(&error), "cannot read `a`: Permission denied");
    }
}
