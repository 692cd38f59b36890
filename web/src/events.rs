//! The event stream (Server-Sent Events, as the HTML standard has them): how the service stands, what happens, and for the page
//! the sections of it that changed.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use actix_web::web::Bytes;
use futures_util::stream::unfold;
use logcatch_actors::{State, verdict};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::api::off_thread;
use crate::observatory::Observatory;
use crate::page::{self, View};
use crate::query::Filter;
use crate::service::{Service, Snapshot};

/// Streams at once: each costs what a page costs, once a second.
const STREAMS: usize = 16;
/// From one look to the next.
const BEAT: Duration = Duration::from_secs(1);
/// A stream on which nothing changes says so, that proxies keep it and one that nobody reads is noticed.
const STILL_HERE: Duration = Duration::from_secs(15);

/// The streams under way.
pub struct Streams(Arc<Semaphore>);

/// What a stream is to carry besides how the service stands.
#[derive(Debug, Deserialize)]
#[serde(default)]
#[derive(Default)]
pub struct Wanted {
    /// Sections of the page, if it is there with any value.
    page: Option<String>,
}

struct Stream<S> {
    observatory: Arc<Observatory<S>>,
    filter: Filter,
    wants_page: bool,
    /// What was sent last, by section.
    sent: HashMap<&'static str, u64>,
    status: Value,
    /// The number of the last event that was told.
    last: Option<u64>,
    spoke: Instant,
    is_first: bool,
    _seat: OwnedSemaphorePermit,
}

impl Streams {
    /// None is under way.
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(STREAMS)))
    }

    /// A seat for one more, if there is one.
    pub fn enter(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_owned().ok()
    }
}

/// The answer that goes on for as long as the client listens.
pub fn answer<S: Service>(
    observatory: Arc<Observatory<S>>,
    wanted: Wanted,
    filter: Filter,
    seat: OwnedSemaphorePermit,
) -> HttpResponse {
    let stream = Stream {
        observatory,
        filter,
        wants_page: wanted.page.is_some(),
        sent: HashMap::new(),
        status: Value::Null,
        last: None,
        spoke: Instant::now(),
        is_first: true,
        _seat: seat,
    };
    let chunks = unfold(stream, |mut stream| async {
        let text = stream.next().await;
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(text)), stream))
    });
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(chunks)
}

impl<S: Service> Stream<S> {
    /// What is to be said next, when there is something.
    async fn next(&mut self) -> String {
        loop {
            if !std::mem::take(&mut self.is_first) {
                tokio::time::sleep(BEAT).await;
            }
            let mut text = self.look().await;
            if text.is_empty() && self.spoke.elapsed() >= STILL_HERE {
                text = ": still here\n\n".to_owned();
            }
            if !text.is_empty() {
                self.spoke = Instant::now();
                return text;
            }
        }
    }

    async fn look(&mut self) -> String {
        let snapshot = self.observatory.now().await;
        let mut text = String::new();
        let status = status(&snapshot);
        if status != self.status {
            message(&mut text, "status", &status);
            self.status = status;
        }
        let all = self.observatory.events(0);
        let last = all.last().map_or(0, |event| event.number);
        // Who comes new is told what happens from now on.
        let known = *self.last.get_or_insert(last);
        for event in all.iter().filter(|event| event.number > known) {
            message(&mut text, "event", &json!(event));
        }
        self.last = Some(last);
        if self.wants_page {
            let (history, filter) = (self.observatory.history().await, self.filter.clone());
            let sections = off_thread(move || page::sections(&View::new(&snapshot, &history, &all, &filter)));
            for (id, html) in sections.await {
                let mut hasher = DefaultHasher::new();
                html.hash(&mut hasher);
                if self.sent.insert(id, hasher.finish()) != Some(hasher.finish()) {
                    message(&mut text, "section", &json!({ "id": id, "html": html }));
                }
            }
        }
        text
    }
}

/// The service in a few words and numbers.
fn status(snapshot: &Snapshot) -> Value {
    let report = &snapshot.report;
    let count = |state| report.files.iter().filter(|file| file.state == state).count();
    json!({
        "verdict": verdict::sentence(report),
        "remarks": verdict::remarks(report),
        "kafka_up": report.kafka.up,
        "files": {
            "idle": count(State::Idle), "reading": count(State::Reading), "waiting": count(State::Waiting),
            "blocked": count(State::Blocked), "failed": count(State::Failed),
        },
        "lag_bytes": report.files.iter().map(|file| file.lag_bytes).sum::<u64>(),
        "in_flight_bytes": report.kafka.in_flight_bytes,
    })
}

/// JSON has no line ends of its own, so that a message is one line of data.
fn message(text: &mut String, event: &str, data: &Value) {
    text.push_str(&format!("event: {event}\ndata: {data}\n\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_of_data_whatever_is_in_it() {
        let mut text = String::new();
        message(&mut text, "event", &json!({ "text": "a\nb\r\n\ndata: c" }));
        assert_eq!(text.lines().count(), 3);
        assert!(text.ends_with("\n\n"), "{text}");
    }

    #[test]
    fn there_are_seats_for_so_many_streams_and_a_seat_is_given_back() {
        let streams = Streams::new();
        let mut seats: Vec<_> = (0..STREAMS).map(|_| streams.enter().unwrap()).collect();
        assert!(streams.enter().is_none());
        seats.pop();
        assert!(streams.enter().is_some());
    }
}
