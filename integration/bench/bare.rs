//! What everything else is held against: read the file line by line, hand each line to librdkafka's producer.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use super::harness::service::HOST;

/// What the service sets too.
pub const PROPERTIES: [(&str, &str); 7] = [
    ("acks", "all"),
    ("enable.idempotence", "true"),
    ("message.timeout.ms", "0"),
    ("compression.codec", "lz4"),
    ("partitioner", "murmur2_random"),
    ("linger.ms", "20"),
    ("queue.buffering.max.messages", "50000"),
];

#[derive(Clone, Default)]
struct Count(Arc<AtomicU64>);

impl ClientContext for Count {}

impl ProducerContext for Count {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        assert!(result.is_ok(), "a line was not delivered");
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Ships the files, one after the other, and ends when all of it is acknowledged.
pub fn run<'a>(broker: &str, topic: &str, files: impl Iterator<Item = &'a Path>) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker);
    for (name, value) in PROPERTIES {
        config.set(name, value);
    }
    let count = Count::default();
    let producer: BaseProducer<Count> = config.create_with_context(count.clone()).unwrap();
    let mut line = Vec::new();
    let mut sent: u64 = 0;
    for file in files {
        let key = format!("{HOST}:{}", file.display());
        let mut input = BufReader::with_capacity(256 << 10, File::open(file).unwrap());
        while input.read_until(b'\n', &mut line).unwrap() > 0 {
            line.pop();
            let mut record = BaseRecord::to(topic).key(&key).payload(line.as_slice());
            while let Err((error, refused)) = producer.send(record) {
                assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
                producer.poll(Duration::from_millis(10));
                record = refused;
            }
            line.clear();
            sent += 1;
            if sent.is_multiple_of(1024) {
                producer.poll(Duration::ZERO);
            }
        }
    }
    producer.flush(Duration::from_secs(600)).unwrap();
    assert_eq!(count.0.load(Ordering::Relaxed), sent);
}
