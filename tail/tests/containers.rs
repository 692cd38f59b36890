//! Logs of containers, in the hands of a watcher.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod rig;

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use logcatch_tail::{Multiline, QUIET, Rule, Shape};
use proptest::prelude::*;
use regex::bytes::Regex;
use rig::{Rig, append};

const TIME: &str = "2016-10-06T00:17:09.669794202Z";

const SECOND: Duration = Duration::from_secs(1);

fn rig(has_groups: bool) -> Rig {
    let mut rig = Rig::new();
    rig.spec.shape.container = true;
    rig.spec.shape.multiline = has_groups.then(|| {
        Arc::new(Multiline {
            rule: Rule::Continues(Regex::new(r"^ ").unwrap()),
            timeout: SECOND,
            max_lines: 500,
        })
    });
    rig.restart();
    rig
}

fn cri(side: &str, tag: &str, text: &str) -> String {
    format!("{TIME} {side} {tag} {text}\n")
}

fn write(rig: &mut Rig, text: &str) {
    append(&rig.spec.path, text);
    rig.settle();
}

#[test]
fn an_open_part_is_finished_by_a_rotation_and_the_other_stream_does_not_wait_for_it() {
    let mut rig = rig(false);
    write(&mut rig, &(cri("stdout", "P", "a") + &cri("stderr", "F", "x")));
    assert_eq!(rig.values(), ["x"]);
    fs::rename(&rig.spec.path, rig.path("app.log.20240101-000000")).unwrap();
    write(&mut rig, &cri("stdout", "F", "b"));
    rig.pass(QUIET);
    assert_eq!(rig.values(), ["x", "a", "b"]);
}

#[test]
fn a_line_that_was_given_up_has_a_last_part_when_its_file_is_rotated() {
    let mut rig = rig(false);
    rig.spec.max_line = 4;
    rig.restart();
    write(&mut rig, &cri("stdout", "P", "abcdefgh"));
    assert_eq!(rig.values(), ["abcd", "efgh"]);
    rig.restart();
    rig.settle();
    fs::rename(&rig.spec.path, rig.path("app.log.20240101-000000")).unwrap();
    write(&mut rig, &cri("stdout", "F", "b"));
    rig.pass(QUIET);
    rig.pass(QUIET);
    assert_eq!(rig.values(), ["abcd", "efgh", "", "b"]);
    rig.pass(QUIET);
    rig.restart();
    rig.pass(QUIET);
    assert_eq!(rig.delivered.len(), 4);
}

/// Nothing can be made of the state of its streams, and nothing waits for them.
#[test]
fn a_rotated_file_that_is_no_container_log_any_more_is_let_go() {
    let mut rig = rig(false);
    rig.spec.max_line = 4;
    rig.restart();
    write(&mut rig, &cri("stdout", "P", "abcdefgh"));
    fs::rename(&rig.spec.path, rig.path("app.log.20240101-000000")).unwrap();
    append(&rig.spec.path, "");
    rig.settle();
    rig.watcher.as_mut().unwrap().set_shape(1000, &Shape::default());
    write(&mut rig, "b\n");
    rig.now += QUIET;
    assert!(rig.run(10));
    assert_eq!(rig.values(), ["abcd", "efgh", "b"]);
}

/// Once it was left out, or shipped, as the rest of a group that a limit had ended long before.
#[test]
fn what_comes_long_after_a_group_of_the_most_lines_is_no_rest_of_it() {
    for restarts in [false, true] {
        for (time, expected) in [(Duration::ZERO, &["x\n 1", " 2"][..]), (SECOND, &["x\n 1", " x"])] {
            let mut rig = rig(true);
            rig.limit_groups(2, "x");
            for (side, first, rest) in [("stdout", "x", " 2"), ("stderr", "y", " x")] {
                write(&mut rig, &(cri(side, "F", first) + &cri(side, "F", " 1")));
                if restarts {
                    rig.restart();
                    rig.settle();
                }
                rig.pass(time);
                write(&mut rig, &cri(side, "F", rest));
                rig.pass(SECOND);
            }
            assert_eq!(rig.values(), expected, "{time:?} {restarts}");
        }
    }
}

#[test]
fn an_open_group_of_one_stream_ships_after_its_timeout_while_the_other_goes_on() {
    let mut rig = rig(true);
    write(&mut rig, &cri("stderr", "F", "x"));
    for n in 0..4 {
        rig.pass(Duration::from_millis(400));
        write(&mut rig, &cri("stdout", "F", &n.to_string()));
    }
    assert_eq!(rig.values(), ["0", "x", "1", "2"]);
}

#[test]
fn an_open_group_of_one_stream_ships_after_its_timeout_while_the_other_never_rests() {
    let mut rig = rig(true);
    write(&mut rig, &cri("stderr", "F", "x"));
    for n in 0..4 {
        append(&rig.spec.path, &cri("stdout", "F", &n.to_string()));
        rig.now += Duration::from_millis(400);
        // What it reads is never all: more comes meanwhile.
        rig.run(1);
    }
    assert_eq!(rig.values(), ["0", "1", "x", "2"]);
    // Not one that was added to.
    write(&mut rig, &cri("stderr", "F", "y"));
    for n in 4..8 {
        append(
            &rig.spec.path,
            &(cri("stderr", "F", " y") + &cri("stdout", "F", &n.to_string())),
        );
        rig.now += Duration::from_millis(900);
        rig.run(1);
    }
    rig.settle();
    rig.pass(Duration::from_secs(1));
    rig.pass(Duration::from_secs(1));
    assert_eq!(rig.values()[4..], ["3", "4", "5", "6", "y\n y\n y\n y\n y", "7"]);
}

#[test]
fn what_waits_while_the_other_stream_goes_on_needs_no_second_look() {
    let mut rig = rig(false);
    append(&rig.spec.path, "");
    rig.settle();
    append(&rig.spec.path, &(cri("stdout", "P", "a") + &cri("stderr", "F", "x")));
    assert!(rig.run(1), "it was all looked at");
    assert_eq!(rig.values(), ["x"]);
    append(&rig.spec.path, &cri("stderr", "F", "y"));
    assert!(rig.run(1));
    assert_eq!(rig.values(), ["x", "y"]);
    fs::write(&rig.spec.path, "").unwrap();
    rig.settle();
    assert_eq!(rig.values(), ["x", "y", "a"], "it was kept, too");
}

/// The other stream went on, and its lines are not told twice, nor counted as lost.
#[test]
fn an_open_part_that_a_truncation_takes_away_ships() {
    let mut rig = rig(false);
    write(&mut rig, &cri("stdout", "P", "a"));
    let lines: Vec<String> = (0..2000).map(|n| format!("line {n}")).collect();
    let text: String = lines.iter().map(|line| cri("stderr", "F", line)).collect();
    write(&mut rig, &text);
    fs::write(&rig.spec.path, "").unwrap();
    rig.settle();
    assert_eq!(rig.values()[..2000], lines);
    assert_eq!(rig.values()[2000..], ["a"]);
    let balance = rig.world.positions.account("app").balance();
    assert_eq!(balance.unreachable, 0);
    assert_eq!(balance.delivered, (cri("stdout", "P", "a") + &text).len() as u64);
}

/// The last line of one stream holds the position while the other goes on: only so much is read again and again.
#[test]
fn a_part_that_never_ends_is_given_up_when_too_much_of_the_other_stream_follows() {
    let mut rig = rig(false);
    rig.spec.max_line = 1000;
    rig.restart();
    write(&mut rig, &cri("stdout", "P", "a"));
    let lines: Vec<String> = (0..5000).map(|n| format!("line {n}")).collect();
    let text: String = lines.iter().map(|line| cri("stderr", "F", line)).collect();
    write(&mut rig, &text);
    let (parts, others): (Vec<&str>, Vec<&str>) = rig.values().into_iter().partition(|text| *text == "a");
    assert_eq!(parts, ["a"]);
    assert_eq!(others, lines);
    rig.restart();
    rig.settle();
    assert_eq!(rig.delivered.len(), 5001);
}

#[derive(Debug, Clone)]
enum Act {
    Write(bool, bool, &'static str),
    Settle,
    Restart,
    Crash,
    Rotate,
}

fn act() -> impl Strategy<Value = Act> {
    let text = proptest::sample::select(vec!["", "a", "bb", " c", " dd"]);
    prop_oneof![
        8 => (any::<bool>(), any::<bool>(), text).prop_map(|(is_out, is_part, text)| Act::Write(is_out, is_part, text)),
        2 => Just(Act::Settle),
        1 => Just(Act::Restart),
        1 => Just(Act::Crash),
        1 => Just(Act::Rotate),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    /// Every line of each stream is there, in order, in one record; after a restart none comes twice, after a crash the same
    /// records at most.
    #[test]
    fn any_life_of_a_container_gives_its_lines(acts in proptest::collection::vec(act(), 1..40), has_groups: bool) {
        let mut rig = rig(has_groups);
        append(&rig.spec.path, "");
        // What the program wrote, by stream: the lines of each file, whole or not.
        let mut files = vec![[String::new(), String::new()]];
        let crashes = acts.iter().any(|act| matches!(act, Act::Crash));
        for (number, act) in acts.into_iter().enumerate() {
            match act {
                Act::Write(is_out, is_part, text) => {
                    // Each says which it is: as a continuation, too.
                    let (side, tag) = (if is_out { "stdout" } else { "stderr" }, if is_part { "P" } else { "F" });
                    let text = format!("{text}{}{number};", if is_out { "o" } else { "e" });
                    append(&rig.spec.path, &cri(side, tag, &text));
                    let of_side = &mut files.last_mut().unwrap()[usize::from(!is_out)];
                    of_side.push_str(&text);
                    if !is_part { of_side.push('\n'); }
                }
                Act::Settle => rig.settle(),
                Act::Restart => rig.restart(),
                Act::Crash => { rig.settle(); rig.crash(); }
                Act::Rotate => {
                    rig.rotate(files.len());
                    files.push(Default::default());
                }
            }
        }
        rig.settle();
        for _ in 0..files.len() + 2 {
            rig.pass(QUIET);
        }
        let mut expected: Vec<String> = Vec::new();
        for (nth, sides) in files.iter().enumerate() {
            for text in sides {
                let is_last = nth + 1 == files.len();
                let whole = if is_last { &text[..text.rfind('\n').map_or(0, |at| at + 1)] } else { text };
                for line in whole.lines() {
                    match expected.last_mut() {
                        Some(group) if has_groups && line.starts_with(' ') && !group.ends_with('\n') => {
                            *group = format!("{group}\n{line}");
                        }
                        _ => expected.push(line.to_owned()),
                    }
                }
                // No group goes on in another stream.
                if let Some(last) = expected.last_mut() && !last.ends_with('\n') { last.push('\n'); }
            }
        }
        let mut expected: Vec<&str> = expected.iter().map(|text| text.trim_end_matches('\n')).collect();
        let mut seen = HashSet::new();
        let once = rig.delivered.iter().filter(|record| !crashes || seen.insert((&record.file_id, record.offset)));
        let mut found: Vec<&str> = once.map(|record| record.value.as_str()).collect();
        expected.sort_unstable();
        found.sort_unstable();
        prop_assert_eq!(found, expected);
    }
}
