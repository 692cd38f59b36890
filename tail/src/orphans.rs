//! Positions of files that nobody watches: their entry is gone from the settings, or does not mean their path any more. They
//! wait for its return as long as the file exists, and then for as long as those of watched files do.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::identity::Stat;
use crate::listings::Listings;
use crate::position::Life;
use crate::siblings::{Rotated, Sibling, siblings};
use crate::stream::Stream;
use crate::watcher::KEEP_ABSENT;

/// What is there under a path and its rotated names.
struct Around {
    /// Of the file system of its directory.
    dev: u64,
    live: Option<Stat>,
    rotated: Vec<Stat>,
    /// Some of the rotated ones are compressed: any of them may hold what had another inode before.
    has_archives: bool,
}

/// Looks for the files of generations that nobody watches, `elapsed` after the last such look, and forgets those whose
/// absence was seen for 24 hours. Takes as long as the disk likes.
pub fn sweep_orphans(streams: &[Arc<Stream>], elapsed: Duration) {
    let mut looked: HashMap<Arc<Path>, Option<Around>> = HashMap::new();
    let listings = Listings::default();
    for stream in streams.iter().filter(|stream| stream.is_settled()) {
        let record = stream.record();
        let around = looked
            .entry(Arc::clone(&record.path))
            .or_insert_with(|| look(&record.path, &listings));
        // "Could not look" is never "deleted", and under an empty mount point nothing was seen.
        let Some(around) = around.as_ref().filter(|around| around.dev == record.inode.dev) else {
            continue;
        };
        let is_here = |stat: &Stat| stat.inode == record.inode;
        // Another inode under its own path may hold the same content: that is for a watcher to decide.
        let is_there = around
            .live
            .is_some_and(|live| record.life == Life::Live || is_here(&live))
            || around.rotated.iter().any(is_here)
            || (record.life != Life::Live && around.has_archives);
        let absent = record.absent_seconds + elapsed.as_secs();
        if is_there {
            if record.absent_seconds > 0 {
                stream.update(|record| record.absent_seconds = 0);
            }
        } else if absent >= KEEP_ABSENT.as_secs() {
            log::info!(log = record.log, path:% = record.path.display();
                "position forgotten: the file is gone for long, and no entry means it");
            stream.retire();
        } else {
            stream.update(|record| record.absent_seconds = absent);
        }
    }
}

fn look(path: &Path, listings: &Listings) -> Option<Around> {
    let directory = path.parent()?;
    let live = match fs::metadata(path) {
        Ok(meta) => Some(Stat::from(&meta)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(_) => return None,
    };
    let rotated = siblings(path, &Rotated::default(), listings).ok()?;
    Some(Around {
        dev: fs::metadata(directory).ok()?.dev(),
        live,
        has_archives: rotated.iter().any(Sibling::is_archive),
        rotated: rotated.into_iter().map(|sibling| sibling.stat).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::StreamRecord;
    use crate::positions::Positions;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_position_without_watcher_lives_as_long_as_its_file_and_a_day() {
        let directory = tempfile::tempdir().unwrap();
        let logs = directory.path().join("logs");
        fs::create_dir(&logs).unwrap();
        let path = logs.join("app.log");
        fs::write(&path, "x").unwrap();
        let stat = Stat::from(&fs::metadata(&path).unwrap());
        let positions = Positions::in_memory();
        let stream = positions.begin(StreamRecord {
            order: 1,
            inode: stat.inode,
            size: 1,
            ..StreamRecord::example(&path, positions.new_id())
        });
        let sweep = |hours| (0..hours).for_each(|_| sweep_orphans(&positions.all(), HOUR));
        sweep(48);
        assert!(!stream.is_gone(), "the file is there");
        fs::rename(&path, logs.join("app.log.1")).unwrap();
        sweep(48);
        assert!(!stream.is_gone(), "it has another name");
        fs::rename(&logs, directory.path().join("away")).unwrap();
        sweep(48);
        assert!(!stream.is_gone(), "nobody could look");
        fs::rename(directory.path().join("away"), &logs).unwrap();
        fs::rename(logs.join("app.log.1"), directory.path().join("gone")).unwrap();
        sweep(23);
        fs::rename(directory.path().join("gone"), &path).unwrap();
        sweep(1);
        fs::remove_file(&path).unwrap();
        sweep(23);
        assert!(!stream.is_gone(), "not a day since it was seen last");
        sweep(1);
        assert!(stream.is_gone());
    }
}
