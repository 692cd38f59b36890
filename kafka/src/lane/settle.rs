//! What came back is sorted out, partition by partition: one of which nothing is heard does not keep the others.

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use super::{Lane, Phase};
use crate::error::{Code, Verdict};
use crate::outlet::ParcelId;
use crate::parcels::Parcels;
use crate::redo::{Failure, Group, Resolution};

impl Lane {
    /// Takes note of it if all is reported.
    pub(crate) fn calm(&mut self) {
        self.stalled &= self.outstanding > 0;
    }

    /// Sorts out what came back to partitions of which all is reported. None if that is nothing.
    pub(crate) fn resolve(&mut self, parcels: &Parcels) -> Option<Resolution> {
        self.calm();
        let mut all: Option<Resolution> = None;
        for (place, failures) in self.tracks.take_settled() {
            let (resolution, groups) = self.sort_out(failures, parcels);
            self.tracks.push_first(place, groups);
            all.get_or_insert_default().add(resolution);
        }
        // That is something, if no acknowledgement.
        self.stalled &= all.is_none();
        all
    }

    /// What is to be done, and what is to be sent again, in order.
    fn sort_out(&mut self, mut failures: Vec<Failure>, parcels: &Parcels) -> (Resolution, Vec<Group>) {
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
        (resolution, groups)
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

    /// Forgets the outlet: what it had not reported is sent again with what came back, then all the rest. Gives what is not, because
    /// it was refused alone.
    pub(crate) fn restart(&mut self, unreported: Vec<Failure>, parcels: &Parcels, now: Instant) -> Vec<Failure> {
        let (mut waiting, redo, mut failures) = self.tracks.clear();
        failures.extend(unreported);
        let (resolution, groups) = self.sort_out(failures, parcels);
        let later = std::mem::take(&mut self.returned);
        self.returned.extend(groups.into_iter().chain(redo).chain(later));
        // Another cluster may have other partitions.
        self.partitions = 0;
        self.unplaced.append(&mut waiting);
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
        self.phase = Phase::Asking(now);
        self.door.share().set_flows(false);
        // Verdicts that asked for a pause or an answer are met by asking anew.
        resolution.letters
    }

    /// Records of a parcel that wait to be sent again.
    pub(crate) fn to_redo(&self, parcel: ParcelId) -> impl Iterator<Item = u32> + '_ {
        let returned = self.returned.iter().flat_map(move |group| group.left_of(parcel));
        self.tracks.came_back(parcel).chain(returned)
    }
}
