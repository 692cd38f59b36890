//! Sends dead letters again. A letter is taken out of its file when Kafka has acknowledged it, and not before: a crash in
//! between sends it twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use logcatch_kafka::{Batch, BuryError, DeadLetters, LaneState, Lanes, Letter, Outcome, Settle, Source, Target};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::entry::DeadLetter;
use super::segments::{LettersError, Segment, Segments};

/// Letters on their way at once: enough that requests are full, and few enough for any memory.
const AT_ONCE: usize = 500;

/// Bytes of their lines, likewise; a letter alone may be longer.
const AT_ONCE_BYTES: usize = 4 * 1024 * 1024;

/// Kafka is given up when it acknowledges nothing for so long: it may just restart.
const PATIENCE: Duration = Duration::from_secs(30);

/// A topic that is known to take nothing is given up after this; any is, once the resend is to end.
const SHORT_PATIENCE: Duration = Duration::from_secs(5);

/// How often to look which of the two it is.
const LOOK: Duration = Duration::from_millis(500);

/// Sends letters again, through a way to Kafka whose refusals go to [`Refusals`].
pub struct Resend<F> {
    ship: F,
    lanes: Lanes,
    refusals: Arc<Refusals>,
    /// Instead of the topic they had.
    topic: Option<String>,
    /// Topics that take nothing, and why.
    given_up: BTreeMap<String, String>,
    resent: Resent,
    progress: watch::Sender<Resent>,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resent {
    /// Letters that Kafka acknowledged; they are no longer kept.
    pub sent: u64,
    /// Letters that were refused again; they are kept.
    pub refused: u64,
    /// Letters that were meant and are still kept, refused ones and unreadable lines included.
    pub left: u64,
    /// Lines that are no letters; they are kept.
    pub unreadable: u64,
    /// Why letters are left, each reason once.
    pub reasons: BTreeSet<String>,
    /// Ended before all were tried; `left` counts none of those that were not.
    pub cut: bool,
}

/// Takes note of what is refused again: the letters stay where they are.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<BTreeSet<String>>);

impl DeadLetters for Refusals {
    fn bury(&self, letters: &[Letter]) -> Result<(), BuryError> {
        let reasons = letters
            .iter()
            .map(|letter| format!("topic `{}`: {}", letter.topic, letter.reason));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(reasons);
        Ok(())
    }
}

/// What became of one letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Sent,
    Refused,
    Left,
}

/// Tells the fate of a letter, by its place.
struct Ticket {
    place: usize,
    told: UnboundedSender<(usize, Fate)>,
}

impl Settle for Ticket {
    fn settle(self: Box<Self>, outcome: Outcome) {
        let fate = if outcome.dead_lettered.is_empty() {
            Fate::Sent
        } else {
            Fate::Refused
        };
        // Whoever gave up waiting leaves the letter where it is.
        let _ = self.told.send((self.place, fate));
    }
}

impl<F: Fn(Batch)> Resend<F> {
    /// Sends through `ship`, whose lanes are `lanes` and whose dead letters go to `refusals`; to `topic` instead of the topic
    /// that each letter had, if there is one. How far it is goes to `progress`; with nobody there any more, it ends early.
    pub fn new(
        ship: F,
        lanes: Lanes,
        refusals: Arc<Refusals>,
        topic: Option<String>,
        progress: watch::Sender<Resent>,
    ) -> Self {
        Self {
            ship,
            lanes,
            refusals,
            topic,
            given_up: BTreeMap::new(),
            resent: Resent::default(),
            progress,
        }
    }

    /// Sends all of these files that are `wanted`, file by file, until `stop` says so. Nobody may add letters to them
    /// meanwhile.
    ///
    /// # Errors
    /// A file cannot be read or written; what was acknowledged of it stays and would be sent twice.
    pub async fn run(
        mut self,
        segments: &Segments,
        files: &[Segment],
        wanted: impl Fn(&DeadLetter) -> bool,
        stop: impl Fn() -> bool,
    ) -> Result<Resent, LettersError> {
        for segment in files {
            if self.resent.cut {
                break;
            }
            let sent = self.send_segment(segment, &wanted, &stop).await?;
            segments.take_out(segment, &sent)?;
        }
        let refusals = self.refusals.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.resent.reasons.extend(refusals);
        let given_up = std::mem::take(&mut self.given_up);
        let given_up = given_up
            .into_iter()
            .map(|(topic, reason)| format!("topic `{topic}`: {reason}"));
        self.resent.reasons.extend(given_up);
        Ok(self.resent)
    }

    /// Sends what is wanted of a file; which lines of it are acknowledged.
    async fn send_segment(
        &mut self,
        segment: &Segment,
        wanted: impl Fn(&DeadLetter) -> bool,
        stop: impl Fn() -> bool,
    ) -> Result<BTreeSet<usize>, LettersError> {
        let mut sent = BTreeSet::new();
        let mut group = Vec::new();
        let mut bytes = 0;
        for (index, line) in segment.lines()?.enumerate() {
            let line = line?;
            let Some(letter) = line.letter else {
                self.resent.unreadable += 1;
                self.resent.left += 1;
                continue;
            };
            if !wanted(&letter) {
                continue;
            }
            bytes += line.raw.len();
            group.push((index, letter));
            if group.len() >= AT_ONCE || bytes >= AT_ONCE_BYTES {
                self.send(std::mem::take(&mut group), &mut sent, &stop).await;
                bytes = 0;
                if self.is_over(&stop) {
                    self.resent.cut = true;
                    break;
                }
            }
        }
        self.send(group, &mut sent, &stop).await;
        Ok(sent)
    }

    /// Sends a group and waits for what becomes of it; adds the lines of those acknowledged to `sent`.
    async fn send(&mut self, group: Vec<(usize, DeadLetter)>, sent: &mut BTreeSet<usize>, stop: impl Fn() -> bool) {
        let (told, mut fates) = unbounded_channel();
        let mut waiting: BTreeMap<usize, String> = BTreeMap::new();
        for (place, letter) in group {
            let topic = self.topic.clone().unwrap_or_else(|| letter.topic.clone());
            if self.given_up.contains_key(&topic) {
                self.count(Fate::Left);
                continue;
            }
            let told = told.clone();
            (self.ship)(batch(&letter, &topic, Box::new(Ticket { place, told })));
            waiting.insert(place, topic);
        }
        let mut quiet_since = Instant::now();
        while !waiting.is_empty() {
            let Ok(Some((place, fate))) = timeout(LOOK, fates.recv()).await else {
                let is_held = || waiting.values().all(|topic| self.held(topic).is_some());
                let patience = if self.is_over(&stop) || is_held() {
                    SHORT_PATIENCE
                } else {
                    PATIENCE
                };
                if quiet_since.elapsed() >= patience {
                    break;
                }
                continue;
            };
            quiet_since = Instant::now();
            if waiting.remove(&place).is_some() {
                self.count(fate);
                if fate == Fate::Sent {
                    sent.insert(place);
                }
            }
        }
        for topic in waiting.into_values() {
            self.count(Fate::Left);
            let reason = self.held(&topic).unwrap_or_else(|| "Kafka does not answer".to_owned());
            self.given_up.insert(topic, reason);
        }
        self.progress.send_replace(self.resent.clone());
    }

    /// Whether nobody wants more to be sent.
    fn is_over(&self, stop: impl Fn() -> bool) -> bool {
        stop() || self.progress.is_closed()
    }

    /// Why a topic is known to take nothing.
    fn held(&self, topic: &str) -> Option<String> {
        match self.lanes.lane(topic).state() {
            LaneState::Held { reason, .. } => Some(reason.to_string()),
            LaneState::Asking | LaneState::Open => None,
        }
    }

    fn count(&mut self, fate: Fate) {
        match fate {
            Fate::Sent => self.resent.sent += 1,
            Fate::Refused => {
                self.resent.refused += 1;
                self.resent.left += 1;
            }
            Fate::Left => self.resent.left += 1,
        }
    }
}

/// A letter as a batch of its own: what becomes of it is told of it alone.
fn batch(letter: &DeadLetter, topic: &str, ticket: Box<dyn Settle>) -> Batch {
    let line = letter.line();
    let end = u32::try_from(line.len()).unwrap_or(u32::MAX);
    // A partition counts in its own topic only.
    let partition = letter.partition.filter(|_| topic == letter.topic);
    let source = Source {
        log: letter.log.as_str().into(),
        path: std::path::Path::new(&letter.path).into(),
        file_id: letter.file_id.clone(),
    };
    Batch {
        target: Arc::new(Target::new(topic.into(), letter.key(), partition)),
        buffer: line,
        records: std::iter::once(0..end).collect(),
        parts: letter.part.iter().map(|part| (0, part.clone())).collect(),
        extents: Vec::new(),
        headers: letter.headers(),
        source: Arc::new(source),
        offset: letter.offset,
        ticket,
    }
}
