//! Where positions are kept: in the store of the state directory alone, or in a topic of Kafka, which the store then
//! follows. Entering a mode takes the positions over from where they are newest.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};

use thiserror::Error;

use crate::outbox::Outbox;
use crate::position::StreamKey;
use crate::positions::Positions;
use crate::store::Mode;
use crate::topic::TopicContents;

/// Why positions cannot be kept in a topic.
#[derive(Debug, Error)]
pub enum EnterError {
    /// They are in another cluster.
    #[error("cannot go on in the Kafka cluster `{found}`: the positions are of the cluster `{known}`")]
    OtherCluster {
        /// The one that was used before.
        known: String,
        /// The one that is there.
        found: String,
    },
    /// The service ends.
    #[error("cannot note the delivery mode in the state directory")]
    NotSaved,
}

impl Positions {
    /// Whether the store follows a topic: what is changed in it alone does not count.
    #[must_use]
    pub fn follows_topic(&self) -> bool {
        self.mode().is_some_and(|mode| mode.cluster.is_some())
    }

    /// The store is where positions are kept, from now on. It follows a topic at every moment, so that leaving one, when nothing is in
    /// flight, writes what changed last and that the store counts, in one.
    pub fn keep_here(&self) {
        if let Some(outbox) = self.dirty.set_outbox(None) {
            outbox.end();
        }
        let mode = self.mode();
        if mode.as_ref().is_none_or(|mode| mode.cluster.is_some()) {
            self.set_mode(Mode::after(mode.as_ref(), None));
        }
    }

    /// Whether positions may be kept in a topic of this cluster.
    ///
    /// # Errors
    /// [`EnterError::OtherCluster`].
    pub fn may_enter(&self, cluster: &str) -> Result<(), EnterError> {
        let known = self.mode().and_then(|mode| mode.cluster);
        match known.filter(|known| known != cluster && !self.all().is_empty()) {
            None => Ok(()),
            Some(known) => Err(EnterError::OtherCluster {
                known,
                found: cluster.to_owned(),
            }),
        }
    }

    /// The topic of this cluster, which holds `contents`, is where positions are kept, from now on; changes go to `outbox`. Takes
    /// over what is newer, before anything is read. Gives the generation. Blocks until the store has noted it.
    ///
    /// # Errors
    /// [`EnterError`]; nothing is changed then.
    pub fn keep_in_topic(
        &self,
        cluster: &str,
        contents: TopicContents,
        outbox: Arc<Outbox>,
    ) -> Result<u64, EnterError> {
        self.may_enter(cluster)?;
        let mode = self.mode();
        let of_topic = contents.owner.as_ref().map_or(0, |(owner, _)| owner.generation);
        let of_store = match &mode {
            // From before there were modes: older than any topic, newer than none.
            None => u64::from(!self.all().is_empty()),
            Some(mode) => mode.generation,
        };
        if of_topic >= of_store && of_topic > 0 {
            // Noted before the topic counts less, so that neither is forgotten by a crash in between.
            self.note(Mode {
                generation: of_topic,
                cluster: Some(cluster.to_owned()),
            })?;
            self.adopt(contents, outbox);
            return Ok(of_topic);
        }
        let mode = match mode {
            // It was noted, and the topic does not know: that was broken off.
            Some(mode) if mode.cluster.is_some() => mode,
            mode => Mode::after(mode.as_ref(), Some(cluster.to_owned())),
        };
        let generation = mode.generation;
        self.note(mode)?;
        self.carry_over(contents, outbox);
        Ok(generation)
    }

    /// What the topic holds is what is known.
    fn adopt(&self, contents: TopicContents, outbox: Arc<Outbox>) {
        let held: HashSet<StreamKey> = contents.streams.iter().map(|record| record.key()).collect();
        for stream in self.take_all() {
            if !held.contains(stream.key()) {
                stream.retire();
            }
        }
        // Also the entries: what the store alone knows to be applied was never committed, and `start` still counts for it.
        self.forget_applied();
        for name in &contents.entries {
            self.applied(name);
        }
        for record in contents.streams {
            // The store follows.
            self.begin(record);
        }
        // From here on.
        self.dirty.set_outbox(Some(outbox));
    }

    /// What is known is what the topic shall hold.
    fn carry_over(&self, contents: TopicContents, outbox: Arc<Outbox>) {
        let known: HashSet<StreamKey> = self.all().iter().map(|stream| stream.key().clone()).collect();
        for record in &contents.streams {
            if !known.contains(&record.key()) {
                outbox.forget(record.key());
            }
        }
        self.dirty.set_outbox(Some(outbox));
        self.post_all();
    }

    /// The topic lost what it held: all that is known goes into the next transaction.
    pub fn post_all(&self) {
        let Some(outbox) = self.dirty.outbox() else { return };
        for stream in self.all() {
            outbox.push(&stream);
        }
        for name in self.applied_entries() {
            outbox.push_entry(name);
        }
    }

    fn mode(&self) -> Option<Mode> {
        self.mode.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_mode(&self, mode: Mode) {
        *self.mode.lock().unwrap_or_else(PoisonError::into_inner) = Some(mode.clone());
        self.dirty.lock().mode = Some(mode);
        self.dirty.changed.notify_one();
    }

    /// Sets the mode, and returns when that is on disk.
    fn note(&self, mode: Mode) -> Result<(), EnterError> {
        if self.mode().as_ref() == Some(&mode) {
            return Ok(());
        }
        self.set_mode(mode);
        let (noted, is_noted) = std::sync::mpsc::channel();
        self.when_stored(move || {
            // Nobody may be waiting any more.
            let _ = noted.send(());
        });
        is_noted.recv().map_err(|_| EnterError::NotSaved)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::outbox::{Post, Waiting};
    use crate::position::{Mark, StreamRecord};
    use crate::store::StateLock;
    use crate::stream::Settled;
    use crate::topic::{FoundRecord, Owner, TopicRecord, TopicWriter};

    const CLUSTER: &str = "c1";

    fn open(directory: &Path) -> Arc<Positions> {
        let lock = StateLock::acquire(directory).unwrap();
        Positions::open(directory, lock, Duration::from_millis(1)).unwrap().0
    }

    fn mark(offset: u64) -> Mark {
        Mark {
            offset,
            ..Mark::default()
        }
    }

    /// A topic, and what a service does with it in a transaction.
    #[derive(Default)]
    struct Topic {
        records: Vec<TopicRecord>,
        version: u64,
    }

    impl Topic {
        fn contents(&self) -> TopicContents {
            let found = self.records.iter().cloned();
            let found = found.map(|record| FoundRecord { partition: 0, record });
            TopicContents::read("i", found).unwrap()
        }

        fn enter(&self, positions: &Positions) -> (Arc<Outbox>, u64) {
            let outbox = Arc::new(Outbox::new(|| {}));
            let generation = positions.keep_in_topic(CLUSTER, self.contents(), Arc::clone(&outbox));
            (outbox, generation.unwrap())
        }

        fn write(&mut self, outbox: &Outbox, generation: u64) {
            self.version += 1;
            let writer = TopicWriter {
                instance: "i",
                version: self.version,
            };
            let owner = Owner {
                run: "r".into(),
                host: "h".into(),
                pid: 1,
                generation,
            };
            self.records.extend([writer.owner(&owner), writer.last("r")]);
            self.records.extend(outbox.take().into_iter().map(|post| match post {
                Post::File(key, position) => writer.file(&key, position),
                Post::Entry(name) => writer.entry(&name),
            }));
        }
    }

    fn begin(positions: &Positions, path: &str) -> Arc<crate::Stream> {
        positions.begin(StreamRecord::example(path.as_ref(), positions.new_id()))
    }

    fn offset(positions: &Positions, path: &str) -> Option<u64> {
        let streams = positions.of("app", path.as_ref());
        streams.first().map(|stream| stream.record().mark.offset)
    }

    #[test]
    fn positions_go_with_the_mode_both_ways() {
        let directory = tempfile::tempdir().unwrap();
        let mut topic = Topic::default();
        let positions = open(directory.path());
        positions.keep_here();
        positions.applied("app");
        begin(&positions, "/a").update(|record| record.mark = mark(5));
        positions.close();

        let positions = open(directory.path());
        let (outbox, generation) = topic.enter(&positions);
        assert_eq!(offset(&positions, "/a"), Some(5));
        topic.write(&outbox, generation);
        outbox.committed();
        positions.of("app", Path::new("/a"))[0].update(|record| record.mark = mark(9));
        topic.write(&outbox, generation);
        outbox.committed();
        positions.close();

        let positions = open(directory.path());
        assert!(positions.follows_topic());
        positions.keep_here();
        assert_eq!(offset(&positions, "/a"), Some(9));
        positions.of("app", Path::new("/a"))[0].update(|record| record.mark = mark(12));
        positions.close();

        let positions = open(directory.path());
        topic.enter(&positions);
        assert_eq!(offset(&positions, "/a"), Some(12), "the store was used last");
        assert!(!positions.is_first_application("app"));
    }

    #[test]
    fn positions_go_with_a_mode_that_changes_while_they_are_in_use() {
        let directory = tempfile::tempdir().unwrap();
        let mut topic = Topic::default();
        let positions = open(directory.path());
        let (outbox, generation) = topic.enter(&positions);
        let stream = begin(&positions, "/a");
        topic.write(&outbox, generation);
        outbox.committed();
        stream.update(|record| record.mark = mark(5));
        assert_ne!(outbox.waiting(), Waiting::Nothing);

        positions.keep_here();
        assert!(!positions.follows_topic());
        // Also of one who was about to tell the topic.
        outbox.push(&stream);
        let (sender, receiver) = std::sync::mpsc::channel();
        positions.when_saved(move || sender.send(()).unwrap());
        receiver.recv().unwrap();
        assert_eq!((outbox.waiting(), outbox.take()), (Waiting::Nothing, Vec::new()));
        stream.update(|record| record.mark = mark(7));

        let (again, later) = topic.enter(&positions);
        assert!(later > generation);
        topic.write(&again, later);
        again.committed();
        assert_eq!(topic.contents().streams[0].mark, mark(7));
        stream.update(|record| record.mark = mark(9));
        topic.write(&again, later);
        assert_eq!(topic.contents().streams[0].mark, mark(9), "and goes on");
    }

    #[test]
    fn a_host_that_lost_its_disk_goes_on_from_the_topic() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut topic = Topic::default();
        let positions = open(first.path());
        let (outbox, generation) = topic.enter(&positions);
        positions.applied("app");
        begin(&positions, "/a").update(|record| record.mark = mark(5));
        topic.write(&outbox, generation);
        outbox.committed();

        let positions = open(second.path());
        topic.enter(&positions);
        assert_eq!(offset(&positions, "/a"), Some(5));
        assert!(!positions.is_first_application("app"));
    }

    #[test]
    fn a_store_that_fell_behind_its_topic_does_not_count() {
        let directory = tempfile::tempdir().unwrap();
        let mut topic = Topic::default();
        let positions = open(directory.path());
        let (outbox, generation) = topic.enter(&positions);
        begin(&positions, "/a").update(|record| record.mark = mark(5));
        begin(&positions, "/gone");
        topic.write(&outbox, generation);
        outbox.committed();
        positions.close();
        // Committed, and never seen by the store.
        let writer = TopicWriter {
            instance: "i",
            version: 9,
        };
        let known = topic.contents().streams;
        let [a, gone] = known.as_slice() else {
            panic!("{known:?}")
        };
        let ahead = StreamRecord {
            mark: mark(8),
            ..a.clone()
        };
        topic
            .records
            .extend([writer.file(&a.key(), Some(ahead)), writer.file(&gone.key(), None)]);

        let positions = open(directory.path());
        topic.enter(&positions);
        assert_eq!((offset(&positions, "/a"), offset(&positions, "/gone")), (Some(8), None));
        positions.close();
        assert_eq!(offset(&open(directory.path()), "/a"), Some(8), "the store followed");
    }

    #[test]
    fn an_entry_whose_application_was_never_committed_is_applied_anew() {
        let directory = tempfile::tempdir().unwrap();
        let mut topic = Topic::default();
        let positions = open(directory.path());
        let (outbox, generation) = topic.enter(&positions);
        positions.applied("old");
        topic.write(&outbox, generation);
        outbox.committed();
        positions.applied("new");
        positions.close();

        let positions = open(directory.path());
        assert!(!positions.is_first_application("new"), "the store knows it");
        topic.enter(&positions);
        assert!(!positions.is_first_application("old"));
        assert!(positions.is_first_application("new"), "the topic does not");
        positions.applied("new");
        topic.write(&positions.dirty.outbox().unwrap(), generation);
        assert!(topic.contents().entries.iter().any(|name| name == "new"), "and is told");
    }

    #[test]
    fn another_cluster_is_refused_while_there_are_positions() {
        let directory = tempfile::tempdir().unwrap();
        let topic = Topic::default();
        let positions = open(directory.path());
        topic.enter(&positions);
        begin(&positions, "/a");
        positions.close();
        let positions = open(directory.path());
        let outbox = Arc::new(Outbox::new(|| {}));
        let refused = positions.keep_in_topic("c2", TopicContents::default(), outbox);
        assert!(matches!(refused, Err(EnterError::OtherCluster { .. })), "{refused:?}");
    }

    #[test]
    fn a_pledge_counts_only_with_its_transaction() {
        let directory = tempfile::tempdir().unwrap();
        let positions = open(directory.path());
        let (outbox, _) = Topic::default().enter(&positions);
        let stream = begin(&positions, "/a");
        outbox.take();
        outbox.committed();
        let first = stream.issue(mark(10), 10);
        let second = stream.issue(mark(20), 10);
        let of = |posts: &[Post]| match posts {
            [Post::File(_, Some(record))] => record.mark.offset,
            posts => panic!("{posts:?}"),
        };

        stream.pledge(first, None);
        assert_eq!(of(&outbox.take()), 10);
        outbox.aborted();
        assert!(matches!(outbox.waiting(), Waiting::Changes(_)));
        assert_eq!(stream.acknowledged(), 0);

        stream.pledge(first, None);
        stream.pledge(second, None);
        assert_eq!(of(&outbox.take()), 20);
        stream.settle_committed(first, Settled::default(), None);
        stream.settle_committed(second, Settled::default(), None);
        outbox.committed();
        assert_eq!((stream.acknowledged(), outbox.waiting()), (20, Waiting::Nothing));

        let last = stream.issue(mark(30), 10);
        stream.retire();
        outbox.take();
        outbox.committed();
        stream.pledge(last, None);
        assert_eq!(of(&outbox.take()), 30, "kept until its last batch is settled");
        stream.settle_committed(last, Settled::default(), None);
        outbox.committed();
        assert!(
            matches!(outbox.take().as_slice(), [Post::File(_, None)]),
            "then forgotten"
        );
    }

    #[test]
    fn what_changes_after_the_pledge_goes_into_the_next_transaction() {
        let directory = tempfile::tempdir().unwrap();
        let positions = open(directory.path());
        let (outbox, _) = Topic::default().enter(&positions);
        let stream = begin(&positions, "/a");
        outbox.take();
        outbox.committed();
        let batch = stream.issue(mark(10), 10);
        stream.pledge(batch, None);
        stream.update(|record| record.copy = true);
        outbox.take();
        stream.settle_committed(batch, Settled::default(), None);
        outbox.committed();
        let posts = outbox.take();
        assert!(
            matches!(posts.as_slice(), [Post::File(_, Some(record))] if record.copy),
            "{posts:?}"
        );
    }

    #[test]
    fn a_pledge_is_in_its_transaction_whatever_else_changes_meanwhile() {
        let directory = tempfile::tempdir().unwrap();
        let positions = open(directory.path());
        let (outbox, _) = Topic::default().enter(&positions);
        let stream = begin(&positions, "/a");
        let ends = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !ends.load(std::sync::atomic::Ordering::Relaxed) {
                    stream.update(|record| record.absent_seconds += 1);
                }
            });
            let is_in = (1..20_000).all(|offset| {
                let batch = stream.issue(mark(offset), 1);
                stream.pledge(batch, None);
                let is_in = outbox.take().iter().any(|post| match post {
                    Post::File(_, Some(record)) => record.mark.offset == offset,
                    _ => false,
                });
                stream.settle_committed(batch, Settled::default(), None);
                outbox.committed();
                is_in
            });
            ends.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(is_in, "lines were committed without their position");
        });
    }

    #[test]
    fn who_waits_hears_after_the_commit() {
        let directory = tempfile::tempdir().unwrap();
        let positions = open(directory.path());
        let (outbox, _) = Topic::default().enter(&positions);
        begin(&positions, "/a");
        let (sender, receiver) = std::sync::mpsc::channel();
        positions.when_saved(move || sender.send(()).unwrap());
        assert_eq!(outbox.waiting(), Waiting::Urgent);
        outbox.take();
        outbox.aborted();
        assert!(receiver.try_recv().is_err());
        assert_eq!(outbox.waiting(), Waiting::Urgent);
        outbox.take();
        outbox.committed();
        receiver.try_recv().unwrap();
    }
}
