//! How the service begins to ship: at once, or when its positions are read back from Kafka and the instance is its own.

use std::sync::Arc;

use actix::prelude::*;
use logcatch_actors::{DeadLetterStore, KafkaActor, Lost, Standing, options};
use logcatch_kafka::Lanes;
use logcatch_settings::{Delivery, Settings};
use logcatch_tail::Positions;
use tokio::sync::watch;

use crate::error::{Exit, Failure};
use crate::run::{Signals, kafka_failure};
use crate::service_manager::ServiceManager;

/// The Kafka side, which may be given lines.
pub struct Shipping {
    pub kafka: Addr<KafkaActor>,
    pub lanes: Lanes,
    /// Whether the instance is still ours, with exactly-once.
    pub standing: Option<watch::Receiver<Standing>>,
}

impl Shipping {
    /// Starts it, and waits for positions where they are in Kafka. None: a signal ended that.
    pub async fn start(
        settings: &Settings,
        letters: Arc<DeadLetterStore>,
        positions: &Arc<Positions>,
        manager: &ServiceManager,
        signals: &mut Signals,
    ) -> Result<Option<Self>, Failure> {
        let Delivery::ExactlyOnce(exactly_once) = &settings.kafka.delivery else {
            positions.keep_here();
            let (kafka, lanes) = KafkaActor::start(options(settings), letters).map_err(kafka_failure)?;
            return Ok(Some(Self {
                kafka,
                lanes,
                standing: None,
            }));
        };
        let (kafka, lanes, log) = KafkaActor::start_exactly_once(
            options(settings),
            letters,
            exactly_once,
            &settings.host,
            Arc::clone(positions),
            settings.limits.in_flight,
        )
        .map_err(kafka_failure)?;
        let mut standing = log.standing();
        log::info!(instance = exactly_once.instance, topic = exactly_once.positions_topic;
            "exactly once: positions are read back from Kafka before anything is shipped");
        manager.status("waits for Kafka to give positions back");
        tokio::select! {
            changed = standing.wait_for(|standing| *standing != Standing::Opening) => {
                let changed = changed.map_err(Failure::new)?;
                if let Standing::Lost(lost) = &*changed {
                    return Err(lost_failure(lost.clone()));
                }
            }
            signal = signals.end() => {
                log::info!(signal; "stopped before positions were read back: nothing was shipped");
                return Ok(None);
            }
        }
        log::info!(instance = exactly_once.instance, files = positions.all().len(); "the instance is ours, positions are read back");
        Ok(Some(Self {
            kafka,
            lanes,
            standing: Some(standing),
        }))
    }
}

/// Returns when nothing may be shipped any more.
pub async fn lost(standing: &mut Option<watch::Receiver<Standing>>) -> Lost {
    if let Some(standing) = standing
        && let Ok(found) = standing
            .wait_for(|standing| matches!(standing, Standing::Lost(_)))
            .await
        && let Standing::Lost(lost) = &*found
    {
        return lost.clone();
    }
    std::future::pending().await
}

/// What an operator does about it.
pub fn lost_failure(lost: Lost) -> Failure {
    let help = match &lost {
        Lost::Taken { .. } => {
            return Failure::new(lost)
                .help("give each service a `kafka.instance` of its own; this one ships nothing more")
                .exit(Exit::Held);
        }
        Lost::Unusable(_) => {
            "correct what is named; with another cluster or topic on purpose, give the service another state.directory"
        }
    };
    Failure::new(lost).help(help)
}
