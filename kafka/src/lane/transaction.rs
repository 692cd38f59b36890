//! What a transaction asks of a lane.

use super::Lane;
use crate::outlet::ParcelId;
use crate::parcels::Parcels;
use crate::redo::{Failure, Group, Run};
use crate::track::Tracks;

impl Lane {
    /// A batch is let into the transaction under way.
    pub(crate) fn admit(&mut self, id: ParcelId, parcels: &mut Parcels) {
        if !self.careful {
            return self.push(id, parcels);
        }
        let Some(parcel) = parcels.get_mut(id) else { return };
        parcel.place = Tracks::place(parcel.partition(self.partitions));
        parcel.next = parcel.count();
        for (indexes, alone) in parcel.pieces() {
            let order = (parcel.seq, indexes.first().copied().unwrap_or_default());
            let run = Run {
                parcel: id,
                indexes,
                at: 0,
            };
            let group = Group {
                runs: [run].into(),
                alone,
                started: false,
                order,
            };
            self.tracks.push_group(parcel.place, group);
        }
    }

    /// Takes out all that it has, which goes back to where it came from. Gives what came back. Nothing is out.
    pub(crate) fn empty(&mut self) -> Vec<Failure> {
        let (_, _, failures) = self.tracks.clear();
        self.unplaced.clear();
        self.returned.clear();
        self.outstanding = 0;
        failures
    }
}
