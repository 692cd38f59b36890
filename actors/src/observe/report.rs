//! What is told to an operator: plain rows, as JSON gives them. Names may be added, never changed.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a watcher stands. A later one is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// There is nothing to do.
    Idle,
    /// Lines are on their way.
    Reading,
    /// It cannot go on now; that passes by itself.
    Waiting,
    /// It cannot go on until somebody does something.
    Blocked,
    /// It failed, and rests before it is started again.
    Failed,
}

/// Why a watcher is in its state. The words are fixed; more may be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Idle: there is no file at the path.
    NoFile,
    /// Idle: the file is read under another path.
    SharedWithAnotherPath,
    /// Idle: the file is, or may be, a copy of what another path holds.
    CopyOfAnotherPath,
    /// Idle: all that is left is a line without its end.
    UnfinishedLine,
    /// Waiting: the watcher has not looked at its file yet.
    Starting,
    /// Waiting: an operator asked for a restart; what is on its way settles first.
    Restarting,
    /// Waiting: Kafka has not said yet whether the topic exists.
    AskingForTopic,
    /// Waiting: no broker answers.
    KafkaAway,
    /// Waiting: Kafka acknowledges nothing for the topic.
    TopicSilent,
    /// Waiting: Kafka takes nothing for the topic, for a reason that passes.
    TopicHeld,
    /// Waiting: lines of the file that are on their way hold its share of `limits.in_flight`.
    Acknowledgement,
    /// Waiting: lines for the same topic that are on their way hold its share of `limits.in_flight`.
    TopicShare,
    /// Waiting: other files hold all of `limits.in_flight`.
    MemoryLimit,
    /// Waiting: the entry has read as much as `rate_limit` allows now.
    RateLimit,
    /// Waiting: other files hold all of `limits.open_files`.
    HandleLimit,
    /// Waiting: a first position is on its way to disk.
    SavingPosition,
    /// Waiting: the watcher has not come back from a look at its file.
    NotAnswering,
    /// Blocked: Kafka does not accept the credentials.
    KafkaLoginRefused,
    /// Blocked: Kafka and the service do not accept each other's certificates.
    KafkaTlsFailed,
    /// Blocked: the topic does not exist.
    TopicMissing,
    /// Blocked: the service may not write to the topic.
    TopicForbidden,
    /// Blocked: what the entry's `topic` gives for the path cannot be the name of a topic.
    TopicIllegal,
    /// Blocked: this host's clock is out of the topic's bounds.
    ClockWrong,
    /// Blocked: a line that Kafka refuses is to be a dead letter, and there is no room for it.
    DeadLettersFull,
    /// Blocked: positions cannot be saved, and a new file ships nothing before its first one is.
    PositionsNotSaved,
    /// Blocked: the service has no right to read the file.
    Permission,
    /// Blocked: the file cannot be read for another reason.
    Unreadable,
    /// Blocked: it is a directory, FIFO, socket or device.
    NotAFile,
    /// Failed: a read failed or the watcher panicked.
    WatcherFailed,
}

/// Which paths a [`Report`] has rows of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All.
    All,
    /// Those with bytes that are not acknowledged: where all files are idle, that costs next to nothing.
    Behind,
}

/// One watched path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileRow {
    /// The settings entry.
    pub log: String,
    /// The path.
    pub path: String,
    /// Where its lines go.
    pub topic: String,
    /// How it stands.
    pub state: State,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<Reason>,
    /// The error, the other path, what Kafka says.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
    /// For how long; seconds.
    pub since_seconds: f64,
    /// Bytes of the file that is there now.
    pub size: u64,
    /// Everything before it is acknowledged; bytes.
    pub position: u64,
    /// Bytes on disk that are not acknowledged, all generations.
    pub lag_bytes: u64,
    /// For how long the oldest of them has been there, as far as the service saw; seconds.
    pub lag_seconds: f64,
    /// Of these, bytes that were handed to Kafka.
    pub in_flight_bytes: u64,
    /// Acknowledged over the last seconds.
    pub bytes_per_second: f64,
    /// Acknowledged over the last seconds.
    pub lines_per_second: f64,
    /// How often the watcher was started again.
    pub restarts: u64,
    /// The generations that are followed: the file that is there now, and rotated ones.
    pub generations: usize,
    /// Names the file that is there now, as `logcatch.file_id` in records; empty while none is read.
    #[serde(default)]
    pub file_id: String,
    /// Seconds until rotation deletes bytes that are not acknowledged, as estimated; none while nothing speaks for that.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub time_to_loss_seconds: Option<f64>,
}

/// The Kafka side.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KafkaRow {
    /// Whether a broker answers; none before the first answer.
    pub up: Option<bool>,
    /// For how long; seconds.
    pub since_seconds: Option<f64>,
    /// What was said last of the connections, while no broker answers.
    pub trouble: Option<String>,
    /// Why it waits for somebody to act, if it does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refused: Option<Reason>,
    /// The last acknowledgement, so many seconds ago.
    pub last_ack_seconds: Option<f64>,
    /// Bytes read and not acknowledged, all files, bookkeeping included.
    pub in_flight_bytes: u64,
    /// `limits.in_flight`.
    pub in_flight_limit_bytes: u64,
    /// Records acknowledged since the start.
    pub acknowledged_lines: u64,
    /// Records that became dead letters since the start.
    pub dead_lettered_lines: u64,
    /// Producers replaced after a fatal error.
    pub producer_rebuilds: u64,
    /// Every topic that watchers ship to.
    pub topics: Vec<TopicRow>,
}

/// A topic as its watchers see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicRow {
    /// Its name.
    pub topic: String,
    /// Whether it takes records.
    pub open: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
}

/// The settings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SettingsRow {
    /// The file.
    pub path: String,
    /// When those in force were applied; seconds since the epoch.
    pub applied_at: u64,
    /// What speaks against the file as it is now; none while it is in force.
    pub refused: Option<Refusal>,
    /// Entries that match no file.
    pub unmatched: Vec<String>,
}

/// Settings that were refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// When; seconds since the epoch.
    pub at: u64,
    /// Every problem, with its place.
    pub text: String,
}

/// Positions: saving, and what is waited for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PositionsRow {
    /// What the service waits for before it ships anything, and why; none once positions are open.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub waits_for: Option<String>,
    /// Why Kafka does not commit or give back positions, and in which topic, after shipping began; with exactly-once only.
    /// Nothing ships meanwhile.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trouble: Option<String>,
    /// The last save; seconds since the epoch, none before the first.
    pub saved_at: Option<u64>,
    /// Saves that failed since the start.
    pub errors: u64,
    /// Whether the last one failed.
    pub failing: bool,
}

/// The service at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Of the service.
    pub version: String,
    /// Of its process.
    pub pid: u32,
    /// The setting `host`.
    pub host: String,
    /// Since the start.
    pub uptime_seconds: f64,
    /// The Kafka side.
    pub kafka: KafkaRow,
    /// The settings.
    pub settings: SettingsRow,
    /// Saving of positions.
    pub positions: PositionsRow,
    /// What else somebody should know, a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
    /// Every watched path, by entry and path; fewer in a smaller [`Scope`].
    pub files: Vec<FileRow>,
}

impl Reason {
    pub(crate) fn of(refusal: logcatch_kafka::Refusal) -> Self {
        match refusal {
            logcatch_kafka::Refusal::Login => Self::KafkaLoginRefused,
            logcatch_kafka::Refusal::Tls => Self::KafkaTlsFailed,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        word(self, f)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        word(self, f)
    }
}

/// The word of JSON, so that it is written down once.
fn word(value: &impl Serialize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let json = serde_json::to_value(value).map_err(|_| fmt::Error)?;
    f.pad(json.as_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_json() {
        assert_eq!(State::Idle.to_string(), "idle");
        assert_eq!(
            format!("{:>22}|", Reason::SharedWithAnotherPath),
            "shared-with-another-path|"
        );
        assert_eq!(serde_json::to_string(&Reason::KafkaAway).unwrap(), "\"kafka-away\"");
        assert!(State::Failed > State::Blocked && State::Reading > State::Idle);
    }
}
