//! The broker inside the demo's process.

use std::time::{Duration, Instant};

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use super::DemoError;

/// The topic of every log of the demo.
pub const TOPIC: &str = "logcatchsys";

/// As many as the system had that this service grew out of; more than logs, so that keys have a choice.
pub const PARTITIONS: i32 = 16;

/// How long the broker stays away: long enough that a producer notices and says so.
const ABSENCE: Duration = Duration::from_secs(4);

/// The mock cluster numbers its brokers from 1.
const ONLY_BROKER: i32 = 1;

/// A broker on a free port of the loopback device, which librdkafka clients such as kcat can use as well.
pub struct Broker {
    cluster: MockCluster<'static, DefaultProducerContext>,
    back_at: Option<Instant>,
}

impl Broker {
    /// Starts it with the topic in place.
    pub fn start() -> Result<Self, DemoError> {
        let cluster = MockCluster::new(1).map_err(DemoError::Broker)?;
        cluster.create_topic(TOPIC, PARTITIONS, 1).map_err(DemoError::Broker)?;
        Ok(Self { cluster, back_at: None })
    }

    /// Where it listens, as `host:port`.
    pub fn address(&self) -> String {
        self.cluster.bootstrap_servers()
    }

    /// Takes it away for a few seconds: connections are cut and new ones refused; what it holds is kept.
    ///
    /// It forgets which requests of a producer it has answered, so a request that it stored but could not answer would
    /// come twice, which a real broker prevents. The caller therefore waits for a moment without requests.
    pub fn leave(&mut self, now: Instant) -> Result<(), DemoError> {
        self.cluster.broker_down(ONLY_BROKER).map_err(DemoError::Broker)?;
        self.back_at = Some(now + ABSENCE);
        Ok(())
    }

    /// Brings it back when its time has come, or at once if `now` is `None`; true if it came back.
    pub fn come_back(&mut self, now: Option<Instant>) -> Result<bool, DemoError> {
        if self.back_at.is_none_or(|back_at| now.is_some_and(|now| now < back_at)) {
            return Ok(false);
        }
        self.cluster.broker_up(ONLY_BROKER).map_err(DemoError::Broker)?;
        self.back_at = None;
        Ok(true)
    }

    /// Whether it is away.
    pub fn is_away(&self) -> bool {
        self.back_at.is_some()
    }
}
