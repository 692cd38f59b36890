//! Modes that follow one another, and what each leaves behind.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::outbox::{Post, Waiting};
use crate::position::{Mark, StreamRecord};
use crate::store::StateLock;
use crate::stream::Settled;
use crate::topic::{FoundRecord, Owner, TopicRecord, TopicWriter};

const CLUSTER: &str = "c1";

/// Nobody gives up.
static STANDS: AtomicBool = AtomicBool::new(false);

fn open(directory: &Path) -> Arc<Positions> {
    let lock = StateLock::acquire(directory).unwrap();
    Positions::open(directory, lock, Duration::from_millis(1)).unwrap().0
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
        let generation = positions.keep_in_topic(CLUSTER, "i", self.contents(), Arc::clone(&outbox), &STANDS);
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
    begin(&positions, "/a").update(|record| record.mark = Mark::at(5));
    positions.close();

    let positions = open(directory.path());
    let (outbox, generation) = topic.enter(&positions);
    assert_eq!(offset(&positions, "/a"), Some(5));
    topic.write(&outbox, generation);
    outbox.committed();
    positions.of("app", Path::new("/a"))[0].update(|record| record.mark = Mark::at(9));
    topic.write(&outbox, generation);
    outbox.committed();
    positions.close();

    let positions = open(directory.path());
    assert!(positions.follows_topic());
    positions.keep_here();
    assert_eq!(offset(&positions, "/a"), Some(9));
    positions.of("app", Path::new("/a"))[0].update(|record| record.mark = Mark::at(12));
    positions.close();

    let positions = open(directory.path());
    topic.enter(&positions);
    assert_eq!(offset(&positions, "/a"), Some(12), "the store was used last");
    assert!(!positions.is_first_application("app"));
}

/// Somebody used the topic with another state directory after the store was entered, and the store was in use all the time.
#[test]
fn what_was_in_use_until_now_counts_more_than_a_topic_of_meanwhile() {
    let [directory, other] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let positions = open(directory.path());
    positions.keep_here();
    begin(&positions, "/a").update(|record| record.mark = Mark::at(5));
    let (mut topic, elsewhere) = (Topic::default(), open(other.path()));
    begin(&elsewhere, "/a").update(|record| record.mark = Mark::at(1));
    let (outbox, generation) = topic.enter(&elsewhere);
    topic.write(&outbox, generation);
    outbox.committed();
    elsewhere.close();

    positions.count_from_now();
    topic.enter(&positions);
    assert_eq!(offset(&positions, "/a"), Some(5));
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
    stream.update(|record| record.mark = Mark::at(5));
    assert_ne!(outbox.waiting(), Waiting::Nothing);

    positions.keep_here();
    assert!(!positions.follows_topic());
    // Also of one who was about to tell the topic.
    outbox.push(&stream);
    let (sender, receiver) = channel();
    positions.when_saved(move || sender.send(()).unwrap());
    receiver.recv().unwrap();
    assert_eq!((outbox.waiting(), outbox.take()), (Waiting::Nothing, Vec::new()));
    stream.update(|record| record.mark = Mark::at(7));

    let (again, later) = topic.enter(&positions);
    assert!(later > generation);
    topic.write(&again, later);
    again.committed();
    assert_eq!(topic.contents().streams[0].mark, Mark::at(7));
    stream.update(|record| record.mark = Mark::at(9));
    topic.write(&again, later);
    assert_eq!(topic.contents().streams[0].mark, Mark::at(9), "and goes on");
}

#[test]
fn a_host_that_lost_its_disk_goes_on_from_the_topic() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut topic = Topic::default();
    let positions = open(first.path());
    let (outbox, generation) = topic.enter(&positions);
    positions.applied("app");
    begin(&positions, "/a").update(|record| record.mark = Mark::at(5));
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
    begin(&positions, "/a").update(|record| record.mark = Mark::at(5));
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
        mark: Mark::at(8),
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
    let refused = positions.keep_in_topic("c2", "i", TopicContents::default(), outbox, &STANDS);
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
    let first = stream.issue(Mark::at(10), 10);
    let second = stream.issue(Mark::at(20), 10);
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

    let last = stream.issue(Mark::at(30), 10);
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
    let batch = stream.issue(Mark::at(10), 10);
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
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ends.load(Ordering::Relaxed) {
                stream.update(|record| record.absent_seconds += 1);
            }
        });
        let is_in = (1..20_000).all(|offset| {
            let batch = stream.issue(Mark::at(offset), 1);
            stream.pledge(batch, None);
            let is_in = outbox.take().iter().any(|post| match post {
                Post::File(_, Some(record)) => record.mark.offset == offset,
                _ => false,
            });
            stream.settle_committed(batch, Settled::default(), None);
            outbox.committed();
            is_in
        });
        ends.store(true, Ordering::Relaxed);
        assert!(is_in, "lines were committed without their position");
    });
}

#[test]
fn who_waits_hears_after_the_commit() {
    let directory = tempfile::tempdir().unwrap();
    let positions = open(directory.path());
    let (outbox, _) = Topic::default().enter(&positions);
    begin(&positions, "/a");
    let (sender, receiver) = channel();
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

#[test]
fn whose_topic_the_store_follows_is_known_after_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let positions = open(directory.path());
    assert_eq!(positions.topic_instance(), None);
    Topic::default().enter(&positions);
    positions.close();
    let positions = open(directory.path());
    assert_eq!(positions.topic_instance().as_deref(), Some("i"));
    positions.keep_here();
    assert_eq!(positions.topic_instance(), None);
    let older: Mode = serde_json::from_str(r#"{"generation":7,"cluster":"c1"}"#).unwrap();
    assert_eq!((older.generation, older.instance), (7, None));
}

#[test]
fn a_mode_that_is_not_noted_may_be_given_up_and_left() {
    let directory = tempfile::tempdir().unwrap();
    let positions = open(directory.path());
    begin(&positions, "/a");
    // Nothing is saved while this is not over, as on a disk that is full.
    let (release, is_released) = channel::<()>();
    positions.when_saved(move || assert!(is_released.recv().is_err()));
    let given_up = Arc::new(AtomicBool::new(false));
    let entering = {
        let (positions, given_up) = (Arc::clone(&positions), Arc::clone(&given_up));
        std::thread::spawn(move || {
            let outbox = Arc::new(Outbox::new(|| {}));
            positions.keep_in_topic(CLUSTER, "i", TopicContents::default(), outbox, &given_up)
        })
    };
    while !positions.follows_topic() {
        std::thread::yield_now();
    }
    assert!(!entering.is_finished());
    given_up.store(true, Ordering::Release);
    let entered = entering.join().unwrap();
    assert!(matches!(entered, Err(EnterError::NotSaved)), "{entered:?}");
    positions.keep_here();
    drop(release);
    positions.close();
    let positions = open(directory.path());
    assert!(!positions.follows_topic());
    assert_eq!(offset(&positions, "/a"), Some(0));
}
