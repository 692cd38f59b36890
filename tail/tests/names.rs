//! What the names of rotated files say of their age, and what they do not.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod rig;

use std::fs;
use std::time::Duration;

use rig::{Rig, append};

/// Until the file system says that so much time has passed that nobody takes what was before for what comes after.
fn tick(rig: &Rig) {
    let now = || {
        fs::write(rig.path("clock"), "tick").unwrap();
        fs::metadata(rig.path("clock")).unwrap().modified().unwrap()
    };
    let begin = now();
    while now() < begin + Duration::from_millis(20) {
        std::thread::yield_now();
    }
}

/// The log goes under another name, and is made anew.
fn rotate(rig: &Rig, to: &str, next: &str) {
    tick(rig);
    fs::rename(&rig.spec.path, rig.path(to)).unwrap();
    append(&rig.spec.path, next);
}

/// What happens while nobody looks: between two looks, or while the service is down.
fn unseen(rig: &mut Rig, stopped: bool, work: impl FnOnce(&Rig)) {
    if stopped {
        rig.stop();
    }
    work(rig);
    if stopped {
        rig.start();
    }
}

/// Files of these names are there at first sight, and the log; then it is rotated to each of the others, while nobody looks.
#[track_caller]
fn check(old: &[&str], rotated: &[&str]) {
    for stopped in [false, true] {
        let mut rig = Rig::new();
        for name in old {
            append(&rig.path(name), &format!("{name}, before\n"));
            tick(&rig);
        }
        append(&rig.spec.path, "first\n");
        rig.settle();
        unseen(&mut rig, stopped, |rig| {
            append(&rig.spec.path, "rest\n");
            for name in rotated {
                rotate(rig, name, &format!("after {name}\n"));
            }
        });
        let mut expected = vec!["first", "rest"];
        let after: Vec<_> = rotated.iter().map(|name| format!("after {name}")).collect();
        expected.extend(after.iter().map(String::as_str));
        rig.settle();
        rig.pass(Duration::from_secs(3600));
        rig.restart();
        rig.settle();
        assert_eq!(rig.values(), expected, "stopped {stopped}");
    }
}

#[test]
fn a_tenth_file_of_a_day_is_younger_than_the_ninth() {
    check(
        &["app.log.2026-11-24.8"],
        &["app.log.2026-11-24.9", "app.log.2026-11-24.10", "app.log.2026-11-24.11"],
    );
}

#[test]
fn numbers_may_count_up() {
    check(&["app.log.1", "app.log.2"], &["app.log.3"]);
    check(&["app.log.1", "app.log.2"], &["app.log.3", "app.log.4", "app.log.5"]);
    check(&["app-1.log"], &["app-2.log", "app-3.log"]);
    check(&[], &["app.log.1", "app.log.2"]);
}

#[test]
fn dates_may_begin_with_the_day() {
    check(&["app.log.29-10-2026", "app.log.30-10-2026"], &["app.log.24-11-2026"]);
    check(
        &["app.log.29-10-2026", "app.log.30-10-2026"],
        &["app.log.31-10-2026", "app.log.01-11-2026", "app.log.02-11-2026"],
    );
}

/// A late line in the one that is known makes the time of its last change say otherwise.
#[test]
fn a_late_line_does_not_hide_what_was_rotated_after_it() {
    for stopped in [false, true] {
        let mut rig = Rig::new();
        append(&rig.spec.path, "a\n");
        rig.settle();
        unseen(&mut rig, stopped, |rig| {
            rotate(rig, "app.log.2", "b\n");
            rotate(rig, "app.log.1", "c\n");
            tick(rig);
            append(&rig.path("app.log.2"), "late\n");
        });
        rig.settle();
        rig.restart();
        rig.settle();
        assert_eq!(rig.values(), ["a", "late", "b", "c"], "stopped {stopped}");
    }
}

/// What was shipped, after the name of the path that it ships under.
fn shown(rig: &Rig) -> Vec<String> {
    let streams = rig.world.positions.all();
    let shown = rig.delivered.iter().map(|record| {
        let stream = streams.iter().find(|stream| stream.id().to_string() == record.file_id);
        let path = stream.unwrap().record().path;
        format!("{}: {}", path.file_name().unwrap().display(), record.value)
    });
    let mut shown: Vec<_> = shown.collect();
    shown.sort_unstable();
    shown
}

/// As programs with several instances name their logs: `app-3.log` comes to be beside `app.log`, in which nothing was seen yet.
#[test]
fn a_log_that_another_instance_writes_is_its_own() {
    for others_first in [false, true] {
        for stopped in [false, true] {
            let mut rig = Rig::new();
            rig.others_first = others_first;
            append(&rig.spec.path, "");
            rig.settle();
            unseen(&mut rig, stopped, |rig| {
                tick(rig);
                append(&rig.path("app-3.log"), "three\n");
                tick(rig);
                append(&rig.spec.path, "one\n");
            });
            rig.watch("app-3.log");
            rig.settle();
            append(&rig.path("app-3.log"), "four\n");
            append(&rig.spec.path, "two\n");
            (0..3).for_each(|_| rig.pass(Duration::from_secs(10)));
            let expected = ["app-3.log: four", "app-3.log: three", "app.log: one", "app.log: two"];
            assert_eq!(shown(&rig), expected, "others first {others_first}, stopped {stopped}");
        }
    }
}

#[test]
fn a_log_that_another_instance_writes_outside_of_the_pattern_is_not_read() {
    for stopped in [false, true] {
        let mut rig = Rig::new();
        append(&rig.spec.path, "");
        rig.settle();
        unseen(&mut rig, stopped, |rig| {
            tick(rig);
            append(&rig.path("app-3.log"), "three\n");
            tick(rig);
            append(&rig.spec.path, "one\n");
        });
        (0..3).for_each(|_| rig.pass(Duration::from_secs(10)));
        assert_eq!(rig.values(), ["one"], "stopped {stopped}");
    }
}

#[test]
fn a_log_that_another_instance_writes_is_its_own_also_where_the_file_before_is_gone() {
    for stopped in [false, true] {
        let mut rig = Rig::new();
        append(&rig.spec.path, "a1\n");
        rig.settle();
        unseen(&mut rig, stopped, |rig| {
            tick(rig);
            fs::remove_file(&rig.spec.path).unwrap();
            append(&rig.path("app-3.log"), "three\n");
            append(&rig.spec.path, "b1\n");
        });
        rig.watch("app-3.log");
        rig.settle();
        append(&rig.path("app-3.log"), "four\n");
        (0..3).for_each(|_| rig.pass(Duration::from_secs(10)));
        let expected = ["app-3.log: four", "app-3.log: three", "app.log: a1", "app.log: b1"];
        assert_eq!(shown(&rig), expected, "stopped {stopped}");
    }
}

/// Whatever it is named: what is written on after a truncation is no copy of what was cut.
#[test]
fn what_was_changed_after_a_file_is_no_copy_of_what_it_held() {
    for stopped in [false, true] {
        let mut rig = Rig::new();
        append(&rig.spec.path, "");
        rig.settle();
        unseen(&mut rig, stopped, |rig| {
            tick(rig);
            append(&rig.path("app.3.log"), "three\n");
            append(&rig.spec.path, "one\n");
            tick(rig);
            append(&rig.path("app.3.log"), "four\n");
        });
        (0..3).for_each(|_| rig.pass(Duration::from_secs(10)));
        assert_eq!(rig.values(), ["one"], "stopped {stopped}");
    }
}
