//! The first bytes of a generation, until their fingerprint is full.

use std::fs::File;
use std::io;

use crate::identity::{HEAD_LEN, Head, read_at};

/// The first bytes of a file, kept until there are enough of them.
#[derive(Debug, Default)]
pub struct HeadBytes {
    pub(super) bytes: Vec<u8>,
    pub(super) head: Head,
}

impl HeadBytes {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        let head = Head::of(&bytes);
        Self {
            bytes: if head.is_full() { Vec::new() } else { bytes },
            head,
        }
    }

    /// Whether a file begins with them.
    pub(super) fn is_of(&self, file: &File) -> io::Result<bool> {
        let mut bytes = Vec::new();
        read_at(file, &mut bytes, 0, self.head.len.into())?;
        Ok(Head::of(&bytes) == self.head)
    }

    /// Takes in what was found at `offset`, as far as it joins what is there.
    pub(super) fn extend(&mut self, offset: u64, found: &[u8]) {
        let Some(known) = usize::try_from(offset)
            .ok()
            .and_then(|offset| self.bytes.len().checked_sub(offset))
        else {
            return;
        };
        if !self.head.is_full() && known < found.len() {
            self.bytes
                .extend_from_slice(&found[known..found.len().min(known + HEAD_LEN)]);
            *self = Self::new(std::mem::take(&mut self.bytes));
        }
    }
}
