//! Records that came back, and in what groups they are sent again.

use std::collections::{BTreeMap, HashSet, VecDeque};

use crate::error::{Code, Verdict};
use crate::outlet::ParcelId;

/// A record that came back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure {
    pub(crate) parcel: ParcelId,
    pub(crate) index: u32,
    pub(crate) code: Code,
    /// Equal for records that were refused together.
    pub(crate) refusal: u64,
    /// It was refused alone.
    pub(crate) alone: bool,
}

/// Records to be sent again, in order.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) runs: VecDeque<Run>,
    /// Nothing else of the lane may share a batch with it.
    pub(crate) alone: bool,
    pub(crate) started: bool,
    /// Where it stands among all: the arrival of its first record's batch, and the record's index.
    pub(crate) order: (u64, u32),
}

#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) parcel: ParcelId,
    pub(crate) indexes: Vec<u32>,
    pub(crate) at: usize,
}

/// What is to be done after all was reported.
#[derive(Debug, Default)]
pub(crate) struct Resolution {
    /// Refused alone: dead letters.
    pub(crate) letters: Vec<Failure>,
    /// The worst of the others, if one asks for more than sending again.
    pub(crate) trouble: Option<(Verdict, Code)>,
}

impl Group {
    /// In the order given.
    pub(crate) fn new(records: &[Failure], alone: bool, seq: impl Fn(ParcelId) -> u64) -> Self {
        let order = records.first().map_or((0, 0), |first| (seq(first.parcel), first.index));
        let mut runs: VecDeque<Run> = VecDeque::new();
        for record in records {
            match runs.back_mut() {
                Some(run) if run.parcel == record.parcel => run.indexes.push(record.index),
                _ => runs.push_back(Run {
                    parcel: record.parcel,
                    indexes: vec![record.index],
                    at: 0,
                }),
            }
        }
        Self {
            runs,
            alone,
            started: false,
            order,
        }
    }
}

impl Group {
    /// Records of a parcel that are not handed over.
    pub(crate) fn left_of(&self, parcel: ParcelId) -> impl Iterator<Item = u32> + '_ {
        let runs = self.runs.iter().filter(move |run| run.parcel == parcel);
        runs.flat_map(|run| run.indexes.get(run.at..).unwrap_or_default())
            .copied()
    }

    /// The same, for each place what goes there; a group that is alone is alone at each.
    pub(crate) fn split(self, mut place: impl FnMut(ParcelId) -> Option<usize>) -> BTreeMap<usize, Group> {
        let mut groups: BTreeMap<usize, Group> = BTreeMap::new();
        for run in self.runs {
            let Some(place) = place(run.parcel) else { continue };
            let group = groups.entry(place).or_insert_with(|| Group {
                alone: self.alone,
                order: self.order,
                ..Group::default()
            });
            group.runs.push_back(run);
        }
        groups
    }

    /// Takes out the records of these parcels.
    pub(crate) fn withdraw(&mut self, gone: &HashSet<ParcelId>) {
        self.runs.retain(|run| !gone.contains(&run.parcel));
    }
}

impl Resolution {
    /// What another partition comes to, too.
    pub(crate) fn add(&mut self, mut other: Self) {
        self.letters.append(&mut other.letters);
        if let Some((verdict, code)) = other.trouble {
            self.worsen(verdict, code);
        }
    }

    pub(crate) fn worsen(&mut self, verdict: Verdict, code: Code) {
        let rank = |verdict| match verdict {
            Verdict::Again | Verdict::Record => 0,
            Verdict::Wait => 1,
            Verdict::Ask => 2,
            Verdict::Fatal => 3,
        };
        if rank(verdict) > self.trouble.map_or(0, |(worst, _)| rank(worst)) {
            self.trouble = Some((verdict, code));
        }
    }
}
