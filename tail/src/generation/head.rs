//! The first bytes of a generation, until their fingerprint is full.

use std::fs::File;
use std::io;

use crate::identity::{HEAD_LEN, Head, read_at};

/// Once a file is read so far, its first bytes go and only their fingerprint stays: so much is hardly read between a copy of
/// less than [`HEAD_LEN`] bytes and the truncation, and 10,000 larger files cost 10 MB less.
const KEPT_UNTIL: u64 = 64 * 1024;

/// The first bytes of a file.
#[derive(Debug, Default)]
pub struct HeadBytes {
    /// None of them from a position of [`KEPT_UNTIL`] on.
    pub(super) bytes: Box<[u8]>,
    pub(super) head: Head,
}

impl HeadBytes {
    /// Of a file that is read to `position`.
    pub(super) fn new(mut bytes: Vec<u8>, position: u64) -> Self {
        let head = Head::of(&bytes);
        if position >= KEPT_UNTIL {
            bytes = Vec::new();
        }
        let bytes = bytes.into_boxed_slice();
        Self { bytes, head }
    }

    /// Whether a file begins with them.
    pub(super) fn is_of(&self, file: &File) -> io::Result<bool> {
        let mut bytes = Vec::new();
        read_at(file, &mut bytes, 0, self.head.len.into())?;
        Ok(Head::of(&bytes) == self.head)
    }

    /// Takes in what was found at `offset`, as far as it joins what is there.
    pub(super) fn extend(&mut self, offset: u64, found: &[u8]) {
        if self.head.is_full() {
            if offset >= KEPT_UNTIL {
                self.bytes = Box::default();
            }
            return;
        }
        let Some(known) = usize::try_from(offset)
            .ok()
            .and_then(|offset| self.bytes.len().checked_sub(offset))
        else {
            return;
        };
        if known < found.len() {
            let missing = HEAD_LEN - self.bytes.len();
            let more = &found[known..found.len().min(known + missing)];
            *self = Self::new([&*self.bytes, more].concat(), offset);
        }
    }
}
