//! Where a file stands: the plain data that survives a restart.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::account::Skip;
use crate::charset::Charset;
use crate::container::{Progress, Sides};
use crate::filter::Split;
use crate::identity::{Guard, Head, Inode, Stat};
use crate::multiline::Place;

/// Names one generation of a file for life, as `logcatch.file_id` in records: it goes with the content through
/// renames and restarts, and (file id, offset) names a line. Parts of a container's line may share their offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileId(pub u64);

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A place between two records of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Mark {
    /// Bytes from the start of the file.
    pub offset: u64,
    /// The bytes right before it.
    pub guard: Guard,
    /// How many parts of a split line lie before it; 0 between lines.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub part: u32,
    /// Why those parts did not ship, if they did not; or what there was of the group that was cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed: Option<Skip>,
    /// A limit ended a group there, which stood so: what is cut off it goes its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<Place>,
    /// How far the streams of a container were read, if one is further.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sides: Option<Sides>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(value: &u32) -> bool {
    *value == 0
}

impl Mark {
    /// One for tests: so far, whatever is before it.
    #[cfg(test)]
    pub(crate) fn at(offset: u64) -> Self {
        Self {
            offset,
            ..Self::default()
        }
    }

    /// Whether of a container's line parts were made, and none said that it was the last.
    pub(crate) fn awaits_last_part(&self) -> bool {
        self.sides.is_some_and(|sides| sides.iter().any(Progress::is_in_line))
    }

    /// Whether a limit ended a group before it, and nothing came since.
    pub(crate) fn is_behind_cut(&self) -> bool {
        self.cut.is_some()
            || self
                .sides
                .is_some_and(|sides| sides.iter().any(Progress::is_behind_cut))
    }

    /// What comes next begins a record, whatever was before it. Nothing is open.
    pub(crate) fn forget_cut(&mut self) {
        if self.cut.take().is_some() {
            self.passed = None;
        }
        if let Some(sides) = &mut self.sides {
            sides.iter_mut().for_each(Progress::forget_cut);
            let plain = Progress::at(self.offset);
            self.sides.take_if(|sides| *sides == [plain; 2]);
        }
    }

    pub(crate) fn split(&self) -> Split {
        Split {
            part: self.part,
            passed: self.passed,
            cut: self.cut,
            sides: self.sides,
        }
    }
}

/// What became of a file generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Life {
    /// It is what its path leads to.
    Live,
    /// It was renamed or copied away or deleted; late lines may still come.
    Rotated,
}

/// The topic and partition a file was placed in; a file keeps its partition for life, as long as topic and key stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// Topic name.
    pub topic: Arc<str>,
    /// Partition number.
    pub partition: i32,
    /// Fingerprint of the key it was chosen for; 0 where that was not kept.
    #[serde(default)]
    key: u32,
}

impl Placement {
    /// The place of a file whose records carry this key.
    #[must_use]
    pub fn new(topic: Arc<str>, partition: i32, key: &[u8]) -> Self {
        Self {
            topic,
            partition,
            key: fingerprint(key),
        }
    }

    /// Whether it is still the place of records for this topic, with this key.
    #[must_use]
    pub fn is_of(&self, topic: &str, key: &[u8]) -> bool {
        *self.topic == *topic && (self.key == 0 || self.key == fingerprint(key))
    }
}

/// Half of a hash, never 0.
fn fingerprint(key: &[u8]) -> u32 {
    u32::try_from(xxh3_64(key) >> 32).unwrap_or(1).max(1)
}

/// The compressed file that holds a generation, as it was when it was last read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archived {
    /// Compressed size in bytes.
    pub size: u64,
    /// Modification time, nanoseconds since the epoch.
    pub modified: i64,
    /// Whether the end of its content was reached: then it need not be decoded again.
    pub is_read: bool,
}

/// All that must be known of one file generation to go on with it after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamRecord {
    /// Name of the settings entry it belongs to.
    pub log: Arc<str>,
    /// The path it was first found under; its records carry this one wherever the file goes.
    #[serde(with = "path_text")]
    pub path: Arc<Path>,
    /// Names the generation for life.
    pub id: FileId,
    /// Rises from one generation of a path to the next.
    pub order: u64,
    /// Device and inode it was last seen with.
    pub inode: Inode,
    /// Fingerprint of its first bytes, as far as they were delivered.
    pub head: Head,
    /// Everything before it was acknowledged by Kafka.
    pub mark: Mark,
    /// Size in bytes when last looked at.
    pub size: u64,
    /// Modification time when last looked at, nanoseconds since the epoch.
    pub modified: i64,
    /// Live or rotated.
    pub life: Life,
    /// Whether it began with a truncation: NULs at its start are then a hole, not data.
    #[serde(default)]
    pub truncated: bool,
    /// The encoding that its byte-order mark says, or that of an earlier generation which a truncation took away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charset: Option<Charset>,
    /// Whether the file is a copy of what another path holds: what is before the mark was not read here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub copy: bool,
    /// Seconds of running time for which it was known to have no name.
    #[serde(default)]
    pub absent_seconds: u64,
    /// Set when it was read in an archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<Box<Archived>>,
    /// Where its path led, as a link, when it was first seen, or later when it was what the path leads to. Only UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Arc<String>>,
    /// Where its records go, once chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
}

impl StreamRecord {
    /// One for tests: of the entry `app`, nothing read yet.
    #[cfg(test)]
    pub(crate) fn example(path: &Path, id: FileId) -> Self {
        Self {
            log: "app".into(),
            path: path.into(),
            id,
            order: 0,
            inode: Inode {
                dev: 1,
                ino: 1,
                born: None,
            },
            head: Head::default(),
            mark: Mark::default(),
            size: 0,
            modified: 0,
            life: Life::Live,
            truncated: false,
            copy: false,
            absent_seconds: 0,
            archived: None,
            charset: None,
            target: None,
            placement: None,
        }
    }

    /// The key it is stored under.
    #[must_use]
    pub fn key(&self) -> StreamKey {
        StreamKey {
            log: Arc::clone(&self.log),
            id: self.id,
        }
    }

    /// Whether it may be a copy and nothing of it was found in the original: if it was compressed, that is a matter of the
    /// original's watcher.
    #[must_use]
    pub fn is_undecided_copy(&self) -> bool {
        self.copy && self.mark.offset == 0
    }

    /// Whether it was read to its end in the archive that looks like this.
    #[must_use]
    pub fn is_read_in(&self, stat: &Stat) -> bool {
        self.archived.as_ref().is_some_and(|archived| archived.is_read) && self.is_left_in(stat)
    }

    /// Whether the archive it was read in, as far as that went, has not changed since.
    #[must_use]
    pub fn is_left_in(&self, stat: &Stat) -> bool {
        let is_same = |archived: &Archived| (archived.size, archived.modified) == (stat.size, stat.modified);
        self.inode == stat.inode && self.archived.as_deref().is_some_and(is_same)
    }
}

/// Key of a stream: positions belong to entry name and file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamKey {
    /// Name of the settings entry.
    pub log: Arc<str>,
    /// The file generation.
    pub id: FileId,
}

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\0{}", self.log, self.id)
    }
}

/// Paths as text where they are UTF-8, else as their bytes: file names on Linux are any bytes.
mod path_text {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Text {
        Utf8(String),
        Bytes(Vec<u8>),
    }

    pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        match path.to_str() {
            Some(text) => Text::Utf8(text.to_owned()),
            None => Text::Bytes(path.as_os_str().as_bytes().to_vec()),
        }
        .serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<Path>, D::Error> {
        Ok(match Text::deserialize(deserializer)? {
            Text::Utf8(text) => Path::new(&text).into(),
            Text::Bytes(bytes) => Path::new(OsStr::from_bytes(&bytes)).into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_one_of_its_topic_and_key_and_older_ones_of_any_key() {
        let placement = Placement::new("t".into(), 3, b"k");
        assert!(placement.is_of("t", b"k"));
        assert!(!placement.is_of("t", b"other") && !placement.is_of("u", b"k"));
        let saved = serde_json::to_string(&placement).unwrap();
        assert_eq!(serde_json::from_str::<Placement>(&saved).unwrap(), placement);
        let older: Placement = serde_json::from_str(r#"{"topic":"t","partition":3}"#).unwrap();
        assert!(older.is_of("t", b"other"));
    }
}
