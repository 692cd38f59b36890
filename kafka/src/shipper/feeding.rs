//! Lanes get their turn, and what came back is looked after.

use std::time::Instant;

use super::{FEED, Shipper, enqueue};
use crate::asking::hold;
use crate::error::Verdict;
use crate::lane::{Fed, LaneId, Phase};
use crate::outlet::Outlet;

impl<O: Outlet> Shipper<O> {
    /// Looks after lanes of which something was reported or refused.
    pub(super) fn settle_touched(&mut self, now: Instant) {
        while let Some(id) = self.touched.pop() {
            let Some(lane) = self.lanes.get_mut(id as usize).and_then(Option::as_mut) else {
                continue;
            };
            if self.transaction.is_some() {
                // What came back is sorted out when the transaction is aborted.
                lane.calm();
            } else if let Some(resolution) = lane.resolve(&self.parcels) {
                let trouble = resolution.trouble;
                match (trouble, &mut lane.phase) {
                    (None | Some((Verdict::Fatal, _)), Phase::Open) => {
                        lane.open(now);
                        // Judged one by one: the topic takes records.
                        if trouble.is_none() && (lane.is_idle() || !resolution.letters.is_empty()) {
                            lane.flows(now);
                        }
                    }
                    (Some((verdict, code)), Phase::Open) => hold(lane, code, verdict == Verdict::Ask, now),
                    // Another partition said so before.
                    (Some((Verdict::Ask, _)), Phase::Held(_, ask)) => *ask = true,
                    _ => {}
                }
                if let Some(bytes) = lane.batch_bytes.take() {
                    self.handover.keep_batches_under(bytes, now);
                }
                for failure in resolution.letters {
                    self.letter(failure);
                }
                if let Some((Verdict::Fatal, code)) = trouble {
                    self.fatal(code, "", now);
                }
            }
            if let Some(lane) = self.lanes.get_mut(id as usize).and_then(Option::as_mut) {
                enqueue(&mut self.ready, lane, id);
            }
        }
        // What was reported made room.
        self.ready.append(&mut self.capped);
    }

    /// Feeds lanes in turn, a shipment each; true if more could be done at once.
    pub(super) fn feed(&mut self, now: Instant) -> bool {
        let before = self.outlet.outstanding();
        let limit = self.handover.batch_bytes();
        while self.outlet.outstanding().saturating_sub(before) < FEED {
            let Some(id) = self.ready.pop_front() else { return false };
            let Some(lane) = self.lanes.get_mut(id as usize).and_then(Option::as_mut) else {
                continue;
            };
            let fed = lane.feed(&mut self.outlet, &mut self.parcels, limit, now, &mut self.refused);
            match fed {
                Fed::More => self.ready.push_back(id),
                Fed::Idle => lane.queued = false,
                Fed::Capped => self.capped.push_back(id),
                Fed::Full => self.ready.push_front(id),
            }
            if !self.refused.is_empty() {
                self.refused_at_once(id);
            }
            if fed == Fed::Full {
                return false;
            }
        }
        true
    }

    fn refused_at_once(&mut self, id: LaneId) {
        for failure in std::mem::take(&mut self.refused) {
            self.stats.count_error(failure.code);
            if failure.code.verdict() == Verdict::Record {
                self.letter(failure);
            } else if let Some(txn) = &mut self.transaction {
                txn.failed = true;
            }
        }
        self.touched.push(id);
    }
}
