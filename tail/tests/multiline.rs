//! Groups of lines, in the hands of a watcher: when they ship, and what restarts, rotations and truncations make of them.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod rig;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use logcatch_tail::{Multiline, QUIET, Rule};
use proptest::prelude::*;
use regex::bytes::Regex;
use rig::archive::Gz;
use rig::{Rig, append};

const TIMEOUT: Duration = Duration::from_secs(1);
const SHORTER: Duration = Duration::from_millis(900);

/// A line that does not begin with a blank begins a record.
fn rig() -> Rig {
    let mut rig = Rig::new();
    rig.spec.shape.multiline = Some(Arc::new(Multiline {
        rule: Rule::Start(Regex::new(r"^\S").unwrap()),
        timeout: TIMEOUT,
        max_lines: 500,
    }));
    rig.restart();
    rig
}

fn write(rig: &mut Rig, text: &str) {
    append(&rig.spec.path, text);
    rig.settle();
}

#[test]
fn m1_an_open_group_ships_when_nothing_was_added_for_as_long_as_it_waits() {
    let mut rig = rig();
    write(&mut rig, "a\n 1\nb\n");
    assert_eq!(rig.values(), ["a\n 1"]);
    rig.pass(SHORTER);
    write(&mut rig, " 2\n");
    rig.pass(SHORTER);
    assert_eq!(rig.values(), ["a\n 1"], "it was added to");
    // Half a line adds nothing.
    write(&mut rig, " 3");
    rig.pass(SHORTER);
    assert_eq!(rig.values(), ["a\n 1", "b\n 2"]);
    write(&mut rig, "3\n");
    rig.pass(TIMEOUT);
    assert_eq!(rig.values(), ["a\n 1", "b\n 2", " 33"], "after the timeout it is alone");
    let offsets: Vec<_> = rig.delivered.iter().map(|record| record.offset).collect();
    assert_eq!(offsets, [0, 5, 10]);
    assert_eq!(rig.world.positions.account("app").balance().delivered_lines, 3);
}

#[test]
fn m1_a_leading_continuation_ships_alone() {
    let mut rig = rig();
    write(&mut rig, " 0\na\n");
    assert_eq!(rig.values(), [" 0"]);
}

#[test]
fn m1_groups_of_two_files_never_mix() {
    let mut rig = rig();
    rig.watch("other.log");
    let other = rig.path("other.log");
    for n in 0..3 {
        append(&other, &format!("y{n}\n"));
        write(&mut rig, &format!("x{n}\n"));
        append(&other, " y\n");
        write(&mut rig, " x\n");
    }
    rig.pass(TIMEOUT);
    rig.pass(TIMEOUT);
    let mut values = rig.values();
    values.sort_unstable();
    assert_eq!(values, ["x0\n x", "x1\n x", "x2\n x", "y0\n y", "y1\n y", "y2\n y"]);
}

/// Also after a crash: what was not acknowledged of a group is read again from its first byte.
#[test]
fn m2_a_group_that_spans_a_restart_is_one_record_and_no_part_is_repeated() {
    for crashes in [false, true] {
        let mut rig = rig();
        write(&mut rig, "a\nb\n 1\n");
        rig.checkpoint();
        if crashes {
            rig.crash();
        } else {
            rig.stop();
            append(&rig.spec.path, " 2");
            rig.start();
        }
        rig.settle();
        rig.pass(SHORTER);
        write(&mut rig, if crashes { " 2\n 3\nc\n" } else { "\n 3\nc\n" });
        assert_eq!(rig.values(), ["a", "b\n 1\n 2\n 3"]);
        rig.restart();
        rig.settle();
        rig.pass(TIMEOUT);
        assert_eq!(rig.values(), ["a", "b\n 1\n 2\n 3", "c"]);
    }
}

#[test]
fn a_group_that_was_open_at_the_rotation_ships_after_its_own_timeout_and_before_the_new_file() {
    let mut rig = rig();
    write(&mut rig, "a\nb\n 1\n");
    fs::rename(&rig.spec.path, rig.path("app.log.1")).unwrap();
    write(&mut rig, "c\n 4\nd\n");
    assert_eq!(rig.values(), ["a"], "the old file may still be written to");
    append(&rig.path("app.log.1"), " 2\n");
    rig.pass(SHORTER);
    rig.pass(TIMEOUT);
    assert_eq!(rig.values()[..3], ["a", "b\n 1\n 2", "c\n 4"]);
    append(&rig.path("app.log.1"), "half");
    rig.pass(QUIET);
    rig.pass(QUIET);
    assert_eq!(rig.values()[3..], ["half", "d"]);
}

#[test]
fn a_group_that_was_open_when_the_service_stopped_and_its_file_was_rotated_is_one_record() {
    let mut rig = rig();
    write(&mut rig, "a\nb\n 1\n");
    rig.stop();
    append(&rig.spec.path, " 2\n");
    fs::rename(&rig.spec.path, rig.path("app.log.1")).unwrap();
    append(&rig.spec.path, "c\n");
    rig.start();
    rig.settle();
    rig.pass(QUIET);
    rig.pass(TIMEOUT);
    assert_eq!(rig.values(), ["a", "b\n 1\n 2", "c"]);
}

#[test]
fn an_open_group_that_a_truncation_takes_away_ships() {
    let mut rig = rig();
    write(&mut rig, "a\nb\n 1\n");
    fs::write(&rig.spec.path, "c\n").unwrap();
    rig.settle();
    rig.pass(TIMEOUT);
    assert_eq!(rig.values(), ["a", "b\n 1", "c"]);
}

/// The copy has only a part of it, and memory all.
#[test]
fn what_was_added_to_an_open_group_between_a_copy_and_its_truncation_ships() {
    for half in ["", " 3"] {
        let mut rig = rig();
        write(&mut rig, "a\nb\n 1\n");
        rig::copy(&rig.spec.path, &rig.path("app.log.1"));
        write(&mut rig, &format!(" 2\n{half}"));
        fs::write(&rig.spec.path, "c\n").unwrap();
        rig.settle();
        rig.pass(TIMEOUT);
        let all = format!("b\n 1\n 2\n{half}");
        let expected = ["a", all.trim_end(), "c"];
        assert_eq!(rig.values(), expected);
        assert_eq!(rig.world.positions.account("app").balance().unreachable, 0);
        rig.pass(QUIET);
        rig.restart();
        rig.pass(QUIET);
        assert_eq!(rig.values(), expected, "nothing is read again in the copy");
    }
}

/// A second rotation before the next look: once it was found at the next start only, after what is younger.
#[test]
fn what_was_copied_and_cut_again_after_that_is_read_in_its_order() {
    for compresses in [false, true] {
        let mut rig = rig();
        let [one, two] = ["app.log.1", "app.log.2"].map(|name| rig.path(name));
        write(&mut rig, "a\nb\n 1\n");
        rig::copy(&rig.spec.path, &one);
        write(&mut rig, " 2\n");
        fs::write(&rig.spec.path, "c\n 3\n").unwrap();
        fs::rename(&one, &two).unwrap();
        rig::copy(&rig.spec.path, &one);
        if compresses {
            Gz.compress(&one);
        }
        fs::write(&rig.spec.path, "d\n").unwrap();
        rig.settle();
        (0..3).for_each(|_| rig.pass(QUIET));
        let expected = ["a", "b\n 1\n 2", "c\n 3", "d"];
        assert_eq!(rig.values(), expected, "compressed: {compresses}");
        rig.restart();
        rig.pass(QUIET);
        assert_eq!(rig.values(), expected, "nothing is read again");
    }
}

#[test]
fn a_group_longer_than_one_read_is_whole_and_what_is_too_long_is_cut_between_lines() {
    let mut rig = rig();
    let line = format!(" {}\n", "x".repeat(9_998));
    let group = format!("a\n{}", line.repeat(50));
    let long = format!("b\n{}", line.repeat(100));
    write(&mut rig, &format!("{group}{long}c\n"));
    // 900 KiB hold 92 such lines.
    let (first, second) = long.split_at(2 + 92 * 10_000);
    let expected = [&group, first, second].map(str::trim_end);
    let found: Vec<_> = rig.values();
    assert!(
        found == expected,
        "{:?}",
        found.iter().map(|text| text.len()).collect::<Vec<_>>()
    );
}

/// Whether its beginning shipped, is in its position.
#[test]
fn what_a_limit_cuts_off_a_group_ships_if_its_beginning_did_before_a_restart() {
    let mut rig = rig();
    rig.limit_groups(2, "^x");
    for first in ["x", "y"] {
        write(&mut rig, &format!("{first}\n 1\n 2\n"));
        rig.restart();
        write(&mut rig, " 3\n x\n");
        rig.checkpoint();
        rig.crash();
        write(&mut rig, " x\n");
    }
    write(&mut rig, "x\n");
    assert_eq!(rig.values(), ["x\n 1", " 2\n 3", " x\n x"]);
}

/// Once it was left out an hour later, too, for what it seemed to be the rest of.
#[test]
fn what_comes_long_after_a_group_of_the_most_lines_is_no_rest_of_it() {
    for restarts in [false, true] {
        for (time, expected) in [(SHORTER, &["x\n 1", " 2\n 3"][..]), (TIMEOUT, &["x\n 1", " x\n 3"])] {
            let mut rig = rig();
            rig.limit_groups(2, "x");
            for (first, rest) in [("x", " 2\n 3\n"), ("y", " x\n 3\n")] {
                write(&mut rig, &format!("{first}\n 1\n"));
                if restarts {
                    rig.restart();
                    rig.settle();
                }
                rig.pass(time);
                write(&mut rig, rest);
                rig.pass(TIMEOUT);
            }
            assert_eq!(rig.values(), expected, "{time:?} {restarts}");
        }
    }
}

#[test]
fn without_multiline_in_the_settings_any_more_the_lines_that_waited_ship_at_once() {
    let mut rig = rig();
    write(&mut rig, "a\n 1\n");
    assert!(rig.watcher.as_ref().unwrap().awaits_lines());
    let plain = logcatch_tail::Shape::default();
    rig.watcher.as_mut().unwrap().set_shape(1000, &plain);
    rig.settle();
    assert_eq!(rig.values(), ["a", " 1"]);
}

/// What happens next in the life of a log.
#[derive(Debug, Clone)]
enum Act {
    Write(String),
    /// Less than a group waits.
    Pass,
    Restart,
    Crash,
    Rotate,
}

fn act() -> impl Strategy<Value = Act> {
    let text = proptest::sample::select(vec!["a\n", "b", "\n", " 1\n", " ", "  2\n 3\n", "c\nd\n 4\n", "e\n "]);
    prop_oneof![
        6 => text.prop_map(|text| Act::Write(text.to_owned())),
        1 => Just(Act::Pass),
        1 => Just(Act::Restart),
        1 => Just(Act::Crash),
        1 => Just(Act::Rotate),
    ]
}

/// The groups of a file that ends here.
fn groups(text: &str) -> Vec<String> {
    let mut groups: Vec<String> = Vec::new();
    for line in text.lines() {
        match groups.last_mut() {
            Some(group) if line.is_empty() || line.starts_with(' ') => *group = format!("{group}\n{line}"),
            _ => groups.push(line.to_owned()),
        }
    }
    groups
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    /// M1, M2: pieces of lines, restarts, crashes and rotations change nothing of what is a record. After a crash the same
    /// record may come again.
    #[test]
    fn m2_any_life_of_a_log_gives_the_same_groups(acts in proptest::collection::vec(act(), 1..40)) {
        let mut rig = rig();
        let mut files = vec![String::new()];
        append(&rig.spec.path, "");
        for act in acts {
            match act {
                Act::Write(text) => {
                    append(&rig.spec.path, &text);
                    files.last_mut().unwrap().push_str(&text);
                    if text.len() % 2 == 0 { rig.settle(); }
                }
                Act::Pass => rig.pass(Duration::from_millis(1)),
                Act::Restart => rig.restart(),
                Act::Crash => { rig.settle(); rig.crash(); }
                Act::Rotate => {
                    rig.rotate(files.len());
                    files.push(String::new());
                }
            }
        }
        rig.settle();
        for _ in 0..files.len() + 2 {
            rig.pass(QUIET);
        }
        // A line without its end stays, but for rotated files.
        let last = files.last_mut().unwrap();
        last.truncate(last.rfind('\n').map_or(0, |at| at + 1));
        // In file order; a younger file may overtake the line without its end that an older one was rotated with.
        let mut expected: Vec<_> = files.iter().map(|text| groups(text)).filter(|groups| !groups.is_empty()).collect();
        let mut seen = std::collections::HashSet::new();
        let mut found = std::collections::BTreeMap::<&str, Vec<String>>::new();
        for record in &rig.delivered {
            if seen.insert((&record.file_id, record.offset)) {
                found.entry(&record.file_id).or_default().push(record.value.clone());
            }
        }
        let mut found: Vec<_> = found.into_values().collect();
        expected.sort();
        found.sort();
        prop_assert_eq!(found, expected);
    }
}
