//! The files that `include` names.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use logcatch_tail::PathGlob;

use crate::cause;
use crate::given::Table;
use crate::reader::Report;
use crate::sources::Sources;

/// The included files by name; they and the patterns are added to `sources`. Those that were `kept` stand for what is there
/// now.
pub(crate) fn files(
    root: &Table,
    directory: &Path,
    kept: Option<BTreeSet<PathBuf>>,
    report: &mut Report,
    sources: &mut Sources,
) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for text in root.texts("include") {
        let pattern = match PathGlob::parse(&text.value, directory) {
            Ok(pattern) => pattern,
            Err(error) => {
                let message = if text.is_hidden() {
                    "is no pattern of paths".to_owned()
                } else {
                    error.to_string()
                };
                report.problems.push(text.spot.problem(message));
                continue;
            }
        };
        match pattern.literal() {
            _ if kept.is_some() => {}
            Some(path) => {
                found.insert(path.to_owned());
            }
            None => {
                if let Err((path, error)) = search(&pattern, pattern.base(), &mut found) {
                    let message = format!(
                        "needs the directory `{}`, which cannot be read: {}",
                        path.display(),
                        cause::chain(&error)
                    );
                    let help = "let the user of the service read and enter it, or correct the pattern";
                    report.problems.push(text.spot.problem(message).help(help));
                }
            }
        }
        sources.patterns.push(pattern);
    }
    found.extend(kept.into_iter().flatten());
    // A pattern such as `*.toml` can match the settings file itself.
    found.retain(|path| !sources.files.contains(path));
    sources.files.extend(found.iter().cloned());
    found
}

fn search(pattern: &PathGlob, directory: &Path, found: &mut BTreeSet<PathBuf>) -> Result<(), (PathBuf, io::Error)> {
    let at = |error| (directory.to_owned(), error);
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        // It may come later, as its files may.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(at(error)),
    };
    for entry in entries {
        let path = entry.map_err(at)?.path();
        if path.is_dir() {
            if pattern.may_descend(&path) {
                search(pattern, &path, found)?;
            }
        } else if pattern.is_match(&path) {
            found.insert(path);
        }
    }
    Ok(())
}
