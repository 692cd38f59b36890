//! What of one file is on its way to Kafka, and up to where everything is settled.

use std::collections::VecDeque;

use crate::account::Passed;
use crate::position::Mark;

/// One batch that was handed over.
#[derive(Debug)]
struct Issued {
    end: Mark,
    bytes: u64,
    passed: Passed,
    handed_over: bool,
    settled: bool,
}

/// What settling a batch came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// File bytes of the batch.
    pub bytes: u64,
    /// The mark up to which everything is settled, when that moved.
    pub reached: Option<Mark>,
}

/// Batches of one file in file order. A position may be saved only when its batch, and every one before it, is
/// settled: acknowledged by Kafka, or written to the dead-letter file.
#[derive(Debug, Default)]
pub struct Ledger {
    first: u64,
    /// Of many files most are idle, and have none: 0.4 KB each.
    #[expect(clippy::box_collection, reason = "a word instead of four where there is none")]
    issued: Option<Box<VecDeque<Issued>>>,
    in_flight: u64,
}

impl Ledger {
    /// Takes down a batch of `bytes` file bytes that ends at `end`; the number identifies it to [`Ledger::settle`].
    pub fn issue(&mut self, end: Mark, bytes: u64) -> u64 {
        self.issue_past(end, bytes, Passed::default())
    }

    /// The same for a batch between whose lines so much was passed over.
    pub(crate) fn issue_past(&mut self, end: Mark, bytes: u64, passed: Passed) -> u64 {
        // Of most files the only one.
        let issued = self.issued.get_or_insert_with(|| Box::new(VecDeque::with_capacity(1)));
        issued.push_back(Issued {
            end,
            bytes,
            passed,
            handed_over: false,
            settled: false,
        });
        self.in_flight += bytes;
        self.first + issued.len() as u64 - 1
    }

    /// A batch is on its way to Kafka: from now on it ends in [`Ledger::settle`], whatever becomes of its reader.
    pub fn hand_over(&mut self, seq: u64) {
        if let Some(batch) = self.batch(seq) {
            batch.handed_over = true;
        }
    }

    /// A batch is settled. None for a batch that is not known, or known as settled: that changes nothing.
    pub fn settle(&mut self, seq: u64) -> Option<Done> {
        let batch = self.batch(seq).filter(|batch| !batch.settled)?;
        batch.settled = true;
        let bytes = batch.bytes;
        self.in_flight -= bytes;
        let mut reached = None;
        if let Some(issued) = &mut self.issued {
            while issued.front().is_some_and(|batch| batch.settled) {
                reached = issued.pop_front().map(|batch| batch.end);
                self.first += 1;
            }
        }
        self.issued.take_if(|issued| issued.is_empty());
        Some(Done { bytes, reached })
    }

    /// A batch does not go to Kafka after all. It is not waited for; nor is it settled, so that no mark passes it.
    pub fn take_back(&mut self, seq: u64) {
        if let Some(batch) = self.batch(seq) {
            batch.handed_over = batch.settled;
        }
    }

    /// Forgets what is not settled: it will be read and sent again. Returns how many file bytes that are, and how many were
    /// passed over between and will be again.
    pub(crate) fn forget(&mut self) -> (u64, Passed) {
        let mut passed = Passed::default();
        self.issued().for_each(|batch| passed.add(batch.passed));
        self.first += self.batches() as u64;
        self.issued = None;
        (std::mem::take(&mut self.in_flight), passed)
    }

    /// The end of the last batch that was handed over and is not below the mark reached.
    #[must_use]
    pub fn end(&self) -> Option<Mark> {
        self.issued.as_ref()?.back().map(|batch| batch.end)
    }

    /// Where a batch that is not passed yet ends.
    #[must_use]
    pub fn end_of(&self, seq: u64) -> Option<Mark> {
        let index = usize::try_from(seq.checked_sub(self.first)?).ok()?;
        self.issued.as_ref()?.get(index).map(|batch| batch.end)
    }

    /// File bytes handed over and not settled.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// Batches handed over that, or one before them, is not settled.
    #[must_use]
    pub fn batches(&self) -> usize {
        self.issued.as_ref().map_or(0, |issued| issued.len())
    }

    /// Batches that are settled, behind one that is not.
    #[must_use]
    pub fn ahead(&self) -> usize {
        self.issued().filter(|batch| batch.settled).count()
    }

    /// Whether all that was taken down is settled.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.issued.is_none()
    }

    /// Whether nothing is on its way to Kafka. What its reader still held when it ended is not, and never will be.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.issued().all(|batch| batch.settled || !batch.handed_over)
    }

    fn issued(&self) -> impl Iterator<Item = &Issued> {
        self.issued.iter().flat_map(|issued| issued.iter())
    }

    fn batch(&mut self, seq: u64) -> Option<&mut Issued> {
        let index = usize::try_from(seq.checked_sub(self.first)?).ok()?;
        self.issued.as_mut()?.get_mut(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// House rule 7: the mark reached is the end of the longest run of settled batches from the first on.
        #[test]
        fn a_position_never_passes_an_unsettled_batch(order in Just((0u64..20).collect::<Vec<_>>()).prop_shuffle()) {
            let mut ledger = Ledger::default();
            for n in 0..20 {
                prop_assert_eq!(ledger.issue(Mark::at((n + 1) * 10), 10), n);
            }
            let mut settled = std::collections::BTreeSet::new();
            let mut reached = 0;
            for seq in order {
                settled.insert(seq);
                let done = ledger.settle(seq).unwrap();
                prop_assert_eq!(done.bytes, 10);
                if let Some(mark) = done.reached { reached = mark.offset; }
                prop_assert_eq!(ledger.settle(seq), None);
                let run = (0..20).take_while(|n| settled.contains(n)).count() as u64;
                prop_assert_eq!(reached, run * 10);
                prop_assert_eq!(ledger.in_flight(), (20 - settled.len() as u64) * 10);
                prop_assert_eq!(ledger.ahead() as u64, settled.len() as u64 - run);
            }
            prop_assert!(ledger.is_settled());
        }
    }

    /// What a reader, and Kafka's side, do with a ledger.
    #[derive(Clone, Debug)]
    enum Act {
        Issue,
        Settle(u64),
        TakeBack(u64),
        /// Another reader, from the mark reached.
        ReadAgain,
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let act = prop_oneof![
            4 => Just(Act::Issue),
            4 => (0..30_u64).prop_map(Act::Settle),
            1 => (0..30_u64).prop_map(Act::TakeBack),
            1 => Just(Act::ReadAgain),
        ];
        prop::collection::vec(act, 1..100)
    }

    proptest! {
        /// Whatever is settled behind a batch that was given back, also by those who do not know of that.
        #[test]
        fn a_position_never_passes_what_was_given_back(acts in acts()) {
            let mut ledger = Ledger::default();
            // Where each batch ends, and the lines that were acknowledged; ten to a batch.
            let (mut ends, mut acknowledged) = (Vec::new(), std::collections::BTreeSet::new());
            let (mut read, mut reached) = (0, 0);
            let mut back = std::collections::BTreeSet::new();
            for act in acts {
                match act {
                    Act::Issue => {
                        read += 10;
                        let seq = ledger.issue(Mark::at(read), 10);
                        prop_assert_eq!(seq, ends.len() as u64);
                        ledger.hand_over(seq);
                        ends.push(read);
                    }
                    Act::Settle(seq) if !back.contains(&seq) => {
                        if let Some(done) = ledger.settle(seq) {
                            acknowledged.insert(ends[usize::try_from(seq).unwrap()]);
                            reached = done.reached.map_or(reached, |mark| mark.offset);
                        }
                    }
                    Act::Settle(_) => {}
                    Act::TakeBack(seq) => {
                        if seq < ends.len() as u64 {
                            ledger.take_back(seq);
                            back.insert(seq);
                        }
                    }
                    Act::ReadAgain => {
                        if ledger.is_at_rest() {
                            ledger.forget();
                            read = reached;
                        }
                    }
                }
                let whole = (1..=reached / 10).all(|n| acknowledged.contains(&(n * 10)));
                prop_assert!(whole, "{} passes what was not acknowledged: {:?}", reached, acknowledged);
            }
        }
    }

    #[test]
    fn what_was_forgotten_settles_nothing() {
        let mut ledger = Ledger::default();
        let old = ledger.issue(Mark::at(10), 10);
        ledger.issue(Mark::at(20), 5);
        ledger.settle(old + 1);
        assert_eq!((ledger.ahead(), ledger.forget().0, ledger.ahead()), (1, 10, 0));
        let new = ledger.issue(Mark::at(5), 5);
        assert_eq!(ledger.settle(old), None);
        assert_eq!(ledger.end(), Some(Mark::at(5)));
        let reached = Some(Mark::at(5));
        assert_eq!(ledger.settle(new), Some(Done { bytes: 5, reached }));
    }

    #[test]
    fn what_was_never_handed_over_is_not_waited_for() {
        let mut ledger = Ledger::default();
        let sent = ledger.issue(Mark::at(10), 10);
        ledger.hand_over(sent);
        ledger.issue(Mark::at(20), 10);
        assert!(!ledger.is_at_rest());
        ledger.settle(sent);
        assert!(ledger.is_at_rest() && !ledger.is_settled());
    }
}
