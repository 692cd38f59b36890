//! Reads a topic back beside the file: every line, whole, once, in order.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Message, Offset, TopicPartitionList};

use super::harness::kafka::Broker;

/// Panics at the first record that is not the next line of the file.
pub fn check(broker: &Broker, topic: &str, file: &Path) {
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
    let mut used = None;
    for (number, line) in BufReader::new(File::open(file).unwrap()).split(b'\n').enumerate() {
        let message = consumer.poll(Duration::from_secs(30)).expect("another record").unwrap();
        assert_eq!(
            message.payload(),
            Some(line.unwrap().as_slice()),
            "record {number} is another line"
        );
        let partition = *used.get_or_insert(message.partition());
        assert_eq!(
            message.partition(),
            partition,
            "record {number} is on another partition"
        );
    }
}
