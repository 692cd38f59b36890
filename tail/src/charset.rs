//! The encoding of a file's text, by the Encoding Standard (<https://encoding.spec.whatwg.org>): where its lines and
//! characters end.
//!
//! In every encoding of the standard but UTF-16 a line ends at the byte 0x0A: it is no trail byte of any of them, and what
//! a lead byte before it makes of it is an error, after which the line feed stands. In ISO-2022-JP that holds because
//! RFC 1468 wants each line to end in ASCII; where a text breaks that rule, the lines after it are still whole.

use encoding_rs::{DecoderResult, Encoding};
use serde::{Deserialize, Serialize};

/// Bytes that are decoded at once to find out whether they end within a character.
const SCRATCH: usize = 4096;
/// A character takes so many bytes at most, in any encoding.
const LONGEST: usize = 4;

/// An encoding in which lines are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub struct Charset(&'static Encoding);

impl Charset {
    /// UTF-8, the default.
    pub const UTF_8: Self = Self(encoding_rs::UTF_8);

    /// The encoding that the standard has under this label, in any case and with blanks around it. None for what the
    /// standard refuses to decode, such as ISO-2022-KR.
    #[must_use]
    pub fn of_label(label: &str) -> Option<Self> {
        Encoding::for_label_no_replacement(label.as_bytes()).map(Self)
    }

    /// Labels that people know, for suggestions: the names of the standard, and the most common others.
    pub fn known_labels() -> impl Iterator<Item = &'static str> {
        LABELS.iter().copied()
    }

    /// The name that the standard gives it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// The byte-order mark at the start of a file, and how many bytes it takes. As in the standard's "decode" it is
    /// trusted more than what the settings say.
    pub(crate) fn of_mark(first: &[u8]) -> Option<(Self, usize)> {
        Encoding::for_bom(first).map(|(encoding, length)| (Self(encoding), length))
    }

    /// Bytes of a code unit: what a line end is looked for in.
    pub(crate) fn unit(self) -> usize {
        if self.is_little_endian() || self.0 == encoding_rs::UTF_16BE {
            2
        } else {
            1
        }
    }

    pub(crate) fn is_little_endian(self) -> bool {
        self.0 == encoding_rs::UTF_16LE
    }

    /// The code unit that these two bytes are.
    pub(crate) fn code_unit(self, bytes: [u8; 2]) -> u16 {
        if self.is_little_endian() {
            u16::from_le_bytes(bytes)
        } else {
            u16::from_be_bytes(bytes)
        }
    }

    /// Where a text that begins with a whole character is cut, so that the first part has at most `limit` bytes and, as
    /// far as these bytes are characters, ends with a whole one. `odd` says whether its first byte is the second half of
    /// a code unit. Never 0.
    pub(crate) fn cut(self, text: &[u8], limit: usize, odd: bool) -> usize {
        let cut = if self.0 == encoding_rs::UTF_8 {
            utf_8(text, limit)
        } else if self.unit() == 2 {
            self.utf_16(text, limit, odd)
        } else if self.0.is_single_byte() {
            limit
        } else if self.0 == encoding_rs::ISO_2022_JP {
            iso_2022_jp(text, limit)
        } else {
            let ends = (limit.saturating_sub(LONGEST - 1).max(1)..=limit).rev();
            ends.into_iter().find(|end| self.ends_whole(&text[..*end])).unwrap_or(0)
        };
        if cut == 0 { limit } else { cut }
    }

    /// These bytes as text; what they are not becomes U+FFFD. `odd` says whether the first one is the second half of a code
    /// unit.
    pub(crate) fn text<'a>(self, bytes: &'a [u8], odd: bool, scratch: &'a mut String) -> &'a str {
        if self.0 == encoding_rs::UTF_8
            && let Ok(text) = str::from_utf8(bytes)
        {
            return text;
        }
        scratch.clear();
        let halves = usize::from(odd).min(bytes.len());
        scratch.extend(std::iter::repeat_n('\u{fffd}', halves));
        let bytes = &bytes[halves..];
        let mut decoder = self.0.new_decoder_without_bom_handling();
        // Enough for any text of this length, so that one call decodes all.
        scratch.reserve(decoder.max_utf8_buffer_length(bytes.len()).unwrap_or_default());
        let (_, read, _) = decoder.decode_to_string(bytes, scratch, true);
        debug_assert_eq!(read, bytes.len());
        scratch
    }

    fn utf_16(self, text: &[u8], limit: usize, odd: bool) -> usize {
        let end = limit - (limit + usize::from(odd)) % 2;
        let is_high = |unit: &[u8]| match unit {
            [first, second] => (0xD800..0xDC00).contains(&self.code_unit([*first, *second])),
            _ => false,
        };
        if end >= 2 && is_high(&text[end - 2..end]) {
            end - 2
        } else {
            end
        }
    }

    /// Whether a text does not end within a character.
    fn ends_whole(self, mut text: &[u8]) -> bool {
        let mut decoder = self.0.new_decoder_without_bom_handling();
        let mut scratch = [0; SCRATCH];
        loop {
            let (result, read, _) = decoder.decode_to_utf8_without_replacement(text, &mut scratch, false);
            text = &text[read..];
            if result == DecoderResult::InputEmpty {
                break;
            }
        }
        let (end, ..) = decoder.decode_to_utf8_without_replacement(&[], &mut scratch, true);
        end == DecoderResult::InputEmpty
    }
}

impl TryFrom<String> for Charset {
    type Error = String;

    fn try_from(label: String) -> Result<Self, String> {
        Self::of_label(&label).ok_or_else(|| format!("unknown encoding `{label}`"))
    }
}

impl From<Charset> for &'static str {
    fn from(charset: Charset) -> Self {
        charset.name()
    }
}

impl Default for Charset {
    fn default() -> Self {
        Self::UTF_8
    }
}

fn utf_8(text: &[u8], limit: usize) -> usize {
    let is_continuation = |byte: u8| byte & 0b1100_0000 == 0b1000_0000;
    let mut cut = limit;
    while cut > 0 && limit - cut < LONGEST - 1 && is_continuation(text[cut]) {
        cut -= 1;
    }
    if is_continuation(text[cut]) { limit } else { cut }
}

/// The last place at which the text is in ASCII: what follows is read on from there.
fn iso_2022_jp(text: &[u8], limit: usize) -> usize {
    const ESCAPE: u8 = 0x1B;
    let (mut is_ascii, mut end, mut at) = (true, 0, 0);
    while at < limit {
        let sequence = text.get(at + 1..at + 3).filter(|_| text[at] == ESCAPE);
        let switch = match sequence {
            Some(b"(B") => Some(true),
            Some(b"(J" | b"(I" | b"$@" | b"$B") => Some(false),
            _ => None,
        };
        at += if switch.is_some() { 3 } else { 1 };
        is_ascii = switch.unwrap_or(is_ascii);
        if is_ascii && at <= limit {
            end = at;
        }
    }
    end
}

static LABELS: &[&str] = &[
    "utf-8",
    "utf-16",
    "utf-16le",
    "utf-16be",
    "gbk",
    "gb2312",
    "gb18030",
    "big5",
    "big5-hkscs",
    "shift_jis",
    "sjis",
    "windows-31j",
    "euc-jp",
    "iso-2022-jp",
    "euc-kr",
    "ascii",
    "us-ascii",
    "latin1",
    "iso-8859-1",
    "iso-8859-2",
    "iso-8859-3",
    "iso-8859-4",
    "iso-8859-5",
    "iso-8859-6",
    "iso-8859-7",
    "iso-8859-8",
    "iso-8859-8-i",
    "iso-8859-9",
    "iso-8859-10",
    "iso-8859-11",
    "iso-8859-13",
    "iso-8859-14",
    "iso-8859-15",
    "iso-8859-16",
    "koi8-r",
    "koi8-u",
    "ibm866",
    "macintosh",
    "x-mac-cyrillic",
    "windows-874",
    "windows-1250",
    "windows-1251",
    "windows-1252",
    "windows-1253",
    "windows-1254",
    "windows-1255",
    "windows-1256",
    "windows-1257",
    "windows-1258",
    "x-user-defined",
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn charset(label: &str) -> Charset {
        Charset::of_label(label).unwrap()
    }

    #[test]
    fn labels_are_those_of_the_standard() {
        assert_eq!(charset(" GB2312 ").name(), "GBK");
        assert_eq!(charset("latin1").name(), "windows-1252");
        assert_eq!(charset("utf-16").name(), "UTF-16LE");
        assert_eq!(
            Charset::of_label("iso-2022-kr"),
            None,
            "the standard does not decode it"
        );
        assert_eq!(Charset::of_label("utf-32"), None);
        for label in Charset::known_labels() {
            assert!(Charset::of_label(label).is_some(), "{label}");
        }
    }

    /// By the decoders themselves: a line feed after any lead bytes is a line feed, and the next line is not touched.
    #[test]
    fn a_line_feed_is_never_a_part_of_another_character() {
        for charset in Charset::known_labels()
            .map(charset)
            .filter(|charset| charset.unit() == 1 && !charset.0.is_single_byte())
        {
            // A text in ISO-2022-JP leaves ASCII by an escape sequence only, and comes back before the line ends.
            let is_stateful = charset.name() == "ISO-2022-JP";
            for first in (0..=255u8).filter(|byte| *byte != b'\n' && !(is_stateful && *byte == 0x1B)) {
                for second in (0..=255u8).filter(|byte| *byte != b'\n' && !(is_stateful && *byte == 0x1B)) {
                    for line in [&[first][..], &[first, second], &[first, 0x30, second]] {
                        let text = [line, b"\nx"].concat();
                        let (decoded, _) = charset.0.decode_without_bom_handling(&text);
                        assert!(decoded.ends_with("\nx"), "{} {line:x?} {decoded:?}", charset.name());
                    }
                }
            }
        }
    }

    #[track_caller]
    fn check(label: &str, text: &str, limit: usize, parts: &[&str]) {
        let charset = charset(label);
        let encoded: Vec<u8> = match charset.unit() {
            2 if charset.is_little_endian() => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            2 => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            _ => charset.0.encode(text).0.into_owned(),
        };
        let (mut rest, mut found) = (encoded.as_slice(), Vec::new());
        while rest.len() > limit {
            let (part, after) = rest.split_at(charset.cut(rest, limit, false));
            found.push(part);
            rest = after;
        }
        found.push(rest);
        let decode = |part: &&[u8]| charset.0.decode_without_bom_handling(part).0.into_owned();
        let found: Vec<String> = found.iter().map(decode).collect();
        assert_eq!(found, parts, "{label}");
    }

    #[test]
    fn a_cut_never_falls_inside_a_character() {
        check("gbk", "a汉字编码测试", 5, &["a汉字", "编码", "测试"]);
        check("gb18030", "𠮷野家", 5, &["𠮷", "野家"]);
        check("big5", "a繁體中文", 4, &["a繁", "體中", "文"]);
        check("shift_jis", "ｱ日本語ソ表", 4, &["ｱ日", "本語", "ソ表"]);
        check("euc-jp", "a日本語", 4, &["a日", "本語"]);
        check("euc-kr", "가a나다", 4, &["가a", "나다"]);
        check("koi8-r", "журнал", 4, &["журн", "ал"]);
        check("utf-16le", "日本😀x", 6, &["日本", "😀x"]);
        check("utf-16be", "日本😀x", 7, &["日本", "😀x"]);
        check("utf-8", "日本😀x", 9, &["日本", "😀x"]);
        check("iso-2022-jp", "ab日本cd語", 12, &["ab日本", "cd語"]);
        // Where nothing else fits, a text is cut as it is; its bytes are all there.
        let long = charset("iso-2022-jp").0.encode("日本語日本語").0.into_owned();
        assert_eq!(charset("iso-2022-jp").cut(&long, 8, false), 8);
    }

    #[test]
    fn bytes_are_text_and_what_they_are_not_is_replaced() {
        let mut scratch = String::new();
        let mut text = |label: &str, bytes: &[u8], odd| charset(label).text(bytes, odd, &mut scratch).to_owned();
        assert_eq!(text("gbk", b"\xb4\xed\xce\xf3\xa3", false), "错误\u{fffd}");
        assert_eq!(text("shift_jis", b"\x83G\x83\x89\x81[", false), "エラー");
        assert_eq!(text("utf-8", b"a\xff\xe4\xb8", false), "a\u{fffd}\u{fffd}");
        assert_eq!(text("utf-16le", b"a\0\x00\xd8", false), "a\u{fffd}");
        assert_eq!(text("utf-16be", b"x\0a", true), "\u{fffd}a");
        assert_eq!(text("latin1", b"\xfcber", false), "über");
        assert_eq!(text("utf-16be", b"", true), "");
    }

    proptest! {
        #[test]
        fn a_part_is_never_empty_and_never_too_long(
            text in proptest::collection::vec(any::<u8>(), 13..40),
            limit in 1usize..12,
            odd in any::<bool>(),
        ) {
            for charset in Charset::known_labels().map(charset) {
                let cut = charset.cut(&text, limit, odd);
                prop_assert!((1..=limit).contains(&cut), "{} {}", charset.name(), cut);
            }
        }
    }
}
