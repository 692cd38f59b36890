//! Reading one file generation: where it stands, what came since, and whether it is still the same content.

mod chunk;
mod group;
mod head;
mod nuls;
mod paused;
mod rest;
mod witness;

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::account::{Passed, Skip};
use crate::archive::Archive;
use crate::charset::Charset;
use crate::compose::composed;
use crate::file::{first_bytes, holds, is_copy};
use crate::filter::Ends;
use crate::frame::Tail;
use crate::identity::{Guard, HEAD_LEN, Head, Inode, Stat};
use crate::position::Mark;
use crate::shape::{Kept, Recipe};
use crate::source::Source;
use crate::spares::Spares;
use crate::stream::Stream;
use crate::wrong::{Wrong, does};
use chunk::named_charset;
pub use chunk::{Chunk, Reading};
pub(crate) use group::Ending;
use group::Group;
use head::HeadBytes;
use nuls::Nuls;
pub use paused::Paused;
use rest::{Looked, Rest};

/// Bytes read in one step: large enough that the system call does not count, small enough that a busy file never
/// holds the others up.
pub const STEP: usize = 256 * 1024;

/// One open file generation.
#[derive(Debug)]
pub struct Generation {
    source: Source,
    inode: Inode,
    stream: Arc<Stream>,
    /// End of what was handed out.
    next: Mark,
    /// Up to here was looked at and no line end found.
    looked: u64,
    /// Modification time when it was looked at so far.
    looked_modified: i64,
    /// Modification time at the last look that found the bytes before the position unchanged.
    checked: i64,
    head: HeadBytes,
    /// While nothing was handed out: the first bytes, as far as they were seen.
    seen: Head,
    /// NULs at `next` are a hole left by a truncation.
    hole: bool,
    /// What its byte-order mark says it is written in, or said before a truncation.
    charset: Option<Charset>,
    kept: Option<Box<Kept>>,
    /// How much is read at once, for a line that is longer than a step.
    window: Option<NonZeroUsize>,
    largest: u64,
    /// Modification time at the last look.
    modified: i64,
    rest: Rest,
    /// What is known of NULs at its end. Few files have any.
    nuls: Option<Box<Nuls>>,
    /// It was seen to end before the position while it was closed.
    is_cut: bool,
    /// With `multiline`: what it ends in may be a part of a record.
    group: Option<Box<Group>>,
    /// It was said that it is no container's log.
    is_odd: bool,
}

impl Generation {
    /// A generation that is read from `stream`'s mark on, which the caller knows to fit the file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn open(source: impl Into<Source>, stat: &Stat, stream: Arc<Stream>) -> io::Result<Self> {
        let record = stream.record();
        let hole = record.truncated && record.mark.offset == 0;
        Self::at(source.into(), stat, stream, record.mark, hole)
    }

    fn at(mut source: Source, stat: &Stat, stream: Arc<Stream>, next: Mark, hole: bool) -> io::Result<Self> {
        let known = next.offset.min(HEAD_LEN as u64);
        let bytes = source.head(usize::try_from(known).unwrap_or(HEAD_LEN))?;
        let ((charset, _), seen) = (named_charset(&bytes, &stream), stream.record().head);
        Ok(Self {
            source,
            inode: stat.inode,
            stream,
            next,
            looked: next.offset,
            looked_modified: 0,
            checked: 0,
            charset,
            head: HeadBytes::new(bytes, next.offset),
            seen,
            hole,
            kept: None,
            window: None,
            largest: next.offset,
            modified: stat.modified,
            rest: Rest::default(),
            nuls: None,
            is_cut: false,
            group: Group::behind_cut(&next).map(Box::new),
            is_odd: false,
        })
    }

    /// Forgets how far it was read, see `Wrong::DuplicateAfterReload`.
    pub(crate) fn begin_again(&mut self) {
        (self.next, self.looked, self.looked_modified) = (Mark::default(), 0, 0);
    }

    /// The same stream goes on in another file that holds the same bytes up to here: a copy.
    ///
    /// # Errors
    /// When the copy cannot be read.
    pub fn in_copy(&self, source: impl Into<Source>, stat: &Stat) -> io::Result<Self> {
        self.stream.update(|record| record.inode = stat.inode);
        Self::at(source.into(), stat, Arc::clone(&self.stream), self.next, self.hole)
    }

    /// The open file, for a new generation in the same inode.
    ///
    /// # Errors
    /// When no handle is left.
    pub fn try_clone_file(&self) -> io::Result<File> {
        self.source.try_clone_file()
    }

    /// The archive it is read from, unless that is a plain file.
    #[must_use]
    pub fn archive(&self) -> Option<&Archive> {
        match &self.source {
            Source::Plain(_) => None,
            Source::Archive(archive) => Some(archive),
        }
    }

    /// Where it is read from, for another stream.
    #[must_use]
    pub fn into_source(self) -> Source {
        self.source
    }

    /// What the system says of it now; the size of an archive is what was decoded of it, see [`Source::stat`].
    ///
    /// # Errors
    /// What `fstat` answers.
    pub fn stat(&mut self) -> io::Result<Stat> {
        let stat = self.source.stat(self.next.offset)?;
        self.largest = self.largest.max(stat.size);
        self.modified = stat.modified;
        Ok(stat)
    }

    /// Device and inode.
    #[must_use]
    pub fn inode(&self) -> Inode {
        self.inode
    }

    /// The stream it belongs to.
    #[must_use]
    pub fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }

    /// End of what was handed out.
    #[must_use]
    pub fn next(&self) -> Mark {
        self.next
    }

    /// Fingerprint of the first bytes handed out; of those that were seen while none was.
    #[must_use]
    pub fn head(&self) -> Head {
        if self.next.offset == 0 {
            self.seen
        } else {
            self.head.head
        }
    }

    /// Whether nothing was ever seen in it.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.next.offset == 0 && self.seen.is_empty()
    }

    /// Whether a file of `size` bytes, less than was handed out, begins like this one, as far as can be told.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn begins_like(&self, file: &File, size: u64) -> io::Result<bool> {
        let bytes = first_bytes(file)?;
        let begins = if bytes.len() == HEAD_LEN {
            Head::of(&bytes) == self.head.head
        } else {
            self.head.bytes.starts_with(&bytes)
        };
        Ok(begins && !Head::of(&bytes).is_empty() && size < self.next.offset)
    }

    /// Whether a file is a copy of the beginning of this one as it is now.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn has_copy(&self, file: &File, stat: &Stat) -> io::Result<bool> {
        match &self.source {
            Source::Plain(original) => is_copy(file, stat, original, &Stat::from(&original.metadata()?)),
            Source::Archive(_) => Ok(false),
        }
    }

    /// The largest size it was seen with; bytes.
    #[must_use]
    pub fn largest(&self) -> u64 {
        self.largest
    }

    /// Its modification time at the last look, nanoseconds since the epoch.
    #[must_use]
    pub fn last_modified(&self) -> i64 {
        self.modified
    }

    /// Whether there may be something to read: the file grew, or what is left of it was changed in place, as programs
    /// do that reserve room and fill it.
    #[must_use]
    pub fn has_news(&self, stat: &Stat) -> bool {
        self.source.has_more()
            || stat.size > self.looked
            || (self.has_rest(stat.size) && stat.modified != self.looked_modified)
    }

    /// Whether something is left that is no finished line.
    #[must_use]
    pub fn has_rest(&self, size: u64) -> bool {
        size > self.next.offset
    }

    /// Bytes that were seen in the file, by size, and were never handed out.
    #[must_use]
    pub fn unread(&self) -> u64 {
        self.largest.saturating_sub(self.next.offset)
    }

    /// Whether the bytes before the position are still the ones that were there. Looks only when the modification time
    /// moved: a file can be written anew at its old size.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn is_unchanged(&mut self, stat: &Stat) -> io::Result<bool> {
        let Source::Plain(file) = &self.source else {
            return Ok(true);
        };
        if self.is_cut {
            return Ok(false);
        }
        if self.checked == stat.modified {
            return Ok(true);
        }
        let unchanged = if self.next.offset == 0 {
            let bytes = first_bytes(file)?;
            self.begins_as_seen(&bytes)
        } else {
            // What is written anew may say the same there, as where only a time at its beginning is another.
            let is_unasked = self.checked > 0 && does(Wrong::GuardNotChecked);
            holds(file, &self.next)? && (is_unasked || self.head.is_of(file)?)
        };
        if unchanged {
            self.checked = stat.modified;
        }
        Ok(unchanged)
    }

    /// Whether the first bytes are still the ones that were seen. What came since is seen now.
    fn begins_as_seen(&mut self, bytes: &[u8]) -> bool {
        let known = bytes.get(..usize::from(self.seen.len));
        if known.map(Head::of) != Some(self.seen) {
            return false;
        }
        let head = Head::of(bytes);
        if head != self.seen {
            self.seen = head;
            self.stream.update(|record| record.head = head);
        }
        true
    }

    /// Reads the next records from a file whose size was `stat.size`, within a `budget` of [`Generation::cost`] bytes.
    /// `ending` says what more is expected.
    ///
    /// # Errors
    /// When it cannot be read; the position stays.
    pub(crate) fn read(
        &mut self,
        recipe: &Recipe,
        stat: &Stat,
        (budget, spares): (usize, &Spares),
        ending: Ending,
    ) -> io::Result<Reading> {
        let guard = usize::from(self.next.guard.len);
        let start = self.next.offset - guard as u64;
        let window = self.window(recipe);
        let size = match &mut self.source {
            Source::Plain(_) => stat.size,
            Source::Archive(archive) => {
                if archive.seek_data()? {
                    return Ok(Reading::Nothing);
                }
                archive.advance(start, self.next.offset + window.max(STEP) as u64)?;
                if archive.decoded() < self.next.offset {
                    return Ok(if archive.is_whole() {
                        Reading::Rewritten
                    } else {
                        Reading::Nothing
                    });
                }
                archive.decoded()
            }
        };
        let unread = usize::try_from(size.saturating_sub(self.next.offset)).unwrap_or(usize::MAX);
        let length = unread.min(window);
        if length + guard > budget {
            return Ok(Reading::More);
        }
        let mut buffer = spares.take(guard + length);
        let found = self.source.read_at(&mut buffer, start, guard + length)?;
        if found < guard || !self.next.guard.holds(&buffer[..guard]) {
            return Ok(Reading::Rewritten);
        }
        let is_open = self
            .archive()
            .is_some_and(|archive| !archive.is_whole() && !archive.is_cut());
        let whole = length == unread && found == guard + length && !is_open;
        let last = ending == Ending::Last;
        if last {
            self.look_through_nuls_anew(stat.modified);
        }
        let mut tail = if last && whole { Tail::Final } else { Tail::Open };
        let hole = if self.hole {
            let unit = self.charset.map_or(recipe.unit(), Charset::unit);
            match self.hole_end(&buffer[guard..], size, unit)? {
                Some(hole) => hole,
                None => return Ok(Reading::Nothing),
            }
        } else {
            0
        };
        let mark = self.byte_order_mark(&buffer[guard + hole..]);
        let composer = recipe.composer(&self.stream, &mut self.kept);
        // Where more is there, what comes next is in it, however long nothing was added.
        let mut sieve = recipe
            .sieve(self.charset, composer.as_ref(), start)
            .ending(if whole { self.ends(ending, start) } else { Ends::None })
            .within(budget - found);
        let (framer, split) = (sieve.framer, self.next.split());
        let limit = recipe.most_lines(budget - found, composer.as_ref());
        let from = guard + hole + mark;
        // A position after a byte-order mark would identify nothing: it comes with the first line.
        let nothing = if mark > 0 { from } else { guard };
        let decidable = framer.decidable() + nothing - guard;
        let mut framed = sieve.frame(&buffer, from, tail, split, limit);
        let is_room = !whole && self.is_known_room(&buffer, size);
        if framed.is_nothing(nothing) && !whole && (length >= decidable || is_room) {
            // Undecided for so long: NULs stand at the end of what was read.
            let Some(data_follows) = self.data_follows(&buffer, size)? else {
                return Ok(Reading::Nothing);
            };
            if data_follows {
                tail = Tail::MoreFollows;
            } else {
                sieve = sieve.ending(self.ends(ending, start));
                if last || self.archive().is_some() {
                    // What was looked through to its end is an archive, and nobody writes on in it.
                    tail = Tail::Final;
                }
            }
            framed = sieve.frame(&buffer, from, tail, split, limit);
        }
        if !framed.is_nothing(nothing) || (tail == Tail::Final && nothing > guard) {
            let read = (&sieve, buffer.as_slice(), tail, start);
            let composed = composed(composer, read, &mut framed, budget - found);
            let passed = (guard, hole + framed.dropped_nuls, mark);
            let is_through = whole && tail == Tail::Open && framed.is_through && framed.sides.is_some();
            self.rest = Rest::default();
            let looked = is_through.then(|| Looked::at(framer, &buffer, framed.consumed, start));
            buffer.truncate(framed.consumed);
            let chunk = self.advance(stat, buffer, framed, passed).with(composed);
            if let Some(looked) = looked {
                // What waits needs no second look.
                self.saw(stat, looked);
            }
            return Ok(Reading::Chunk(Box::new(chunk)));
        }
        if is_open && length < window {
            return Ok(Reading::Nothing);
        }
        if !whole && length < decidable && !is_room {
            self.window = NonZeroUsize::new((window * 2).min(decidable));
            return Ok(Reading::More);
        }
        self.saw_group(framed.open.map(|end| start + end as u64));
        self.rest = Rest::default();
        let looked = Looked::at(framer, &buffer, guard, start);
        if whole {
            self.saw(stat, looked);
        } else {
            // Nothing but NULs up to the end, however long: they are looked at again when the file changes.
            (self.looked, self.looked_modified) = (size, stat.modified);
            self.set_room(looked.room);
        }
        Ok(Reading::Nothing)
    }

    /// Moves to the end of what was framed. Passed over: the bytes before the position, NULs, a byte-order mark.
    fn advance(
        &mut self,
        stat: &Stat,
        mut buffer: Vec<u8>,
        framed: crate::frame::Framed,
        (guard, nuls, mark): (usize, usize, usize),
    ) -> Chunk {
        let offset = self.next.offset - guard as u64;
        let passed = Passed {
            nuls: nuls as u64,
            marks: mark as u64,
            excluded: framed.skipped_for(Skip::Excluded),
            not_included: framed.skipped_for(Skip::NotIncluded),
        };
        self.say_if_odd(&framed);
        let taken = framed.taken.map(|bytes| bytes as u64);
        let bytes = taken.unwrap_or_else(|| (framed.consumed - guard) as u64 - passed.total());
        self.head.extend(self.next.offset, &buffer[guard..]);
        self.next = Mark {
            offset: offset + framed.consumed as u64,
            guard: Guard::of(&buffer),
            part: framed.part,
            passed: framed.passed,
            cut: framed.cut,
            sides: framed.sides,
        };
        self.looked = self.next.offset;
        self.checked = stat.modified;
        // A hole longer than what is read at once goes on.
        self.hole &= framed.consumed - guard == nuls;
        self.set_room(None);
        // The other stream of a container may have waited all the while.
        self.saw_group(framed.open.map(|end| offset + end as u64));
        // What waits is read again with what comes.
        self.window.take_if(|_| self.next.sides.is_none());
        self.rest = Rest::default();
        if buffer.capacity() > 2 * buffer.len() {
            // The permit is cut to what is kept, so no more may be kept.
            buffer.shrink_to_fit();
        }
        Chunk {
            buffer,
            records: framed.records,
            parts: framed.parts,
            extents: framed.extents,
            offset,
            end: self.next,
            bytes,
            passed,
        }
    }
}
