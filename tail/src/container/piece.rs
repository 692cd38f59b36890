//! Of what a record is made, and where a runtime may have cut it.

use crate::compose::parts_before;

/// What a record is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// A line, or a group of them.
    Whole,
    /// A part of a line, with this label.
    Part(String),
    /// What a limit cut off a group.
    Rest,
}

impl Piece {
    pub(super) fn begins(&self) -> bool {
        match self {
            Self::Whole => true,
            Self::Part(label) => parts_before(Some(label)) == 0,
            Self::Rest => false,
        }
    }
}

/// How many bytes there are of a UTF-8 character that this text ends inside of, and how many are missing of it.
pub(super) fn torn(text: &[u8]) -> (usize, usize) {
    let last = text.iter().rev().take(3).position(|byte| !is_continuation(*byte));
    let Some(last) = last else { return (0, 0) };
    let length: usize = match text[text.len() - last - 1] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 0,
    };
    match length.saturating_sub(last + 1) {
        0 => (0, 0),
        missing => (last + 1, missing),
    }
}

/// Whether a text begins with so many bytes of a character that began before it.
pub(super) fn continues(text: &[u8], missing: usize) -> bool {
    let first = text.get(..missing);
    first.is_some_and(|first| first.iter().all(|byte| is_continuation(*byte)))
}

fn is_continuation(byte: u8) -> bool {
    (0x80..0xc0).contains(&byte)
}
