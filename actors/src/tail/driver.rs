//! What a TailActor does, without the actor: asks its watcher what to do, says what must be waited for, and packs
//! what was read into batches for Kafka.

use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use logcatch_kafka::{Batch, Headers, Hold, Lane, Lanes, Source, Target};
use logcatch_settings::LogEntry;
use logcatch_tail::{FileId, STEP, Todo, Wake, WatchError, WatchSpec, Watcher, World};
use thin_vec::ThinVec;

use super::origin::{headers_of, shape_of};
use super::ticket::{Ticket, Told};
use crate::budget::{Budget, Permit};
use crate::observe::{Activity, Board, Gauge, Key};
use crate::rate::{Rate, Rates};

/// Bytes that a read asks the budget for, of a file with much to read and short lines: so much at least is left for other
/// topics, also where an eighth of the budget is less.
const ONE_READ: usize = STEP + STEP / 2;

/// Bytes that a batch takes beside its lines, however few: its ticket, its place in the ledger and among those that wait for
/// Kafka, its target, what librdkafka makes of it, some 1.5 KB; and what they leave in the heap between that which stays.
const BESIDE: usize = 4 * 1024;

/// Batches of one file that are settled behind one that is not: each is remembered, 0.1 KB, and sent again after a stop. Where
/// it is only one partition that is slower than others, so many come in a second or so.
const MOST_AHEAD: usize = 64;

/// While batches come at least this often, what they need stays between them: it is made anew in a microsecond or two.
const OFTEN: Duration = Duration::from_secs(5);

/// What all watchers share.
#[derive(Debug, Clone)]
pub struct Common {
    /// Positions and claims.
    pub world: Arc<World>,
    /// Pays for what is read.
    pub budget: Arc<Budget>,
    /// Which topics take records.
    pub lanes: Lanes,
    /// The setting `host`.
    pub host: Arc<str>,
    /// Where watchers show how they stand.
    pub board: Arc<Board>,
    /// How fast entries may be read.
    pub rates: Arc<Rates>,
}

/// What one watcher is made from.
#[derive(Debug, Clone)]
pub struct TailSpec {
    /// The entry it belongs to.
    pub entry: Arc<LogEntry>,
    /// A file that is there at first sight starts at its end.
    pub from_end: bool,
    /// Where it shows how it stands: whose that is says which path it watches, of which entry.
    pub gauge: Arc<Gauge>,
}

impl TailSpec {
    /// The name of the entry, and the path.
    #[must_use]
    pub fn key(&self) -> &Key {
        self.gauge.key()
    }
}

/// What must happen before the next step.
#[derive(Debug)]
pub enum Next {
    /// The topic must take records; nothing is read before.
    Lane(Arc<Lane>),
    /// The topic must have room: it holds its share of the budget.
    Room(Arc<Lane>),
    /// So many bytes of the budget, for [`Driver::read`].
    Budget(usize),
    /// Positions must be on disk, then [`Driver::saved`] with this number.
    Save(u64),
    /// A batch of this file must be settled: it holds its share of the budget, or cannot be settled for now.
    Settle,
    /// Nothing until then: its entry has a rate limit.
    Pause(Instant),
    /// Nothing, until woken or until then.
    Sleep(Option<Instant>),
}

impl Next {
    /// What a watcher does that waits for this.
    fn activity(&self) -> Activity {
        match self {
            Self::Lane(_) => Activity::Lane,
            Self::Room(_) => Activity::Room,
            Self::Budget(_) => Activity::Reading,
            Self::Save(_) => Activity::Saving,
            Self::Settle => Activity::Settling,
            Self::Pause(_) => Activity::Paced,
            Self::Sleep(_) => Activity::Asleep,
        }
    }
}

/// Where the records of one file go, and what they carry.
#[derive(Clone)]
struct Way {
    target: Arc<Target>,
    source: Arc<Source>,
    headers: Option<Arc<Headers>>,
}

/// Where records went before the entry changed, while some are on their way.
struct Earlier {
    /// Kept by what is on its way for it.
    lane: Weak<Lane>,
    targets: Vec<Arc<Target>>,
}

/// How much more memory records take than the lines they are made of, as in the last batch of which that is not plain.
#[derive(Debug, Default, Clone, Copy)]
struct Swell {
    kept: usize,
    bytes: u64,
}

impl Swell {
    /// Bytes of memory that so many file bytes in flight hold, about; never fewer.
    fn memory(self, in_flight: u64) -> usize {
        let bytes = u128::from(self.bytes.max(1));
        let held = u128::from(in_flight) * (self.kept as u128).max(bytes) / bytes;
        usize::try_from(held).unwrap_or(usize::MAX)
    }
}

/// The state of one watcher, made anew for each incarnation.
pub struct Driver {
    common: Arc<Common>,
    entry: Arc<LogEntry>,
    watcher: Watcher,
    lane: Arc<Lane>,
    rate: Option<Arc<Rate>>,
    swell: Swell,
    /// Of the topic's share, for the next read.
    hold: Option<Hold>,
    /// Few: those of the generations that are read.
    ways: ThinVec<(FileId, Way)>,
    /// What changes of the entry left on its way. Few files have it: in a box.
    earlier: Option<Box<Earlier>>,
    /// When the last batch was read.
    batch_at: Option<Instant>,
    /// It came soon after the one before it.
    is_often: bool,
    ready: bool,
    /// It waits for a batch to be settled.
    settles: bool,
    gauge: Arc<Gauge>,
}

impl Driver {
    /// A fresh watcher; `wake` hears when it should be woken for the sake of a handle.
    #[must_use]
    pub fn new(spec: &TailSpec, common: Arc<Common>, wake: Wake) -> Self {
        let (log, path) = spec.key();
        let watch = WatchSpec {
            log: Arc::clone(log),
            path: Arc::clone(path),
            max_line: spec.entry.max_line,
            shape: shape_of(&spec.entry, &common.host),
            from_end: spec.from_end,
            rotated: spec.entry.rotated_of(&common.host, path),
            ignore_before: spec.entry.ignore_before(SystemTime::now()),
        };
        Self {
            lane: lane(&common, &spec.entry, path),
            watcher: Watcher::new(watch, Arc::clone(&common.world), wake),
            entry: Arc::clone(&spec.entry),
            rate: common.rates.of(&spec.entry.name, spec.entry.rate_limit),
            swell: Swell::default(),
            hold: None,
            ways: ThinVec::new(),
            earlier: None,
            batch_at: None,
            is_often: false,
            common,
            ready: false,
            settles: false,
            gauge: Arc::clone(&spec.gauge),
        }
    }

    /// The path or its directory changed; with `reconcile` rotated files are looked for, too.
    pub fn wake(&mut self, reconcile: bool) {
        if reconcile {
            self.watcher.reconcile();
        } else {
            self.watcher.wake();
        }
    }

    /// Positions are on disk.
    pub fn saved(&mut self, order: u64) {
        self.watcher.saved(order);
    }

    /// The entry changed in what needs no new watcher: topic, key, limits.
    pub fn retarget(&mut self, entry: Arc<LogEntry>) {
        let (host, path) = (&self.common.host, self.watcher.path());
        let (shape, rotated) = (shape_of(&entry, host), entry.rotated_of(host, path));
        self.watcher.set_shape(entry.max_line, &shape);
        self.watcher.set_rotated(rotated);
        self.leave_behind(lane(&self.common, &entry, self.watcher.path()));
        self.rate = self.common.rates.of(&entry.name, entry.rate_limit);
        self.entry = entry;
    }

    /// What is on its way goes where it was meant to go, and is seen to.
    fn leave_behind(&mut self, next: Arc<Lane>) {
        let before = std::mem::replace(&mut self.lane, next);
        let targets = self.ways.drain(..).map(|(_, way)| way.target);
        if self.watcher.in_flight().1 == 0 {
            return;
        }
        let earlier = self.earlier.get_or_insert_with(|| {
            Box::new(Earlier {
                lane: Weak::new(),
                targets: Vec::new(),
            })
        });
        earlier.targets.retain(|target| target.is_blocked());
        earlier.targets.extend(targets);
        if Arc::ptr_eq(&before, &self.lane) || before.in_flight() == 0 {
            return;
        }
        earlier.lane = Arc::downgrade(&before);
        if !before.is_open() {
            log::warn!(
                log = self.entry.name, path:% = self.watcher.path().display(), topic = before.topic(),
                help = "let that topic take them, or restart the service: then they go to the new topic, and what went there since goes again";
                "lines of the file wait for the topic that it had before"
            );
        }
    }

    /// The lane that what it waits for is held by, if that is not its own.
    fn lane_behind(&self) -> Option<Arc<Lane>> {
        let lane = self.earlier.as_ref().filter(|_| self.settles)?.lane.upgrade()?;
        (!lane.is_open()).then_some(lane)
    }

    /// A line of it is to be a dead letter and nobody takes it: the file waits, so that little is sent again after a stop.
    fn is_kept_out(&self) -> bool {
        let earlier = self.earlier.iter().flat_map(|earlier| &earlier.targets);
        let now = self.ways.iter().map(|(_, way)| &way.target);
        now.chain(earlier).any(|target| target.is_blocked())
    }

    /// Whether the first look was taken: its outcome is a position on its way to disk.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// Whether a settled batch is a reason for a step: others wait for the handle of this file.
    #[must_use]
    pub fn others_wait(&self) -> bool {
        self.watcher.others_wait()
    }

    /// There is nothing to read: with the last batch that is settled goes what only batches need, 0.4 KB.
    pub fn rest(&mut self) {
        let is_over = self.batch_at.is_none_or(|at| at.elapsed() >= OFTEN);
        if (is_over || !self.is_often) && self.watcher.in_flight().1 == 0 {
            self.ways = ThinVec::new();
            self.earlier = None;
            self.gauge.rest();
        }
    }

    /// Whether nothing is left to follow.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.watcher.is_empty()
    }

    /// Looks at the files, while what was asked for before is still waited for.
    ///
    /// # Errors
    /// When a file that is there cannot be read.
    pub fn look(&mut self, now: Instant) -> Result<(), WatchError> {
        self.gauge.enter(now);
        self.watcher.poll(now)?;
        self.show(None, now);
        Ok(())
    }

    /// What must happen now.
    ///
    /// # Errors
    /// When a file that is there cannot be read.
    pub fn next(&mut self, now: Instant) -> Result<Next, WatchError> {
        self.gauge.enter(now);
        let next = self.next_unseen(now)?;
        self.settles = matches!(next, Next::Settle);
        self.show(Some(next.activity()), now);
        Ok(next)
    }

    /// Publishes how it stands; what it does, if that is another thing now.
    fn show(&self, activity: Option<Activity>, now: Instant) {
        let target = |id| self.known_way(id).map(|way| Arc::clone(&way.target));
        let behind = self.lane_behind();
        let lane = behind.as_ref().unwrap_or(&self.lane);
        self.gauge.publish(activity, &self.watcher, lane, target, now);
    }

    fn next_unseen(&mut self, now: Instant) -> Result<Next, WatchError> {
        self.hold = None;
        let todo = self.watcher.poll(now)?;
        self.ready = true;
        Ok(match todo {
            Todo::Save { order } => Next::Save(order),
            Todo::Wait { until } => Next::Sleep(until),
            Todo::Read { .. } if self.is_kept_out() || self.watcher.ahead() >= MOST_AHEAD => Next::Settle,
            Todo::Read { .. } if !self.lane.is_open() => Next::Lane(Arc::clone(&self.lane)),
            Todo::Read { cost } => {
                let cost = cost + BESIDE;
                if let Some(until) = self.rate.as_ref().and_then(|rate| rate.wait(now)) {
                    return Ok(Next::Pause(until));
                }
                let (bytes, batches) = self.watcher.in_flight();
                let in_flight = self.swell.memory(bytes).saturating_add(batches * BESIDE);
                if in_flight > 0 && in_flight.saturating_add(cost) > self.common.budget.share() {
                    return Ok(Next::Settle);
                }
                let budget = &self.common.budget;
                let free = budget.to_share(cost, ONE_READ);
                self.hold = self.lane.try_hold(cost, free, budget.total());
                match self.hold {
                    Some(_) => Next::Budget(cost),
                    None => Next::Room(Arc::clone(&self.lane)),
                }
            }
        })
    }

    /// Reads what was picked, paid for by `permit`; `told` hears when it is settled.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(
        &mut self,
        now: Instant,
        cost: usize,
        mut permit: Permit,
        told: Told,
    ) -> Result<Option<Batch>, WatchError> {
        let mut hold = self.hold.take();
        self.gauge.enter(now);
        let batch = self.watcher.read(now, cost.saturating_sub(BESIDE))?;
        self.gauge.leave();
        let read = self.watcher.take_read();
        if let Some(rate) = &self.rate {
            rate.spend(read, now);
        }
        let Some(batch) = batch else {
            return Ok(None);
        };
        // The file may have been taken from us while we were in a call that did not return.
        if !batch.stream.hand_over(batch.seq) {
            return Ok(None);
        }
        let before = self.batch_at.replace(now);
        self.is_often = before.is_some_and(|at| now.saturating_duration_since(at) < OFTEN);
        let kept = batch.kept();
        if !batch.extents.is_empty() {
            self.swell = Swell {
                kept,
                bytes: batch.bytes,
            };
        }
        let held = kept + BESIDE;
        permit.cut(held);
        self.gauge.took(batch.records.len() as u64);
        if let Some(hold) = &mut hold {
            hold.cut(held);
        }
        let Way {
            target,
            source,
            headers,
        } = self.way(&batch.stream);
        let ticket = Ticket::new(&batch, Arc::clone(&target), (permit, hold), told)
            .counted_by(Arc::clone(&self.gauge))
            .returned_to(Arc::clone(&self.common.world.spares));
        Ok(Some(Batch {
            target,
            source,
            buffer: batch.buffer,
            records: batch.records,
            parts: batch.parts,
            extents: batch.extents,
            headers,
            offset: batch.offset,
            ticket: Box::new(ticket),
        }))
    }

    fn known_way(&self, file: FileId) -> Option<&Way> {
        self.ways.iter().find(|(id, _)| *id == file).map(|(_, way)| way)
    }

    /// Where the records of a file go. It keeps its partition for life, as long as topic and key are the same.
    fn way(&mut self, stream: &logcatch_tail::Stream) -> Way {
        if let Some(way) = self.known_way(stream.id()) {
            return way.clone();
        }
        // A path keeps a handful of generations; older ones are found again when needed.
        if self.ways.len() > 2 * self.watcher.handles() + 8 {
            self.ways.retain(|(_, way)| way.target.is_blocked());
        }
        let record = stream.record();
        let headers = headers_of(&self.entry, &self.common.host, &record);
        let topic = self.lane.topic_name();
        let key = self.entry.key_of(&self.common.host, &record.path).unwrap_or_default();
        let placement = record
            .placement
            .filter(|placement| placement.is_of(topic, key.as_bytes()));
        let partition = placement.map(|placement| placement.partition);
        let target = Arc::new(Target::new(Arc::clone(topic), key.into_bytes(), partition));
        let source = Arc::new(Source {
            log: record.log,
            path: record.path,
            file_id: record.id.to_string(),
        });
        let way = Way {
            target,
            source,
            headers,
        };
        // Nearly always the only one.
        self.ways.reserve_exact(1);
        self.ways.push((record.id, way.clone()));
        way
    }
}

/// Where the lines of a path go; one that never opens if that cannot be a topic.
fn lane(common: &Common, entry: &LogEntry, path: &Path) -> Arc<Lane> {
    match entry.topic_of(&common.host, path) {
        Ok(topic) => common.lanes.lane(&topic),
        Err(illegal) => {
            log::error!(log = entry.name, path:% = path.display(), cause:% = illegal,
                help = "change `topic` of the entry so that it gives a name that Kafka allows, or exclude the file";
                "no topic for this path, it waits");
            Lane::illegal(&illegal.topic, &illegal.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_composed_records_counts_and_that_of_lines_is_their_bytes() {
        assert_eq!(Swell::default().memory(1000), 1000);
        let swell = |kept, bytes| Swell { kept, bytes };
        assert_eq!(swell(400, 100).memory(1000), 4000);
        assert_eq!(swell(10, 100).memory(1000), 1000);
        assert_eq!(swell(usize::MAX, 1).memory(u64::MAX), usize::MAX);
    }
}
