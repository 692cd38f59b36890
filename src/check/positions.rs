//! With exactly-once: whether positions can be kept in Kafka.

use logcatch_actors::{PositionsPlace, check_positions, options};
use logcatch_kafka::{ReadError, Unfit};
use logcatch_settings::{Delivery, ExactlyOnce, Settings};
use serde::Serialize;
use thiserror::Error;

use crate::control::client::{Client, ConnectError};
use crate::error::Failure;

/// The place for positions, and what an operator should know about it.
#[derive(Debug, Serialize)]
pub(super) struct Positions {
    topic: String,
    transactional_id: String,
    usable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// Else a service makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    exists: Option<bool>,
    /// Whether a transaction was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    tried: Option<bool>,
    /// Who used the instance last: host and process id.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<(String, u32)>,
    #[serde(skip)]
    help: String,
}

#[derive(Debug, Error)]
#[error("cannot keep positions in topic `{0}`: {1}")]
struct Unusable(String, String);

/// Asks, where the settings want it.
pub(super) fn ask(settings: &Settings) -> Option<Positions> {
    let Delivery::ExactlyOnce(exactly_once) = &settings.kafka.delivery else {
        return None;
    };
    // One that may not be asked runs all the same.
    let service = Client::connect(&settings.state.directory);
    let runs = !matches!(service, Err(ConnectError::NoService { .. }));
    let found = check_positions(&options(settings), exactly_once, &settings.host, runs);
    Some(Positions::new(exactly_once, found))
}

// === impl Positions ===

impl Positions {
    fn new(exactly_once: &ExactlyOnce, found: Result<PositionsPlace, Unfit>) -> Self {
        let topic = exactly_once.positions_topic.clone();
        let transactional_id = exactly_once.transactional_id();
        let known = Self {
            topic,
            transactional_id,
            usable: found.is_ok(),
            error: None,
            exists: None,
            tried: None,
            owner: None,
            help: String::new(),
        };
        match found {
            Ok(place) => Self {
                exists: Some(place.exists),
                tried: Some(place.tried),
                owner: place.owner.map(|owner| (owner.host, owner.pid)),
                ..known
            },
            Err(unfit) => Self {
                error: Some(words(&unfit)),
                help: help(&unfit, &known),
                ..known
            },
        }
    }

    pub(super) fn to_text(&self) -> String {
        let Self {
            topic,
            transactional_id: id,
            ..
        } = self;
        if let Some(error) = &self.error {
            return format!("positions in topic `{topic}`: {error}\n");
        }
        let what = match self.exists {
            Some(true) => "it exists",
            _ => "it does not exist, and logcatch may make it",
        };
        let mut text = format!("positions in topic `{topic}`: {what}");
        text += &match (&self.owner, self.tried) {
            (Some((host, pid)), Some(false)) => {
                format!("; `{id}` is not tried, the logcatch on `{host}` with pid {pid} may be using it\n")
            }
            (None, Some(false)) => {
                format!("; `{id}` is not tried, for a service runs here and may be using it\n")
            }
            _ => format!(", and `{id}` may be used\n"),
        };
        text
    }

    /// The failure of a check if positions cannot be kept there.
    pub(super) fn unusable(&self) -> Option<Failure> {
        let error = self.error.clone()?;
        Some(Failure::new(Unusable(self.topic.clone(), error)).help(self.help.clone()))
    }
}

/// Without what is said of the topic before.
fn words(unfit: &Unfit) -> String {
    match unfit {
        Unfit::Read(ReadError::Later { reason, .. }) => format!("it cannot be read: {reason}"),
        Unfit::Read(ReadError::Policy { policy, .. }) => format!("its cleanup.policy is `{policy}`, not `compact`"),
        other => other.to_string(),
    }
}

fn help(unfit: &Unfit, place: &Positions) -> String {
    let Positions {
        topic,
        transactional_id: id,
        ..
    } = place;
    let allow = "kafka-acls.sh --add --allow-principal User:NAME";
    let of_topic = format!("{allow} --topic {topic} --operation Read --operation Write --operation Describe");
    match unfit {
        Unfit::NotMade(_) => format!(
            "make it: kafka-topics.sh --bootstrap-server HOST:PORT --create --topic {topic} --partitions 16 --config cleanup.policy=compact"
        ),
        Unfit::Read(ReadError::Policy { .. }) => format!(
            "give it that: kafka-configs.sh --alter --topic {topic} --add-config cleanup.policy=compact; or name another as kafka.positions_topic"
        ),
        Unfit::NotSeen | Unfit::NotWritten(_) => format!("the user needs these rights: {of_topic}"),
        Unfit::Read(ReadError::Later { .. }) => {
            format!("ask again, for it may pass; the user needs these rights: {of_topic}")
        }
        Unfit::Id { .. } => {
            format!(
                "the user needs these rights: {allow} --transactional-id {id} --operation Write --operation Describe"
            )
        }
        Unfit::LongTimeout(_) => {
            "lower `transaction.timeout.ms` in [kafka.properties], or raise `transaction.max.timeout.ms` of the brokers"
                .to_owned()
        }
        Unfit::Coordinator { .. } => {
            "ask again, for it may pass; if it does not, look at the brokers' topic `__transaction_state`".to_owned()
        }
        Unfit::Other(_) | Unfit::Start(_) => "ask again; `logcatch run` waits until positions can be kept".to_owned(),
    }
}
