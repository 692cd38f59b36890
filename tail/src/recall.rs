//! Whether what was read of a file, and nobody ships any more, could be read once more.

use std::path::Path;

use crate::file::open_regular;
use crate::listings::Listings;
use crate::resume::record_fits;
use crate::siblings::{Rotated, siblings};
use crate::stream::Stream;

impl Stream {
    /// Whether all that is in flight of it is still in the file, under its path or a rotated name of that. What cannot be
    /// looked at is not: then memory has the last copy. Nor is it while a reader that does not answer may hand over more.
    /// Takes as long as the disk likes.
    #[must_use]
    pub fn is_still_there(&self) -> bool {
        let Some((record, end)) = self.in_place() else {
            return false;
        };
        let holds = |path: &Path| {
            open_regular(path).is_ok_and(|(file, stat)| {
                let is_whole = stat.inode == record.inode && stat.size >= end;
                is_whole && record_fits(&file, &stat, &record).unwrap_or(false)
            })
        };
        if holds(&record.path) {
            return true;
        }
        // Of an archive only its inode can be told without decoding it.
        siblings(&record.path, &Rotated::default(), &Listings::default()).is_ok_and(|siblings| {
            let mut it = siblings.iter().filter(|sibling| sibling.stat.inode == record.inode);
            it.any(|sibling| sibling.is_archive() || holds(&sibling.path))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::identity::{Head, Stat};
    use crate::position::{Mark, StreamRecord};
    use crate::positions::Positions;

    #[test]
    fn what_is_nowhere_else_than_in_memory_is_not_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.log");
        fs::write(&path, "one\ntwo\n").unwrap();
        let stat = Stat::from(&fs::metadata(&path).unwrap());
        let positions = Positions::in_memory();
        let stream = positions.begin(StreamRecord {
            inode: stat.inode,
            head: Head::of(b"one\n"),
            ..StreamRecord::example(&path, positions.new_id())
        });
        let end = Mark {
            offset: 8,
            ..Mark::default()
        };
        stream.issue(end, 8);
        assert!(stream.is_still_there());
        fs::rename(&path, directory.path().join("app.log.1")).unwrap();
        fs::write(&path, "three\nfour\n").unwrap();
        assert!(stream.is_still_there(), "it has a rotated name");
        fs::write(directory.path().join("app.log.1"), "one\n").unwrap();
        assert!(!stream.is_still_there(), "it was cut");
        fs::write(directory.path().join("app.log.1"), "six\nseven\n").unwrap();
        assert!(!stream.is_still_there(), "it was written anew");
        fs::write(directory.path().join("app.log.1"), "one\ntwo\n").unwrap();
        assert!(stream.is_still_there());
        stream.fence();
        assert!(!stream.is_still_there(), "somebody else may have it");
    }

    #[test]
    fn what_was_deleted_is_not_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.log");
        fs::write(&path, "one\n").unwrap();
        let stat = Stat::from(&fs::metadata(&path).unwrap());
        let positions = Positions::in_memory();
        let stream = positions.begin(StreamRecord {
            inode: stat.inode,
            ..StreamRecord::example(&path, positions.new_id())
        });
        stream.issue(Mark::default(), 4);
        assert!(stream.is_still_there());
        // So that nobody gets its inode.
        let _held = fs::File::open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(!stream.is_still_there());
        fs::write(&path, "one\n").unwrap();
        assert!(!stream.is_still_there());
    }
}
