//! What Kafka says about the topics of the settings.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use logcatch_actors::options;
use logcatch_kafka::{Code, InspectError, Producer, StartError, TopicFacts, TopicReport, Wake, inspect};
use logcatch_settings::Settings;
use serde::Serialize;
use thiserror::Error;

use super::{Entry, human};
use crate::error::Failure;
use crate::run::kafka_failure;

/// How long Kafka has to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A topic, and what an operator should know about it.
#[derive(Debug, Serialize)]
pub(super) struct Topic {
    name: String,
    usable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    facts: Option<Facts>,
    warnings: Vec<String>,
    #[serde(skip)]
    help: String,
}

#[derive(Debug, Serialize)]
struct Facts {
    partitions: u32,
    replicas: u32,
    min_insync_replicas: Option<u32>,
    max_message_bytes: Option<u64>,
}

#[derive(Debug, Error)]
#[error("cannot use the topics of the settings: {0}")]
struct Unusable(String);

/// Whether the properties go together, and with the files that they name: a producer can be made of them.
pub(super) fn check_properties(settings: &Settings, config: &Path) -> Result<(), Failure> {
    let wake = Wake::new().map_err(StartError::from);
    wake.and_then(|wake| Producer::new(&options(settings), None, Arc::new(wake)))
        .map(drop)
        .map_err(|error| kafka_failure(error, config))
}

/// Asks for every topic of the settings: of those with placeholders, what they give for the files that are there.
pub(super) fn ask(settings: &Settings, entries: &[Entry]) -> Result<Vec<Topic>, Failure> {
    let mut longest = BTreeMap::<String, usize>::new();
    for (log, entry) in settings.logs.iter().zip(entries) {
        for topic in &entry.topics {
            let line = longest.entry(topic.clone()).or_default();
            *line = log.max_line.max(*line);
        }
    }
    let names = longest.keys().cloned().collect::<Vec<_>>();
    let reports = inspect(&options(settings), &names, PATIENCE).map_err(|error| {
        let help = match &error {
            InspectError::Refused { refusal, cause, .. } => refusal.help(cause),
            _ => "check `kafka.brokers` and the security properties; `logcatch run` waits for Kafka and loses nothing",
        };
        Failure::new(error).help(help)
    })?;
    Ok(reports.into_iter().map(|report| Topic::new(&longest, report)).collect())
}

/// The failure of a check if a topic cannot be used.
pub(super) fn unusable(topics: &[Topic]) -> Option<Failure> {
    let bad = topics.iter().filter(|topic| !topic.usable).collect::<Vec<_>>();
    let first = bad.first()?;
    let causes = bad
        .iter()
        .map(|topic| format!("`{}`: {}", topic.name, topic.error.as_deref().unwrap_or_default()));
    Some(Failure::new(Unusable(causes.collect::<Vec<_>>().join(", "))).help(first.help.clone()))
}

// === impl Topic ===

impl Topic {
    /// `longest`: the longest line of each topic, in bytes.
    fn new(longest: &BTreeMap<String, usize>, report: TopicReport) -> Self {
        let name = report.topic;
        match report.found {
            Ok(facts) => {
                let warnings = warnings(&facts, longest.get(&name).copied().unwrap_or_default());
                let facts = Facts {
                    partitions: facts.partitions,
                    replicas: facts.replicas,
                    min_insync_replicas: facts.min_insync_replicas,
                    max_message_bytes: facts.max_message_bytes,
                };
                Self {
                    name,
                    usable: true,
                    error: None,
                    facts: Some(facts),
                    warnings,
                    help: String::new(),
                }
            }
            Err(code) => {
                let (error, help) = match code {
                    Code::UNKNOWN_TOPIC | Code::UNKNOWN_TOPIC_OR_PARTITION => (
                        "it does not exist".to_owned(),
                        format!(
                            "create it, for logcatch creates none: kafka-topics.sh --bootstrap-server HOST:PORT --create --topic {name} --partitions 16"
                        ),
                    ),
                    Code::TOPIC_AUTHORIZATION_FAILED => (
                        "this user may not see it".to_owned(),
                        format!(
                            "allow the user to describe and to write to it: kafka-acls.sh --add --producer --topic {name} --allow-principal User:NAME"
                        ),
                    ),
                    code => (
                        code.to_string(),
                        "ask again; `logcatch run` waits until the topic can be used".to_owned(),
                    ),
                };
                Self {
                    name,
                    usable: false,
                    error: Some(error),
                    facts: None,
                    warnings: Vec::new(),
                    help,
                }
            }
        }
    }

    pub(super) fn to_text(&self) -> String {
        let mut text = match &self.facts {
            Some(facts) => {
                let Facts {
                    partitions, replicas, ..
                } = facts;
                let known = |what: Option<String>| what.unwrap_or_else(|| "not told".to_owned());
                let insync = known(facts.min_insync_replicas.map(|count| count.to_string()));
                let bytes = known(facts.max_message_bytes.map(human));
                format!(
                    "topic `{}`: {}, {}, min.insync.replicas {insync}, max.message.bytes {bytes}\n",
                    self.name,
                    counted(*partitions, "partition"),
                    counted(*replicas, "replica"),
                )
            }
            None => format!("topic `{}`: {}\n", self.name, self.error.as_deref().unwrap_or_default()),
        };
        for warning in &self.warnings {
            text.push_str(&format!("  warning: {warning}\n"));
        }
        text
    }
}

fn counted(count: u32, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn warnings(facts: &TopicFacts, longest: usize) -> Vec<String> {
    let mut warnings = Vec::new();
    if facts.replicas < 2 {
        warnings.push("one replica: what it holds is lost with its broker".to_owned());
    } else if facts.min_insync_replicas == Some(1) {
        warnings.push(
            "min.insync.replicas is 1: a line can be acknowledged by one broker alone and lost with it".to_owned(),
        );
    }
    let limit = facts.max_message_bytes.and_then(|bytes| usize::try_from(bytes).ok());
    if limit.is_some_and(|limit| longest > limit) {
        warnings.push(
            "`max_line` is over max.message.bytes: longer lines can be refused and become dead letters".to_owned(),
        );
    }
    warnings
}

#[cfg(test)]
mod tests {
    use logcatch_kafka::RESERVED;

    use super::*;

    fn topic(found: Result<TopicFacts, Code>) -> Topic {
        Topic::new(
            &BTreeMap::from([("t".to_owned(), 900 << 10)]),
            TopicReport {
                topic: "t".to_owned(),
                found,
            },
        )
    }

    #[test]
    fn a_topic_is_told_with_what_endangers_lines() {
        let facts = TopicFacts {
            partitions: 16,
            replicas: 3,
            min_insync_replicas: Some(2),
            max_message_bytes: Some(1 << 20),
        };
        assert_eq!(
            topic(Ok(facts.clone())).to_text(),
            "topic `t`: 16 partitions, 3 replicas, min.insync.replicas 2, max.message.bytes 1.0 MiB\n"
        );
        let risky = TopicFacts {
            min_insync_replicas: Some(1),
            max_message_bytes: Some(1024),
            ..facts
        };
        assert_eq!(topic(Ok(risky)).warnings.len(), 2);
        let single = TopicFacts {
            replicas: 1,
            min_insync_replicas: None,
            max_message_bytes: None,
            ..facts
        };
        let text = topic(Ok(single)).to_text();
        assert!(
            text.contains("min.insync.replicas not told") && text.contains("warning: one replica"),
            "{text}"
        );
    }

    #[test]
    fn a_topic_that_cannot_be_used_fails_the_check() {
        let topics = [topic(Err(Code::UNKNOWN_TOPIC_OR_PARTITION))];
        assert_eq!(topics[0].to_text(), "topic `t`: it does not exist\n");
        assert!(unusable(&topics).is_some());
    }

    #[test]
    fn the_settings_refuse_every_property_that_is_reserved() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f.toml");
        for name in RESERVED {
            let text = format!(
                "[kafka]\nbrokers = \"a:1\"\ntopic = \"t\"\n[kafka.properties]\n\"{name}\" = 1\n[[logs]]\npath = \"/l\"\n"
            );
            std::fs::write(&path, text).unwrap();
            let refused = logcatch_settings::load(&path, &|_| None).unwrap_err();
            assert_eq!(refused.problems()[0].key, format!("kafka.properties.{name}"));
        }
    }
}
