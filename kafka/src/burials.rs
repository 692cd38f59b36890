//! Records refused alone, on their way to the sink.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::errand::Task;
use crate::letters::{BuryError, DeadLetters, Letter};
use crate::outlet::{Outlet, ParcelId};
use crate::pace::Complaint;
use crate::parcels::Parcels;

/// Letters that are not kept yet. A record waits here as long as the sink takes none.
pub(crate) struct Burials {
    sink: Arc<dyn DeadLetters>,
    queue: VecDeque<(ParcelId, u32, Letter)>,
    /// How many are under way.
    busy: usize,
    retry_at: Option<Instant>,
    complaint: Complaint,
    /// Kept since it was last said, and when it may be said again.
    unsaid: u64,
    say_at: Option<Instant>,
}

impl Burials {
    /// Letters of one call of the sink: one flush to disk keeps them all.
    const BATCH: usize = 64;

    /// When the sink takes none, it is tried again after this.
    const RETRY: Duration = Duration::from_secs(5);

    /// Kept letters are said at most this often.
    const SAY: Duration = Duration::from_secs(60);

    pub(crate) fn new(sink: Arc<dyn DeadLetters>) -> Self {
        Self {
            sink,
            queue: VecDeque::new(),
            busy: 0,
            retry_at: None,
            complaint: Complaint::default(),
            unsaid: 0,
            say_at: None,
        }
    }

    /// A record is to be kept.
    pub(crate) fn push(&mut self, parcel: ParcelId, index: u32, letter: Letter) {
        self.queue.push_back((parcel, index, letter));
    }

    /// The next letters to keep, if any may be now.
    pub(crate) fn errand<O: Outlet>(&mut self, now: Instant) -> Option<Task<O>> {
        if self.busy > 0 || self.queue.is_empty() || self.retry_at.is_some_and(|at| at > now) {
            return None;
        }
        let letters: Vec<Letter> = self
            .queue
            .iter()
            .take(Self::BATCH)
            .map(|(_, _, letter)| letter.clone())
            .collect();
        self.busy = letters.len();
        Some(Task::Bury {
            letters,
            sink: Arc::clone(&self.sink),
        })
    }

    /// The sink answered: accounts for what is kept, and returns which records those are.
    pub(crate) fn done(
        &mut self,
        result: Result<(), BuryError>,
        parcels: &mut Parcels,
        now: Instant,
    ) -> Vec<(ParcelId, u32)> {
        let kept = result
            .as_ref()
            .map_or_else(|error| error.buried, |()| self.busy)
            .min(self.busy);
        self.busy = 0;
        let mut buried = Vec::with_capacity(kept);
        for (parcel, index, letter) in self.queue.drain(..kept) {
            if let Some(parcel) = parcels.get_mut(parcel) {
                parcel.bury(index, letter.code);
                parcel.target.set_blocked(false);
            }
            self.unsaid += 1;
            if self.say_at.is_none_or(|at| at <= now) {
                self.say_at = Some(now + Self::SAY);
                log::warn!(
                    topic = &*letter.topic, path:? = letter.source.path, offset = letter.offset,
                    reason = letter.reason.as_str(), records = std::mem::take(&mut self.unsaid);
                    "record refused by Kafka, kept as a dead letter"
                );
            }
            buried.push((parcel, index));
        }
        match result {
            Ok(()) => {
                self.retry_at = None;
                if self.complaint.clear(now).is_some() {
                    log::info!("dead letters can be kept again");
                }
            }
            Err(error) => {
                self.retry_at = Some(now + Self::RETRY);
                for (parcel, _, _) in &self.queue {
                    if let Some(parcel) = parcels.get_mut(*parcel) {
                        parcel.target.set_blocked(true);
                    }
                }
                if self.complaint.raise(0, Duration::ZERO, now) {
                    log::error!(
                        records = self.queue.len(), cause = error.cause.to_string().as_str(),
                        help = "make room for dead letters: their files wait, nothing is dropped";
                        "cannot keep dead letters"
                    );
                }
            }
        }
        buried
    }

    /// Records of a parcel that wait to be kept.
    pub(crate) fn waiting(&self, parcel: ParcelId) -> impl Iterator<Item = u32> + '_ {
        self.queue
            .iter()
            .filter(move |(of, _, _)| *of == parcel)
            .map(|(_, index, _)| *index)
    }

    /// Whether the sink took none, so that those that wait may wait for long.
    pub(crate) fn is_blocked(&self) -> bool {
        self.retry_at.is_some() && !self.queue.is_empty()
    }

    /// When it next has an errand.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        self.retry_at.filter(|_| self.busy == 0 && !self.queue.is_empty())
    }
}
