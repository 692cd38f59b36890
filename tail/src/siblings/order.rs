//! Which of the rotated generations of a path is younger.

use std::cmp::{Ordering, Reverse};

use super::{Age, Sibling};

/// Puts the youngest first: by names as long as all follow one scheme, else by when they were changed last, as after a
/// change of the rotation settings.
pub(super) fn sort(found: &mut [Sibling]) {
    found.sort_by_key(|sibling| !sibling.is_in_place());
    let rotated = found.partition_point(Sibling::is_in_place);
    let rotated = &mut found[rotated..];
    let all = |is: fn(&Age) -> bool| rotated.iter().all(|sibling| sibling.age.as_ref().is_some_and(is));
    if all(|age| matches!(age, Age::Number(_))) {
        rotated.sort_by_key(number);
        let mut shapes: Vec<_> = rotated.iter().map(|sibling| sibling.shape).collect();
        shapes.sort_unstable();
        shapes.dedup();
        shapes.retain(|shape| counts_up(rotated.iter().filter(|sibling| sibling.shape == *shape)));
        rotated.sort_by_key(|sibling| {
            let number = i64::from(number(sibling));
            if shapes.contains(&sibling.shape) {
                -number
            } else {
                number
            }
        });
    } else if all(|age| matches!(age, Age::Date(date) if is_sortable(date))) {
        rotated.sort_by(|a, b| match (&a.age, &b.age) {
            (Some(Age::Date(a)), Some(Age::Date(b))) => natural(b, a),
            _ => Ordering::Equal,
        });
    } else {
        rotated.sort_by_key(|sibling| Reverse(sibling.stat.modified));
    }
}

fn number(sibling: &Sibling) -> u32 {
    match sibling.age {
        Some(Age::Number(number)) => number,
        _ => 0,
    }
}

/// Whether the files of one rotation, by rising numbers, say that the greatest is the youngest, as log4j2 counts by default.
/// A late line makes the modification time later, a restored backup the birth: only both together contradict the name, and
/// all of them must: what a rotation that counts back made is never in this order. Plain files are compared with plain ones, because an archive may be made long after the next file.
fn counts_up<'a>(rotated: impl Iterator<Item = &'a Sibling> + Clone) -> bool {
    let mut up = false;
    for is_archive in [false, true] {
        let kind = rotated.clone().filter(|sibling| sibling.is_archive() == is_archive);
        for (low, high) in kind.clone().zip(kind.skip(1)) {
            let (low, high) = (&low.stat, &high.stat);
            if low.inode.born.is_none() || high.inode.born <= low.inode.born || high.modified <= low.modified {
                return false;
            }
            up = true;
        }
    }
    up
}

/// Whether dates in order are in the order of time: not with the day or the month before the year.
fn is_sortable(date: &[u8]) -> bool {
    let is_year = |digits: &[u8]| digits.len() == 4 && (digits.starts_with(b"19") || digits.starts_with(b"20"));
    let mut runs = date.split(|byte| !byte.is_ascii_digit());
    match runs.next().unwrap_or_default() {
        first if first.len() < 3 => !runs.any(is_year),
        first if first.len() == 8 => is_year(&first[..4]) || !is_year(&first[4..]),
        _ => true,
    }
}

/// Runs of digits are numbers: 10 comes after 9, as in `2026-11-24.10`.
fn natural(a: &[u8], b: &[u8]) -> Ordering {
    fn runs(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
        text.split(|byte| !byte.is_ascii_digit()).map(|run| {
            let zeros = run.iter().take_while(|digit| **digit == b'0').count();
            (run.len() - zeros, &run[zeros..])
        })
    }
    runs(a).cmp(runs(b)).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::identity::{Inode, Stat};

    /// Of files with these names, births and modification times, the youngest first.
    fn sorted(files: &[(&str, Option<i64>, i64)]) -> Vec<String> {
        let sibling = |(name, born, modified): &(&str, Option<i64>, i64)| {
            let inode = Inode {
                dev: 1,
                ino: 1,
                born: born.map(Into::into),
            };
            let stat = Stat {
                inode,
                size: 1,
                modified: *modified,
                links: 1,
                regular: true,
            };
            Sibling::new("a.log".as_ref(), PathBuf::from(name), stat)
        };
        let mut found: Vec<_> = files.iter().map(sibling).collect();
        sort(&mut found);
        found.iter().map(|sibling| sibling.path.display().to_string()).collect()
    }

    /// All were made in the order in which they are listed.
    fn in_order(names: &[&str]) -> Vec<String> {
        let files: Vec<_> = names
            .iter()
            .zip(1..)
            .map(|(name, time)| (*name, Some(time), time))
            .collect();
        sorted(&files)
    }

    #[test]
    fn digits_are_numbers() {
        let names = [
            "a.log.2026-11-24.9",
            "a.log.2026-11-24.10",
            "a.log.2026-11-25.1",
            "a.log.2026-11-25.11",
        ];
        assert_eq!(in_order(&names), names.into_iter().rev().collect::<Vec<_>>());
    }

    #[test]
    fn numbers_that_count_up_are_known_by_their_files() {
        let up = ["a.log.1", "a.log.2", "a.log.3"];
        assert_eq!(in_order(&up), ["a.log.3", "a.log.2", "a.log.1"]);
        let archives = ["a.1.log.gz", "a.2.log.gz"];
        assert_eq!(in_order(&archives), ["a.2.log.gz", "a.1.log.gz"]);
    }

    #[test]
    fn numbers_count_back_unless_births_and_modification_times_say_otherwise() {
        let back = ["a.log.1", "a.log.2"];
        // Late lines; a restored backup; no births.
        for (one, two) in [((2, 2), (1, 3)), ((1, 2), (2, 1))] {
            assert_eq!(
                sorted(&[("a.log.1", Some(one.0), one.1), ("a.log.2", Some(two.0), two.1)]),
                back
            );
        }
        assert_eq!(sorted(&[("a.log.1", None, 1), ("a.log.2", None, 2)]), back);
        // Compressed at the next rotation, with a modification time of its own.
        assert_eq!(in_order(&["a.log.1", "a.log.2.gz"]), ["a.log.1", "a.log.2.gz"]);
        // One was written anew.
        let files = [("a.log.1", 3), ("a.log.2", 2), ("a.log.3", 9)].map(|(name, time)| (name, Some(time), time));
        assert_eq!(sorted(&files), ["a.log.1", "a.log.2", "a.log.3"]);
        // Of another program, which numbers its instances.
        let files = [
            ("a.log.2", 1),
            ("a.log.1", 2),
            ("a-1.log", 3),
            ("a-2.log", 4),
            ("a-3.log", 5),
        ];
        let names = sorted(&files.map(|(name, time)| (name, Some(time), time)));
        let place = |name: &str| names.iter().position(|other| other == name);
        assert!(place("a.log.1") < place("a.log.2"), "{names:?}");
    }

    #[test]
    fn dates_with_the_day_first_go_by_time() {
        let names = ["a.log.29-10-2026", "a.log.30-10-2026", "a.log.01-11-2026"];
        assert_eq!(in_order(&names), names.into_iter().rev().collect::<Vec<_>>());
        for (date, expected) in [
            ("2026-11-24", true),
            ("20261124", true),
            ("1763943600", true),
            ("26-11-24", true),
            ("24-11-2026", false),
            ("24112026", false),
        ] {
            assert_eq!(is_sortable(date.as_bytes()), expected, "{date}");
        }
    }
}
