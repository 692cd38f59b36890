//! How much of what is in flight one topic may hold, so that a topic that accepts nothing leaves room for the others.
//!
//! A topic that has acknowledged nothing lately holds an eighth. One that flows may hold seven times of what is free: if
//! it stops in full flow, with all that on its way, an eighth is left for the others; of two such topics a
//! sixty-fourth.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Notify;

use crate::lanes::Lane;

/// A topic that accepts nothing holds this part of the budget at most.
const IDLE: u64 = 8;

/// A topic that flows holds at most so many times of what is free.
const FLOWING: u64 = 7;

/// What the readers of a topic hold.
#[derive(Debug, Default)]
pub(crate) struct Share {
    held: AtomicU64,
    /// Something was acknowledged, and nothing has gone wrong since.
    flows: AtomicBool,
    /// Something was given back.
    room: Notify,
}

/// Bytes of a topic's share, given back when it is dropped.
#[derive(Debug)]
pub struct Hold {
    lane: Arc<Lane>,
    bytes: u64,
}

impl Share {
    pub(crate) fn set_flows(&self, flows: bool) {
        if self.flows.load(Ordering::Relaxed) != flows {
            self.flows.store(flows, Ordering::Relaxed);
            if flows {
                self.room.notify_waiters();
            }
        }
    }

    /// The most it may hold, of a budget of `total` bytes of which `free` would be left.
    fn limit(&self, free: u64, total: u64) -> u64 {
        // Nothing left is what others have: what is kept for the reads of other topics is not shared out.
        let idle = if free > 0 { total / IDLE } else { 0 };
        if self.flows.load(Ordering::Relaxed) {
            free.saturating_mul(FLOWING).max(idle)
        } else {
            idle
        }
    }
}

impl Lane {
    /// `bytes` of the topic's share, for a reader that will ask the budget for them: it has `total` bytes, `free` of them
    /// not lent nor kept for other topics. A topic that holds nothing gets as much as it asks for.
    pub fn try_hold(self: &Arc<Self>, bytes: usize, free: usize, total: usize) -> Option<Hold> {
        let (bytes, free, total) = (bytes as u64, free as u64, total as u64);
        let share = self.share();
        let limit = share.limit(free.saturating_sub(bytes), total);
        let fits = |held: u64| (held == 0 || held + bytes <= limit).then_some(held + bytes);
        share
            .held
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, fits)
            .ok()?;
        // There may be room for the next one, too: each that gets some wakes one.
        share.room.notify_one();
        Some(Hold {
            lane: Arc::clone(self),
            bytes,
        })
    }

    /// Returns when there may be room in the topic's share.
    pub async fn has_room(&self) {
        let share = self.share();
        let room = share.room.notified();
        if share.held.load(Ordering::Acquire) > 0 {
            room.await;
        }
    }
}

impl Hold {
    /// Gives back what is beyond `bytes`.
    pub fn cut(&mut self, bytes: usize) {
        let surplus = self.bytes.saturating_sub(bytes as u64);
        self.bytes -= surplus;
        self.lane.share().give_back(surplus);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.lane.share().give_back(self.bytes);
    }
}

impl Share {
    fn give_back(&self, bytes: u64) {
        if bytes == 0 {
            return;
        }
        if self.held.fetch_sub(bytes, Ordering::AcqRel) == bytes {
            // Nobody is left who would wake the next one.
            self.room.notify_waiters();
        }
        self.room.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::lanes::Lanes;
    use crate::wake::Wake;

    fn lane() -> Arc<Lane> {
        Lanes::new(Arc::new(Wake::new().unwrap())).lane("t")
    }

    #[test]
    fn a_topic_that_accepts_nothing_holds_an_eighth_and_one_that_flows_leaves_one() {
        let lane = lane();
        let mut holds: Vec<_> = (0..8)
            .filter_map(|n| lane.try_hold(100, 8000 - n * 100, 8000))
            .collect();
        holds.extend(lane.try_hold(200, 7200, 8000));
        assert!(lane.try_hold(1, 7000, 8000).is_none(), "1000 of 8000");
        lane.share().set_flows(true);
        let mut free = 7000;
        while let Some(hold) = lane.try_hold(100, free, 8000) {
            holds.push(hold);
            free -= 100;
        }
        assert_eq!(free, 1000);
        lane.share().set_flows(false);
        drop(holds);
        assert!(
            lane.try_hold(5000, 8000, 8000).is_some(),
            "a line longer than its share"
        );
    }

    #[test]
    fn what_is_kept_for_other_topics_is_not_shared_out() {
        let (stopped, other) = (lane(), lane());
        let (total, spare) = (16_000, 1000);
        let (mut free, mut holds) = (total, Vec::new());
        let mut fill = |lane: &Arc<Lane>| {
            while let Some(hold) = lane.try_hold(250, free - spare, total) {
                free -= 250;
                holds.push(hold);
            }
            free
        };
        stopped.share().set_flows(true);
        fill(&stopped);
        stopped.share().set_flows(false);
        assert_eq!(fill(&other), spare + 250, "one more would leave nothing");
        assert!(
            lane().try_hold(1000, 250, total).is_some(),
            "a topic that holds nothing"
        );
    }

    #[test]
    fn what_is_not_needed_is_given_back() {
        let lane = lane();
        let mut hold = lane.try_hold(1000, 8000, 8000).unwrap();
        assert!(lane.try_hold(100, 7000, 8000).is_none());
        hold.cut(900);
        assert!(lane.try_hold(100, 7100, 8000).is_some());
    }

    #[tokio::test]
    async fn whoever_waits_gets_room_when_there_is_some() {
        let lane = lane();
        let hold = lane.try_hold(1000, 8000, 8000).unwrap();
        let waiters: Vec<_> = (0..100)
            .map(|_| {
                let lane = Arc::clone(&lane);
                tokio::spawn(async move {
                    loop {
                        if let Some(hold) = lane.try_hold(400, 7000, 8000) {
                            tokio::task::yield_now().await;
                            return drop(hold);
                        }
                        lane.has_room().await;
                    }
                })
            })
            .collect();
        tokio::task::yield_now().await;
        drop(hold);
        for waiter in waiters {
            tokio::time::timeout(Duration::from_secs(60), waiter)
                .await
                .unwrap()
                .unwrap();
        }
    }
}
