//! Batches that are not to be sent any more.

use std::collections::HashSet;

use super::Tracks;
use crate::outlet::ParcelId;

impl Tracks {
    /// Takes out all that waits of these batches. None of their records is out, and none came back since all was sorted out.
    pub(crate) fn withdraw(&mut self, gone: &HashSet<ParcelId>) {
        for track in &mut self.tracks {
            let before = track.waiting.len() + track.redo.len();
            track.waiting.retain(|id| !gone.contains(id));
            let is_out = track.outstanding > 0;
            for group in &mut track.redo {
                group.withdraw(gone);
                // What is out of it goes on to travel alone.
                track.alone |= group.runs.is_empty() && group.alone && group.started && is_out;
            }
            track.redo.retain(|group| !group.runs.is_empty());
            self.waiting -= before - track.waiting.len() - track.redo.len();
            track.queued &= track.has_work();
        }
        // One without work would keep those behind it from their turn.
        let tracks = &self.tracks;
        self.turn
            .retain(|place| tracks.get(*place).is_some_and(|track| track.queued));
    }

    /// Whether a record of the batch came back and is not sorted out.
    pub(crate) fn has_failed(&self, parcel: ParcelId) -> bool {
        let mut failures = self.tracks.iter().flat_map(|track| &track.failures);
        failures.any(|failure| failure.parcel == parcel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_of_which_nothing_is_left_keeps_no_other_from_its_turn() {
        let mut tracks = Tracks::default();
        for (place, parcel) in [(1, 10), (1, 11), (2, 20)] {
            tracks.push(place, parcel);
        }
        tracks.withdraw(&HashSet::from([10, 11]));
        assert_eq!(tracks.first(), Some((2, 20)));
        tracks.push(1, 12);
        tracks.pass(1, true);
        assert_eq!(tracks.first(), Some((1, 12)));
        tracks.withdraw(&HashSet::from([12]));
        assert!(tracks.is_empty() && !tracks.may_send());
    }
}
