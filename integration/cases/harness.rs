//! The harness by itself: a broker that dies and comes back, a reader that sees it all.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::harness::case::cases;
use crate::harness::eventually::{eventually, when};
use crate::harness::guard;
use crate::harness::kafka::{self, Broker};
use crate::harness::reader::{Reader, texts};

cases![
    the_reader_sees_every_record_of_every_partition,
    a_broker_keeps_its_address_and_data_over_kill_and_stop,
    a_paused_broker_answers_nobody_until_it_is_resumed,
    what_the_tests_start_ends_when_they_are_killed,
];

fn produce(broker: &Broker, topic: &str, records: &[(i32, &str)]) {
    let producer: BaseProducer = broker.client().set("message.timeout.ms", "0").create().unwrap();
    for (partition, value) in records {
        let record: BaseRecord<'_, (), str> = BaseRecord::to(topic).partition(*partition).payload(value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(Duration::from_secs(60)).unwrap();
}

fn the_reader_sees_every_record_of_every_partition() {
    let broker = kafka::shared();
    let topic = broker.topic("reader", 3);
    let mut reader = Reader::new(broker, &topic);
    assert_eq!(reader.everything(), []);
    produce(broker, &topic, &[(0, "a"), (2, "b"), (2, "c")]);
    assert_eq!(reader.until_count(3).len(), 3);
    produce(broker, &topic, &[(1, "d"), (2, "e")]);
    let mut texts = texts(reader.everything());
    texts.sort();
    assert_eq!(texts, ["a", "b", "c", "d", "e"]);
}

fn a_broker_keeps_its_address_and_data_over_kill_and_stop() {
    let broker = kafka::private("kill");
    let topic = broker.topic("kill", 1);
    let mut reader = Reader::new(&broker, &topic);
    produce(&broker, &topic, &[(0, "first")]);
    broker.kill();
    broker.start_again();
    produce(&broker, &topic, &[(0, "second")]);
    broker.stop();
    broker.start_again();
    produce(&broker, &topic, &[(0, "third")]);
    reader.until_count(3);
    assert_eq!(texts(reader.everything()), ["first", "second", "third"]);
}

fn a_paused_broker_answers_nobody_until_it_is_resumed() {
    let broker = kafka::private("pause");
    let topic = broker.topic("pause", 1);
    let mut reader = Reader::new(&broker, &topic);
    broker.pause();
    let producer: BaseProducer = broker.client().set("message.timeout.ms", "0").create().unwrap();
    let record: BaseRecord<'_, (), str> = BaseRecord::to(&topic).partition(0).payload("late");
    producer.send(record).map_err(|(error, _)| error).unwrap();
    assert!(producer.flush(Duration::from_secs(1)).is_err());
    broker.resume();
    producer.flush(Duration::from_secs(60)).unwrap();
    assert_eq!(texts(reader.until_count(1)), ["late"]);
}

/// The variable that makes this program, started anew, do nothing but start others: see the test below.
pub const BAIT: &str = "LOGCATCH_TEST_BAIT";

/// What this program does then: a child and a grandchild, which would outlive it by far, and its directory on standard output.
pub fn be_bait() -> ! {
    let mut child = guard::command("sh").args(["-c", "sleep 600 & wait"]).spawn().unwrap();
    println!("{}", guard::run_dir().display());
    let _ = child.wait();
    std::process::exit(1)
}

fn what_the_tests_start_ends_when_they_are_killed() {
    let program = std::env::current_exe().unwrap();
    let mut bait = guard::command(program)
        .env(BAIT, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut dir = String::new();
    BufReader::new(bait.stdout.as_mut().unwrap())
        .read_line(&mut dir)
        .unwrap();
    let dir = dir.trim_end();
    eventually("a child and a grandchild run", || {
        when(tagged(dir) == 2, || tagged(dir).to_string())
    });
    bait.kill().unwrap();
    bait.wait().unwrap();
    eventually("they have ended", || when(tagged(dir) == 0, || tagged(dir).to_string()));
    eventually("their files are removed", || {
        when(!Path::new(dir).exists(), || dir.to_owned())
    });
}

/// How many processes carry the mark of a run: the shells and sleeps, once each has been replaced by its program.
fn tagged(dir: &str) -> usize {
    let mark = format!("={dir}\0");
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let carries =
        |path: &Path| fs::read(path.join("environ")).is_ok_and(|all| String::from_utf8_lossy(&all).contains(&mark));
    processes.filter(|entry| carries(&entry.path())).count()
}
