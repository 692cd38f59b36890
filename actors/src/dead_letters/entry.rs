//! A dead letter as it is kept: one JSON object a line. Names may be added, never changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use logcatch_kafka::{Headers, Letter, RecordHeaders};
use serde::{Deserialize, Serialize};

use super::text::{base64, from_base64, utc};

/// What is kept of a record that Kafka refused for itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// When it was refused: RFC 3339, UTC.
    pub time: String,
    /// The name of its settings entry.
    pub log: String,
    /// The path its file was found under; what is not UTF-8 is replaced.
    pub path: String,
    /// Names the file whatever its path.
    pub file_id: String,
    /// The file offset of its first byte.
    pub offset: u64,
    /// The topic that refused it.
    pub topic: String,
    /// The partition it was meant for, if it had a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<i32>,
    /// Its key, if it had one. Instead of `key`, `key_base64` if it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    /// The value of its header `logcatch.part`, if it is a part of a split line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// Its other headers; what is not UTF-8 is replaced.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    /// Why it was refused.
    pub reason: String,
    /// The record's bytes. Instead of `line`, `line_base64` if they are not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    line: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    line_base64: Option<String>,
}

impl DeadLetter {
    /// A letter that is refused now.
    pub(super) fn new(letter: &Letter, now: SystemTime) -> Self {
        let (line, line_base64) = kept(letter.line());
        let (key, key_base64) = if letter.key.is_empty() {
            (None, None)
        } else {
            kept(&letter.key)
        };
        Self {
            time: utc(now),
            log: letter.source.log.to_string(),
            path: letter.source.path.to_string_lossy().into_owned(),
            file_id: letter.source.file_id.clone(),
            offset: letter.offset,
            topic: letter.topic.to_string(),
            partition: letter.partition,
            key,
            key_base64,
            part: letter.part.clone(),
            headers: headers(letter),
            reason: letter.reason.clone(),
            line,
            line_base64,
        }
    }

    /// The record's bytes.
    #[must_use]
    pub fn line(&self) -> Vec<u8> {
        given(self.line.as_deref(), self.line_base64.as_deref())
    }

    /// Its key; empty means none.
    #[must_use]
    pub fn key(&self) -> Vec<u8> {
        given(self.key.as_deref(), self.key_base64.as_deref())
    }

    /// What it carried besides its part.
    #[must_use]
    pub(super) fn headers(&self) -> Option<Arc<Headers>> {
        let fixed = self
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.clone().into_bytes()));
        let fixed: Vec<_> = fixed.collect();
        (!fixed.is_empty()).then(|| Arc::new(Headers { fixed, offset: None }))
    }

    /// Whether [`DeadLetter::line`] and [`DeadLetter::key`] say what was refused; false for what no logcatch wrote.
    pub(super) fn is_whole(&self) -> bool {
        let good = |text: &Option<String>| text.as_deref().is_none_or(|text| from_base64(text).is_some());
        (self.line.is_some() || self.line_base64.is_some()) && good(&self.line_base64) && good(&self.key_base64)
    }
}

fn headers(letter: &Letter) -> BTreeMap<String, String> {
    let carried = RecordHeaders {
        all: letter.headers.as_deref(),
        offset: letter.offset,
        part: None,
    };
    let mut headers = BTreeMap::new();
    carried.for_each(|name, value| {
        headers.insert(name.to_owned(), String::from_utf8_lossy(value).into_owned());
    });
    headers
}

/// As text where the bytes are that, else in base64.
fn kept(bytes: &[u8]) -> (Option<String>, Option<String>) {
    match str::from_utf8(bytes) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(base64(bytes))),
    }
}

fn given(text: Option<&str>, encoded: Option<&str>) -> Vec<u8> {
    match text {
        Some(text) => text.as_bytes().to_vec(),
        None => encoded.and_then(from_base64).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use logcatch_kafka::Source;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_letter_says_what_where_and_why_and_can_be_read_again() {
        let source = Arc::new(Source {
            log: "nginx".into(),
            path: std::path::Path::new("/var/log/nginx/access.log").into(),
            file_id: "f1".into(),
        });
        let reason = "MSG_SIZE_TOO_LARGE: Broker: Message size too large";
        let letter = |line: &[u8]| Letter::new(Arc::clone(&source), "web".into(), 4711, reason.into(), line.to_vec());
        let now = SystemTime::UNIX_EPOCH;

        let plain = DeadLetter::new(&letter(b"a \"line\""), now);
        let mut expected = json!({
            "time": "1970-01-01T00:00:00.000Z", "log": "nginx", "path": "/var/log/nginx/access.log",
            "file_id": "f1", "offset": 4711, "topic": "web", "reason": reason, "line": "a \"line\"",
        });
        assert_eq!(serde_json::to_value(&plain).unwrap(), expected);

        let mut other = letter(&[0xff, 0xfe, b'a']);
        other.key = Arc::from(*b"host:/x");
        other.partition = Some(3);
        other.part = Some("2/2".into());
        let carried = Headers {
            fixed: vec![("env".into(), b"prod".to_vec())],
            offset: Some("log.offset".into()),
        };
        other.headers = Some(Arc::new(carried));
        let other = DeadLetter::new(&other, now);
        expected.as_object_mut().unwrap().remove("line");
        expected["line_base64"] = json!("//5h");
        expected["key"] = json!("host:/x");
        expected["partition"] = json!(3);
        expected["part"] = json!("2/2");
        expected["headers"] = json!({"env": "prod", "log.offset": "4711"});
        assert_eq!(serde_json::to_value(&other).unwrap(), expected);

        let again: DeadLetter = serde_json::from_value(expected).unwrap();
        assert_eq!(
            (again.line(), again.key()),
            (vec![0xff, 0xfe, b'a'], b"host:/x".to_vec())
        );
        let carried = again.headers().unwrap();
        let expected = [("env", "prod"), ("log.offset", "4711")].map(|(name, value)| (name.into(), value.into()));
        assert_eq!((carried.fixed.as_slice(), &carried.offset), (&expected[..], &None));
        assert!(again.is_whole() && plain.is_whole() && plain.headers().is_none());
        assert!(plain.key().is_empty());
    }
}
