//! How the Kafka side of a service is made, by its delivery mode, and what must hold before the mode is changed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use logcatch_kafka::{
    Bounds, Builder, DeadLetters, Options, Producer, Shipper, StartError, Unfit, Wake, partition, try_transaction,
};
use logcatch_settings::{Delivery, ExactlyOnce, Settings};
use logcatch_tail::{EnterError, Positions, TopicContents};
use tokio::sync::watch;

use super::errand::detach;
use super::positions::{Lost, Standing, TopicPositions, found};

/// A transaction takes batches for so long.
const TRANSACTION: Duration = Duration::from_millis(100);

/// One of a backlog alone: the fewer, the sooner it is through.
const TRANSACTION_OF_BACKLOG: Duration = Duration::from_millis(300);

/// It takes so many bytes at most.
const TRANSACTION_BYTES: u64 = 84 << 20;

/// It takes so many bytes ahead of librdkafka's queue, 15 ms of a backlog.
const TRANSACTION_AHEAD: u64 = 4 << 20;

/// A batch of fewer bytes is no full read of a file, and not nearly.
const FRESH: u64 = 64 << 10;

/// A transaction takes so much of what one file may hold, so that a file has something ready for the next one when it commits.
const PART_OF_ONE_FILE: (u64, u64) = (7, 8);

/// After that Kafka has ended by itself what was left open, by default.
const LEFT_OPEN: Duration = Duration::from_secs(70);

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
        let left = former.is_none() || self.is_opening();
        let left = self.positions.topic_instance().filter(|_| left);
        let shipper = Shipper::new(producer, options, Arc::clone(&builder), letters, bell, now);
        if let Some(former) = former {
            former.close();
        }
        let Delivery::ExactlyOnce(exactly_once) = &settings.kafka.delivery else {
            self.positions.keep_here();
            if let Some(instance) = left {
                let (positions, options) = (Arc::clone(&self.positions), super::options(settings));
                let id = ExactlyOnce::transactional_id_of(&instance);
                // Nobody waits for it.
                drop(detach(move || end_open(&options, &id, &positions)));
            }
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
        let (part, of) = PART_OF_ONE_FILE;
        let bounds = Bounds {
            interval: TRANSACTION,
            of_backlog: TRANSACTION_OF_BACKLOG,
            bytes: (settings.limits.in_flight_of_one / of * part).min(TRANSACTION_BYTES),
            ahead: TRANSACTION_AHEAD,
            fresh: FRESH,
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

/// Ends the transaction that a service of this instance may have left open when it was killed, so that readers of what is committed
/// do not wait for its time to pass. Blocks for a minute at most.
fn end_open(options: &Options, id: &str, positions: &Positions) {
    let deadline = Instant::now() + LEFT_OPEN;
    // Who ships so again has ended it.
    while !positions.follows_topic() {
        match try_transaction(options, id, None) {
            Ok(()) => {
                log::info!(transactional_id = id; "whatever was left open of exactly-once delivery is ended");
                return;
            }
            Err(unfit) if unfit.may_pass() && Instant::now() < deadline => std::thread::sleep(PAUSE),
            Err(unfit) => {
                log::warn!(transactional_id = id, cause:% = unfit, help = "it ends with its transaction.timeout.ms";
                    "cannot end what may be left open of exactly-once delivery, readers of what is committed wait for it");
                return;
            }
        }
    }
}

/// Whether a running service may ship by the delivery mode of these settings: a producer can be made of them, and for exactly-once
/// a transaction with a position is possible. Makes the topic for positions where it is missing, and fences whoever uses the
/// instance, as the change then does. Blocks until `deadline`, and for some seconds more.
///
/// # Errors
/// Why not, or not yet.
pub fn may_change(settings: &Settings, positions: &Positions, deadline: Instant) -> Result<(), String> {
    let options = super::options(settings);
    let wake = Wake::new().map_err(|error| error.to_string())?;
    let producer = builder(&settings.kafka.delivery, &Arc::new(wake))(&options, None);
    drop(producer.map_err(|error| error.to_string())?);
    match &settings.kafka.delivery {
        Delivery::AtLeastOnce => Ok(()),
        Delivery::ExactlyOnce(exactly_once) => may_enter(&options, exactly_once, positions, deadline),
    }
}

fn may_enter(
    options: &Options,
    exactly_once: &ExactlyOnce,
    positions: &Positions,
    deadline: Instant,
) -> Result<(), String> {
    let topic = &exactly_once.positions_topic;
    loop {
        match found(options, topic, &exactly_once.instance) {
            Ok(Ok((found, contents))) => {
                let is_known = positions.may_enter(&found.cluster);
                is_known.map_err(|error: EnterError| error.to_string())?;
                let place = place(&contents, &exactly_once.instance, found.partitions);
                match try_transaction(options, &exactly_once.transactional_id(), Some((topic, place))) {
                    Ok(()) => return Ok(()),
                    Err(unfit) if unfit.may_pass() && Instant::now() < deadline => std::thread::sleep(PAUSE),
                    Err(unfit @ Unfit::NotWritten(_)) => {
                        return Err(format!("the topic for positions, `{topic}`: {unfit}"));
                    }
                    Err(unfit) => return Err(unfit.to_string()),
                }
            }
            Ok(Err(Lost::Unusable(why))) => return Err(why),
            Ok(Err(lost @ Lost::Taken { .. })) => return Err(lost.to_string()),
            Err(reason) if Instant::now() >= deadline => {
                return Err(format!("the topic for positions, `{topic}`, cannot be read: {reason}"));
            }
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// The partition of an instance's records: all of them stay where the first ones went, for only there they have an order.
pub(super) fn place(contents: &TopicContents, instance: &str, partitions: u32) -> i32 {
    contents.owner.as_ref().map_or_else(
        || partition(instance.as_bytes(), partitions),
        |(_, partition)| *partition,
    )
}
