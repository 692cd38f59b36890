//! What a truncation takes away in the file, and memory still has.

use std::fs::File;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Chunk, Generation};
use crate::compose::composed;
use crate::frame::{Framer, Tail};
use crate::identity::{Stat, read_at};
use crate::shape::Recipe;

/// So many bytes of every file may be kept: an unfinished line is hardly ever longer.
const ALWAYS: usize = 16 * 1024;
/// Bytes of all that is longer: groups of lines that wait for one more, of a dozen files at once.
const LONGER_IN_ALL: usize = 8 * 1024 * 1024;

/// Bytes that are kept of all files where each has more than [`ALWAYS`].
static LONGER: AtomicUsize = AtomicUsize::new(0);

/// What was looked at and is in no record yet: an unfinished line, or a group of lines that waits for one more.
#[derive(Debug, Default)]
pub(super) struct Rest(Box<[u8]>);

impl Rest {
    /// A copy of these bytes, or nothing where they are too many.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let more = longer(bytes.len());
        let sum = |all: usize| Some(all + more).filter(|sum| more == 0 || *sum <= LONGER_IN_ALL);
        let is_paid = LONGER.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum).is_ok();
        Self(if is_paid { bytes.into() } else { Box::default() })
    }

    /// The bytes, which nobody keeps here any more.
    fn take(&mut self) -> Vec<u8> {
        LONGER.fetch_sub(longer(self.0.len()), Ordering::Relaxed);
        std::mem::take(&mut self.0).into_vec()
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        drop(self.take());
    }
}

/// How much of so many bytes is paid for from what all have together.
fn longer(bytes: usize) -> usize {
    if bytes > ALWAYS { bytes } else { 0 }
}

/// What was looked at up to the end of what there is.
pub(super) struct Looked {
    /// That end, a file offset.
    end: u64,
    /// Where the NULs begin before it, if it is any.
    pub(super) room: Option<u64>,
    rest: Rest,
}

impl Looked {
    /// Of a buffer that begins at `start` of the file, and of which what is before `from` is in records.
    pub(super) fn at(framer: Framer, buffer: &[u8], from: usize, start: u64) -> Self {
        let (end, rest) = (start + buffer.len() as u64, &buffer[from..]);
        let nuls = framer.at(start + from as u64).trailing_nuls(rest);
        Self {
            end,
            room: (nuls > 0).then(|| end - nuls as u64),
            rest: Rest::of(rest),
        }
    }
}

impl Generation {
    /// Takes down what there is.
    pub(super) fn saw(&mut self, stat: &Stat, looked: Looked) {
        (self.looked, self.rest) = (looked.end, looked.rest);
        self.set_room(looked.room);
        (self.looked_modified, self.checked) = (stat.modified, stat.modified);
    }

    /// Whether all that was looked at and is in no record is in memory.
    fn has_whole_rest(&self) -> bool {
        !self.rest.0.is_empty() && self.looked - self.next.offset == self.rest.0.len() as u64
    }

    /// Whether memory has more of what is gone than this copy of it: all that the copy has beyond the position, and what came
    /// between the copy and the truncation.
    pub(crate) fn outreaches(&self, copy: &File, stat: &Stat) -> bool {
        let Some(length) = stat
            .size
            .checked_sub(self.next.offset)
            .filter(|_| self.has_whole_rest())
        else {
            return false;
        };
        let Some(both) = usize::try_from(length)
            .ok()
            .and_then(|length| self.rest.0.get(..length))
        else {
            return false;
        };
        let mut bytes = Vec::new();
        // One that cannot be read now is read later, and not from memory.
        let found = read_at(copy, &mut bytes, self.next.offset, both.len());
        both.len() < self.rest.0.len() && found.is_ok() && bytes == both
    }

    /// Takes the lines that were last looked at and are in no record out of memory, for a file in which they are gone; none
    /// when they were too long to keep.
    pub(crate) fn take_rest(&mut self, recipe: &Recipe) -> Option<Chunk> {
        let whole = self.has_whole_rest();
        let buffer = self.rest.take();
        if !whole {
            return None;
        }
        let mark = self.byte_order_mark(&buffer);
        let composer = recipe.composer(&self.stream, &mut self.kept);
        let sieve = &recipe.sieve(self.charset, composer.as_ref(), self.next.offset);
        let mut framed = sieve.frame(&buffer, mark, Tail::Final, self.next.split(), usize::MAX);
        let read = (sieve, buffer.as_slice(), Tail::Final, self.next.offset);
        let composed = composed(composer, read, &mut framed, usize::MAX);
        let passed = (0, framed.dropped_nuls, mark);
        let stat = self.source.stat(self.next.offset).ok()?;
        Some(self.advance(&stat, buffer, framed, passed).with(composed))
    }
}
