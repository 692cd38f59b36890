//! Feeds an outlet from lanes, and accounts for every record.
//!
//! A plain state machine: it is told of batches, of the wake-up and of the time, and never blocks. What may block
//! is an [`Errand`] for its owner to run elsewhere.

mod feeding;
mod giving_back;
mod succession;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::Producer;
use crate::batch::{Batch, Outcome};
use crate::burials::Burials;
use crate::connection::Connection;
use crate::errand::{Answer, Builder, Errand, Found, Task};
use crate::error::Code;
use crate::handover::Handover;
use crate::lane::{Lane, LaneId, Phase};
use crate::lanes::{Lane as Door, LaneState, Lanes, Trouble};
use crate::letters::DeadLetters;
use crate::options::Options;
use crate::outlet::{Outlet, ParcelId, Report};
use crate::parcels::{Parcel, Parcels};
use crate::redo::Failure;
use crate::stats::Stats;
use crate::transact::{POSITIONS, PositionLog};
use crate::transaction::{Bounds, Stage, Transaction};
use crate::wake::Wake;

/// Reports of so many records are taken before lanes are fed again.
const REPORTS: u32 = 10_000;

/// Records handed over in one turn at most; some two milliseconds.
const FEED: u32 = 16_384;

/// What is known of a topic is asked anew for a new file after this.
const FRESH: Duration = Duration::from_secs(60);

/// Ships batches through an outlet.
pub struct Shipper<O: Outlet = Producer> {
    pub(crate) outlet: O,
    pub(crate) options: Options,
    pub(crate) lanes: Vec<Option<Lane>>,
    pub(crate) parcels: Parcels,
    pub(crate) burials: Burials,
    pub(crate) connection: Connection,
    pub(crate) handover: Handover<O>,
    pub(crate) errands: Vec<Errand<O>>,
    pub(crate) ready: VecDeque<LaneId>,
    pub(crate) stats: Stats,
    pub(crate) by_topic: HashMap<Arc<str>, LaneId>,
    directory: Lanes,
    pub(crate) capped: VecDeque<LaneId>,
    touched: Vec<LaneId>,
    reports: Vec<Report>,
    refused: Vec<Failure>,
    pub(crate) asking: usize,
    /// Where lines and positions go together.
    pub(crate) transaction: Option<Box<Transaction>>,
}

#[cfg(debug_assertions)]
impl Shipper {
    /// Makes the producer fail fatally: for tests of what then happens.
    pub fn fail_fatally(&self) {
        self.outlet.fail_fatally();
    }
}

impl<O: Outlet> Shipper<O> {
    /// A shipper through `outlet`, which was made of `options` and rings `wake`; `builder` makes others.
    pub fn new(
        outlet: O,
        options: Options,
        builder: Builder<O>,
        sink: Arc<dyn DeadLetters>,
        wake: Arc<Wake>,
        now: Instant,
    ) -> Self {
        Self {
            outlet,
            connection: Connection::new(&options, now),
            handover: Handover::new(builder, options.batch_bytes()),
            options,
            lanes: Vec::new(),
            parcels: Parcels::default(),
            burials: Burials::new(sink),
            errands: Vec::new(),
            ready: VecDeque::new(),
            stats: Stats::default(),
            by_topic: HashMap::new(),
            directory: Lanes::new(wake),
            capped: VecDeque::new(),
            touched: Vec::new(),
            reports: Vec::new(),
            refused: Vec::new(),
            asking: 0,
            transaction: None,
        }
    }

    /// Ships in transactions, through outlets that are made for that. Positions, which `log` keeps, are read back first.
    #[must_use]
    pub fn in_transactions(mut self, log: Arc<dyn PositionLog>, bounds: Bounds, now: Instant) -> Self {
        self.transaction = Some(Box::new(Transaction::new(log, bounds, now)));
        self
    }

    /// From now on transactions are committed as soon as all that waits is in them, or not any more.
    pub fn hurry(&mut self, hurry: bool) {
        if let Some(txn) = &mut self.transaction {
            txn.hurry = hurry;
        }
    }

    /// Whether nothing is in a transaction.
    pub(crate) fn is_between_transactions(&self) -> bool {
        let is_empty = |txn: &Transaction| txn.members.is_empty() && !txn.is_pledged && txn.stage != Stage::Aborted;
        self.transaction.as_deref().is_none_or(is_empty)
    }

    /// The lanes, for readers.
    pub fn lanes(&self) -> Lanes {
        self.directory.clone()
    }

    /// The bell that rings when [`Shipper::turn`] has something to do.
    pub fn wake(&self) -> Arc<Wake> {
        Arc::clone(self.directory.wake())
    }

    /// Takes a batch. It moves on with the next [`Shipper::turn`].
    pub fn push(&mut self, batch: Batch, now: Instant) {
        if batch.records.is_empty() {
            batch.ticket.settle(Outcome {
                partition: batch.target.partition(),
                ..Outcome::default()
            });
            return;
        }
        let known = self.by_topic.get(batch.target.topic()).copied();
        let id = known.unwrap_or_else(|| {
            let door = self.directory.lane(batch.target.topic());
            self.add(door, now)
        });
        let bytes = batch.buffer.len() as u64;
        let to_choose = batch.target.partition().is_none();
        let parcel = self.parcels.insert(batch, id);
        if let Some(lane) = self.lanes.get_mut(id as usize).and_then(Option::as_mut) {
            // Partitions may have been added: the next file gets to know, this one keeps to what is known.
            lane.refresh |= to_choose && lane.asked_at + FRESH <= now;
            lane.door.charge(bytes);
            match &mut self.transaction {
                Some(txn) => txn.arrive(parcel),
                None => {
                    lane.push(parcel, &mut self.parcels);
                    enqueue(&mut self.ready, lane, id);
                }
            }
        }
    }

    /// Does all there is to do now; afterwards take the errands, and call it again at [`Shipper::next_wake`] or
    /// when the bell rings, whichever is first.
    pub fn turn(&mut self, now: Instant) {
        let mut more = self.outlet.reports(REPORTS, &mut self.reports);
        let mut reports = std::mem::take(&mut self.reports);
        for report in reports.drain(..) {
            self.report(report, now);
        }
        self.reports = reports;
        for door in self.directory.take_unseen() {
            self.sweep();
            if !self.by_topic.contains_key(door.topic()) {
                self.add(door, now);
            }
        }
        self.tick(now);
        self.settle_touched(now);
        self.hand_over(now);
        self.transact(now);
        let may_feed = match &self.transaction {
            None => !self.handover.holds(),
            // What is in a transaction ends with it.
            Some(txn) => txn.may_feed() && !self.handover.is_purging(),
        };
        if may_feed {
            more |= self.feed(now);
            // What was the last of it may now be followed by its position.
            self.transact(now);
        }
        self.settle_touched(now);
        if more {
            self.directory.wake().ring();
        }
    }

    /// Errands to run off this thread.
    pub fn take_errands(&mut self, now: Instant) -> Vec<Errand<O>> {
        self.ask(now);
        let burial = self.burials.errand(now);
        let lanes = &self.lanes;
        let is_silent = || lanes.iter().flatten().any(|lane| lane.is_silent(now));
        let building = self.handover.errand(&self.options, is_silent, now);
        self.errands.extend(burial.into_iter().chain(building).map(Errand));
        std::mem::take(&mut self.errands)
    }

    /// An errand is done.
    pub fn done(&mut self, answer: Answer<O>, now: Instant) {
        if let Some(txn) = &mut self.transaction {
            txn.is_stale = true;
        }
        match answer.0 {
            Found::Partitions(era, _) | Found::Limit(era, _) if era != self.handover.era() => {}
            Found::Partitions(_, topics) => {
                self.asking = self.asking.saturating_sub(1);
                for (topic, answer) in topics {
                    self.answered(&topic, answer, now);
                }
            }
            Found::Limit(_, limit) => {
                if let Some(limit) = limit {
                    self.handover.keep_batches_under(limit, now);
                }
            }
            Found::Buried(result) => {
                for (parcel, _) in self.burials.done(result, &mut self.parcels, now) {
                    self.stats.dead_lettered += 1;
                    self.settle_if_done(parcel);
                }
            }
            Found::Built { options, outlet } => self.built(&options, outlet, now),
            Found::Token | Found::Retired => {}
            Found::Transacted { era, came } => self.transacted(era, came, now),
        }
        self.directory.wake().ring();
    }

    /// When [`Shipper::turn`] wants to be called at the latest; none while nothing is to be waited for.
    pub fn next_wake(&self) -> Option<Instant> {
        let lanes = self.lanes.iter().flatten().filter_map(Lane::wake_at).min();
        let transaction = self.transaction.as_ref().filter(|_| !self.handover.holds());
        [
            lanes,
            transaction.and_then(|txn| txn.wake_at()),
            self.burials.wake_at(),
            self.handover.wake_at(),
            self.connection.wake_at(self.asking > 0),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Batches that are not settled; in transactions also positions that are to be written, as one.
    pub fn unsettled(&self) -> usize {
        let positions = self.transaction.as_ref();
        let positions = positions.is_some_and(|txn| txn.is_pledged || txn.is_unsure || txn.log.due().is_some());
        self.parcels.len() + usize::from(positions)
    }

    /// The topics of batches that are not settled, each once, in the order of their names.
    pub fn unsettled_topics(&self) -> BTreeSet<Arc<str>> {
        let topics: BTreeSet<&str> = self.parcels.iter().map(|(_, parcel)| parcel.target.topic()).collect();
        topics.into_iter().map(Arc::from).collect()
    }

    /// The counters now.
    pub fn snapshot(&self) -> Stats {
        let mut stats = self.stats.clone();
        stats.connected = self.connection.connected();
        stats.connected_since = self.connection.since();
        stats.trouble = self.connection.cause();
        stats.refusal = self.connection.refusal();
        stats.in_flight_records = u64::from(self.outlet.outstanding());
        stats.unsettled_batches = self.parcels.len() as u64;
        stats
    }

    /// Ends it: tickets that were not told are dropped, and the outlet is an errand.
    pub fn close(self) -> Errand<O> {
        Errand(Task::Retire(self.outlet))
    }

    fn add(&mut self, door: Arc<Door>, now: Instant) -> LaneId {
        let topic: Arc<str> = Arc::from(door.topic());
        let place = self.lanes.iter().position(Option::is_none).unwrap_or(self.lanes.len());
        let lane = Some(Lane::new(door, now));
        match self.lanes.get_mut(place) {
            Some(free) => *free = lane,
            None => self.lanes.push(lane),
        }
        let id = LaneId::try_from(place).unwrap_or(LaneId::MAX);
        self.by_topic.insert(topic, id);
        id
    }

    /// Forgets lanes that no reader has any more.
    fn sweep(&mut self) {
        for slot in &mut self.lanes {
            let unused = |lane: &mut Lane| lane.is_idle() && !lane.queued && self.directory.forget(&lane.door);
            if let Some(lane) = slot.take_if(unused) {
                self.by_topic.remove(lane.door.topic());
                if let Some(topic) = lane.handle {
                    self.outlet.forget_topic(topic);
                }
            }
        }
    }

    fn lane_of(&mut self, parcel: ParcelId) -> Option<(LaneId, &mut Lane)> {
        let id = self.parcels.get(parcel)?.lane;
        Some((id, self.lanes.get_mut(id as usize)?.as_mut()?))
    }

    fn report(&mut self, report: Report, now: Instant) {
        match report {
            Report::Acked { parcel: POSITIONS, .. } | Report::Failed { parcel: POSITIONS, .. } => {
                self.position_reported(&report);
            }
            Report::Acked { parcel, records, took } => {
                if let Some(took) = took {
                    self.stats.ack_duration.observe(took);
                    self.stats.last_ack = Some(SystemTime::now());
                    self.handover.proven();
                    self.connection.up(now);
                }
                if let Some(txn) = &mut self.transaction {
                    txn.is_acked = true;
                }
                self.stats.acked_records += u64::from(records);
                let Some(id) = self.reported(parcel, records, now) else {
                    return;
                };
                let Some(known) = self.parcels.get_mut(parcel) else {
                    return;
                };
                known.left = known.left.saturating_sub(records);
                if let Some(lane) = self.lanes.get_mut(id as usize).and_then(Option::as_mut) {
                    // What was handed over before it was held tells nothing of now.
                    if lane.phase == Phase::Open {
                        lane.flows(now);
                        lane.door.share().set_flows(true);
                    }
                    if let Some(took) = took {
                        lane.acked(known.place, took, now);
                    }
                }
                self.settle_if_done(parcel);
            }
            Report::Failed {
                parcel,
                index,
                code,
                refusal,
                alone,
            } => {
                self.stats.count_error(code);
                if let Some(txn) = &mut self.transaction {
                    txn.failed = true;
                }
                if self.reported(parcel, 1, now).is_some()
                    && let Some(place) = self.parcels.get(parcel).map(|known| known.place)
                    && let Some((_, lane)) = self.lane_of(parcel)
                {
                    let failure = Failure {
                        parcel,
                        index,
                        code,
                        refusal,
                        alone,
                    };
                    lane.fail(place, failure);
                }
            }
            Report::TokenWanted => self.errands.push(Errand(Task::Token {
                inquirer: self.outlet.inquirer(),
            })),
            Report::Trouble { code, text, fatal } => {
                self.stats.count_error(code);
                if fatal || code == Code::FATAL {
                    self.fatal(code, &text, now);
                } else {
                    self.connection.trouble(code, &text, now);
                }
            }
        }
    }

    /// Records of a parcel are no longer out.
    fn reported(&mut self, parcel: ParcelId, records: u32, now: Instant) -> Option<LaneId> {
        let known = self.parcels.get_mut(parcel)?;
        known.flying = known.flying.saturating_sub(records);
        let place = known.place;
        let (id, lane) = self.lane_of(parcel)?;
        lane.reported(place, records, now);
        if self.touched.last() != Some(&id) {
            self.touched.push(id);
        }
        Some(id)
    }

    fn settle_if_done(&mut self, id: ParcelId) {
        if self.parcels.get(id).is_none_or(|parcel| parcel.left > 0) {
            return;
        }
        self.outlet.release(id);
        if self.transaction.is_some() {
            // Not before it is committed.
            return;
        }
        if let Some(parcel) = self.parcels.remove(id) {
            self.settle(parcel, false);
        }
    }

    pub(crate) fn settle(&mut self, parcel: Parcel, committed: bool) {
        let bytes = parcel.buffer.len() as u64;
        let dead: u64 = parcel.dead().iter().map(|index| parcel.size(*index)).sum();
        self.stats.sent_bytes += bytes.saturating_sub(dead);
        if let Some(lane) = self.lanes.get(parcel.lane as usize).and_then(Option::as_ref) {
            lane.door.discharge(bytes);
        }
        parcel.settle(committed);
    }

    /// Moves lanes on whose time has come.
    fn tick(&mut self, now: Instant) {
        self.connection.tick(now);
        for (id, lane) in (0..)
            .zip(&mut self.lanes)
            .filter_map(|(id, lane)| Some((id, lane.as_mut()?)))
        {
            match lane.phase {
                Phase::Held(at, _) if at > now => {}
                Phase::Held(_, true) => lane.phase = Phase::Asking(now),
                Phase::Held(_, false) => {
                    lane.open(now);
                    if let Some(txn) = &mut self.transaction {
                        txn.is_stale = true;
                    }
                }
                _ => {}
            }
            lane.run_ahead(now);
            if lane.stalls_at().is_some_and(|at| at <= now) {
                lane.stalled = true;
                lane.door.set(LaneState::Held {
                    why: Trouble::Silent,
                    reason: "Kafka acknowledges nothing".into(),
                });
                if !self.connection.is_down() && lane.complaint.raise(Code::TIMED_OUT.0, Duration::ZERO, now) {
                    log::warn!(topic = lane.door.topic(), records = lane.outstanding; "Kafka acknowledges nothing for this topic");
                }
            }
            enqueue(&mut self.ready, lane, id);
        }
    }

    pub(crate) fn letter(&mut self, failure: Failure) {
        if let Some(parcel) = self.parcels.get(failure.parcel) {
            let letter = parcel.letter(failure.index, failure.code);
            self.burials.push(failure.parcel, failure.index, letter);
        }
    }
}

/// Puts a lane in line to be fed, if it has something and stands not in line already.
pub(crate) fn enqueue(ready: &mut VecDeque<LaneId>, lane: &mut Lane, id: LaneId) {
    if !lane.queued && lane.phase == Phase::Open && lane.may_send() {
        lane.queued = true;
        ready.push_back(id);
    }
}

#[cfg(test)]
mod giving_back_tests;
#[cfg(test)]
mod handover_tests;
#[cfg(test)]
mod model;
#[cfg(test)]
mod partition_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod transaction_tests;
