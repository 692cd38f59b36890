//! What a cluster says of topics, for an operator who checks settings before they are used.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::errand::is_silence;
use crate::error::Code;
use crate::ffi::Producer;
use crate::options::{Options, StartError};
use crate::outlet::{Inquire, Outlet, Report};
use crate::security::Refusal;
use crate::wake::Wake;

/// What is known of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicReport {
    /// Its name.
    pub topic: String,
    /// What it is like, or why it cannot be used: it does not exist, or may not be seen.
    pub found: Result<TopicFacts, Code>,
}

/// A topic that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicFacts {
    /// How many partitions it has.
    pub partitions: u32,
    /// How many replicas each partition has at least.
    pub replicas: u32,
    /// `min.insync.replicas`, if it may be read.
    pub min_insync_replicas: Option<u32>,
    /// `max.message.bytes`, if it may be read: the limit of one batch, compressed.
    pub max_message_bytes: Option<u64>,
}

/// A cluster that cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The properties do not make a client.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Nobody answers.
    #[error("cannot reach Kafka at `{brokers}`: {cause}")]
    Unreachable {
        /// The brokers as configured.
        brokers: String,
        /// What librdkafka says of it, without secrets.
        cause: String,
    },
    /// It answers, but one side does not let the other in.
    #[error("cannot connect to Kafka at `{brokers}` as {login}: {cause}")]
    Refused {
        /// The brokers as configured.
        brokers: String,
        /// Who logs in.
        login: String,
        /// What is refused.
        refusal: Refusal,
        /// What was said of it, without secrets.
        cause: String,
    },
}

/// Asks the cluster for topics, creating none. Blocks up to about `patience` when nobody answers.
///
/// # Errors
/// The client cannot be created, or no broker answers.
pub fn inspect(options: &Options, topics: &[String], patience: Duration) -> Result<Vec<TopicReport>, InspectError> {
    let mut producer = Producer::new(options, None, Arc::new(Wake::new().map_err(StartError::from)?))?;
    let inquirer = producer.inquirer();
    inquirer.renew_token();
    if let Some(topic) = topics.first() {
        reach(options, &mut producer, topic, patience)?;
    }
    let deadline = Instant::now() + patience;
    let mut reports = Vec::with_capacity(topics.len());
    for topic in topics {
        let left = deadline.saturating_duration_since(Instant::now()).max(SLICE);
        let found = match inquirer.layout(topic, left) {
            Err(code) => Err(code),
            Ok(layout) => {
                let settings = inquirer.topic_settings(topic, left).unwrap_or_default();
                let value = |name| {
                    settings
                        .iter()
                        .find(|(known, _)| known == name)
                        .map(|(_, value)| value.as_str())
                };
                Ok(TopicFacts {
                    partitions: layout.partitions,
                    replicas: layout.replicas,
                    min_insync_replicas: value("min.insync.replicas").and_then(|value| value.parse().ok()),
                    max_message_bytes: value("max.message.bytes").and_then(|value| value.parse().ok()),
                })
            }
        };
        reports.push(TopicReport {
            topic: topic.clone(),
            found,
        });
    }
    Ok(reports)
}

/// How long to wait for an answer before looking whether something speaks against its coming.
const SLICE: Duration = Duration::from_secs(1);

/// Returns when a broker answers.
fn reach(options: &Options, producer: &mut Producer, topic: &str, patience: Duration) -> Result<(), InspectError> {
    let (inquirer, deadline) = (producer.inquirer(), Instant::now() + patience);
    let brokers = options.broker_list();
    let (mut reports, mut cause) = (Vec::new(), None);
    loop {
        let code = match inquirer.layout(topic, SLICE.min(patience)) {
            Err(code) if is_silence(code) => code,
            _ => return Ok(()),
        };
        producer.reports(1, &mut reports);
        for report in reports.drain(..) {
            match report {
                Report::Trouble { code, .. } if code == Code::ALL_BROKERS_DOWN => {}
                Report::Trouble { code, text, .. } => {
                    if let Some(refusal) = Refusal::of(code, &text) {
                        let login = options.login().unwrap_or_else(|| "nobody".to_owned());
                        return Err(InspectError::Refused {
                            brokers,
                            login,
                            refusal,
                            cause: text,
                        });
                    }
                    cause = Some(text);
                }
                _ => {}
            }
        }
        if deadline <= Instant::now() {
            let cause = cause.unwrap_or_else(|| code.to_string());
            return Err(InspectError::Unreachable { brokers, cause });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_that_does_not_answer_is_named_with_the_cause() {
        let options = Options {
            brokers: vec!["127.0.0.1:1".into()],
            ..Options::default()
        };
        let error = inspect(&options, &["t".into()], Duration::from_secs(2))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("cannot reach Kafka at `127.0.0.1:1`: "), "{error}");
        assert!(error.contains("refused"), "{error}");
    }
}
