//! The position store: a small transactional database (redb) in the state directory, one service at a time.

mod lock;
#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use redb::backends::FileBackend;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use thiserror::Error;

use self::lock::created;
pub use self::lock::{StateLock, give_to};
use crate::position::{StreamKey, StreamRecord};

/// `entry name NUL file id` to a [`StreamRecord`] as JSON.
const STREAMS: TableDefinition<&str, &[u8]> = TableDefinition::new("streams");
/// Names of the settings entries that were ever applied: `start` counts only the first time.
const ENTRIES: TableDefinition<&str, ()> = TableDefinition::new("entries");

/// `mode` to a [`Mode`] as JSON.
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
const MODE: &str = "mode";

const FILE: &str = "positions.redb";
/// Records are small and all of them are held in memory anyway; redb's default would be a gibibyte. What is not there is in
/// the page cache.
const CACHE_BYTES: usize = 1 << 18;

/// Why the state directory cannot be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// It cannot be created, read or written.
    #[error("cannot use the state directory `{path}`")]
    Directory {
        /// What was tried, the directory or a file in it.
        path: PathBuf,
        /// What the system answered.
        #[source]
        source: std::io::Error,
    },
    /// Another logcatch runs on it.
    #[error("cannot lock the state directory `{path}`: another logcatch holds it{}", holder(*.pid))]
    Held {
        /// The directory.
        path: PathBuf,
        /// Process id of the other, where it could be read.
        pid: Option<u32>,
    },
    /// Positions could not be written or read.
    #[error("cannot save positions in `{path}`")]
    Database {
        /// The store's file.
        path: PathBuf,
        /// What the database answered.
        #[source]
        source: Box<redb::Error>,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (pid {pid})"))
}

/// What the store held when it was opened.
#[derive(Debug, Default)]
pub struct Contents {
    /// Every known file generation.
    pub streams: Vec<StreamRecord>,
    /// Names of the entries that were applied before.
    pub entries: Vec<String>,
    /// The mode that it was last used in, if that was noted.
    pub mode: Option<Mode>,
    /// Where a damaged store was moved to; all files then start from the beginning.
    pub damaged: Option<PathBuf>,
}

/// The mode that a store is used in. Of two places that hold positions, this store and a topic, the one whose generation is
/// higher counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mode {
    /// Rises each time the mode is changed: milliseconds since the epoch, or one more than before.
    pub generation: u64,
    /// The cluster whose topic holds the positions; none where this store does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Under which name they are there, if that was noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

impl Mode {
    /// The next one, of the store itself.
    #[must_use]
    pub fn after(before: Option<&Self>) -> Self {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis();
        let least = before.map_or(1, |before| before.generation + 1);
        Self {
            generation: u64::try_from(now).unwrap_or(u64::MAX).max(least),
            cluster: None,
            instance: None,
        }
    }
}

/// Changes that are saved together or not at all.
#[derive(Debug, Default)]
pub struct Changes {
    /// Records to write.
    pub puts: Vec<StreamRecord>,
    /// Records to forget.
    pub removes: Vec<StreamKey>,
    /// Entries applied for the first time.
    pub entries: Vec<String>,
    /// The mode it is used in from now on.
    pub mode: Option<Mode>,
}

impl Changes {
    /// Whether there is nothing to save.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.puts.is_empty() && self.removes.is_empty() && self.entries.is_empty() && self.mode.is_none()
    }
}

/// Whether positions were ever kept in a state directory, as far as can be seen.
#[must_use]
pub fn has_store(directory: &Path) -> bool {
    let path = directory.join(FILE);
    let store = Store::at(path);
    // One that cannot be looked at may well be there.
    store.path.try_exists().unwrap_or(true) || store.find_aside().is_some()
}

/// The open database.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    database: Option<Database>,
    /// Device and inode of its file.
    file: Option<(u64, u64)>,
}

impl Store {
    fn at(path: PathBuf) -> Self {
        Self {
            path,
            database: None,
            file: None,
        }
    }

    /// Opens the store in `directory`, whose lock the caller holds. A damaged one is moved aside and an empty one
    /// takes its place.
    ///
    /// # Errors
    /// [`StoreError::Directory`] when it cannot be read or written, [`StoreError::Database`] when a fresh one fails.
    pub fn open(directory: &Path, _lock: &StateLock) -> Result<(Self, Contents), StoreError> {
        let path = directory.join(FILE);
        let mut contents = Contents::default();
        let mut store = Self::at(path);
        match fs::metadata(&store.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(StoreError::Directory {
                    path: store.path,
                    source,
                });
            }
            Ok(meta) => {
                // A directory in its place is not ours to move.
                if meta.is_dir() {
                    let source = std::io::ErrorKind::IsADirectory.into();
                    return Err(StoreError::Directory {
                        path: store.path,
                        source,
                    });
                }
                // What is unreadable for want of rights is not damaged.
                OpenOptions::new()
                    .read(true)
                    .write(true)
                    .open(&store.path)
                    .map_err(|source| StoreError::Directory {
                        path: store.path.clone(),
                        source,
                    })?;
                // redb takes an empty file for a new database: positions lost without a word.
                let read = if meta.len() == 0 {
                    Err(None)
                } else {
                    read_checked(&store.path)
                };
                match read {
                    Ok((database, found)) => {
                        store.opened(database);
                        return Ok((store, found));
                    }
                    Err(Some(redb::Error::DatabaseAlreadyOpen)) => {
                        // Whoever it is has another lock: its file was deleted.
                        let (path, pid) = (directory.to_owned(), None);
                        return Err(StoreError::Held { path, pid });
                    }
                    Err(Some(source)) if !is_damage(&source) => {
                        return Err(store.unusable(source));
                    }
                    Err(_) => {
                        store.create()?;
                        contents.damaged = Some(store.move_aside()?);
                        store.publish()?;
                        return Ok((store, contents));
                    }
                }
            }
        }
        if store.fresh().exists() {
            // A start that moved a damaged one aside ended there: still a reason to begin at the beginning, and to say so.
            contents.damaged = store.find_aside();
        }
        store.create()?;
        store.publish()?;
        Ok((store, contents))
    }

    /// Saves all changes in one durable transaction.
    ///
    /// # Errors
    /// [`StoreError::Database`]; the next call then opens the store anew. Nothing of the changes is saved, or only in a file
    /// that is no longer in its place.
    pub fn save(&mut self, changes: &Changes) -> Result<(), StoreError> {
        let save = || {
            write(self.reopened()?, changes)?;
            self.look()
        };
        // redb may panic on damaged pages, and the thread that saves must not end.
        let saved = catch_unwind(AssertUnwindSafe(save))
            .unwrap_or_else(|_| Err(redb::Error::Corrupted("the database panicked".to_owned())));
        saved.map_err(|source| {
            // After one I/O error redb refuses everything until it is opened again.
            self.database = None;
            self.unusable(source)
        })
    }

    /// Whether what was saved is still where the next start looks for it.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub fn check(&self) -> Result<(), StoreError> {
        self.look().map_err(|source| self.unusable(source))
    }

    /// An open file outlives its name: a state directory that was removed would take everything with it at the end.
    fn look(&self) -> Result<(), redb::Error> {
        let now = inode_of(&self.path).map_err(redb::Error::Io);
        match now {
            Ok(now) if self.file.is_none_or(|file| file == now) => Ok(()),
            Err(redb::Error::Io(error)) if error.kind() != std::io::ErrorKind::NotFound => Err(redb::Error::Io(error)),
            _ => Err(redb::Error::Io(std::io::Error::other(
                "it was removed or replaced while it was in use: put it back, or restart the service",
            ))),
        }
    }

    fn reopened(&mut self) -> Result<&Database, redb::Error> {
        if self.database.is_none() {
            // Nor another one, which says nothing of these files.
            self.look()?;
            // Never a new one: what was saved before would be missing from it.
            self.database = Some(builder().open(&self.path)?);
        }
        self.database.as_ref().ok_or(redb::Error::DatabaseClosed)
    }

    /// Where a new one is until it is whole.
    fn fresh(&self) -> PathBuf {
        self.path.with_extension("redb.new")
    }

    fn unusable(&self, source: redb::Error) -> StoreError {
        let (path, source) = (self.path.clone(), Box::new(source));
        StoreError::Database { path, source }
    }

    fn failed(&self, source: std::io::Error) -> StoreError {
        let path = self.path.clone();
        StoreError::Directory { path, source }
    }

    /// Creates it under another name, so that a kill never leaves half a store.
    fn create(&mut self) -> Result<(), StoreError> {
        let fresh = self.fresh();
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(self.failed(error)),
            _ => {}
        }
        let created = created(&fresh)
            .map_err(redb::Error::Io)
            .and_then(|file| Ok(builder().create_with_backend(FileBackend::new(file)?)?))
            .and_then(|database| {
                write(&database, &Changes::default())?;
                Ok(database)
            });
        self.database = Some(created.map_err(|source| self.unusable(source))?);
        Ok(())
    }

    /// The new one takes its place.
    fn publish(&mut self) -> Result<(), StoreError> {
        fs::rename(self.fresh(), &self.path)
            .and_then(|()| sync_directory(&self.path))
            .map_err(|source| self.failed(source))?;
        self.file = inode_of(&self.path).ok();
        Ok(())
    }

    fn opened(&mut self, database: Database) {
        self.file = inode_of(&self.path).ok();
        self.database = Some(database);
    }

    /// The damaged store that was moved aside last.
    fn find_aside(&self) -> Option<PathBuf> {
        let prefix = format!("{FILE}.damaged-");
        let entries = fs::read_dir(self.path.parent()?).ok()?;
        let is_aside = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(&prefix);
        entries.flatten().filter(is_aside).map(|entry| entry.path()).max()
    }

    fn move_aside(&self) -> Result<PathBuf, StoreError> {
        let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        let aside = self.path.with_extension(format!("redb.damaged-{}", since.as_secs()));
        fs::rename(&self.path, &aside).map_err(|source| self.failed(source))?;
        Ok(aside)
    }
}

fn inode_of(path: &Path) -> std::io::Result<(u64, u64)> {
    fs::metadata(path).map(|meta| (meta.dev(), meta.ino()))
}

fn builder() -> redb::Builder {
    let mut builder = redb::Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// Opens a store and reads all of it, or says why not; no error is a panic, as redb may on damaged pages.
fn read_checked(path: &Path) -> Result<(Database, Contents), Option<redb::Error>> {
    let read = || -> Result<_, redb::Error> {
        let mut database = builder().open(path)?;
        database.check_integrity()?;
        let contents = contents(&database)?;
        Ok((database, contents))
    };
    catch_unwind(AssertUnwindSafe(read)).map_err(|_| None)?.map_err(Some)
}

fn contents(database: &impl ReadableDatabase) -> Result<Contents, redb::Error> {
    let mut contents = Contents::default();
    let transaction = database.begin_read()?;
    for row in transaction.open_table(STREAMS)?.iter()? {
        let (key, value) = row?;
        let record = serde_json::from_slice(value.value())
            .map_err(|error| redb::Error::Corrupted(format!("record {:?}: {error}", key.value())))?;
        contents.streams.push(record);
    }
    for row in transaction.open_table(ENTRIES)?.iter()? {
        contents.entries.push(row?.0.value().to_owned());
    }
    match transaction.open_table(META) {
        // A store from before there were modes.
        Err(redb::TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(error.into()),
        Ok(table) => {
            let mode = table.get(MODE)?;
            let mode = mode.map(|mode| serde_json::from_slice(mode.value()));
            contents.mode = mode
                .transpose()
                .map_err(|error| redb::Error::Corrupted(format!("mode: {error}")))?;
        }
    }
    Ok(contents)
}

fn write(database: &Database, changes: &Changes) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut streams = transaction.open_table(STREAMS)?;
        let mut entries = transaction.open_table(ENTRIES)?;
        // In the order of their keys: each page is then needed once.
        let mut puts: Vec<_> = changes.puts.iter().collect();
        puts.sort_unstable_by(|a, b| (&a.log, a.id).cmp(&(&b.log, b.id)));
        for record in puts {
            let json = serde_json::to_vec(record)
                .map_err(|error| redb::Error::Corrupted(format!("record of {:?}: {error}", record.path)))?;
            streams.insert(record.key().to_string().as_str(), json.as_slice())?;
        }
        for key in &changes.removes {
            streams.remove(key.to_string().as_str())?;
        }
        for name in &changes.entries {
            entries.insert(name.as_str(), ())?;
        }
        if let Some(mode) = &changes.mode {
            let json = serde_json::to_vec(mode).map_err(|error| redb::Error::Corrupted(format!("mode: {error}")))?;
            transaction.open_table(META)?.insert(MODE, json.as_slice())?;
        }
    }
    transaction.commit()?;
    Ok(())
}

/// Whether an error says that the contents are wrong. A disk that is full or fails is no damaged store, nor is one that
/// another version of redb has written.
fn is_damage(error: &redb::Error) -> bool {
    match error {
        redb::Error::Io(error) => matches!(
            error.kind(),
            std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof
        ),
        redb::Error::UpgradeRequired(_) => false,
        _ => true,
    }
}

fn sync_directory(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}
