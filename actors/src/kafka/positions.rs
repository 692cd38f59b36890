//! Positions kept in Kafka: what the shipper writes in its transactions, and whose they are.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use logcatch_kafka::{Found, OpenError, Opened, Options, PositionLog, PositionRecord, ReadError, Wake, read_back};
use logcatch_settings::ExactlyOnce;
use logcatch_tail::{
    FoundRecord, Outbox, Owner, Positions, Post, TopicContents, TopicError, TopicRecord, TopicWriter, Waiting,
};
use thiserror::Error;
use tokio::sync::watch;

use super::side::place;

/// What changed besides lines is written after so long at the latest.
const CHANGES: Duration = Duration::from_secs(1);

/// Why a service may not ship, or not any more.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Lost {
    /// Another service has the same instance name.
    #[error("cannot go on as instance `{instance}`: it was taken over by the logcatch on `{host}` with pid {pid}")]
    Taken {
        /// The setting `kafka.instance`.
        instance: String,
        /// The other's host.
        host: String,
        /// The other's process id.
        pid: u32,
    },
    /// The positions cannot be used as they are.
    #[error("cannot use the positions in Kafka: {0}")]
    Unusable(String),
}

/// How it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Positions are not read back yet.
    Opening,
    /// They are, and the instance is ours.
    Ours,
    /// Nothing is shipped any more.
    Lost(Lost),
}

/// The positions of one service in Kafka.
pub struct TopicPositions {
    instance: String,
    topic: String,
    run: String,
    host: String,
    positions: Arc<Positions>,
    outbox: Arc<Outbox>,
    started: Instant,
    state: Mutex<State>,
    /// Positions are kept elsewhere by now. Set without the lock, which is held while the store notes something.
    is_closed: AtomicBool,
    standing: watch::Sender<Standing>,
}

#[derive(Default)]
struct State {
    /// Of the delivery mode; none before positions were read back.
    generation: Option<u64>,
    /// The cluster they were read back from.
    cluster: String,
    /// The owner that was there before us.
    before: Option<Owner>,
    owner: OwnerRecord,
}

/// Where the record is that says whose the instance is.
#[derive(Debug, Default, PartialEq, Eq)]
enum OwnerRecord {
    #[default]
    Due,
    Taken,
    Committed,
}

impl TopicPositions {
    /// Positions that ring `wake` when something of them is to be written, and say on `standing` how they stand.
    #[must_use]
    pub fn new(
        exactly_once: &ExactlyOnce,
        host: &str,
        positions: Arc<Positions>,
        wake: Arc<Wake>,
        standing: watch::Sender<Standing>,
    ) -> Self {
        let nanos = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
        Self {
            instance: exactly_once.instance.clone(),
            topic: exactly_once.positions_topic.clone(),
            run: format!("{nanos:x}-{:x}", std::process::id()),
            host: host.to_owned(),
            positions,
            outbox: Arc::new(Outbox::new(move || wake.ring())),
            started: Instant::now(),
            state: Mutex::default(),
            is_closed: AtomicBool::new(false),
            standing,
        }
    }

    /// Positions are kept elsewhere from now on: what is still on its way here takes nothing over.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        // Whoever is taking over under the lock sees that soon, and then it is over.
        drop(self.state());
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Takes over what was read back, the first time; later sees whether it is still ours. The outer error may pass.
    fn take_over(&self, cluster: &str, contents: TopicContents) -> Result<Result<(), Lost>, String> {
        let owner = contents.owner.as_ref().map(|(owner, _)| owner.clone());
        let mut state = self.state();
        if self.is_closed() {
            return Err("positions are not kept there any more".to_owned());
        }
        if state.generation.is_none() {
            let outbox = Arc::clone(&self.outbox);
            let entered = self
                .positions
                .keep_in_topic(cluster, &self.instance, contents, outbox, &self.is_closed);
            match entered {
                Ok(generation) => state.generation = Some(generation),
                Err(error) => return Ok(Err(Lost::Unusable(error.to_string()))),
            }
            state.before = owner;
            cluster.clone_into(&mut state.cluster);
            // Under its lock: after a change of the mode the callback would go to the store, which opens a gate that is shut again.
            let standing = self.standing.clone();
            self.positions.when_saved(move || {
                standing.send_if_modified(|standing| {
                    let was_opening = *standing == Standing::Opening;
                    if was_opening {
                        *standing = Standing::Ours;
                    }
                    was_opening
                });
            });
            return Ok(Ok(()));
        }
        if state.cluster != cluster {
            return Err(format!(
                "this is the cluster `{cluster}`, and the positions are of the cluster `{}`",
                state.cluster
            ));
        }
        match owner {
            Some(owner) if owner.run == self.run => state.owner = OwnerRecord::Committed,
            Some(owner) if state.before.as_ref() != Some(&owner) => {
                return Ok(Err(Lost::Taken {
                    instance: self.instance.clone(),
                    host: owner.host,
                    pid: owner.pid,
                }));
            }
            owner => {
                // Ours was never committed, or the topic was made anew.
                if owner.is_none() && state.owner == OwnerRecord::Committed {
                    log::error!(topic = self.topic.as_str(); "the topic for positions lost them; they are written again");
                    self.positions.post_all();
                }
                state.owner = OwnerRecord::Due;
            }
        }
        Ok(Ok(()))
    }

    fn read(&self, options: &Options) -> Result<Result<Opened, Lost>, String> {
        let (found, contents) = match found(options, &self.topic, &self.instance)? {
            Ok(read) => read,
            Err(lost) => return Ok(Err(lost)),
        };
        let (last, is_ours) = (contents.last, contents.last_run.as_deref() == Some(&self.run));
        let opened = Opened {
            partition: place(&contents, &self.instance, found.partitions),
            last,
            is_ours,
        };
        Ok(self.take_over(&found.cluster, contents)?.map(|()| opened))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves plain values.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the topic holds of an instance; made where it is missing. The outer error may pass. Blocks for seconds.
pub(super) fn found(
    options: &Options,
    topic: &str,
    instance: &str,
) -> Result<Result<(Found, TopicContents), Lost>, String> {
    let mut found = match read_back(options, topic, &TopicWriter::prefix(instance)) {
        Ok(found) => found,
        Err(ReadError::Later { reason, .. }) => return Err(reason),
        Err(error @ ReadError::Policy { .. }) => return Ok(Err(Lost::Unusable(error.to_string()))),
    };
    let contents = contents(instance, std::mem::take(&mut found.records));
    Ok(contents
        .map(|contents| (found, contents))
        .map_err(|error| Lost::Unusable(error.to_string())))
}

/// What these records say of an instance.
pub(super) fn contents(instance: &str, records: Vec<(i32, PositionRecord)>) -> Result<TopicContents, TopicError> {
    let records = records.into_iter().map(|(partition, record)| FoundRecord {
        partition,
        record: TopicRecord {
            key: record.key,
            value: record.value,
        },
    });
    TopicContents::read(instance, records)
}

impl PositionLog for TopicPositions {
    fn open(&self, options: &Options) -> Result<Opened, OpenError> {
        match self.read(options) {
            Ok(Ok(opened)) => Ok(opened),
            Ok(Err(lost)) => {
                // Under its lock: no other mode begins in between.
                let _state = self.state();
                if !self.is_closed() {
                    self.standing.send_replace(Standing::Lost(lost));
                }
                Err(OpenError::Never)
            }
            Err(reason) => Err(OpenError::Later(reason)),
        }
    }

    fn topic(&self) -> &str {
        &self.topic
    }

    fn take(&self, version: u64) -> Vec<PositionRecord> {
        #[cfg(debug_assertions)]
        crate::fault::kill("positions");
        let writer = TopicWriter {
            instance: &self.instance,
            version,
        };
        let mut state = self.state();
        let mut records = vec![writer.last(&self.run)];
        if state.owner != OwnerRecord::Committed {
            state.owner = OwnerRecord::Taken;
            records.push(writer.owner(&Owner {
                run: self.run.clone(),
                host: self.host.clone(),
                pid: std::process::id(),
                generation: state.generation.unwrap_or_default(),
            }));
        }
        records.extend(self.outbox.take().into_iter().map(|post| match post {
            Post::File(key, position) => writer.file(&key, position),
            Post::Entry(name) => writer.entry(&name),
        }));
        let record = |record: TopicRecord| PositionRecord {
            key: record.key,
            value: record.value,
        };
        records.into_iter().map(record).collect()
    }

    fn committed(&self) {
        {
            let mut state = self.state();
            if state.owner == OwnerRecord::Taken {
                state.owner = OwnerRecord::Committed;
            }
        }
        self.outbox.committed();
    }

    fn aborted(&self) {
        {
            let mut state = self.state();
            if state.owner == OwnerRecord::Taken {
                state.owner = OwnerRecord::Due;
            }
        }
        self.outbox.aborted();
    }

    fn due(&self) -> Option<Instant> {
        match self.outbox.waiting() {
            Waiting::Urgent => Some(self.started),
            Waiting::Changes(since) => Some(since + CHANGES),
            Waiting::Nothing => None,
        }
    }
}
