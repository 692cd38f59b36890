//! Batches that wait for a topic that takes nothing are given back to whoever handed them over, where nobody wants them shipped
//! any more: they are neither acknowledged nor sent, and will be read again should somebody want them.
//!
//! All that is left of a file goes at once or nothing does, and nothing of it that librdkafka has. So no record of the file is
//! on its way afterwards, and no later batch of it is left here that could be settled.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Shipper;
use crate::lanes::LaneState;
use crate::outlet::{Outlet, ParcelId};
use crate::parcels::Parcel;

impl<O: Outlet> Shipper<O> {
    /// Gives back what is left of these files (the name of the entry, and the file's own), if all of it waits for topics that
    /// are missing or forbidden. Their readers must have ended. Returns how many batches that are: their tickets are told
    /// by [`Settle::take_back`](crate::Settle::take_back).
    pub fn give_back(&mut self, files: &HashSet<(Arc<str>, String)>) -> usize {
        // Of what was in a commit that was not answered it is not known whether it is committed.
        if self.transaction.as_ref().is_some_and(|txn| txn.is_unsure) {
            return 0;
        }
        // What is in a transaction ends with it.
        let members = self.transaction.iter().flat_map(|txn| &txn.members);
        let members: HashSet<ParcelId> = members.copied().collect();
        let mut left: HashMap<_, Vec<(ParcelId, bool)>> = HashMap::new();
        for (id, parcel) in self.parcels.iter() {
            let file = parcel.file();
            if files.contains(&file) {
                let may_go = !members.contains(&id) && self.may_go(id, parcel);
                left.entry(file).or_default().push((id, may_go));
            }
        }
        left.retain(|_, batches| batches.iter().all(|(_, may_go)| *may_go));
        let gone: HashSet<ParcelId> = left.into_values().flatten().map(|(id, _)| id).collect();
        if gone.is_empty() {
            return 0;
        }
        for lane in self.lanes.iter_mut().flatten() {
            lane.withdraw(&gone);
        }
        if let Some(txn) = &mut self.transaction {
            txn.withdraw(&gone);
        }
        for id in &gone {
            self.take_out(*id);
        }
        // A topic of which nobody wants anything any more is not asked for.
        self.sweep();
        gone.len()
    }

    /// Whether a batch waits for somebody to make its topic or to grant a right, and for nothing else.
    fn may_go(&self, id: ParcelId, parcel: &Parcel) -> bool {
        let lane = self.lanes.get(parcel.lane as usize).and_then(Option::as_ref);
        let waits = lane.is_some_and(|lane| {
            matches!(lane.door.state(), LaneState::Held { why, .. } if why.needs_somebody()) && !lane.has_failed(id)
        });
        waits && parcel.flying == 0 && self.burials.waiting(id).next().is_none()
    }

    fn take_out(&mut self, id: ParcelId) {
        let Some(parcel) = self.parcels.remove(id) else { return };
        if parcel.lent {
            self.outlet.release(id);
        }
        if let Some(lane) = self.lanes.get(parcel.lane as usize).and_then(Option::as_ref) {
            lane.door.discharge(parcel.buffer.len() as u64);
        }
        parcel.take_back();
    }
}
