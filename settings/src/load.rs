//! From files to settings.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::build::{self, Entry, Given};
use crate::document::{self, Node};
use crate::effective::{self, Section};
use crate::expand::Environment;
use crate::given::Table;
use crate::include;
use crate::problem::{Refused, Spot};
use crate::reader::{Reader, Report};
use crate::schema;
use crate::seed;
use crate::settings::Settings;
use crate::sources::Sources;

/// Settings that can be applied, and what is known about them.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// What the user should know, though nothing is wrong.
    pub notices: Vec<String>,
    /// The files that decide about these settings.
    pub sources: Sources,
    /// Each value with its origin, secrets hidden.
    pub effective: Vec<Section>,
}

/// Reads the settings file and everything it names. `env` looks up environment variables.
///
/// All problems are reported at once. Values that come from the environment or from files are in none of the messages.
pub fn load(path: &Path, env: &Environment<'_>) -> Result<Loaded, Refused> {
    let unreadable = |source| Refused::Unreadable {
        path: path.to_owned(),
        source,
    };
    let directory = directory_of(path).map_err(unreadable)?;
    let bytes = fs::read(path).map_err(unreadable)?;

    let mut report = Report::default();
    let mut sources = Sources::default();
    sources.files.extend(path.file_name().map(|name| directory.join(name)));
    let (mut node, mut notices) = (None, Vec::new());
    match document::read(path, &bytes) {
        Ok(given) => node = Some(seed::translate(given, path, &mut notices, &mut report)),
        Err(problems) => report.problems = problems,
    }
    let mut read = None;
    if let Some(node) = node.filter(|_| report.problems.is_empty()) {
        read = Some(read_all(&node, path, &directory, env, &mut report, &mut sources));
    }
    sources.files.append(&mut report.secrets);
    match read {
        Some((settings, effective)) if report.problems.is_empty() => Ok(Loaded {
            settings,
            notices,
            sources,
            effective,
        }),
        _ => {
            report.problems.sort();
            report.problems.dedup();
            Err(Refused::Invalid {
                path: path.to_owned(),
                problems: report.problems,
                sources,
            })
        }
    }
}

/// The directory that the settings file stands in, without links. The file itself may be a link: what replaces it
/// stands beside it.
pub(crate) fn directory_of(path: &Path) -> io::Result<PathBuf> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.canonicalize(),
        Some(_) => Path::new(".").canonicalize(),
        None => Err(io::ErrorKind::IsADirectory.into()),
    }
}

fn read_all(
    node: &Node,
    path: &Path,
    directory: &Path,
    env: &Environment<'_>,
    report: &mut Report,
    sources: &mut Sources,
) -> (Settings, Vec<Section>) {
    let root = Reader {
        env,
        directory,
        report: &mut *report,
    }
    .table(Spot::file(path), Some(node), schema::ROOT);
    let mut logs = entries(&root, directory);
    for included in include::files(&root, directory, report, sources) {
        let directory = directory_of(&included).unwrap_or_else(|_| directory.to_owned());
        let parsed = fs::read(&included)
            .map_err(|error| vec![Spot::file(&included).problem(format!("cannot be read: {error}"))])
            .and_then(|bytes| document::read(&included, &bytes));
        match parsed {
            Ok(node) => {
                let spot = Spot::file(&included);
                let mut reader = Reader {
                    env,
                    directory: &directory,
                    report: &mut *report,
                };
                logs.extend(entries(&reader.table(spot, Some(&node), schema::INCLUDED), &directory));
            }
            Err(problems) => report.problems.extend(problems),
        }
    }
    if logs.is_empty() && root.given("include").is_none() && !report.concerns("logs") && !report.concerns("include") {
        let problem = Spot::file(path)
            .key("logs", None)
            .problem("is missing: there is nothing to ship");
        report
            .problems
            .push(problem.help("add an entry: a line `[[logs]]`, and under it `path = \"/var/log/...\"`"));
    }
    let mut given = Given {
        root,
        logs,
        directory: directory.to_owned(),
    };
    let settings = build::settings(&mut given, env, report);
    let effective = effective::sections(&given.root, given.logs.iter().map(|entry| &entry.table));
    (settings, effective)
}

fn entries(table: &Table, directory: &Path) -> Vec<Entry> {
    let entry = |table: &Table| Entry {
        table: table.clone(),
        directory: directory.to_owned(),
    };
    table.tables("logs").iter().map(entry).collect()
}
