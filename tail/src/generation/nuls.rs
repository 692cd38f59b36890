//! NULs that are no data, or not yet.

use std::io;
use std::time::{Duration, Instant};

use super::Generation;
use crate::frame::trailing_nuls;

/// So many bytes of NULs a second are read once more, to see whether something was written behind them: a percent of a core. A
/// program that reserves room by writing NULs, and fills it, would have all of them read for each of its lines.
const AGAIN_A_SECOND: u64 = 64 * 1024 * 1024;

/// What is known of NULs in a file.
#[derive(Debug, Default)]
pub(super) struct Nuls {
    /// Where those at its end begin that were found: room that a program may have mapped into memory and fills.
    room: Option<u64>,
    seen: Option<Seen>,
}

impl Nuls {
    /// Of a file that ends in NULs from there on.
    pub(super) fn of(room: u64) -> Self {
        let (room, seen) = (Some(room), None);
        Self { room, seen }
    }
}

/// NULs that were looked through.
#[derive(Debug, Clone, Copy)]
struct Seen {
    from: u64,
    to: u64,
    /// Modification time of the file when that began.
    modified: i64,
    /// Bytes that were read for it.
    read: u64,
    /// Since when it is over.
    since: Option<Instant>,
}

impl Seen {
    /// Whether something may have been written behind them since, and it is time to look.
    fn is_due(&mut self, modified: i64, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        let pause = Duration::from_millis(self.read * 1000 / AGAIN_A_SECOND);
        modified != self.modified && now >= since + pause
    }
}

impl Generation {
    /// Where the NULs at the end begin that were found.
    pub(super) fn room(&self) -> Option<u64> {
        self.nuls.as_ref()?.room
    }

    /// Takes that down. What was looked through is known on, but for what was read by now.
    pub(super) fn set_room(&mut self, room: Option<u64>) {
        let seen = self.nuls.take().and_then(|nuls| nuls.seen);
        let seen = seen.filter(|seen| seen.to > self.next.offset);
        if room.is_some() || seen.is_some() {
            self.nuls = Some(Box::new(Nuls { room, seen }));
        }
    }

    /// Whether the file ends in NULs that may be room to be filled.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.room().is_some()
    }

    /// Whether something was written into that room. Of a write to a mapping neither a notification nor the modification
    /// time tells, as long as its page is dirty: see mmap(2). From time to time all of it is news, see [`Generation::has_news`].
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn is_room_filled(&mut self, now: Instant) -> io::Result<bool> {
        let (Some(room), Some(nuls)) = (self.room(), &mut self.nuls) else {
            return Ok(false);
        };
        let is_through = self.looked > self.next.offset;
        if is_through && nuls.seen.as_mut().is_some_and(|seen| seen.is_due(self.modified, now)) {
            nuls.seen = None;
            self.looked = self.next.offset;
        }
        let mut bytes = Vec::new();
        // The first byte of a code unit can be NUL.
        self.source.read_at(&mut bytes, room, 2)?;
        Ok(bytes.iter().any(|byte| *byte != 0))
    }

    /// Nothing more is expected: what is known of NULs must be so since the last change.
    pub(super) fn look_through_nuls_anew(&mut self, modified: i64) {
        if let Some(nuls) = &mut self.nuls {
            nuls.seen.take_if(|seen| seen.modified != modified);
        }
    }

    /// How many NULs at the start of `data` are a hole: those that another byte is known to follow. None when that is
    /// not known yet.
    pub(super) fn hole_end(&mut self, data: &[u8], size: u64, unit: usize) -> io::Result<Option<usize>> {
        let nuls = data.iter().take_while(|byte| **byte == 0).count();
        if nuls < data.len() {
            // The first byte of a code unit can be NUL.
            return Ok(Some(nuls - nuls % unit));
        }
        let follows = self.find_data(self.next.offset + nuls as u64, nuls, size)?;
        Ok(follows.map(|follows| if follows { nuls } else { 0 }))
    }

    /// Whether the NULs at the end of `buffer` are content, because data follows in the file. None when that is not
    /// known yet.
    pub(super) fn data_follows(&mut self, buffer: &[u8], size: u64) -> io::Result<Option<bool>> {
        match trailing_nuls(buffer) {
            0 => Ok(Some(true)),
            nuls => self.find_data(self.end_of(buffer), nuls, size),
        }
    }

    /// Whether `buffer` ends in NULs, and nothing else follows as far as was looked.
    pub(super) fn is_known_room(&self, buffer: &[u8], size: u64) -> bool {
        let seen = self.nuls.as_ref().and_then(|nuls| nuls.seen);
        let is_seen = seen.is_some_and(|seen| (seen.from..=seen.to).contains(&self.end_of(buffer)) && seen.to >= size);
        is_seen && trailing_nuls(buffer) > 0
    }

    /// Where in the file that ends which was read from the bytes before the position on.
    fn end_of(&self, buffer: &[u8]) -> u64 {
        self.next.offset + buffer.len() as u64 - u64::from(self.next.guard.len)
    }

    /// Whether a byte other than NUL is in `from..size`, as far as was looked; so many NULs are before it. None when that is not
    /// known yet.
    fn find_data(&mut self, from: u64, nuls_before: usize, size: u64) -> io::Result<Option<bool>> {
        if self.archive().is_some() {
            return Ok(self.source.find_data(from, size)?.has_data);
        }
        let nuls = self.nuls.get_or_insert_default();
        let known = nuls.seen.filter(|seen| (seen.from..=seen.to).contains(&from));
        let seen = nuls.seen.insert(known.unwrap_or(Seen {
            from: from - nuls_before as u64,
            to: from,
            modified: self.modified,
            read: 0,
            since: None,
        }));
        let ahead = self.source.find_data(seen.to, size)?;
        seen.to = ahead.to;
        seen.read += ahead.read;
        if ahead.has_data.is_none() {
            // It goes on there, after others had their turn.
            self.looked = self.next.offset;
        }
        Ok(ahead.has_data)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::generation::{Ending, Reading, STEP};
    use crate::identity::Stat;
    use crate::position::StreamRecord;
    use crate::positions::Positions;
    use crate::shape::{Recipe, Shape};
    use crate::spares::Spares;

    /// Of much room it may not be time to look again when nothing more is expected of the file.
    #[test]
    fn what_was_written_behind_room_counts_when_the_file_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.log");
        fs::write(&path, "").unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let far = 8 * STEP as u64;
        file.write_all_at(b"far\n", far).unwrap();
        let stat = Stat::from(&file.metadata().unwrap());
        let positions = Positions::in_memory();
        let record = StreamRecord {
            inode: stat.inode,
            ..StreamRecord::example(&path, positions.new_id())
        };
        let recipe = Recipe::new(STEP / 2, &Shape::default());
        for (ending, is_data) in [(Ending::Open, false), (Ending::Last, true)] {
            let stream = positions.begin(record.clone());
            let mut generation = Generation::open(file.try_clone().unwrap(), &stat, stream).unwrap();
            let seen = Seen {
                from: 0,
                to: stat.size,
                modified: stat.modified - 1,
                read: u64::MAX / 1000,
                since: None,
            };
            generation.nuls = Some(Box::new(Nuls {
                room: None,
                seen: Some(seen),
            }));
            let reading = generation
                .read(&recipe, &stat, (usize::MAX, &Spares::default()), ending)
                .unwrap();
            let has_records = matches!(reading, Reading::Chunk(chunk) if !chunk.records.is_empty());
            assert_eq!(has_records, is_data, "{ending:?}");
        }
    }
}
