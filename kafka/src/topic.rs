//! The positions topic: made where it is missing, and read back to its end.
//!
//! Its end is each partition's high watermark, asked for as one who reads everything, after all writers with our name were
//! fenced. One who reads only what is committed sees less while somebody's transaction is open, other services' included: he
//! must wait for it, or start short.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::{Client as Any, ClientContext, DefaultClientContext};
use rdkafka::consumer::{BaseConsumer as Client, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::ffi::set_token;
use crate::oidc::{Token, TokenSource};
use crate::options::Options;
use crate::transact::PositionRecord;

/// The longest that a question waits for an answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Reading gives up, to begin anew, after so long without anything.
const SILENCE: Duration = Duration::from_secs(30);

/// A service that has much to ship has one transaction after the other open in its partition. What was there at a look is committed
/// or aborted with the one under way, within a moment.
const BETWEEN: Duration = Duration::from_secs(5);

/// Between two looks for that.
const LOOK: Duration = Duration::from_millis(20);

/// The service writes its positions to one partition; many services spread over these.
pub(crate) const PARTITIONS: i32 = 16;

/// As many replicas, where there are so many brokers.
const REPLICAS: i32 = 3;

/// The library calls it an error when a partition is read to its end; other errors come with the calls, too.
pub(crate) struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        log::debug!(target: "librdkafka", "{error}: {reason}");
    }
}

impl ConsumerContext for Quiet {}

pub(crate) type BaseConsumer = Client<Quiet>;

/// What the topic holds.
#[derive(Debug, Default)]
pub struct Found {
    /// Records whose key begins as asked for, each with its partition, in the order of their partition.
    pub records: Vec<(i32, PositionRecord)>,
    /// How many partitions it has.
    pub partitions: u32,
    /// The cluster's id.
    pub cluster: String,
}

/// A topic that cannot be read back.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It may work later.
    #[error("cannot read the positions topic `{topic}`: {reason}")]
    Later {
        /// The topic.
        topic: String,
        /// Why not now.
        reason: String,
    },
    /// It would lose positions.
    #[error("cannot keep positions in topic `{topic}`: its cleanup.policy is `{policy}`, not `compact`")]
    Policy {
        /// The topic.
        topic: String,
        /// What it is.
        policy: String,
    },
}

/// How clients are made that may log in.
pub(crate) struct Access<'a> {
    options: &'a Options,
    config: ClientConfig,
    source: Option<TokenSource>,
    /// One for all: they live for seconds.
    token: Option<Token>,
}

impl<'a> Access<'a> {
    /// Fetches a token where one is needed; blocks for ten seconds at most.
    pub(crate) fn new(options: &'a Options) -> Result<Self, String> {
        let source = TokenSource::of(options).map_err(|error| error.to_string())?;
        let token = source.as_ref().map(TokenSource::fetch).transpose();
        Ok(Self {
            options,
            config: options.connection(),
            token: token.map_err(|error| error.to_string())?,
            source,
        })
    }

    pub(crate) fn consumer(&self, isolation: &str) -> Result<BaseConsumer, String> {
        let mut config = self.config.clone();
        // The library assigns no partition without one; it is never joined, and needs no right.
        config.set("group.id", "logcatch");
        config.set("enable.auto.commit", "false");
        config.set("enable.partition.eof", "true");
        // What is there is answered at once; what is not is not waited for.
        config.set("fetch.wait.max.ms", "10");
        config.set("allow.auto.create.topics", "false");
        config.set("isolation.level", isolation);
        let made: Result<BaseConsumer, _> = config.create_with_context(Quiet);
        let consumer = made.map_err(|error| self.options.redact(error).to_string())?;
        self.log_in(consumer.client())?;
        Ok(consumer)
    }

    pub(crate) fn admin(&self) -> Result<AdminClient<DefaultClientContext>, String> {
        let made: Result<AdminClient<_>, _> = self.config.create();
        let admin = made.map_err(|error| self.options.redact(error).to_string())?;
        self.log_in(admin.inner())?;
        Ok(admin)
    }

    /// It connects once it has its token.
    fn log_in<C: ClientContext>(&self, client: &Any<C>) -> Result<(), String> {
        match (&self.source, &self.token) {
            (Some(source), Some(token)) => set_token(client, token, &source.extensions),
            _ => Ok(()),
        }
    }
}

/// Reads what is committed, of keys that begin with `prefix`. Makes the topic where it is missing. Blocks for some seconds, or as
/// long as reading takes.
///
/// # Errors
/// See [`ReadError`].
pub fn read_back(options: &Options, topic: &str, prefix: &[u8]) -> Result<Found, ReadError> {
    let later = |reason: String| ReadError::Later {
        topic: topic.to_owned(),
        reason,
    };
    let access = Access::new(options).map_err(later)?;
    let everything = access.consumer("read_uncommitted").map_err(later)?;
    let partitions = match partitions(&everything, topic) {
        Ok(Some(partitions)) => partitions,
        Ok(None) => {
            make(&access, &everything, topic).map_err(later)?;
            let made = partitions_or_none(&everything, topic);
            made.ok_or_else(|| later("it was made, and its partitions are not there yet".to_owned()))?
        }
        Err(error) => return Err(later(words(&error))),
    };
    check_policy(&access, topic)?;
    let cluster = everything.client().fetch_cluster_id(PATIENCE);
    let cluster = cluster.ok_or_else(|| later("the cluster does not tell its id".to_owned()))?;

    let committed = access.consumer("read_committed").map_err(later)?;
    let deadline = Instant::now() + BETWEEN;
    let mut filled = Vec::new();
    for partition in 0..partitions {
        let marks = |consumer: &BaseConsumer| {
            let marks = consumer.fetch_watermarks(topic, partition, PATIENCE);
            marks.map_err(|error| later(words(&error)))
        };
        let (low, high) = marks(&everything)?;
        if low == high {
            continue;
        }
        filled.push(partition);
        while marks(&committed)?.1 < high {
            if Instant::now() >= deadline {
                let open = format!(
                    "a transaction is open in its partition {partition}, of another service or an earlier one of ours; \
                     Kafka ends it some 10 s after its transaction.timeout.ms, by default 60 s, at the latest; \
                     one that it does not end is found by kafka-transactions.sh find-hanging"
                );
                return Err(later(open));
            }
            std::thread::sleep(LOOK);
        }
    }
    let records = read(&committed, topic, &filled, prefix).map_err(later)?;
    Ok(Found {
        records,
        partitions: u32::try_from(partitions).unwrap_or(0),
        cluster,
    })
}

/// All records of these partitions up to the end of what is committed.
fn read(
    consumer: &BaseConsumer,
    topic: &str,
    partitions: &[i32],
    prefix: &[u8],
) -> Result<Vec<(i32, PositionRecord)>, String> {
    let mut all = TopicPartitionList::new();
    for partition in partitions {
        all.add_partition_offset(topic, *partition, Offset::Beginning)
            .map_err(|error| words(&error))?;
    }
    consumer.assign(&all).map_err(|error| words(&error))?;
    let mut records = Vec::new();
    let mut left: HashSet<i32> = partitions.iter().copied().collect();
    let mut last = Instant::now();
    while !left.is_empty() {
        match consumer.poll(Duration::from_millis(100)) {
            None if last.elapsed() > SILENCE => return Err("nothing comes from it any more".to_owned()),
            None => continue,
            Some(Ok(message)) => {
                if let Some(key) = message.key().filter(|key| key.starts_with(prefix)) {
                    let record = PositionRecord {
                        key: key.to_vec(),
                        value: message.payload().map(<[u8]>::to_vec),
                    };
                    records.push((message.partition(), record));
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                left.remove(&partition);
            }
            Some(Err(error)) => return Err(words(&error)),
        }
        last = Instant::now();
    }
    Ok(records)
}

/// How many partitions it has; none if it does not exist.
pub(crate) fn partitions(consumer: &BaseConsumer, topic: &str) -> Result<Option<i32>, KafkaError> {
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
        return Ok(None);
    };
    match found.error().map(RDKafkaErrorCode::from) {
        None => Ok(i32::try_from(found.partitions().len()).ok().filter(|count| *count > 0)),
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => Ok(None),
        Some(code) => Err(KafkaError::MetadataFetch(code)),
    }
}

/// A topic that was just made takes a moment to be known.
fn partitions_or_none(consumer: &BaseConsumer, topic: &str) -> Option<i32> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Ok(Some(partitions)) = partitions(consumer, topic) {
            return Some(partitions);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    None
}

/// How many replicas it gets, by how many brokers there are.
pub(crate) fn replicas(consumer: &BaseConsumer) -> Result<i32, KafkaError> {
    let brokers = consumer.fetch_metadata(None, PATIENCE)?.brokers().len();
    Ok(i32::try_from(brokers).unwrap_or(1).clamp(1, REPLICAS))
}

/// As it is made, and as a check asks whether it may be.
pub(crate) fn new_topic(topic: &str, replicas: i32) -> NewTopic<'_> {
    let in_sync = if replicas == REPLICAS { "2" } else { "1" };
    NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(replicas))
        .set("cleanup.policy", "compact")
        .set("min.insync.replicas", in_sync)
}

/// Makes it: before anything else touches the name, because a broker may make it in its own way then.
fn make(access: &Access, consumer: &BaseConsumer, topic: &str) -> Result<(), String> {
    let replicas = replicas(consumer).map_err(|error| words(&error))?;
    let new = new_topic(topic, replicas);
    let admin = access.admin()?;
    let made = wait(admin.create_topics([&new], &AdminOptions::new().request_timeout(Some(PATIENCE))))?;
    match made.map_err(|error| words(&error))?.into_iter().next() {
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) | None => Ok(()),
        Some(Ok(_)) => {
            log::info!(topic, partitions = PARTITIONS, replicas; "the topic for positions is made");
            Ok(())
        }
        Some(Err((_, code))) => Err(format!(
            "it does not exist and cannot be made: {code}; make it with cleanup.policy=compact, or grant the right to"
        )),
    }
}

/// Anything but compaction would forget positions. Where the rights do not allow to see it, that is said.
fn check_policy(access: &Access, topic: &str) -> Result<(), ReadError> {
    const NAME: &str = "cleanup.policy";
    let later = |reason: String| ReadError::Later {
        topic: topic.to_owned(),
        reason,
    };
    let admin = access.admin().map_err(later)?;
    let of = ResourceSpecifier::Topic(topic);
    let answer = wait(admin.describe_configs([&of], &AdminOptions::new().request_timeout(Some(PATIENCE))));
    let described = answer.map_err(later)?.map_err(|error| later(words(&error)))?;
    match described.into_iter().next() {
        Some(Ok(resource)) => match resource.get(NAME).and_then(|entry| entry.value.clone()) {
            Some(policy) if policy != "compact" => Err(ReadError::Policy {
                topic: topic.to_owned(),
                policy,
            }),
            _ => Ok(()),
        },
        Some(Err(code @ RDKafkaErrorCode::TopicAuthorizationFailed)) => {
            log::warn!(topic, cause:% = code, help = "see to it that it is `compact`, and nothing else";
                "cannot see the cleanup.policy of the topic for positions");
            Ok(())
        }
        Some(Err(code)) => Err(later(code.to_string())),
        None => Ok(()),
    }
}

/// The client's own threads complete its futures: nothing but a waker is needed.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    Ok(runtime.map_err(|error| error.to_string())?.block_on(future))
}

/// An error without its wrapping.
fn words(error: &KafkaError) -> String {
    match error.rdkafka_error_code() {
        Some(code) => code.to_string(),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_three_replicas_two_must_be_in_sync() {
        for (replicas, in_sync) in [(1, "1"), (2, "1"), (3, "2")] {
            let new = new_topic("t", replicas);
            assert!(matches!(new.replication, TopicReplication::Fixed(count) if count == replicas));
            assert!(new.config.contains(&("min.insync.replicas", in_sync)));
            assert!(new.config.contains(&("cleanup.policy", "compact")));
        }
    }
}
