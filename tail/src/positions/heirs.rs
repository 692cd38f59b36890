//! Positions that go from one settings entry to another.

use std::path::Path;

use super::Positions;
use crate::position::StreamRecord;

impl Positions {
    /// Gives the generations of a path to another entry, which goes on with them. Nobody reads them, and nothing of them is on
    /// its way to Kafka.
    pub fn give(&self, path: &Path, from: &str, to: &str) {
        let mut index = self.lock();
        let given = index.of(from, path).map(std::mem::take).unwrap_or_default();
        let mut taken = Vec::new();
        for stream in given.iter().filter(|stream| !stream.is_gone()) {
            let record = StreamRecord {
                log: to.into(),
                ..stream.record()
            };
            taken.push(index.insert(record, &self.dirty));
        }
        drop(index);
        // In this order: a crash between the two leaves a position too many, never one too few.
        taken.iter().for_each(|stream| self.dirty.push(stream));
        for stream in &given {
            stream.forget_in_flight();
            stream.retire();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::position::Mark;
    use crate::store::StateLock;

    fn open(directory: &Path) -> Arc<Positions> {
        let lock = StateLock::acquire(directory).unwrap();
        Positions::open(directory, lock, Duration::from_millis(1)).unwrap().0
    }

    #[test]
    fn what_is_given_to_another_entry_is_its_own_also_after_a_restart_and_nobody_elses() {
        let directory = tempfile::tempdir().unwrap();
        let path = Path::new("/a");
        let positions = open(directory.path());
        let mark = Mark {
            offset: 7,
            ..Mark::default()
        };
        let id = positions.new_id();
        positions.begin(StreamRecord {
            mark,
            ..StreamRecord::example(path, id)
        });
        positions.begin(StreamRecord::example(Path::new("/b"), positions.new_id()));
        positions.give(path, "app", "web");
        let check = |positions: &Positions| {
            assert!(positions.of("app", path).is_empty());
            let streams = positions.of("web", path);
            let [stream] = streams.as_slice() else {
                panic!("{streams:?}")
            };
            assert_eq!((stream.id(), stream.record().mark), (id, mark));
            assert_eq!(positions.of("app", Path::new("/b")).len(), 1);
        };
        check(&positions);
        positions.close();
        check(&open(directory.path()));
    }
}
