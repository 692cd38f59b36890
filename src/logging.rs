//! What the service says about itself on stderr.

use std::env;
use std::io::{self, Write as _};

use env_logger::{Builder, fmt::Formatter};
use log::kv::{self, Key, Value, VisitSource, VisitValue};
use log::{LevelFilter, Record};
use logcatch_settings::{Level, LogFormat, LogSettings};
use serde_json::{Map, json};

/// Wins over the settings, with filters by module as in `RUST_LOG=info,logcatch_tail=debug`.
const RUST_LOG: &str = "RUST_LOG";
/// The members of a JSON object that every message has; a key-value of such a name gets a `_` behind it.
const OWN_MEMBERS: [&str; 4] = ["ts", "level", "target", "message"];

/// Installs the logger of the process; a second call changes nothing but the level.
pub fn install(settings: &LogSettings) {
    let mut builder = Builder::new();
    match rust_log() {
        Some(filters) => builder.parse_filters(&filters),
        // All pass here; the level is held against them before, where it can be changed.
        None => builder.filter_level(LevelFilter::Trace),
    };
    match settings.format {
        LogFormat::Text => {
            builder.format_timestamp_millis();
        }
        LogFormat::Json => {
            builder.format(write_json);
        }
    }
    // Fails if a logger is there already.
    let _ = builder.try_init();
    set_level(settings.level);
}

/// Changes the level of the messages that are shown, unless the environment sets it.
pub fn set_level(level: Level) {
    if rust_log().is_none() {
        log::set_max_level(match level {
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
