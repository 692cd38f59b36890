//! Numbers as an operator reads them.

const KIB: f64 = 1024.0;

/// "0 B", "17 KiB", "3.4 MiB".
#[must_use]
pub fn bytes(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes;
    let mut at = 0;
    while value >= KIB && at + 1 < units.len() {
        value /= KIB;
        at += 1;
    }
    let unit = units.get(at).copied().unwrap_or_default();
    if at > 0 && value < 10.0 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

/// "0.4 s", "42 s", "7 min", "5 h", "3 d".
#[must_use]
pub fn seconds(seconds: f64) -> String {
    const STEPS: [(f64, f64, &str); 3] = [(120.0, 1.0, "s"), (7200.0, 60.0, "min"), (172_800.0, 3600.0, "h")];
    if seconds < 10.0 {
        return format!("{seconds:.1} s");
    }
    let step = STEPS.iter().find(|(limit, ..)| seconds < *limit);
    let (_, unit, name) = step.copied().unwrap_or((0.0, 86_400.0, "d"));
    format!("{:.0} {name}", seconds / unit)
}

/// "1 file", "2 files".
#[must_use]
pub fn count(number: usize, one: &str) -> String {
    if number == 1 {
        format!("1 {one}")
    } else {
        format!("{number} {one}s")
    }
}

/// Text from outside, without what would move a cursor.
#[must_use]
pub fn harmless(text: &str) -> String {
    text.chars()
        .map(|char| if char.is_control() { '?' } else { char })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_unit_that_fits() {
        let sizes = [0.0, 1023.0, 1024.0, 20_480.0, 3_565_158.0, 1e15];
        assert_eq!(
            sizes.map(bytes),
            ["0 B", "1023 B", "1.0 KiB", "20 KiB", "3.4 MiB", "909 TiB"]
        );
        let times = [0.04, 9.9, 42.0, 420.0, 18_000.0, 260_000.0];
        assert_eq!(times.map(seconds), ["0.0 s", "9.9 s", "42 s", "7 min", "5 h", "3 d"]);
        assert_eq!(count(1, "file") + &count(2, "file"), "1 file2 files");
        assert_eq!(harmless("a\x1b[2Jb\n"), "a?[2Jb?");
    }
}
