//! One topic's way to Kafka: what waits, what is to be sent again, and whether it may flow.

mod settle;
mod transaction;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::Verdict;
use crate::lanes::{Lane as Door, LaneState};
use crate::outlet::{Outlet, ParcelId, Picks, Sent, Shipment, TopicId};
use crate::pace::{Backoff, Complaint};
use crate::parcels::Parcels;
use crate::redo::{Failure, Group};
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
    /// After a failure: readers wait until something is acknowledged.
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
    /// What goes before all that waits, and came back before it was known.
    returned: Vec<Group>,
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
            returned: Vec::new(),
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

    /// So many partitions there are. False if there are fewer, and something is out.
    pub(crate) fn learn_partitions(&mut self, partitions: u32, parcels: &mut Parcels) -> bool {
        let is_known = partitions == self.partitions && self.unplaced.is_empty() && self.returned.is_empty();
        if is_known {
            return true;
        }
        if partitions < self.partitions {
            if self.outstanding > 0 || self.tracks.is_settling() {
                return false;
            }
            let (mut waiting, mut redo, _) = self.tracks.clear();
            self.returned.append(&mut redo);
            self.unplaced.append(&mut waiting);
            self.unplaced
                .sort_by_cached_key(|id| parcels.get(*id).map(|parcel| parcel.seq));
        }
        self.partitions = partitions;
        for group in std::mem::take(&mut self.returned) {
            let placed = group.split(|id| {
                let parcel = parcels.get_mut(id)?;
                parcel.place = Tracks::place(parcel.partition(partitions));
                Some(parcel.place)
            });
            for (place, group) in placed {
                self.tracks.push_group(place, group);
            }
        }
        for id in std::mem::take(&mut self.unplaced) {
            self.push(id, parcels);
        }
        true
    }

    /// Records of a batch are no longer out.
    pub(crate) fn reported(&mut self, place: usize, records: u32, now: Instant) {
        self.outstanding = self.outstanding.saturating_sub(records);
        self.progress = now;
        self.tracks.reported(place, records, now);
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
        phase.into_iter().chain(self.stalls_at()).min()
    }

    /// When it takes nothing more, if nothing is reported before. One that is held takes nothing anyway.
    pub(crate) fn stalls_at(&self) -> Option<Instant> {
        let is_waiting = self.phase == Phase::Open && self.outstanding > 0 && !self.stalled;
        is_waiting.then(|| self.progress + STALL)
    }

    /// Gives those partitions their turn whose time has come.
    pub(crate) fn run_ahead(&mut self, now: Instant) {
        if self.phase == Phase::Open {
            self.tracks.run_ahead(now);
        }
    }

    /// True if there is something to hand over.
    pub(crate) fn has_work(&self) -> bool {
        !self.tracks.is_empty() || !self.returned.is_empty() || !self.unplaced.is_empty()
    }

    /// True if there is something that may have room.
    pub(crate) fn may_send(&self) -> bool {
        self.tracks.may_send()
    }

    /// True if nothing of it is anywhere.
    pub(crate) fn is_idle(&self) -> bool {
        !self.has_work() && self.outstanding == 0 && !self.tracks.is_settling()
    }

    /// Stops the flow of a partition because of this record, which is sent again when all that is out there is reported.
    pub(crate) fn fail(&mut self, place: usize, failure: Failure) {
        self.tracks.fail(place, failure);
    }

    /// Whether a record of the batch came back and is not sorted out.
    pub(crate) fn has_failed(&self, parcel: ParcelId) -> bool {
        self.tracks.has_failed(parcel)
    }

    /// Takes out all that waits of these batches, of which nothing is out.
    pub(crate) fn withdraw(&mut self, gone: &HashSet<ParcelId>) {
        self.tracks.withdraw(gone);
        self.unplaced.retain(|id| !gone.contains(id));
        self.returned.iter_mut().for_each(|group| group.withdraw(gone));
        self.returned.retain(|group| !group.runs.is_empty());
    }

    /// True if some partition has been told nothing for long of what is out there.
    pub(crate) fn is_silent(&self, now: Instant) -> bool {
        self.stalled || self.tracks.is_silent(STALL, now)
    }

    /// What readers see: open, unless it is to prove first that the topic takes records again.
    pub(crate) fn open(&mut self, now: Instant) {
        self.phase = Phase::Open;
        self.progress = now;
        self.stalled = false;
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
        let Some(topic) = self.handle.filter(|_| self.phase == Phase::Open) else {
            return Fed::Idle;
        };
        let room = match self.room(outlet) {
            Ok(room) => room.min(SHIPMENT),
            Err(full) => return full,
        };
        let Some((place, id)) = self.tracks.first() else {
            return Fed::Idle;
        };
        let Some(parcel) = parcels.get_mut(id) else {
            // Settled already, which cannot be; let nothing wait behind it.
            self.tracks.pass(u32::MAX, true);
            return Fed::More;
        };
        let partition = parcel.partition(self.partitions);
        let room = room.min(self.tracks.room(place, parcel.average(), limit, now));
        if room == 0 {
            self.tracks.park(now);
            return if self.tracks.may_send() { Fed::More } else { Fed::Idle };
        }
        let redo = self.tracks.redo(place);
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
        let all = parcel.is_handed_over();
        self.tracks.sent(place, taken, now);
        if self.outstanding == 0 {
            self.progress = now;
        }
        self.outstanding += taken;
        if sent.dealt > 0 {
            self.tracks.pass(sent.dealt, all);
        }
        self.refuse(place, id, &sent, refused);
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

    fn refuse(&mut self, place: usize, parcel: ParcelId, sent: &Sent, refused: &mut Vec<Failure>) {
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
                self.fail(place, failure);
            }
            refused.push(failure);
        }
    }
}
