//! The batches under way, each with what is still owed to it.

use std::ops::Range;
use std::sync::Arc;

use crate::batch::{Batch, Outcome, Settle, Source, Target};
use crate::error::Code;
use crate::headers::{Headers, RecordHeaders};
use crate::lane::LaneId;
use crate::letters::Letter;
use crate::outlet::{ParcelId, Picks};
use crate::partition::partition;

/// A batch under way.
pub(crate) struct Parcel {
    pub(crate) lane: LaneId,
    /// Ascending in order of arrival.
    pub(crate) seq: u64,
    pub(crate) target: Arc<Target>,
    pub(crate) buffer: Arc<Vec<u8>>,
    pub(crate) records: Vec<Range<u32>>,
    /// The first record that was never handed over.
    pub(crate) next: u32,
    /// Records handed over and not reported.
    pub(crate) flying: u32,
    /// Records not accounted for: neither acknowledged nor kept as dead letters.
    pub(crate) left: u32,
    /// Its place among the tracks of its lane.
    pub(crate) place: usize,
    /// True if the outlet has the buffer.
    pub(crate) lent: bool,
    parts: Vec<(u32, String)>,
    extents: Vec<Range<u32>>,
    headers: Option<Arc<Headers>>,
    source: Arc<Source>,
    offset: u64,
    ticket: Box<dyn Settle>,
    dead: Vec<u32>,
    /// Ascending ranges of records that were refused together: each is sent alone in the next transaction.
    suspects: Vec<Range<u32>>,
    /// Bytes of those by the name of the error.
    reasons: Vec<(&'static str, u64)>,
    /// The partition of this batch, where the target has none.
    spread: Option<i32>,
}

/// Where more were under way at once, their room goes with the last one: a quarter of a KB for each.
const FEW: usize = 64;

/// All of them, by a number that is theirs until they are settled.
#[derive(Default)]
pub(crate) struct Parcels {
    slots: Vec<Option<Parcel>>,
    free: Vec<ParcelId>,
    seq: u64,
}

impl Parcels {
    pub(crate) fn insert(&mut self, batch: Batch, lane: LaneId) -> ParcelId {
        self.seq += 1;
        let count = u32::try_from(batch.records.len()).unwrap_or(u32::MAX);
        let parcel = Parcel {
            lane,
            seq: self.seq,
            target: batch.target,
            buffer: Arc::new(batch.buffer),
            records: batch.records,
            next: 0,
            flying: 0,
            left: count,
            place: 0,
            lent: false,
            parts: batch.parts,
            extents: batch.extents,
            headers: batch.headers.filter(|headers| !headers.is_empty()),
            source: batch.source,
            offset: batch.offset,
            ticket: batch.ticket,
            dead: Vec::new(),
            suspects: Vec::new(),
            reasons: Vec::new(),
            spread: None,
        };
        let id = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(slot) = self.slots.get_mut(id as usize) {
            *slot = Some(parcel);
        }
        id
    }

    pub(crate) fn get(&self, id: ParcelId) -> Option<&Parcel> {
        self.slots.get(id as usize)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, id: ParcelId) -> Option<&mut Parcel> {
        self.slots.get_mut(id as usize)?.as_mut()
    }

    pub(crate) fn remove(&mut self, id: ParcelId) -> Option<Parcel> {
        let parcel = self.slots.get_mut(id as usize)?.take()?;
        self.free.push(id);
        if self.slots.len() > FEW && self.len() == 0 {
            (self.slots, self.free) = (Vec::new(), Vec::new());
        }
        Some(parcel)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ParcelId, &Parcel)> {
        (0..)
            .zip(&self.slots)
            .filter_map(|(id, slot)| Some((id, slot.as_ref()?)))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (ParcelId, &mut Parcel)> {
        (0..)
            .zip(&mut self.slots)
            .filter_map(|(id, slot)| Some((id, slot.as_mut()?)))
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

impl Parcel {
    /// How many records it has.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.records.len()).unwrap_or(u32::MAX)
    }

    /// The bytes of its records on average, key and headers included.
    pub(crate) fn average(&self) -> u64 {
        let headers = self.headers.as_ref().map_or(0, |headers| headers.size());
        self.buffer.len() as u64 / u64::from(self.count().max(1)) + self.target.key().len() as u64 + headers
    }

    /// The partition of its records, chosen anew only when the topic has no such partition any more: with a key once
    /// for the target, without one for each batch, which spreads them.
    pub(crate) fn partition(&mut self, partitions: u32) -> i32 {
        let has_key = !self.target.key().is_empty();
        let known = self.target.partition().or(self.spread);
        if let Some(chosen) = known.filter(|chosen| u32::try_from(*chosen).is_ok_and(|chosen| chosen < partitions)) {
            return chosen;
        }
        if has_key {
            let chosen = partition(self.target.key(), partitions);
            self.target.choose(chosen);
            return chosen;
        }
        let place = [self.source.file_id.as_bytes(), &self.offset.to_le_bytes()].concat();
        let chosen = partition(&place, partitions);
        self.spread = Some(chosen);
        chosen
    }

    /// As many of the picks, from the first, as one shipment takes: all up to a record that carries a header, or
    /// just that record with its headers.
    pub(crate) fn piece<'a>(&'a self, picks: Picks<'a>) -> (Picks<'a>, Option<RecordHeaders<'a>>) {
        if self.parts.is_empty() && self.headers.is_none() {
            return (picks, None);
        }
        let first = picks.get(0);
        let part = first.and_then(|index| self.part(index));
        if part.is_some() || self.headers.is_some() {
            let headers = RecordHeaders {
                all: self.headers.as_deref(),
                offset: first.map_or(0, |index| self.offset_of(index)),
                part,
            };
            return (picks.first(1), Some(headers));
        }
        let plain = picks.iter().take_while(|index| self.part(*index).is_none()).count();
        (picks.first(plain), None)
    }

    /// The file offset of a record's first byte.
    fn offset_of(&self, index: u32) -> u64 {
        let range = self.extents.get(index as usize).or(self.records.get(index as usize));
        self.offset + range.map_or(0, |range| u64::from(range.start))
    }

    /// Which part of a split line a record is, if it is one.
    fn part(&self, index: u32) -> Option<&str> {
        let place = self.parts.binary_search_by_key(&index, |(of, _)| *of).ok()?;
        self.parts.get(place).map(|(_, value)| value.as_str())
    }

    /// The bytes of a record.
    pub(crate) fn size(&self, index: u32) -> u64 {
        self.records
            .get(index as usize)
            .map_or(0, |range| u64::from(range.end.saturating_sub(range.start)))
    }

    /// The bytes of the file that are a record's: up to the next record, so with its line end.
    fn extent(&self, index: u32) -> u64 {
        if let Some(extent) = self.extents.get(index as usize) {
            return u64::from(extent.end.saturating_sub(extent.start));
        }
        let start = |index: u32| self.records.get(index as usize).map(|range| range.start as usize);
        let end = start(index + 1).unwrap_or(self.buffer.len());
        start(index).map_or(0, |start| end.saturating_sub(start) as u64)
    }

    /// A record as a dead letter.
    pub(crate) fn letter(&self, index: u32, code: Code) -> Letter {
        let range = self.records.get(index as usize).cloned().unwrap_or_default();
        Letter {
            source: Arc::clone(&self.source),
            topic: Arc::clone(self.target.topic_name()),
            key: Arc::clone(self.target.key_bytes()),
            partition: self.target.partition(),
            part: self.part(index).map(str::to_owned),
            headers: self.headers.clone(),
            offset: self.offset_of(index),
            reason: format!("{}: {code}", code.name()),
            code,
            buffer: Arc::clone(&self.buffer),
            range: range.start as usize..range.end as usize,
        }
    }

    /// One of its records is kept as a dead letter.
    pub(crate) fn bury(&mut self, index: u32, why: Code) {
        self.left = self.left.saturating_sub(1);
        if let Err(place) = self.dead.binary_search(&index) {
            self.dead.insert(place, index);
            let (name, bytes) = (why.name(), self.extent(index));
            match self.reasons.iter_mut().find(|(known, _)| *known == name) {
                Some((_, sum)) => *sum += bytes,
                None => self.reasons.push((name, bytes)),
            }
        }
    }

    pub(crate) fn is_dead(&self, index: u32) -> bool {
        self.dead.binary_search(&index).is_ok()
    }

    /// Its records that are dead letters.
    pub(crate) fn dead(&self) -> &[u32] {
        &self.dead
    }

    /// Names the file that it was read from.
    pub(crate) fn file(&self) -> (Arc<str>, String) {
        (Arc::clone(&self.source.log), self.source.file_id.clone())
    }

    /// Nothing of it counts as handed over any more; what is kept as a dead letter is.
    pub(crate) fn start_over(&mut self) {
        self.next = 0;
        self.flying = 0;
        self.lent = false;
        self.left = self.alive();
    }

    /// Each of its records is handed over, or was.
    pub(crate) fn is_handed_over(&self) -> bool {
        self.next >= self.count()
    }

    /// How many of its records are no dead letters.
    pub(crate) fn alive(&self) -> u32 {
        self.count() - u32::try_from(self.dead.len()).unwrap_or(0)
    }

    /// Something of it is acknowledged.
    pub(crate) fn is_taken(&self) -> bool {
        self.left < self.alive()
    }

    /// These were refused, as one batch or as a part of one.
    pub(crate) fn suspect(&mut self, records: Range<u32>) {
        self.suspects
            .retain(|known| known.end <= records.start || records.end <= known.start);
        self.suspects.push(records);
        self.suspects.sort_unstable_by_key(|range| range.start);
    }

    /// Whether it cannot be sent as a whole.
    pub(crate) fn needs_care(&self) -> bool {
        !self.dead.is_empty() || !self.suspects.is_empty()
    }

    /// What is to be sent of it, in order, and whether it must travel alone.
    pub(crate) fn pieces(&self) -> Vec<(Vec<u32>, bool)> {
        let mut pieces = Vec::new();
        let mut piece = |records: Range<u32>, alone| {
            let indexes: Vec<u32> = records.filter(|index| !self.is_dead(*index)).collect();
            if !indexes.is_empty() {
                pieces.push((indexes, alone));
            }
        };
        let mut at = 0;
        for suspect in &self.suspects {
            piece(at..suspect.start, false);
            piece(suspect.clone(), true);
            at = suspect.end;
        }
        piece(at..self.count(), false);
        pieces
    }

    /// Tells its ticket that it is settled if the transaction under way is committed.
    pub(crate) fn pledge(&self) {
        self.ticket.pledge(self.target.partition());
    }

    /// Tells its ticket that nothing of it will be sent, by us.
    pub(crate) fn take_back(self) {
        if let Ok(buffer) = Arc::try_unwrap(self.buffer) {
            self.ticket.give_back(buffer);
        }
        self.ticket.take_back();
    }

    /// Tells its ticket; `committed`, if its position was pledged and is committed with it.
    pub(crate) fn settle(self, committed: bool) {
        let partition = self.target.partition();
        let dead_lettered_bytes = self.dead.iter().map(|index| self.extent(*index)).sum();
        // Not while a dead letter lies in it.
        if let Ok(buffer) = Arc::try_unwrap(self.buffer) {
            self.ticket.give_back(buffer);
        }
        self.ticket.settle(Outcome {
            partition,
            dead_lettered: self.dead,
            dead_lettered_bytes,
            committed,
            dead_letter_reasons: self.reasons,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::fake::batch;

    #[test]
    fn the_room_of_many_batches_goes_with_the_last_of_them() {
        let mut parcels = Parcels::default();
        let ids: Vec<_> = (0..=FEW)
            .map(|_| parcels.insert(batch("t", "key", &["a"]).0, 0))
            .collect();
        let (last, others) = ids.split_last().unwrap();
        others.iter().for_each(|id| drop(parcels.remove(*id)));
        assert!(parcels.get(*last).is_some() && parcels.slots.len() > FEW);
        drop(parcels.remove(*last));
        assert_eq!(
            (parcels.slots.capacity(), parcels.free.capacity(), parcels.len()),
            (0, 0, 0)
        );
        let id = parcels.insert(batch("t", "key", &["a"]).0, 0);
        assert!(parcels.get(id).is_some());
    }

    #[test]
    fn a_shipment_ends_before_a_record_with_a_header_and_holds_it_alone() {
        let mut parcels = Parcels::default();
        let mut batch = batch("t", "key", &["a", "b1", "b2", "c", "d"]).0;
        batch.parts = vec![(1, "1".into()), (2, "2/2".into())];
        let id = parcels.insert(batch, 0);
        let parcel = parcels.get(id).unwrap();
        let piece = |picks| {
            let (picks, part) = parcel.piece(picks);
            (picks.iter().collect::<Vec<_>>(), part.and_then(|headers| headers.part))
        };
        assert_eq!(piece(Picks::Run(0, 5)), (vec![0], None));
        assert_eq!(piece(Picks::Run(1, 4)), (vec![1], Some("1")));
        assert_eq!(piece(Picks::Run(2, 3)), (vec![2], Some("2/2")));
        assert_eq!(piece(Picks::Run(3, 2)), (vec![3, 4], None));
        assert_eq!(piece(Picks::List(&[0, 3, 4])), (vec![0, 3, 4], None));
        assert_eq!(piece(Picks::List(&[0, 2, 4])), (vec![0], None));
    }

    #[test]
    fn records_that_are_not_their_lines_know_where_those_are() {
        let mut parcels = Parcels::default();
        let (mut batch, fate) = batch("t", "key", &["{\"a\"}", "{\"b\"}"]);
        batch.offset = 1000;
        batch.extents = vec![7..12, 20..21];
        batch.headers = Some(Arc::new(Headers {
            fixed: vec![("host.name".into(), b"h".to_vec())],
            offset: Some("log.offset".into()),
        }));
        let id = parcels.insert(batch, 0);
        let mut parcel = parcels.remove(id).unwrap();
        let (picks, headers) = parcel.piece(Picks::Run(1, 1));
        let mut found = Vec::new();
        headers
            .unwrap()
            .for_each(|name, value| found.push((name.to_owned(), value.to_vec())));
        assert_eq!(picks.len(), 1);
        assert_eq!(
            found,
            [
                ("host.name".into(), b"h".to_vec()),
                ("log.offset".into(), b"1020".to_vec())
            ]
        );
        assert_eq!(
            parcel.piece(Picks::Run(0, 2)).0.len(),
            1,
            "each has an offset of its own"
        );
        assert_eq!(parcel.letter(0, Code::NONE).offset, 1007);
        parcel.bury(0, Code::INVALID_RECORD);
        parcel.settle(false);
        assert_eq!(fate.outcome().dead_lettered_bytes, 5);
    }

    #[test]
    fn a_partition_is_chosen_once_and_anew_only_when_it_is_gone() {
        let mut parcels = Parcels::default();
        let id = parcels.insert(batch("t", "21", &["a"]).0, 0);
        let parcel = parcels.get_mut(id).unwrap();
        let chosen = parcel.partition(16);
        assert_eq!(chosen, partition(b"21", 16));
        assert_eq!(parcel.partition(1000), chosen);
        assert_eq!(parcel.partition(1), 0);
    }

    #[test]
    fn batches_without_a_key_spread_and_each_keeps_its_partition() {
        let mut parcels = Parcels::default();
        let mut seen = HashSet::new();
        for offset in 0..100 {
            let mut batch = batch("t", "", &["a"]).0;
            batch.offset = offset;
            let id = parcels.insert(batch, 0);
            let parcel = parcels.get_mut(id).unwrap();
            let chosen = parcel.partition(4);
            assert_eq!(parcel.partition(1000), chosen);
            assert_eq!(parcel.target.partition(), None);
            seen.insert(chosen);
        }
        assert_eq!(seen.len(), 4);
    }

    #[test]
    fn dead_bytes_are_those_of_the_file() {
        let mut parcels = Parcels::default();
        let (batch, fate) = batch("t", "k", &["abc", "", "de"]);
        let id = parcels.insert(batch, 0);
        let mut parcel = parcels.remove(id).unwrap();
        parcel.bury(1, Code::INVALID_RECORD);
        parcel.bury(2, Code::MESSAGE_TOO_LARGE);
        parcel.settle(false);
        assert_eq!(fate.outcome().dead_lettered_bytes, 4, "line ends included");
        assert_eq!(
            fate.outcome().dead_letter_reasons,
            [("INVALID_RECORD", 1), ("MSG_SIZE_TOO_LARGE", 3)]
        );
    }
}
