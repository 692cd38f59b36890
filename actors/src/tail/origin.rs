//! What records say about where they come from, by the settings of their entry.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use logcatch_kafka::Headers;
use logcatch_settings::{LogEntry, Pod};
use logcatch_tail::{Origin, Shape, StreamRecord};
use serde_json::{Map, Value};

use crate::dead_letters::utc;

#[derive(Debug)]
struct EntryOrigin {
    entry: Arc<LogEntry>,
    host: Arc<str>,
}

impl Origin for EntryOrigin {
    fn host(&self) -> &str {
        &self.host
    }

    fn fields(&self, path: &Path) -> Map<String, Value> {
        let mut fields = self.entry.fields_json(&self.host, path);
        let pod = if self.entry.container { Pod::of(path) } else { None };
        if let Some(pod) = pod {
            let given = fields.entry("kubernetes").or_insert_with(|| Map::new().into());
            pod.put_into(given);
        }
        fields
    }

    fn now(&self) -> String {
        utc(SystemTime::now())
    }
}

/// How lines of the entry become records.
#[must_use]
pub fn shape_of(entry: &Arc<LogEntry>, host: &Arc<str>) -> Shape {
    let origin = || {
        let (entry, host) = (Arc::clone(entry), Arc::clone(host));
        Arc::new(EntryOrigin { entry, host }) as Arc<dyn Origin>
    };
    Shape {
        charset: entry.charset,
        json: entry.json.then(origin),
        filter: entry.filter.clone(),
        multiline: entry.multiline.clone(),
        container: entry.container,
        rate_limit: entry.rate_limit,
    }
}

/// What the records of a file carry as headers: `fields`, if they are not in the value, and where it comes from, if that is
/// wanted.
#[must_use]
pub fn headers_of(entry: &LogEntry, host: &str, file: &StreamRecord) -> Option<Arc<Headers>> {
    let mut headers = Headers::default();
    if entry.headers {
        headers.fixed.extend([
            ("host.name".to_owned(), host.as_bytes().to_vec()),
            (
                "log.file.path".to_owned(),
                file.path.to_string_lossy().as_bytes().to_vec(),
            ),
            ("logcatch.file_id".to_owned(), file.id.to_string().into_bytes()),
        ]);
        headers.offset = Some("log.offset".to_owned());
    }
    if !entry.json {
        let fields = entry.fields_text(host, &file.path).into_iter();
        headers
            .fixed
            .extend(fields.map(|(name, value)| (name, value.into_bytes())));
    }
    (!headers.is_empty()).then(|| Arc::new(headers))
}
