//! What of one stream of a container is in no record yet.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::account::Skip;
use crate::multiline::Place;

/// How far a stream was read that is not at the mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// A file offset: its lines before are in records.
    pub(super) offset: u64,
    /// How many parts of its next line are.
    #[serde(default)]
    pub(super) part: u32,
    /// Why those did not ship, if they did not; or what there was of the group that was cut.
    #[serde(default)]
    pub(super) passed: Option<Skip>,
    /// A limit ended a group there, which stood so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cut: Option<Place>,
    /// So many bytes of its next line are in the last part: the end of a character. Below zero, all but so many: the beginning
    /// of one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) borrowed: i8,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(value: &i8) -> bool {
    *value == 0
}

impl Progress {
    /// Of a stream that is not ahead of this file offset.
    pub(crate) fn at(offset: u64) -> Self {
        Self {
            offset,
            part: 0,
            passed: None,
            cut: None,
            borrowed: 0,
        }
    }

    /// See [`crate::position::Mark::is_behind_cut`].
    pub(crate) fn is_behind_cut(&self) -> bool {
        self.cut.is_some()
    }

    /// See [`crate::position::Mark::forget_cut`].
    pub(crate) fn forget_cut(&mut self) {
        if self.cut.take().is_some() {
            self.passed = None;
        }
    }

    /// Whether parts of its next line are in records.
    pub(crate) fn is_in_line(&self) -> bool {
        self.part > 0
    }
}

/// How far the streams of a container were read, by `Side`.
pub type Sides = [Progress; 2];

/// A stream of a container.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Its lines before this file offset are in records already.
    pub(super) from: u64,
    /// How many parts of its line are, and why they did not ship; or what there was of the group that was cut.
    pub(super) part: u32,
    pub(super) passed: Option<Skip>,
    /// Where a group stood that a limit ended, if nothing came since.
    pub(super) cut: Option<Place>,
    /// How many bytes of its next line are in parts; below zero, all but so many.
    pub(super) borrowed: i8,
    /// A line of the program that is not whole yet.
    pub(super) line: Option<Pending>,
    /// Whole lines to which more may belong.
    pub(super) group: Option<Group>,
}

impl Lane {
    pub(super) fn at(progress: Progress) -> Self {
        Self {
            from: progress.offset,
            part: progress.part,
            passed: progress.passed,
            cut: progress.cut,
            borrowed: progress.borrowed,
            ..Self::default()
        }
    }

    /// What of the text of its next line is in no part.
    pub(super) fn left_of<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        let count = usize::from(self.borrowed.unsigned_abs());
        let parts = if self.borrowed < 0 {
            text.len().saturating_sub(count)
        } else {
            count
        };
        text.get(parts..).unwrap_or_default()
    }

    /// Where the first line is that is in no record.
    pub(super) fn start(&self) -> Option<usize> {
        let group = self.group.as_ref().map(|group| &group.lines);
        group.or(self.line.as_ref()).map(|pending| pending.start as usize)
    }
}

/// A text that becomes a record, or a part of one.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) text: Vec<u8>,
    /// How long the text is in a record.
    pub(super) weight: usize,
    /// Where its first line begins in the data, and where its last one ends.
    pub(super) start: u32,
    pub(super) after: u32,
    /// Bytes of the file that are its: lines of the other stream may be between.
    pub(super) own: u32,
    pub(super) time: String,
}

impl Pending {
    pub(super) fn new(start: u32, time: &str) -> Self {
        Self {
            start,
            after: start,
            time: time.to_owned(),
            ..Self::default()
        }
    }

    /// What belongs to it of the file.
    pub(super) fn without_text(self) -> Self {
        let (text, weight) = (Vec::new(), 0);
        Self { text, weight, ..self }
    }

    pub(super) fn add(&mut self, text: &[u8], weight: usize, extent: Range<u32>) {
        self.text.extend_from_slice(text);
        self.weight += weight;
        self.own += extent.end - extent.start;
        self.after = extent.end;
    }
}

/// Lines of the program that are one record.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) lines: Pending,
    pub(super) count: usize,
    pub(super) place: Place,
    /// It is what a limit cut off a group, which stood there before it.
    pub(super) rest: Option<Place>,
}

impl Group {
    pub(super) fn new(line: Pending, place: Place, rest: Option<Place>) -> Self {
        Self {
            lines: line,
            count: 1,
            place,
            rest,
        }
    }

    /// One more line; the end of the one before has `line_end` bytes in a record.
    pub(super) fn add(&mut self, line: &Pending, line_end: usize, place: Place) {
        let lines = &mut self.lines;
        lines.text.push(b'\n');
        lines.text.extend_from_slice(&line.text);
        lines.weight += line_end + line.weight;
        lines.own += line.own;
        lines.after = line.after;
        (self.count, self.place) = (self.count + 1, place);
    }
}
