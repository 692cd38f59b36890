//! From files to settings.

use std::path::{Path, PathBuf};

use crate::build::{self, Entry, Given};
use crate::cause;
use crate::document::{self, Node};
use crate::effective::{self, Section};
use crate::etcd;
use crate::expand::Environment;
use crate::given::{Origin, Table};
use crate::include;
use crate::problem::{Problem, Refused, Spot};
use crate::reader::{Reader, Report};
use crate::schema;
use crate::seed;
use crate::settings::{KafkaSettings, Settings};
use crate::sources::Sources;
use crate::texts::{Text, Texts};

/// The table of the properties of librdkafka.
const PROPERTIES: &str = "kafka.properties";

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
    /// The files as they were read.
    pub texts: Texts,
}

/// A property of librdkafka that cannot be used, by whom librdkafka is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertyFault {
    /// Its name.
    pub property: String,
    /// What is wrong, in words that follow the name.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// Says what is wrong with the properties of librdkafka, each by itself.
pub type PropertyCheck<'a> = dyn Fn(&KafkaSettings) -> Vec<PropertyFault> + 'a;

/// Reads the settings file and everything it names. `env` looks up environment variables. The properties of librdkafka are what
/// their names and the promises say: see [`load_with`].
///
/// All problems are reported at once. Values that come from the environment or from files are in none of the messages.
pub fn load(path: &Path, env: &Environment<'_>) -> Result<Loaded, Refused> {
    load_with(path, env, &|_| Vec::new())
}

/// As [`load`], and what `check` says of the properties of librdkafka is reported with all the rest.
pub fn load_with(path: &Path, env: &Environment<'_>, check: &PropertyCheck<'_>) -> Result<Loaded, Refused> {
    let texts = Texts::open(path).map_err(|source| Refused::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    load_checked(texts, env, false, check)
}

/// What settings made of these files say, each value with its origin, secrets hidden; none when that cannot be told any more.
pub fn effective(texts: &Texts, env: &Environment<'_>) -> Option<Vec<Section>> {
    load_texts(texts.clone(), env, true).ok().map(|loaded| loaded.effective)
}

/// Makes settings of a file that was read; of those it includes as well when they `are_kept`, and not of what is there now.
pub(crate) fn load_texts(texts: Texts, env: &Environment<'_>, are_kept: bool) -> Result<Loaded, Refused> {
    load_checked(texts, env, are_kept, &|_| Vec::new())
}

fn load_checked(
    mut texts: Texts,
    env: &Environment<'_>,
    are_kept: bool,
    check: &PropertyCheck<'_>,
) -> Result<Loaded, Refused> {
    let (path, directory) = (texts.settings.clone(), texts.text.directory.clone());
    let mut report = Report::default();
    let mut sources = Sources::default();
    sources.files.extend(path.file_name().map(|name| directory.join(name)));
    // Under the name that was given, too: a directory on the way to it may be a link that is led elsewhere.
    sources.files.extend(std::path::absolute(&path));
    let (mut node, mut notices) = (None, Vec::new());
    match document::read(&path, &texts.text.bytes) {
        Ok(given) => node = Some(seed::translate(given, &path, &mut notices, &mut report)),
        Err(problems) => report.problems = problems,
    }
    let mut read = None;
    if let Some(node) = node.filter(|_| report.problems.is_empty()) {
        let all = read_all(
            &node,
            &mut texts,
            are_kept,
            env,
            &mut report,
            &mut sources,
            &mut notices,
        );
        read = Some(all);
    }
    if let Some((settings, effective)) = &read {
        let faults = check(&settings.kafka).into_iter();
        let problems = faults.map(|fault| property_problem(fault, &path, effective));
        report.problems.extend(problems);
    }
    sources.files.append(&mut report.secrets);
    notices.append(&mut report.notices);
    match read {
        Some((settings, effective)) if report.problems.is_empty() => Ok(Loaded {
            settings,
            notices,
            sources,
            effective,
            texts,
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

fn property_problem(fault: PropertyFault, path: &Path, effective: &[Section]) -> Problem {
    let properties = effective.iter().filter(|section| section.name == PROPERTIES);
    let row = properties
        .flat_map(|section| &section.rows)
        .find(|row| row.key == fault.property);
    let (file, line) = match row.map(|row| &row.origin) {
        Some(Origin::File { file, line, .. }) => (file.clone(), *line),
        _ => (path.to_owned(), None),
    };
    Problem {
        file,
        line,
        key: format!("{PROPERTIES}.{}", fault.property),
        message: fault.message,
        help: Some(fault.help),
    }
}

fn read_all(
    node: &Node,
    texts: &mut Texts,
    are_kept: bool,
    env: &Environment<'_>,
    report: &mut Report,
    sources: &mut Sources,
    notices: &mut Vec<String>,
) -> (Settings, Vec<Section>) {
    let (path, directory) = (texts.settings.clone(), texts.text.directory.clone());
    let (path, directory) = (path.as_path(), directory.as_path());
    let root = Reader {
        env,
        directory,
        report: &mut *report,
    }
    .table(Spot::file(path), Some(node), schema::ROOT);
    let mut logs = entries(&root, directory);
    let mirror = etcd::mirror_of(&root, directory, env);
    let of_files = |path: &&PathBuf| !path.starts_with(&mirror);
    let kept = are_kept.then(|| texts.included.keys().filter(of_files).cloned().collect());
    for included in include::files(&root, directory, kept, report, sources) {
        let text = match texts.included.get(&included) {
            Some(text) => Ok(text.clone()),
            None => Text::read(&included),
        };
        let parsed = text
            .map_err(|error| {
                let problem = Spot::file(&included).problem(format!("cannot be read: {}", cause::chain(&error)));
                vec![problem.help(cause::named_file_help(error.kind()))]
            })
            .and_then(|text| {
                let node = document::read(&included, &text.bytes)?;
                let directory = text.directory.clone();
                texts.included.insert(included.clone(), text);
                Ok((node, directory))
            });
        match parsed {
            Ok((node, directory)) => {
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
    let more = etcd::entries(&root, &logs, texts, are_kept, env, notices);
    logs.extend(more);
    let may_come = root.given("include").is_some() || etcd::is_on(&root);
    if logs.is_empty() && !may_come && !report.concerns("logs") && !report.concerns("include") {
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
    etcd::leave_out_unused(&mut given.root);
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
