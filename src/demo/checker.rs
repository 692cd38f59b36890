//! The independent reader: reads everything back from the broker and keeps the account.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};

use super::DemoError;
use super::broker::{PARTITIONS, TOPIC};
use super::tally::Tally;

/// How long one poll waits, and with it how late the thread sees that it shall finish.
const POLL: Duration = Duration::from_millis(50);

/// How long reading the rest may take at the end; the broker is in this process.
const READ_REST: Duration = Duration::from_secs(10);

/// How long the broker may take to say where the partitions end.
const ENDS: Duration = Duration::from_secs(2);

/// Reads in a thread of its own from its start to [`Checker::finish`], or until it is dropped.
pub struct Checker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    tally: Mutex<Tally>,
    finish: AtomicBool,
    stop: AtomicBool,
}

struct Reader {
    consumer: BaseConsumer,
    shared: Arc<Shared>,
    /// The offset that is to come next, by partition.
    next: Vec<i64>,
}

impl Checker {
    /// Begins to read every partition from its start. It joins no group: it shall see everything, whoever else reads.
    pub fn start(brokers: &str) -> Result<Self, DemoError> {
        let shared = Arc::new(Shared::default());
        let reader = Reader::new(brokers, Arc::clone(&shared)).map_err(DemoError::Checker)?;
        let thread = thread::Builder::new()
            .name("checker".into())
            .spawn(|| reader.run())
            .map_err(DemoError::Thread)?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// The account so far.
    pub fn tally(&self) -> Tally {
        self.shared.tally().clone()
    }

    /// Reads what the broker holds to the end; the final account. Nobody must write any more, and the broker be there.
    pub fn finish(mut self) -> Tally {
        self.shared.finish.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.tally()
    }
}

impl Drop for Checker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    fn new(brokers: &str, shared: Arc<Shared>) -> KafkaResult<Self> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("client.id", "logcatch-demo-checker")
            // The client library wants a name even where no group is joined.
            .set("group.id", "logcatch-demo-checker")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed")
            // The mock broker answers an empty fetch only after this time, also when records come meanwhile.
            .set("fetch.wait.max.ms", "20")
            // It shall be back as soon as the broker is.
            .set("reconnect.backoff.max.ms", "200")
            .create()?;
        consumer.assign(&everything(Offset::Beginning)?)?;
        let next = (0..PARTITIONS).map(|_| 0).collect();
        Ok(Self { consumer, shared, next })
    }

    fn run(mut self) {
        while !self.shared.stop.load(Ordering::Acquire) && !self.shared.finish.load(Ordering::Acquire) {
            self.poll();
        }
        let deadline = Instant::now() + READ_REST;
        let mut ends = None;
        while !self.shared.stop.load(Ordering::Acquire) && Instant::now() < deadline {
            // Nobody writes any more, so what is the end once stays the end.
            ends = ends.or_else(|| self.ends().ok());
            if ends
                .as_ref()
                .is_some_and(|ends| ends.iter().all(|(partition, end)| self.next[*partition] >= *end))
            {
                return;
            }
            self.poll();
        }
    }

    fn poll(&mut self) {
        // Errors are those of a broker that is away: the client goes on trying by itself.
        let Some(Ok(message)) = self.consumer.poll(POLL) else {
            return;
        };
        let mut tally = self.shared.tally();
        let expected = usize::try_from(message.partition())
            .ok()
            .and_then(|partition| self.next.get_mut(partition));
        if let Some(expected) = expected {
            tally.evicted += u64::try_from(message.offset() - *expected).unwrap_or(0);
            *expected = message.offset() + 1;
        }
        tally.arrive(message.key(), message.payload().unwrap_or_default());
    }

    /// Where each partition ends, asked for in one request for all of them.
    fn ends(&self) -> KafkaResult<Vec<(usize, i64)>> {
        let ends = self.consumer.offsets_for_times(everything(Offset::End)?, ENDS)?;
        let end = |of: TopicPartitionListElem<'_>| Some((usize::try_from(of.partition()).ok()?, of.offset().to_raw()?));
        Ok(ends.elements().into_iter().filter_map(end).collect())
    }
}

fn everything(offset: Offset) -> KafkaResult<TopicPartitionList> {
    let mut everything = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        everything.add_partition_offset(TOPIC, partition, offset)?;
    }
    Ok(everything)
}

#[cfg(test)]
mod tests {
    use rdkafka::producer::DefaultProducerContext;
    use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};

    use super::super::broker::Broker;
    use super::super::line::{Line, Log};
    use super::*;

    fn producer(brokers: &str) -> ThreadedProducer<DefaultProducerContext> {
        ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("partitioner", "murmur2_random")
            .set("reconnect.backoff.max.ms", "100")
            .create()
            .unwrap()
    }

    fn send(producer: &ThreadedProducer<DefaultProducerContext>, log: Log, numbers: std::ops::RangeInclusive<u64>) {
        for number in numbers {
            let mut value = Vec::new();
            Line {
                log,
                generation: 1,
                number,
            }
            .write(&mut value);
            value.pop();
            producer
                .send(BaseRecord::to(TOPIC).key(log.name()).payload(&value))
                .map_err(|(error, _)| error)
                .unwrap();
        }
        producer.flush(Duration::from_secs(30)).unwrap();
    }

    #[test]
    fn everything_is_read_back_also_over_an_absence_of_the_broker() {
        let mut broker = Broker::start().unwrap();
        let address = broker.address();
        let checker = Checker::start(&address).unwrap();
        let producer = producer(&address);
        for log in Log::ALL {
            send(&producer, log, 1..=1000);
        }
        while checker.tally().arrived() < 3000 {
            thread::yield_now();
        }
        broker.leave(Instant::now()).unwrap();
        assert!(broker.is_away());
        assert!(broker.come_back(None).unwrap());
        assert_eq!(broker.address(), address);
        send(&producer, Log::Web, 1001..=1500);
        let tally = checker.finish();
        assert_eq!(
            (tally.arrived(), tally.missing(), tally.out_of_order, tally.twice),
            (3500, 0, 0, 0)
        );
        assert_eq!((tally.damaged, tally.guests, tally.evicted), (0, 0, 0));
    }

    /// The visitor's own log may be larger than what the broker keeps of a partition: it must not push out lines that
    /// are checked.
    #[test]
    fn the_visitors_log_has_a_partition_of_its_own() {
        let broker = Broker::start().unwrap();
        let producer = producer(&broker.address());
        let keys = Log::ALL
            .map(Log::name)
            .into_iter()
            .chain([super::super::settings::GUEST]);
        for key in keys {
            producer
                .send(BaseRecord::to(TOPIC).key(key).payload("x"))
                .map_err(|(error, _)| error)
                .unwrap();
        }
        producer.flush(Duration::from_secs(30)).unwrap();
        let records: Vec<i64> = (0..PARTITIONS)
            .map(|partition| producer.client().fetch_watermarks(TOPIC, partition, ENDS).unwrap().1)
            .collect();
        assert_eq!(records.iter().sum::<i64>(), 4);
        assert_eq!(
            records.iter().max(),
            Some(&1),
            "two keys share a partition: {records:?}"
        );
    }
}
