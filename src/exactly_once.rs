//! Whether positions are open and the instance is the service's own, as the service sees it.

use logcatch_actors::{Lost, Standing};
use logcatch_settings::{Delivery, Settings};
use tokio::sync::watch;

use crate::error::{Exit, Failure};

/// Says what a start waits for.
pub fn say_opening(settings: &Settings, standing: &watch::Receiver<Standing>) {
    if let Delivery::ExactlyOnce(exactly_once) = &settings.kafka.delivery
        && *standing.borrow() == Standing::Opening
    {
        log::info!(instance = exactly_once.instance, topic = exactly_once.positions_topic;
            "exactly once: positions are read back from Kafka before anything is shipped");
    }
}

/// Returns when positions are open.
pub async fn opened(standing: &mut watch::Receiver<Standing>) {
    let is_ours = standing.wait_for(|standing| *standing == Standing::Ours).await.is_ok();
    if !is_ours {
        std::future::pending().await
    }
    log::debug!("positions are open");
}

/// Returns when nothing may be shipped any more.
pub async fn lost(standing: &mut watch::Receiver<Standing>) -> Lost {
    let is_lost = |standing: &Standing| matches!(standing, Standing::Lost(_));
    if let Ok(found) = standing.wait_for(is_lost).await
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
