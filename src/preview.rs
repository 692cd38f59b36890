//! `logcatch preview`: the records a file would become, without Kafka and without positions.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use logcatch_actors::{headers_of, shape_of};
use logcatch_kafka::RecordHeaders;
use logcatch_settings::cause::words;
use logcatch_settings::{LogEntry, Refused, load};
use logcatch_tail::{
    Batch, Claims, Condition, Handles, Lease, Positions, Rotated, Shape, Todo, WatchSpec, Watcher, World,
};
use serde::Serialize;

use crate::cli::{self, PreviewArgs, environment};
use crate::error::{CannotPrint, Failure};

/// How often a followed file is looked at.
const PAUSE: Duration = Duration::from_millis(200);
/// The default of the setting `max_line`.
const MAX_LINE: usize = 900 * 1024;
/// The name of the entry when no settings say one.
const NO_ENTRY: &str = "preview";

/// One record, as `--json` prints it.
#[derive(Serialize)]
struct Record<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    value: std::borrow::Cow<'a, str>,
}

/// Prints the records of `args.path` to stdout, as the first entry of the settings that means it would send them.
pub fn run(config: &Path, args: &PreviewArgs) -> Result<(), Failure> {
    let path = std::path::absolute(&args.path).map_err(Failure::new)?;
    let settings = match load(config, &environment) {
        Ok(loaded) => Some(loaded.settings),
        // Without a settings file the defaults count; one that is there and wrong is an error.
        Err(Refused::Unreadable { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            cli::note(&format!(
                "there are no settings at `{}`; the defaults count",
                config.display()
            ));
            None
        }
        Err(refused) => return Err(refused.into()),
    };
    let logs = settings.iter().flat_map(|settings| &settings.logs);
    let entry = logs.into_iter().find(|entry| entry.means(&path)).cloned().map(Arc::new);
    let host: Arc<str> = settings.as_ref().map_or("", |settings| &settings.host).into();
    if settings.is_some() && entry.is_none() {
        cli::note("no entry of the settings means this file; the defaults count");
    }
    let world = World {
        positions: Positions::in_memory(),
        claims: Arc::new(Claims::default()),
        handles: Handles::new(usize::MAX),
        listings: Arc::default(),
        spares: Arc::default(),
        lease: Lease::default(),
    };
    let spec = WatchSpec {
        log: entry.as_ref().map_or(NO_ENTRY, |entry| entry.name.as_str()).into(),
        path: path.into(),
        max_line: entry.as_ref().map_or(MAX_LINE, |entry| entry.max_line),
        shape: entry
            .as_ref()
            .map_or_else(Shape::default, |entry| shape_of(entry, &host)),
        from_end: false,
        rotated: Rotated::default(),
        ignore_before: None,
    };
    let meant = entry.map(|entry| Meant {
        key: entry.key_of(&host, &spec.path),
        topic: entry.topic_of(&host, &spec.path).ok(),
        entry,
        host,
    });
    let mut watcher = Watcher::new(spec, world, Arc::new(|| {}));
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut print = |batch: &Batch| print(&mut out, batch, args.json, meant.as_ref());
    let printed = follow(&mut watcher, args.follow, &mut print)?;
    let rest = watcher
        .seen()
        .map(|seen| seen.size.saturating_sub(seen.handed_over))
        .sum::<u64>();
    if rest > 0 && printed.is_ok() {
        cli::note(&format!(
            "{rest} bytes at the end are a line without its end: they ship when it comes"
        ));
    }
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::from(CannotPrint(error))),
        _ => Ok(()),
    }
}

/// Reads to the end, or for ever. The inner error is that of printing.
fn follow(
    watcher: &mut Watcher,
    for_ever: bool,
    print: &mut dyn FnMut(&Batch) -> io::Result<()>,
) -> Result<io::Result<()>, Failure> {
    let mut now = Instant::now();
    loop {
        now = now.max(Instant::now());
        match watcher.poll(now).map_err(Failure::new)? {
            Todo::Save { order } => watcher.saved(order),
            Todo::Read { cost } => {
                if let Some(batch) = watcher.read(now, cost).map_err(Failure::new)?
                    && let Err(error) = print(&batch)
                {
                    return Ok(Err(error));
                }
            }
            Todo::Wait { .. } if for_ever => {
                thread::sleep(PAUSE);
                watcher.wake();
            }
            // No more lines are waited for.
            Todo::Wait { until: Some(until) } if watcher.awaits_lines() => now = until,
            Todo::Wait { .. } => {
                return match watcher.condition() {
                    Condition::Present => Ok(Ok(())),
                    condition => Err(cannot_read(watcher.path(), condition)),
                };
            }
        }
    }
}

fn cannot_read(path: &Path, condition: &Condition) -> Failure {
    let cause = match condition {
        Condition::NotAFile => "it is not a regular file",
        Condition::Refused { cause, .. } => words(cause),
        _ => "no such file",
    };
    Failure::new(format!("cannot read `{}`: {cause}", path.display())).help("name a log file that this user may read")
}

/// How the settings would send the records.
struct Meant {
    entry: Arc<LogEntry>,
    host: Arc<str>,
    key: Option<String>,
    topic: Option<String>,
}

fn print(out: &mut impl Write, batch: &Batch, json: bool, meant: Option<&Meant>) -> io::Result<()> {
    let all = meant.and_then(|meant| headers_of(&meant.entry, &meant.host, &batch.stream.record()));
    let mut parts = batch.parts.iter().peekable();
    for (index, range) in batch.records.iter().enumerate() {
        let value = &batch.buffer[range.start as usize..range.end as usize];
        if !json {
            out.write_all(value)?;
            out.write_all(b"\n")?;
            continue;
        }
        let part = parts
            .next_if(|(at, _)| *at as usize == index)
            .map(|(_, part)| part.as_str());
        let carried = RecordHeaders {
            all: all.as_deref(),
            offset: batch.offset_of(index),
            part: None,
        };
        let mut headers = BTreeMap::new();
        carried.for_each(|name, value| {
            headers.insert(name.to_owned(), String::from_utf8_lossy(value).into_owned());
        });
        serde_json::to_writer(
            &mut *out,
            &Record {
                topic: meant.and_then(|meant| meant.topic.as_deref()),
                key: meant.and_then(|meant| meant.key.as_deref()),
                offset: carried.offset,
                part,
                headers,
                value: String::from_utf8_lossy(value),
            },
        )?;
        out.write_all(b"\n")?;
    }
    out.flush()
}
