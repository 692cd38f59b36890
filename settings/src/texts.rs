//! The files that settings are made from, as they are: before any substitution.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The settings file and those it includes, as they were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Texts {
    /// The settings file, as it was named.
    pub settings: PathBuf,
    /// What it holds.
    pub text: Text,
    /// The files that it includes, by their absolute paths.
    pub included: BTreeMap<PathBuf, Text>,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The directory it stands in, without links: what relative paths in it begin at.
    pub directory: PathBuf,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Texts {
    /// Reads the settings file; those it includes are known only when it is understood.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            settings: path.to_owned(),
            text: Text::read(path)?,
            included: BTreeMap::new(),
        })
    }
}

impl Text {
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        Ok(Self {
            directory: directory_of(path)?,
            bytes: fs::read(path)?,
        })
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
