//! The tables of the settings, key by key.

use std::time::Duration;

use super::{Default, Key, Shape};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// Compressed files end so; they are read as generations of their logs, never as logs.
const COMPRESSED: &[&str] = &["*.gz", "*.zst", "*.bz2", "*.xz", "*.lz4", "*.zip"];

/// The settings file.
pub static ROOT: &[Key] = &[
    key(
        "host",
        Shape::Text,
        Default::Found("the host name"),
        "The name of this host in keys and records.",
    ),
    key(
        "include",
        Shape::Texts,
        Default::None,
        "Patterns of further files, which hold [[logs]] only.",
    ),
    key(
        "log",
        Shape::Table(LOG),
        Default::None,
        "What the service says about itself on stderr.",
    ),
    key("kafka", Shape::Table(KAFKA), Default::None, "Where lines go."),
    key(
        "state",
        Shape::Table(STATE),
        Default::None,
        "What the service remembers.",
    ),
    key(
        "limits",
        Shape::Table(LIMITS),
        Default::None,
        "What the service may use.",
    ),
    key(
        "web",
        Shape::Table(WEB),
        Default::None,
        "The status page, the JSON API and the metrics.",
    ),
    key(
        "etcd",
        Shape::Table(ETCD),
        Default::None,
        "More entries, kept in etcd and followed live; in builds with that feature.",
    ),
    key("logs", Shape::Tables(LOGS), Default::None, "The logs to ship."),
];

/// A file named by `include`.
pub static INCLUDED: &[Key] = &[key("logs", Shape::Tables(LOGS), Default::None, "The logs to ship.")];

static ETCD: &[Key] = &[
    key(
        "endpoints",
        Shape::Texts,
        Default::None,
        "Its servers, as http://host:port or https://host:port; without one etcd is not used.",
    ),
    key(
        "prefix",
        Shape::Text,
        Default::Value("/logcatch/"),
        "Each key that begins so holds entries: TOML with [[logs]], or JSON, an object with \"logs\" or that list alone.",
    ),
    key("user", Shape::Text, Default::None, "Who logs in."),
    key("password", Shape::Text, Default::None, "By which password."),
    key(
        "ca",
        Shape::Text,
        Default::None,
        "A file of certificates that the servers must be signed by; without it those of the system.",
    ),
];

static LOG: &[Key] = &[
    key(
        "level",
        Shape::Choice(&["off", "error", "warn", "info", "debug", "trace"]),
        Default::Value("info"),
        "The least severe messages that are shown; the environment variable RUST_LOG wins.",
    ),
    key(
        "format",
        Shape::Choice(&["text", "json"]),
        Default::Value("text"),
        "Lines to read, or JSON objects.",
    ),
];

static KAFKA: &[Key] = &[
    key(
        "brokers",
        Shape::Texts,
        Default::Required,
        "Brokers to ask first, as host:port; a list, or one text with commas.",
    ),
    key(
        "topic",
        Shape::Text,
        Default::None,
        "The topic of every log that names none.",
    ),
    key(
        "delivery",
        Shape::Choice(&["at-least-once", "exactly-once"]),
        Default::Value("at-least-once"),
        "What a crash may do: repeat lines, or nothing.",
    ),
    key(
        "instance",
        Shape::Text,
        Default::None,
        "A name unique in the cluster and lasting, for exactly-once.",
    ),
    key(
        "positions_topic",
        Shape::Text,
        Default::Value("logcatch-positions"),
        "The topic that remembers positions, for exactly-once.",
    ),
    key(
        "properties",
        Shape::Map,
        Default::None,
        "Properties of librdkafka, by its own names.",
    ),
];

static STATE: &[Key] = &[
    key(
        "directory",
        Shape::Text,
        Default::Found("$STATE_DIRECTORY, else /var/lib/logcatch"),
        "Where positions and dead letters are kept.",
    ),
    key(
        "checkpoint_interval",
        Shape::Duration(Duration::from_millis(10), Duration::from_secs(3600)),
        Default::Value("1s"),
        "How often positions are saved at most; what a crash may repeat grows with it.",
    ),
    key(
        "dead_letters",
        Shape::Size(64 * KIB, TIB),
        Default::Value("256MiB"),
        "Room for records that Kafka refuses; when it is full, a file with one more waits.",
    ),
];

static LIMITS: &[Key] = &[
    key(
        "in_flight",
        Shape::Size(MIB, 64 * GIB),
        Default::Value("16MiB"),
        "Bytes read and not yet acknowledged, of all files, bookkeeping included; with exactly-once the default is 192MiB.",
    ),
    key(
        "open_files",
        Shape::Count(16, 16 << 20),
        Default::Found("65536, or four fifths of what the process may open"),
        "Files held open at once; beyond it the least active are closed, and opened again when they change.",
    ),
    key(
        "shutdown_timeout",
        Shape::Duration(Duration::from_millis(100), Duration::from_secs(3600)),
        Default::Value("20s"),
        "How long a stop waits for acknowledgements.",
    ),
];

static WEB: &[Key] = &[
    key(
        "listen",
        Shape::AnyText,
        Default::Value("127.0.0.1:5642"),
        "The address of the status page; empty for none.",
    ),
    key(
        "file_metrics",
        Shape::Flag,
        Default::Value("false"),
        "Whether metrics name each file.",
    ),
];

static LOGS: &[Key] = &[
    key(
        "name",
        Shape::Text,
        Default::Found("the first path"),
        "The entry's name in status, metrics and positions.",
    ),
    key(
        "path",
        Shape::Texts,
        Default::Required,
        "Patterns of the files to ship.",
    ),
    key(
        "exclude_paths",
        Shape::Texts,
        Default::Values(COMPRESSED),
        "Patterns of files to leave out, in place of the default; one without a slash is a file name.",
    ),
    key(
        "topic",
        Shape::Text,
        Default::Found("kafka.topic"),
        "The topic of these lines.",
    ),
    key(
        "key",
        Shape::AnyText,
        Default::Value("{host}:{path}"),
        "The key of the records; the same key keeps the order, an empty one gives no key and no order.",
    ),
    key(
        "start",
        Shape::Choice(&["beginning", "end"]),
        Default::Value("beginning"),
        "Where to begin in files that exist when the entry is first applied.",
    ),
    key(
        "ignore_older",
        Shape::Duration(Duration::from_secs(1), Duration::from_secs(10 * 365 * 86_400)),
        Default::None,
        "Files that old when first seen start at their end.",
    ),
    key(
        "input",
        Shape::Choice(&["lines", "container"]),
        Default::Value("lines"),
        "How lines are written; container: as container runtimes do, CRI or Docker's JSON.",
    ),
    key(
        "encoding",
        Shape::Text,
        Default::Value("utf-8"),
        "The encoding of the files, by any label of the WHATWG standard; a byte-order mark is trusted more.",
    ),
    key(
        "multiline",
        Shape::ChoiceOrTable(&["java", "python", "go"], MULTILINE),
        Default::None,
        "Which lines are one record: the traces of a language, or by expressions.",
    ),
    key(
        "include_lines",
        Shape::Regexes,
        Default::None,
        "Only lines that match one of these ship.",
    ),
    key(
        "exclude_lines",
        Shape::Regexes,
        Default::None,
        "Lines that match one of these do not ship, whatever else they match.",
    ),
    key(
        "max_line",
        Shape::Size(64, 64 * MIB),
        Default::Value("900KiB"),
        "Longer records are split.",
    ),
    key(
        "format",
        Shape::Choice(&["raw", "json"]),
        Default::Value("raw"),
        "The line itself, or a JSON object that says where it comes from.",
    ),
    key(
        "fields",
        Shape::Map,
        Default::None,
        "Further members of the JSON object, or headers of raw records; placeholders work, dots nest.",
    ),
    key(
        "headers",
        Shape::Flag,
        Default::Value("false"),
        "Whether records carry headers about their origin.",
    ),
    key(
        "rate_limit",
        Shape::Rate(KIB, TIB),
        Default::None,
        "Bytes of lines a second, all files of the entry together; what is above it waits in its file.",
    ),
    key(
        "rotated",
        Shape::Texts,
        Default::Values(&["auto"]),
        "Where rotated files are found: auto, by their names beside the path; or patterns with placeholders; or both.",
    ),
    key(
        "watch",
        Shape::Choice(&["auto", "notify", "poll"]),
        Default::Value("auto"),
        "How changes are noticed; auto polls where notifications do not work.",
    ),
];

static MULTILINE: &[Key] = &[
    key("start", Shape::Regex, Default::None, "Lines that match begin a record."),
    key(
        "continues",
        Shape::Regex,
        Default::None,
        "Lines that match belong to the record before.",
    ),
    key(
        "timeout",
        Shape::Duration(Duration::from_millis(10), Duration::from_secs(3600)),
        Default::Value("1s"),
        "How long a record waits for another line.",
    ),
    key(
        "max_lines",
        Shape::Count(2, 1_000_000),
        Default::Value("500"),
        "The most lines of a record.",
    ),
];

const fn key(name: &'static str, shape: Shape, default: Default, doc: &'static str) -> Key {
    Key::new(name, shape, default, doc)
}
