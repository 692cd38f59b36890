//! What becomes of Kafka: it is killed, paused or restarted, and comes back by itself.

use std::thread::{Scope, ScopedJoinHandle, sleep};
use std::time::Duration;

use super::books::Books;
use super::plan::Outage;
use super::timeline::NO_KAFKA;
use crate::harness::kafka::Broker;

/// After its return the clients find Kafka again within this.
const FOUND_AGAIN: Duration = Duration::from_secs(3);

/// See the module.
pub struct Outages<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    broker: &'env Broker,
    running: Option<ScopedJoinHandle<'scope, ()>>,
}

impl<'scope, 'env> Outages<'scope, 'env> {
    /// Kafka is there.
    pub fn new(scope: &'scope Scope<'scope, 'env>, broker: &'env Broker) -> Self {
        Outages {
            scope,
            broker,
            running: None,
        }
    }

    /// Kafka is away from now on, for this long and as long as it takes to come back; after any outage before is over.
    pub fn begin(&mut self, outage: Outage, millis: u64, books: &mut Books) {
        self.end(books);
        books.timeline.set(NO_KAFKA);
        let (broker, length) = (self.broker, Duration::from_millis(millis));
        self.running = Some(self.scope.spawn(move || {
            match outage {
                Outage::Paused => broker.pause(),
                Outage::Killed => broker.kill(),
                Outage::Restarted => broker.stop(),
            }
            sleep(length);
            match outage {
                Outage::Paused => broker.resume(),
                Outage::Killed | Outage::Restarted => broker.start_again(),
            }
            sleep(FOUND_AGAIN);
        }));
    }

    /// Sees whether Kafka is back.
    pub fn look(&mut self, books: &mut Books) {
        if self.running.as_ref().is_some_and(ScopedJoinHandle::is_finished) {
            self.end(books);
        }
    }

    /// Waits until Kafka is back.
    pub fn end(&mut self, books: &mut Books) {
        if let Some(running) = self.running.take() {
            running.join().expect("Kafka comes back");
            books.timeline.clear(NO_KAFKA);
        }
    }
}
