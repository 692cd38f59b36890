//! Log entries that are kept in etcd.
//!
//! Whoever follows etcd mirrors it into a directory of the state directory, a file a key; from there they are read with
//! the settings, whether etcd can be reached or not. The settings file wins: what contradicts it, or is not valid beside
//! it, is left out and told as a notice, and never keeps the rest from being applied.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::build::{self, Entry, Given, state_directory};
use crate::cause;
use crate::document;
use crate::expand::Environment;
use crate::given::{Origin, Table};
use crate::problem::{Problem, Spot};
use crate::reader::{Reader, Report};
use crate::schema;
use crate::settings::EtcdSettings;
use crate::texts::{Text, Texts};

/// The directory in the state directory.
const MIRROR: &str = "etcd";

/// Where the mirror of etcd is.
#[must_use]
pub fn etcd_mirror(state: &Path) -> PathBuf {
    state.join(MIRROR)
}

/// What is wrong with a value of etcd that stands or would stand in the mirror as `file`, beside the settings file at
/// `path`; none also while the settings file cannot be used itself.
#[must_use]
pub fn etcd_fault(path: &Path, env: &Environment<'_>, file: &Path, bytes: &[u8]) -> Option<String> {
    let texts = Texts::open(path).ok()?;
    let node = document::read(path, &texts.text.bytes).ok()?;
    let mut report = Report::default();
    let root = Reader {
        env,
        directory: &texts.text.directory,
        report: &mut report,
    }
    .table(Spot::file(path), Some(&node), schema::ROOT);
    let problems = Candidates {
        root: &root,
        directory: &texts.text.directory,
        env,
    }
    .read(file, bytes)
    .err()?;
    Some(told(&problems))
}

/// The mirrored entries that go with the others; those that do not are told.
pub(crate) fn entries(
    root: &Table,
    others: &[Entry],
    texts: &mut Texts,
    are_kept: bool,
    env: &Environment<'_>,
    notices: &mut Vec<String>,
) -> Vec<Entry> {
    if !is_on(root) {
        return Vec::new();
    }
    let directory = texts.text.directory.clone();
    let mirror = mirror_of(root, &directory, env);
    let files: BTreeSet<PathBuf> = if are_kept {
        texts
            .included
            .keys()
            .filter(|path| path.starts_with(&mirror))
            .cloned()
            .collect()
    } else {
        // A directory that is not there yet is an empty one.
        let entries = fs::read_dir(&mirror).into_iter().flatten().flatten();
        let is_whole = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "toml" || kind == "json");
        entries.map(|entry| entry.path()).filter(is_whole).collect()
    };
    if files.is_empty() {
        return Vec::new();
    }
    let candidates = Candidates {
        root,
        directory: &directory,
        env,
    };
    let mut names: BTreeSet<String> = candidates.build(others).0.into_iter().collect();
    let mut taken = Vec::new();
    for file in files {
        let text = texts.included.get(&file).cloned().map_or_else(|| Text::read(&file), Ok);
        let shown = file.display();
        let read = match &text {
            Ok(text) => candidates.read(&file, &text.bytes).map_err(|problems| told(&problems)),
            Err(error) => Err(cause::chain(error)),
        };
        match read {
            Err(fault) => notices.push(format!("what etcd holds for `{shown}` is left out: {fault}")),
            Ok(entries) => {
                for (name, entry) in entries {
                    if names.insert(name.clone()) {
                        taken.push(entry);
                    } else {
                        notices.push(format!(
                            "the entry `{name}` of `{shown}` in etcd is left out: there is one of that name already"
                        ));
                    }
                }
            }
        }
        if let Ok(text) = text {
            texts.included.insert(file, text);
        }
    }
    taken
}

/// Whether entries may come from etcd.
pub(crate) fn is_on(root: &Table) -> bool {
    root.table("etcd")
        .is_some_and(|etcd| !etcd.texts("endpoints").is_empty())
}

/// A section that nobody gave says nothing, not even its defaults.
pub(crate) fn leave_out_unused(root: &mut Table) {
    if root
        .items
        .get("etcd")
        .is_some_and(|item| matches!(item.origin, Origin::Default(_)))
    {
        root.items.remove("etcd");
    }
}

/// Where the mirror is.
pub(crate) fn mirror_of(root: &Table, directory: &Path, env: &Environment<'_>) -> PathBuf {
    let given = root.table("state").and_then(|state| state.text("directory"));
    etcd_mirror(&state_directory(given.map(|text| text.value.as_str()), directory, env).0)
}

/// The section `[etcd]`; none if it names no endpoint.
pub(crate) fn settings(root: &Table, directory: &Path, report: &mut Report) -> Option<EtcdSettings> {
    let table = root.table("etcd").filter(|_| is_on(root))?;
    if !cfg!(feature = "etcd") {
        let problem = root.spot_of("etcd").problem("is not built in");
        report
            .problems
            .push(problem.help("build logcatch with `--features etcd`, or remove the section"));
        return None;
    }
    for text in table.texts("endpoints") {
        let host = ["http://", "https://"]
            .iter()
            .find_map(|scheme| text.value.strip_prefix(scheme));
        if host.is_none_or(|host| host.is_empty() || host.contains(['/', '@'])) {
            let problem = text.spot.problem(format!(
                "must be http://host:port or https://host:port, not {}",
                text.shown()
            ));
            report.problems.push(problem);
        }
    }
    let text = |name: &str| table.text(name).map(|text| text.value.clone());
    Some(EtcdSettings {
        endpoints: table.texts("endpoints").iter().map(|text| text.value.clone()).collect(),
        prefix: table.word("prefix").to_owned(),
        user: text("user"),
        password: text("password"),
        ca: text("ca").map(|path| directory.join(path)),
    })
}

fn told(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Reads what may become entries.
struct Candidates<'a> {
    root: &'a Table,
    directory: &'a Path,
    env: &'a Environment<'a>,
}

impl Candidates<'_> {
    /// The entries of one mirrored file with their names, or all that is wrong with them.
    fn read(&self, file: &Path, bytes: &[u8]) -> Result<Vec<(String, Entry)>, Vec<Problem>> {
        let node = document::read(file, bytes)?;
        let mut report = Report::default();
        let table = Reader {
            env: self.env,
            directory: self.directory,
            report: &mut report,
        }
        .table(Spot::file(file), Some(&node), schema::INCLUDED);
        let entries = table.tables("logs").iter().map(|table| Entry {
            table: table.clone(),
            directory: self.directory.to_owned(),
        });
        let entries: Vec<Entry> = entries.collect();
        let (names, problems) = self.build(&entries);
        report
            .problems
            .extend(problems.into_iter().filter(|problem| problem.file == file));
        if report.problems.is_empty() && names.len() == entries.len() {
            Ok(names.into_iter().zip(entries).collect())
        } else {
            Err(report.problems)
        }
    }

    /// The names of the entries, and what is wrong with them or the rest of the settings.
    fn build(&self, entries: &[Entry]) -> (Vec<String>, Vec<Problem>) {
        let mut given = Given {
            root: self.root.clone(),
            logs: entries.to_vec(),
            directory: self.directory.to_owned(),
        };
        let mut report = Report::default();
        let settings = build::settings(&mut given, self.env, &mut report);
        (settings.logs.into_iter().map(|log| log.name).collect(), report.problems)
    }
}

#[cfg(test)]
mod tests {
    use crate::load;

    const HEAD: &str = "[kafka]\nbrokers = \"a:1\"\ntopic = \"t\"\n[state]\ndirectory = \"state\"\n[etcd]\nendpoints = \"http://e:1\"\n";

    #[test]
    #[cfg(not(feature = "etcd"))]
    fn a_build_without_it_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f.toml");
        std::fs::write(&path, HEAD).unwrap();
        let refused = load(&path, &|_| None).unwrap_err();
        let [problem] = refused.problems() else {
            panic!("{refused}")
        };
        assert!(problem.to_string().ends_with(":6: `etcd` is not built in"), "{problem}");
    }

    #[test]
    #[cfg(feature = "etcd")]
    fn the_file_wins_and_what_does_not_go_with_it_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let (path, mirror) = (dir.path().join("f.toml"), dir.path().join("state/etcd"));
        std::fs::create_dir_all(&mirror).unwrap();
        let named = |name: &str, more: &str| format!("[[logs]]\nname = \"{name}\"\npath = \"/l/{name}\"\n{more}");
        std::fs::write(&path, format!("{HEAD}{}", named("a", "")).as_str()).unwrap();
        let put = |name: &str, text: &str| std::fs::write(mirror.join(name), text).unwrap();
        put("1.toml", &named("a", "topic = \"other\"\n"));
        put("2.toml", &(named("b", "") + &named("c", "")));
        put("3.toml", &named("c", ""));
        put("4.toml", &named("d", "max_line = \"1GiB\"\n"));
        put("5.json", "{\"logs\": [{\"path\": \"relative.log\"}]}");
        put("6.new", "half written");
        let loaded = load(&path, &|_| None).unwrap();
        let names: Vec<&str> = loaded.settings.logs.iter().map(|log| log.name.as_str()).collect();
        let relative = dir.path().canonicalize().unwrap().join("relative.log");
        assert_eq!(names, ["a", "b", "c", relative.to_str().unwrap()]);
        assert_eq!(loaded.settings.logs[0].topic.as_str(), "t");
        assert_eq!(loaded.notices.len(), 3, "{:?}", loaded.notices);
        assert!(loaded.notices[2].contains("max_line"), "{:?}", loaded.notices);
        assert!(!loaded.sources.files.iter().any(|file| file.starts_with(&mirror)));

        // Kept with the settings in force, for a start that finds the file broken.
        crate::keep(&dir.path().join("state"), &loaded.texts).unwrap();
        std::fs::remove_dir_all(&mirror).unwrap();
        assert_eq!(load(&path, &|_| None).unwrap().settings.logs.len(), 1);
        let kept = crate::last_good(&dir.path().join("state"), &path, &|_| None)
            .unwrap()
            .unwrap();
        assert_eq!(kept.settings, loaded.settings);
    }
}
