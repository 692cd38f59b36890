//! The Kafka side as an actor: batches in, settlements out.

pub(crate) mod actor;
mod check;
mod errand;
mod positions;
mod properties;
mod side;
mod unsettled;

use logcatch_kafka::Options;
use logcatch_settings::{KafkaSettings, Settings};

pub use check::{PositionsPlace, check_positions};
pub use positions::{Lost, Standing, TopicPositions};
pub use properties::load;
pub use side::Side;
pub(crate) use side::may_change;

pub(crate) use actor::GiveBack;
pub use actor::{ChangeDelivery, DrainKafka, GetStats, KafkaActor, Reconfigure, ShipBatch};

/// What of the settings makes a producer.
#[must_use]
pub fn options(settings: &Settings) -> Options {
    options_of(&settings.kafka)
}

fn options_of(kafka: &KafkaSettings) -> Options {
    Options {
        brokers: kafka.brokers.clone(),
        properties: kafka.properties.clone().into_iter().collect(),
        hidden: kafka.hidden.clone(),
        files: kafka.files,
    }
}
