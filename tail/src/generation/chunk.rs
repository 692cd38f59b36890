//! What one read of a generation gives.

use std::ops::Range;

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
    /// File bytes it covers, line ends included, without `nuls`.
    pub bytes: u64,
    /// NUL bytes passed over.
    pub nuls: u64,
}
