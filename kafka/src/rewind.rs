//! A transaction that is not committed: everything in it goes back to the gate, with what was learned of why.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::asking::hold;
use crate::error::{Code, Verdict};
use crate::lane::Phase;
use crate::outlet::{Outlet, ParcelId};
use crate::redo::{Failure, Resolution};
use crate::shipper::Shipper;
use crate::transaction::Transaction;

impl<O: Outlet> Shipper<O> {
    /// Lanes with batches that cannot be sent as a whole send all of theirs piece by piece, in order.
    pub(crate) fn take_care(&mut self, txn: &Transaction) {
        for lane in self.lanes.iter_mut().flatten() {
            lane.careful = false;
        }
        for id in &txn.waiting {
            let Some(parcel) = self.parcels.get(*id) else { continue };
            if (parcel.needs_care() || self.burials.waiting(*id).next().is_some())
                && let Some(lane) = self.lanes.get_mut(parcel.lane as usize).and_then(Option::as_mut)
            {
                lane.careful = true;
            }
        }
    }

    /// The transaction was aborted: everything in it goes back to the gate, with what was learned. False if that is nothing.
    pub(crate) fn rewind(&mut self, txn: &mut Transaction, now: Instant) -> bool {
        txn.log.aborted();
        let cause = txn.cause;
        let members = txn.renew();
        let mut is_to_blame = self.judge(now);
        if let Some(code) = cause.filter(|code| !is_to_blame && code.verdict() == Verdict::Ask) {
            is_to_blame = self.suspect(txn, &members, code, now);
        }
        for id in &members {
            self.outlet.release(*id);
            if let Some(parcel) = self.parcels.get_mut(*id) {
                parcel.start_over();
            }
        }
        txn.put_back(members, &self.parcels);
        self.take_care(txn);
        is_to_blame
    }

    /// Empties all lanes and sorts out what came back. True if that names what made the transaction fail.
    fn judge(&mut self, now: Instant) -> bool {
        let mut letters = Vec::new();
        let mut together: BTreeMap<u64, Vec<Failure>> = BTreeMap::new();
        let mut is_to_blame = false;
        let mut fatal = None;
        for lane in self.lanes.iter_mut().flatten() {
            let mut worst = Resolution::default();
            for failure in lane.empty() {
                match failure.code.verdict() {
                    Verdict::Record if failure.alone => letters.push(failure),
                    Verdict::Record => together.entry(failure.refusal).or_default().push(failure),
                    verdict => worst.worsen(verdict, failure.code),
                }
            }
            if std::mem::take(&mut lane.is_stuck) && worst.trouble.is_none() {
                worst.trouble = Some((Verdict::Ask, Code::TIMED_OUT));
            }
            match worst.trouble {
                None if lane.phase == Phase::Open => lane.open(now),
                None => {}
                Some((Verdict::Fatal, code)) => fatal = Some(code),
                Some((verdict, code)) => {
                    hold(lane, code, verdict == Verdict::Ask, now);
                    is_to_blame = true;
                }
            }
        }
        is_to_blame |= !letters.is_empty() || !together.is_empty() || fatal.is_some();
        for failure in letters {
            self.letter(failure);
        }
        for refused in together.into_values() {
            self.split(refused);
        }
        if let Some(code) = fatal {
            self.fatal(code, "", now);
        }
        is_to_blame
    }

    /// These were refused as one batch: each half is sent alone, or the part of each file.
    fn split(&mut self, mut refused: Vec<Failure>) {
        let seq = |failure: &Failure| self.parcels.get(failure.parcel).map_or(0, |parcel| parcel.seq);
        refused.sort_by_cached_key(|failure| (seq(failure), failure.index));
        let parts: Vec<&[Failure]> = refused.chunk_by(|a, b| a.parcel == b.parcel).collect();
        let halves: Vec<&[Failure]> = match parts.as_slice() {
            [one] => {
                let (first, second) = one.split_at(one.len().div_ceil(2));
                vec![first, second]
            }
            _ => parts,
        };
        for half in halves {
            if let (Some(first), Some(last)) = (half.first(), half.last())
                && let Some(parcel) = self.parcels.get_mut(first.parcel)
            {
                parcel.suspect(first.index..last.index + 1);
            }
        }
    }

    /// Something made a transaction fail, and no record says what: the lanes in it of which nothing is acknowledged are tried one by
    /// one. False if there are none.
    fn suspect(&mut self, txn: &mut Transaction, members: &[ParcelId], code: Code, now: Instant) -> bool {
        let parcels: Vec<_> = members.iter().filter_map(|id| self.parcels.get(*id)).collect();
        let takes = |lane| parcels.iter().any(|parcel| parcel.lane == lane && parcel.is_taken());
        let mut lanes: Vec<_> = parcels.iter().map(|parcel| parcel.lane).collect();
        lanes.sort_unstable();
        lanes.dedup();
        lanes.retain(|lane| !takes(*lane));
        match lanes.as_slice() {
            [] => {
                txn.not_taken(code, &mut self.stats);
                log::warn!(topic = txn.log.topic(), cause:% = code; "Kafka takes no positions, nothing is shipped");
            }
            [one] => {
                txn.suspects.retain(|suspect| suspect != one);
                if let Some(lane) = self.lanes.get_mut(*one as usize).and_then(Option::as_mut) {
                    hold(lane, code, true, now);
                }
            }
            _ => txn.suspects.clone_from(&lanes),
        }
        !lanes.is_empty()
    }

    /// Another client takes over: everything in the transaction goes back to the gate, and what was committed is asked for.
    pub(crate) fn restart_transaction(&mut self, now: Instant) {
        let Some(mut txn) = self.transaction.take() else { return };
        for lane in self.lanes.iter_mut().flatten() {
            lane.empty();
            lane.restart(Vec::new(), &self.parcels, now);
        }
        // Also one that was being aborted may be committed: by a commit before that, whose answer was lost.
        let is_pledged = txn.is_pledged;
        txn.is_unsure |= is_pledged;
        let cause = txn.cause.filter(|code| code.verdict() == Verdict::Ask);
        let members = txn.renew();
        for id in &members {
            if let Some(parcel) = self.parcels.get_mut(*id) {
                parcel.start_over();
            }
        }
        if is_pledged {
            txn.unsure.clone_from(&members);
        }
        // Kafka knows no transaction to which nothing could be added, so that aborting it loses the client.
        if let Some(code) = cause {
            self.suspect(&mut txn, &members, code, now);
        }
        txn.put_back(members, &self.parcels);
        self.take_care(&txn);
        txn.era += 1;
        txn.is_fenced_off = false;
        txn.topic = None;
        txn.shut(now);
        self.transaction = Some(txn);
    }
}
