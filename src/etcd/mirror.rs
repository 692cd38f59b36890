//! What etcd held last, as files: one for each key.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use logcatch_settings::etcd_fault;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::api::Pair;
use super::mirror_directory;
use crate::cli::environment;

/// What stands in a file's name as it is; a leading dot would hide it.
const IN_NAMES: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// File systems take names of 255 bytes; the rest is for the ending.
const LONGEST_NAME: usize = 240;

/// The directory, and what was said of values that are not in it.
pub struct Mirror {
    settings: PathBuf,
    directory: PathBuf,
    faults: HashMap<String, String>,
    /// Since it was last told, also where something failed in between.
    has_changed: bool,
}

impl Mirror {
    pub fn new(settings: &Path, state: &Path) -> Self {
        Self {
            settings: settings.to_owned(),
            directory: mirror_directory(state),
            faults: HashMap::new(),
            has_changed: false,
        }
    }

    /// Makes the files those of these values; of one that is not valid the last good stays. True if a file changed.
    pub fn sync(&mut self, values: Vec<Pair>) -> bool {
        if let Err(error) = self.try_sync(values) {
            log::error!(directory:% = self.directory.display(), cause:% = error,
                help = "free space, or make the state directory writable; it is tried again each minute";
                "cannot keep all that etcd holds");
        }
        std::mem::take(&mut self.has_changed)
    }

    /// The keys whose values are not valid, in order.
    pub fn faulty(&self) -> Vec<&str> {
        let mut keys: Vec<&str> = self.faults.keys().map(String::as_str).collect();
        keys.sort_unstable();
        keys
    }

    fn try_sync(&mut self, values: Vec<Pair>) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        let mut present = self.present()?;
        self.faults.retain(|key, _| values.iter().any(|(held, _)| held == key));
        for (key, value) in values {
            let name = utf8_percent_encode(&key, IN_NAMES).to_string();
            let before = present.remove(&name);
            let (kind, bytes) = as_file(value);
            let file = self.directory.join(format!("{name}.{kind}"));
            let is_same = before.as_ref() == Some(&file) && fs::read(&file).is_ok_and(|held| held == bytes);
            if is_same {
                self.faults.remove(&key);
                continue;
            }
            if let Some(fault) = self.fault(&name, &file, &bytes) {
                if self.faults.get(&key) != Some(&fault) {
                    log::error!(key, cause = fault.as_str(), help = "correct the value in etcd";
                        "etcd holds a value that is not valid: the last good one stays in force");
                    self.faults.insert(key, fault);
                }
                continue;
            }
            self.faults.remove(&key);
            write(&file, &bytes)?;
            log::info!(key; "etcd holds another value");
            self.has_changed = true;
            if let Some(before) = before.filter(|before| *before != file) {
                fs::remove_file(before)?;
            }
        }
        for (name, gone) in present {
            fs::remove_file(gone)?;
            log::info!(key = name; "etcd holds a value no more");
            self.has_changed = true;
        }
        if self.has_changed {
            File::open(&self.directory)?.sync_all()?;
        }
        Ok(())
    }

    fn fault(&self, name: &str, file: &Path, bytes: &[u8]) -> Option<String> {
        if name.is_empty() || name.len() > LONGEST_NAME {
            return Some(format!(
                "its key has {} bytes in a file's name, and 1 to {LONGEST_NAME} are allowed",
                name.len()
            ));
        }
        etcd_fault(&self.settings, &environment, file, bytes)
    }

    /// The files that are there, by their names without an ending. What a crash left half written goes.
    fn present(&self) -> io::Result<BTreeMap<String, PathBuf>> {
        let mut present = BTreeMap::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let ending = path.extension().and_then(|ending| ending.to_str());
            match (path.file_stem().and_then(|stem| stem.to_str()), ending) {
                (Some(stem), Some("toml" | "json")) => {
                    if let Some(double) = present.insert(stem.to_owned(), path.clone()) {
                        fs::remove_file(double)?;
                    }
                }
                _ => fs::remove_file(&path)?,
            }
        }
        Ok(present)
    }
}

/// The value as a file that may be included, and the ending that says how it is written. JSON may be the list alone.
fn as_file(value: Vec<u8>) -> (&'static str, Vec<u8>) {
    let mut begin = value.iter().filter(|byte| !byte.is_ascii_whitespace());
    match (begin.next(), begin.next()) {
        (Some(b'{'), _) => ("json", value),
        // `[[` begins a table of TOML.
        (Some(b'['), Some(b'{' | b']')) => ("json", [b"{\"logs\":", value.as_slice(), b"}"].concat()),
        _ => ("toml", value),
    }
}

/// In one step: whoever reads meanwhile finds the old one or the new one.
fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = file.with_extension("new");
    let mut half = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)?;
    half.write_all(bytes)?;
    half.sync_all()?;
    fs::rename(fresh, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(name: &str, text: &str) -> (String, Vec<u8>) {
        (name.to_owned(), text.as_bytes().to_vec())
    }

    fn held(mirror: &Mirror) -> Vec<(String, String)> {
        let present = mirror.present().unwrap().into_values();
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        present
            .map(|path| (name(&path), fs::read_to_string(path).unwrap()))
            .collect()
    }

    #[test]
    fn a_value_that_is_not_valid_leaves_the_last_good_one() {
        let dir = tempfile::tempdir().unwrap();
        let settings = dir.path().join("f.toml");
        fs::write(&settings, "[kafka]\nbrokers = \"a:1\"\ntopic = \"t\"\n").unwrap();
        let mut mirror = Mirror::new(&settings, dir.path());
        let good = "[[logs]]\npath = \"/l/*.log\"\n";
        let list = "[{\"path\": \"/j\"}]";
        assert!(mirror.sync(vec![value("a/b", good), value("c", list)]));
        let both = [
            ("a%2Fb.toml".to_owned(), good.to_owned()),
            ("c.json".to_owned(), format!("{{\"logs\":{list}}}")),
        ];
        assert_eq!(held(&mirror), both);
        for bad in [
            "[[logs]]\npth = 1\n",
            "{",
            "[[logs]]\npath = \"/l\"\nmax_line = \"1GiB\"\n",
        ] {
            assert!(!mirror.sync(vec![value("a/b", bad), value("c", list)]), "{bad}");
            assert_eq!(held(&mirror), both);
            assert_eq!(mirror.faulty(), ["a/b"]);
        }
        assert!(mirror.sync(vec![value("c", "[[logs]]\npath = \"/k\"\n")]));
        assert_eq!(
            held(&mirror),
            [("c.toml".to_owned(), "[[logs]]\npath = \"/k\"\n".to_owned())]
        );
        assert!(!mirror.sync(vec![
            value("", good),
            value(&"x".repeat(300), good),
            value("c", "[[logs]]\npath = \"/k\"\n")
        ]));
        assert_eq!(mirror.faulty().len(), 2);
        assert!(mirror.sync(vec![]));
        assert!(mirror.faulty().is_empty());
        assert!(held(&mirror).is_empty());
    }
}
