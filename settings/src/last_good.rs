//! The settings that were in force last, kept in the state directory: what a start falls back to that finds its settings
//! file broken, instead of shipping nothing.
//!
//! `last-good/` holds the files as they were read, before substitution, so that no secret from elsewhere is in them, and
//! `index.json` that names them. The index is replaced last and in one step: a crash leaves the old ones or the new ones.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::expand::Environment;
use crate::load::{Loaded, load_texts};
use crate::problem::Refused;
use crate::texts::{Text, Texts};

const DIRECTORY: &str = "last-good";
const INDEX: &str = "index.json";
/// Settings may hold passwords: for the service's user alone.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// Which file of the directory holds what.
#[derive(Debug, Serialize, Deserialize)]
struct Index {
    settings: PathBuf,
    text: Kept,
    included: BTreeMap<PathBuf, Kept>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// Where the file stood.
    directory: PathBuf,
    /// The name that its text has here.
    name: String,
}

/// Keeps these texts in the state directory instead of those before; on disk when it returns.
///
/// # Errors
/// What the system says; those before are then kept.
pub fn keep(state: &Path, texts: &Texts) -> io::Result<()> {
    let directory = state.join(DIRECTORY);
    if kept(&directory).is_ok_and(|before| before == *texts) {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(&directory)?;
    let stamp = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    let put = |number: usize, text: &Text| {
        let name = format!("{stamp:x}-{number}");
        write(&directory.join(&name), &text.bytes).map(|()| Kept {
            directory: text.directory.clone(),
            name,
        })
    };
    let included = texts.included.iter().enumerate();
    let included = included.map(|(number, (path, text))| Ok((path.clone(), put(number + 1, text)?)));
    let index = Index {
        settings: texts.settings.clone(),
        text: put(0, &texts.text)?,
        included: included.collect::<io::Result<_>>()?,
    };
    let fresh = directory.join(format!("{stamp:x}-index"));
    write(&fresh, &serde_json::to_vec_pretty(&index)?)?;
    fs::rename(&fresh, directory.join(INDEX))?;
    File::open(&directory)?.sync_all()?;
    File::open(state)?.sync_all()?;
    let of_index = |name: &str| name == INDEX || texts_of(&index).any(|one| one == name);
    for entry in fs::read_dir(&directory)?.flatten() {
        if !of_index(&entry.file_name().to_string_lossy()) {
            // One that stays is overlooked.
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// The settings that were in force last of the file `path`, if the state directory has them.
///
/// # Errors
/// They are not valid any more, as when a secret file that they name is gone.
pub fn last_good(state: &Path, path: &Path, env: &Environment<'_>) -> Option<Result<Loaded, Refused>> {
    let texts = kept(&state.join(DIRECTORY)).ok()?;
    (texts.settings == path).then(|| load_texts(texts, env, true))
}

fn texts_of(index: &Index) -> impl Iterator<Item = &str> {
    std::iter::once(&index.text)
        .chain(index.included.values())
        .map(|kept| kept.name.as_str())
}

fn kept(directory: &Path) -> io::Result<Texts> {
    let index: Index = serde_json::from_slice(&fs::read(directory.join(INDEX))?)?;
    let read = |kept: &Kept| {
        fs::read(directory.join(&kept.name)).map(|bytes| Text {
            directory: kept.directory.clone(),
            bytes,
        })
    };
    let included = index.included.iter();
    Ok(Texts {
        text: read(&index.text)?,
        included: included
            .map(|(path, kept)| Ok((path.clone(), read(kept)?)))
            .collect::<io::Result<_>>()?,
        settings: index.settings,
    })
}

fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::load;

    const HEAD: &str = "include = [\"conf.d/*.toml\"]\n[kafka]\nbrokers = [\"${BROKER}\"]\ntopic = \"t\"\n";

    fn env(name: &str) -> Option<String> {
        (name == "BROKER").then(|| "secret-host:9092".to_owned())
    }

    #[test]
    fn what_was_kept_is_what_was_loaded_though_its_files_are_gone() {
        let host = tempfile::tempdir().unwrap();
        let (state, path) = (host.path().join("state"), host.path().join("etc/logcatch.toml"));
        fs::create_dir_all(host.path().join("etc/conf.d")).unwrap();
        fs::create_dir(&state).unwrap();
        fs::write(&path, HEAD).unwrap();
        for name in ["a", "b"] {
            let entry = format!("[[logs]]\nname = \"{name}\"\npath = \"{name}/*.log\"\n");
            fs::write(host.path().join(format!("etc/conf.d/{name}.toml")), entry).unwrap();
        }
        assert!(last_good(&state, &path, &env).is_none());
        let loaded = load(&path, &env).unwrap();
        for _ in 0..2 {
            keep(&state, &loaded.texts).unwrap();
        }
        fs::remove_dir_all(host.path().join("etc")).unwrap();
        let kept = last_good(&state, &path, &env).unwrap().unwrap();
        assert_eq!(kept.settings, loaded.settings);
        assert_eq!(kept.sources, loaded.sources);
        assert!(
            last_good(&state, Path::new("/other.toml"), &env).is_none(),
            "of another file"
        );
        assert!(
            last_good(&state, &path, &|_| None).unwrap().is_err(),
            "a variable is gone"
        );

        let one = Texts {
            included: BTreeMap::new(),
            ..loaded.texts
        };
        keep(&state, &one).unwrap();
        let files: Vec<_> = fs::read_dir(state.join(DIRECTORY)).unwrap().flatten().collect();
        assert_eq!(files.len(), 2, "the index and the settings file: {files:?}");
        for file in files {
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, FILE_MODE);
            assert!(!fs::read_to_string(file.path()).unwrap().contains("secret-host"));
        }
    }
}
