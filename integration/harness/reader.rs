//! What has arrived in Kafka, read by a consumer that shares nothing with the service.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Headers;
use rdkafka::{Offset, TopicPartitionList};

use super::case;
use super::eventually::{DEADLINE, eventually};
use super::kafka::Broker;

/// A record as it lies in Kafka.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    /// `None` is a tombstone, which no line may ever become.
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
    /// Milliseconds since the epoch: when the record was made, or when the broker appended it, as the topic says.
    pub time: i64,
}

impl Record {
    /// The value as text, for messages and for tests that wrote text.
    pub fn text(&self) -> String {
        self.value
            .as_deref()
            .map_or_else(|| "(tombstone)".to_owned(), |v| String::from_utf8_lossy(v).into_owned())
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<String> {
        let (_, value) = self.headers.iter().find(|(header, _)| header == name)?;
        Some(String::from_utf8_lossy(value).into_owned())
    }
}

/// Reads every partition of one topic from its beginning.
pub struct Reader {
    config: ClientConfig,
    consumer: BaseConsumer,
    topic: String,
    /// Per partition, the offset after the last one read.
    next: Vec<i64>,
    records: Vec<Record>,
}

impl Reader {
    /// A reader of a topic that exists; it sees committed records only.
    pub fn new(broker: &Broker, topic: &str) -> Reader {
        Reader::with(broker.client(), topic)
    }

    /// [`Reader::new`] for whatever a client can be configured to reach.
    pub fn with(mut config: ClientConfig, topic: &str) -> Reader {
        // Without a group: partitions are assigned here and nothing is committed.
        config
            .set("group.id", "reader")
            .set("enable.auto.commit", "false")
            .set("fetch.wait.max.ms", "50");
        // The default would skip what is there, wherever a position must be found anew.
        config.set("auto.offset.reset", "earliest");
        config
            .set("isolation.level", "read_committed")
            .set("fetch.error.backoff.ms", "20");
        let consumer: BaseConsumer = config.create().unwrap();
        let partitions = eventually(&format!("topic `{topic}` can be read"), || {
            let metadata = consumer
                .fetch_metadata(Some(topic), Duration::from_secs(5))
                .map_err(|error| error.to_string())?;
            match metadata.topics() {
                [topic] if !topic.partitions().is_empty() => Ok(topic.partitions().len()),
                _ => Err("no such topic".to_owned()),
            }
        });
        let reader = Reader {
            config,
            consumer,
            topic: topic.to_owned(),
            next: vec![0; partitions],
            records: Vec::new(),
        };
        reader.assign();
        reader
    }

    /// Goes on with a new client: one whose broker was killed and paused often may take it for gone when it is not.
    pub fn renew(&mut self) {
        self.consumer = self.config.create().unwrap();
        self.assign();
    }

    fn assign(&self) {
        let mut list = TopicPartitionList::new();
        for (partition, next) in (0..).zip(&self.next) {
            list.add_partition_offset(&self.topic, partition, Offset::Offset(*next))
                .unwrap();
        }
        self.consumer.assign(&list).unwrap();
    }

    /// Takes what arrives within `timeout`, or what is already fetched.
    pub fn take(&mut self, timeout: Duration) {
        let mut timeout = timeout;
        // Errors are the broker going away, which the client mends by itself.
        while let Some(message) = self.consumer.poll(timeout) {
            timeout = Duration::ZERO;
            let Ok(message) = message else { continue };
            let headers = message.headers().map(|headers| {
                headers
                    .iter()
                    .map(|h| (h.key.to_owned(), h.value.unwrap_or_default().to_vec()))
                    .collect()
            });
            let record = Record {
                partition: message.partition(),
                offset: message.offset(),
                key: message.key().map(<[u8]>::to_vec),
                value: message.payload().map(<[u8]>::to_vec),
                headers: headers.unwrap_or_default(),
                time: message.timestamp().to_millis().unwrap_or_default(),
            };
            if self.came_before(&record) {
                continue;
            }
            self.next[usize::try_from(record.partition).unwrap()] = record.offset + 1;
            self.records.push(record);
        }
    }

    /// A client whose broker was taken for gone goes back to an offset that it has passed, and gives the same records again: they
    /// are in Kafka once. What has an old offset and is another record is that of a topic made anew.
    fn came_before(&self, record: &Record) -> bool {
        let is_old = record.offset < self.next[usize::try_from(record.partition).unwrap()];
        is_old && self.records.iter().rev().any(|known| known == record)
    }

    /// All records read so far; order is that of arrival within each partition.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Reads until `condition` holds of all records so far.
    pub fn until(&mut self, what: &str, condition: impl Fn(&[Record]) -> bool) -> &[Record] {
        let start = Instant::now();
        loop {
            self.take(Duration::from_millis(20));
            if condition(&self.records) {
                return &self.records;
            }
            assert!(
                start.elapsed() < DEADLINE,
                "waited {DEADLINE:?} for `{}` to hold: {what}\nbut saw {} records, the last of them {:?}",
                self.topic,
                self.records.len(),
                self.records.last().map(Record::text)
            );
        }
    }

    /// Reads until at least `count` records are there.
    pub fn until_count(&mut self, count: usize) -> &[Record] {
        self.until(&format!("{count} records"), |records| records.len() >= count)
    }

    /// Reads up to what Kafka holds now: all there is, if nobody writes any more.
    pub fn everything(&mut self) -> &[Record] {
        for partition in 0..self.next.len() {
            let number = i32::try_from(partition).unwrap();
            let end = eventually("the end of a partition is known", || {
                let timeout = Duration::from_secs(5);
                let ends = self.consumer.fetch_watermarks(&self.topic, number, timeout);
                ends.map(|(_, end)| end).map_err(|error| error.to_string())
            });
            let start = Instant::now();
            while self.next[partition].max(self.position(number)) < end {
                assert!(
                    start.elapsed() < DEADLINE,
                    "cannot read `{}`/{partition} up to {end}",
                    self.topic
                );
                self.take(Duration::from_millis(20));
            }
        }
        &self.records
    }

    /// The client's own position, which also passes the marks that transactions leave.
    fn position(&self, partition: i32) -> i64 {
        let positions = self.consumer.position().unwrap();
        match positions.find_partition(&self.topic, partition).map(|p| p.offset()) {
            Some(Offset::Offset(offset)) => offset,
            _ => 0,
        }
    }
}

impl Drop for Reader {
    /// A reader that missed something must not be taken for a service that did.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let describe = |(partition, next): (usize, &i64)| {
            let own = self
                .records
                .iter()
                .filter(|record| usize::try_from(record.partition) == Ok(partition));
            let (first, count) = (own.clone().map(|record| record.offset).min(), own.count());
            let ends =
                self.consumer
                    .fetch_watermarks(&self.topic, i32::try_from(partition).ok()?, Duration::from_secs(2));
            Some(format!(
                "partition {partition}: {count} records, offsets {first:?} to {next}, Kafka has {ends:?}"
            ))
        };
        let described: Vec<String> = self.next.iter().enumerate().filter_map(describe).collect();
        case::evidence(&format!("reader of {}", self.topic), &described.join("\n"));
    }
}

/// The values of records as text, for comparing.
pub fn texts(records: &[Record]) -> Vec<String> {
    records.iter().map(Record::text).collect()
}
