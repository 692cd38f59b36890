//! JSON texts, written straight into a buffer. Escapes as RFC 8259 wants them.

/// Writes the inside of a JSON text: without its quotes.
pub(crate) fn escape(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let (mut from, mut at) = (0, 0);
    // Eight bytes at a time, as long as nothing is to be escaped.
    while let Some(eight) = bytes.get(at..at + 8) {
        let found = to_escape(u64::from_le_bytes([
            eight[0], eight[1], eight[2], eight[3], eight[4], eight[5], eight[6], eight[7],
        ]));
        if found == 0 {
            at += 8;
            continue;
        }
        at += found.trailing_zeros() as usize / 8;
        out.extend_from_slice(&bytes[from..at]);
        escape_byte(bytes[at], out);
        at += 1;
        from = at;
    }
    while at < bytes.len() {
        let byte = bytes[at];
        if byte < 0x20 || byte == b'"' || byte == b'\\' {
            out.extend_from_slice(&bytes[from..at]);
            escape_byte(byte, out);
            from = at + 1;
        }
        at += 1;
    }
    out.extend_from_slice(&bytes[from..]);
}

/// The high bits of those bytes that cannot stand in a JSON text as they are; up to the first of them exactly.
/// See "Determine if a word has a zero byte" in Bit Twiddling Hacks.
fn to_escape(eight: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let below = |word: u64, least: u64| word.wrapping_sub(ONES * least) & !word & HIGH;
    let quote = eight ^ (ONES * b'"' as u64);
    let backslash = eight ^ (ONES * b'\\' as u64);
    below(eight, 0x20) | below(quote, 1) | below(backslash, 1)
}

#[cold]
fn control(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    out.extend_from_slice(b"\\u00");
    out.extend_from_slice(&digits);
}

fn escape_byte(byte: u8, out: &mut Vec<u8>) {
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\t' => out.extend_from_slice(b"\\t"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\n' => out.extend_from_slice(b"\\n"),
        other => control(other, out),
    }
}

/// Writes a number in decimal.
pub(crate) fn number(mut value: u64, out: &mut Vec<u8>) {
    // As many digits as u64::MAX has.
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn escaped(text: &str) -> String {
        let mut out = Vec::new();
        escape(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_what_must_be_escaped_is() {
        assert_eq!(escaped("\"GET /\\x\" \u{7f}ü😀/"), "\\\"GET /\\\\x\\\" \u{7f}ü😀/");
        assert_eq!(escaped("\t\r\n\u{0}\u{1f}"), "\\t\\r\\n\\u0000\\u001f");
    }

    proptest! {
        /// By another reader: serde_json.
        #[test]
        fn what_is_escaped_is_read_again(text in "(\\PC|[\"\\\\\u{0}-\u{20}]|ü|😀){0,60}", value: u64) {
            let json = format!("\"{}\"", escaped(&text));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
            let mut out = Vec::new();
            number(value, &mut out);
            prop_assert_eq!(out, value.to_string().into_bytes());
        }
    }
}
