//! The actor, with a cluster inside the process.

use std::sync::Mutex;

use logcatch_kafka::{BuryError, LaneState, Letter, Outcome, Settle, Source, Target};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use super::*;

type Cluster = MockCluster<'static, DefaultProducerContext>;

/// How long a condition may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

struct NoGrave;

impl DeadLetters for NoGrave {
    fn bury(&self, _letters: &[Letter]) -> Result<(), BuryError> {
        unreachable!("no record is refused")
    }
}

#[derive(Clone, Default)]
struct Fate(Arc<Mutex<Vec<Option<Outcome>>>>);
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

fn cluster() -> Cluster {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    cluster
}

fn options(cluster: &Cluster) -> Options {
    Options {
        brokers: vec![cluster.bootstrap_servers()],
        ..Options::default()
    }
}

fn batch(lines: u32) -> (Batch, Fate) {
    let fate = Fate::default();
    let source = Source {
        log: "log".into(),
        path: std::path::Path::new("/x").into(),
        file_id: "1".into(),
    };
    let batch = Batch {
        target: Arc::new(Target::new("t".into(), *b"k", None)),
        buffer: vec![b'x'; 10 * lines as usize],
        records: (0..lines).map(|n| 10 * n..10 * n + 9).collect(),
        parts: vec![],
        extents: Vec::new(),
        headers: None,
        source: Arc::new(source),
        offset: 0,
        ticket: Box::new(Ticket(Some(fate.clone()))),
    };
    (batch, fate)
}

fn settled(fate: &Fate) -> bool {
    matches!(fate.0.lock().unwrap().as_slice(), [Some(_)])
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} does not come");
        actix_rt::time::sleep(Duration::from_millis(5)).await;
    }
}

#[actix::test]
async fn batches_are_settled_and_a_drain_leaves_none() {
    let cluster = cluster();
    let (kafka, lanes) = KafkaActor::start(options(&cluster), Arc::new(NoGrave)).unwrap();
    let lane = lanes.lane("t");
    actix_rt::time::timeout(PATIENCE, lane.opened()).await.unwrap();
    let fates: Vec<_> = (0..100)
        .map(|_| {
            let (batch, fate) = batch(1000);
            kafka.do_send(ShipBatch(batch));
            fate
        })
        .collect();
    assert_eq!(
        kafka
            .send(DrainKafka {
                deadline: Instant::now() + PATIENCE
            })
            .await
            .unwrap(),
        0
    );
    assert!(fates.iter().all(settled));
    assert_eq!(
        kafka
            .send(DrainKafka {
                deadline: Instant::now() + PATIENCE
            })
            .await
            .unwrap(),
        0,
        "drained before"
    );
    let (late, fate) = batch(1);
    kafka.send(ShipBatch(late)).await.unwrap();
    assert_eq!(*fate.0.lock().unwrap(), [None]);
}

#[actix::test]
async fn a_drain_without_kafka_ends_at_its_deadline_and_drops_tickets_untold() {
    let options = Options {
        brokers: vec!["127.0.0.1:1".into()],
        ..Options::default()
    };
    let (kafka, lanes) = KafkaActor::start(options, Arc::new(NoGrave)).unwrap();
    let lane = lanes.lane("t");
    let (batch, fate) = batch(1000);
    kafka.do_send(ShipBatch(batch));
    let left = kafka
        .send(DrainKafka {
            deadline: Instant::now() + Duration::from_millis(100),
        })
        .await
        .unwrap();
    assert_eq!(left, 1);
    assert_eq!(*fate.0.lock().unwrap(), [None]);
    assert_eq!(lane.state(), LaneState::Asking);
}

#[actix::test]
async fn new_options_take_over_and_bad_ones_change_nothing() {
    let (first, second) = (cluster(), cluster());
    let (kafka, _lanes) = KafkaActor::start(options(&first), Arc::new(NoGrave)).unwrap();
    let mut bad = options(&second);
    bad.properties.push(("linger.ms".into(), "hunter2".into()));
    let error = kafka.send(Reconfigure(bad)).await.unwrap().unwrap_err().to_string();
    assert!(error.contains("`linger.ms`") && !error.contains("hunter2"), "{error}");
    let (one, fate) = batch(10);
    kafka.do_send(ShipBatch(one));
    until("a settlement by the old options", || settled(&fate)).await;

    first.broker_down(1).unwrap();
    let (two, fate) = batch(10);
    kafka.do_send(ShipBatch(two));
    kafka.send(Reconfigure(options(&second))).await.unwrap().unwrap();
    until("a settlement by the new options", || settled(&fate)).await;
    let stats = kafka.send(GetStats).await.unwrap();
    assert_eq!((stats.acked_records, stats.unsettled_batches), (20, 0));
}
