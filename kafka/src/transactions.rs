//! The steps of a transaction, each when its time has come.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::errand::{Call, Came, Errand, OpenFailure, Task};
use crate::error::{Code, Verdict};
use crate::lane::{Lane, Phase};
use crate::outlet::{Outlet, ParcelId, Report};
use crate::shipper::{Shipper, enqueue};
use crate::stats::Stats;
use crate::transact::{Cure, OpenError, Opened, TransactError};
use crate::transaction::{Stage, Transaction};

/// Waiting for Kafka to give positions back is said after this.
const GRACE: Duration = Duration::from_secs(3);

/// A commit that goes on for so long while Kafka answers is said.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is complained of: positions are not given back, or not taken.
const NOT_GIVEN: i32 = 0;
const NOT_TAKEN: i32 = 1;

/// A transaction that is all acknowledged and gets nothing more is worth committing from so many bytes on: its files may
/// wait for just that.
const WORTH: u64 = 256 * 1024;

impl<O: Outlet> Shipper<O> {
    /// Moves the transaction on.
    pub(crate) fn transact(&mut self, now: Instant) {
        let Some(mut txn) = self.transaction.take() else { return };
        // A client that failed does nothing more, and its successor begins anew.
        if !self.handover.is_purging() {
            while self.step(&mut txn, now) {}
        }
        self.transaction = Some(txn);
    }

    /// One step; true if another one may be possible at once.
    fn step(&mut self, txn: &mut Transaction, now: Instant) -> bool {
        match txn.stage {
            Stage::Shut(at) if at <= now => {
                txn.stage = Stage::Opening;
                let call = Call::Open {
                    fence: !txn.is_fenced_off,
                    wary: txn.is_wary(now),
                };
                self.call(txn, call);
                false
            }
            Stage::Open | Stage::Closing if txn.failed || self.find_stuck() => {
                txn.failed = true;
                txn.stage = Stage::Aborting;
                self.stats.aborted += 1;
                self.call(txn, Call::Abort);
                false
            }
            Stage::Open => {
                if !self.handover.holds() {
                    self.admit(txn, now);
                }
                let closes = self.closes(txn, now);
                if closes {
                    txn.stage = Stage::Closing;
                }
                closes
            }
            Stage::Closing => self.close_transaction(txn),
            Stage::Aborted if self.outlet.outstanding() == 0 => {
                txn.stage = if self.rewind(txn, now) {
                    Stage::Open
                } else {
                    Stage::Resting(now + txn.rest.pause_unless_first())
                };
                true
            }
            Stage::Resting(at) if at <= now => {
                txn.stage = Stage::Open;
                true
            }
            _ => false,
        }
    }

    /// True if some lane takes nothing though Kafka answers: it must not keep the others. All may seem to take nothing where one
    /// topic is gone: partitions are added to a transaction together or not at all.
    fn find_stuck(&mut self) -> bool {
        let is_stuck = |lane: &Lane| lane.stalled && lane.outstanding > 0;
        if self.connection.is_down() || !self.lanes.iter().flatten().any(is_stuck) {
            return false;
        }
        for lane in self.lanes.iter_mut().flatten() {
            lane.is_stuck = is_stuck(lane);
        }
        true
    }

    fn closes(&self, txn: &mut Transaction, now: Instant) -> bool {
        let is_due = txn.log.due().is_some_and(|due| due <= now || txn.hurry);
        if txn.members.is_empty() {
            return is_due && !self.handover.holds();
        }
        let is_worth = txn.bytes >= WORTH && self.outlet.outstanding() == 0 && txn.is_done(&self.parcels);
        is_due
            || is_worth
            || txn.hurry
            || self.handover.holds()
            || txn.bytes >= txn.bounds.bytes
            || txn.closes_at().is_some_and(|at| at <= now)
    }

    /// Lets in what may be.
    fn admit(&mut self, txn: &mut Transaction, now: Instant) {
        let all = txn.take_candidates(&self.parcels);
        if all.is_empty() {
            return;
        }
        let only = loop {
            let Some(&suspect) = txn.suspects.last() else {
                break None;
            };
            // One that is held by now would keep the others.
            let lane = self.lanes.get(suspect as usize).and_then(Option::as_ref);
            if lane.is_some_and(|lane| !matches!(lane.phase, Phase::Held(..)))
                && all
                    .iter()
                    .any(|id| self.parcels.get(*id).is_some_and(|parcel| parcel.lane == suspect))
            {
                break Some(suspect);
            }
            txn.suspects.pop();
        };
        for id in all {
            let Some(parcel) = self.parcels.get(id) else { continue };
            let has_letter = self.burials.waiting(id).next().is_some();
            let lane = self.lanes.get_mut(parcel.lane as usize).and_then(Option::as_mut);
            let lane = lane.filter(|lane| {
                lane.phase == Phase::Open
                    && lane.partitions > 0
                    && lane.handle.is_some()
                    && !has_letter
                    && only.is_none_or(|only| only == parcel.lane)
                    && txn.is_next(parcel)
                    && txn.has_room(parcel, &self.parcels)
            });
            let (Some(lane), id_of_lane) = (lane, parcel.lane) else {
                txn.hold(parcel);
                txn.waiting.push(id);
                continue;
            };
            txn.enter(id, parcel.buffer.len() as u64, now);
            lane.admit(id, &mut self.parcels);
            enqueue(&mut self.ready, lane, id_of_lane);
        }
    }

    /// Hands positions over, and commits when all that they cover is handed over. True if it failed.
    fn close_transaction(&mut self, txn: &mut Transaction) -> bool {
        let has_work = self.lanes.iter().flatten().any(Lane::has_work);
        // Before the last lines, beside which Kafka gets to know their partition; not with the first ones, so that it can be told
        // which of both are refused.
        if has_work && !txn.is_acked {
            return false;
        }
        if !txn.is_pledged {
            txn.is_pledged = true;
            for parcel in txn.members.iter().filter_map(|id| self.parcels.get(*id)) {
                parcel.pledge();
            }
            txn.positions = txn.log.take(txn.version + 1).into();
        }
        let Some(topic) = txn.topic else { return false };
        while let Some(position) = txn.positions.front() {
            match self.outlet.send_position(topic, txn.partition, position) {
                Ok(true) => {
                    txn.flying += 1;
                    txn.positions.pop_front();
                }
                Ok(false) => return false,
                Err(code) => {
                    self.stats.count_error(code);
                    refused(txn, &mut self.stats, code);
                    return true;
                }
            }
        }
        if has_work {
            return false;
        }
        // What is refused alone passes with this transaction, so it is kept before.
        if txn.members.iter().any(|id| self.burials.waiting(*id).next().is_some()) {
            txn.failed = self.burials.is_blocked();
            return txn.failed;
        }
        txn.stage = Stage::Committing;
        self.call(txn, Call::Commit);
        false
    }

    fn call(&mut self, txn: &Transaction, call: Call) {
        self.errands.push(Errand(Task::Transact {
            era: txn.era,
            call,
            inquirer: self.outlet.inquirer(),
            log: Arc::clone(&txn.log),
            options: self.options.clone(),
        }));
    }

    /// A position was reported.
    pub(crate) fn position_reported(&mut self, report: &Report) {
        let Some(txn) = &mut self.transaction else { return };
        match report {
            Report::Acked { records, .. } => txn.flying = txn.flying.saturating_sub(*records),
            Report::Failed { code, .. } => {
                txn.flying = txn.flying.saturating_sub(1);
                refused(txn, &mut self.stats, *code);
            }
            Report::TokenWanted | Report::Trouble { .. } => {}
        }
    }

    /// A call came back.
    pub(crate) fn transacted(&mut self, era: u64, came: Came, now: Instant) {
        let Some(mut txn) = self.transaction.take() else { return };
        let failed = if era == txn.era {
            self.came(&mut txn, came, now)
        } else {
            None
        };
        self.transaction = Some(txn);
        if let Some(error) = failed {
            self.fatal(error.code, &error.text, now);
        }
    }

    /// Gives an error after which only a new client helps.
    fn came(&mut self, txn: &mut Transaction, came: Came, now: Instant) -> Option<TransactError> {
        match came {
            Came::Opened { fenced, result } => {
                txn.fenced_off(fenced);
                match result {
                    Ok(opened) => {
                        self.opened(txn, opened, now);
                        None
                    }
                    Err(OpenFailure::Positions(OpenError::Never)) => {
                        txn.stage = Stage::Never;
                        None
                    }
                    Err(OpenFailure::Positions(OpenError::Later(reason))) => {
                        self.open_later(txn, &reason, now);
                        None
                    }
                    Err(OpenFailure::Client(error)) if error.cure == Cure::NewClient => {
                        self.stats.positions_wait = Some(error.text.clone());
                        Some(error)
                    }
                    Err(OpenFailure::Client(error)) => {
                        self.open_later(txn, &error.text, now);
                        None
                    }
                }
            }
            Came::Committed(committed, begun) => match committed {
                Ok(()) => {
                    self.committed(txn, now);
                    begun.err()
                }
                Err(error) => match error.cure {
                    // Something is still under way, so the commit itself has not begun.
                    Cure::Again if self.outlet.outstanding() > 0 && (txn.failed || self.find_stuck()) => {
                        txn.failed = true;
                        txn.stage = Stage::Closing;
                        None
                    }
                    Cure::Again => {
                        self.commit_later(txn, &error.text, now);
                        self.call(txn, Call::Commit);
                        None
                    }
                    Cure::Abort => {
                        log::debug!(cause = error.text.as_str(); "a transaction cannot be committed, it is aborted");
                        txn.cause = Some(error.code);
                        txn.failed = true;
                        txn.stage = Stage::Closing;
                        None
                    }
                    Cure::NewClient | Cure::Unknown => Some(error),
                },
            },
            Came::Aborted { why, aborted, begun } => {
                txn.cause = why.or(txn.cause);
                // No line is to blame.
                if let Some(code) = why.filter(|_| txn.members.is_empty()) {
                    txn.not_taken(code, &mut self.stats);
                }
                match aborted {
                    Ok(()) => {
                        txn.stage = Stage::Aborted;
                        begun.err()
                    }
                    Err(error) => match error.cure {
                        Cure::Again | Cure::Abort => {
                            self.call(txn, Call::Abort);
                            None
                        }
                        Cure::NewClient | Cure::Unknown => Some(error),
                    },
                }
            }
        }
    }

    /// Says that no lane is to blame: all lines are acknowledged, and its positions are not, or nobody commits it.
    fn commit_later(&mut self, txn: &mut Transaction, reason: &str, now: Instant) {
        let only_positions = self.outlet.outstanding() <= txn.flying;
        // An outage is said for itself.
        if self.connection.is_down() || !only_positions {
            return;
        }
        txn.waits_for(Some(format!("Kafka does not commit them: {reason}")), &mut self.stats);
        if !txn.complaint.raise(NOT_TAKEN, PATIENCE, now) {
            return;
        }
        log::warn!(topic = txn.log.topic(), partition = txn.partition, positions = txn.flying, reason,
            help = "nothing is lost: lines stay in their files until their positions are committed";
            "Kafka does not commit positions, nothing is shipped");
    }

    fn open_later(&mut self, txn: &mut Transaction, reason: &str, now: Instant) {
        txn.stage = Stage::Shut(now + txn.retry.pause());
        self.stats.positions_wait = Some(reason.to_owned());
        let is_due = txn.complaint.raise(NOT_GIVEN, GRACE, now);
        if txn.tells(reason, is_due) {
            log::warn!(reason, help = "nothing is lost: lines stay in their files until positions are known";
                "cannot ship yet, positions are not read back");
        }
    }

    fn opened(&mut self, txn: &mut Transaction, opened: Opened, now: Instant) {
        self.stats.positions_wait.clone_from(&txn.uncommitted);
        if txn.complaint.clear(now).is_some() {
            log::info!("positions are read back");
        }
        txn.told.clear();
        txn.retry.reset();
        if std::mem::take(&mut txn.is_unsure) {
            if opened.is_ours && opened.last > txn.version {
                // The commit that was never answered went through.
                txn.waits_for(None, &mut self.stats);
                for id in std::mem::take(&mut txn.unsure) {
                    self.settle_committed(id);
                }
                txn.waiting.retain(|id| self.parcels.get(*id).is_some());
                txn.log.committed();
            } else {
                txn.unsure.clear();
                txn.log.aborted();
            }
        }
        txn.version = txn.version.max(opened.last);
        txn.partition = opened.partition;
        txn.topic = match self.outlet.topic(txn.log.topic()) {
            Ok(topic) => Some(topic),
            Err(code) => return self.open_later(txn, &code.to_string(), now),
        };
        txn.is_stale = true;
        txn.stage = Stage::Open;
    }

    fn committed(&mut self, txn: &mut Transaction, now: Instant) {
        self.stats.committed += 1;
        txn.waits_for(None, &mut self.stats);
        txn.version += 1;
        txn.rest.reset();
        if txn.complaint.clear(now).is_some() {
            log::info!(topic = txn.log.topic(); "Kafka commits positions again");
        }
        if let Some(suspect) = txn.suspects.pop()
            && let Some(lane) = self.lanes.get_mut(suspect as usize).and_then(Option::as_mut)
        {
            lane.flows(now);
        }
        for id in txn.renew() {
            self.settle_committed(id);
        }
        txn.log.committed();
        txn.stage = Stage::Open;
        self.take_care(txn);
    }

    fn settle_committed(&mut self, id: ParcelId) {
        self.outlet.release(id);
        if let Some(parcel) = self.parcels.remove(id) {
            self.settle(parcel, true);
        }
    }
}

/// A position came back, or the library did not take it.
fn refused(txn: &mut Transaction, stats: &mut Stats, code: Code) {
    txn.failed = true;
    if matches!(code.verdict(), Verdict::Ask | Verdict::Record) {
        txn.not_taken(code, stats);
        log::warn!(topic = txn.log.topic(), cause:% = code; "Kafka refused a position, its transaction is aborted");
    }
}

#[cfg(test)]
mod tests;
