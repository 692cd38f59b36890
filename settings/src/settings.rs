//! Validated settings: a value that exists can be used.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use logcatch_tail::{Charset, Exclude, Filter, Multiline, PathGlob, Rotated};

use crate::fields::Field;
use crate::pod::Pod;
use crate::rotated::RotatedFiles;
use crate::template::{Template, Values};
use crate::topic::{self, IllegalTopic};

/// Everything the settings say.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The name of this host in keys and records.
    pub host: String,
    /// What the service says about itself.
    pub log: LogSettings,
    /// Where lines go.
    pub kafka: KafkaSettings,
    /// What the service remembers.
    pub state: StateSettings,
    /// What the service may use.
    pub limits: Limits,
    /// The status page.
    pub web: WebSettings,
    /// Where more entries are; already among `logs` as far as they are known.
    pub etcd: Option<EtcdSettings>,
    /// The logs to ship; empty only where `include` may bring some later.
    pub logs: Vec<LogEntry>,
}

impl Settings {
    /// Bytes that may be settled at once, as a transaction of one file is; 0 where each batch is settled for itself.
    #[must_use]
    pub fn settled_at_once(&self) -> u64 {
        match self.kafka.delivery {
            Delivery::AtLeastOnce => 0,
            Delivery::ExactlyOnce(_) => self.limits.in_flight_of_one,
        }
    }
}

/// What the service says about itself on stderr.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// The least severe messages that are shown.
    pub level: Level,
    /// How they are written.
    pub format: LogFormat,
}

/// How severe a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Level {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// How messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines to read.
    Text,
    /// One JSON object a line.
    Json,
}

/// Where lines go.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaSettings {
    /// Brokers to ask first, each `host:port`; never empty.
    pub brokers: Vec<String>,
    /// The topic of entries that name none; they hold it as their own.
    pub topic: Option<Template>,
    /// What a crash may do.
    pub delivery: Delivery,
    /// Properties of librdkafka by its own names, none of those that the promises rest on. Values can be secret.
    pub properties: BTreeMap<String, String>,
    /// Those whose values are not shown: secret by name, or put in from the environment or a file.
    pub hidden: BTreeSet<String>,
    /// Stands for the contents of the files that properties name.
    pub files: u64,
}

/// What a crash may do to lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Repeat some, lose none.
    AtLeastOnce,
    /// Nothing, for readers of what is committed: positions are kept in Kafka beside the lines.
    ExactlyOnce(ExactlyOnce),
}

/// Whose the positions are, and where they are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExactlyOnce {
    /// Unique in the cluster, the same after a restart.
    pub instance: String,
    /// The topic.
    pub positions_topic: String,
}

impl ExactlyOnce {
    /// The `transactional.id` of its producer.
    #[must_use]
    pub fn transactional_id(&self) -> String {
        Self::transactional_id_of(&self.instance)
    }

    /// The same of any instance.
    #[must_use]
    pub fn transactional_id_of(instance: &str) -> String {
        format!("logcatch-{instance}")
    }
}

/// What the service remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateSettings {
    /// Where positions and dead letters are kept; absolute.
    pub directory: PathBuf,
    /// The shortest time between two saves.
    pub checkpoint_interval: Duration,
    /// The size of the dead-letter file at which it takes no more; in bytes.
    pub dead_letters: u64,
}

/// What the service may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes read and not yet acknowledged, of all files, bookkeeping included.
    pub in_flight: u64,
    /// How much of that one file may hold.
    pub in_flight_of_one: u64,
    /// Files held open at once; without it, what the process limit gives.
    pub open_files: Option<u64>,
    /// How long a stop waits for acknowledgements.
    pub shutdown_timeout: Duration,
}

/// An etcd that holds entries.
#[derive(Clone, PartialEq, Eq)]
pub struct EtcdSettings {
    /// Its servers, `http://host:port` or `https://host:port` each; never empty.
    pub endpoints: Vec<String>,
    /// Each key that begins so holds entries.
    pub prefix: String,
    /// Who logs in; without one nobody does.
    pub user: Option<String>,
    /// By which password.
    pub password: Option<String>,
    /// The certificates that servers must be signed by, in PEM; without them those of the system.
    pub ca: Option<PathBuf>,
}

/// The status page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSettings {
    /// Its address, `host:port`; `None`: no page.
    pub listen: Option<String>,
    /// Whether metrics name each file.
    pub file_metrics: bool,
}

/// One `[[logs]]` entry.
#[derive(Debug, Clone, PartialEq)]
pub struct LogEntry {
    /// Unique among the entries; the first path if none was given.
    pub name: String,
    /// Whether the name was given. Among entries without one, a file belongs to the first that matches it.
    pub named: bool,
    /// The files to ship; never empty.
    pub paths: Vec<PathGlob>,
    /// The files to leave out.
    pub exclude_paths: Vec<Exclude>,
    /// The topic of the lines.
    pub topic: Template,
    /// The key of the records; `None`: no key and no order.
    pub key: Option<Template>,
    /// Where to begin in files that exist when the entry is first applied.
    pub start: Start,
    /// A file that was not written to for so long when it is first seen starts at its end.
    pub ignore_older: Option<Duration>,
    /// Longer records are split; in bytes.
    pub max_line: usize,
    /// The encoding of the files.
    pub charset: Charset,
    /// Records are JSON objects; else the lines themselves.
    pub json: bool,
    /// What is added to every record.
    pub fields: Vec<Field>,
    /// Which lines ship; `None`: all.
    pub filter: Option<Arc<Filter>>,
    /// Which lines are one record; `None`: each is one.
    pub multiline: Option<Arc<Multiline>>,
    /// A container runtime writes the files: records are what it wrote down of the program's lines.
    pub container: bool,
    /// Bytes of lines a second, all files together.
    pub rate_limit: Option<u64>,
    /// Whether records carry headers that say where they come from.
    pub headers: bool,
    /// Where rotated files are.
    pub rotated: RotatedFiles,
    /// How changes are noticed.
    pub watch: Watch,
}

/// Where to begin in a file that exists when its entry is first applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At its first byte.
    Beginning,
    /// At its end.
    End,
}

/// How changes of files are noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// By notifications where they work, else by polling.
    Auto,
    /// By notifications.
    Notify,
    /// By looking each second.
    Poll,
}

// === impl KafkaSettings ===

impl fmt::Debug for KafkaSettings {
    /// Names the properties only: their values can be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSettings")
            .field("brokers", &self.brokers)
            .field("topic", &self.topic)
            .field("delivery", &self.delivery)
            .field("properties", &self.properties.keys())
            .finish()
    }
}

// === impl EtcdSettings ===

impl fmt::Debug for EtcdSettings {
    /// Leaves the password out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdSettings")
            .field("endpoints", &self.endpoints)
            .field("prefix", &self.prefix)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

// === impl LogEntry ===

impl LogEntry {
    /// Whether this entry ships the file at `path`.
    pub fn means(&self, path: &Path) -> bool {
        self.paths.iter().any(|glob| glob.is_match(path)) && !self.excludes(path)
    }

    /// A file that was last modified before this, in nanoseconds since the epoch, starts at its end when it is first seen
    /// `now`.
    pub fn ignore_before(&self, now: SystemTime) -> Option<i64> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let before = now.saturating_sub(self.ignore_older?);
        Some(i64::try_from(before.as_nanos()).unwrap_or(i64::MAX))
    }

    /// The key of the records of the file at `path`; `None`: they have none.
    pub fn key_of(&self, host: &str, path: &Path) -> Option<String> {
        self.with_values(host, path, |values| self.key.as_ref().map(|key| key.render(values)))
    }

    /// The topic of the lines of the file at `path`.
    ///
    /// # Errors
    /// What the template gives for this path cannot be a topic.
    pub fn topic_of(&self, host: &str, path: &Path) -> Result<String, IllegalTopic> {
        topic::checked(self.with_values(host, path, |values| self.topic.render(values)))
    }

    /// Where the rotated generations of the file at `path` are.
    pub fn rotated_of(&self, host: &str, path: &Path) -> Rotated {
        self.with_values(host, path, |values| self.rotated.of(values))
    }

    pub(crate) fn with_values<T>(&self, host: &str, path: &Path, use_them: impl FnOnce(&Values<'_>) -> T) -> T {
        let wildcards = self
            .paths
            .iter()
            .find_map(|glob| glob.captures(path))
            .unwrap_or_default();
        let pod = if self.container { Pod::of(path) } else { None }.unwrap_or_default();
        use_them(&Values {
            host,
            name: &self.name,
            path: &path.to_string_lossy(),
            file: &path.file_name().unwrap_or_default().to_string_lossy(),
            wildcards: &wildcards,
            namespace: &pod.namespace,
            pod: &pod.name,
            container: &pod.container,
        })
    }

    /// Whether an exclusion leaves `path` out.
    pub fn excludes(&self, path: &Path) -> bool {
        self.exclude_paths.iter().any(|exclude| exclude.matches(path))
    }
}
