//! `logcatch demo`: the real service on logs that rotate and on a broker that comes and goes, and a verdict.
//!
//! This process holds the broker, the writers and the checker; the service is a child process, `logcatch run`, so that
//! its faults are real. Everything lives in a temporary directory that is removed at the end, unless something went
//! wrong and there is something to look into.

mod broker;
mod checker;
mod input;
mod keeper;
mod line;
mod screen;
mod script;
mod service;
mod settings;
mod show;
mod stage;
mod status;
mod tally;
mod verdict;
mod writer;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;

use crate::error::Failure;

use self::settings::Guest;
use self::show::Show;

/// The options of `logcatch demo`.
#[derive(clap::Args, Debug)]
pub struct DemoArgs {
    /// A log of your own that is shipped as well; what is appended to it arrives at once
    #[arg(long, value_name = "PATH")]
    log: Option<PathBuf>,

    /// Ends after so many seconds [default: 60, longer while you press keys]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,

    /// Starts and ends a service as standard input says (which is how the demo does it)
    #[arg(long, value_name = "SETTINGS", hide = true)]
    keep: Option<PathBuf>,
}

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error("cannot start the broker of the demo")]
    Broker(#[source] KafkaError),
    #[error("cannot read from the broker of the demo")]
    Checker(#[source] KafkaError),
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    #[error("cannot start or signal the service")]
    Service(#[source] io::Error),
    #[error("cannot go on: the process that keeps the service has ended")]
    KeeperGone,
    #[error("cannot create a temporary directory")]
    Directory(#[source] io::Error),
    #[error("cannot write the logs of the demo")]
    Writers(#[source] io::Error),
    #[error("cannot change settings `{}`", path.display())]
    Settings { path: PathBuf, source: io::Error },
    #[error("cannot read `{}`", path.display())]
    Guest { path: PathBuf, source: io::Error },
    #[error("cannot write to the terminal")]
    Screen(#[from] io::Error),
}

/// Runs the demo. The exit code is that of its verdict: 0 if everything arrived in order, 1 if not.
pub fn run(args: DemoArgs) -> ExitCode {
    match play(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => error.into_failure().report(),
    }
}

impl DemoError {
    fn into_failure(self) -> Failure {
        let help = match &self {
            Self::Guest { .. } => Some("name a log file that you may read, or leave out --log"),
            Self::Directory(_) => Some("make the directory for temporary files writable, or name another as TMPDIR"),
            _ => None,
        };
        let failure = Failure::new(self);
        match help {
            Some(help) => failure.help(help),
            None => failure,
        }
    }
}

fn play(args: DemoArgs) -> Result<bool, DemoError> {
    if let Some(config) = args.keep {
        return keeper::keep(&config).map(|()| true).map_err(DemoError::Service);
    }
    let guest = args
        .log
        .map(|path| Guest::open(&path).map_err(|source| DemoError::Guest { path, source }));
    let length = args.seconds.map(Duration::from_secs);
    Show::open(guest.transpose()?, length, Instant::now())?.play()
}
