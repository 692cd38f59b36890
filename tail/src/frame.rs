//! Framing: which bytes of a file are one record. A pure function of the bytes: neither the chunks in which they
//! were written nor the sizes in which they are read change what comes out.

use std::ops::Range;

use memchr::memchr;

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
}

/// Cuts bytes into records.
#[derive(Debug, Clone, Copy)]
pub struct Framer {
    max_line: usize,
}

impl Framer {
    /// A framer that splits lines longer than `max_line` bytes (line end not counted).
    #[must_use]
    pub fn new(max_line: usize) -> Self {
        Self {
            max_line: max_line.max(1),
        }
    }

    /// So many bytes without a line end are needed to decide that a line must be split: the limit, and a CR and LF
    /// that would not count.
    #[must_use]
    pub fn decidable(&self) -> usize {
        self.max_line + 2
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
        while out.records.len() < max_records {
            let rest = &data[out.consumed..];
            match memchr(b'\n', rest) {
                Some(at) => {
                    let end = if at > 0 && rest[at - 1] == b'\r' { at - 1 } else { at };
                    if end > self.max_line {
                        self.split(rest, &mut out);
                    } else {
                        finish(&mut out, end, at + 1);
                    }
                }
                None if rest.is_empty() || !self.unfinished(rest, tail, &mut out) => break,
                None => {}
            }
        }
        out
    }

    /// A line without its end. True when something was consumed.
    fn unfinished(&self, rest: &[u8], tail: Tail, out: &mut Framed) -> bool {
        if tail == Tail::Open && does(Wrong::PartialLineDropped) {
            out.consumed += rest.len();
            return true;
        }
        let nuls = if tail == Tail::MoreFollows {
            0
        } else {
            trailing_nuls(rest)
        };
        let content = rest.len() - nuls;
        // With a CR last, an LF may still follow and make it a line end.
        let certain = if tail != Tail::Final && content == rest.len() && rest.last() == Some(&b'\r') {
            content - 1
        } else {
            content
        };
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

    /// Cuts one part of `max_line` bytes, never inside a UTF-8 character where the bytes are UTF-8.
    fn split(&self, rest: &[u8], out: &mut Framed) {
        let mut cut = self.max_line;
        while cut > 0 && self.max_line - cut < 3 && is_continuation(rest[cut]) {
            cut -= 1;
        }
        if cut == 0 || is_continuation(rest[cut]) {
            cut = self.max_line;
        }
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

fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
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
        /// F6: any cutting of the bytes into reads gives the same records, parts and position.
        #[test]
        fn records_are_a_function_of_the_bytes(
            data in proptest::collection::vec(prop_oneof![3 => Just(b'\n'), 1 => Just(b'\r'), 1 => Just(0u8), 6 => any::<u8>()], 0..200),
            reads in proptest::collection::vec(1usize..20, 1..80),
            max in 1usize..12,
            few in 1usize..5,
        ) {
            let framer = Framer::new(max);
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
