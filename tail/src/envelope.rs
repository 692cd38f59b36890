//! The JSON object around a line, with the names of the Elastic Common Schema as Filebeat nests them.

use std::fmt;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::json::{escape, number};
use crate::position::FileId;

/// What the settings say about where lines come from.
pub trait Origin: fmt::Debug + Send + Sync {
    /// The name of this host.
    fn host(&self) -> &str;
    /// Further members of the objects for lines of the file at `path`.
    fn fields(&self, path: &Path) -> Map<String, Value>;
    /// The time now, in RFC 3339, and of the same length each time.
    fn now(&self) -> String;
}

/// What is around each line of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Envelope {
    after_message: Vec<u8>,
    after_offset: Vec<u8>,
}

const BEFORE_TIME: &[u8] = b"{\"@timestamp\":\"";
const BEFORE_MESSAGE: &[u8] = b"\",\"message\":\"";
/// A time to the millisecond, and the digits of an offset of any file there will be.
pub(crate) const TIME_AND_OFFSET: usize = 24 + 20;

impl Envelope {
    /// For the file that was first found under `path`.
    pub(crate) fn new(origin: &dyn Origin, path: &Path, id: FileId) -> Self {
        let mut members = origin.fields(path);
        let mut merged = |name: &str, ours: Value| {
            let mut given = members.remove(name).unwrap_or_else(|| json!({}));
            merge(&mut given, ours);
            given.to_string()
        };
        let host = merged("host", json!({"name": origin.host()}));
        let log = merged("log", json!({"file": {"path": path.to_string_lossy()}}));
        let logcatch = merged("logcatch", json!({"file_id": id.to_string()}));
        let log = log.strip_suffix('}').unwrap_or(&log);
        let others = Value::Object(members).to_string();
        let others = others.strip_prefix("{}").or(others.strip_prefix('{')).unwrap_or("}");
        let separator = if others.is_empty() { "}" } else { "," };
        Self {
            after_message: format!("\",\"host\":{host},\"log\":{log},\"offset\":").into_bytes(),
            after_offset: format!("}},\"logcatch\":{logcatch}{separator}{others}").into_bytes(),
        }
    }

    /// Bytes it takes at most, without the message.
    pub(crate) fn size(&self) -> usize {
        let fixed = BEFORE_TIME.len() + BEFORE_MESSAGE.len() + TIME_AND_OFFSET;
        fixed + self.after_message.len() + self.after_offset.len()
    }

    /// Writes the object. Returns the length of the message in it.
    pub(crate) fn write(&self, time: &str, message: &str, offset: u64, out: &mut Vec<u8>) -> usize {
        self.write_of((time, None), message, offset, out)
    }

    /// The same for a message of a stream of a container.
    pub(crate) fn write_of(
        &self,
        (time, stream): (&str, Option<&str>),
        message: &str,
        offset: u64,
        out: &mut Vec<u8>,
    ) -> usize {
        out.extend_from_slice(BEFORE_TIME);
        out.extend_from_slice(time.as_bytes());
        out.extend_from_slice(BEFORE_MESSAGE);
        let start = out.len();
        escape(message, out);
        let length = out.len() - start;
        if let Some(stream) = stream {
            out.extend_from_slice(b"\",\"stream\":\"");
            out.extend_from_slice(stream.as_bytes());
        }
        out.extend_from_slice(&self.after_message);
        number(offset, out);
        out.extend_from_slice(&self.after_offset);
        length
    }
}

/// Puts `ours` into `given`; ours counts where both have a member.
fn merge(given: &mut Value, ours: Value) {
    match (given, ours) {
        (Value::Object(given), Value::Object(ours)) => {
            for (name, value) in ours {
                merge(given.entry(name).or_insert(Value::Null), value);
            }
        }
        (given, ours) => *given = ours,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// With these fields, at a time that stands still.
    #[derive(Debug)]
    pub(crate) struct Fixed(pub(crate) Value);

    impl Origin for Fixed {
        fn host(&self) -> &str {
            "web-\"1\""
        }

        fn fields(&self, _: &Path) -> Map<String, Value> {
            self.0.as_object().cloned().unwrap_or_default()
        }

        fn now(&self) -> String {
            "2026-11-26T08:00:00.123Z".into()
        }
    }

    #[track_caller]
    fn check(fields: Value, expected: Value) {
        let origin = Fixed(fields);
        let envelope = Envelope::new(&origin, "/var/log/\"a\\b\".log".as_ref(), FileId(0xAB));
        let mut out = b"before".to_vec();
        let length = envelope.write(&origin.now(), "a \"b\"", 47, &mut out);
        assert_eq!(length, 7);
        assert!(out.len() - 6 <= envelope.size() + length);
        assert_eq!(serde_json::from_slice::<Value>(&out[6..]).unwrap(), expected);
    }

    #[test]
    fn the_object_has_the_documented_members_and_fields_nest_among_them() {
        let mut expected = json!({
            "@timestamp": "2026-11-26T08:00:00.123Z",
            "message": "a \"b\"",
            "host": {"name": "web-\"1\""},
            "log": {"file": {"path": "/var/log/\"a\\b\".log"}, "offset": 47},
            "logcatch": {"file_id": "00000000000000ab"},
        });
        check(json!({}), expected.clone());
        expected["env"] = json!("prod");
        expected["service"] = json!({"name": "shop", "node": 7, "canary": true});
        expected["host"]["ip"] = json!("10.0.0.1");
        expected["log"]["level"] = json!("x");
        expected["log"]["file"]["kind"] = json!("y");
        let fields = json!({
            "env": "prod", "service": {"name": "shop", "node": 7, "canary": true}, "host": {"ip": "10.0.0.1"},
            "log": {"level": "x", "file": {"kind": "y"}},
        });
        check(fields, expected);
    }
}
