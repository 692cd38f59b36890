//! The lanes as readers see them: one a topic, open or not.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::share::Share;
use crate::wake::Wake;

/// Whether a topic takes records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaneState {
    /// Kafka has not answered yet whether the topic exists.
    Asking,
    /// It takes records.
    Open,
    /// It takes none for now; the shipper tries again by itself.
    Held {
        /// The kind of trouble.
        why: Trouble,
        /// Why, in a few words for an operator.
        reason: Arc<str>,
    },
}

/// Why a topic takes no records, as far as it matters for what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// There is no such topic.
    Missing,
    /// The service may not write to it.
    Forbidden,
    /// This host's clock is out of the topic's bounds.
    Clock,
    /// Its name cannot be one of a topic.
    Illegal,
    /// Kafka acknowledges nothing for it.
    Silent,
    /// Anything else; it passes by itself.
    Other,
}

impl Trouble {
    /// Whether it lasts until somebody makes the topic or grants a right.
    pub(crate) fn needs_somebody(self) -> bool {
        matches!(self, Self::Missing | Self::Forbidden)
    }
}

/// The lane of a topic, shared with its readers: they read nothing for a lane that is not open.
#[derive(Debug)]
pub struct Lane {
    topic: Arc<str>,
    state: watch::Sender<LaneState>,
    in_flight: AtomicU64,
    share: Share,
}

/// All lanes; clones share them.
#[derive(Clone, Debug)]
pub struct Lanes {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    registry: Mutex<Registry>,
    wake: Arc<Wake>,
}

#[derive(Debug, Default)]
struct Registry {
    by_topic: HashMap<Arc<str>, Arc<Lane>>,
    unseen: Vec<Arc<Lane>>,
}

impl Lane {
    /// A lane that never opens, for a name that no topic can have. Kafka is not asked for it.
    pub fn illegal(topic: &str, reason: &str) -> Arc<Self> {
        let reason = reason.into();
        let why = Trouble::Illegal;
        Self::new(topic.into(), LaneState::Held { why, reason })
    }

    fn new(topic: Arc<str>, state: LaneState) -> Arc<Self> {
        Arc::new(Self {
            topic,
            state: watch::Sender::new(state),
            in_flight: AtomicU64::new(0),
            share: Share::default(),
        })
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The same, for those who keep it: ten thousand files have one.
    pub fn topic_name(&self) -> &Arc<str> {
        &self.topic
    }

    /// Whether it takes records now.
    pub fn state(&self) -> LaneState {
        self.state.borrow().clone()
    }

    /// True if it takes records now.
    pub fn is_open(&self) -> bool {
        *self.state.borrow() == LaneState::Open
    }

    /// Returns when it takes records.
    pub async fn opened(&self) {
        // Fails only when the sender is gone, and the sender is ours.
        let _ = self.state.subscribe().wait_for(|state| *state == LaneState::Open).await;
    }

    /// Bytes of buffers that were handed over for this topic and are not settled: what a topic that accepts
    /// nothing keeps from the others.
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(crate) fn share(&self) -> &Share {
        &self.share
    }

    pub(crate) fn set(&self, state: LaneState) {
        if state != LaneState::Open {
            self.share.set_flows(false);
        }
        self.state.send_if_modified(|current| {
            let changed = *current != state;
            *current = state;
            changed
        });
    }

    pub(crate) fn charge(&self, bytes: u64) {
        self.in_flight.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn discharge(&self, bytes: u64) {
        self.in_flight.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Lanes {
    pub(crate) fn new(wake: Arc<Wake>) -> Self {
        Self {
            shared: Arc::new(Shared {
                registry: Mutex::default(),
                wake,
            }),
        }
    }

    /// The lane of `topic`. The first to ask for it makes the shipper ask Kafka for the topic.
    ///
    /// When nobody holds it any more, the shipper forgets it.
    pub fn lane(&self, topic: &str) -> Arc<Lane> {
        let mut registry = self.lock();
        if let Some(lane) = registry.by_topic.get(topic) {
            return Arc::clone(lane);
        }
        let topic: Arc<str> = Arc::from(topic);
        let lane = Lane::new(Arc::clone(&topic), LaneState::Asking);
        registry.by_topic.insert(topic, Arc::clone(&lane));
        registry.unseen.push(Arc::clone(&lane));
        drop(registry);
        self.shared.wake.ring();
        lane
    }

    /// Every topic and the state of its lane, by name.
    pub fn states(&self) -> Vec<(Arc<str>, LaneState)> {
        let mut states: Vec<_> = self
            .lock()
            .by_topic
            .values()
            .map(|lane| (Arc::clone(&lane.topic), lane.state()))
            .collect();
        states.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        states
    }

    /// Whether there is a topic that is missing or forbidden.
    pub fn has_any_that_needs_somebody(&self) -> bool {
        let needs =
            |lane: &Arc<Lane>| matches!(*lane.state.borrow(), LaneState::Held { why, .. } if why.needs_somebody());
        self.lock().by_topic.values().any(needs)
    }

    /// Forgets all lanes: whoever asks for one gets a new one.
    pub(crate) fn clear(&self) {
        *self.lock() = Registry::default();
    }

    /// The lanes that were asked for since the last call.
    pub(crate) fn take_unseen(&self) -> Vec<Arc<Lane>> {
        std::mem::take(&mut self.lock().unseen)
    }

    /// Forgets the lane if only its owner and this registry hold it; true if it is forgotten.
    pub(crate) fn forget(&self, lane: &Arc<Lane>) -> bool {
        let mut registry = self.lock();
        // One is the caller's, one the registry's. Nobody gets another one while the registry is locked.
        let unused = Arc::strong_count(lane) <= 2 && lane.in_flight() == 0;
        if unused {
            registry.by_topic.remove(&lane.topic);
        }
        unused
    }

    pub(crate) fn wake(&self) -> &Arc<Wake> {
        &self.shared.wake
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        // A panic of another thread leaves a usable map.
        self.shared.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes() -> Lanes {
        Lanes::new(Arc::new(Wake::new().unwrap()))
    }

    #[test]
    fn a_topic_has_one_lane_and_is_asked_for_once() {
        let lanes = lanes();
        let first = lanes.lane("a");
        let second = lanes.lane("a");
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(first.state(), LaneState::Asking);
        assert_eq!(lanes.take_unseen().len(), 1);
        assert!(lanes.take_unseen().is_empty());
    }

    #[test]
    fn a_lane_is_forgotten_when_no_reader_holds_it() {
        let lanes = lanes();
        let held_by_a_reader = lanes.lane("a");
        let ours = lanes.take_unseen().pop().unwrap();
        assert!(!lanes.forget(&ours));
        drop(held_by_a_reader);
        assert!(lanes.forget(&ours));
        assert!(lanes.states().is_empty());
    }

    #[tokio::test]
    async fn readers_wake_when_their_lane_opens() {
        let lanes = lanes();
        let lane = lanes.lane("a");
        let waiting = tokio::spawn({
            let lane = Arc::clone(&lane);
            async move { lane.opened().await }
        });
        lane.set(LaneState::Held {
            why: Trouble::Missing,
            reason: "topic does not exist".into(),
        });
        assert!(!lane.is_open());
        lane.set(LaneState::Open);
        waiting.await.unwrap();
        assert!(lane.is_open());
    }
}
