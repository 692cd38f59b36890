//! The shipper on librdkafka's in-process cluster, turned by the test.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use logcatch_kafka::{
    Answer, Batch, BuryError, DeadLetters, Letter, Options, Outcome, Producer, Settle, Shipper, Source, Target, Wake,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

/// How long a condition may take before a test fails; never a time that a test asserts.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What a ticket was told, and the buffer it was given before.
#[derive(Clone, Default)]
pub struct Fate(Arc<Mutex<Vec<Option<Outcome>>>>, Arc<Mutex<Vec<u8>>>);
pub struct Ticket(Option<Fate>);

impl Settle for Ticket {
    fn give_back(&self, buffer: Vec<u8>) {
        *self.0.as_ref().unwrap().1.lock().unwrap() = buffer;
    }

    fn settle(mut self: Box<Self>, outcome: Outcome) {
        self.0.take().unwrap().0.lock().unwrap().push(Some(outcome));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(fate) = self.0.take() {
            fate.0.lock().unwrap().push(None);
        }
    }
}

impl Fate {
    pub fn told(&self) -> Vec<Option<Outcome>> {
        self.0.lock().unwrap().clone()
    }

    pub fn given_back(&self) -> Vec<u8> {
        self.1.lock().unwrap().clone()
    }
}

#[derive(Clone, Default)]
pub struct Grave(pub Arc<Mutex<Vec<Letter>>>);

impl DeadLetters for Grave {
    fn bury(&self, letters: &[Letter]) -> Result<(), BuryError> {
        self.0.lock().unwrap().extend_from_slice(letters);
        Ok(())
    }
}

pub struct Rig {
    pub cluster: MockCluster<'static, DefaultProducerContext>,
    pub shipper: Shipper,
    pub wake: Arc<Wake>,
    pub grave: Grave,
    answers: (Sender<Answer<Producer>>, Receiver<Answer<Producer>>),
}

impl Rig {
    pub fn new(topics: &[(&str, i32)]) -> Self {
        Self::with(topics, &[])
    }

    pub fn with(topics: &[(&str, i32)], properties: &[(&str, &str)]) -> Self {
        let cluster = MockCluster::new(1).unwrap();
        for (topic, partitions) in topics {
            cluster.create_topic(topic, *partitions, 1).unwrap();
        }
        let properties = properties
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        let options = Options {
            brokers: vec![cluster.bootstrap_servers()],
            properties,
            ..Options::default()
        };
        let wake = Arc::new(Wake::new().unwrap());
        let build = {
            let wake = Arc::clone(&wake);
            move |options: &Options, batch_bytes| Producer::new(options, batch_bytes, Arc::clone(&wake))
        };
        let producer = build(&options, None).unwrap();
        let grave = Grave::default();
        let shipper = Shipper::new(
            producer,
            options,
            Arc::new(build),
            Arc::new(grave.clone()),
            Arc::clone(&wake),
            Instant::now(),
        );
        Self {
            cluster,
            shipper,
            wake,
            grave,
            answers: channel(),
        }
    }

    pub fn push(&mut self, target: &Arc<Target>, lines: &[String]) -> Fate {
        self.push_parts(target, lines, &[])
    }

    pub fn push_parts(&mut self, target: &Arc<Target>, lines: &[String], parts: &[(u32, &str)]) -> Fate {
        let (mut buffer, mut records) = (Vec::new(), Vec::new());
        for line in lines {
            let start = u32::try_from(buffer.len()).unwrap();
            buffer.extend_from_slice(line.as_bytes());
            records.push(start..u32::try_from(buffer.len()).unwrap());
            buffer.push(b'\n');
        }
        let fate = Fate::default();
        let batch = Batch {
            target: Arc::clone(target),
            buffer,
            records,
            parts: parts.iter().map(|(index, value)| (*index, value.to_string())).collect(),
            extents: Vec::new(),
            headers: None,
            source: Arc::new(Source {
                log: "log".into(),
                path: std::path::Path::new("/var/log/x").into(),
                file_id: "1".into(),
            }),
            offset: 1000,
            ticket: Box::new(Ticket(Some(fate.clone()))),
        };
        self.shipper.push(batch, Instant::now());
        fate
    }

    /// Turns until the condition holds.
    pub fn until(&mut self, what: &str, mut condition: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(self) {
            assert!(
                Instant::now() < deadline,
                "{what} does not come; {:?}",
                self.shipper.lanes().states()
            );
            self.turn();
        }
    }

    pub fn turn(&mut self) {
        self.wake.clear();
        let now = Instant::now();
        self.shipper.turn(now);
        for errand in self.shipper.take_errands(now) {
            let (answers, wake) = (self.answers.0.clone(), Arc::clone(&self.wake));
            std::thread::spawn(move || {
                // Nobody waits for the answer when the test is over.
                let _ = answers.send(errand.run());
                wake.ring();
            });
        }
        while let Ok(answer) = self.answers.1.try_recv() {
            self.shipper.done(answer, Instant::now());
        }
        let wait = self.shipper.next_wake().map_or(100, |at| {
            u64::try_from(at.saturating_duration_since(Instant::now()).as_millis())
                .unwrap()
                .min(100)
        });
        let mut fds = [rustix::event::PollFd::new(&self.wake, rustix::event::PollFlags::IN)];
        let wait = rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: i64::try_from(wait).unwrap() * 1_000_000,
        };
        rustix::event::poll(&mut fds, Some(&wait)).unwrap();
    }

    pub fn settle_all(&mut self) {
        self.until("the last settlement", |rig| rig.shipper.unsettled() == 0);
    }

    /// Everything in a partition.
    pub fn read(&self, topic: &str, partition: i32) -> Vec<Read> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.cluster.bootstrap_servers())
            .set("group.id", "reader")
            .set("enable.partition.eof", "true")
            .create()
            .unwrap();
        let mut from = TopicPartitionList::new();
        from.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        consumer.assign(&from).unwrap();
        let mut read = Vec::new();
        loop {
            match consumer.poll(PATIENCE).expect("the end of the partition") {
                Ok(message) => read.push(Read {
                    key: message.key().map(<[u8]>::to_vec),
                    value: message
                        .payload()
                        .map(|value| String::from_utf8(value.to_vec()).unwrap()),
                    part: message.headers().map(|headers| {
                        let header = headers.get(0);
                        assert_eq!(header.key, "logcatch.part");
                        String::from_utf8(header.value.unwrap().to_vec()).unwrap()
                    }),
                }),
                Err(rdkafka::error::KafkaError::PartitionEOF(_)) => return read,
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub fn values(&self, topic: &str, partition: i32) -> Vec<String> {
        self.read(topic, partition)
            .into_iter()
            .map(|read| read.value.unwrap())
            .collect()
    }
}

#[derive(Debug, PartialEq, Eq)]
pub struct Read {
    pub key: Option<Vec<u8>>,
    /// None is a tombstone.
    pub value: Option<String>,
    pub part: Option<String>,
}

pub fn target(topic: &str, key: &str) -> Arc<Target> {
    Arc::new(Target::new(topic.into(), key.as_bytes(), None))
}

pub fn lines(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("line {n} {}", "x".repeat(n % 90))).collect()
}

pub fn delivered(fate: &Fate, partition: Option<i32>) {
    assert_eq!(
        fate.told(),
        [Some(Outcome {
            partition,
            ..Outcome::default()
        })]
    );
}
