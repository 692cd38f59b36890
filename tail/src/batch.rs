//! What a watcher hands over: the records of one stretch of a file, taken down in its ledger.

use std::ops::Range;
use std::sync::Arc;

use crate::generation::{Chunk, Generation};
use crate::identity::Stat;
use crate::stream::{Settled, Stream};
use crate::watcher::Watcher;
use crate::wrong::{Wrong, does};

/// Records of one file that are ready to be sent.
#[derive(Debug)]
pub struct Batch {
    /// The file they are of.
    pub stream: Arc<Stream>,
    /// For [`Stream::settle`].
    pub seq: u64,
    /// The bytes.
    pub buffer: Vec<u8>,
    /// Records in `buffer`, in file order; never empty.
    pub records: Vec<Range<u32>>,
    /// Index of a record that is a part of a split line, and which: "1", "2", the last "3/3".
    pub parts: Vec<(u32, String)>,
    /// Where the lines of the records are, line ends included, counted from `offset`; empty where records are bytes of the
    /// file, and `buffer` begins there.
    pub extents: Vec<Range<u32>>,
    /// A file offset.
    pub offset: u64,
    /// File bytes it covers, line ends included.
    pub bytes: u64,
}

/// Takes a chunk down in its stream's ledger. What holds no record is settled at once.
pub(crate) fn hand_out(generation: &mut Generation, stat: &Stat, chunk: Chunk) -> Option<Batch> {
    let stream = Arc::clone(generation.stream());
    stream.saw(generation.head(), stat);
    let seq = stream.issue_past(chunk.end, chunk.bytes, chunk.passed);
    if does(Wrong::PositionBeforeAcknowledgement) {
        stream.update(|record| record.mark = chunk.end);
    }
    if chunk.records.is_empty() {
        stream.settle(seq, Settled::default(), None);
        return None;
    }
    let Chunk {
        buffer,
        records,
        parts,
        extents,
        offset,
        bytes,
        ..
    } = chunk;
    Some(Batch {
        stream,
        seq,
        buffer,
        records,
        parts,
        extents,
        offset,
        bytes,
    })
}

impl Watcher {
    /// What was seen and not read may be other records by now.
    pub(crate) fn look_anew(&mut self) {
        let olds = self.olds.iter_mut().map(|old| &mut old.generation);
        olds.chain(&mut self.live).for_each(Generation::look_anew);
        self.closed.iter_mut().for_each(|closed| closed.paused.look_anew());
    }

    /// Whether lines at the end of the file wait for one more that may belong to them.
    #[must_use]
    pub fn awaits_lines(&self) -> bool {
        self.live.as_ref().is_some_and(Generation::has_group)
    }

    /// File bytes read since the last call: those of lines that do not ship, too; NULs are mostly holes, which cost no
    /// reading of a disk.
    pub fn take_read(&mut self) -> u64 {
        std::mem::take(&mut self.read_bytes)
    }
}

impl Batch {
    /// The file offset of the first byte of a record's line.
    #[must_use]
    pub fn offset_of(&self, index: usize) -> u64 {
        let start = self.extents.get(index).or(self.records.get(index));
        self.offset + start.map_or(0, |range| u64::from(range.start))
    }

    /// Bytes of memory that are kept until it is settled.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.buffer.capacity() + (self.records.capacity() + self.extents.capacity()) * size_of::<Range<u32>>()
    }
}
