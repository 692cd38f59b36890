//! A scripted outlet and its broker, for tests of the shipper without librdkafka.

mod grave;
pub(crate) mod transactions;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::batch::{Batch, Outcome, Settle, Source, Target};
use crate::error::Code;
use crate::options::Options;
use crate::outlet::{Inquire, Outlet, ParcelId, Report, Sent, Shipment, TopicId};
use crate::shipper::Shipper;
use crate::transact::PositionRecord;
use crate::wake::Wake;

pub(crate) use grave::Grave;

/// Tells what became of a batch: nothing yet, its outcome, or dropped without one.
#[derive(Clone, Default)]
pub(crate) struct Fate(Arc<Mutex<Vec<Option<Outcome>>>>);

struct Ticket(Option<Fate>);

impl Settle for Ticket {
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
    /// All that its ticket was told: at most one thing.
    pub(crate) fn told(&self) -> Vec<Option<Outcome>> {
        self.0.lock().unwrap().clone()
    }

    /// Panics unless settled exactly once, with all records acknowledged.
    pub(crate) fn delivered(&self) {
        assert!(self.dead().is_empty(), "dead letters: {:?}", self.dead());
    }

    /// The indexes that became dead letters; panics unless settled exactly once.
    pub(crate) fn dead(&self) -> Vec<u32> {
        self.outcome().dead_lettered
    }

    /// What its ticket was told; panics unless settled exactly once.
    pub(crate) fn outcome(&self) -> Outcome {
        let told = self.told();
        assert_eq!(told.len(), 1, "settled exactly once");
        told[0].clone().expect("settled, not dropped")
    }
}

/// A batch of these lines, in one buffer with a line end after each, and its fate.
pub(crate) fn batch(topic: &str, key: &str, lines: &[&str]) -> (Batch, Fate) {
    to(&Arc::new(Target::new(topic.into(), key.as_bytes(), None)), lines)
}

/// As [`batch`], of a file that has a target.
pub(crate) fn to(target: &Arc<Target>, lines: &[&str]) -> (Batch, Fate) {
    let (mut buffer, mut records) = (Vec::new(), Vec::new());
    for line in lines {
        let start = u32::try_from(buffer.len()).unwrap();
        buffer.extend_from_slice(line.as_bytes());
        records.push(start..u32::try_from(buffer.len()).unwrap());
        buffer.push(b'\n');
    }
    let source = Source {
        log: "log".into(),
        path: Path::new("/var/log/x.log").into(),
        file_id: "1".into(),
    };
    let fate = Fate::default();
    let batch = Batch {
        target: Arc::clone(target),
        buffer,
        records,
        parts: Vec::new(),
        extents: Vec::new(),
        headers: None,
        source: Arc::new(source),
        offset: 0,
        ticket: Box::new(Ticket(Some(fate.clone()))),
    };
    (batch, fate)
}

/// A record that the fake client holds.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) topic: String,
    pub(crate) partition: Option<i32>,
    pub(crate) value: String,
    parcel: ParcelId,
    index: u32,
}

/// The cluster, and the one client that is connected to it.
#[derive(Default)]
pub(crate) struct Cluster {
    /// Topics with their partitions; others do not exist.
    pub(crate) topics: HashMap<String, u32>,
    /// `max.message.bytes` of topics, if it may be known.
    pub(crate) limits: HashMap<String, u64>,
    /// Everything accepted, in order.
    pub(crate) log: Vec<Item>,
    /// Nobody answers.
    pub(crate) away: bool,
    /// Records of one batch at most.
    pub(crate) batch_records: usize,
    /// The client's queue.
    pub(crate) capacity: u32,
    /// Outlets built, with the limit of batches they were given.
    pub(crate) built: Vec<Option<u64>>,
    /// How often a client was purged.
    pub(crate) purges: u32,
    pub(crate) queue: Vec<Item>,
    reports: Vec<Report>,
    /// A client that is purged reports nothing.
    pub(crate) keeps_when_purged: bool,
    refusals: u64,
    pub(crate) transactions: transactions::Transactions,
}

/// Shares a cluster.
#[derive(Clone)]
pub(crate) struct Broker(Arc<Mutex<Cluster>>);

/// The fake client.
pub(crate) struct FakeOutlet {
    broker: Broker,
    /// The brokers of the options that it was made of.
    pub(crate) made_of: Vec<String>,
    topics: Vec<String>,
    lent: HashMap<ParcelId, Arc<Vec<u8>>>,
    outstanding: u32,
}

impl Broker {
    pub(crate) fn new(topics: &[(&str, u32)]) -> Self {
        let topics = topics
            .iter()
            .map(|(name, partitions)| (name.to_string(), *partitions))
            .collect();
        Self(Arc::new(Mutex::new(Cluster {
            topics,
            batch_records: 1000,
            capacity: 1000,
            ..Cluster::default()
        })))
    }

    pub(crate) fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.0.lock().unwrap()
    }

    /// Judges what the client holds, batch by batch.
    pub(crate) fn judge(&self, verdict: impl FnMut(&[Item]) -> Result<(), Code>) {
        self.judge_those(|_| true, verdict);
    }

    /// Judges what is chosen; what else the client holds stays as it is.
    pub(crate) fn judge_those(
        &self,
        chosen: impl Fn(&Item) -> bool,
        mut verdict: impl FnMut(&[Item]) -> Result<(), Code>,
    ) {
        let mut cluster = self.cluster();
        let queue: Vec<Item>;
        (queue, cluster.queue) = std::mem::take(&mut cluster.queue).into_iter().partition(chosen);
        let same = |a: &Item, b: &Item| (&a.topic, a.partition) == (&b.topic, b.partition);
        for chunk in queue.chunk_by(same) {
            for batch in chunk.chunks(cluster.batch_records) {
                let result = verdict(batch);
                cluster.report(batch, result);
            }
        }
    }

    /// Accepts all.
    pub(crate) fn accept(&self) {
        self.judge(|_| Ok(()));
    }

    /// The client fails for good; what it holds comes back.
    pub(crate) fn fail_client(&self) {
        let mut cluster = self.cluster();
        cluster.reports.push(Report::Trouble {
            code: Code::FATAL,
            text: "broken".into(),
            fatal: true,
        });
    }

    /// All values accepted for a topic, in order.
    pub(crate) fn values(&self, topic: &str) -> Vec<String> {
        self.cluster()
            .log
            .iter()
            .filter(|item| item.topic == topic)
            .map(|item| item.value.clone())
            .collect()
    }

    /// How many records the client holds that nobody judged.
    pub(crate) fn held(&self) -> usize {
        self.cluster().queue.len()
    }

    /// Accepts what is chosen; what else the client holds stays as it is.
    pub(crate) fn judge_some(&self, chosen: impl Fn(&Item) -> bool) {
        self.judge_those(chosen, |_| Ok(()));
    }

    /// Refuses all that the client holds as one batch, and names the invalid records (KIP-467).
    pub(crate) fn name_invalid(&self, invalid: impl Fn(&Item) -> bool) {
        let mut cluster = self.cluster();
        cluster.refusals += 1;
        let refusal = cluster.refusals;
        for item in std::mem::take(&mut cluster.queue) {
            let code = if invalid(&item) {
                Code::INVALID_RECORD
            } else {
                Code::INVALID_DIFFERENT_RECORD
            };
            let (parcel, index) = (item.parcel, item.index);
            cluster.reports.push(Report::Failed {
                parcel,
                index,
                code,
                refusal,
                alone: false,
            });
        }
    }

    /// What the client holds will never be heard of again.
    pub(crate) fn forget_held(&self) {
        self.cluster().queue.clear();
    }

    /// The topics of what the client holds, in order.
    pub(crate) fn held_topics(&self) -> Vec<String> {
        self.cluster().queue.iter().map(|item| item.topic.clone()).collect()
    }

    /// The client says that something is wrong with its connections.
    pub(crate) fn trouble(&self, code: Code) {
        self.cluster().reports.push(Report::Trouble {
            code,
            text: "gone".into(),
            fatal: false,
        });
    }

    fn outlet(&self, options: &Options) -> FakeOutlet {
        FakeOutlet {
            broker: self.clone(),
            made_of: options.brokers.clone(),
            topics: Vec::new(),
            lent: HashMap::new(),
            outstanding: 0,
        }
    }
}

impl Cluster {
    fn report(&mut self, batch: &[Item], result: Result<(), Code>) {
        self.refusals += 1;
        self.transactions.failed |= result.is_err();
        for item in batch {
            self.reports.push(match result {
                Ok(()) => Report::Acked {
                    parcel: item.parcel,
                    records: 1,
                    took: Some(Duration::from_millis(1)),
                },
                Err(code) => Report::Failed {
                    parcel: item.parcel,
                    index: item.index,
                    code,
                    refusal: self.refusals,
                    alone: batch.len() == 1,
                },
            });
        }
        if result.is_ok() {
            self.log.extend_from_slice(batch);
        }
    }
}

impl Outlet for FakeOutlet {
    type Inquirer = Broker;

    fn topic(&mut self, name: &str) -> Result<TopicId, Code> {
        self.topics.push(name.to_owned());
        Ok(TopicId(u32::try_from(self.topics.len() - 1).unwrap()))
    }

    fn forget_topic(&mut self, _topic: TopicId) {}

    fn lend(&mut self, parcel: ParcelId, buffer: &Arc<Vec<u8>>) {
        assert!(self.lent.insert(parcel, Arc::clone(buffer)).is_none(), "lent twice");
    }

    fn release(&mut self, parcel: ParcelId) {
        self.lent.remove(&parcel);
    }

    fn send(&mut self, shipment: &Shipment<'_>) -> Sent {
        let mut cluster = self.broker.cluster();
        let mut sent = Sent::default();
        let buffer = self.lent.get(&shipment.parcel).expect("lent before it is sent");
        for index in shipment.picks.iter() {
            if self.outstanding >= cluster.capacity {
                break;
            }
            let value = shipment.record(index, buffer).unwrap();
            cluster.queue.push(Item {
                topic: self.topics[shipment.topic.0 as usize].clone(),
                partition: Some(shipment.partition),
                value: String::from_utf8(value.to_vec()).unwrap(),
                parcel: shipment.parcel,
                index,
            });
            self.outstanding += 1;
            sent.dealt += 1;
        }
        sent
    }

    fn reports(&mut self, _records: u32, into: &mut Vec<Report>) -> bool {
        for report in self.broker.cluster().reports.drain(..) {
            self.outstanding -= match report {
                Report::Acked { records, .. } => records,
                Report::Failed { .. } => 1,
                Report::TokenWanted | Report::Trouble { .. } => 0,
            };
            into.push(report);
        }
        false
    }

    fn outstanding(&self) -> u32 {
        self.outstanding
    }

    fn capacity(&self) -> u32 {
        self.broker.cluster().capacity
    }

    fn purge(&mut self) {
        self.broker.cluster().purges += 1;
        let keeps = self.broker.cluster().keeps_when_purged;
        if !keeps {
            self.broker.judge(|_| Err(Code::PURGE_QUEUE));
        }
    }

    fn inquirer(&self) -> Broker {
        self.broker.clone()
    }

    fn send_position(&mut self, topic: TopicId, partition: i32, record: &PositionRecord) -> Result<bool, Code> {
        if self.outstanding >= self.capacity() {
            return Ok(false);
        }
        self.outstanding += 1;
        self.broker.take_position(self.name_of(topic), partition, record);
        Ok(true)
    }
}

impl Inquire for Broker {
    fn partitions(&self, topic: &str, _timeout: Duration) -> Result<u32, Code> {
        let cluster = self.cluster();
        if cluster.away {
            return Err(Code::TIMED_OUT);
        }
        cluster
            .topics
            .get(topic)
            .copied()
            .ok_or(Code::UNKNOWN_TOPIC_OR_PARTITION)
    }

    fn max_message_bytes(&self, topic: &str, _timeout: Duration) -> Option<u64> {
        self.cluster().limits.get(topic).copied()
    }

    fn renew_token(&self) {}
}

/// A shipper on a fake cluster, at a time that tests set.
pub(crate) struct Rig {
    pub(crate) shipper: Shipper<FakeOutlet>,
    pub(crate) broker: Broker,
    pub(crate) grave: Grave,
    pub(crate) now: Instant,
}

impl Rig {
    pub(crate) fn new(topics: &[(&str, u32)]) -> Self {
        let (broker, grave, now) = (Broker::new(topics), Grave::with_room(1000), Instant::now());
        let builder = {
            let broker = broker.clone();
            move |options: &Options, batch_bytes| {
                broker.cluster().built.push(batch_bytes);
                Ok(broker.outlet(options))
            }
        };
        let shipper = Shipper::new(
            broker.outlet(&Options::default()),
            Options::default(),
            Arc::new(builder),
            Arc::new(grave.clone()),
            Arc::new(Wake::new().unwrap()),
            now,
        );
        Self {
            shipper,
            broker,
            grave,
            now,
        }
    }

    /// Another client of the same cluster.
    pub(crate) fn new_outlet(&self) -> FakeOutlet {
        self.broker.outlet(&Options::default())
    }

    /// Options with other brokers, and a client that is made of them.
    pub(crate) fn other_options(&self) -> (FakeOutlet, Options) {
        let options = Options {
            brokers: vec!["b:1".into()],
            ..Options::default()
        };
        (self.broker.outlet(&options), options)
    }

    pub(crate) fn push(&mut self, topic: &str, key: &str, lines: &[&str]) -> Fate {
        let (batch, fate) = batch(topic, key, lines);
        self.shipper.push(batch, self.now);
        fate
    }

    /// Turns, and runs errands at once, until nothing changes at this time.
    pub(crate) fn run(&mut self) {
        for _ in 0..8 {
            self.shipper.turn(self.now);
            for errand in self.shipper.take_errands(self.now) {
                let answer = errand.run();
                self.shipper.done(answer, self.now);
            }
        }
    }

    /// Goes on to the next time the shipper wants to be called.
    pub(crate) fn pass(&mut self) {
        self.now = self.now.max(self.shipper.next_wake().expect("waits for something"));
        self.run();
    }

    /// Has one record of this key accepted, and forgotten by the broker: its partition takes more than one from then on.
    pub(crate) fn prove(&mut self, topic: &str, key: &str) {
        self.push(topic, key, &["proof"]);
        self.judge_all(|_| Ok(()));
        self.broker.cluster().log.clear();
    }

    /// Judges and runs until the client holds nothing and the shipper waits for nothing.
    pub(crate) fn judge_all(&mut self, mut verdict: impl FnMut(&[Item]) -> Result<(), Code>) {
        self.run();
        while self.broker.held() > 0 {
            self.broker.judge(&mut verdict);
            self.run();
        }
    }
}
