//! Reads a topic back beside the files: every line of each, whole, once, in order, on one partition.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Split};
use std::path::PathBuf;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Message, Offset, TopicPartitionList};

use super::harness::kafka::Broker;
use super::harness::service::HOST;

/// What must come of one file.
struct Expected {
    lines: Split<BufReader<File>>,
    /// Where its first record was.
    partition: Option<i32>,
}

/// Panics at the first record that is not the next line of its file.
pub fn check(broker: &Broker, topic: &str, files: &[PathBuf]) {
    let mut config = broker.client();
    config
        .set("group.id", "order")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest");
    let consumer: BaseConsumer = config.create().unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(10)).unwrap();
    let mut list = TopicPartitionList::new();
    for partition in metadata.topics()[0].partitions() {
        list.add_partition_offset(topic, partition.id(), Offset::Beginning)
            .unwrap();
    }
    consumer.assign(&list).unwrap();
    let mut expected: HashMap<Vec<u8>, Expected> = HashMap::new();
    for file in files {
        let lines = BufReader::new(File::open(file).unwrap()).split(b'\n');
        let key = format!("{HOST}:{}", file.display()).into_bytes();
        let partition = None;
        expected.insert(key, Expected { lines, partition });
    }
    let mut left: usize = files
        .iter()
        .map(|file| BufReader::new(File::open(file).unwrap()).split(b'\n').count())
        .sum();
    while left > 0 {
        let message = consumer.poll(Duration::from_secs(30)).expect("another record").unwrap();
        let file = expected
            .get_mut(message.key().expect("a key"))
            .expect("the key of a file");
        let line = file.lines.next().expect("no more records than lines").unwrap();
        assert_eq!(message.payload(), Some(line.as_slice()), "a record is another line");
        let partition = *file.partition.get_or_insert(message.partition());
        assert_eq!(message.partition(), partition, "a record is on another partition");
        left -= 1;
    }
}
