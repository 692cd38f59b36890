//! What one read of a generation gives.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;

use super::{Generation, STEP};
use crate::account::Passed;
use crate::charset::Charset;
use crate::compose::Composed;
use crate::identity::GUARD_LEN;
use crate::position::Mark;
use crate::shape::Recipe;
use crate::stream::Stream;

/// What one read found.
#[derive(Debug)]
pub enum Reading {
    /// Whole records, or bytes to pass over.
    Chunk(Box<Chunk>),
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
    /// Where the lines of the records are, line ends included, counted from `offset`; empty where records are bytes of the
    /// file, and `buffer` begins there.
    pub extents: Vec<Range<u32>>,
    /// A file offset.
    pub offset: u64,
    /// Where the file stands after it.
    pub end: Mark,
    /// File bytes it covers, line ends included, without those passed over.
    pub bytes: u64,
    /// Bytes passed over.
    pub(crate) passed: Passed,
}

impl Chunk {
    /// File bytes of its lines, those that do not ship included.
    pub(crate) fn lines_bytes(&self) -> u64 {
        self.bytes + self.passed.excluded + self.passed.not_included
    }

    /// The same with records that were composed of its lines.
    pub(super) fn with(mut self, composed: Option<Composed>) -> Self {
        if let Some(mut composed) = composed {
            if composed.buffer.capacity() > composed.buffer.len() / 4 * 5 {
                // As for lines: the permit is cut to what is kept.
                composed.buffer.shrink_to_fit();
            }
            (self.buffer, self.extents) = (composed.buffer, composed.extents);
        } else if !self.extents.is_empty() {
            self.pack();
        }
        self
    }

    /// Most of what was read does not ship: it need not be in memory.
    fn pack(&mut self) {
        let shipped: usize = self.records.iter().map(ExactSizeIterator::len).sum();
        if shipped > self.buffer.len() / 2 {
            return;
        }
        let mut packed = Vec::with_capacity(shipped);
        for record in &mut self.records {
            let start = u32::try_from(packed.len()).unwrap_or(u32::MAX);
            packed.extend_from_slice(&self.buffer[record.start as usize..record.end as usize]);
            *record = start..start + (record.end - record.start);
        }
        self.buffer = packed;
    }
}

impl Generation {
    /// The encoding that a byte-order mark said.
    pub(crate) fn charset(&self) -> Option<Charset> {
        self.charset
    }

    /// Bytes of memory the next read of a file of this size may take.
    #[must_use]
    pub(crate) fn cost(&mut self, recipe: &Recipe, size: u64) -> usize {
        let unread = usize::try_from(size.saturating_sub(self.next.offset)).unwrap_or(usize::MAX);
        let most = self.window(recipe);
        let window = if self.source.has_more() { most } else { unread.min(most) };
        let records = match recipe.composer(&self.stream, &mut self.kept) {
            Some(composer) => composer.space(window, STEP),
            None => window / 4 + recipe.copied(window) + 64 * recipe.record_cost(),
        };
        window + records + GUARD_LEN
    }

    /// How much is read at once.
    pub(super) fn window(&self, recipe: &Recipe) -> usize {
        self.window.map_or_else(|| recipe.step(), NonZeroUsize::get)
    }

    /// Finds the byte-order mark that the file begins with. How many of these bytes it takes, at the start of the file.
    pub(super) fn byte_order_mark(&mut self, bytes: &[u8]) -> usize {
        if self.next.offset > 0 {
            return 0;
        }
        let (charset, length) = named_charset(bytes, &self.stream);
        self.charset = charset;
        length
    }

    /// It is a copy of what was in a file that was written so. A mark of its own says more.
    pub(crate) fn is_written_in(&mut self, charset: Option<Charset>) {
        if self.charset.is_none() && charset.is_some() {
            self.charset = charset;
            self.stream.update(|record| record.charset = charset);
        }
    }
}

/// The encoding that the byte-order mark at the start of a file says, on record from then on, else what is on record; and
/// how many bytes the mark takes.
pub(super) fn named_charset(first: &[u8], stream: &Arc<Stream>) -> (Option<Charset>, usize) {
    let known = stream.record().charset;
    let Some((charset, length)) = Charset::of_mark(first) else {
        return (known, 0);
    };
    if known != Some(charset) {
        stream.update(|record| record.charset = Some(charset));
    }
    (Some(charset), length)
}
