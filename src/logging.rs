//! What the service says about itself on stderr.

mod journal;
mod repeats;

use std::env;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use env_logger::{Builder, fmt::Formatter};
use log::kv::{self, Key, Value, VisitSource, VisitValue};
use log::{LevelFilter, Log, Metadata, Record};
use logcatch_settings::{Level, LogFormat, LogSettings};
use serde_json::{Map, json};

use self::repeats::{Key as Same, Repeated, Repeats};

/// Wins over the settings, with filters by module as in `RUST_LOG=info,logcatch_tail=debug`.
const RUST_LOG: &str = "RUST_LOG";
/// The members of a JSON object that every message has; a key-value of such a name gets a `_` behind it.
const OWN_MEMBERS: [&str; 4] = ["ts", "level", "target", "message"];

/// Installs the logger of the process; a second call changes nothing but what [`apply`] does.
pub fn install(settings: &LogSettings) {
    let logger = LOGGER.get_or_init(|| Logger {
        text: writer(LogFormat::Text),
        json: writer(LogFormat::Json),
        is_json: AtomicBool::new(settings.format == LogFormat::Json),
        repeats: Mutex::default(),
    });
    if log::set_logger(logger).is_ok() {
        log::set_max_level(logger.text.filter());
    }
    apply(settings);
}

fn writer(format: LogFormat) -> env_logger::Logger {
    let mut builder = Builder::new();
    // It says each event of a directory. Where the log itself is in one that is watched, each would bring the next.
    builder.filter_module("notify", LevelFilter::Debug);
    match rust_log() {
        Some(filters) => builder.parse_filters(&filters),
        // All pass here; the level is held against them before, where it can be changed.
        // What the web server says of itself at every start is said once, by us.
        None => builder
            .filter_level(LevelFilter::Trace)
            .filter_module("actix_server", LevelFilter::Warn),
    };
    match (format, journal::is_stderr()) {
        (LogFormat::Text, false) => builder.format_timestamp_millis(),
        (LogFormat::Text, true) => builder.format(write_journal_text),
        (LogFormat::Json, false) => builder.format(write_json),
        (LogFormat::Json, true) => builder.format(write_journal_json),
    };
    builder.build()
}

/// Says what was held back because it was said often, when its time has come, for ever.
pub async fn say_repeats() {
    loop {
        tokio::time::sleep(REPEATS).await;
        if let Some(logger) = LOGGER.get() {
            let repeated = logger.repeats().take_over(Instant::now());
            logger.say(&repeated);
        }
    }
}

/// Says all that is held back, before the process ends.
pub fn flush() {
    if let Some(logger) = LOGGER.get() {
        let repeated = logger.repeats().take_all();
        logger.say(&repeated);
    }
}

/// The logger of the process.
static LOGGER: OnceLock<Logger> = OnceLock::new();
/// How often to look for repeats whose time has come.
const REPEATS: Duration = Duration::from_secs(5);

struct Logger {
    text: env_logger::Logger,
    json: env_logger::Logger,
    /// Which of the two writes: that may change at any time.
    is_json: AtomicBool,
    repeats: Mutex<Repeats>,
}

impl Logger {
    fn inner(&self) -> &env_logger::Logger {
        if self.is_json.load(Ordering::Relaxed) {
            &self.json
        } else {
            &self.text
        }
    }

    fn repeats(&self) -> MutexGuard<'_, Repeats> {
        self.repeats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, repeated: &[Repeated]) {
        for Repeated { key, times } in repeated {
            let about = [("log", key.log.as_deref()), ("path", key.path.as_deref())];
            let about = about
                .into_iter()
                .filter_map(|(name, value)| value.map(|value| (name, Value::from(value))));
            let values: Vec<_> = about.chain([("repeated", Value::from(*times))]).collect();
            self.inner().log(
                &Record::builder()
                    .level(key.level)
                    .target(&key.target)
                    .args(format_args!("{}", key.phrase))
                    .key_values(&values.as_slice())
                    .build(),
            );
        }
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.inner().enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.inner().matches(record) {
            return;
        }
        let value = |name: &str| record.key_values().get(Key::from(name)).map(|value| value.to_string());
        let same = Same {
            level: record.level(),
            target: record.target().to_owned(),
            phrase: record.args().to_string(),
            log: value("log"),
            path: value("path"),
        };
        // Who asks for details gets them all.
        if record.level() > log::Level::Info || self.repeats().hear(same, Instant::now()) {
            self.inner().log(record);
        }
    }

    fn flush(&self) {
        self.inner().flush();
    }
}

/// Changes the format of messages, and the level of those that are shown unless the environment sets it.
pub fn apply(settings: &LogSettings) {
    if let Some(logger) = LOGGER.get() {
        logger
            .is_json
            .store(settings.format == LogFormat::Json, Ordering::Relaxed);
    }
    if rust_log().is_none() {
        log::set_max_level(match settings.level {
            Level::Off => LevelFilter::Off,
            Level::Error => LevelFilter::Error,
            Level::Warn => LevelFilter::Warn,
            Level::Info => LevelFilter::Info,
            Level::Debug => LevelFilter::Debug,
            Level::Trace => LevelFilter::Trace,
        });
    }
}

fn rust_log() -> Option<String> {
    env::var(RUST_LOG).ok().filter(|filters| !filters.is_empty())
}

fn write_json(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let timestamp = out.timestamp_micros().to_string();
    writeln!(out, "{}", json_line(&timestamp, record))
}

/// Without the time, which the journal knows.
fn write_journal_text(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let mut text = record.args().to_string();
    let _ = record.key_values().visit(&mut Pairs(&mut text));
    out.write_all(journal::prefixed(record.level(), &text).as_bytes())
}

fn write_journal_json(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let timestamp = out.timestamp_micros().to_string();
    let text = json_line(&timestamp, record).to_string();
    out.write_all(journal::prefixed(record.level(), &text).as_bytes())
}

struct Pairs<'a>(&'a mut String);

impl<'kvs> VisitSource<'kvs> for Pairs<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        Ok(write!(self.0, " {key}={value}")?)
    }
}

/// One object: time, level, target, message, then the key-values.
fn json_line(timestamp: &str, record: &Record<'_>) -> serde_json::Value {
    let mut members = Members(Map::new());
    members.0.insert("ts".into(), json!(timestamp));
    members
        .0
        .insert("level".into(), json!(record.level().as_str().to_lowercase()));
    members.0.insert("target".into(), json!(record.target()));
    members.0.insert("message".into(), json!(record.args().to_string()));
    // Visiting fails only where the visitor does.
    let _ = record.key_values().visit(&mut members);
    serde_json::Value::Object(members.0)
}

struct Members(Map<String, serde_json::Value>);

impl<'kvs> VisitSource<'kvs> for Members {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        let mut member = Member(serde_json::Value::Null);
        value.visit(&mut member)?;
        let own = OWN_MEMBERS.contains(&key.as_str());
        self.0.insert(format!("{key}{}", if own { "_" } else { "" }), member.0);
        Ok(())
    }
}

struct Member(serde_json::Value);

impl VisitValue<'_> for Member {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), kv::Error> {
        self.0 = json!(value.to_string());
        Ok(())
    }

    fn visit_null(&mut self) -> Result<(), kv::Error> {
        Ok(())
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        self.0 = json!(value);
        Ok(())
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        self.0 = json!(value);
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        self.0 = json!(value);
        Ok(())
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        self.0 = json!(value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_json_object_with_its_key_values() {
        let values = [
            ("path", Value::from("/l/a \"b\"\n")),
            ("bytes", Value::from(7_u64)),
            ("ready", Value::from(true)),
            ("level", Value::from(1.5)),
        ];
        let line = json_line(
            "2026-01-02T03:04:05.000006Z",
            &Record::builder()
                .level(log::Level::Warn)
                .target("logcatch_tail")
                .args(format_args!("file has a\nhole"))
                .key_values(&values.as_slice())
                .build(),
        );
        assert_eq!(
            line,
            json!({
                "ts": "2026-01-02T03:04:05.000006Z", "level": "warn", "target": "logcatch_tail",
                "message": "file has a\nhole", "path": "/l/a \"b\"\n", "bytes": 7, "ready": true, "level_": 1.5
            })
        );
        assert!(!line.to_string().contains('\n'));
    }
}
