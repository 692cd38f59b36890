//! Transactions of a shipper: what is in the one under way, and what waits for the next.
//!
//! Batches wait at the gate and are let in, in the order of their arrival, while a transaction is open and takes more. All that
//! was let in is in the lanes, and nothing else is, so that a transaction is at its end when the lanes are empty. Then the
//! positions are written, and it is committed; only then batches are settled. One that is aborted puts all of it back to
//! the gate: nothing has to be read again.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::Code;
use crate::lane::LaneId;
use crate::outlet::{ParcelId, TopicId};
use crate::pace::{Backoff, Complaint};
use crate::parcels::{Parcel, Parcels};
use crate::stats::Stats;
use crate::transact::{PositionLog, PositionRecord};

/// When a transaction takes nothing more.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// After this, from its first batch on.
    pub interval: Duration,
    /// One that has 4 MiB by then, as of a backlog, and no lines of a file that is read to its end: after this.
    pub of_backlog: Duration,
    /// When its batches have so many bytes.
    pub bytes: u64,
    /// So many of those are let in ahead of what is handed over, and a batch more. What is let in must be handed over before the
    /// transaction can be committed: without this bound its end would wait for all that is read.
    pub ahead: u64,
    /// A batch of fewer bytes is of a file that is read to its end, so that somebody may wait for its lines: it does not wait
    /// behind those of a backlog.
    pub fresh: u64,
}

/// What has so many bytes within [`Bounds::interval`] (40 MB/s with the default) is a backlog: its lines waited anyway, and the
/// fewer transactions, the sooner it is through, for each ends with some milliseconds in which nothing can be sent.
const BACKLOG: u64 = 4 << 20;

/// A service that starts takes about so long to read positions back and say that it takes over.
const TAKEOVER: Duration = Duration::from_secs(3);

/// So many times that at most.
const TAKEOVERS: u32 = 10;

/// Where another service that took over cannot be seen for so long, it is fenced unseen: what hides it may be a transaction that we
/// left open ourselves, and which ends with that. Whose the instance is, is looked up again then.
const LOOKING: Duration = Duration::from_secs(10);

/// So many reasons why positions are not read back are told apart, once each.
const TOLD: usize = 8;

/// What happened before that is long ago.
const LATELY: Duration = Duration::from_secs(120);

/// What a transaction is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Positions are to be read back then, before anything is shipped.
    Shut(Instant),
    /// They are being read.
    Opening,
    /// Takes batches.
    Open,
    /// Takes no more; those that it has are on their way.
    Closing,
    /// All is handed over, and it is being committed.
    Committing,
    /// Being aborted.
    Aborting,
    /// Aborted; what was on its way is still being reported.
    Aborted,
    /// The last one failed, and nothing says why: the next one begins then.
    Resting(Instant),
    /// Nothing is shipped any more.
    Never,
}

/// The transaction under way, and the gate before it.
pub(crate) struct Transaction {
    pub(crate) log: Arc<dyn PositionLog>,
    pub(crate) bounds: Bounds,
    pub(crate) stage: Stage,
    /// Which client: what an earlier one still answers does not count.
    pub(crate) era: u64,
    /// The client has fenced others.
    pub(crate) is_fenced_off: bool,
    /// How often others fenced us lately, and the last time.
    fenced: Option<(u32, Instant)>,
    /// Before fencing others in turn, so long is waited for one who takes over; then it is looked for.
    wary: Option<Duration>,
    looking_until: Option<Instant>,
    /// Where positions go.
    pub(crate) topic: Option<TopicId>,
    pub(crate) partition: i32,
    /// Of the last transaction that was committed.
    pub(crate) version: u64,
    /// Why nothing is committed: before the first time, and when positions were not taken.
    pub(crate) uncommitted: Option<String>,
    /// In it, in order of their arrival.
    pub(crate) members: Vec<ParcelId>,
    /// So many of them, from the first, were seen to be accounted for.
    done: usize,
    /// So many of them, from the first, were seen to be handed over, and so many bytes the others have.
    handed: usize,
    ahead: u64,
    /// Bytes of its batches.
    pub(crate) bytes: u64,
    /// Some of its lines are of a file that is read to its end.
    has_fresh: bool,
    /// When its first batch was let in.
    pub(crate) since: Option<Instant>,
    /// Positions that are not handed over yet.
    pub(crate) positions: VecDeque<PositionRecord>,
    /// Positions that are handed over and not reported.
    pub(crate) flying: u32,
    /// Some of its lines are acknowledged.
    pub(crate) is_acked: bool,
    /// Positions were taken from the log.
    pub(crate) is_pledged: bool,
    /// It must be aborted.
    pub(crate) failed: bool,
    /// What made it fail, where that names no record.
    pub(crate) cause: Option<Code>,
    /// Those of a client that was lost after it took their positions: it may have committed them.
    pub(crate) unsure: Vec<ParcelId>,
    /// Positions were taken by a client that was lost.
    pub(crate) is_unsure: bool,
    /// One of these lanes made a transaction fail, and which one is not known: each has the next ones to itself.
    pub(crate) suspects: Vec<LaneId>,
    /// The service ends: nothing is waited for.
    pub(crate) hurry: bool,
    pub(crate) retry: Backoff,
    pub(crate) rest: Backoff,
    pub(crate) complaint: Complaint,
    /// Why positions were not read back lately, as far as it was said.
    pub(crate) told: Vec<String>,
    /// Not let in, in order of their arrival.
    pub(crate) waiting: Vec<ParcelId>,
    /// Files of which something waits: entry and file id.
    held: HashSet<(Arc<str>, String)>,
    /// Some wait because too much of the transaction is not handed over.
    is_crowded: bool,
    /// Some that wait may be let in by now.
    pub(crate) is_stale: bool,
    /// So many came since it was looked at.
    new: usize,
}

impl Transaction {
    pub(crate) fn new(log: Arc<dyn PositionLog>, bounds: Bounds, now: Instant) -> Self {
        Self {
            log,
            bounds,
            stage: Stage::Shut(now),
            era: 0,
            is_fenced_off: false,
            fenced: None,
            wary: None,
            looking_until: None,
            topic: None,
            partition: 0,
            version: 0,
            uncommitted: Some("they are read back and not committed yet".to_owned()),
            members: Vec::new(),
            done: 0,
            handed: 0,
            ahead: 0,
            bytes: 0,
            has_fresh: false,
            since: None,
            positions: VecDeque::new(),
            flying: 0,
            is_acked: false,
            is_pledged: false,
            failed: false,
            cause: None,
            unsure: Vec::new(),
            is_unsure: false,
            suspects: Vec::new(),
            hurry: false,
            retry: Backoff::default(),
            rest: Backoff::default(),
            complaint: Complaint::default(),
            told: Vec::new(),
            waiting: Vec::new(),
            held: HashSet::new(),
            is_crowded: false,
            is_stale: false,
            new: 0,
        }
    }

    /// The client was fenced: by another service with our name, or by the broker, for a transaction that took too long. Another one
    /// is given time to say that it takes over, or the two would fence each other for ever; the more often, the longer.
    pub(crate) fn is_fenced_by_another(&mut self, now: Instant) {
        let times = match self.fenced {
            Some((times, last)) if now.saturating_duration_since(last) < LATELY => times + 1,
            _ => 1,
        };
        self.fenced = Some((times, now));
        self.wary = Some(TAKEOVER * times.min(TAKEOVERS));
    }

    /// Another client takes over now: when it may read positions back.
    pub(crate) fn shut(&mut self, now: Instant) {
        if self.stage != Stage::Never {
            let wary = self.wary.take();
            if let Some(wary) = wary {
                self.looking_until = Some(now + wary + LOOKING);
            }
            self.stage = Stage::Shut(now + wary.unwrap_or_default());
        }
    }

    /// Whether one who took over is looked for before it is fenced.
    pub(crate) fn is_wary(&self, now: Instant) -> bool {
        !self.is_fenced_off && self.looking_until.is_some_and(|until| now < until)
    }

    /// Why nothing is committed from now on; none: it is.
    pub(crate) fn waits_for(&mut self, why: Option<String>, stats: &mut Stats) {
        self.uncommitted = why;
        stats.positions_wait.clone_from(&self.uncommitted);
    }

    /// The same, for this is what Kafka says to positions.
    pub(crate) fn not_taken(&mut self, code: Code, stats: &mut Stats) {
        self.waits_for(Some(format!("Kafka does not take them: {code}")), stats);
    }

    /// Others are fenced, or not yet.
    pub(crate) fn fenced_off(&mut self, fenced: bool) {
        self.is_fenced_off |= fenced;
        if fenced {
            self.looking_until = None;
        }
    }

    /// Whether the reason why positions are not read back is to be said now: at times, and when it is another one.
    pub(crate) fn tells(&mut self, reason: &str, is_due: bool) -> bool {
        let is_new = !self.told.is_empty() && self.told.len() < TOLD && !self.told.iter().any(|told| told == reason);
        if (is_due || is_new) && !self.told.iter().any(|told| told == reason) {
            self.told.push(reason.to_owned());
        }
        is_due || is_new
    }

    /// True while records may be handed over.
    pub(crate) fn may_feed(&self) -> bool {
        !self.failed && matches!(self.stage, Stage::Open | Stage::Closing)
    }

    /// A batch waits.
    pub(crate) fn arrive(&mut self, id: ParcelId) {
        self.waiting.push(id);
        self.new += 1;
    }

    /// True if nothing of the file waits before this batch.
    pub(crate) fn is_next(&self, parcel: &Parcel) -> bool {
        self.held.is_empty() || !self.held.contains(&parcel.file())
    }

    /// Takes one that waits again to the gate's files.
    pub(crate) fn hold(&mut self, parcel: &Parcel) {
        self.held.insert(parcel.file());
    }

    /// What may be let in, to be looked through: what is new, or all that waits.
    pub(crate) fn take_candidates(&mut self, parcels: &Parcels) -> Vec<ParcelId> {
        // Not for each batch that is handed over: all that waits is looked through.
        if self.is_crowded && self.ahead(parcels) < self.bounds.ahead.div_ceil(2) {
            self.is_crowded = false;
            self.is_stale = true;
        }
        let new = std::mem::take(&mut self.new).min(self.waiting.len());
        if std::mem::take(&mut self.is_stale) {
            self.held.clear();
            return std::mem::take(&mut self.waiting);
        }
        self.waiting.split_off(self.waiting.len() - new)
    }

    /// These are not to be let in any more.
    pub(crate) fn withdraw(&mut self, gone: &HashSet<ParcelId>) {
        self.waiting.retain(|id| !gone.contains(id));
        // Of which files something waits, and how many are new, is found out anew.
        self.is_stale = true;
    }

    /// A batch is let in.
    pub(crate) fn enter(&mut self, id: ParcelId, bytes: u64, now: Instant) {
        self.members.push(id);
        self.bytes += bytes;
        self.ahead += bytes;
        self.has_fresh |= bytes < self.bounds.fresh;
        self.since.get_or_insert(now);
    }

    /// True if there is room for this batch: it has not all that it may have, and not too much that is still to be handed over.
    pub(crate) fn has_room(&mut self, parcel: &Parcel, parcels: &Parcels) -> bool {
        let is_fresh = (parcel.buffer.len() as u64) < self.bounds.fresh;
        let has_room = is_fresh || self.ahead(parcels) < self.bounds.ahead;
        self.is_crowded |= !has_room;
        has_room && self.bytes < self.bounds.bytes
    }

    /// So many bytes of it are not handed over.
    fn ahead(&mut self, parcels: &Parcels) -> u64 {
        while let Some(id) = self.members.get(self.handed)
            && let handed = parcels.get(*id)
            && handed.is_none_or(Parcel::is_handed_over)
        {
            self.ahead -= handed.map_or(0, |parcel| parcel.buffer.len() as u64);
            self.handed += 1;
        }
        self.ahead
    }

    /// True if all records of its batches are accounted for.
    pub(crate) fn is_done(&mut self, parcels: &Parcels) -> bool {
        let is_done = |id: &ParcelId| parcels.get(*id).is_none_or(|parcel| parcel.left == 0);
        while self.members.get(self.done).is_some_and(is_done) {
            self.done += 1;
        }
        self.done == self.members.len()
    }

    /// A new one, with nothing in it. Gives what was in the last one.
    pub(crate) fn renew(&mut self) -> Vec<ParcelId> {
        self.positions.clear();
        self.flying = 0;
        self.is_acked = false;
        self.is_pledged = false;
        self.failed = false;
        self.cause = None;
        self.done = 0;
        self.handed = 0;
        self.ahead = 0;
        self.bytes = 0;
        self.has_fresh = false;
        self.since = None;
        self.is_stale = true;
        std::mem::take(&mut self.members)
    }

    /// Puts batches back to the gate, each in its place.
    pub(crate) fn put_back(&mut self, members: Vec<ParcelId>, parcels: &Parcels) {
        let newer = std::mem::replace(&mut self.waiting, members);
        self.waiting.extend(newer);
        self.waiting
            .sort_by_cached_key(|id| parcels.get(*id).map(|parcel| parcel.seq));
        self.is_stale = true;
    }

    /// When it takes nothing more, whatever comes.
    pub(crate) fn closes_at(&self) -> Option<Instant> {
        let interval = if self.bytes < BACKLOG || self.has_fresh {
            self.bounds.interval
        } else {
            self.bounds.of_backlog
        };
        let full = self.since.map(|since| since + interval);
        full.into_iter().chain(self.log.due()).min()
    }

    /// When its owner has something to do for it, if nothing happens before.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        match self.stage {
            Stage::Shut(at) | Stage::Resting(at) => Some(at),
            Stage::Open => self.closes_at(),
            _ => None,
        }
    }
}
