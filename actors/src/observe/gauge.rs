//! How one watcher stands: published by it after each step, read by whoever asks.

mod judge;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use logcatch_kafka::{Lane, Refusal, Target};
use logcatch_tail::{Condition, FileId, LagClock, Life, Seen, Stream, StreamRecord, Watcher};
use smallvec::SmallVec;

use super::board::Key;
use super::events::{EventKind, Events};
use super::loss::LastSeen;
use super::rate::Rate;
use super::report::{FileRow, State};
use super::tally::{Restarted, Rotation, Tally};
use super::words;

/// A step that takes longer than this hangs: it reads at most 256 KiB, or lists a directory.
const HANGS: Duration = Duration::from_secs(5);
/// Why a watcher is down whose step did not return, in the words of the supervisor.
pub(crate) const NOT_ANSWERING: &str = "does not answer";

/// What a watcher does, as it knows it itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Activity {
    /// It was made and has not looked yet.
    Starting,
    /// It sleeps until something happens.
    Asleep,
    /// It reads.
    Reading,
    /// The topic must take records.
    Lane,
    /// The topic must have room: it holds its share of the budget.
    Room,
    /// Bytes of the budget must become free.
    Budget,
    /// A batch of its own must be settled.
    Settling,
    /// Its entry has read as much as its rate limit allows now.
    Paced,
    /// A first position must be on disk.
    Saving,
    /// It was told to start anew.
    Restarting,
    /// It failed, for this reason, and rests.
    Failed(String),
}

/// What is not the watcher's own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surroundings {
    /// True if Kafka is reached, none before the first answer.
    pub(crate) kafka: Option<bool>,
    /// Why it is not, if one side does not let the other in.
    pub(crate) refusal: Option<Refusal>,
    /// The last save of positions failed.
    pub(crate) saves_fail: bool,
}

/// One generation, as it was published last.
#[derive(Debug)]
struct Known {
    stream: Arc<Stream>,
    target: Option<Arc<Target>>,
    size: u64,
    handed_over: u64,
    modified: i64,
    clock: LagClock,
}

#[derive(Debug)]
struct Published {
    activity: Activity,
    since: Instant,
    /// When the step under way began.
    step: Option<Instant>,
    condition: Condition,
    lane: Option<Arc<Lane>>,
    /// Nearly always one.
    files: SmallVec<[Known; 1]>,
    followed: u32,
    waits_for_handle: bool,
    on_disk: u64,
    /// When the file was first seen to have more than before, while nothing of it could be read.
    grew: Option<Box<Instant>>,
    restarts: u32,
    /// None while nothing was acknowledged for some time.
    rate: Option<Rate>,
    /// There was a rate, and it is over.
    rested: bool,
    /// All was acknowledged when somebody looked last, for some time, and nothing was published since.
    quiet: bool,
    /// One more than the number of the youngest generation that was published; 0 before the first.
    newest: u64,
}

/// How one watcher stands. It outlives the incarnations of the watcher.
#[derive(Debug)]
pub struct Gauge {
    /// Whose it is.
    key: Key,
    published: Mutex<Published>,
    /// Where what happens is counted and told, once it is on a board.
    shown: OnceLock<Arc<Shown>>,
}

/// Bytes: one a file, as in `Watcher`.
const _: () = assert!(size_of::<Gauge>() <= 280);

/// Where what happens in an entry is counted and told.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) tally: Arc<Tally>,
    pub(crate) events: Arc<Events>,
}

impl Gauge {
    /// The gauge of a watcher that does not run yet.
    #[must_use]
    pub fn new(key: Key) -> Self {
        let now = Instant::now();
        Self {
            key,
            published: Mutex::new(Published {
                activity: Activity::Starting,
                since: now,
                step: None,
                condition: Condition::Absent,
                lane: None,
                files: SmallVec::new(),
                followed: 0,
                waits_for_handle: false,
                on_disk: 0,
                grew: None,
                restarts: 0,
                rate: None,
                rested: false,
                quiet: false,
                newest: 0,
            }),
            shown: OnceLock::new(),
        }
    }

    /// The entry and the path of its watcher.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// It is on a board: what happens is counted and told there.
    pub(crate) fn shown_by(&self, shown: Arc<Shown>) {
        // One that is put there again stays what it was.
        self.shown.get_or_init(|| shown);
    }

    /// So many lines were handed over.
    pub(crate) fn took(&self, lines: u64) {
        if let Some(shown) = self.shown.get() {
            shown.tally.read(lines);
        }
    }

    /// So many bytes became dead letters, by the name of the error.
    pub(crate) fn buried(&self, reasons: &[(&'static str, u64)]) {
        if let Some(shown) = self.shown.get() {
            shown.tally.buried(reasons);
        }
    }

    /// A step begins, which may hang.
    pub(crate) fn enter(&self, now: Instant) {
        self.change().step = Some(now);
    }

    /// It ended, and another one follows at once.
    pub(crate) fn leave(&self) {
        self.change().step = None;
    }

    /// How the watcher stands after a step; what it does, unless it does the same as before.
    pub(crate) fn publish(
        &self,
        activity: Option<Activity>,
        watcher: &Watcher,
        lane: &Arc<Lane>,
        target: impl Fn(FileId) -> Option<Arc<Target>>,
        now: Instant,
    ) {
        let mut published = self.change();
        published.step = None;
        if let Some(activity) = activity {
            published.turn_to(activity, now);
        }
        if published.condition != *watcher.condition() {
            published.condition = watcher.condition().clone();
        }
        if published.lane.as_ref().is_none_or(|known| !Arc::ptr_eq(known, lane)) {
            published.lane = Some(Arc::clone(lane));
        }
        published.followed = u32::try_from(watcher.followed()).unwrap_or(u32::MAX);
        published.waits_for_handle = watcher.waits_for_handle();
        let before = published.newest;
        let mut newest = before;
        let files = &mut published.files;
        let mut count = 0;
        for seen in watcher.seen() {
            let known = files.iter().skip(count).position(|known| known.is(&seen));
            match known {
                Some(found) => files.swap(count, count + found),
                None => {
                    let record = seen.stream.record();
                    newest = newest.max(record.order.saturating_add(1));
                    if before > 0 && record.order >= before {
                        self.rotated(&record, files);
                    }
                    files.insert(count, Known::new(&seen, &record, now));
                }
            }
            if let Some(file) = files.get_mut(count) {
                file.update(&seen, target(seen.stream.id()), now);
            }
            count += 1;
        }
        files.truncate(count);
        if count > 0 {
            published.grew = None;
        }
        published.newest = newest;
    }

    /// A generation follows those that are known.
    fn rotated(&self, record: &StreamRecord, before: &[Known]) {
        let Some(shown) = self.shown.get() else { return };
        let is_cut = record.truncated && record.life == Life::Live;
        let (kind, what) = match is_cut {
            true => (Rotation::Truncate, "truncated"),
            false => (Rotation::Rename, "renamed or deleted"),
        };
        shown.tally.rotated(kind);
        let unread: u64 = before
            .iter()
            .map(|known| known.size.saturating_sub(known.stream.acknowledged()))
            .sum();
        if unread > 0 {
            let text = format!("{what} with {} not acknowledged", words::bytes(unread as f64));
            shown.say(&self.key, EventKind::Rotated, text);
        }
    }

    /// What it does has another name now.
    pub(crate) fn turn_to(&self, activity: Activity, now: Instant) {
        self.change().turn_to(activity, now);
    }

    /// It will be started again.
    pub(crate) fn restarts(&self, activity: Activity, now: Instant) {
        let mut published = self.change();
        published.restarts += 1;
        published.step = None;
        if let Some(shown) = self.shown.get() {
            let (why, text) = match &activity {
                Activity::Failed(text) if text == NOT_ANSWERING => (Restarted::NotAnswering, text.as_str()),
                Activity::Failed(text) => (Restarted::Failed, text.as_str()),
                _ => (Restarted::Ordered, "ordered by an operator"),
            };
            shown.tally.restarted(why);
            shown.say(&self.key, EventKind::WatcherRestarted, text);
        }
        published.turn_to(activity, now);
    }

    /// The file at the path had so many bytes when directories were last looked at: what is known of one that cannot be opened.
    pub(crate) fn on_disk(&self, size: u64) {
        let mut published = self.change();
        if published.files.is_empty() && size > published.on_disk {
            published.grew.get_or_insert_with(|| Box::new(Instant::now()));
        }
        published.on_disk = size;
    }

    /// So much of its files was acknowledged.
    pub(crate) fn acknowledged(&self, bytes: u64, lines: u64, now: Instant) {
        let mut published = self.change();
        let first = if published.rested {
            Rate::after_a_rest
        } else {
            Rate::new
        };
        let rate = published.rate.get_or_insert_with(|| first(now));
        rate.add(bytes, lines, now);
    }

    /// Nothing is on its way: none of its targets is needed.
    pub(crate) fn rest(&self) {
        self.lock().files.iter_mut().for_each(|file| file.target = None);
    }

    /// The watcher's row, without its names. `resting` are the streams of its path, for when none is open.
    pub(crate) fn row(
        &self,
        around: Surroundings,
        resting: impl FnOnce() -> Vec<Arc<Stream>>,
        now: Instant,
    ) -> FileRow {
        let mut published = self.lock();
        let mut row = published.figures(now);
        if published.files.is_empty() {
            published.figures_at_rest(&resting(), &mut row, now);
        } else if around.saves_fail {
            published.figures_unsaved(&mut row, now);
        }
        let (state, reason, detail) = published.judge(&row, around, now);
        (row.state, row.reason, row.detail) = (state, reason, detail);
        // What waits for a first position is behind as soon as saving fails, which nobody publishes.
        published.quiet =
            row.lag_bytes == 0 && published.rate.is_none() && !matches!(published.activity, Activity::Saving);
        row
    }

    /// Nothing waits for an acknowledgement, and nothing came lately, for certain.
    pub(crate) fn is_quiet(&self) -> bool {
        self.lock().quiet
    }

    /// What was seen of the files that are read: a record tells how they were when something was last read of them.
    pub(crate) fn seen(&self) -> HashMap<FileId, LastSeen> {
        let published = self.lock();
        let seen = published.files.iter().map(|file| {
            let last = LastSeen {
                size: file.size,
                modified: file.modified,
            };
            (file.stream.id(), last)
        });
        seen.collect()
    }

    /// As [`Gauge::lock`], for what may end its quiet.
    fn change(&self) -> MutexGuard<'_, Published> {
        let mut published = self.lock();
        published.quiet = false;
        published
    }

    fn lock(&self) -> MutexGuard<'_, Published> {
        // Plain values, each changed in one step.
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shown {
    fn say(&self, (log, path): &Key, kind: EventKind, text: impl Into<String>) {
        self.events.say_of(kind, (log, path.display().to_string()), text);
    }
}

impl Known {
    fn new(seen: &Seen<'_>, record: &StreamRecord, now: Instant) -> Self {
        let mut clock = LagClock::default();
        clock.seen(seen.size, behind_since(record, now));
        Self {
            stream: Arc::clone(seen.stream),
            target: None,
            size: 0,
            handed_over: 0,
            modified: 0,
            clock,
        }
    }

    fn is(&self, seen: &Seen<'_>) -> bool {
        Arc::ptr_eq(&self.stream, seen.stream)
    }

    fn update(&mut self, seen: &Seen<'_>, target: Option<Arc<Target>>, now: Instant) {
        (self.size, self.handed_over, self.target) = (seen.size, seen.handed_over, target);
        self.modified = seen.modified;
        self.clock.reached(self.stream.acknowledged());
        self.clock.seen(seen.size, now);
    }
}

/// What was there at first sight was there since then. Later on, what is beyond the saved position may have come at any time
/// since the file was last seen to change.
fn behind_since(record: &StreamRecord, now: Instant) -> Instant {
    let first = if record.mark.offset == 0 {
        i64::try_from(record.id.0).unwrap_or(i64::MAX)
    } else {
        record.modified
    };
    let age = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let age = age.saturating_sub(Duration::from_nanos(u64::try_from(first).unwrap_or(0)));
    now.checked_sub(age).unwrap_or(now)
}

impl Published {
    fn turn_to(&mut self, activity: Activity, now: Instant) {
        if self.activity != activity {
            (self.activity, self.since) = (activity, now);
        }
    }

    fn figures(&mut self, now: Instant) -> FileRow {
        let (mut lag, mut in_flight, mut oldest) = (0, 0, None);
        for file in &mut self.files {
            let acknowledged = file.stream.acknowledged();
            lag += file.size.saturating_sub(acknowledged);
            in_flight += file.handed_over.saturating_sub(acknowledged);
            file.clock.reached(acknowledged);
            oldest = file.clock.since().into_iter().chain(oldest).min();
        }
        let (bytes_per_second, lines_per_second) = match &self.rate {
            Some(rate) if rate.is_over(now) => {
                (self.rate, self.rested) = (None, true);
                (0.0, 0.0)
            }
            Some(rate) => rate.per_second(now),
            None => (0.0, 0.0),
        };
        let live = self.files.last();
        let seconds = |since: Instant| now.saturating_duration_since(since).as_secs_f64();
        FileRow {
            log: String::new(),
            path: String::new(),
            topic: self
                .lane
                .as_ref()
                .map_or_else(String::new, |lane| lane.topic().to_owned()),
            state: State::Idle,
            reason: None,
            detail: None,
            since_seconds: seconds(self.since),
            size: live.map_or(self.on_disk, |file| file.size),
            position: live.map_or(0, |file| file.stream.acknowledged()),
            lag_bytes: lag,
            lag_seconds: oldest.map_or(0.0, seconds),
            in_flight_bytes: in_flight,
            bytes_per_second,
            lines_per_second,
            restarts: self.restarts.into(),
            generations: self.followed as usize,
            file_id: live.map_or_else(String::new, |file| file.stream.id().to_string()),
            time_to_loss_seconds: None,
        }
    }

    /// No file is open: what was known of the path before still says how far it got.
    fn figures_at_rest(&self, streams: &[Arc<Stream>], row: &mut FileRow, now: Instant) {
        let is_refused = matches!(self.condition, Condition::Refused { .. });
        let cannot_look = is_refused || matches!(self.activity, Activity::Failed(_));
        let record = streams.last().map(|stream| stream.record());
        match &record {
            None => row.lag_bytes = if is_refused { self.on_disk } else { 0 },
            Some(record) => {
                row.position = record.mark.offset;
                row.size = if cannot_look {
                    record.size.max(self.on_disk)
                } else {
                    record.size
                };
                row.lag_bytes = row.size.saturating_sub(row.position);
            }
        }
        if cannot_look && row.lag_bytes > 0 {
            let known = record.map(|record| behind_since(&record, now));
            // Of a file that was read since the start, what came later is younger than that.
            let grew = self.grew.as_deref().copied();
            let since = if self.newest > 0 {
                grew.or(known)
            } else {
                known.or(grew)
            };
            row.lag_seconds = since.map_or(0.0, |since| now.saturating_duration_since(since).as_secs_f64());
        }
    }

    /// Its first position cannot be saved, and nothing was read: what is there is known from the look at its directory.
    fn figures_unsaved(&self, row: &mut FileRow, now: Instant) {
        let is_new = matches!(self.activity, Activity::Saving) && self.condition == Condition::Present;
        let unseen = self.on_disk.saturating_sub(row.size.max(row.position));
        if is_new && unseen > 0 {
            row.size = self.on_disk;
            row.lag_bytes += unseen;
            row.lag_seconds = row
                .lag_seconds
                .max(now.saturating_duration_since(self.since).as_secs_f64());
        }
    }
}
