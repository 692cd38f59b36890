//! Sizes and durations as people write them.

use std::time::Duration;

/// Binary and decimal units, the larger first; `B` is last because it ends all others.
const SIZES: [(&str, u64); 10] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("KB", 1_000),
    ("B", 1),
];

/// In milliseconds; `ms` before `s`, which ends it.
const DURATIONS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// Reads a whole number and a unit without a space, such as "64MiB"; in bytes.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    parse(text, &SIZES)
}

/// Reads a whole number and a unit without a space, such as "500ms".
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    parse(text, &DURATIONS).map(Duration::from_millis)
}

/// Reads a size each second, such as "10MiB/s"; in bytes.
pub(crate) fn parse_rate(text: &str) -> Option<u64> {
    parse_size(text.strip_suffix("/s")?)
}

/// The shortest exact form that [`parse_size`] reads.
pub(crate) fn format_size(bytes: u64) -> String {
    format(bytes, SIZES.iter().filter(|(unit, _)| *unit != "KB"))
}

/// The shortest exact form that [`parse_duration`] reads.
pub(crate) fn format_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    format(millis, DURATIONS.iter().rev())
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, scale) = units
        .iter()
        .find_map(|(unit, scale)| Some((text.strip_suffix(unit)?, scale)))?;
    // `parse` alone would take a sign.
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    number.parse::<u64>().ok()?.checked_mul(*scale)
}

fn format<'a>(amount: u64, mut units: impl Iterator<Item = &'a (&'a str, u64)>) -> String {
    match units.find(|(_, scale)| amount > 0 && amount.is_multiple_of(*scale)) {
        Some((unit, scale)) => format!("{}{unit}", amount / scale),
        None => "0".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_and_decimal_units() {
        let good = [
            ("64MiB", 64 << 20),
            ("10MB", 10_000_000),
            ("1KiB", 1024),
            ("1kB", 1000),
            ("1KB", 1000),
            ("2GiB", 2 << 30),
            ("2GB", 2_000_000_000),
            ("1024B", 1024),
            ("0B", 0),
        ];
        for (text, bytes) in good {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for text in [
            "",
            "64",
            "MiB",
            "-1MiB",
            "+1MiB",
            "1.5MiB",
            "1 MiB",
            "1mib",
            "1M",
            "99999999999TiB",
        ] {
            assert_eq!(parse_size(text), None, "{text}");
        }
        assert_eq!(parse_rate("10MiB/s"), Some(10 << 20));
        assert_eq!(parse_rate("10MiB"), None);
    }

    #[test]
    fn durations_have_one_unit() {
        let good = [
            ("500ms", 500),
            ("1s", 1_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("7d", 604_800_000),
        ];
        for (text, millis) in good {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "1h30m", "1.5s", "-1s", "1 s", "1S", "1w"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        for bytes in [1, 1000, 1024, 900 << 10, 16 << 20, 10_000_000, 12345] {
            assert_eq!(parse_size(&format_size(bytes)), Some(bytes));
        }
        assert_eq!(format_size(16 << 20), "16MiB");
        for millis in [1, 1000, 90_000, 3_600_000] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse_duration(&format_duration(duration)), Some(duration));
        }
        assert_eq!(format_duration(Duration::from_secs(90)), "90s");
    }
}
