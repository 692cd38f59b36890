//! One file generation as the whole service sees it: its record, and what of it is in flight.
//! It outlives the watcher that reads it, so that a restarted watcher goes on from what was reached.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::account::Account;
use crate::identity::{Head, Stat};
use crate::ledger::Ledger;
use crate::position::{FileId, Mark, Placement, StreamKey, StreamRecord};
use crate::positions::Dirty;

/// What became of one batch: every byte of it is in one of two accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settled {
    /// File bytes acknowledged by Kafka, line ends included.
    pub delivered: u64,
    /// Records acknowledged by Kafka.
    pub lines: u64,
    /// File bytes whose records went to the dead-letter file.
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
    /// Forgotten once the ledger is settled: nothing of the file is left anywhere.
    retiring: bool,
    gone: bool,
    hold: Hold,
}

/// Who may change what is known of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// Its watcher.
    Watcher,
    /// Nobody but the settlements of what was handed over before: its watcher does not answer.
    Fenced,
    /// Nobody: another value stands for the file now.
    Superseded,
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
                retiring: false,
                gone: false,
                hold: Hold::Watcher,
            }),
        })
    }

    /// From now on whoever reads the file changes nothing and hands nothing over: it was taken from him.
    pub(crate) fn fence(&self) {
        self.lock().hold = Hold::Fenced;
    }

    pub(crate) fn is_fenced(&self) -> bool {
        self.lock().hold != Hold::Watcher
    }

    /// The same file for a new watcher, when nothing of the old one is on its way any more.
    pub(crate) fn superseded(&self) -> Arc<Self> {
        let mut state = self.lock();
        state.hold = Hold::Superseded;
        Self::new(state.record.clone(), Arc::clone(&self.account), Arc::clone(&self.dirty))
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

    /// The counters of its entry.
    #[must_use]
    pub fn account(&self) -> &Arc<Account> {
        &self.account
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
        {
            let mut state = self.lock();
            if state.hold != Hold::Watcher {
                return;
            }
            change(&mut state.record);
        }
        self.dirty.push(self);
    }

    /// Takes down a batch of `bytes` file bytes that ends at `end`, for [`Stream::settle`].
    pub fn issue(&self, end: Mark, bytes: u64) -> u64 {
        self.account.add_read(bytes);
        self.lock().ledger.issue(end, bytes)
    }

    /// A batch goes to Kafka now. False when it must not: the file was taken from its reader.
    #[must_use]
    pub fn hand_over(&self, seq: u64) -> bool {
        let mut state = self.lock();
        let is_allowed = state.hold == Hold::Watcher;
        if is_allowed {
            state.ledger.hand_over(seq);
        }
        is_allowed
    }

    /// Takes down what the file looks like now; saved with its next position.
    pub fn saw(&self, head: Head, stat: &Stat) {
        let mut state = self.lock();
        if state.hold != Hold::Watcher {
            return;
        }
        state.record.head = head;
        state.record.size = stat.size;
        state.record.modified = stat.modified;
    }

    /// A batch is acknowledged or in the dead-letter file. The position moves when every batch before it is too.
    pub fn settle(self: &Arc<Self>, seq: u64, settled: Settled, placement: Option<Placement>) {
        let moved = {
            let mut state = self.lock();
            let reached = state.ledger.settle(seq);
            if let Some(mark) = reached {
                state.record.mark = mark;
                if placement.is_some() {
                    state.record.placement = placement;
                }
            }
            state.gone |= state.retiring && state.ledger.is_settled();
            reached.is_some() && state.hold != Hold::Superseded
        };
        self.account
            .add_settled(settled.delivered, settled.lines, settled.dead_lettered);
        if moved {
            self.dirty.push(self);
        }
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

    /// Whether nothing is on its way to Kafka; see [`Ledger::is_at_rest`].
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.lock().ledger.is_at_rest()
    }

    /// What is in flight will be read again, and its late outcome changes nothing.
    pub fn forget_in_flight(&self) {
        self.lock().ledger.forget();
    }

    /// Nothing of this generation can be read any more and nothing more will come: its record goes when what is in
    /// flight is settled.
    pub fn retire(self: &Arc<Self>) {
        {
            let mut state = self.lock();
            if state.hold != Hold::Watcher {
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

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves plain numbers here, each changed in one step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take_listed(&self) {
        self.listed.store(false, Ordering::Release);
    }
}
