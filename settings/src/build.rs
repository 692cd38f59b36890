//! From given settings to validated ones: what values mean, and how they relate.

mod credentials;
mod kafka;
mod logs;
mod multiline;
mod shape;
mod web;

use std::path::{Path, PathBuf};

use logcatch_tail::default_open_files;

use crate::etcd;
use crate::expand::Environment;
use crate::given::{Origin, Table, Text};
use crate::reader::Report;
use crate::settings::{Delivery, Level, Limits, LogFormat, LogSettings, Settings, StateSettings};

pub(crate) use kafka::is_secret_property;

/// Where state is kept if nobody says otherwise.
const STATE_DIRECTORY: &str = "/var/lib/logcatch";
/// Set by systemd from `StateDirectory=`.
const STATE_DIRECTORY_VARIABLE: &str = "STATE_DIRECTORY";
/// No file may hold more than this part of `limits.in_flight`, so that one whose topic is slow leaves room for the others; so no
/// line may either.
const PARTS_OF_IN_FLIGHT: u64 = 4;

/// With transactions, what is in flight is settled only with them: one of 84 MiB under way and what is read for the next one, which
/// may be of one file, and as much for the others.
const EXACTLY_ONCE_IN_FLIGHT: u64 = 192 << 20;
const EXACTLY_ONCE_PARTS: u64 = 2;

/// How the default of `limits.open_files` is found.
const OPEN_FILES_DEFAULT: &str = "65536, or four fifths of what this process may open";

/// What was given in all files.
pub(crate) struct Given {
    pub(crate) root: Table,
    /// All entries, in order.
    pub(crate) logs: Vec<Entry>,
    /// The directory of the settings file, absolute.
    pub(crate) directory: PathBuf,
}

/// An entry, and the directory that its paths are relative to.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) table: Table,
    pub(crate) directory: PathBuf,
}

/// Relates what was given and fills in what is found out. What is returned counts only if no problem was reported.
pub(crate) fn settings(given: &mut Given, env: &Environment<'_>, report: &mut Report) -> Settings {
    let Given { root, logs, directory } = given;
    if root.text("host").is_none() {
        let uname = rustix::system::uname();
        let name = uname.nodename().to_string_lossy();
        root.put_text("host", name, Origin::Default(Some("the host name")));
    }
    let host = root.text("host").map_or_else(String::new, |host| {
        refuse_control_characters(host, report);
        host.value.clone()
    });

    let empty = Table {
        keys: &[],
        spot: root.spot.clone(),
        items: Default::default(),
    };
    let table = |name: &str| root.table(name).unwrap_or(&empty).clone();
    let (log, kafka, mut state, mut limits, web) = (
        table("log"),
        table("kafka"),
        table("state"),
        table("limits"),
        table("web"),
    );

    let (path, origin) = state_directory(state.text("directory").map(|text| text.value.as_str()), directory, env);
    if let Some(origin) = origin {
        state.put_text("directory", path.display().to_string(), origin);
    }
    let kafka = kafka::settings(&kafka, directory, report);
    let mut parts = PARTS_OF_IN_FLIGHT;
    if matches!(kafka.delivery, Delivery::ExactlyOnce(_)) {
        parts = EXACTLY_ONCE_PARTS;
        limits.put_default("in_flight", EXACTLY_ONCE_IN_FLIGHT, "with exactly-once");
    }
    let in_flight = limits.number("in_flight").unwrap_or_default();
    let logs = logs::entries(
        logs,
        kafka.topic.as_ref(),
        &host,
        in_flight / PARTS_OF_IN_FLIGHT,
        report,
    );
    let settings = Settings {
        etcd: etcd::settings(root, directory, report),
        host,
        log: log_settings(&log),
        state: StateSettings {
            directory: path,
            checkpoint_interval: state.duration("checkpoint_interval"),
            dead_letters: state.number("dead_letters").unwrap_or_default(),
        },
        limits: Limits {
            in_flight,
            in_flight_of_one: in_flight / parts,
            open_files: limits.number("open_files"),
            shutdown_timeout: limits.duration("shutdown_timeout"),
        },
        web: web::settings(&web, report),
        logs,
        kafka,
    };
    // Where it is not given it follows the process, and is shown only.
    limits.put_number("open_files", default_open_files(), OPEN_FILES_DEFAULT);
    root.put_table("limits", limits);
    root.put_table("state", state);
    settings
}

/// The state directory, and where it comes from unless it was given. A relative one is below `directory`.
pub(crate) fn state_directory(
    given: Option<&str>,
    directory: &Path,
    env: &Environment<'_>,
) -> (PathBuf, Option<Origin>) {
    if let Some(given) = given {
        return (directory.join(given), None);
    }
    // Several directories are joined by colons (systemd.exec(5)).
    let from_systemd = env(STATE_DIRECTORY_VARIABLE).and_then(|list| {
        list.split(':')
            .next()
            .filter(|first| !first.is_empty())
            .map(PathBuf::from)
    });
    match from_systemd {
        Some(path) => (path, Some(Origin::Environment(STATE_DIRECTORY_VARIABLE))),
        None => (STATE_DIRECTORY.into(), Some(Origin::Default(None))),
    }
}

fn log_settings(table: &Table) -> LogSettings {
    let level = match table.word("level") {
        "off" => Level::Off,
        "error" => Level::Error,
        "warn" => Level::Warn,
        "debug" => Level::Debug,
        "trace" => Level::Trace,
        _ => Level::Info,
    };
    let format = if table.word("format") == "json" {
        LogFormat::Json
    } else {
        LogFormat::Text
    };
    LogSettings { level, format }
}

/// Names go into log lines, metrics and terminals.
fn refuse_control_characters(text: &Text, report: &mut Report) {
    if text.value.chars().any(char::is_control) {
        report
            .problems
            .push(text.spot.problem("must not hold control characters, such as a newline"));
    }
}
