//! What of a container's log is longer than a record.

use std::ops::Range;

use super::{Joiner, few};
use crate::container::lane::Pending;
use crate::container::{Line, Side};

impl Joiner<'_> {
    /// What there is of a line, if that is the beginning of a character.
    pub(super) fn take_begun(&mut self, side: Side) -> Option<Pending> {
        let text = &self.lanes[side as usize].line.as_ref()?.text;
        let is_begun = !text.is_empty() && self.torn(text).0 == text.len();
        self.lanes[side as usize].line.take_if(|_| is_begun)
    }

    /// A text that is too long for one record; with what it begins before this line, if it does. All of it is taken at once, but
    /// for the beginning of a character that ends in the next line.
    pub(super) fn take_long(&mut self, line: &Line<'_>, text: &[u8], extent: Range<u32>, begun: Option<Pending>) {
        let torn = if line.is_part { self.torn(text).0 } else { 0 };
        let torn = if torn < text.len() && torn <= line.text.len() {
            torn
        } else {
            0
        };
        let (mut rest, end) = text.split_at(text.len() - torn);
        let mut pending = begun.unwrap_or_else(|| Pending::new(extent.start, &line.time));
        if torn == 0 {
            pending.own += extent.end - extent.start;
        }
        loop {
            let cut = self.fitting(rest);
            pending.text = rest[..cut].to_vec();
            rest = &rest[cut..];
            if rest.is_empty() {
                break;
            }
            let next = Pending::new(extent.start, &line.time);
            self.part_of(line.side, std::mem::replace(&mut pending, next));
        }
        if !line.is_part {
            self.lanes[line.side as usize].line = Some(pending);
            self.finish_line(line.side);
            return;
        }
        self.part_of(line.side, pending);
        if torn > 0 {
            let weight = self.weight(end);
            let lane = &mut self.lanes[line.side as usize];
            lane.borrowed = -few(torn);
            let kept = lane.line.insert(Pending::new(extent.start, &line.time));
            kept.add(end, weight, extent);
        }
    }

    /// How much of a text fits in a record; at least a character.
    pub(super) fn fitting(&mut self, text: &[u8]) -> usize {
        let room = self.containers.room;
        let mut bytes = text.len();
        if bytes > room {
            // No text is shorter in a record: what is behind need not be weighed for each part.
            bytes = self.sieve.framer.cut(text, 0, room).max(1);
        }
        loop {
            let weight = self.containers.weight(&text[..bytes], &mut self.scratch);
            if weight <= room || bytes <= 1 {
                return bytes;
            }
            let limit = (bytes * room / weight).clamp(1, bytes - 1);
            let cut = self.sieve.framer.cut(text, 0, limit).max(1);
            if cut >= bytes {
                return bytes;
            }
            bytes = cut;
        }
    }
}
