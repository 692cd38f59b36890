//! Positions that an operator changes. The watcher of the path must not run meanwhile: it is started anew afterwards.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::account::Skip;
use crate::file::{first_bytes, mark_at, open_regular};
use crate::identity::{Head, Stat, read_at};
use crate::position::{Life, Mark};
use crate::positions::Positions;
use crate::stream::Stream;

/// How far before an offset the start of its line is looked for.
const LINE_LOOK: u64 = 64 * 1024;

/// How far before the end of a file the start of its unfinished line is looked for: far beyond any line that ships whole.
const LONGEST_LOOK: u64 = 16 * 1024 * 1024;

/// Where a file is to be read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Its first byte.
    Beginning,
    /// Its end as it is now: that of its last whole line, because what comes of the unfinished one would ship torn.
    End,
    /// So many bytes from its start; the start of a line.
    Offset(u64),
}

/// What was changed; offsets in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// The position before.
    pub from: u64,
    /// The position now.
    pub to: u64,
    /// The size of the file.
    pub size: u64,
    /// The end was meant, and the line before it has no end yet.
    pub unfinished: bool,
}

/// Why a position stays as it is.
#[derive(Debug, Error)]
pub enum EditError {
    /// The file cannot be read.
    #[error("cannot read `{path}`")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        #[source]
        source: io::Error,
    },
    /// Nothing is known of the file that is there now.
    #[error("cannot set a position in `{0}`: the file that is there now has none")]
    Unknown(PathBuf),
    /// The file is not read, because it is a copy of another.
    #[error("cannot set a position in `{0}`: it is a copy of another file that is read")]
    Copy(PathBuf),
    /// The offset is beyond the end.
    #[error("cannot set a position in `{path}`: it has {size} bytes, not {offset}")]
    Beyond {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        offset: u64,
        /// What there is.
        size: u64,
    },
    /// The offset is in the midst of a line, which would ship torn.
    #[error("cannot set a position in `{path}`: no line starts at {offset}")]
    InLine {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        offset: u64,
        /// Where the line starts, if that is near.
        start: Option<u64>,
    },
    /// Lines of it are on their way to Kafka.
    #[error("cannot change positions of `{0}`: lines of it are on their way to Kafka")]
    InFlight(PathBuf),
}

impl Positions {
    /// Moves the position in the file that is at `path` now; earlier generations stay where they are.
    ///
    /// # Errors
    /// [`EditError`]; nothing is changed then.
    pub fn set(&self, log: &str, path: &Path, place: Place) -> Result<Moved, EditError> {
        let failed = |source| EditError::File {
            path: path.to_owned(),
            source,
        };
        let (file, stat) = open_regular(path).map_err(failed)?;
        let streams = self.of(log, path);
        let live = streams.iter().rev().find(|stream| stream.record().inode == stat.inode);
        let Some(stream) = live else {
            return Err(EditError::Unknown(path.to_owned()));
        };
        if stream.record().copy {
            return Err(EditError::Copy(path.to_owned()));
        }
        self.check_settled(std::slice::from_ref(stream), path)?;
        let (mark, head) = match place {
            Place::Beginning => first_bytes(&file).map(|bytes| (Mark::default(), Head::of(&bytes))),
            Place::End => last_start(&file, stat.size).and_then(|start| mark_at(&file, start)),
            Place::Offset(0) => return self.set(log, path, Place::Beginning),
            Place::Offset(offset) => {
                check_line(&file, &stat, path, offset)?;
                mark_at(&file, offset)
            }
        }
        .map_err(failed)?;
        let from = stream.record().mark.offset;
        let moved = Moved {
            from,
            to: mark.offset,
            size: stat.size,
            unfinished: place == Place::End && mark.offset < stat.size,
        };
        stream.skip(Skip::Start, moved.to.saturating_sub(from));
        stream.update(|record| {
            (record.mark, record.head) = (mark, head);
            (record.size, record.modified) = (stat.size, stat.modified);
            record.life = Life::Live;
            record.truncated = false;
        });
        Ok(moved)
    }

    /// Forgets every position of a path: what is there is read from its beginning. Returns how many generations it had.
    ///
    /// # Errors
    /// [`EditError::InFlight`]; nothing is changed then.
    pub fn reset(&self, log: &str, path: &Path) -> Result<usize, EditError> {
        let streams = self.of(log, path);
        self.check_settled(&streams, path)?;
        streams.iter().for_each(Stream::retire);
        Ok(streams.len())
    }

    fn check_settled(&self, streams: &[Arc<Stream>], path: &Path) -> Result<(), EditError> {
        if streams.iter().all(|stream| stream.is_settled()) {
            Ok(())
        } else {
            Err(EditError::InFlight(path.to_owned()))
        }
    }
}

/// Where the unfinished line at the end starts; the end if there is none, or if none was found nearby.
fn last_start(file: &File, size: u64) -> io::Result<u64> {
    let mut bytes = Vec::new();
    read_at(file, &mut bytes, 0, WIDE.len())?;
    let has_wide_mark = bytes == WIDE;
    let mut end = size;
    while end > 0 && size - end < LONGEST_LOOK {
        let from = end.saturating_sub(LINE_LOOK);
        bytes.clear();
        read_at(file, &mut bytes, from, usize::try_from(end - from).unwrap_or(0) + 1)?;
        let until = bytes.len().min(usize::try_from(end - from).unwrap_or(0));
        if let Some(found) = bytes[..until].iter().rposition(|byte| *byte == b'\n') {
            let offset = from + found as u64;
            // Of UTF-16LE the end has a second byte. NULs may also stand for what a writer has room for.
            let is_after_wide = found > 0 && bytes[found - 1] == 0;
            let is_wide =
                offset.is_multiple_of(2) && bytes.get(found + 1) == Some(&0) && (has_wide_mark || is_after_wide);
            return Ok((offset + if is_wide { 2 } else { 1 }).min(size));
        }
        end = from;
    }
    Ok(if end == 0 { 0 } else { size })
}

/// The byte-order mark of UTF-16LE.
const WIDE: [u8; 2] = [0xFF, 0xFE];

/// Whether a line starts at an offset.
fn check_line(file: &File, stat: &Stat, path: &Path, offset: u64) -> Result<(), EditError> {
    let path = path.to_owned();
    if offset > stat.size {
        let size = stat.size;
        return Err(EditError::Beyond { path, offset, size });
    }
    let from = offset.saturating_sub(LINE_LOOK);
    let mut bytes = Vec::new();
    if let Err(source) = read_at(file, &mut bytes, from, usize::try_from(offset - from).unwrap_or(0)) {
        return Err(EditError::File { path, source });
    }
    // The second byte of a line end in UTF-16LE is NUL; its code units count from the start of the file.
    let is_wide_end = offset.is_multiple_of(2) && bytes.ends_with(b"\n\0");
    if bytes.ends_with(b"\n") || is_wide_end {
        return Ok(());
    }
    let end = bytes.iter().rposition(|byte| *byte == b'\n');
    let start = match end {
        Some(end) => Some(from + end as u64 + 1),
        None => (from == 0).then_some(0),
    };
    Err(EditError::InLine { path, offset, start })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::claims::Claims;
    use crate::handles::Handles;
    use crate::siblings::Rotated;
    use crate::stream::Settled;
    use crate::watcher::{Todo, WatchSpec, Watcher, World};

    struct Rig {
        directory: tempfile::TempDir,
        positions: Arc<Positions>,
    }

    impl Rig {
        fn new(text: &str) -> Self {
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(directory.path().join("a.log"), text).unwrap();
            let positions = Positions::in_memory();
            Self { directory, positions }
        }

        fn path(&self) -> PathBuf {
            self.directory.path().join("a.log")
        }

        /// What a fresh watcher ships.
        fn shipped(&self) -> String {
            let spec = WatchSpec {
                log: "app".into(),
                path: self.path().into(),
                max_line: 1000,
                shape: crate::Shape::default(),
                from_end: false,
                rotated: Rotated::default(),
                ignore_before: None,
            };
            let world = World {
                positions: Arc::clone(&self.positions),
                claims: Arc::new(Claims::default()),
                handles: Handles::new(usize::MAX),
                listings: Arc::default(),
                spares: Arc::default(),
                lease: crate::Lease::default(),
            };
            let mut watcher = Watcher::new(spec, world, Arc::new(|| ()));
            let mut text = String::new();
            loop {
                match watcher.poll(Instant::now()).unwrap() {
                    Todo::Save { order } => watcher.saved(order),
                    Todo::Wait { .. } => return text,
                    Todo::Read { cost } => {
                        let Some(batch) = watcher.read(Instant::now(), cost).unwrap() else {
                            continue;
                        };
                        for record in &batch.records {
                            let bytes = &batch.buffer[record.start as usize..record.end as usize];
                            text += &String::from_utf8_lossy(bytes);
                            text.push(' ');
                        }
                        batch.stream.settle(batch.seq, Settled::default(), None);
                    }
                }
            }
        }
    }

    #[test]
    fn a_file_is_read_from_where_an_operator_set_its_position() {
        let rig = Rig::new("one\ntwo\nthree\n");
        assert_eq!(rig.shipped(), "one two three ");
        let cases = [
            (Place::Beginning, "one two three "),
            (Place::Offset(4), "two three "),
            (Place::Offset(0), "one two three "),
            (Place::End, ""),
            (Place::Offset(8), "three "),
        ];
        for (place, expected) in cases {
            rig.positions.set("app", &rig.path(), place).unwrap();
            assert_eq!(rig.shipped(), expected, "{place:?}");
            assert_eq!(rig.shipped(), "", "{place:?}");
        }
        assert_eq!(rig.positions.reset("app", &rig.path()).unwrap(), 1);
        assert_eq!(rig.shipped(), "one two three ");
    }

    #[test]
    fn the_end_is_that_of_the_last_whole_line() {
        let long = "x".repeat(100_000);
        let cases = [
            ("old1\nold2\nhalf", 10),
            ("half", 0),
            ("old\n", 4),
            ("one\n\0\0\0\0", 4),
            ("ones\n\0\0\0", 5),
            ("o\0\n\0t\0", 4),
            ("o\0\n\0", 4),
            ("\0o\0\n\0t", 4),
            (&format!("one\n{long}"), 4),
        ];
        for (text, start) in cases {
            let rig = Rig::new(text);
            rig.shipped();
            let moved = rig.positions.set("app", &rig.path(), Place::End).unwrap();
            assert_eq!(
                (moved.to, moved.unfinished),
                (start, start < moved.size),
                "{:?}",
                &text[..text.len().min(20)]
            );
        }
        let rig = Rig::new("old1\nold2\nhalf");
        rig.shipped();
        rig.positions.set("app", &rig.path(), Place::End).unwrap();
        let mut file = File::options().append(true).open(rig.path()).unwrap();
        io::Write::write_all(&mut file, b"rest\n").unwrap();
        assert_eq!(rig.shipped(), "halfrest ");
    }

    #[test]
    fn a_line_of_utf_16_starts_behind_both_bytes_of_the_end_before() {
        let rig = Rig::new("o\0\n\0t\0\n\0");
        rig.shipped();
        let set = |offset| rig.positions.set("app", &rig.path(), Place::Offset(offset));
        assert!(matches!(set(4), Ok(Moved { to: 4, .. })));
        assert!(matches!(set(6), Err(EditError::InLine { .. })));
    }

    #[test]
    fn what_would_tear_a_line_or_is_not_there_is_refused() {
        let rig = Rig::new("one\ntwo\n");
        let set = |place| rig.positions.set("app", &rig.path(), place);
        assert!(matches!(set(Place::End), Err(EditError::Unknown(_))));
        rig.shipped();
        assert!(matches!(
            set(Place::Offset(6)),
            Err(EditError::InLine { start: Some(4), .. })
        ));
        assert!(matches!(
            set(Place::Offset(2)),
            Err(EditError::InLine { start: Some(0), .. })
        ));
        assert!(matches!(set(Place::Offset(9)), Err(EditError::Beyond { size: 8, .. })));
        let stream = &rig.positions.of("app", &rig.path())[0];
        stream.issue(Mark::default(), 1);
        assert!(matches!(set(Place::End), Err(EditError::InFlight(_))));
        assert!(matches!(
            rig.positions.reset("app", &rig.path()),
            Err(EditError::InFlight(_))
        ));
        std::fs::remove_file(rig.path()).unwrap();
        assert!(matches!(set(Place::End), Err(EditError::File { .. })));
    }
}
