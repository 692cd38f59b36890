//! One file generation as the whole service sees it: its record, and what of it is in flight.
//! It outlives the watcher that reads it, so that a restarted watcher goes on from what was reached.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::account::{Account, Balance, Posting, Skip};
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
    key: StreamKey,
    account: Arc<Account>,
    dirty: Arc<Dirty>,
    /// Set while it waits to be saved, so that it stands in the list once.
    pub(crate) listed: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    record: StreamRecord,
    ledger: Ledger,
    balance: Balance,
    /// Where the copy ends that is left of the file; more of it was read.
    end: Option<Mark>,
    /// Forgotten once the ledger is settled: nothing of the file is left anywhere.
    retiring: bool,
    gone: bool,
}

impl Stream {
    pub(crate) fn new(record: StreamRecord, account: Arc<Account>, dirty: Arc<Dirty>) -> Arc<Self> {
        Arc::new(Self {
            key: record.key(),
            account,
            dirty,
            listed: AtomicBool::new(false),
            state: Mutex::new(State {
                record,
                ledger: Ledger::default(),
                balance: Balance::default(),
                end: None,
                retiring: false,
                gone: false,
            }),
        })
    }

    /// The key it is stored under.
    #[must_use]
    pub fn key(&self) -> &StreamKey {
        &self.key
    }

    /// Names the generation for life.
    #[must_use]
    pub fn id(&self) -> FileId {
        self.key.id
    }

    /// Its counters now.
    #[must_use]
    pub fn balance(&self) -> Balance {
        self.lock().balance
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

    /// What would be saved: none when it was forgotten.
    pub(crate) fn to_save(&self) -> Option<StreamRecord> {
        let state = self.lock();
        (!state.gone).then(|| state.record.clone())
    }

    /// Changes what is known of the file; the change is saved with the next checkpoint.
    pub fn update(self: &Arc<Self>, change: impl FnOnce(&mut StreamRecord)) {
        change(&mut self.lock().record);
        self.dirty.push(self);
    }

    /// Takes down a batch of `bytes` file bytes that ends at `end`, for [`Stream::settle`].
    pub fn issue(&self, end: Mark, bytes: u64) -> u64 {
        let mut state = self.lock();
        self.post(&mut state, Posting::Issued(bytes));
        state.ledger.issue(end, bytes)
    }

    /// Counts bytes that were read and passed over.
    pub fn skip(&self, why: Skip, bytes: u64) {
        self.post(&mut self.lock(), Posting::Skipped(why, bytes));
    }

    /// Counts bytes that can no longer be read.
    pub fn unreachable(&self, bytes: u64) {
        self.post(&mut self.lock(), Posting::Unreachable(bytes));
    }

    /// Takes down what the file looks like now; saved with its next position.
    pub fn saw(&self, head: Head, stat: &Stat) {
        let mut state = self.lock();
        state.record.head = head;
        state.record.size = stat.size;
        state.record.modified = stat.modified;
    }

    /// A batch is acknowledged or in the dead-letter file. The position moves when every batch before it is too.
    pub fn settle(self: &Arc<Self>, seq: u64, settled: Settled, placement: Option<Placement>) {
        let mut state = self.lock();
        let Some(Done { bytes, reached }) = state.ledger.settle(seq) else {
            return;
        };
        let posting = Posting::Settled {
            bytes,
            dead: settled.dead_lettered.min(bytes),
            lines: settled.lines,
        };
        self.post(&mut state, posting);
        if let Some(mark) = reached {
            state.record.mark = state.end.filter(|end| end.offset < mark.offset).unwrap_or(mark);
            if placement.is_some() {
                state.record.placement = placement;
            }
        }
        state.gone |= state.retiring && state.ledger.is_settled();
        drop(state);
        if reached.is_some() {
            self.dirty.push(self);
        }
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
            state.end = Some(end);
            let record = &mut state.record;
            (record.inode, record.head, record.size, record.life) = (inode, head, end.offset, Life::Rotated);
            if record.mark.offset > end.offset {
                record.mark = end;
            }
        }
        self.dirty.push(self);
    }

    /// File bytes handed over and not settled.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.lock().ledger.in_flight()
    }

    /// Whether everything handed over is settled.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.lock().ledger.is_settled()
    }

    /// What is in flight will be read again, and its late outcome changes nothing.
    pub fn forget_in_flight(&self) {
        let mut state = self.lock();
        let bytes = state.ledger.forget();
        self.post(&mut state, Posting::Forgotten(bytes));
    }

    /// Nothing of this generation can be read any more and nothing more will come: its record goes when what is in
    /// flight is settled.
    pub fn retire(self: &Arc<Self>) {
        {
            let mut state = self.lock();
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

    /// Enters it in the books of the file and of its entry.
    fn post(&self, state: &mut State, posting: Posting) {
        state.balance.post(posting);
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
