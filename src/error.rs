//! What a command says when it cannot do its work, and how it exits.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use logcatch_settings::Refused;
use logcatch_settings::cause::{self, Told, chain};
use thiserror::Error as ThisError;

use crate::cli::stderr_has_colours;
use crate::control;

/// Why a command ended, what to do about it, and its exit code.
///
/// Printed as `error: cannot <verb> <subject>: <cause>`, the places it is about, and `help: <what to do>`.
#[derive(Debug)]
pub struct Failure {
    error: Box<dyn Error + Send + Sync>,
    place: Option<String>,
    help: Option<String>,
    exit: Exit,
}

/// The exit codes besides 0, and 2 for usage errors, which the parser of the command line gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Anything else.
    Failure = 1,
    /// Another logcatch holds the state directory, or has taken over `kafka.instance`.
    Held = 3,
    /// The settings are refused: EX_CONFIG of sysexits.h, so that a service manager does not try again at once.
    Settings = 78,
}

/// Stdout is gone.
#[derive(Debug, ThisError)]
#[error("cannot write to standard output")]
pub struct CannotPrint(#[source] pub io::Error);

// === impl Failure ===

impl Failure {
    /// A failure with exit code 1 and no help. The error says `cannot <verb> <subject>`.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            error: error.into(),
            place: None,
            help: None,
            exit: Exit::Failure,
        }
    }

    /// Says where the cause stands.
    pub fn place(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// Says what to do.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Exits with another code.
    pub fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// Without place and help.
    pub fn sentence(&self) -> String {
        chain(&*self.error)
    }

    /// Prints the failure to stderr.
    pub fn report(&self) -> ExitCode {
        eprint!("{}", self.rendered(stderr_has_colours()));
        ExitCode::from(self.exit as u8)
    }

    fn rendered(&self, colours: bool) -> String {
        let (error, help) = if colours {
            ("\x1b[1;31merror\x1b[0m", "\x1b[1;36mhelp\x1b[0m")
        } else {
            ("error", "help")
        };
        let mut text = format!("{error}: {}\n", chain(&*self.error));
        if let Some(place) = &self.place {
            text.extend(["  ", place, "\n"]);
        }
        if let Some(advice) = &self.help {
            text.extend([help, ": ", advice, "\n"]);
        }
        text
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let help = match &refused {
            Refused::Invalid { .. } => "correct what is named; `logcatch check` reads the settings and starts nothing",
            Refused::Unreadable { source, .. } => cause::settings_help(source.kind(), Told::AtTheCommand),
        };
        Self::new(refused).help(help).exit(Exit::Settings)
    }
}

impl From<CannotPrint> for Failure {
    fn from(error: CannotPrint) -> Self {
        Self::new(error).help("look at where it is redirected to: a full disk, or a file that may not be written")
    }
}

impl From<control::Refused> for Failure {
    fn from(refused: control::Refused) -> Self {
        let failure = Self::new(refused.error);
        let failure = match refused.help {
            Some(help) => failure.help(help),
            None => failure,
        };
        if refused.settings {
            failure.exit(Exit::Settings)
        } else {
            failure
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_full_disk_behind_standard_output_says_where_to_look() {
        let failure = Failure::from(CannotPrint(io::Error::from_raw_os_error(28)));
        let text = failure.rendered(false);
        let said =
            "error: cannot write to standard output: No space left on device\nhelp: look at where it is redirected";
        assert!(text.starts_with(said), "{text}");
    }

    #[test]
    fn a_failure_says_cause_and_help_and_has_its_code() {
        let refused = logcatch_settings::load(Path::new("/nowhere/logcatch.toml"), &|_| None).unwrap_err();
        let failure = Failure::from(refused);
        assert_eq!(
            failure.rendered(false),
            "error: cannot read the settings `/nowhere/logcatch.toml`: No such file or directory\nhelp: create it, or name \
             another by --config or LOGCATCH_CONFIG; `logcatch demo` needs none\n"
        );
        assert_eq!(failure.exit as u8, 78);
        assert!(failure.rendered(true).starts_with("\x1b[1;31merror\x1b[0m: cannot"));
    }
}
