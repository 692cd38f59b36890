//! Framing: which bytes of a file are one record. A pure function of the bytes: neither the chunks in which they
//! were written nor the sizes in which they are read change what comes out.

mod wide;

use std::ops::Range;

use memchr::memchr;

use crate::account::Skip;
use crate::charset::Charset;
use crate::compose::Composed;
use crate::container::Sides;
use crate::multiline::Place;
use crate::wrong::{Wrong, does};

/// Whether more bytes can follow the ones that are framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// The file may grow: a line without its end stays unread.
    Open,
    /// A byte other than NUL is known to follow, so NULs at the end of the data are content.
    MoreFollows,
    /// Nothing will follow (rotated, truncated or deleted): a line without its end ships as it is.
    Final,
}

/// The records found in a stretch of bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Framed {
    /// Records in file order, without line ends; an empty line is an empty range.
    pub records: Vec<Range<u32>>,
    /// For records that are parts of a split line: index in `records`, and "1", "2", the last "3/3".
    pub parts: Vec<(u32, String)>,
    /// How many bytes from the start of the data are accounted for: records, their line ends, dropped NULs.
    pub consumed: usize,
    /// NUL bytes at the very end of a final stretch, consumed but never shipped.
    pub dropped_nuls: usize,
    /// How many parts of the line at `consumed` have shipped already; 0 unless a line is being split.
    pub part: u32,
    /// With a filter: the lines of the records, line ends included.
    pub extents: Vec<Range<u32>>,
    /// With a filter: lines that do not ship, and why.
    pub skipped: Vec<(Range<u32>, Skip)>,
    /// Why the parts so far of the line that is being split do not ship, if they do not; or what there was of the group that
    /// was cut.
    pub passed: Option<Skip>,
    /// With `multiline`: behind the last line of the group at `consumed`, which may not be whole yet.
    pub open: Option<usize>,
    /// With `multiline`: records that are what a limit cut off a group, by index, and where the group stood before them.
    pub rests: Vec<(u32, Place)>,
    /// With `multiline`: a limit ended a group at `consumed`, which stood there.
    pub cut: Option<Place>,
    /// Of a container's log: how far its streams were read, if one is not at `consumed`.
    pub sides: Option<Sides>,
    /// Of a container's log: bytes of the file that are in records.
    pub taken: Option<usize>,
    /// Of a container's log: all of the data was looked at.
    pub is_through: bool,
    /// Of a container's log: some lines are not as runtimes write them.
    pub is_odd: bool,
    /// Of a container's log: what the records are in; they are no bytes of the data.
    pub(crate) made: Option<Composed>,
}

impl Framed {
    /// Whether nothing was found up to here.
    pub(crate) fn is_nothing(&self, at: usize) -> bool {
        self.consumed == at && self.records.is_empty() && self.skipped.is_empty()
    }
}

/// Cuts bytes into records.
#[derive(Debug, Clone, Copy)]
pub struct Framer {
    max_line: usize,
    charset: Charset,
    /// Whether the data begins with the second byte of a code unit.
    odd: bool,
}

impl Framer {
    /// A framer that splits lines longer than `max_line` bytes (line end not counted).
    #[must_use]
    pub fn new(max_line: usize) -> Self {
        Self {
            max_line: max_line.max(1),
            charset: Charset::UTF_8,
            odd: false,
        }
    }

    /// The same for text in this encoding.
    #[must_use]
    pub fn of(self, charset: Charset) -> Self {
        Self { charset, ..self }
    }

    /// Longer lines are split; bytes.
    pub(crate) fn max_line(&self) -> usize {
        self.max_line
    }

    /// The same with another limit; bytes.
    pub(crate) fn with_max_line(self, max_line: usize) -> Self {
        let max_line = max_line.max(1);
        Self { max_line, ..self }
    }

    /// These bytes, which begin at `at` of the data, as text.
    pub(crate) fn text<'a>(&self, bytes: &'a [u8], at: usize, scratch: &'a mut String) -> &'a str {
        self.charset
            .text(bytes, self.charset.unit() == 2 && self.is_odd(at), scratch)
    }

    /// The same for who takes bytes that are no text as they are, where they are meant to be UTF-8.
    pub(crate) fn text_bytes<'a>(&self, bytes: &'a [u8], at: usize, scratch: &'a mut String) -> &'a [u8] {
        if self.charset == Charset::UTF_8 {
            bytes
        } else {
            self.text(bytes, at, scratch).as_bytes()
        }
    }

    /// See [`Charset::cut`]; the text begins at `at` of the data.
    pub(crate) fn cut(&self, text: &[u8], at: usize, limit: usize) -> usize {
        self.charset.cut(text, limit, self.is_odd(at))
    }

    /// What the data is written in.
    #[must_use]
    pub fn charset(&self) -> Charset {
        self.charset
    }

    /// The same for data whose first byte is at this offset of the file: code units count from the file's start.
    #[must_use]
    pub fn at(self, offset: u64) -> Self {
        let odd = self.charset.unit() == 2 && offset % 2 == 1;
        Self { odd, ..self }
    }

    /// So many bytes without a line end are needed to decide that a line must be split: the limit, a CR and LF that would
    /// not count, and half a code unit.
    #[must_use]
    pub fn decidable(&self) -> usize {
        let unit = self.charset.unit();
        self.max_line + 2 * unit + unit - 1
    }

    /// Frames `data[from..]`; ranges and `consumed` count from the start of `data`. `part` is how many parts of the
    /// first line shipped before. At most `max_records` come out; what is left stays for the next call.
    #[must_use]
    pub fn frame(&self, data: &[u8], from: usize, tail: Tail, part: u32, max_records: usize) -> Framed {
        let mut out = Framed {
            consumed: from,
            part,
            ..Framed::default()
        };
        out.consumed += self.rest_of_line_end(data, from);
        while out.records.len() < max_records {
            let rest = &data[out.consumed..];
            match self.line_end(rest, out.consumed) {
                Some((end, _)) if end > self.max_line => self.split(rest, &mut out),
                Some((end, after)) => finish(&mut out, end, after),
                None if rest.is_empty() || !self.unfinished(rest, tail, &mut out) => break,
                None => {}
            }
        }
        out
    }

    /// Where the line that `rest` begins with ends, without its end and with it.
    fn line_end(&self, rest: &[u8], at: usize) -> Option<(usize, usize)> {
        if self.charset.unit() > 1 {
            return self.wide_line_end(rest, at);
        }
        let feed = memchr(b'\n', rest)?;
        let end = if feed > 0 && rest[feed - 1] == b'\r' {
            feed - 1
        } else {
            feed
        };
        Some((end, feed + 1))
    }

    /// A line without its end. True when something was consumed.
    fn unfinished(&self, rest: &[u8], tail: Tail, out: &mut Framed) -> bool {
        if tail == Tail::Open && does(Wrong::PartialLineDropped) {
            out.consumed += rest.len();
            return true;
        }
        let (content, certain) = self.content(rest, out.consumed, tail);
        let nuls = rest.len() - content;
        if certain > self.max_line {
            self.split(rest, out);
            return true;
        }
        if tail != Tail::Final {
            return false;
        }
        if content > 0 {
            finish(out, content, content);
        }
        out.consumed += nuls;
        out.dropped_nuls += nuls;
        true
    }

    /// How much of an unfinished line is no room at its end, and how much of that is no line end, whatever follows.
    fn content(&self, rest: &[u8], at: usize, tail: Tail) -> (usize, usize) {
        let nuls = if tail == Tail::MoreFollows {
            0
        } else {
            self.nuls_at_end(rest, at)
        };
        let content = rest.len() - nuls;
        let certain = if tail != Tail::Final && nuls == 0 {
            self.certain(rest, at)
        } else {
            content
        };
        (content, certain)
    }

    /// How much is certain to be in the line that begins at `at` and has no end yet; bytes.
    pub(crate) fn certain_rest(&self, data: &[u8], at: usize, tail: Tail) -> usize {
        self.content(&data[at..], at, tail).1
    }

    /// The last line that has its end within these bytes, which begin at `at` of the data: how many of them are before its
    /// end, and how many with it.
    pub(crate) fn last_line(&self, bytes: &[u8], at: usize) -> Option<(usize, usize)> {
        let mut last: Option<(usize, usize)> = None;
        loop {
            let from = last.map_or(0, |(_, after)| after);
            match self.line_end(&bytes[from..], at + from) {
                Some((end, after)) => last = Some((from + end, from + after)),
                None => return last,
            }
        }
    }

    /// How much of an unfinished line is no line end, whatever follows: with a CR last, an LF may.
    fn certain(&self, rest: &[u8], at: usize) -> usize {
        match rest {
            _ if self.charset.unit() > 1 => self.wide_certain(rest, at),
            [.., b'\r'] => rest.len() - 1,
            _ => rest.len(),
        }
    }

    /// How many NUL bytes stand at the end of `data[at..]`; of what is half a character none.
    fn nuls_at_end(&self, rest: &[u8], at: usize) -> usize {
        if self.charset.unit() > 1 {
            self.wide_nuls(rest, at)
        } else {
            trailing_nuls(rest)
        }
    }

    /// How many NUL bytes stand at the end of this data; of what is half a character none.
    #[must_use]
    pub fn trailing_nuls(&self, data: &[u8]) -> usize {
        self.nuls_at_end(data, 0)
    }

    /// Cuts one part of `max_line` bytes, never inside a character where the bytes are characters.
    fn split(&self, rest: &[u8], out: &mut Framed) {
        let cut = self.charset.cut(rest, self.max_line, self.is_odd(out.consumed));
        out.part += 1;
        out.parts.push((index(out.records.len()), out.part.to_string()));
        out.records.push(range(out.consumed, cut));
        out.consumed += cut;
    }
}

/// Adds the record that ends the line at `out.consumed`.
fn finish(out: &mut Framed, len: usize, consumed: usize) {
    if out.part > 0 {
        let last = out.part + 1;
        out.parts.push((index(out.records.len()), format!("{last}/{last}")));
        out.part = 0;
    }
    out.records.push(range(out.consumed, len));
    out.consumed += consumed;
}

/// How many NUL bytes stand at the end.
#[must_use]
pub fn trailing_nuls(bytes: &[u8]) -> usize {
    bytes.iter().rev().take_while(|byte| **byte == 0).count()
}

#[expect(clippy::cast_possible_truncation, reason = "read windows are far below 4 GiB")]
fn index(value: usize) -> u32 {
    value as u32
}

fn range(start: usize, len: usize) -> Range<u32> {
    index(start)..index(start + len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(data: &[u8], tail: Tail, max: usize) -> (Vec<Vec<u8>>, usize) {
        let framed = Framer::new(max).frame(data, 0, tail, 0, usize::MAX);
        let cut = |r: &Range<u32>| data[r.start as usize..r.end as usize].to_vec();
        (framed.records.iter().map(cut).collect(), framed.consumed)
    }

    #[track_caller]
    fn check(data: &str, tail: Tail, expected: &[&str], consumed: usize) {
        let (records, used) = lines(data.as_bytes(), tail, 10);
        let expected: Vec<Vec<u8>> = expected.iter().map(|s| s.as_bytes().to_vec()).collect();
        assert_eq!((records, used), (expected, consumed), "{data:?} {tail:?}");
    }

    #[test]
    fn line_ends_are_cut_and_nothing_else() {
        check("a\nb\r\n \tc \n", Tail::Open, &["a", "b", " \tc "], 10);
        check("\n\na\n\n", Tail::Open, &["", "", "a", ""], 5);
        check("a\rb\n\r\n", Tail::Open, &["a\rb", ""], 6);
    }

    #[test]
    fn an_unfinished_line_waits_until_nothing_can_follow() {
        check("a\nbc", Tail::Open, &["a"], 2);
        check("a\nbc", Tail::Final, &["a", "bc"], 4);
        check("bc\r", Tail::Final, &["bc\r"], 3);
    }

    #[test]
    fn nuls_at_the_end_are_not_data() {
        check("a\n\0\0\0", Tail::Open, &["a"], 2);
        check("a\nb\0\0", Tail::Final, &["a", "b"], 5);
        check("\0\0", Tail::Final, &[], 2);
        check("\0a\n", Tail::Open, &["\0a"], 3);
        check("a\n\0\0\0\0\0\0\0\0\0\0\0\0\0\0", Tail::Open, &["a"], 2);
    }

    #[test]
    fn a_line_at_the_limit_is_whole_and_one_byte_more_is_split() {
        check("0123456789\n", Tail::Open, &["0123456789"], 11);
        check("0123456789\r\n", Tail::Open, &["0123456789"], 12);
        check("0123456789\r", Tail::Open, &[], 0);
        check("0123456789a", Tail::Open, &["0123456789"], 10);
        check("0123456789a\n", Tail::Open, &["0123456789", "a"], 12);
        let framed = Framer::new(10).frame(b"0123456789abcdefghijXY\nz\n", 0, Tail::Open, 0, 99);
        assert_eq!(framed.parts, [(0, "1".into()), (1, "2".into()), (2, "3/3".into())]);
    }

    #[test]
    fn a_split_never_falls_inside_a_character() {
        check("12345678é€\n", Tail::Open, &["12345678é", "€"], 14);
        check("123456789é\n", Tail::Open, &["123456789", "é"], 12);
        // Not UTF-8: cut at the limit.
        let bytes = [0x80u8; 12];
        assert_eq!(lines(&bytes, Tail::Open, 10).1, 10);
    }

    proptest! {
        /// F6: any cutting of the bytes into reads gives the same records, parts and position, in every encoding.
        #[test]
        fn records_are_a_function_of_the_bytes(
            data in proptest::collection::vec(prop_oneof![3 => Just(b'\n'), 1 => Just(b'\r'), 2 => Just(0u8), 6 => any::<u8>()], 0..200),
            reads in proptest::collection::vec(1usize..20, 1..80),
            max in 1usize..12,
            few in 1usize..5,
            label in proptest::sample::select(Charset::known_labels().collect::<Vec<_>>()),
            offset in 0u64..2,
        ) {
            let framer = Framer::new(max).of(Charset::of_label(label).unwrap()).at(offset);
            let whole = framer.frame(&data, 0, Tail::Open, 0, usize::MAX);
            let (mut at, mut part, mut seen) = (0, 0, 0);
            let mut records: Vec<Range<u32>> = Vec::new();
            for read in reads.iter().copied().chain([data.len()]) {
                seen = (seen + read).min(data.len());
                loop {
                    // What follows the window decides whether NULs at its end are content, as the reader finds out.
                    let more = data[seen..].iter().any(|b| *b != 0);
                    let tail = if more { Tail::MoreFollows } else { Tail::Open };
                    let framed = framer.frame(&data[..seen], at, tail, part, few);
                    if framed.consumed == at { break; }
                    records.extend(framed.records);
                    (at, part) = (framed.consumed, framed.part);
                }
            }
            prop_assert_eq!(&records, &whole.records);
            prop_assert_eq!((at, part), (whole.consumed, whole.part));
        }
    }
}
