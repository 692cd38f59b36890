//! What a truncation takes away in the file, and memory still has.

use super::{Chunk, Generation};
use crate::frame::Tail;
use crate::shape::Recipe;

impl Generation {
    /// Takes the unfinished line that was last looked at out of memory, for a file in which it is gone; none when it
    /// was too long to keep.
    pub(crate) fn take_rest(&mut self, recipe: &Recipe) -> Option<Chunk> {
        let whole = self.looked - self.next.offset == self.rest.len() as u64;
        let buffer = std::mem::take(&mut self.rest);
        if buffer.is_empty() || !whole {
            return None;
        }
        let mark = self.byte_order_mark(&buffer);
        let composer = recipe.composer(&self.stream, &mut self.kept);
        let sieve = &recipe.sieve(self.charset, composer.as_ref(), self.next.offset);
        let mut framed = sieve.frame(&buffer, mark, Tail::Final, self.next.split(), usize::MAX);
        let composed = framed.made.take().or_else(|| {
            composer.map(|composer| {
                let read = (sieve, buffer.as_slice(), Tail::Final, self.next.offset);
                composer.compose(read, &mut framed, usize::MAX)
            })
        });
        let passed = (0, framed.dropped_nuls, mark);
        let stat = self.source.stat(self.next.offset).ok()?;
        Some(self.advance(&stat, buffer, framed, passed).with(composed))
    }
}
