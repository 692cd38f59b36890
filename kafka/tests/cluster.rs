//! The shipper with the real librdkafka against its in-process cluster.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what a test needs and does not get fails it"
)]

mod rig;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use logcatch_kafka::{LaneState, Options, Outcome, Producer, Trouble, partition};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rig::{Rig, delivered, lines, target};

#[test]
fn lines_arrive_in_order_in_the_partition_of_their_key_and_batches_are_settled_once() {
    let mut rig = Rig::new(&[("t", 16)]);
    let target = target("t", "web-1:/var/log/app.log");
    let lines = lines(30_000);
    let fates: Vec<_> = lines.chunks(700).map(|chunk| rig.push(&target, chunk)).collect();
    rig.settle_all();
    let chosen = partition(b"web-1:/var/log/app.log", 16);
    for fate in &fates {
        delivered(fate, Some(chosen));
    }
    let read = rig.read("t", chosen);
    assert!(
        read.iter()
            .all(|read| read.key.as_deref() == Some(b"web-1:/var/log/app.log"))
    );
    assert!(read.iter().map(|read| read.value.as_ref().unwrap()).eq(&lines));
    let stats = rig.shipper.snapshot();
    assert_eq!(
        (stats.acked_records, stats.in_flight_records, stats.connected),
        (30_000, 0, Some(true))
    );
}

/// It is lent to librdkafka, which has let go of it by then.
#[test]
fn the_buffer_of_a_batch_is_given_back_with_its_settlement() {
    let mut rig = Rig::new(&[("t", 1)]);
    let lines = lines(3000);
    let fate = rig.push(&target("t", "k"), &lines);
    rig.settle_all();
    delivered(&fate, Some(0));
    assert!(
        fate.given_back() == (lines.join("\n") + "\n").as_bytes(),
        "another buffer"
    );
}

#[test]
fn empty_lines_are_empty_values_and_not_tombstones() {
    let mut rig = Rig::new(&[("t", 1)]);
    let lines = ["", "a", "", ""].map(String::from);
    let fate = rig.push(&target("t", "k"), &lines);
    let only = rig.push(&target("t", "k"), &[String::new()]);
    rig.settle_all();
    delivered(&fate, Some(0));
    delivered(&only, Some(0));
    let values: Vec<_> = rig.read("t", 0).into_iter().map(|read| read.value).collect();
    assert_eq!(values, ["", "a", "", "", ""].map(|value| Some(value.to_owned())));
}

#[test]
fn parts_of_split_lines_carry_their_header_in_order() {
    let mut rig = Rig::new(&[("t", 1)]);
    let lines = ["a", "b1", "b2", "b3", "c"].map(String::from);
    let fate = rig.push_parts(&target("t", "k"), &lines, &[(1, "1"), (2, "2"), (3, "3/3")]);
    rig.settle_all();
    delivered(&fate, Some(0));
    let parts: Vec<_> = rig
        .read("t", 0)
        .into_iter()
        .map(|read| (read.value.unwrap(), read.part))
        .collect();
    let expected = [
        ("a", None),
        ("b1", Some("1")),
        ("b2", Some("2")),
        ("b3", Some("3/3")),
        ("c", None),
    ];
    assert_eq!(
        parts,
        expected.map(|(value, part)| (value.to_owned(), part.map(String::from)))
    );
}

#[test]
fn records_without_a_key_spread_and_all_arrive() {
    let mut rig = Rig::new(&[("t", 4)]);
    let lines = lines(1000);
    let fate = rig.push(&target("t", ""), &lines);
    rig.settle_all();
    delivered(&fate, None);
    let read: Vec<_> = (0..4).flat_map(|partition| rig.read("t", partition)).collect();
    assert!(read.iter().all(|read| read.key.is_none()));
    let mut values: Vec<_> = read.into_iter().map(|read| read.value.unwrap()).collect();
    values.sort();
    let mut expected = lines;
    expected.sort();
    assert_eq!(values, expected);
}

#[test]
fn what_a_broker_refuses_for_a_while_arrives_once_and_in_order() {
    let mut rig = Rig::new(&[("t", 1)]);
    let target = target("t", "k");
    let warm = rig.push(&target, &lines(10));
    rig.settle_all();
    delivered(&warm, Some(0));
    // Neither is retried inside librdkafka.
    rig.cluster.request_errors(
        RDKafkaApiKey::Produce,
        &[
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_POLICY_VIOLATION,
        ],
    );
    let lines = lines(500);
    let fates: Vec<_> = lines.chunks(100).map(|chunk| rig.push(&target, chunk)).collect();
    rig.settle_all();
    for fate in &fates {
        delivered(fate, Some(0));
    }
    assert_eq!(rig.values("t", 0)[10..], lines);
    assert!(
        rig.shipper
            .snapshot()
            .errors
            .keys()
            .any(|(_, name)| *name == "INVALID_TIMESTAMP")
    );
}

#[test]
fn an_outage_loses_nothing_and_keeps_the_order() {
    let mut rig = Rig::new(&[("t", 1)]);
    let target = target("t", "k");
    let lines = lines(60_000);
    let fates: Vec<_> = lines.chunks(1000).map(|chunk| rig.push(&target, chunk)).collect();
    rig.until("the first acknowledgement", |rig| {
        rig.shipper.snapshot().acked_records > 0
    });
    rig.cluster.broker_down(1).unwrap();
    rig.until("the outage", |rig| rig.shipper.snapshot().connected == Some(false));
    let acked = rig.shipper.snapshot().acked_records;
    assert!(acked < 60_000);
    rig.cluster.broker_up(1).unwrap();
    rig.settle_all();
    for fate in &fates {
        delivered(fate, Some(0));
    }
    // A request whose answer the outage cut off is sent again. A real broker knows it by its sequence number and stores it
    // once; the mock stores it twice.
    let mut seen = HashSet::new();
    let mut values = rig.values("t", 0);
    values.retain(|value| seen.insert(value.clone()));
    assert_eq!(values.len(), lines.len());
    assert!(values == lines, "reordered");
    assert_eq!(rig.shipper.snapshot().connected, Some(true));
}

#[test]
fn a_record_too_large_for_the_client_is_a_dead_letter_and_its_neighbours_arrive_once() {
    let mut rig = Rig::with(&[("t", 1)], &[("message.max.bytes", "2000")]);
    let lines = ["a".to_owned(), "x".repeat(3000), "b".to_owned()];
    let fate = rig.push(&target("t", "k"), &lines);
    rig.settle_all();
    assert_eq!(
        fate.told(),
        [Some(Outcome {
            partition: Some(0),
            dead_lettered: vec![1],
            dead_lettered_bytes: lines[1].len() as u64 + 1,
            dead_letter_reasons: vec![("MSG_SIZE_TOO_LARGE", lines[1].len() as u64 + 1)],
            committed: false,
        })]
    );
    assert_eq!(rig.values("t", 0), ["a", "b"]);
    let grave = rig.grave.0.lock().unwrap();
    assert_eq!(grave.len(), 1);
    assert_eq!(grave[0].line(), lines[1].as_bytes());
    assert_eq!(
        (grave[0].offset, &*grave[0].topic, grave[0].partition),
        (1002, "t", Some(0))
    );
    assert!(grave[0].reason.contains("MSG_SIZE_TOO_LARGE"), "{}", grave[0].reason);
}

#[test]
fn a_batch_that_a_broker_refuses_is_split_and_all_of_it_arrives() {
    let mut rig = Rig::new(&[("t", 1)]);
    // A partition that has not acknowledged anything gets one record: there would be nothing to split.
    let proof = rig.push(&target("t", "k"), &lines(1));
    rig.settle_all();
    delivered(&proof, Some(0));
    let too_large = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    rig.cluster
        .request_errors(RDKafkaApiKey::Produce, &[too_large, too_large]);
    let lines = lines(64);
    let fate = rig.push(&target("t", "k"), &lines);
    rig.settle_all();
    delivered(&fate, Some(0));
    assert_eq!(rig.values("t", 0)[1..], lines);
}

/// S5 with librdkafka's own fatal error: the broker says the idempotent producer left a gap.
#[test]
fn a_producer_that_fails_fatally_is_replaced_and_nothing_is_lost() {
    let mut rig = Rig::new(&[("t", 1)]);
    let target = target("t", "k");
    let proof = rig.push(&target, &lines(1));
    rig.settle_all();
    delivered(&proof, Some(0));
    rig.cluster.request_errors(
        RDKafkaApiKey::Produce,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER],
    );
    let lines = lines(5000);
    let fates: Vec<_> = lines.chunks(500).map(|chunk| rig.push(&target, chunk)).collect();
    rig.settle_all();
    for fate in &fates {
        delivered(fate, Some(0));
    }
    assert_eq!(rig.shipper.snapshot().rebuilds, 1);
    assert_eq!(rig.values("t", 0)[1..], lines);
}

#[test]
fn a_missing_topic_is_not_created_and_holds_only_its_own() {
    let mut rig = Rig::new(&[("good", 1)]);
    let missing = rig.shipper.lanes().lane("missing");
    let waits = rig.push(&target("missing", "k"), &lines(10));
    rig.until("an answer", |_| matches!(missing.state(), LaneState::Held { .. }));
    assert_eq!(
        missing.state(),
        LaneState::Held {
            why: Trouble::Missing,
            reason: "topic does not exist".into()
        }
    );
    let flows = rig.push(&target("good", "k"), &lines(10));
    rig.until("other topics flowing", |_| !flows.told().is_empty());
    assert_eq!(waits.told(), []);
    rig.cluster.create_topic("missing", 1, 1).unwrap();
    rig.settle_all();
    delivered(&waits, Some(0));
    assert!(missing.is_open());
}

#[test]
fn new_options_take_over_without_loss() {
    let mut rig = Rig::new(&[("t", 1)]);
    let other: MockCluster<'_, DefaultProducerContext> = MockCluster::new(1).unwrap();
    other.create_topic("t", 1, 1).unwrap();
    let target = target("t", "k");
    let first = rig.push(&target, &lines(1000));
    rig.until("the first batch", |_| !first.told().is_empty());
    // The old cluster goes, with lines on their way to it.
    rig.cluster.broker_down(1).unwrap();
    let lines = lines(2000);
    let second = rig.push(&target, &lines);
    rig.turn();
    let options = Options {
        brokers: vec![other.bootstrap_servers()],
        ..Options::default()
    };
    let producer = Producer::new(&options, None, Arc::clone(&rig.wake)).unwrap();
    rig.shipper.replace(producer, options, Instant::now());
    rig.settle_all();
    delivered(&second, Some(0));
    rig.cluster = other;
    assert_eq!(rig.values("t", 0), lines);
}

#[test]
fn closing_with_records_on_their_way_drops_tickets_untold() {
    let mut rig = Rig::new(&[("t", 1)]);
    rig.until("the topic", |rig| rig.shipper.lanes().lane("t").is_open());
    rig.cluster.broker_down(1).unwrap();
    let fates: Vec<_> = (0..100).map(|_| rig.push(&target("t", "k"), &lines(1000))).collect();
    rig.turn();
    assert!(rig.shipper.snapshot().in_flight_records > 0);
    rig.shipper.close().run();
    assert!(fates.iter().all(|fate| fate.told() == [None]));
}
