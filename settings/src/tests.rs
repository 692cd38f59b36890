//! Settings files in a directory of their own, good and bad.

mod loading;
mod refusals;
mod shape;
mod values;

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::{Loaded, Problem, Refused, Settings, load};

/// A directory with settings files.
struct Dir(TempDir);

impl Dir {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap()
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn load(&self, name: &str) -> Result<Loaded, Refused> {
        load(&self.path().join(name), &env)
    }

    /// A message without the name of the directory.
    fn short(&self, message: &str) -> String {
        message.replace(&format!("{}/", self.path().display()), "")
    }
}

/// The environment of all tests.
fn env(name: &str) -> Option<String> {
    match name {
        "NODE" => Some("node-7".into()),
        "SECRET" => Some("hunter2".into()),
        "BAD_SIZE" => Some("hunter2MiB".into()),
        _ => None,
    }
}

/// Loads a TOML text that must be good.
fn good(text: &str) -> Loaded {
    let dir = Dir::new();
    dir.write("logcatch.toml", text);
    dir.load("logcatch.toml")
        .unwrap_or_else(|refused| panic!("{refused}\n{text}"))
}

fn settings(text: &str) -> Settings {
    good(text).settings
}

/// Every problem of a file that must be refused, as `file:line: ...` and, if there is one, ` | help`.
fn problems_of(name: &str, text: &str) -> Vec<String> {
    let dir = Dir::new();
    dir.write(name, text);
    problems_in(&dir, name)
}

fn problems_in(dir: &Dir, name: &str) -> Vec<String> {
    let refused = match dir.load(name) {
        Ok(loaded) => panic!("not refused: {:?}", loaded.settings),
        Err(refused) => refused,
    };
    let line = |problem: &Problem| {
        let help = problem
            .help
            .as_ref()
            .map_or_else(String::new, |help| format!(" | {help}"));
        dir.short(&format!("{problem}{help}"))
    };
    refused.problems().iter().map(line).collect()
}

/// The directory part that relative paths get.
fn under(dir: &Path, path: &str) -> String {
    format!("{}/{path}", dir.display())
}

/// A good beginning of three lines; what is added starts at line 4.
const KAFKA: &str = "[kafka]\nbrokers = \"a:9092\"\ntopic = \"t\"\n";
/// A good entry of two lines.
const LOGS: &str = "[[logs]]\npath = \"/l/*.log\"\n";

/// The only problem of a text that is added to `[kafka]` and followed by a good entry.
fn in_kafka(added: &str) -> String {
    only(&format!("{KAFKA}{added}\n{LOGS}"))
}

/// The only problem of a text that is added to a good entry; it starts at line 6.
fn in_logs(added: &str) -> String {
    only(&format!("{KAFKA}{LOGS}{added}\n"))
}

/// The only problem of a file.
fn only(text: &str) -> String {
    let problems = problems_of("f.toml", text);
    assert_eq!(problems.len(), 1, "{problems:#?}\n{text}");
    problems[0].clone()
}
