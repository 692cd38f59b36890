//! A generation whose handle was given back for a while.

use std::fs::File;
use std::sync::Arc;

use super::{Generation, Group, HeadBytes, Nuls, Rest};
use crate::charset::Charset;
use crate::identity::{Head, Inode};
use crate::position::Mark;
use crate::source::Source;
use crate::stream::Stream;

/// What of a generation stays when its handle is given back, see [`Generation::pause`].
#[derive(Debug)]
pub struct Paused {
    inode: Inode,
    stream: Arc<Stream>,
    next: Mark,
    looked: u64,
    looked_modified: i64,
    head: HeadBytes,
    seen: Head,
    hole: bool,
    charset: Option<Charset>,
    largest: u64,
    rest: Rest,
    room: Option<u64>,
    is_cut: bool,
    group: Option<Box<Group>>,
}

impl Generation {
    /// Closes the file; everything else is kept.
    #[must_use]
    pub fn pause(self) -> Paused {
        let room = self.room();
        Paused {
            inode: self.inode,
            stream: self.stream,
            next: self.next,
            looked: self.looked,
            looked_modified: self.looked_modified,
            head: self.head,
            seen: self.seen,
            hole: self.hole,
            charset: self.charset,
            largest: self.largest,
            rest: self.rest,
            room,
            is_cut: self.is_cut,
            group: self.group,
        }
    }

    /// Goes on in a file with the same inode, which may have been cut or written anew meanwhile: the next look at its
    /// content tells.
    #[must_use]
    pub fn unpause(paused: Paused, file: File) -> Self {
        Self {
            source: Source::Plain(file),
            inode: paused.inode,
            stream: paused.stream,
            next: paused.next,
            looked: paused.looked,
            looked_modified: paused.looked_modified,
            checked: 0,
            head: paused.head,
            seen: paused.seen,
            hole: paused.hole,
            charset: paused.charset,
            kept: None,
            window: None,
            largest: paused.largest,
            modified: 0,
            rest: paused.rest,
            nuls: paused.room.map(|room| Box::new(Nuls::of(room))),
            is_cut: paused.is_cut,
            group: paused.group,
            is_odd: false,
        }
    }
}

// === impl Paused ===

impl Paused {
    /// What was seen and not read may be other records now.
    pub(crate) fn look_anew(&mut self) {
        (self.looked, self.looked_modified, self.group) = (self.next.offset, 0, None);
    }

    /// Device and inode.
    #[must_use]
    pub fn inode(&self) -> Inode {
        self.inode
    }

    /// Whether nothing was ever seen in it.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.next.offset == 0 && self.seen.is_empty()
    }

    /// The file has this size now. Less than what is known of it means that it was cut, whatever is written to it until it
    /// is opened again.
    pub fn saw_size(&mut self, size: u64) {
        self.is_cut |= size < self.next.offset.max(self.seen.len.into());
    }

    /// End of what was handed out.
    #[must_use]
    pub fn next(&self) -> Mark {
        self.next
    }

    /// The stream it belongs to.
    #[must_use]
    pub fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }
}
