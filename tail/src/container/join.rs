//! From the lines of a container's log to records: the parts of a line joined, and groups of lines, for each stream by itself.
//!
//! The streams of one file are read as two logs that share its offsets: the position is before the first line that is in no
//! record yet, and `Sides` says how far the stream is that is ahead of it.

mod long;

use std::ops::Range;

use super::{Line, Side};
use crate::account::Skip;
use crate::charset::Charset;
use crate::compose::{Composed, Composer};
use crate::container::lane::{Group, Lane, Pending, Progress};
use crate::container::piece::{Piece, continues, torn};
use crate::filter::{Ends, Sieve, Split};
use crate::frame::{Framed, Tail};
use crate::json::escape;

/// Lines that are looked at before they are joined: what their ranges take is not paid for.
const LINES_AT_ONCE: usize = 1024;
/// No program's line is longer as its runtime writes it, in bytes: Docker and containerd cut at 16 KiB, of which each byte may
/// be escaped by six.
const LONGEST_PIECE: usize = 128 * 1024;
/// What a record's own time and stream take in its object, beyond what is counted for every object; bytes.
const TIME_AND_STREAM: usize = 32;

/// What makes records of a container's log.
#[derive(Debug, Clone)]
pub(crate) struct Containers {
    composer: Option<Composer>,
    /// Bytes that the text of a record may have; as it is written in JSON, if it is.
    room: usize,
    /// Bytes that what is made may take, about.
    space: usize,
    /// Where in the file the data begins.
    offset: u64,
}

impl Containers {
    /// For data from this file offset on, and records no longer than `max_line`.
    pub(crate) fn new(composer: Option<&Composer>, max_line: usize, offset: u64) -> Self {
        let room = composer.map_or(max_line, |composer| composer.room(TIME_AND_STREAM));
        Self {
            composer: composer.cloned(),
            room,
            space: usize::MAX,
            offset,
        }
    }

    /// The same for what takes no more memory than that.
    pub(crate) fn within(self, space: usize) -> Self {
        Self { space, ..self }
    }

    /// So many bytes of the file may be between the first and the last of a record: with those of the other stream, with
    /// times, and escaped.
    pub(crate) fn reach(max_line: usize) -> usize {
        (2 * max_line).max(LONGEST_PIECE)
    }

    /// As [`Sieve::frame`].
    pub(crate) fn frame(
        &self,
        sieve: &Sieve,
        data: &[u8],
        from: usize,
        (tail, split): (Tail, Split),
        max_records: usize,
    ) -> Framed {
        let mut joiner = Joiner::new(self, sieve, split);
        let (mut at, mut framer_part, mut nuls) = (from, split.part, 0);
        loop {
            let found = sieve.framer.frame(data, at, tail, framer_part, LINES_AT_ONCE);
            let end = index(found.consumed - found.dropped_nuls);
            let mut labels = found.parts.into_iter().peekable();
            for (nth, line) in found.records.iter().enumerate() {
                if joiner.is_full(max_records) {
                    return joiner.finish(line.start as usize, 0);
                }
                let after = found.records.get(nth + 1).map_or(end, |next| next.start);
                let label = labels.next_if(|(of, _)| *of as usize == nth).map(|(_, label)| label);
                let bytes = &data[line.start as usize..line.end as usize];
                joiner.cut(line.end as usize);
                let parsed = Line::parse(bytes).filter(|_| label.is_none() && joiner.part == 0);
                match parsed.map(|parsed| parsed.with_cr(&data[line.start as usize..after as usize])) {
                    Some(line_of) => joiner.take(line_of, line.start..after),
                    None => {
                        let is_whole = label.as_deref().is_none_or(|label| label.contains('/'));
                        joiner.take_odd(bytes, line.start..after, is_whole);
                    }
                }
            }
            nuls += found.dropped_nuls;
            framer_part = found.part;
            if found.consumed == at {
                break;
            }
            at = found.consumed;
        }
        joiner.cut(at + sieve.framer.certain_rest(data, at, tail));
        if tail == Tail::Final {
            joiner.close(index(at));
        } else {
            joiner.close_oldest_group(sieve.ends);
        }
        joiner.out.is_through = true;
        joiner.finish(at, nuls)
    }

    /// How long a text is in a record.
    fn weight(&self, text: &[u8], scratch: &mut Vec<u8>) -> usize {
        if self.composer.is_none() {
            return text.len();
        }
        scratch.clear();
        escape(&String::from_utf8_lossy(text), scratch);
        scratch.len()
    }
}

/// The records that are found so far, and what is open.
struct Joiner<'a> {
    containers: &'a Containers,
    sieve: &'a Sieve,
    out: Framed,
    made: Composed,
    lanes: [Lane; 2],
    /// Of a line that no runtime wrote: how many parts were made, and why they do not ship.
    part: u32,
    passed: Option<Skip>,
    taken: usize,
    scratch: Vec<u8>,
}

impl<'a> Joiner<'a> {
    fn new(containers: &'a Containers, sieve: &'a Sieve, split: Split) -> Self {
        let lane = |side: Side| {
            let lane = split.sides.map(|sides| Lane::at(sides[side as usize]));
            let mut lane = lane.unwrap_or_default();
            lane.cut.take_if(|_| sieve.multiline.is_none());
            lane
        };
        Self {
            containers,
            sieve,
            out: Framed::default(),
            made: Composed::default(),
            lanes: [lane(Side::Stdout), lane(Side::Stderr)],
            part: split.part,
            passed: split.passed,
            taken: 0,
            scratch: Vec::new(),
        }
    }

    fn is_full(&self, max_records: usize) -> bool {
        let bytes = self.made.buffer.len() + self.out.records.len() * 2 * size_of::<Range<u32>>();
        let made = self.out.records.len();
        made > 0 && (made >= max_records || bytes >= self.containers.space)
    }

    /// A line of a program, or a part of one.
    fn take(&mut self, line: Line<'_>, extent: Range<u32>) {
        let side = line.side;
        if self.containers.offset + u64::from(extent.start) < self.lanes[side as usize].from {
            return;
        }
        let lane = &self.lanes[side as usize];
        let mut text = &*line.text;
        if lane.line.is_none() {
            text = lane.left_of(text);
        }
        let begun = self.take_begun(side);
        let joined = begun.as_ref().map(|begun| [&begun.text, text].concat());
        text = joined.as_deref().unwrap_or(text);
        let mut weight = self.weight(text);
        let lane = &mut self.lanes[side as usize];
        let is_too_long = |pending: &mut Pending| pending.weight + weight > self.containers.room;
        if let Some(mut part) = lane.line.take_if(is_too_long) {
            let (_, missing) = self.torn(&part.text);
            let borrowed = if continues(text, missing) { missing } else { 0 };
            part.text.extend_from_slice(&text[..borrowed]);
            text = &text[borrowed..];
            self.part_of(side, part);
            self.lanes[side as usize].borrowed = few(borrowed);
            weight = self.weight(text);
        }
        let begun = begun.map(Pending::without_text);
        if weight > self.containers.room {
            self.take_long(&line, text, extent, begun);
            return;
        }
        let lane = &mut self.lanes[side as usize];
        let is_alone = begun.is_none() && lane.line.is_none() && lane.part == 0 && self.sieve.multiline.is_none();
        if is_alone && !line.is_part {
            let own = extent.end - extent.start;
            self.emit(Some(side), text, (extent.start, own), &line.time, Piece::Whole);
            return;
        }
        let new = || begun.unwrap_or_else(|| Pending::new(extent.start, &line.time));
        let pending = lane.line.get_or_insert_with(new);
        pending.add(text, weight, extent);
        if !line.is_part {
            self.finish_line(side);
        }
    }

    /// How long a text is in a record, with what may be missing of its last character.
    fn weight(&mut self, text: &[u8]) -> usize {
        self.containers.weight(text, &mut self.scratch) + self.torn(text).1
    }

    /// How many bytes there are of a character that this text ends inside of, and how many are in the next piece: runtimes cut
    /// at bytes.
    fn torn(&self, text: &[u8]) -> (usize, usize) {
        let is_utf_8 = self.sieve.framer.charset() == Charset::UTF_8;
        if is_utf_8 { torn(text) } else { (0, 0) }
    }

    /// A part of a line that is longer than a record: in no group.
    fn part_of(&mut self, side: Side, part: Pending) {
        self.close_group(side);
        let lane = &mut self.lanes[side as usize];
        (lane.part, lane.cut, lane.borrowed) = (lane.part + 1, None, 0);
        let label = lane.part.to_string();
        self.emit_pending(side, &part, Piece::Part(label));
    }

    /// The line of a program is whole.
    fn finish_line(&mut self, side: Side) {
        let lane = &mut self.lanes[side as usize];
        let Some(line) = lane.line.take() else { return };
        if lane.part > 0 {
            let last = std::mem::take(&mut lane.part) + 1;
            lane.borrowed = 0;
            self.emit_pending(side, &line, Piece::Part(format!("{last}/{last}")));
            return;
        }
        let Some(multiline) = &self.sieve.multiline else {
            self.emit_pending(side, &line, Piece::Whole);
            return;
        };
        let before = lane.group.as_ref().map(|group| group.place).or(lane.cut.take());
        let next = before.and_then(|place| multiline.rule.next(place, &line.text));
        let line_end = if self.containers.composer.is_some() { 2 } else { 1 };
        if let Some(group) = &mut lane.group
            && let Some(place) = next
            && group.lines.weight + line_end + line.weight <= self.containers.room
        {
            group.add(&line, line_end, place);
        } else {
            self.close_group(side);
            let place = next.unwrap_or_else(|| multiline.rule.first(&line.text));
            let rest = before.filter(|_| next.is_some());
            self.lanes[side as usize].group = Some(Group::new(line, place, rest));
        }
        let lane = &mut self.lanes[side as usize];
        if lane
            .group
            .as_ref()
            .is_some_and(|group| group.count >= multiline.max_lines)
        {
            self.cut_group(side);
        }
    }

    /// A line that no runtime wrote, or a part of it, ships as it is, after what was open: nothing can be joined over it.
    fn take_odd(&mut self, bytes: &[u8], extent: Range<u32>, is_whole: bool) {
        self.close(extent.start);
        self.out.is_odd = true;
        let mut own = extent.end - extent.start;
        let mut rest = bytes;
        let now = self.now();
        loop {
            let (text, more) = rest.split_at(self.fitting(rest));
            rest = more;
            let is_last = rest.is_empty() && is_whole;
            let piece = match (is_last, self.part) {
                (true, 0) => Piece::Whole,
                (true, part) => Piece::Part(format!("{0}/{0}", part + 1)),
                (false, part) => Piece::Part((part + 1).to_string()),
            };
            self.part = if is_last { 0 } else { self.part + 1 };
            self.emit(None, text, (extent.start, std::mem::take(&mut own)), &now, piece);
            if rest.is_empty() {
                return;
            }
        }
    }

    fn now(&self) -> String {
        let composer = self.containers.composer.as_ref();
        composer.map_or_else(String::new, |composer| composer.origin.now())
    }

    /// What began so far before this place in the data is given up as it is.
    fn cut(&mut self, end: usize) {
        let reach = self.sieve.framer.max_line();
        for side in [Side::Stdout, Side::Stderr] {
            let lane = &mut self.lanes[side as usize];
            let is_far = |start: u32| end - start as usize > reach;
            if lane.group.as_ref().is_some_and(|group| is_far(group.lines.start)) {
                self.cut_group(side);
            }
            let lane = &mut self.lanes[side as usize];
            if let Some(part) = lane.line.take_if(|line| is_far(line.start)) {
                self.part_of(side, part);
            }
        }
    }

    /// Nothing more belongs to what is open; `at` is where that is known.
    fn close(&mut self, at: u32) {
        for side in [Side::Stdout, Side::Stderr] {
            let lane = &mut self.lanes[side as usize];
            if lane.part > 0 && lane.line.is_none() {
                // All there is of it went already, and no part said that it was the last.
                let now = self.now();
                self.lanes[side as usize].line = Some(Pending::new(at, &now));
            }
            self.finish_line(side);
            self.close_group(side);
            let lane = &mut self.lanes[side as usize];
            (lane.part, lane.passed, lane.cut, lane.borrowed) = (0, None, None, 0);
        }
    }

    fn close_group(&mut self, side: Side) {
        if let Some(group) = self.lanes[side as usize].group.take() {
            let piece = if group.rest.is_some() {
                Piece::Rest
            } else {
                Piece::Whole
            };
            self.emit_pending(side, &group.lines, piece);
        }
    }

    /// A limit ends a group: what it cuts off goes on where that stood.
    fn cut_group(&mut self, side: Side) {
        let place = self.lanes[side as usize].group.as_ref().map(|group| group.place);
        self.close_group(side);
        self.lanes[side as usize].cut = place;
    }

    fn oldest_group(&self) -> Option<(Side, &Group)> {
        let sides = [Side::Stdout, Side::Stderr].into_iter();
        let groups = sides.filter_map(|side| Some((side, self.lanes[side as usize].group.as_ref()?)));
        groups.min_by_key(|(_, group)| group.lines.start)
    }

    fn close_oldest_group(&mut self, ends: Ends) {
        let is_over = |(_, group): &(Side, &Group)| ends.group(group.lines.after as usize);
        if let Some(side) = self.oldest_group().filter(is_over).map(|(side, _)| side) {
            self.close_group(side);
        }
    }

    fn emit_pending(&mut self, side: Side, record: &Pending, piece: Piece) {
        self.emit(
            Some(side),
            &record.text,
            (record.start, record.own),
            &record.time,
            piece,
        );
    }

    /// Makes a record, unless the filter leaves it out. `start` is where its first line is, `own` how many bytes of the file
    /// are its.
    fn emit(&mut self, side: Option<Side>, text: &[u8], (start, own): (u32, u32), time: &str, piece: Piece) {
        let passed = match side {
            Some(side) => &mut self.lanes[side as usize].passed,
            None => &mut self.passed,
        };
        if piece.begins() {
            *passed = self.sieve.filter.as_ref().and_then(|filter| filter.judge(text));
        }
        if let Some(why) = *passed {
            self.out.skip(start..start + own, why);
            return;
        }
        let buffer = &mut self.made.buffer;
        let begin = index(buffer.len());
        match &self.containers.composer {
            None => buffer.extend_from_slice(text),
            Some(composer) => {
                let offset = self.containers.offset + u64::from(start);
                let text = String::from_utf8_lossy(text);
                composer
                    .envelope
                    .write_of((time, side.map(Side::name)), &text, offset, buffer);
            }
        }
        if let Piece::Part(label) = piece {
            self.out.parts.push((index(self.out.records.len()), label));
        }
        self.out.records.push(begin..index(self.made.buffer.len()));
        self.made.extents.push(start..start + own);
        self.taken += own as usize;
    }

    /// Everything before `at` was looked at, the last `nuls` of it no data.
    fn finish(mut self, at: usize, nuls: usize) -> Framed {
        self.out.open = self.oldest_group().map(|(_, group)| group.lines.after as usize);
        let consumed = self.lanes.iter().filter_map(Lane::start).fold(at, usize::min);
        let progress = |lane: &Lane| {
            let cut = lane.group.as_ref().map_or(lane.cut, |group| group.rest);
            Progress {
                offset: self.containers.offset + lane.start().unwrap_or(at) as u64,
                part: lane.part,
                passed: lane.passed.filter(|_| lane.part > 0 || cut.is_some()),
                cut,
                borrowed: lane.borrowed,
            }
        };
        let sides = [progress(&self.lanes[0]), progress(&self.lanes[1])];
        let at_mark = Progress::at(self.containers.offset + consumed as u64);
        self.out.sides = (sides != [at_mark; 2]).then_some(sides);
        self.out.consumed = consumed;
        (self.out.part, self.out.passed) = (self.part, self.passed.filter(|_| self.part > 0));
        if consumed == at {
            self.out.dropped_nuls = nuls;
        }
        self.out.taken = Some(self.taken);
        self.out.made = Some(self.made);
        self.out
    }
}

/// Bytes of a character.
fn few(bytes: usize) -> i8 {
    i8::try_from(bytes).unwrap_or_default()
}

#[expect(clippy::cast_possible_truncation, reason = "read windows are far below 4 GiB")]
fn index(value: usize) -> u32 {
    value as u32
}
