//! Positions as records of a compacted topic, for deliveries that are exactly once: a position is written in the
//! transaction of the lines that it covers.
//!
//! A key is a JSON array: `[instance,"owner"]`, `[instance,"last"]`, `[instance,"entry",name]` and
//! `[instance,"file",entry,file id]`. A value is a JSON object with `format` (1) and `version`, which rises by one with each
//! transaction of an instance; `last` is in every one of them. An empty value forgets its key.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::position::{FileId, StreamKey, StreamRecord};

/// The layout of values that is written, and the newest that is read.
const FORMAT: u32 = 1;

/// A record of the topic. Without a value it forgets its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicRecord {
    /// What the record is about.
    pub key: Vec<u8>,
    /// What is known of it.
    pub value: Option<Vec<u8>>,
}

/// A record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRecord {
    /// Where it was.
    pub partition: i32,
    /// The record.
    pub record: TopicRecord,
}

/// The run of a service that an instance name belongs to: the last one that committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Names the run.
    pub run: String,
    /// The setting `host`.
    pub host: String,
    /// Process id.
    pub pid: u32,
    /// When the delivery mode was entered, as a number that rises: see [`Mode`](crate::Mode).
    pub generation: u64,
}

/// What of it is about one instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicContents {
    /// Who wrote last, and the partition of his records.
    pub owner: Option<(Owner, i32)>,
    /// The version of the last transaction; 0 before the first.
    pub last: u64,
    /// The run that committed it.
    pub last_run: Option<String>,
    /// Every known file generation.
    pub streams: Vec<StreamRecord>,
    /// Names of the entries that were applied before.
    pub entries: Vec<String>,
}

/// A record that cannot be understood: going on without it would repeat lines.
#[derive(Debug, Error)]
pub enum TopicError {
    /// It is not what this program writes.
    #[error("cannot understand a position record in the topic: {0}")]
    Damaged(String),
    /// A newer program wrote it.
    #[error("cannot understand a position record in the topic: its format {0} is newer than this logcatch")]
    Newer(u32),
}

/// What a record is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Subject {
    Owner,
    Last,
    Entry(String),
    File(String, FileId),
}

#[derive(Serialize, Deserialize)]
struct Value {
    format: u32,
    version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<Owner>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    position: Option<StreamRecord>,
}

/// Writes the records of one instance in one transaction.
#[derive(Debug, Clone, Copy)]
pub struct TopicWriter<'a> {
    /// The setting `kafka.instance`.
    pub instance: &'a str,
    /// The transaction's version.
    pub version: u64,
}

impl TopicWriter<'_> {
    /// What every key of an instance begins with.
    #[must_use]
    pub fn prefix(instance: &str) -> Vec<u8> {
        let mut prefix = json(&(instance, ""));
        // As in `["web-1","`.
        prefix.truncate(prefix.len().saturating_sub(2));
        prefix
    }

    /// Whose the instance is.
    #[must_use]
    pub fn owner(&self, owner: &Owner) -> TopicRecord {
        self.record(&Subject::Owner, Some(self.value(Some(owner.clone()), None)))
    }

    /// That this transaction was committed, by this run.
    #[must_use]
    pub fn last(&self, run: &str) -> TopicRecord {
        let value = Value {
            run: Some(run.to_owned()),
            ..self.value(None, None)
        };
        self.record(&Subject::Last, Some(value))
    }

    /// That an entry was applied.
    #[must_use]
    pub fn entry(&self, name: &str) -> TopicRecord {
        self.record(&Subject::Entry(name.to_owned()), Some(self.value(None, None)))
    }

    /// The position of a file; none forgets it.
    #[must_use]
    pub fn file(&self, key: &StreamKey, position: Option<StreamRecord>) -> TopicRecord {
        let value = position.map(|position| self.value(None, Some(position)));
        self.record(&Subject::File(key.log.to_string(), key.id), value)
    }

    fn value(&self, owner: Option<Owner>, position: Option<StreamRecord>) -> Value {
        Value {
            format: FORMAT,
            version: self.version,
            run: None,
            owner,
            position,
        }
    }

    fn record(&self, subject: &Subject, value: Option<Value>) -> TopicRecord {
        let key = match subject {
            Subject::Owner => json(&(self.instance, "owner")),
            Subject::Last => json(&(self.instance, "last")),
            Subject::Entry(name) => json(&(self.instance, "entry", name)),
            Subject::File(log, id) => json(&(self.instance, "file", log, id.to_string())),
        };
        TopicRecord {
            key,
            value: value.as_ref().map(json),
        }
    }
}

/// Plain structs without maps always have a JSON form.
fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

impl TopicContents {
    /// What these records, each partition's in its order, say of an instance. Of a key in several partitions the highest
    /// version counts.
    ///
    /// # Errors
    /// [`TopicError`], for a record of this instance.
    pub fn read(instance: &str, records: impl IntoIterator<Item = FoundRecord>) -> Result<Self, TopicError> {
        let mut known: HashMap<Subject, (i32, Value)> = HashMap::new();
        for FoundRecord { partition, record } in records {
            // Records of others may be of any kind.
            let Ok(parts) = serde_json::from_slice::<Vec<String>>(&record.key) else {
                continue;
            };
            if parts.first().map(String::as_str) != Some(instance) {
                continue;
            }
            let Some(subject) = Subject::parse(&parts) else {
                return Err(TopicError::Damaged(format!("its key is {parts:?}")));
            };
            let before = known.get(&subject);
            let Some(value) = record.value else {
                // It forgets what came before it; another partition's records stand in no order to it.
                if before.is_some_and(|(of, _)| *of == partition) {
                    known.remove(&subject);
                }
                continue;
            };
            let value = Value::parse(&parts, &value)?;
            if before.is_none_or(|(_, before)| before.version <= value.version) {
                known.insert(subject, (partition, value));
            }
        }
        let mut contents = Self::default();
        for (subject, (partition, value)) in known {
            contents.last = contents.last.max(value.version);
            match subject {
                Subject::Owner => contents.owner = value.owner.map(|owner| (owner, partition)),
                Subject::Last => contents.last_run = value.run,
                Subject::Entry(name) => contents.entries.push(name),
                Subject::File(..) => contents.streams.extend(value.position),
            }
        }
        contents
            .streams
            .sort_unstable_by(|a, b| (&a.log, a.id).cmp(&(&b.log, b.id)));
        contents.entries.sort_unstable();
        Ok(contents)
    }
}

impl Subject {
    fn parse(parts: &[String]) -> Option<Self> {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        Some(match parts.as_slice() {
            [_, "owner"] => Self::Owner,
            [_, "last"] => Self::Last,
            [_, "entry", name] => Self::Entry((*name).to_owned()),
            [_, "file", log, id] => Self::File((*log).to_owned(), FileId(u64::from_str_radix(id, 16).ok()?)),
            _ => return None,
        })
    }
}

impl Value {
    fn parse(key: &[String], bytes: &[u8]) -> Result<Self, TopicError> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let damaged = |error: serde_json::Error| TopicError::Damaged(format!("its key is {key:?}: {error}"));
        let Format { format } = serde_json::from_slice(bytes).map_err(damaged)?;
        if format > FORMAT {
            return Err(TopicError::Newer(format));
        }
        serde_json::from_slice(bytes).map_err(damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Mark;

    fn writer(version: u64) -> TopicWriter<'static> {
        TopicWriter {
            instance: "web-1",
            version,
        }
    }

    fn position(offset: u64) -> StreamRecord {
        StreamRecord {
            mark: Mark {
                offset,
                ..Mark::default()
            },
            ..StreamRecord::example("/a".as_ref(), FileId(7))
        }
    }

    fn read(records: Vec<(i32, TopicRecord)>) -> TopicContents {
        let found = records
            .into_iter()
            .map(|(partition, record)| FoundRecord { partition, record });
        TopicContents::read("web-1", found).unwrap()
    }

    fn owner() -> Owner {
        Owner {
            run: "r".into(),
            host: "h".into(),
            pid: 1,
            generation: 2,
        }
    }

    #[test]
    fn keys_begin_as_they_are_asked_for() {
        let prefix = TopicWriter::prefix("web-1");
        let key = position(0).key();
        let records = [
            writer(1).last("r"),
            writer(1).owner(&owner()),
            writer(1).entry("a"),
            writer(1).file(&key, None),
        ];
        assert!(records.iter().all(|record| record.key.starts_with(&prefix)));
        let other = TopicWriter {
            instance: "web-10",
            version: 1,
        };
        assert!(!other.last("r").key.starts_with(&prefix));
    }

    #[test]
    fn what_was_written_is_read_and_the_last_version_counts() {
        let key = position(0).key();
        let other = TopicWriter {
            instance: "web-2",
            version: 99,
        };
        let contents = read(vec![
            (3, writer(1).owner(&owner())),
            (3, writer(1).entry("app")),
            (3, writer(1).file(&key, Some(position(5)))),
            (3, other.file(&key, Some(position(77)))),
            (3, writer(2).file(&key, Some(position(9)))),
            (3, writer(3).last("r")),
        ]);
        assert_eq!(contents.owner, Some((owner(), 3)));
        assert_eq!((contents.last, contents.last_run.as_deref()), (3, Some("r")));
        assert_eq!(contents.streams, [position(9)]);
        assert_eq!(contents.entries, ["app"]);
    }

    #[test]
    fn a_key_in_two_partitions_is_what_its_highest_version_says() {
        let key = position(0).key();
        let new = (0, writer(8).file(&key, Some(position(9))));
        let old = (5, writer(2).file(&key, Some(position(5))));
        for records in [vec![new.clone(), old.clone()], vec![old, new]] {
            assert_eq!(read(records).streams, [position(9)]);
        }
    }

    #[test]
    fn a_forgotten_file_is_forgotten() {
        let key = position(0).key();
        let records = vec![
            (0, writer(1).file(&key, Some(position(5)))),
            (0, writer(2).file(&key, None)),
        ];
        assert!(read(records).streams.is_empty());
    }

    #[test]
    fn a_record_that_cannot_be_understood_is_never_passed_over() {
        let mut record = writer(1).file(&position(0).key(), Some(position(5)));
        record.value = Some(br#"{"format":2}"#.to_vec());
        let read = |record: &TopicRecord| {
            let record = record.clone();
            TopicContents::read("web-1", [FoundRecord { partition: 0, record }])
        };
        assert!(matches!(read(&record), Err(TopicError::Newer(2))));
        record.value = Some(b"garbage".to_vec());
        assert!(matches!(read(&record), Err(TopicError::Damaged(_))));
    }
}
