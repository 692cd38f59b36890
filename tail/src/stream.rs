//! One file generation as the whole service sees it: its record, and what of it is in flight.
//! It outlives the watcher that reads it, so that a restarted watcher goes on from what was reached.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::account::{Account, Balance, Book, Passed, Posting, Skip};
use crate::identity::{Head, Inode, Stat};
use crate::ledger::{Done, Ledger};
use crate::position::{FileId, Life, Mark, Placement, StreamKey, StreamRecord};
use crate::saver::Dirty;

/// What became of one batch: its bytes are dead letters or else acknowledged by Kafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settled {
    /// Records acknowledged by Kafka.
    pub lines: u64,
    /// File bytes, line ends included, whose records went to the dead letters.
    pub dead_lettered: u64,
}

/// One file generation of one entry.
#[derive(Debug)]
pub struct Stream {
    id: FileId,
    account: Arc<Account>,
    dirty: Arc<Dirty>,
    /// Set while it waits to be saved, so that it stands in the list once.
    pub(crate) listed: AtomicBool,
    /// As [`Stream::listed`], for the next transaction.
    pub(crate) posted: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    record: StreamRecord,
    ledger: Ledger,
    book: Book,
    /// What the record is once the transaction under way is committed.
    pledged: Option<Box<StreamRecord>>,
    /// Where the copy ends that is left of the file; more of it was read.
    end: Option<Box<Mark>>,
    /// Forgotten once the ledger is settled: nothing of the file is left anywhere.
    retiring: bool,
    gone: bool,
    /// Its watcher does not answer: only the settlements of what it handed over before change anything.
    fenced: bool,
    /// Something was given back: nothing of it goes on before it is read again from its position.
    given_back: bool,
}

/// Bytes: one a generation of each file, as in `Watcher`.
const _: () = assert!(size_of::<Stream>() <= 360);

impl Stream {
    pub(crate) fn new(record: StreamRecord, account: Arc<Account>, dirty: Arc<Dirty>) -> Arc<Self> {
        Arc::new(Self {
            id: record.id,
            account,
            dirty,
            listed: AtomicBool::new(false),
            posted: AtomicBool::new(false),
            state: Mutex::new(State {
                record,
                ledger: Ledger::default(),
                book: Book::default(),
                pledged: None,
                end: None,
                retiring: false,
                gone: false,
                fenced: false,
                given_back: false,
            }),
        })
    }

    /// From now on whoever reads the file changes nothing and hands nothing over: it was taken from him.
    pub(crate) fn fence(&self) {
        self.lock().fenced = true;
    }

    pub(crate) fn is_fenced(&self) -> bool {
        self.lock().fenced
    }

    /// The same file for a new watcher, when nothing of the old one is on its way any more.
    pub(crate) fn superseded(&self) -> Arc<Self> {
        self.forget_in_flight();
        let state = self.lock();
        let next = Self::new(state.record.clone(), Arc::clone(&self.account), Arc::clone(&self.dirty));
        next.lock().book = state.book.clone();
        next
    }

    /// The key it is stored under.
    #[must_use]
    pub fn key(&self) -> StreamKey {
        self.lock().record.key()
    }

    /// Names the generation for life.
    #[must_use]
    pub fn id(&self) -> FileId {
        self.id
    }

    /// Its counters now.
    #[must_use]
    pub fn balance(&self) -> Balance {
        self.lock().book.balance()
    }

    /// Bytes of the file, when it was last looked at, that were not handed over.
    #[must_use]
    pub fn unread(&self) -> u64 {
        let state = self.lock();
        let end = state.ledger.end().unwrap_or(state.record.mark);
        state.record.size.saturating_sub(end.offset)
    }

    /// A copy of what is known of it now; its mark is the acknowledged one.
    #[must_use]
    pub fn record(&self) -> StreamRecord {
        self.lock().record.clone()
    }

    /// Device and inode of the file that holds it, as far as is known: what [`Stream::record`] says, for less.
    pub(crate) fn inode(&self) -> Inode {
        self.lock().record.inode
    }

    /// What would be saved: none when it was forgotten.
    pub(crate) fn to_save(&self) -> Option<StreamRecord> {
        let state = self.lock();
        (!state.gone).then(|| state.record.clone())
    }

    /// What goes into the transaction under way: none when it was forgotten.
    pub(crate) fn to_post(&self) -> Option<StreamRecord> {
        let state = self.lock();
        let record = state.pledged.as_deref().unwrap_or(&state.record);
        (!state.gone).then(|| record.clone())
    }

    /// A batch, and every batch before it, is settled if the transaction under way is committed: that is the position to
    /// write in it.
    pub fn pledge(self: &Arc<Self>, seq: u64, placement: Option<Placement>) {
        {
            let mut state = self.lock();
            if state.given_back {
                // Its position would pass what was.
                return;
            }
            let Some(mark) = state.ledger.end_of(seq) else { return };
            let mut record = state.record.clone();
            record.mark = state
                .end
                .as_deref()
                .copied()
                .filter(|end| end.offset < mark.offset)
                .unwrap_or(mark);
            if placement.is_some() {
                record.placement = placement;
            }
            state.pledged = Some(Box::new(record));
        }
        self.dirty.post(self);
    }

    /// The transaction has ended.
    pub(crate) fn unpledge(&self) {
        self.lock().pledged = None;
    }

    /// Changes what is known of the file; the change is saved with the next checkpoint.
    pub fn update(self: &Arc<Self>, change: impl FnOnce(&mut StreamRecord)) {
        {
            let mut state = self.lock();
            if state.fenced {
                return;
            }
            change(&mut state.record);
        }
        self.dirty.push(self);
    }

    /// Takes down a batch of `bytes` file bytes that ends at `end`, for [`Stream::settle`].
    pub fn issue(&self, end: Mark, bytes: u64) -> u64 {
        self.issue_past(end, bytes, Passed::default())
    }

    /// The same for a batch between whose lines so much was passed over.
    pub(crate) fn issue_past(&self, end: Mark, bytes: u64, passed: Passed) -> u64 {
        let mut state = self.lock();
        if state.fenced || state.given_back {
            // None that is known to the ledger.
            return u64::MAX;
        }
        for (why, bytes) in passed.each().into_iter().filter(|(_, bytes)| *bytes > 0) {
            self.post(&mut state, Posting::Skipped(why, bytes));
        }
        self.post(&mut state, Posting::Issued(bytes));
        state.ledger.issue_past(end, bytes, passed)
    }

    /// Counts bytes that were read and passed over.
    pub fn skip(&self, why: Skip, bytes: u64) {
        self.post_unless_fenced(Posting::Skipped(why, bytes));
    }

    /// What was passed over as a copy, as far as it was counted since the start, will be read.
    pub(crate) fn read_copy_after_all(&self) {
        let mut state = self.lock();
        if !state.fenced {
            let skipped = state.book.balance().skipped_copy;
            self.post(&mut state, Posting::TakenBack(Skip::Copy, skipped));
        }
    }

    /// Counts bytes that can no longer be read.
    pub fn unreachable(&self, bytes: u64) {
        self.post_unless_fenced(Posting::Unreachable(bytes));
    }

    /// A batch goes to Kafka now. False when it must not: the file was taken from its reader, or what came before was given back.
    #[must_use]
    pub fn hand_over(&self, seq: u64) -> bool {
        let mut state = self.lock();
        let is_allowed = !state.fenced && !state.given_back;
        if is_allowed {
            state.ledger.hand_over(seq);
        }
        is_allowed
    }

    /// Takes down what the file looks like now; saved with its next position.
    pub fn saw(&self, head: Head, stat: &Stat) {
        let mut state = self.lock();
        if state.fenced {
            return;
        }
        state.record.head = head;
        state.record.size = stat.size;
        state.record.modified = stat.modified;
    }

    /// A batch is acknowledged or in the dead-letter file. The position moves when every batch before it is too.
    pub fn settle(self: &Arc<Self>, seq: u64, settled: Settled, placement: Option<Placement>) {
        if self.settled(seq, settled, placement) {
            self.dirty.push(self);
        }
    }

    /// As [`Stream::settle`], of a batch whose position was committed with it: see [`Stream::pledge`].
    pub fn settle_committed(self: &Arc<Self>, seq: u64, settled: Settled, placement: Option<Placement>) {
        if self.settled(seq, settled, placement) {
            self.dirty.push_local(self);
        }
    }

    /// True if the position moved.
    fn settled(&self, seq: u64, settled: Settled, placement: Option<Placement>) -> bool {
        let mut state = self.lock();
        let Some(Done { bytes, reached }) = state.ledger.settle(seq) else {
            return false;
        };
        let posting = Posting::Settled {
            bytes,
            dead: settled.dead_lettered.min(bytes),
            lines: settled.lines,
        };
        self.post(&mut state, posting);
        if let Some(mark) = reached {
            state.record.mark = state
                .end
                .as_deref()
                .copied()
                .filter(|end| end.offset < mark.offset)
                .unwrap_or(mark);
            if placement.is_some() {
                state.record.placement = placement;
            }
        }
        state.gone |= state.retiring && state.ledger.is_settled();
        reached.is_some()
    }

    /// A batch was given back: it is not on its way any more, and not settled.
    ///
    /// The position never passes it: the ledger moves over settled batches without a gap, and this one is never settled.
    /// Until [`Stream::forget_in_flight`], with which each reader of the file begins at its position, nothing is
    /// issued, handed over or pledged behind it; and what was issued before that settles nothing afterwards.
    pub fn take_back(&self, seq: u64) {
        let mut state = self.lock();
        state.ledger.take_back(seq);
        state.given_back = true;
    }

    /// Everything before it is acknowledged; bytes from the start of the file.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.lock().record.mark.offset
    }

    /// All that is left of the file is a copy that ends here and begins with `head`: the position goes no further.
    pub(crate) fn end_in_copy(self: &Arc<Self>, inode: Inode, end: Mark, head: Head) {
        {
            let mut state = self.lock();
            if state.fenced {
                return;
            }
            state.end = Some(Box::new(end));
            let record = &mut state.record;
            (record.inode, record.head, record.size, record.life) = (inode, head, end.offset, Life::Rotated);
            if record.mark.offset > end.offset {
                record.mark = end;
            }
        }
        self.dirty.push(self);
    }

    /// Whether that was found since the start.
    pub(crate) fn is_in_copy(&self) -> bool {
        self.lock().end.is_some()
    }

    /// The copy grew, so that it is read on beyond its end; nothing is in flight.
    pub(crate) fn goes_on_in_copy(&self) {
        self.lock().end = None;
    }

    /// File bytes handed over and not settled.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.lock().ledger.in_flight()
    }

    /// Batches handed over and, with those before them, not settled.
    pub(crate) fn batches(&self) -> usize {
        self.lock().ledger.batches()
    }

    /// Batches that are settled and that its position has not passed; see [`Ledger::ahead`].
    #[must_use]
    pub fn ahead(&self) -> usize {
        self.lock().ledger.ahead()
    }

    /// Whether everything handed over is settled.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.lock().ledger.is_settled()
    }

    /// Whether nothing is on its way to Kafka; see [`Ledger::is_at_rest`].
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.lock().ledger.is_at_rest()
    }

    /// What is in flight will be read again, and its late outcome changes nothing.
    pub fn forget_in_flight(&self) {
        self.forget(&mut self.lock());
    }

    /// The same where it was given back, and nothing is on its way any more: nobody reads the file, so it is not in flight.
    pub fn forget_given_back(&self) {
        let mut state = self.lock();
        if state.given_back && state.ledger.is_at_rest() {
            self.forget(&mut state);
        }
    }

    /// For [`Stream::is_still_there`]: its record, and where what is in flight ends in the file. None for one whose bytes are, or
    /// may be, in no file any more, and for one that was taken from its reader.
    pub(crate) fn in_place(&self) -> Option<(StreamRecord, u64)> {
        let state = self.lock();
        let is_in_place = !state.fenced && !state.retiring && !state.gone && state.end.is_none();
        let end = state.ledger.end().unwrap_or(state.record.mark);
        // Of an archive, offsets are those of what it holds.
        let end = if state.record.archived.is_some() { 0 } else { end.offset };
        is_in_place.then(|| (state.record.clone(), end))
    }

    fn forget(&self, state: &mut State) {
        state.given_back = false;
        let (bytes, passed) = state.ledger.forget();
        self.post(state, Posting::Forgotten(bytes, passed));
    }

    /// Nothing of this generation can be read any more and nothing more will come: its record goes when what is in
    /// flight is settled.
    pub fn retire(self: &Arc<Self>) {
        {
            let mut state = self.lock();
            if state.fenced {
                return;
            }
            state.retiring = true;
            state.gone |= state.ledger.is_settled();
        }
        self.dirty.push(self);
    }

    /// Whether it was forgotten.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.lock().gone
    }

    fn post_unless_fenced(&self, posting: Posting) {
        let mut state = self.lock();
        if !state.fenced {
            self.post(&mut state, posting);
        }
    }

    /// Enters it in the books of the file and of its entry.
    fn post(&self, state: &mut State, posting: Posting) {
        state.book.post(posting);
        self.account.post(posting);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves plain numbers here, each changed in one step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take_listed(&self) {
        self.listed.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::positions::Positions;

    #[test]
    fn behind_what_was_given_back_nothing_goes_on_before_it_is_read_again() {
        let positions = Positions::in_memory();
        let stream = positions.begin(StreamRecord::example("/a".as_ref(), positions.new_id()));
        let settled = Settled::default();
        let [first, second, third] = [10, 20, 30].map(|end| stream.issue(Mark::at(end), 10));
        assert!([first, second, third].into_iter().all(|seq| stream.hand_over(seq)));
        stream.settle(first, settled, None);
        stream.take_back(second);
        assert!(!stream.is_at_rest(), "one is on its way");
        stream.pledge(third, None);
        assert_eq!(stream.to_post().unwrap().mark.offset, 10, "no position to commit");
        stream.settle(third, settled, None);
        assert_eq!(stream.acknowledged(), 10);
        assert!(stream.is_at_rest() && !stream.is_settled());
        let late = stream.issue(Mark::at(40), 10);
        assert!(!stream.hand_over(late));

        stream.forget_given_back();
        let balance = stream.balance();
        assert!(balance.adds_up() && stream.is_settled(), "{balance:?}");
        assert_eq!(balance.in_flight, 0);
        stream.settle(second, settled, None);
        assert_eq!(stream.acknowledged(), 10, "it is known no more");
        let again = stream.issue(Mark::at(20), 10);
        assert!(stream.hand_over(again));
        stream.settle(again, settled, None);
        assert_eq!(stream.acknowledged(), 20);
    }
}
