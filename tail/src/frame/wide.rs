//! Framing where a code unit has two bytes: UTF-16. Its units count from the start of the file, so that a byte 0x0A inside
//! one, as in `ਊ` or `上`, is no line end.

use memchr::memchr_iter;

use super::{Framer, trailing_nuls};

const LINE_FEED: u16 = 0x0A;
const CARRIAGE_RETURN: u16 = 0x0D;

impl Framer {
    /// Whether the byte at this place of the data is the second of a code unit.
    pub(super) fn is_odd(&self, at: usize) -> bool {
        self.odd ^ (at % 2 == 1)
    }

    /// The unit that begins there; none when it is not whole.
    fn unit(&self, rest: &[u8], start: usize) -> Option<u16> {
        let bytes = rest.get(start..start + 2)?;
        Some(self.charset.code_unit([bytes[0], bytes[1]]))
    }

    /// See [`Framer::line_end`]; `rest` begins at `at` of the data.
    pub(super) fn wide_line_end(&self, rest: &[u8], at: usize) -> Option<(usize, usize)> {
        let back = usize::from(!self.charset.is_little_endian());
        let is_start = |start: &usize| !self.is_odd(at + start);
        let feed = memchr_iter(b'\n', rest)
            .filter_map(|byte| byte.checked_sub(back))
            .filter(is_start)
            .find(|start| self.unit(rest, *start) == Some(LINE_FEED))?;
        let before = feed.checked_sub(2).and_then(|start| self.unit(rest, start));
        let end = if before == Some(CARRIAGE_RETURN) {
            feed - 2
        } else {
            feed
        };
        Some((end, feed + 2))
    }

    /// See [`Framer::certain`].
    pub(super) fn wide_certain(&self, rest: &[u8], at: usize) -> usize {
        // Half a unit may become anything.
        let whole = rest.len() - usize::from(self.is_odd(at + rest.len())).min(rest.len());
        let last = whole.checked_sub(2).and_then(|start| self.unit(rest, start));
        if last == Some(CARRIAGE_RETURN) {
            whole - 2
        } else {
            whole
        }
    }

    /// See [`Framer::trailing_nuls`]. Half a unit that is NUL is one of them: more is not known of it.
    pub(super) fn wide_nuls(&self, rest: &[u8], at: usize) -> usize {
        let nuls = trailing_nuls(rest);
        let first = at + rest.len() - nuls;
        if nuls > 0 && self.is_odd(first) { nuls - 1 } else { nuls }
    }

    /// What of a line end is left when the position is behind its first byte, because the file was read as another
    /// encoding so far; bytes.
    pub(super) fn rest_of_line_end(&self, data: &[u8], from: usize) -> usize {
        let is_rest = self.charset.is_little_endian()
            && self.is_odd(from)
            && data.get(from) == Some(&0)
            && from.checked_sub(1).and_then(|before| data.get(before)) == Some(&b'\n');
        usize::from(is_rest)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Framed, Tail};
    use super::*;
    use crate::charset::Charset;

    const ENDS: [&str; 2] = ["utf-16le", "utf-16be"];

    fn encode(label: &str, text: &str) -> Vec<u8> {
        let to_bytes = if label == "utf-16le" {
            u16::to_le_bytes
        } else {
            u16::to_be_bytes
        };
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    fn frame(label: &str, bytes: &[u8], tail: Tail, max: usize) -> Framed {
        let charset = Charset::of_label(label).unwrap();
        Framer::new(max).of(charset).frame(bytes, 0, tail, 0, usize::MAX)
    }

    /// In both byte orders: `consumed` and the limit of 20 are bytes.
    #[track_caller]
    fn check(text: &str, tail: Tail, expected: &[&str], consumed: usize) {
        for label in ENDS {
            let bytes = encode(label, text);
            let framed = frame(label, &bytes, tail, 20);
            let records: Vec<&[u8]> = framed
                .records
                .iter()
                .map(|record| &bytes[record.start as usize..record.end as usize])
                .collect();
            let expected: Vec<Vec<u8>> = expected.iter().map(|text| encode(label, text)).collect();
            assert_eq!(records, expected, "{label} {text:?}");
            assert_eq!(framed.consumed, consumed, "{label} {text:?}");
        }
    }

    #[test]
    fn a_line_ends_at_a_code_unit_and_not_at_a_byte() {
        check("a\r\nb\n\nc", Tail::Open, &["a", "b", ""], 12);
        // Their bytes are 0A 0A, 4E 0A, 0A 00 and 00 0D beside each other.
        check(
            "\u{a0a}上\u{a00}\u{d}\u{a00}\n",
            Tail::Open,
            &["\u{a0a}上\u{a00}\u{d}\u{a00}"],
            12,
        );
        check("\u{4e00}\u{a41}\n", Tail::Open, &["\u{4e00}\u{a41}"], 6);
    }

    #[test]
    fn a_long_line_is_split_between_characters() {
        check("0123456789\r\n", Tail::Open, &["0123456789"], 24);
        check("0123456789\r", Tail::Open, &[], 0);
        check("0123456789a", Tail::Open, &["0123456789"], 20);
        check("012345678😀\n", Tail::Open, &["012345678", "😀"], 24);
    }

    #[test]
    fn nuls_at_the_end_are_not_data_and_half_a_character_is_no_nul() {
        check("a\0\0", Tail::Open, &[], 0);
        check("a\nb\0\0", Tail::Final, &["a", "b"], 10);
        check("\u{100}\0\0", Tail::Final, &["\u{100}"], 6);
        for label in ENDS {
            let half = [encode(label, "a\nb"), vec![0x4E]].concat();
            let framed = frame(label, &half, Tail::Final, 20);
            assert_eq!(
                framed.records,
                [0..2, 4..7],
                "half a unit is a byte of the line like others"
            );
        }
    }

    /// A line was read as UTF-8 up to its byte 0x0A; then the settings were corrected.
    #[test]
    fn the_rest_of_a_line_end_is_no_part_of_the_next_line() {
        let bytes = encode("utf-16le", "a\nb\n");
        let framer = Framer::new(20).of(Charset::of_label("utf-16le").unwrap());
        let framed = framer.frame(&bytes, 3, Tail::Open, 0, 9);
        assert_eq!((framed.records.first(), framed.consumed), (Some(&(4..6)), 8));
        let framed = framer.at(1).frame(&bytes[1..], 2, Tail::Open, 0, 9);
        assert_eq!((framed.records.first(), framed.consumed), (Some(&(3..5)), 7));
    }
}
