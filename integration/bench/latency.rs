//! How long after it was appended a line can be read from Kafka.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Message, Offset, TopicPartitionList};
use serde_json::json;

use super::contender::Contender;
use super::farm::until;
use super::figures::{Percentiles, say};
use super::harness::kafka::{Broker, unique};
use super::harness::service::{Host, Service};
use super::input::{self, Input};

/// Lines a second of a log that is not much, and of one that is.
const RATES: [u32; 2] = [10, 10_000];
/// A record that is not there after this never comes.
const DEADLINE: Duration = Duration::from_secs(60);
/// Lines of which the time is not counted: the first wait for the connection.
const FIRST: usize = 5;

/// Reads a topic from some moment on.
pub struct Reader(BaseConsumer);

impl Reader {
    /// From now on; returns when it would see the next record.
    pub fn at_end(broker: &Broker, topic: &str, partitions: i32) -> Reader {
        let mut config = broker.client();
        config.set("group.id", "latency").set("enable.auto.commit", "false");
        let consumer: BaseConsumer = config.create().unwrap();
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            // A topic that was made just now is not known everywhere.
            let mut end = None;
            until("the partition is known", || {
                end = consumer.fetch_watermarks(topic, partition, DEADLINE).ok();
                end.is_some()
            });
            let end = Offset::Offset(end.expect("known").1);
            list.add_partition_offset(topic, partition, end).unwrap();
        }
        consumer.assign(&list).unwrap();
        Reader(consumer)
    }

    /// The next record.
    pub fn next(&self) -> Vec<u8> {
        let message = self.0.poll(DEADLINE).expect("the line arrives").unwrap();
        message.payload().expect("a line").to_vec()
    }
}

/// All latencies, `appends` lines for the one that is appended now and then, `seconds` for each of the others.
/// Gives the worst of their 99th percentiles, in milliseconds, without the one beside a backlog.
pub fn measure(who: Contender, broker: &Broker, appends: usize, seconds: u64, lines: u32) -> f64 {
    let mut worst: f64 = 0.0;
    if appends > 0 {
        worst = now_and_then(who, broker, appends).at(99);
    }
    for rate in RATES {
        let taken = steadily(who, broker, rate, seconds, None);
        tell(who, "steady", rate, &taken);
        worst = worst.max(taken.at(99));
    }
    let input = Input::one(lines);
    let taken = steadily(who, broker, RATES[0], seconds, Some(&input.files()[0]));
    tell(who, "while another file catches up", RATES[0], &taken);
    worst
}

/// A host of the service in its mode.
fn host_of(who: Contender, name: &str) -> Host {
    let mut host = Host::new(name);
    if who == Contender::ExactlyOnce {
        host.exactly_once(&unique(name));
    }
    host
}

fn tell(who: Contender, how: &str, rate: u32, taken: &Percentiles) {
    let figures = json!({
        "who": who.name(), "how": how, "lines_per_second": rate, "p50_ms": taken.at(50), "p99_ms": taken.at(99), "max_ms": taken.at(100),
    });
    say("latency", figures);
}

/// Appends lines one at a time, at uneven moments, each after the one before was read.
fn now_and_then(who: Contender, broker: &Broker, appends: usize) -> Percentiles {
    let topic = broker.topic("latency", 1);
    let host = host_of(who, "latency");
    host.ship_logs(broker, &topic, "");
    let mut log = File::create(host.path("logs/app.log")).unwrap();
    let reader = Reader::at_end(broker, &topic, 1);
    let service = host.start();
    let mut taken = Vec::new();
    for number in 0..FIRST + appends {
        let line = input::line(u32::try_from(number).unwrap());
        sleep(Duration::from_millis(50 + u64::from(line.as_bytes()[3] % 16) * 7));
        let start = Instant::now();
        log.write_all(line.as_bytes()).unwrap();
        assert_eq!(reader.next(), line.trim_end().as_bytes());
        taken.push(start.elapsed());
    }
    service.stop();
    taken.drain(..FIRST);
    let taken = Percentiles::of(taken);
    let figures = json!({
        "who": who.name(), "how": "now and then", "appends": appends, "p50_ms": taken.at(50), "p99_ms": taken.at(99), "max_ms": taken.at(100),
    });
    say("latency", figures);
    taken
}

/// Appends so many lines a second, whether they arrive or not; each says when it was written. With `backlog` it ends when the
/// service has caught up with that file, which is as long as it takes.
fn steadily(who: Contender, broker: &Broker, rate: u32, seconds: u64, backlog: Option<&Path>) -> Percentiles {
    let topic = broker.topic("steady", 1);
    let host = host_of(who, "steady");
    let mut log = File::create(host.path("logs/app.log")).unwrap();
    host.ship_logs(broker, &topic, "");
    let service = host.start();
    let reader = Reader::at_end(broker, &topic, 1);
    writeln!(log, "first").unwrap();
    reader.next();
    let catching_up = backlog.map(|file| CatchingUp::begin(broker, &host, &topic, &service, file));
    let epoch = Instant::now();
    let count = rate * u32::try_from(seconds).unwrap();
    let writer = thread::spawn(move || {
        for number in 0..count {
            let due = epoch + Duration::from_secs(1) * number / rate;
            // A sleep takes 50 us longer than asked for: no line has one of its own at the higher rate.
            let wait = due.saturating_duration_since(Instant::now());
            if wait > Duration::from_millis(1) {
                sleep(wait);
            }
            if catching_up.as_ref().is_some_and(CatchingUp::has_ended) {
                return number;
            }
            let line = input::line(number);
            let text = format!("{:020} {line}", epoch.elapsed().as_nanos());
            log.write_all(text.as_bytes()).unwrap();
        }
        count
    });
    let mut taken = Vec::new();
    while !writer.is_finished() || taken.len() < usize::try_from(count).unwrap() {
        let Some(message) = reader.0.poll(Duration::from_millis(200)) else {
            if writer.is_finished() && backlog.is_some() {
                break;
            }
            continue;
        };
        let now = epoch.elapsed();
        let message = message.unwrap();
        let written = std::str::from_utf8(&message.payload().unwrap()[..20]).unwrap();
        taken.push(now - Duration::from_nanos(written.parse().unwrap()));
    }
    let written = writer.join().unwrap();
    assert_eq!(taken.len(), usize::try_from(written).unwrap(), "each line once");
    service.stop();
    Percentiles::of(taken)
}

/// Another file, which the service just found.
struct CatchingUp {
    watcher: BaseConsumer,
    topic: String,
    lines: i64,
}

impl CatchingUp {
    fn begin(broker: &Broker, host: &Host, topic: &str, service: &Service, file: &Path) -> CatchingUp {
        let other = broker.topic("backlog", 1);
        let lines = std::fs::read(file)
            .unwrap()
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        host.settings(&format!(
            "{}[[logs]]\npath = \"logs/*.log\"\n[[logs]]\nname = \"backlog\"\npath = \"{}\"\ntopic = \"{other}\"\n",
            host.head(&broker.address(), topic),
            file.display()
        ));
        service.wait_log("settings are applied");
        CatchingUp {
            watcher: broker.client().create().unwrap(),
            topic: other,
            lines: i64::try_from(lines).unwrap(),
        }
    }

    fn has_ended(&self) -> bool {
        super::contender::arrived(&self.watcher, &self.topic, 1) >= self.lines
    }
}
