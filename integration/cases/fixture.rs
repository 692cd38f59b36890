//! What nearly every test has: a host whose logs are shipped to a topic of its own, books of what was written, and a reader.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::harness::eventually::DEADLINE;
use crate::harness::kafka::{self, Broker};
use crate::harness::oracle::{Fault, Oracle, Verdict};
use crate::harness::reader::Reader;
use crate::harness::service::{Host, Service};
use crate::harness::writers::LogFile;

/// See the module.
pub struct Fixture {
    pub host: Host,
    pub topic: String,
    pub oracle: Arc<Oracle>,
    pub reader: Reader,
}

impl Fixture {
    /// `logs/*.log` on the shared broker, everything at its default.
    pub fn new(name: &str) -> Fixture {
        Fixture::on(kafka::shared(), name, "")
    }

    /// With more keys in the `[[logs]]` entry, or whole sections after it.
    pub fn with(name: &str, entry: &str) -> Fixture {
        Fixture::on(kafka::shared(), name, entry)
    }

    /// On another broker.
    pub fn on(broker: &Broker, name: &str, entry: &str) -> Fixture {
        let topic = broker.topic(name, 4);
        let host = Host::new(name);
        host.ship_logs(broker, &topic, entry);
        Fixture {
            host,
            reader: Reader::new(broker, &topic),
            topic,
            oracle: Arc::default(),
        }
    }

    /// Generations of one file may overtake each other's late lines in this test.
    pub fn late_lines(mut self) -> Fixture {
        self.oracle = Arc::new(Oracle::with_late_lines());
        self
    }

    /// A log on the host, whose records must carry its default key.
    pub fn log(&self, name: &str) -> LogFile {
        LogFile::open(&self.oracle, &self.host, name)
    }

    /// What the oracle says of everything that Kafka holds now.
    pub fn verdict(&mut self) -> Verdict {
        self.oracle.judge(self.reader.everything())
    }

    /// Waits until no line that was written so far is missing in Kafka.
    pub fn caught_up(&mut self) {
        caught_up(&self.oracle, &mut self.reader);
    }

    /// Waits for every line, ends the service, and finds each line there once, whole, in order and under its name.
    pub fn finish(mut self, service: Service) {
        self.caught_up();
        service.stop();
        self.verdict().assert_clean();
    }

    /// Waits until the service has shipped a line that is written to a new log now: so it has had its chance to ship
    /// whatever was written before.
    pub fn chance_to_ship(&mut self) {
        let mut log = self.log(&format!("logs/{}.log", kafka::unique("other")));
        let line = log.lines(1, "");
        log.write_raw(format!("{line}\n").as_bytes());
        self.reader.until("the line of another log", |records| {
            records.iter().any(|record| record.text() == line)
        });
    }
}

/// Waits until no line that was written so far is missing in what the reader sees.
pub fn caught_up(oracle: &Oracle, reader: &mut Reader) {
    let start = Instant::now();
    let mut judged = None;
    loop {
        reader.take(Duration::from_millis(20));
        let state = (oracle.written(), reader.records().len());
        let is_late = start.elapsed() > DEADLINE;
        // Judging takes long: only when it may end well, or will be the last word.
        if is_late || state.1 >= state.0 && judged != Some(state) {
            judged = Some(state);
            let verdict = oracle.judge(reader.records());
            if verdict.count(Fault::Lost) == 0 {
                return;
            }
            assert!(
                !is_late,
                "waited {DEADLINE:?} for every line written so far\nbut saw: {verdict}"
            );
        }
    }
}
