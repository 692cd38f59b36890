//! The byte budget: what may be in memory between a file and Kafka, for all files together.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// How long the first in the queue is waited for before others pass it for as long, by turns: where acknowledgements come,
/// that is long enough for all that is on its way; where a topic accepts nothing, what it holds may never come back.
const TURN: Duration = Duration::from_secs(1);

/// What is left for reads of other topics is this part of the budget at most.
const MOST_SPARE: usize = 4;

/// A number of bytes that are lent out, first come, first served, unless the first would keep the others waiting for long.
/// What is read is paid for by a [`Permit`] that rides in the batch.
#[derive(Debug)]
pub struct Budget {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    total: usize,
    share: usize,
    lent: usize,
    /// The most that was asked for at once, since the limits were changed.
    largest: usize,
    asked: u64,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    /// Rises from one to the next.
    number: u64,
    since: Instant,
    bytes: usize,
    granted: oneshot::Sender<Permit>,
}

/// Bytes of the budget, given back when it is dropped.
#[derive(Debug)]
pub struct Permit {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    /// A budget of `total` bytes, of which one file may hold `share`.
    #[must_use]
    pub fn new(total: u64, share: u64) -> Self {
        Self {
            state: Mutex::new(State {
                total: clamp(total),
                share: clamp(share),
                lent: 0,
                largest: 0,
                asked: 0,
                waiting: VecDeque::new(),
            }),
        }
    }

    /// The limit in bytes.
    #[must_use]
    pub fn total(&self) -> usize {
        self.lock().total
    }

    /// Bytes that are lent out now; after a change of the limit it may be more than that.
    #[must_use]
    pub fn used(&self) -> usize {
        self.lock().lent
    }

    /// Bytes that a topic may share out among its reads, of which the next asks for `bytes`: those that are not lent out
    /// now, but for what another topic's read may need, which is `least` or the most that any read asked for lately.
    #[must_use]
    pub fn to_share(&self, bytes: usize, least: usize) -> usize {
        let mut state = self.lock();
        state.largest = state.largest.max(bytes);
        let spare = state.largest.min(state.total / MOST_SPARE).max(least);
        state.total.saturating_sub(state.lent).saturating_sub(spare)
    }

    /// What one file may hold.
    #[must_use]
    pub fn share(&self) -> usize {
        self.lock().share
    }

    /// `bytes` now, or nothing.
    #[must_use]
    pub fn try_acquire(self: &Arc<Self>, bytes: usize) -> Option<Permit> {
        let mut state = self.lock();
        let bytes = bytes.min(state.total);
        (state.may_pass() && state.lend(bytes)).then(|| self.permit(bytes))
    }

    /// `bytes` as soon as they are free; those who ask first get them first. More than the whole budget is cut to it,
    /// whatever it is by then: a line longer than that must be read all the same.
    pub async fn acquire(self: &Arc<Self>, bytes: usize) -> Option<Permit> {
        let (granted, mut grant) = oneshot::channel();
        let number = self.lock().enqueue(bytes, granted);
        self.grant();
        loop {
            if let Ok(granted) = tokio::time::timeout(TURN, &mut grant).await {
                return granted.ok();
            }
            // Nothing else tells that the first left, or that it is the turn of others.
            self.grant();
            if self.passes(number) {
                return Some(self.permit(bytes));
            }
        }
    }

    /// Lends to one who waits behind others, if it is his turn.
    fn passes(&self, number: u64) -> bool {
        let mut state = self.lock();
        let Ok(at) = state.waiting.binary_search_by_key(&number, |waiting| waiting.number) else {
            return false;
        };
        let bytes = state.waiting[at].bytes;
        let passes = state.may_pass() && state.lend(bytes);
        if passes {
            state.waiting.remove(at);
        }
        passes
    }

    /// Changes the limits. What is lent out beyond smaller ones is not lent again.
    pub fn resize(self: &Arc<Self>, total: u64, share: u64) {
        {
            let mut state = self.lock();
            (state.total, state.share, state.largest) = (clamp(total), clamp(share), 0);
        }
        self.grant();
    }

    /// Lends to those who wait, as far as it goes.
    fn grant(self: &Arc<Self>) {
        loop {
            let (granted, permit) = {
                let mut state = self.lock();
                // One who does not wait any more would keep the others waiting.
                while state.waiting.front().is_some_and(|first| first.granted.is_closed()) {
                    state.waiting.pop_front();
                }
                let Some(first) = state.waiting.front() else { return };
                let bytes = first.bytes.min(state.total);
                if !state.lend(bytes) {
                    return;
                }
                let Some(first) = state.waiting.pop_front() else { return };
                (first.granted, self.permit(bytes))
            };
            // One who left in this moment gives it back by dropping it.
            let _ = granted.send(permit);
        }
    }

    fn permit(self: &Arc<Self>, bytes: usize) -> Permit {
        Permit {
            budget: Arc::clone(self),
            bytes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Plain numbers, each changed in one step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn enqueue(&mut self, bytes: usize, granted: oneshot::Sender<Permit>) -> u64 {
        self.asked += 1;
        self.waiting.push_back(Waiting {
            number: self.asked,
            since: Instant::now(),
            bytes,
            granted,
        });
        self.asked
    }

    /// Whether one may go before the first of those who wait.
    fn may_pass(&self) -> bool {
        let turns = |first: &Waiting| first.since.elapsed().as_millis() / TURN.as_millis();
        self.waiting.front().is_none_or(|first| turns(first) % 2 == 1)
    }

    fn lend(&mut self, bytes: usize) -> bool {
        let fits = self.lent + bytes <= self.total;
        if fits {
            self.lent += bytes;
        }
        fits
    }
}

impl Permit {
    /// Gives back what is beyond `bytes`.
    pub fn cut(&mut self, bytes: usize) {
        let surplus = self.bytes.saturating_sub(bytes);
        if surplus > 0 {
            self.bytes -= surplus;
            self.budget.lock().lent -= surplus;
            self.budget.grant();
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.cut(0);
    }
}

fn clamp(total: u64) -> usize {
    usize::try_from(total).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    use super::*;

    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn the_limit_holds_and_can_be_changed_while_bytes_are_lent() {
        let budget = Arc::new(Budget::new(100, 25));
        let mut permit = budget.acquire(80).await.unwrap();
        assert!(budget.try_acquire(30).is_none());
        permit.cut(50);
        assert_eq!(budget.used(), 50);
        let other = budget.try_acquire(30).unwrap();
        budget.resize(40, 10);
        drop(permit);
        assert!(budget.try_acquire(11).is_none());
        assert!(budget.try_acquire(10).is_some());
        budget.resize(200, 50);
        drop(other);
        // More than all of it is all of it.
        assert!(budget.try_acquire(1000).is_some());
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn one_who_waits_for_more_than_a_smaller_limit_holds_nobody_up() {
        let budget = Arc::new(Budget::new(100, 25));
        let all = budget.try_acquire(100).unwrap();
        let (mut first, mut second) = (pin!(budget.acquire(90)), pin!(budget.acquire(10)));
        assert!(now(first.as_mut()).is_none() && now(second.as_mut()).is_none());
        budget.resize(50, 12);
        drop(all);
        let first = now(first).flatten().expect("cut to what there is");
        assert_eq!(budget.used(), 50);
        drop(first);
        assert!(now(second).flatten().is_some());
    }

    #[tokio::test]
    async fn who_asks_first_gets_first_and_who_left_holds_nobody_up() {
        let budget = Arc::new(Budget::new(100, 25));
        let most = budget.try_acquire(90).unwrap();
        let mut second = pin!(budget.acquire(20));
        {
            let first = pin!(budget.acquire(50));
            assert!(now(first).is_none() && now(second.as_mut()).is_none());
        }
        assert!(budget.try_acquire(1).is_none(), "others were first");
        drop(most);
        assert!(now(second).flatten().is_some());
    }

    /// One that reads long lines may wait for as long as a topic accepts nothing.
    #[tokio::test]
    async fn who_waits_for_much_holds_up_nobody_for_long_and_gets_it_in_the_end() {
        let budget = Arc::new(Budget::new(100, 25));
        let stuck = budget.try_acquire(90).unwrap();
        let much = tokio::spawn({
            let budget = Arc::clone(&budget);
            async move { budget.acquire(50).await.is_some() }
        });
        while budget.lock().waiting.is_empty() {
            tokio::task::yield_now().await;
        }
        for _ in 0..2 {
            let little = tokio::time::timeout(Duration::from_secs(60), budget.acquire(10));
            assert!(little.await.expect("it passes").is_some());
            assert!(!much.is_finished());
        }
        assert_eq!(budget.lock().waiting.len(), 1, "who passed waits no more");
        drop(stuck);
        assert!(much.await.unwrap());
        assert_eq!(budget.used(), 0);
    }
}
