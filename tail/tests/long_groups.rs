//! Groups of lines that are longer than what is read at once: nothing but their bytes says what they are.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod rig;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use logcatch_tail::{Filter, HOLD, Multiline, Origin, QUIET, Rule};
use regex::bytes::Regex;
use rig::archive::Gz;
use rig::{Rig, append};
use serde_json::{Map, Value};

const TIMEOUT: Duration = Duration::from_secs(1);
/// More than is read at once, as it is and as JSON.
const LINES: usize = 2000;

#[derive(Debug)]
struct Plain;

impl Origin for Plain {
    fn host(&self) -> &'static str {
        "h"
    }

    fn fields(&self, _: &Path) -> Map<String, Value> {
        Map::new()
    }

    fn now(&self) -> String {
        "2024-01-01T00:00:00.000Z".to_owned()
    }
}

/// Of the groups ships what begins with `ERROR`, or all.
fn rig(is_json: bool, is_filtered: bool) -> Rig {
    let mut rig = Rig::new();
    rig.spec.shape.json = is_json.then(|| Arc::new(Plain) as _);
    rig.spec.shape.filter = is_filtered.then(|| Arc::new(Filter::new(&["^ERROR".into()], &[]).unwrap().unwrap()));
    rig.spec.shape.multiline = Some(Arc::new(Multiline {
        rule: Rule::Start(Regex::new(r"^\S").unwrap()),
        timeout: TIMEOUT,
        max_lines: 2 * LINES,
    }));
    rig.restart();
    rig
}

/// About 200 KB.
fn group(number: usize) -> String {
    let line = format!(" {}\n", "x".repeat(98));
    format!("ERROR {number}\n{}", line.repeat(LINES))
}

fn groups() -> Vec<String> {
    (0..4).map(group).collect()
}

#[track_caller]
fn check(rig: &Rig, expected: &[String], context: &str) {
    let is_json = rig.spec.shape.json.is_some();
    let text = |value: &str| match is_json {
        true => serde_json::from_str::<Value>(value).unwrap()["message"]
            .as_str()
            .unwrap()
            .to_owned(),
        false => value.to_owned(),
    };
    let found: Vec<String> = rig.values().into_iter().map(text).collect();
    let lengths = |texts: &[String]| texts.iter().map(String::len).collect::<Vec<_>>();
    assert!(
        found.iter().eq(expected.iter().map(|text| text.trim_end())),
        "{context}: {:?} instead of {:?}",
        lengths(&found),
        lengths(expected)
    );
}

fn each_way(check: impl Fn(Rig, &str)) {
    for (is_json, is_filtered) in [(false, false), (false, true), (true, false), (true, true)] {
        check(
            rig(is_json, is_filtered),
            &format!("json {is_json}, filtered {is_filtered}"),
        );
    }
}

#[test]
fn a_rotated_file_that_was_quiet_before_it_could_be_read_gives_whole_groups() {
    each_way(|mut rig, context| {
        append(&rig.spec.path, "ERROR\n");
        rig.settle();
        append(&rig.spec.path, &groups().concat());
        fs::rename(&rig.spec.path, rig.path("app.log.1")).unwrap();
        append(&rig.spec.path, "");
        rig.run(0);
        rig.now += QUIET + TIMEOUT;
        rig.pass(TIMEOUT);
        check(&rig, &[vec!["ERROR".to_owned()], groups()].concat(), context);
    });
}

#[test]
fn a_copy_gives_whole_groups() {
    each_way(|mut rig, context| {
        append(&rig.spec.path, "ERROR\n");
        rig.settle();
        append(&rig.spec.path, &groups().concat());
        rig::copy(&rig.spec.path, &rig.path("app.log.1"));
        fs::write(&rig.spec.path, "").unwrap();
        rig.pass(TIMEOUT);
        check(&rig, &[vec!["ERROR".to_owned()], groups()].concat(), context);
    });
}

#[test]
fn an_archive_gives_whole_groups() {
    each_way(|mut rig, context| {
        append(&rig.spec.path, "ERROR\n");
        rig.settle();
        append(&rig.spec.path, &groups().concat());
        rig.stop();
        fs::rename(&rig.spec.path, rig.path("app.log.1")).unwrap();
        Gz.compress(&rig.path("app.log.1"));
        append(&rig.spec.path, "");
        rig.start();
        rig.pass(QUIET);
        rig.pass(QUIET);
        check(&rig, &[vec!["ERROR".to_owned()], groups()].concat(), context);
    });
}

#[test]
fn a_file_that_was_closed_while_a_group_waited_gives_the_whole_group() {
    each_way(|mut rig, context| {
        rig.world.handles.set_limit(1);
        append(&rig.spec.path, &(group(0) + &group(1)));
        rig.settle();
        let mut other = rig.world.handles.seat(Arc::new(|| {}));
        assert!(!other.take(rig.now), "the handle is in use");
        rig.now += HOLD;
        rig.run(0);
        assert_eq!(rig.watcher.as_ref().unwrap().handles(), 0, "the file is closed");
        other.give_up();
        rig.pass(TIMEOUT);
        rig.pass(TIMEOUT);
        check(&rig, &[group(0), group(1)], context);
    });
}

/// Room that a program reserves is no line, however much of it follows.
#[test]
fn a_group_before_much_room_ships_after_its_timeout() {
    each_way(|mut rig, context| {
        append(&rig.spec.path, &group(0));
        let file = fs::File::options().append(true).open(&rig.spec.path).unwrap();
        file.set_len(8 << 20).unwrap();
        rig.settle();
        check(&rig, &[], context);
        rig.pass(TIMEOUT);
        check(&rig, &[group(0)], context);
    });
}

/// Nothing but memory has it any more.
#[test]
fn a_long_group_that_a_truncation_takes_away_while_it_waits_ships() {
    each_way(|mut rig, context| {
        append(&rig.spec.path, &(group(0) + &group(1)));
        rig.settle();
        fs::write(&rig.spec.path, "").unwrap();
        rig.pass(TIMEOUT);
        check(&rig, &[group(0), group(1)], context);
        let balance = rig.world.positions.account("app").balance();
        assert_eq!(balance.unreachable, 0, "{context}");
    });
}
