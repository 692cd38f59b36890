//! Transactions of the fake client: what is accepted counts when it is committed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::{Broker, Fate, Item, Rig, to};
use crate::batch::{Batch, Outcome, Settle, Target};
use crate::error::Code;
use crate::options::Options;
use crate::outlet::TopicId;
use crate::transact::{Cure, OpenError, Opened, POSITIONS, PositionLog, PositionRecord, Transact, TransactError};
use crate::transaction::Bounds;

/// Where the fake log keeps positions.
pub(crate) const TOPIC: &str = "positions";

/// What the cluster knows of transactions.
#[derive(Default)]
pub(crate) struct Transactions {
    /// So much of the cluster's log is committed.
    pub(crate) committed: usize,
    /// A record came back since the transaction began.
    pub(crate) failed: bool,
    /// What made the one under way fail.
    pub(crate) why: Option<Code>,
    pub(crate) aborts: u32,
    pub(crate) commits: u32,
    /// The client is lost in the next commit; whether that takes effect.
    pub(crate) lose_commit: Option<bool>,
    /// That commit wants to be aborted, and only the abort loses the client.
    pub(crate) lose_at_abort: bool,
    /// A transaction of ours is open, and hides what is committed until we fence it.
    pub(crate) hides: bool,
}

impl Transact for Broker {
    fn init(&self, _timeout: Duration) -> Result<(), TransactError> {
        let mut cluster = self.cluster();
        if cluster.away {
            return Err(error(Code::TIMED_OUT, Cure::Again));
        }
        let committed = cluster.transactions.committed;
        cluster.log.truncate(committed);
        cluster.transactions.failed = false;
        cluster.transactions.hides = false;
        Ok(())
    }

    fn begin(&self) -> Result<(), TransactError> {
        self.cluster().transactions.failed = false;
        Ok(())
    }

    fn commit(&self, _timeout: Duration) -> Result<(), TransactError> {
        let mut cluster = self.cluster();
        if !cluster.queue.is_empty() {
            return Err(error(Code::TIMED_OUT, Cure::Again));
        }
        if cluster.transactions.failed {
            return Err(error(Code::STATE, Cure::Abort));
        }
        let lost = cluster.transactions.lose_commit.take();
        if lost != Some(false) {
            cluster.transactions.committed = cluster.log.len();
            cluster.transactions.commits += 1;
        }
        match lost {
            None => Ok(()),
            Some(_) if cluster.transactions.lose_at_abort => Err(error(Code::STATE, Cure::Abort)),
            Some(_) => Err(error(Code::FENCED, Cure::NewClient)),
        }
    }

    fn why(&self) -> Option<Code> {
        self.cluster().transactions.why.take()
    }

    fn abort(&self, _timeout: Duration) -> Result<(), TransactError> {
        if std::mem::take(&mut self.cluster().transactions.lose_at_abort) {
            return Err(error(Code::FENCED, Cure::NewClient));
        }
        self.judge(|_| Err(Code::PURGE_QUEUE));
        let mut cluster = self.cluster();
        let committed = cluster.transactions.committed;
        cluster.log.truncate(committed);
        cluster.transactions.aborts += 1;
        Ok(())
    }
}

fn error(code: Code, cure: Cure) -> TransactError {
    TransactError {
        code,
        text: "a test wanted it".into(),
        cure,
    }
}

impl Broker {
    pub(super) fn take_position(&self, topic: &str, partition: i32, record: &PositionRecord) {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let value = record.value.as_deref().map_or_else(String::new, text);
        self.cluster().queue.push(Item {
            topic: topic.to_owned(),
            partition: Some(partition),
            value: format!("{}={value}", text(&record.key)),
            parcel: POSITIONS,
            index: 0,
        });
    }

    /// Values of a topic that are committed, in order.
    pub(crate) fn committed(&self, topic: &str) -> Vec<String> {
        let cluster = self.cluster();
        let committed = cluster.log.iter().take(cluster.transactions.committed);
        let of_topic = committed.filter(|item| item.topic == topic);
        of_topic.map(|item| item.value.clone()).collect()
    }

    /// What the committed positions say, by name.
    pub(crate) fn positions(&self) -> BTreeMap<String, String> {
        let values = self.committed(TOPIC).into_iter();
        values
            .map(|value| {
                value
                    .split_once('=')
                    .map(|(name, at)| (name.to_owned(), at.to_owned()))
                    .unwrap()
            })
            .collect()
    }
}

/// Positions by name: how many lines of a file are passed.
#[derive(Clone, Default)]
pub(crate) struct FakeLog(Arc<Mutex<Book>>);

#[derive(Default)]
pub(crate) struct Book {
    broker: Option<Broker>,
    pledged: BTreeMap<String, u32>,
    /// A file keeps its partition for life.
    targets: BTreeMap<(String, String), Arc<Target>>,
    /// Something changed besides lines.
    pub(crate) due: Option<Instant>,
    pub(crate) closed: Option<OpenError>,
    pub(crate) opened: u32,
}

impl FakeLog {
    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap()
    }

    /// A ticket that, settled, moves the position of a file to `passed` lines.
    pub(crate) fn ticket(&self, batch: &mut Batch, file: &str, passed: u32) -> Fate {
        let fate = Fate::default();
        batch.ticket = Box::new(Ticket {
            fate: Some(fate.clone()),
            log: self.clone(),
            file: file.to_owned(),
            passed,
        });
        fate
    }
}

struct Ticket {
    fate: Option<Fate>,
    log: FakeLog,
    file: String,
    passed: u32,
}

impl Settle for Ticket {
    fn pledge(&self, _partition: Option<i32>) {
        self.log.book().pledged.insert(self.file.clone(), self.passed);
    }

    fn settle(mut self: Box<Self>, outcome: Outcome) {
        assert!(outcome.committed);
        self.fate.take().unwrap().0.lock().unwrap().push(Some(outcome));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(fate) = self.fate.take() {
            fate.0.lock().unwrap().push(None);
        }
    }
}

impl PositionLog for FakeLog {
    fn open(&self, _options: &Options) -> Result<Opened, OpenError> {
        let mut book = self.book();
        book.opened += 1;
        if let Some(error) = &book.closed {
            return Err(error.clone());
        }
        let broker = book.broker.clone().unwrap();
        if broker.cluster().transactions.hides {
            return Err(OpenError::Later("a transaction is open".into()));
        }
        let last = broker.positions().get("last").map_or(0, |last| last.parse().unwrap());
        Ok(Opened {
            partition: 0,
            last,
            is_ours: true,
        })
    }

    fn topic(&self) -> &str {
        TOPIC
    }

    fn take(&self, version: u64) -> Vec<PositionRecord> {
        let mut book = self.book();
        book.due = None;
        let mut records = vec![record("last", version)];
        records.extend(
            book.pledged
                .iter()
                .map(|(file, passed)| record(file, u64::from(*passed))),
        );
        book.pledged.clear();
        records
    }

    fn committed(&self) {}

    fn aborted(&self) {}

    fn due(&self) -> Option<Instant> {
        self.book().due
    }
}

fn record(name: &str, value: u64) -> PositionRecord {
    PositionRecord {
        key: name.as_bytes().to_vec(),
        value: Some(value.to_string().into_bytes()),
    }
}

/// A [`Rig`] that ships in transactions.
pub(crate) fn rig(topics: &[(&str, u32)], bytes: u64) -> (Rig, FakeLog) {
    let mut rig = Rig::new(topics);
    let log = FakeLog::default();
    log.book().broker = Some(rig.broker.clone());
    let bounds = Bounds {
        interval: Duration::from_millis(100),
        of_backlog: Duration::from_millis(160),
        bytes,
        ahead: bytes.div_ceil(4),
        fresh: bytes / 16,
    };
    rig.shipper = rig.shipper.in_transactions(Arc::new(log.clone()), bounds, rig.now);
    (rig, log)
}

/// A batch of lines of a file, after which `passed` of them are passed, and its fate.
pub(crate) fn batch_of(log: &FakeLog, topic: &str, file: &str, lines: &[&str], passed: u32) -> (Batch, Fate) {
    let target = {
        let mut book = log.book();
        let target = book.targets.entry((topic.to_owned(), file.to_owned()));
        Arc::clone(target.or_insert_with(|| Arc::new(Target::new(topic.into(), file.as_bytes(), None))))
    };
    let (mut batch, _) = to(&target, lines);
    batch.source = Arc::new(crate::batch::Source {
        file_id: file.to_owned(),
        ..(*batch.source).clone()
    });
    let fate = log.ticket(&mut batch, file, passed);
    (batch, fate)
}

impl super::FakeOutlet {
    pub(super) fn name_of(&self, topic: TopicId) -> &str {
        &self.topics[topic.0 as usize]
    }
}
