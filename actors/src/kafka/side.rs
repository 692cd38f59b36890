//! How the Kafka side of a service is made, by its delivery mode, and what must hold before the mode is changed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use logcatch_kafka::{Bounds, Builder, DeadLetters, Options, Producer, Shipper, StartError, Wake};
use logcatch_settings::{Delivery, ExactlyOnce, Settings};
use logcatch_tail::{EnterError, Positions};
use tokio::sync::watch;

use super::positions::{Lost, Standing, TopicPositions, found};

/// A transaction takes batches for so long.
const TRANSACTION: Duration = Duration::from_millis(100);

/// It takes so many bytes at most.
const TRANSACTION_BYTES: u64 = 16 << 20;

/// What may be in flight is enough for so many: while one commits, the next is read.
const TRANSACTIONS_IN_FLIGHT: u64 = 4;

/// Between two looks at a topic that cannot be read yet.
const PAUSE: Duration = Duration::from_millis(500);

/// What the Kafka side of a service is made from, besides its settings.
pub struct Side {
    letters: Arc<dyn DeadLetters>,
    positions: Arc<Positions>,
    standing: watch::Sender<Standing>,
}

/// What ships.
pub(super) struct Made {
    pub(super) shipper: Shipper,
    pub(super) builder: Builder<Producer>,
    /// Where positions are kept in Kafka.
    pub(super) log: Option<Arc<TopicPositions>>,
}

impl Side {
    /// For these dead letters and positions.
    #[must_use]
    pub fn new(letters: Arc<dyn DeadLetters>, positions: Arc<Positions>) -> Self {
        Self {
            letters,
            positions,
            standing: watch::Sender::new(Standing::Opening),
        }
    }

    /// Whether positions are open, now and later, in whatever mode.
    #[must_use]
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    pub(super) fn is_opening(&self) -> bool {
        *self.standing.borrow() == Standing::Opening
    }

    /// Positions were kept in the store until now, by a service that leaves it: what a topic has of earlier times counts less.
    pub(super) fn count_from_now(&self) {
        self.positions.count_from_now();
    }

    /// What ships by these settings. Connects in the background, and ships nothing before positions are open. `former` is where
    /// they are kept so far, and nothing is on its way there.
    ///
    /// # Errors
    /// The options make no producer; nothing has changed then.
    pub(super) fn make(
        &self,
        settings: &Settings,
        wake: &Arc<Wake>,
        former: Option<&TopicPositions>,
    ) -> Result<Made, StartError> {
        let builder = builder(&settings.kafka.delivery, wake);
        let options = super::options(settings);
        let (producer, now) = (builder(&options, None)?, Instant::now());
        let (letters, bell) = (Arc::clone(&self.letters), Arc::clone(wake));
        let shipper = Shipper::new(producer, options, Arc::clone(&builder), letters, bell, now);
        if let Some(former) = former {
            former.close();
        }
        let Delivery::ExactlyOnce(exactly_once) = &settings.kafka.delivery else {
            self.positions.keep_here();
            self.standing.send_replace(Standing::Ours);
            return Ok(Made {
                shipper,
                builder,
                log: None,
            });
        };
        self.standing.send_replace(Standing::Opening);
        let (positions, bell) = (Arc::clone(&self.positions), Arc::clone(wake));
        let log = TopicPositions::new(exactly_once, &settings.host, positions, bell, self.standing.clone());
        let log = Arc::new(log);
        let bounds = Bounds {
            interval: TRANSACTION,
            bytes: (settings.limits.in_flight / TRANSACTIONS_IN_FLIGHT).min(TRANSACTION_BYTES),
        };
        Ok(Made {
            shipper: shipper.in_transactions(Arc::clone(&log) as _, bounds, now),
            builder,
            log: Some(log),
        })
    }
}

fn builder(delivery: &Delivery, wake: &Arc<Wake>) -> Builder<Producer> {
    let wake = Arc::clone(wake);
    match delivery {
        Delivery::AtLeastOnce => {
            Arc::new(move |options: &Options, batch_bytes| Producer::new(options, batch_bytes, Arc::clone(&wake)))
        }
        Delivery::ExactlyOnce(exactly_once) => {
            let id = exactly_once.transactional_id();
            Arc::new(move |options: &Options, batch_bytes| {
                Producer::transactional(options, batch_bytes, &id, Arc::clone(&wake))
            })
        }
    }
}

/// Whether positions may be kept in Kafka from now on, by a service that keeps them elsewhere. Makes the topic where it is missing,
/// and fences nobody. Blocks until `deadline`, and for some seconds more.
///
/// # Errors
/// Why not, or not yet.
pub fn may_enter(
    options: &Options,
    exactly_once: &ExactlyOnce,
    positions: &Positions,
    deadline: Instant,
) -> Result<(), String> {
    loop {
        match found(options, &exactly_once.positions_topic, &exactly_once.instance) {
            Ok(Ok((found, _))) => {
                let is_known = positions.may_enter(&found.cluster);
                return is_known.map_err(|error: EnterError| error.to_string());
            }
            Ok(Err(Lost::Unusable(why))) => return Err(why),
            Ok(Err(lost @ Lost::Taken { .. })) => return Err(lost.to_string()),
            Err(reason) if Instant::now() >= deadline => {
                let topic = &exactly_once.positions_topic;
                return Err(format!("the topic for positions, `{topic}`, cannot be read: {reason}"));
            }
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}
