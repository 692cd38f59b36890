//! What one read of a generation gives.

use std::ops::Range;

use super::Generation;
use crate::charset::Charset;
use crate::position::Mark;

/// What one read found.
#[derive(Debug)]
pub enum Reading {
    /// Whole records, or bytes to pass over.
    Chunk(Chunk),
    /// Nothing that is complete.
    Nothing,
    /// A line is longer than the budget: ask again with more, see [`Generation::cost`].
    More,
    /// The bytes before the position are not the ones that were there: the file was truncated or written anew.
    Rewritten,
}

/// A stretch of a file, framed.
#[derive(Debug)]
pub struct Chunk {
    /// The bytes, from up to [`GUARD_LEN`] before the first record on.
    pub buffer: Vec<u8>,
    /// Records in `buffer`.
    pub records: Vec<Range<u32>>,
    /// Parts of split lines, see [`crate::frame::Framed::parts`].
    pub parts: Vec<(u32, String)>,
    /// File offset of the first byte of `buffer`.
    pub offset: u64,
    /// Where the file stands after it.
    pub end: Mark,
    /// File bytes it covers, line ends included, without `nuls` and `mark`.
    pub bytes: u64,
    /// NUL bytes passed over.
    pub nuls: u64,
    /// Bytes of the byte-order mark passed over.
    pub mark: u64,
}

impl Generation {
    /// Finds the byte-order mark that the file begins with. How many of these bytes it takes, at the start of the file.
    pub(super) fn byte_order_mark(&mut self, bytes: &[u8]) -> usize {
        if self.next.offset > 0 {
            return 0;
        }
        let mark = Charset::of_mark(bytes);
        self.charset = mark.map(|(charset, _)| charset);
        mark.map_or(0, |(_, length)| length)
    }
}
