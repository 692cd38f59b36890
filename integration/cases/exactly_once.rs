//! Exactly once: what others do to its transactions, and how it comes and goes.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rustix::process::Signal;

use super::exactly_once_kills::{end, fixture, until_more, writing};
use super::exactly_once_opening::{allow, positions_topic};
use super::fixture::{Fixture, caught_up};
use super::web;
use crate::harness::case::cases;
use crate::harness::eventually::{eventually, when};
use crate::harness::http::Page;
use crate::harness::kafka::{self, Broker, unique};
use crate::harness::reader::Reader;
use crate::harness::service::Host;
use crate::harness::writers::{Background, LogFile};

cases![
    e1_a_host_that_stops_for_longer_than_a_transaction_may_last_resumes,
    e1_an_outage_longer_than_a_transaction_may_last_is_survived,
    e2_a_transaction_of_another_host_in_the_positions_topic_is_waited_for,
    e2_a_host_that_has_one_transaction_after_the_other_open_is_not_waited_for,
    e3_a_watcher_that_panics_inside_a_transaction_repeats_nothing,
    e4_a_missing_topic_holds_only_its_own_files_and_comes_later,
    e4_a_topic_deleted_under_load_leaves_the_others_alone,
    e5_of_two_with_one_instance_name_one_ends_and_names_the_other,
    k7_the_right_to_write_positions_withdrawn_is_said_until_it_is_restored,
    the_mode_may_be_changed_both_ways_and_nothing_is_repeated,
    a_refused_record_is_a_dead_letter_and_its_neighbours_are_committed_once,
    a_positions_topic_that_forgets_is_refused,
    a_positions_topic_that_is_deleted_is_named_and_a_restart_makes_it_again,
    an_idle_service_opens_no_transaction,
];

/// A broker that ends transactions soon after their time.
pub fn hasty_broker(name: &str) -> kafka::Private {
    let hasty = "transaction.abort.timed.out.transaction.cleanup.interval.ms=500\n";
    kafka::private_with(name, &format!("{hasty}{}", kafka::PATIENT))
}

/// A transaction whose service is gone ends soon.
pub const SHORT: &str = "[kafka.properties]\n\"transaction.timeout.ms\" = \"2000\"\n";

fn e1_a_host_that_stops_for_longer_than_a_transaction_may_last_resumes() {
    let broker = hasty_broker("stopped");
    let mut fixture = fixture(&broker, "stopped", SHORT);
    let service = fixture.host.start();
    let writers = writing(&fixture, &["a", "b"]);
    for _ in 0..3 {
        until_more(&mut fixture, 300);
        service.signal(Signal::STOP);
        // Longer than the transaction may last: the broker ends it and fences its producer.
        sleep(Duration::from_secs(5));
        service.signal(Signal::CONT);
    }
    until_more(&mut fixture, 300);
    end(fixture, writers, service);
}

fn e1_an_outage_longer_than_a_transaction_may_last_is_survived() {
    let broker = hasty_broker("out");
    let mut fixture = fixture(&broker, "out", SHORT);
    let service = fixture.host.start();
    let writers = writing(&fixture, &["a", "b"]);
    for _ in 0..2 {
        until_more(&mut fixture, 300);
        broker.pause();
        sleep(Duration::from_secs(5));
        broker.resume();
    }
    until_more(&mut fixture, 300);
    end(fixture, writers, service);
}

fn e2_a_transaction_of_another_host_in_the_positions_topic_is_waited_for() {
    let (fixture, positions, mut log) = killed("waits");
    let other = other_host(kafka::shared());
    put_into_all(&other, &positions);
    log.write(1000);
    let mut managed = fixture.host.start_managed(&[]);
    managed.service.wait_log("a transaction is open in its partition");
    assert!(managed.told().iter().all(|told| !told.contains("READY=1")));
    other.abort_transaction(Duration::from_secs(10)).unwrap();
    managed.until("READY=1");
    fixture.finish(managed.service);
}

fn e2_a_host_that_has_one_transaction_after_the_other_open_is_not_waited_for() {
    let (mut fixture, positions, mut log) = killed("beside");
    let busy = Background::repeat(other_host(kafka::shared()), move |other| {
        put_into_all(other, &positions);
        sleep(Duration::from_millis(100));
        other.commit_transaction(Duration::from_secs(10)).unwrap();
        other.begin_transaction().unwrap();
    });
    log.write(1000);
    let service = fixture.host.start();
    fixture.caught_up();
    drop(busy.stop());
    fixture.finish(service);
}

/// A host that shipped and was killed, the topic of its positions, and its log.
fn killed(name: &str) -> (Fixture, String, LogFile) {
    let mut fixture = fixture(kafka::shared(), name, "");
    let positions = positions_topic(&mut fixture.host);
    let mut log = fixture.log("logs/app.log");
    log.write(1000);
    let service = fixture.host.start();
    fixture.caught_up();
    service.kill();
    (fixture, positions, log)
}

/// In whichever partition a host's positions are: all are read.
fn put_into_all(other: &BaseProducer, positions: &str) {
    for partition in 0..16 {
        let record = BaseRecord::to(positions)
            .partition(partition)
            .key("[\"other\",\"last\"]")
            .payload("{}");
        other.send(record).unwrap();
    }
    other.flush(Duration::from_secs(10)).unwrap();
}

fn other_host(broker: &Broker) -> BaseProducer {
    let mut config = broker.client();
    config.set("transactional.id", unique("another-host"));
    let other: BaseProducer = config.create().unwrap();
    other.init_transactions(Duration::from_secs(30)).unwrap();
    other.begin_transaction().unwrap();
    other
}

fn e3_a_watcher_that_panics_inside_a_transaction_repeats_nothing() {
    let mut fixture = fixture(kafka::shared(), "panics", "");
    let service = fixture.host.start();
    let writers = writing(&fixture, &["ill", "well"]);
    for count in 1..=3 {
        until_more(&mut fixture, 500);
        let fault = fixture.host.path("faults/panic-ill.log");
        fs::write(&fault, "").unwrap();
        service.wait_log_count("watcher failed", count);
        fs::remove_file(fault).unwrap();
    }
    until_more(&mut fixture, 500);
    end(fixture, writers, service);
}

fn e4_a_missing_topic_holds_only_its_own_files_and_comes_later() {
    let broker = kafka::shared();
    let missing = unique("missing");
    let entry = format!("[[logs]]\nname = \"late\"\npath = \"late/*.log\"\ntopic = \"{missing}\"\n");
    let mut fixture = fixture(broker, "missing", &entry);
    fs::create_dir_all(fixture.host.path("late")).unwrap();
    let late = fixture.log("late/app.log");
    let oracle_of_late = std::sync::Arc::new(crate::harness::oracle::Oracle::default());
    drop(late);
    let mut late = LogFile::open(&oracle_of_late, &fixture.host, "late/app.log");
    late.write(500);
    let service = fixture.host.start();
    let writers = writing(&fixture, &["a"]);
    service.wait_log("topic does not exist");
    until_more(&mut fixture, 500);
    broker.create_topic(&missing, 2, &[]);
    let mut reader = Reader::new(broker, &missing);
    caught_up(&oracle_of_late, &mut reader);
    until_more(&mut fixture, 500);
    end(fixture, writers, service);
    oracle_of_late.judge(reader.everything()).assert_clean();
}

fn e4_a_topic_deleted_under_load_leaves_the_others_alone() {
    let broker = kafka::private("deleted");
    let deleted = broker.topic("deleted", 1);
    let entry = format!("[[logs]]\nname = \"gone\"\npath = \"gone/*.log\"\ntopic = \"{deleted}\"\n");
    let mut fixture = fixture(&broker, "deleted", &entry);
    fs::create_dir_all(fixture.host.path("gone")).unwrap();
    let service = fixture.host.start();
    let writers = writing(&fixture, &["a"]);
    let gone = fixture.host.path("gone/app.log");
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writer = {
        let stop = std::sync::Arc::clone(&stop);
        std::thread::spawn(move || {
            let mut number = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                // The test may have failed, and its directory be gone.
                let Ok(mut file) = fs::File::options().create(true).append(true).open(&gone) else {
                    return;
                };
                std::io::Write::write_all(&mut file, format!("line {number}\n").as_bytes()).unwrap();
                number += 1;
                sleep(Duration::from_millis(5));
            }
        })
    };
    Reader::new(&broker, &deleted).until_count(100);
    broker.delete_topic(&deleted);
    // Its own are held, and at some time said; the others go on.
    service.wait_log("Kafka takes nothing for this topic, its files wait");
    until_more(&mut fixture, 1000);
    broker.create_topic(&deleted, 1, &[]);
    Reader::new(&broker, &deleted).until_count(100);
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.join().unwrap();
    end(fixture, writers, service);
}

fn e5_of_two_with_one_instance_name_one_ends_and_names_the_other() {
    let broker = kafka::shared();
    let mut first = fixture(broker, "twin", "");
    let mut service = first.host.start();
    let writers = writing(&first, &["a"]);
    until_more(&mut first, 300);

    let mut second = Host::new("twin");
    let keys = first.host.set_kafka_keys().to_owned();
    second.kafka_keys(&keys);
    second.ship_logs(broker, &first.topic, "");
    let twin = second.start();
    let status = service.wait();
    assert_eq!(status.code(), Some(3), "{}", service.log());
    let said = service.log();
    assert!(said.contains(&format!("pid {}", twin.pid())), "{said}");
    writers.into_iter().for_each(|writer| drop(writer.stop()));
    // Whoever has the name later goes on where the first was.
    twin.stop();
    let service = first.host.start();
    first.finish(service);
}

fn k7_the_right_to_write_positions_withdrawn_is_said_until_it_is_restored() {
    let broker = kafka::private_with_rights("withdrawn");
    let mut fixture = fixture(&broker, "withdrawn", "");
    let topic = positions_topic(&mut fixture.host);
    web::with_page(&fixture.host, web::ANY);
    let mut log = fixture.log("logs/app.log");
    log.write(500);
    let service = fixture.host.start();
    fixture.caught_up();
    let page = Page::of(&service);
    let trouble = || page.json("/api/v1/status")["positions"]["trouble"].clone();
    assert!(trouble().is_null(), "{}", trouble());
    // With a rule for it, what no rule allows is forbidden.
    allow(&broker, ["--topic", &topic], &["Read", "Describe", "DescribeConfigs"]);
    let why = format!("its positions in `{topic}`: Kafka does not take them: ");
    eventually("`status` says why nothing ships", || {
        // The rule takes a moment to be known.
        log.write(10);
        let status = fixture.host.run(&["status"]);
        let is_said = status.stdout.contains(&format!("nothing ships, it waits for {why}"));
        let trouble = trouble().to_string();
        when(is_said && trouble.contains(&why), || format!("{trouble}, {status:?}"))
    });
    assert!(!fixture.host.run(&["status"]).stdout.contains("not shipping yet"));
    assert!(page.text("/").contains("nothing ships, it waits for its positions in "));
    assert_eq!(page.metric("logcatch_positions_waiting"), 1.0);
    allow(&broker, ["--topic", &topic], &["Write"]);
    fixture.caught_up();
    eventually("nothing is said of positions", || {
        let status = fixture.host.run(&["status"]);
        let is_over = !status.stdout.contains("its positions") && trouble().is_null();
        when(is_over, || format!("{status:?}"))
    });
    fixture.finish(service);
}

fn the_mode_may_be_changed_both_ways_and_nothing_is_repeated() {
    let broker = kafka::shared();
    let mut fixture = fixture(broker, "modes", "");
    let exactly_once = fixture.host.set_kafka_keys().to_owned();
    let mut log = fixture.log("logs/app.log");
    for mode in ["", &exactly_once, "", "", &exactly_once, &exactly_once, ""] {
        fixture.host.kafka_keys(mode);
        fixture.host.ship_logs(broker, &fixture.topic, "");
        log.write(1000);
        let service = fixture.host.start();
        log.write(1000);
        fixture.caught_up();
        service.stop();
    }
    fixture.host.kafka_keys(&exactly_once);
    fixture.host.ship_logs(broker, &fixture.topic, "");
    let service = fixture.host.start();
    log.write(500);
    fixture.finish(service);
}

fn a_refused_record_is_a_dead_letter_and_its_neighbours_are_committed_once() {
    let broker = kafka::shared();
    let mut fixture = fixture(broker, "refused", "");
    fixture.topic = broker.topic_with("refused", 1, &[("max.message.bytes", "20000")]);
    fixture.reader = Reader::new(broker, &fixture.topic);
    fixture.host.ship_logs(broker, &fixture.topic, "");
    let mut log = fixture.log("logs/app.log");
    let mut other = fixture.log("logs/other.log");
    let noise: String = (0..4000u64)
        .map(|n| format!("{:016x}", xxhash_rust::xxh3::xxh3_64(&n.to_le_bytes())))
        .collect();
    log.write(500);
    log.write_raw(format!("{noise}\n").as_bytes());
    log.write(500);
    other.write(500);
    let service = fixture.host.start();
    service.wait_log("kept as a dead letter");
    let host_letters = |host: &Host| host.run(&["dead-letters", "list", "--json"]).stdout.lines().count();
    fixture.caught_up();
    assert_eq!(host_letters(&fixture.host), 1);
    fixture.finish(service);
}

fn a_positions_topic_that_forgets_is_refused() {
    let broker = kafka::shared();
    let fixture = fixture(broker, "forgets", "");
    let keys = fixture.host.set_kafka_keys();
    let (_, topic) = keys.trim().rsplit_once(" = ").unwrap();
    broker.create_topic(topic.trim_matches('"'), 1, &[("cleanup.policy", "delete")]);
    let output = fixture.host.run(&["run"]);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(
        output.stderr.contains("its cleanup.policy is `delete`, not `compact`"),
        "{output:?}"
    );
}

fn a_positions_topic_that_is_deleted_is_named_and_a_restart_makes_it_again() {
    let broker = kafka::shared();
    let mut fixture = fixture(broker, "unpositioned", "");
    let topic = positions_topic(&mut fixture.host);
    let mut log = fixture.log("logs/app.log");
    log.write(100);
    let service = fixture.host.start();
    fixture.caught_up();
    broker.delete_topic(&topic);
    log.write(100);
    let why = format!("the topic `{topic}` is missing, and is made again when logcatch starts");
    service.wait_log(&why);
    let status = fixture.host.run(&["status"]);
    assert!(status.stdout.contains(&why), "{status:?}");
    service.kill();
    let service = fixture.host.start();
    fixture.finish(service);
}

fn an_idle_service_opens_no_transaction() {
    let broker = kafka::shared();
    let mut fixture = Fixture::on(broker, "idle", "");
    fixture.host = Host::new("idle");
    let positions = fixture.host.exactly_once(&unique("idle"));
    fixture.host.ship_logs(broker, &fixture.topic, "");
    web::with_page(&fixture.host, web::ANY);
    let mut log = fixture.log("logs/app.log");
    log.write(100);
    let service = fixture.host.start();
    fixture.caught_up();
    let page = Page::of(&service);
    let committed = || page.metric("logcatch_kafka_transactions_total{result=\"committed\"}");
    eventually("the commit is counted", || {
        when(committed() > 0.0, || page.text("/metrics"))
    });
    let mut reader = Reader::new(broker, &positions);
    let version = |reader: &mut Reader| reader.everything().len();
    // What followed the last line has had its time.
    sleep(Duration::from_secs(2));
    let before = (version(&mut reader), committed());
    sleep(Duration::from_secs(3));
    assert_eq!((version(&mut reader), committed()), before);
    assert_eq!(
        page.metric("logcatch_kafka_transactions_total{result=\"aborted\"}"),
        0.0
    );
    fixture.finish(service);
}
