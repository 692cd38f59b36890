//! One topic's way to Kafka: what waits, what is to be sent again, and whether it may flow.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use crate::error::{Code, Verdict};
use crate::lanes::{Lane as Door, LaneState};
use crate::outlet::{Outlet, ParcelId, Picks, Sent, Shipment, TopicId};
use crate::pace::{Backoff, Complaint};
use crate::parcels::Parcels;

/// Names a lane inside the shipper.
pub(crate) type LaneId = u32;

/// Records of one shipment at most: fairness among lanes; as many as the outlet takes in one call.
const SHIPMENT: u32 = 1024;

/// What a lane is doing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Waits for an answer about its topic; asked (again) then.
    Asking(Instant),
    /// Flows.
    Open,
    /// Records came back: nothing is handed over until all that is out is reported.
    Settling,
    /// Tries again then; asks for the topic first, if true.
    Held(Instant, bool),
}

/// What feeding a lane came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fed {
    /// It has more.
    More,
    /// It has nothing that may be sent now.
    Idle,
    /// It holds its share of the queue.
    Capped,
    /// The queue is full.
    Full,
}

/// A lane and all it owes.
pub(crate) struct Lane {
    /// What readers see of it.
    pub(crate) door: Arc<Door>,
    pub(crate) phase: Phase,
    pub(crate) handle: Option<TopicId>,
    pub(crate) partitions: u32,
    /// True while a question about its topic is under way.
    pub(crate) asking: bool,
    /// What is known of its topic is to be asked anew, while it flows.
    pub(crate) refresh: bool,
    /// The last answer.
    pub(crate) asked_at: Instant,
    /// True while it stands in the shipper's queue of lanes to feed.
    pub(crate) queued: bool,
    /// Records handed over and not reported.
    pub(crate) outstanding: u32,
    /// The last time that something was reported, or first handed over.
    pub(crate) progress: Instant,
    /// True while nothing is acknowledged for too long.
    pub(crate) stalled: bool,
    /// After a failure: one shipment at a time, until something is acknowledged.
    pub(crate) probing: bool,
    pub(crate) backoff: Backoff,
    pub(crate) complaint: Complaint,
    /// Half of the smallest batch of several records that was refused as too big, in bytes.
    pub(crate) batch_bytes: Option<u64>,
    /// Batches with records never handed over, oldest first.
    waiting: VecDeque<ParcelId>,
    /// What goes before them.
    redo: VecDeque<Group>,
    /// What came back since the last time all was reported.
    failures: Vec<Failure>,
    /// A group that must travel alone is out.
    alone: bool,
}

/// A record that came back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure {
    pub(crate) parcel: ParcelId,
    pub(crate) index: u32,
    pub(crate) code: Code,
    /// Equal for records that were refused together.
    pub(crate) refusal: u64,
    /// It was refused alone.
    pub(crate) alone: bool,
}

/// Records to be sent again, in order.
#[derive(Debug, Default)]
struct Group {
    runs: VecDeque<Run>,
    /// Nothing else of the lane may share a batch with it.
    alone: bool,
    started: bool,
    /// Where it stands among all: the arrival of its first record's batch, and the record's index.
    order: (u64, u32),
}

#[derive(Debug)]
struct Run {
    parcel: ParcelId,
    indexes: Vec<u32>,
    at: usize,
}

/// What is to be done after all was reported.
#[derive(Debug, Default)]
pub(crate) struct Resolution {
    /// Refused alone: dead letters.
    pub(crate) letters: Vec<Failure>,
    /// The worst of the others, if one asks for more than sending again.
    pub(crate) trouble: Option<(Verdict, Code)>,
}

impl Lane {
    pub(crate) fn new(door: Arc<Door>, now: Instant) -> Self {
        Self {
            door,
            phase: Phase::Asking(now),
            handle: None,
            partitions: 0,
            asking: false,
            refresh: false,
            asked_at: now,
            queued: false,
            outstanding: 0,
            progress: now,
            stalled: false,
            probing: false,
            backoff: Backoff::default(),
            complaint: Complaint::default(),
            batch_bytes: None,
            waiting: VecDeque::new(),
            redo: VecDeque::new(),
            failures: Vec::new(),
            alone: false,
        }
    }

    /// A batch arrived.
    pub(crate) fn push(&mut self, parcel: ParcelId) {
        self.waiting.push_back(parcel);
    }

    /// True if there is something to hand over.
    pub(crate) fn has_work(&self) -> bool {
        !self.waiting.is_empty() || !self.redo.is_empty()
    }

    /// True if nothing of it is anywhere.
    pub(crate) fn is_idle(&self) -> bool {
        !self.has_work() && self.outstanding == 0 && self.failures.is_empty()
    }

    /// Stops the flow because of this record, which is sent again when all is reported.
    pub(crate) fn fail(&mut self, failure: Failure) {
        self.failures.push(failure);
        if self.phase == Phase::Open {
            self.phase = Phase::Settling;
        }
    }

    /// What readers see: open, unless it is to prove first that the topic takes records again.
    pub(crate) fn open(&mut self) {
        self.phase = Phase::Open;
        if !self.probing {
            self.door.set(LaneState::Open);
        }
    }

    /// Hands over what may be, one shipment at most. Adds what the outlet refused at once to `refused`.
    pub(crate) fn feed<O: Outlet>(
        &mut self,
        outlet: &mut O,
        parcels: &mut Parcels,
        now: Instant,
        refused: &mut Vec<Failure>,
    ) -> Fed {
        let Some(topic) = self.handle.filter(|_| self.phase == Phase::Open && !self.alone) else {
            return Fed::Idle;
        };
        if self.outstanding > 0
            && (self.probing || self.redo.front().is_some_and(|group| group.alone && !group.started))
        {
            return Fed::Idle;
        }
        let room = match self.room(outlet) {
            Ok(room) => room.min(SHIPMENT) as usize,
            Err(full) => return full,
        };
        let redo = self.redo.front_mut().and_then(|group| group.runs.front_mut());
        let Some(id) = redo
            .as_ref()
            .map(|run| run.parcel)
            .or_else(|| self.waiting.front().copied())
        else {
            return Fed::Idle;
        };
        let Some(parcel) = parcels.get_mut(id) else {
            // Settled already, which cannot be; let nothing wait behind it.
            self.advance(u32::MAX, u32::MAX);
            return Fed::More;
        };
        if !parcel.lent {
            outlet.lend(id, &parcel.buffer);
            parcel.lent = true;
        }
        let picks = match &redo {
            Some(run) => Picks::List(run.indexes.get(run.at..).unwrap_or_default()),
            None => Picks::Run(parcel.next, parcel.count() - parcel.next),
        };
        let (picks, part) = parcel.piece(picks.first(room));
        let sent = outlet.send(&Shipment {
            topic,
            partition: parcel.partition(self.partitions),
            key: parcel.target.key(),
            parcel: id,
            records: &parcel.records,
            picks,
            part,
        });
        let taken = sent.dealt - u32::try_from(sent.refused.len()).unwrap_or(0);
        parcel.flying += taken;
        if redo.is_none() {
            parcel.next += sent.dealt;
        }
        let rest = parcel.count() - parcel.next;
        if self.outstanding == 0 {
            self.progress = now;
        }
        self.outstanding += taken;
        self.advance(sent.dealt, rest);
        self.refuse(id, &sent, refused);
        if sent.dealt == 0 { Fed::Full } else { Fed::More }
    }

    /// How many more records may be handed over.
    ///
    /// A lane holds at most seven times of what is free, so that those whose topics accept nothing never fill the
    /// queue: one alone leaves an eighth of it, eight of them a fifty-seventh.
    fn room<O: Outlet>(&self, outlet: &O) -> Result<u32, Fed> {
        const SHARE: u32 = 7;
        let free = outlet.capacity().saturating_sub(outlet.outstanding());
        if free == 0 {
            return Err(Fed::Full);
        }
        let cap: u32 = std::env::var("CAP").map_or(50_000, |v| v.parse().unwrap_or(50_000));
        if self.outstanding >= cap {
            return Err(Fed::Capped);
        }
        let free = free.min(cap - self.outstanding);
        let room = (SHARE * free).saturating_sub(self.outstanding) / (SHARE + 1);
        if room == 0 && self.outstanding > 0 {
            Err(Fed::Capped)
        } else {
            Ok(room.max(1))
        }
    }

    /// So many records of the first parcel are dealt with; `rest` were never handed over.
    fn advance(&mut self, dealt: u32, rest: u32) {
        let Some(group) = self.redo.front_mut() else {
            if rest == 0 || rest == u32::MAX {
                self.waiting.pop_front();
            }
            return;
        };
        group.started = true;
        if let Some(run) = group.runs.front_mut() {
            run.at = run.at.saturating_add(dealt as usize);
            if run.at >= run.indexes.len() {
                group.runs.pop_front();
            }
        }
        if group.runs.is_empty() {
            self.alone = group.alone && self.outstanding > 0;
            self.redo.pop_front();
        }
    }

    fn refuse(&mut self, parcel: ParcelId, sent: &Sent, refused: &mut Vec<Failure>) {
        for &(index, code) in &sent.refused {
            let failure = Failure {
                parcel,
                index,
                code,
                refusal: 0,
                alone: true,
            };
            // A verdict of the library on the record itself stops nothing; all others are about more than it.
            if code.verdict() != Verdict::Record {
                self.fail(failure);
            }
            refused.push(failure);
        }
    }

    /// All is reported: sorts out what came back. None while something is out, or if nothing came back.
    pub(crate) fn resolve(&mut self, parcels: &Parcels) -> Option<Resolution> {
        if self.outstanding > 0 {
            return None;
        }
        self.alone = false;
        self.stalled = false;
        if self.failures.is_empty() {
            return None;
        }
        let mut failures = std::mem::take(&mut self.failures);
        let seq = |parcel| parcels.get(parcel).map_or(0, |parcel| parcel.seq);
        failures.sort_by_cached_key(|failure| (seq(failure.parcel), failure.index));

        // Where a broker says which records of a batch are invalid, it says of the others that they are not.
        let named: HashSet<u64> = failures
            .iter()
            .filter(|failure| failure.code == Code::INVALID_DIFFERENT_RECORD)
            .map(|failure| failure.refusal)
            .collect();
        let mut resolution = Resolution::default();
        let mut groups = Vec::new();
        let mut again = Vec::new();
        let mut together: BTreeMap<u64, Vec<Failure>> = BTreeMap::new();
        for failure in failures {
            match failure.code.verdict() {
                Verdict::Record if failure.alone => resolution.letters.push(failure),
                Verdict::Record if named.contains(&failure.refusal) => groups.push(Group::new(&[failure], true, seq)),
                Verdict::Record => together.entry(failure.refusal).or_default().push(failure),
                verdict => {
                    again.push(failure);
                    resolution.worsen(verdict, failure.code);
                }
            }
        }
        for refused in together.values() {
            self.learn(refused, parcels);
            let (first, second) = refused.split_at(refused.len().div_ceil(2));
            groups.push(Group::new(first, true, seq));
            groups.push(Group::new(second, true, seq));
        }
        groups.push(Group::new(&again, false, seq));
        groups.retain(|group| !group.runs.is_empty());
        groups.sort_by_key(|group| group.order);
        for group in groups.into_iter().rev() {
            self.redo.push_front(group);
        }
        Some(resolution)
    }

    /// The broker refused these as one batch: if for its size, half of it is what may pass.
    fn learn(&mut self, refused: &[Failure], parcels: &Parcels) {
        let too_big = |failure: &Failure| {
            matches!(
                failure.code,
                Code::MESSAGE_TOO_LARGE | Code::RECORD_LIST_TOO_LARGE | Code::INVALID_MESSAGE_SIZE
            )
        };
        if refused.len() < 2 || !refused.iter().all(too_big) {
            return;
        }
        let size = |failure: &Failure| {
            parcels
                .get(failure.parcel)
                .map_or(0, |parcel| parcel.size(failure.index))
        };
        let half = refused.iter().map(size).sum::<u64>() / 2;
        self.batch_bytes = Some(self.batch_bytes.map_or(half, |known| known.min(half)));
    }

    /// Forgets the outlet: what it had not reported is sent again with what came back, then all the rest.
    pub(crate) fn restart(&mut self, unreported: Vec<Failure>, now: Instant) {
        self.failures.extend(unreported);
        self.handle = None;
        self.outstanding = 0;
        self.queued = false;
        self.stalled = false;
        self.batch_bytes = None;
        self.progress = now;
        for group in &mut self.redo {
            group.started = false;
        }
        self.phase = Phase::Asking(now);
    }

    /// Records of a parcel that wait to be sent again.
    pub(crate) fn to_redo(&self, parcel: ParcelId) -> impl Iterator<Item = u32> + '_ {
        let runs = self
            .redo
            .iter()
            .flat_map(|group| &group.runs)
            .filter(move |run| run.parcel == parcel);
        let redo = runs
            .flat_map(|run| run.indexes.get(run.at..).unwrap_or_default())
            .copied();
        let failed = self.failures.iter().filter(move |failure| failure.parcel == parcel);
        redo.chain(failed.map(|failure| failure.index))
    }
}

impl Group {
    /// In the order given.
    fn new(records: &[Failure], alone: bool, seq: impl Fn(ParcelId) -> u64) -> Self {
        let order = records.first().map_or((0, 0), |first| (seq(first.parcel), first.index));
        let mut runs: VecDeque<Run> = VecDeque::new();
        for record in records {
            match runs.back_mut() {
                Some(run) if run.parcel == record.parcel => run.indexes.push(record.index),
                _ => runs.push_back(Run {
                    parcel: record.parcel,
                    indexes: vec![record.index],
                    at: 0,
                }),
            }
        }
        Self {
            runs,
            alone,
            started: false,
            order,
        }
    }
}

impl Resolution {
    fn worsen(&mut self, verdict: Verdict, code: Code) {
        let rank = |verdict| match verdict {
            Verdict::Again | Verdict::Record => 0,
            Verdict::Wait => 1,
            Verdict::Ask => 2,
            Verdict::Fatal => 3,
        };
        if rank(verdict) > self.trouble.map_or(0, |(worst, _)| rank(worst)) {
            self.trouble = Some((verdict, code));
        }
    }
}
