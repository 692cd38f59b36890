//! How long after it was appended a line can be read from Kafka.

use std::fs::File;
use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Message, Offset, TopicPartitionList};

use super::harness::kafka::Broker;
use super::harness::service::Host;
use super::input;

/// Appends lines one at a time, at uneven moments, while the service runs at its defaults, and gives a line of figures.
pub fn measure(broker: &Broker, appends: usize) -> String {
    let topic = broker.topic("latency", 1);
    let host = Host::new("latency");
    host.ship_logs(broker, &topic, "");
    let mut log = File::create(host.path("logs/app.log")).unwrap();
    let mut config = broker.client();
    config
        .set("group.id", "latency")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let service = host.start();
    let mut taken = Vec::new();
    for number in 0..=appends {
        let line = input::line(u32::try_from(number).unwrap());
        sleep(Duration::from_millis(50 + u64::from(line.as_bytes()[3] % 16) * 7));
        let start = Instant::now();
        log.write_all(line.as_bytes()).unwrap();
        let message = consumer
            .poll(Duration::from_secs(30))
            .expect("the line arrives")
            .unwrap();
        assert_eq!(message.payload(), Some(line.trim_end().as_bytes()));
        taken.push(start.elapsed());
    }
    service.stop();
    // The first waits for the connection.
    taken.remove(0);
    taken.sort();
    let at = |percent: usize| taken[(taken.len() * percent).div_ceil(100) - 1].as_secs_f64() * 1e3;
    format!(
        "one line appended until it can be read, {appends} times: p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
        at(50),
        at(99),
        at(100)
    )
}
