//! Positions in a topic: what a service with exactly-once commits, with the lines that it covers.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use logcatch_tail::{FoundRecord, Outbox, Owner, Positions, Post, TopicContents, TopicRecord, TopicWriter};

const INSTANCE: &str = "i";
const CLUSTER: &str = "c";

/// See the module.
pub struct Topic {
    records: Vec<TopicRecord>,
    version: u64,
    outbox: Arc<Outbox>,
    generation: u64,
}

impl Topic {
    /// Nothing was ever written to it.
    pub fn new() -> Self {
        Self {
            records: vec![],
            version: 0,
            outbox: Arc::new(Outbox::new(|| {})),
            generation: 0,
        }
    }

    /// A service starts: what was committed is what it knows.
    pub fn enter(&mut self, positions: &Positions) {
        let found = self.records.iter().cloned();
        let found = found.map(|record| FoundRecord { partition: 0, record });
        let contents = TopicContents::read(INSTANCE, found).unwrap();
        self.outbox = Arc::new(Outbox::new(|| {}));
        self.generation = positions
            .keep_in_topic(
                CLUSTER,
                INSTANCE,
                contents,
                Arc::clone(&self.outbox),
                &AtomicBool::new(false),
            )
            .unwrap();
    }

    /// Everything that waits is written; the caller has pledged.
    pub fn write(&mut self) {
        self.version += 1;
        let writer = TopicWriter {
            instance: INSTANCE,
            version: self.version,
        };
        let owner = Owner {
            run: "r".into(),
            host: "h".into(),
            pid: 1,
            generation: self.generation,
        };
        self.records.extend([writer.owner(&owner), writer.last("r")]);
        self.records
            .extend(self.outbox.take().into_iter().map(|post| match post {
                Post::File(key, position) => writer.file(&key, position),
                Post::Entry(name) => writer.entry(&name),
            }));
    }

    /// What was written is committed; the caller has settled.
    pub fn committed(&self) {
        self.outbox.committed();
    }

    pub fn is_empty(&self) -> bool {
        self.outbox.is_empty()
    }
}
