//! One topic's way to Kafka: what waits, what is to be sent again, and whether it may flow.

mod transaction;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Code, Verdict};
use crate::lanes::{Lane as Door, LaneState};
use crate::outlet::{Outlet, ParcelId, Picks, Sent, Shipment, TopicId};
use crate::pace::{Backoff, Complaint};
use crate::parcels::Parcels;
use crate::redo::{Failure, Group, Resolution};
use crate::track::Tracks;

/// Names a lane inside the shipper.
pub(crate) type LaneId = u32;

/// Records of one shipment at most: fairness among lanes; as many as the outlet takes in one call.
const SHIPMENT: u32 = 1024;

/// A lane of which nothing is acknowledged for so long takes nothing more.
const STALL: Duration = Duration::from_secs(5);

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
    /// In transactions: the one under way is aborted because it accepts nothing.
    pub(crate) is_stuck: bool,
    /// In transactions: batches are sent piece by piece, because some cannot be sent as a whole.
    pub(crate) careful: bool,
    /// Half of the smallest batch of several records that was refused as too big, in bytes.
    pub(crate) batch_bytes: Option<u64>,
    /// Batches with records never handed over, oldest first for each partition.
    tracks: Tracks,
    /// Batches that came before it was known how many partitions there are.
    unplaced: Vec<ParcelId>,
    /// What goes before them.
    redo: VecDeque<Group>,
    /// What came back since the last time all was reported.
    failures: Vec<Failure>,
    /// A group that must travel alone is out.
    alone: bool,
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
            is_stuck: false,
            careful: false,
            batch_bytes: None,
            tracks: Tracks::default(),
            unplaced: Vec::new(),
            redo: VecDeque::new(),
            failures: Vec::new(),
            alone: false,
        }
    }

    /// A batch arrived.
    pub(crate) fn push(&mut self, id: ParcelId, parcels: &mut Parcels) {
        match parcels.get_mut(id).filter(|_| self.partitions > 0) {
            Some(parcel) => {
                parcel.place = Tracks::place(parcel.partition(self.partitions));
                self.tracks.push(parcel.place, id);
            }
            None => self.unplaced.push(id),
        }
    }

    /// So many partitions there are. Nothing is out, or it is only that some were added.
    pub(crate) fn learn_partitions(&mut self, partitions: u32, parcels: &mut Parcels) {
        if partitions == self.partitions && self.unplaced.is_empty() {
            return;
        }
        let before = std::mem::replace(&mut self.partitions, partitions);
        let mut unplaced = std::mem::take(&mut self.unplaced);
        if partitions < before {
            unplaced.append(&mut self.tracks.clear());
            unplaced.sort_by_cached_key(|id| parcels.get(*id).map(|parcel| parcel.seq));
        }
        for id in unplaced {
            self.push(id, parcels);
        }
    }

    /// Records of a batch are no longer out.
    pub(crate) fn reported(&mut self, place: usize, records: u32, now: Instant) {
        self.outstanding = self.outstanding.saturating_sub(records);
        self.progress = now;
        self.tracks.reported(place, records);
    }

    /// A request was acknowledged, so long after its first record was handed over.
    pub(crate) fn acked(&mut self, place: usize, took: Duration, now: Instant) {
        self.tracks.acked(place, took, now);
    }

    /// The topic may be made anew meanwhile: each partition gets one record until that is acknowledged.
    pub(crate) fn distrust(&mut self) {
        self.tracks.distrust();
    }

    /// When it next wants its owner to look after it.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        let phase = match self.phase {
            Phase::Asking(at) if !self.asking => Some(at),
            Phase::Held(at, _) => Some(at),
            Phase::Open => self.tracks.ahead_at(),
            _ => None,
        };
        let stall = (self.outstanding > 0 && !self.stalled).then(|| self.stalls_at());
        phase.into_iter().chain(stall).min()
    }

    /// When it takes nothing more, if nothing is reported before.
    pub(crate) fn stalls_at(&self) -> Instant {
        self.progress + STALL
    }

    /// Gives those partitions their turn whose time has come.
    pub(crate) fn run_ahead(&mut self, now: Instant) {
        if self.phase == Phase::Open {
            self.tracks.run_ahead(now);
        }
    }

    /// True if there is something to hand over.
    pub(crate) fn has_work(&self) -> bool {
        !self.tracks.is_empty() || !self.redo.is_empty() || !self.unplaced.is_empty()
    }

    /// True if there is something that may have room.
    pub(crate) fn may_send(&self) -> bool {
        self.tracks.may_send() || !self.redo.is_empty()
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

    /// Hands over what may be, one shipment at most, to a client that puts `limit` bytes into a request. Adds what the outlet refused at once to `refused`.
    pub(crate) fn feed<O: Outlet>(
        &mut self,
        outlet: &mut O,
        parcels: &mut Parcels,
        limit: u64,
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
            Ok(room) => room.min(SHIPMENT),
            Err(full) => return full,
        };
        let redo = self.redo.front_mut().and_then(|group| group.runs.front_mut());
        let Some(id) = redo
            .as_ref()
            .map(|run| run.parcel)
            .or_else(|| self.tracks.first().map(|(_, id)| id))
        else {
            return Fed::Idle;
        };
        let Some(parcel) = parcels.get_mut(id) else {
            // Settled already, which cannot be; let nothing wait behind it.
            self.advance(u32::MAX, true);
            return Fed::More;
        };
        let partition = parcel.partition(self.partitions);
        // Another one only when there are fewer than before, and then nothing of it is out.
        parcel.place = Tracks::place(partition);
        let room = match &redo {
            Some(_) => room.min(self.tracks.trial(parcel.place, now)),
            None => room.min(self.tracks.room(parcel.place, parcel.average(), limit, now)),
        };
        if room == 0 && redo.is_some() {
            return Fed::Idle;
        }
        if room == 0 {
            self.tracks.park(now);
            return if self.tracks.may_send() { Fed::More } else { Fed::Idle };
        }
        if !parcel.lent {
            outlet.lend(id, &parcel.buffer);
            parcel.lent = true;
        }
        let picks = match &redo {
            Some(run) => Picks::List(run.indexes.get(run.at..).unwrap_or_default()),
            None => Picks::Run(parcel.next, parcel.count() - parcel.next),
        };
        let (picks, headers) = parcel.piece(picks.first(room as usize));
        let sent = outlet.send(&Shipment {
            topic,
            partition,
            key: parcel.target.key(),
            parcel: id,
            records: &parcel.records,
            picks,
            headers,
        });
        let taken = sent.dealt - u32::try_from(sent.refused.len()).unwrap_or(0);
        parcel.flying += taken;
        if redo.is_none() {
            parcel.next += sent.dealt;
        }
        let all = parcel.next == parcel.count();
        self.tracks.sent(parcel.place, taken);
        if self.outstanding == 0 {
            self.progress = now;
        }
        self.outstanding += taken;
        self.advance(sent.dealt, all);
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
        let room = (SHARE * free).saturating_sub(self.outstanding) / (SHARE + 1);
        if room == 0 && self.outstanding > 0 {
            Err(Fed::Capped)
        } else {
            Ok(room.max(1))
        }
    }

    /// So many records of the first parcel are dealt with; `all` were handed over at least once.
    fn advance(&mut self, dealt: u32, all: bool) {
        let Some(group) = self.redo.front_mut() else {
            if dealt > 0 {
                self.tracks.pass(all);
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

    /// True if all is reported: then what was to travel alone has arrived.
    pub(crate) fn calm(&mut self) -> bool {
        let is_calm = self.outstanding == 0;
        if is_calm {
            self.alone = false;
            self.stalled = false;
        }
        is_calm
    }

    /// All is reported: sorts out what came back. None while something is out, or if nothing came back.
    pub(crate) fn resolve(&mut self, parcels: &Parcels) -> Option<Resolution> {
        if !self.calm() || self.failures.is_empty() {
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
    pub(crate) fn restart(&mut self, unreported: Vec<Failure>, parcels: &Parcels, now: Instant) {
        self.failures.extend(unreported);
        // Another cluster may have other partitions.
        self.partitions = 0;
        self.unplaced.append(&mut self.tracks.clear());
        self.unplaced
            .sort_by_cached_key(|id| parcels.get(*id).map(|parcel| parcel.seq));
        self.handle = None;
        // Whoever was asked before does not count.
        self.asking = false;
        self.outstanding = 0;
        self.queued = false;
        self.stalled = false;
        self.batch_bytes = None;
        self.progress = now;
        for group in &mut self.redo {
            group.started = false;
        }
        self.phase = Phase::Asking(now);
        self.door.share().set_flows(false);
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
