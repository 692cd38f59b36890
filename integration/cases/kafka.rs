//! Kafka away, hung, killed, or without the topic.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::fixture::{Fixture, caught_up};
use crate::harness::case::cases;
use crate::harness::kafka::{self, Broker};
use crate::harness::oracle::{Fault, Oracle};
use crate::harness::process;
use crate::harness::reader::Reader;
use crate::harness::service::Host;
use crate::harness::size::sized;
use crate::harness::writers::{Background, LogFile};

cases![
    k1_kafka_absent_at_start_is_said_once_and_all_ships_when_it_comes,
    k4_kafka_killed_and_back_again_and_again_under_load,
    k4_kafka_hangs_and_goes_on,
    k2_kafka_killed_with_50_000_lines_in_flight_and_the_service_stopped_meanwhile,
    k3_memory_and_processor_time_stay_bounded_while_kafka_is_away,
    k5_a_missing_topic_holds_back_only_its_own_files,
    k5_a_first_batch_that_is_refused_is_sent_again,
    k5_a_topic_that_accepts_nothing_leaves_room_for_the_others,
    k5_a_topic_that_stops_in_full_flow_leaves_room_for_the_others,
    k5_a_topic_deleted_while_lines_flow_and_made_anew_gets_all_that_follow,
    k6_a_line_that_the_topic_refuses_is_a_dead_letter_and_its_neighbours_arrive,
    k7_rights_withdrawn_and_restored_lose_nothing,
    k7_rights_withdrawn_hold_only_their_topic_with_exactly_once,
    k8_partitions_added_while_lines_flow,
    k10_records_out_of_the_topics_time_wait_and_are_no_dead_letters,
    k11_a_batch_over_the_topics_limit_made_of_small_lines_arrives_whole,
];

fn k1_kafka_absent_at_start_is_said_once_and_all_ships_when_it_comes() {
    let broker = kafka::private("absent");
    let mut fixture = Fixture::on(&broker, "absent", "");
    broker.stop();
    let mut log = fixture.log("logs/app.log");
    log.write(1000);
    let service = fixture.host.start();
    service.wait_log("cannot reach Kafka");
    log.write(1000);
    broker.start_again();
    fixture.caught_up();
    assert_eq!(
        service.log().matches("cannot reach Kafka").count(),
        1,
        "{}",
        service.log()
    );
    fixture.finish(service);
}

fn under_load(fixture: &mut Fixture, trouble: impl Fn()) {
    let service = fixture.host.start();
    let log = fixture.log("logs/app.log");
    let writer = Background::repeat(log, |log| {
        log.write(20);
        sleep(Duration::from_millis(10));
    });
    for _ in 0..3 {
        let arrived = fixture.reader.records().len();
        fixture
            .reader
            .until("lines arrive again", |records| records.len() > arrived + 500);
        trouble();
    }
    drop(writer.stop());
    fixture.caught_up();
    service.stop();
    fixture.verdict().assert_clean();
}

fn k4_kafka_killed_and_back_again_and_again_under_load() {
    let broker = kafka::private("bounced");
    let mut fixture = Fixture::on(&broker, "bounced", "");
    under_load(&mut fixture, || {
        broker.kill();
        broker.start_again();
    });
}

fn k4_kafka_hangs_and_goes_on() {
    let broker = kafka::private("hangs");
    let mut fixture = Fixture::on(&broker, "hangs", "");
    under_load(&mut fixture, || {
        broker.pause();
        // Longer than the session, so that the broker is fenced when it comes back.
        sleep(Duration::from_secs(3));
        broker.resume();
    });
}

fn k2_kafka_killed_with_50_000_lines_in_flight_and_the_service_stopped_meanwhile() {
    let broker = kafka::private("in-flight");
    let mut fixture = Fixture::on(
        &broker,
        "in-flight",
        "[limits]\nin_flight = \"64MiB\"\nshutdown_timeout = \"2s\"",
    );
    let mut logs = four_logs(&fixture, 100);
    let service = fixture.host.start();
    fixture.caught_up();
    broker.pause();
    let before = process::bytes_read(service.pid());
    logs.iter_mut().for_each(|log| log.write(12_500));
    let sizes = logs.iter().map(|log| log.path().metadata().unwrap().len());
    // All but the hundred lines each, which are the least part.
    service.wait_read(before, sizes.sum::<u64>() * 9 / 10);
    broker.kill();
    service.stop();
    broker.start_again();
    let service = fixture.host.start();
    fixture.caught_up();
    service.stop();
    fixture.verdict().assert_only_duplicates(50_000);
}

fn four_logs(fixture: &Fixture, lines: usize) -> Vec<LogFile> {
    let names = (0..4).map(|number| format!("logs/{number}.log"));
    let mut logs: Vec<LogFile> = names.map(|name| fixture.log(&name)).collect();
    logs.iter_mut().for_each(|log| log.write(lines));
    logs
}

/// Ten minutes, longer than any timeout of a client; usually ten seconds, longer than a topic is kept open in vain.
fn k3_memory_and_processor_time_stay_bounded_while_kafka_is_away() {
    const PROMISED: u64 = 100_000_000;
    let away = sized(Duration::from_secs(10), Duration::from_secs(600));
    let broker = kafka::private("away");
    let mut fixture = Fixture::on(&broker, "away", "");
    let mut logs = four_logs(&fixture, 100);
    let service = fixture.host.start();
    fixture.caught_up();
    broker.stop();
    logs.iter_mut().for_each(|log| log.write(100_000));
    service.wait_log("cannot reach Kafka");
    sleep(Duration::from_secs(1));
    let before = process::cpu(service.pid());
    sleep(away);
    let spent = process::cpu(service.pid()) - before;
    assert!(spent < away / 20, "{spent:?} of processor time in {away:?}");
    logs.iter_mut().for_each(|log| log.write(1000));
    broker.start_again();
    fixture.caught_up();
    let peak = service.peak_memory();
    assert!(peak < PROMISED, "{peak} bytes resident");
    fixture.finish(service);
}

fn k5_a_missing_topic_holds_back_only_its_own_files() {
    let broker = kafka::shared();
    let mut fixture = Fixture::new("present");
    let missing = kafka::unique("missing");
    let head = fixture.host.head(&broker.address(), &fixture.topic);
    fixture.host.settings(&format!(
        "{head}[[logs]]\npath = \"logs/*.log\"\n[[logs]]\nname = \"held\"\npath = \"held/*.log\"\ntopic = \"{missing}\"\n"
    ));
    std::fs::create_dir(fixture.host.path("held")).unwrap();
    let held_oracle = Arc::new(Oracle::default());
    let mut held = LogFile::open(&held_oracle, &fixture.host, "held/app.log");
    held.write(50_000);
    let service = fixture.host.start();
    let mut log = fixture.log("logs/app.log");
    log.write(50_000);
    fixture.caught_up();
    service.wait_log(&missing);
    log.write(1000);
    fixture.caught_up();

    sleep(sized(Duration::from_secs(1), Duration::from_secs(30)));
    broker.create_topic(&missing, 1, &[]);
    let mut reader = Reader::new(broker, &missing);
    held.write(1000);
    reader.until_count(51_000);
    fixture.finish(service);
    held_oracle.judge(reader.everything()).assert_clean();
}

/// Two topics share 1 MiB in flight: the files of one could hold a quarter of it each, and that topic gets into trouble.
struct Two {
    fixture: Fixture,
    held_topic: String,
    held: Vec<LogFile>,
    oracle: Arc<Oracle>,
}

const FILES: usize = 8;

impl Two {
    fn new(broker: &Broker) -> Two {
        let [topic, held_topic] = ["flows", "held"].map(|name| broker.topic(name, 2));
        Two::on(&broker.address(), topic, held_topic)
    }

    fn on(address: &str, topic: String, held_topic: String) -> Two {
        Two::of(Host::new("two"), address, topic, held_topic)
    }

    fn of(host: Host, address: &str, topic: String, held_topic: String) -> Two {
        host.settings(&format!(
            "{}[limits]\nin_flight = \"1MiB\"\n[[logs]]\npath = \"logs/*.log\"\nmax_line = \"64KiB\"\n[[logs]]\n\
             name = \"held\"\npath = \"held/*.log\"\ntopic = \"{held_topic}\"\nmax_line = \"64KiB\"\n",
            host.head(address, &topic)
        ));
        std::fs::create_dir(host.path("held")).unwrap();
        let oracle = Arc::new(Oracle::default());
        let open = |number| LogFile::open(&oracle, &host, &format!("held/{number}.log"));
        Two {
            held: (0..FILES).map(open).collect(),
            fixture: Fixture {
                reader: Reader::with(kafka::client(address), &topic),
                oracle: Arc::default(),
                topic,
                host,
            },
            held_topic,
            oracle,
        }
    }
}

/// A topic whose leader is down: no line is acknowledged and none is refused.
fn a_topic_without_its_leader_leaves_room_for_the_others(lines_before: usize) {
    const PARTITIONS: i32 = 2;
    let cluster = MockCluster::new(2).unwrap();
    let [topic, held_topic] = [("flows", 1), ("held", 2)].map(|(name, leader)| {
        let name = kafka::unique(name);
        cluster.create_topic(&name, PARTITIONS, 1).unwrap();
        (0..PARTITIONS).for_each(|n| cluster.partition_leader(&name, n, Some(leader)).unwrap());
        name
    });
    let mut two = Two::on(&cluster.bootstrap_servers(), topic, held_topic.clone());
    let service = two.fixture.host.start();
    service.wait_log("connected to Kafka");
    let mut reader = Reader::with(kafka::client(&cluster.bootstrap_servers()), &held_topic);
    two.held.iter_mut().for_each(|log| log.write(lines_before));
    caught_up(&two.oracle, &mut reader);
    cluster.broker_down(2).unwrap();
    two.held.iter_mut().for_each(|log| log.write(3_000));
    service.wait_log("Kafka acknowledges nothing for this topic");
    let mut log = two.fixture.log("logs/app.log");
    log.write(10_000);
    two.fixture.caught_up();
    cluster.broker_up(2).unwrap();
    caught_up(&two.oracle, &mut reader);
    two.fixture.finish(service);
    two.oracle.judge(reader.everything()).assert_clean();
}

fn k5_a_topic_that_accepts_nothing_leaves_room_for_the_others() {
    a_topic_without_its_leader_leaves_room_for_the_others(0);
}

fn k5_a_topic_that_stops_in_full_flow_leaves_room_for_the_others() {
    a_topic_without_its_leader_leaves_room_for_the_others(200);
}

fn k5_a_topic_deleted_while_lines_flow_and_made_anew_gets_all_that_follow() {
    let broker = kafka::shared();
    let mut two = Two::new(broker);
    two.held.iter_mut().for_each(|log| log.write(1_000));
    let service = two.fixture.host.start();
    caught_up(&two.oracle, &mut Reader::new(broker, &two.held_topic));
    broker.delete_topic(&two.held_topic);
    // What was delivered is gone with the topic: books of their own for what follows.
    let oracle = Arc::new(Oracle::default());
    let mut held: Vec<LogFile> = (0..FILES)
        .map(|number| LogFile::open(&oracle, &two.fixture.host, &format!("held/{number}.log")))
        .collect();
    held.iter_mut().for_each(|log| log.write(5_000));
    service.wait_log("nothing for this topic");
    let mut log = two.fixture.log("logs/app.log");
    log.write(20_000);
    two.fixture.caught_up();
    broker.create_topic(&two.held_topic, 2, &[]);
    let mut reader = Reader::new(broker, &two.held_topic);
    caught_up(&oracle, &mut reader);
    two.fixture.finish(service);
    oracle.judge(reader.everything()).assert_clean();
}

fn k7_rights_withdrawn_and_restored_lose_nothing() {
    let broker = kafka::private_with_rights("rights");
    let two = Two::new(&broker);
    rights_are_withdrawn_and_restored(&broker, two);
}

fn k7_rights_withdrawn_hold_only_their_topic_with_exactly_once() {
    let broker = kafka::private_with_rights("once");
    let mut host = Host::new("once");
    host.exactly_once("once");
    let [topic, held_topic] = ["flows", "held"].map(|name| broker.topic(name, 2));
    let two = Two::of(host, &broker.address(), topic, held_topic);
    rights_are_withdrawn_and_restored(&broker, two);
}

fn rights_are_withdrawn_and_restored(broker: &Broker, mut two: Two) {
    two.held.iter_mut().for_each(|log| log.write(1_000));
    let service = two.fixture.host.start();
    let mut reader = Reader::new(broker, &two.held_topic);
    caught_up(&two.oracle, &mut reader);
    let topic = two.held_topic.clone();
    let rights = |verb, right, operations: &[&str]| {
        let operations = operations.iter().flat_map(|operation| ["--operation", operation]);
        let words = [verb, right, "User:ANONYMOUS", "--topic", &topic].into_iter();
        broker.acl(&words.chain(operations).collect::<Vec<_>>());
    };
    // With rules for it, what no rule allows is forbidden.
    rights("--add", "--allow-principal", &["Read", "Describe"]);
    two.held.iter_mut().for_each(|log| log.write(5_000));
    service.wait_log("no right to write to the topic");
    let mut log = two.fixture.log("logs/app.log");
    log.write(20_000);
    two.fixture.caught_up();
    rights("--add", "--allow-principal", &["Write"]);
    caught_up(&two.oracle, &mut reader);
    two.fixture.finish(service);
    two.oracle.judge(reader.everything()).assert_clean();
}

/// A partition refuses its first batch, as one does whose leader is not ready, and takes the second, which was under way by
/// then. librdkafka takes that for an acknowledgement of the first, too, and tells so.
fn k5_a_first_batch_that_is_refused_is_sent_again() {
    let cluster = MockCluster::new(1).unwrap();
    let topic = kafka::unique("refused");
    cluster.create_topic(&topic, 1, 1).unwrap();
    cluster.broker_round_trip_time(1, Duration::from_millis(300)).unwrap();
    cluster.request_errors(
        RDKafkaApiKey::Produce,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION],
    );
    let address = cluster.bootstrap_servers();
    let host = Host::new("refused");
    host.settings(&format!(
        "{}[[logs]]\npath = \"logs/*.log\"\n",
        host.head(&address, &topic)
    ));
    let oracle = Arc::new(Oracle::default());
    let writer = Background::repeat(LogFile::open(&oracle, &host, "logs/app.log"), |log| {
        log.write(1);
        sleep(Duration::from_millis(10));
    });
    let service = host.start();
    let mut reader = Reader::with(kafka::client(&address), &topic);
    reader.until_count(200);
    drop(writer.stop());
    caught_up(&oracle, &mut reader);
    service.stop();
    oracle.judge(reader.everything()).assert_clean();
}

fn k6_a_line_that_the_topic_refuses_is_a_dead_letter_and_its_neighbours_arrive() {
    let broker = kafka::shared();
    let topic = broker.topic_with("small", 1, &[("max.message.bytes", "20000")]);
    let host = Host::new("dead-letter");
    host.ship_logs(broker, &topic, "");
    let oracle = Arc::new(Oracle::default());
    let mut log = LogFile::open(&oracle, &host, "logs/app.log");
    log.write(100);
    // Nothing that compresses: the limit is on what arrives.
    let noise: String = (0..4000u32)
        .map(|n| format!("{:016x}", xxhash_rust::xxh3::xxh3_64(&n.to_le_bytes())))
        .collect();
    log.write_raw(format!("{noise}\n").as_bytes());
    log.write(100);
    let service = host.start();
    let mut reader = Reader::new(broker, &topic);
    reader.until_count(200);
    service.wait_log("dead");
    service.stop();
    oracle.judge(reader.everything()).assert_clean();
    let letters = std::fs::read_dir(host.path("state/dead-letters")).unwrap();
    let letters: Vec<u8> = letters
        .flat_map(|letter| std::fs::read(letter.unwrap().path()).unwrap())
        .collect();
    assert!(
        String::from_utf8_lossy(&letters).contains(&noise[..100]),
        "the dead letter holds the line"
    );

    let mut service = host.start();
    log.write(10);
    reader.until_count(210);
    service.assert_alive();
    service.stop();
    oracle.judge(reader.everything()).assert_clean();
}

fn k8_partitions_added_while_lines_flow() {
    let broker: &Broker = kafka::shared();
    let topic = broker.topic("grown", 1);
    let host = Host::new("grown");
    host.ship_logs(broker, &topic, "");
    let oracle = Arc::new(Oracle::default());
    let mut logs: Vec<LogFile> = (0..4)
        .map(|n| LogFile::open(&oracle, &host, &format!("logs/{n}.log")))
        .collect();
    let service = host.start();
    logs.iter_mut().for_each(|log| log.write(100));
    Reader::new(broker, &topic).until_count(400);
    broker.grow_topic(&topic, 8);
    logs.iter_mut().for_each(|log| log.write(100));
    logs.push(LogFile::open(&oracle, &host, "logs/new.log"));
    logs[4].write(100);
    let mut reader = Reader::new(broker, &topic);
    reader.until_count(900);
    service.stop();
    oracle.judge(reader.everything()).assert_clean();
}

/// For a broker it is the same whether our clock is ahead or it takes no record that is a millisecond old.
fn k10_records_out_of_the_topics_time_wait_and_are_no_dead_letters() {
    let broker = kafka::shared();
    let topic = broker.topic_with("clock", 4, &[("message.timestamp.before.max.ms", "1")]);
    let host = Host::new("clock");
    host.ship_logs(broker, &topic, "");
    let oracle = Arc::new(Oracle::default());
    let mut log = LogFile::open(&oracle, &host, "logs/app.log");
    log.write(1000);
    let service = host.start();
    service.wait_log("set this host's clock");
    log.write(1000);
    broker.alter_topic(&topic, &[]);
    let mut reader = Reader::new(broker, &topic);
    caught_up(&oracle, &mut reader);
    service.stop();
    oracle.judge(reader.everything()).assert_clean();
    assert!(
        !host.path("state/dead-letters").exists(),
        "the clock is wrong, not the line"
    );
}

fn k11_a_batch_over_the_topics_limit_made_of_small_lines_arrives_whole() {
    let broker = kafka::shared();
    let topic = broker.topic_with("small-batches", 1, &[("max.message.bytes", "5000")]);
    let host = Host::new("small-batches");
    host.ship_logs(broker, &topic, "");
    let oracle = Arc::new(Oracle::default());
    LogFile::open(&oracle, &host, "logs/app.log").write(20_000);
    let service = host.start();
    let mut reader = Reader::new(broker, &topic);
    reader.until_count(20_000);
    service.stop();
    let verdict = oracle.judge(reader.everything());
    // Sent again in smaller batches, they may change places: the one exception to file order, which the service reports.
    assert_eq!(verdict.count(Fault::Reordered), verdict.faults.len(), "{verdict}");
}
