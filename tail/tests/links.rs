//! A path that is a link to the youngest of dated files beside it, as cronolog and rotatelogs keep one.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod rig;

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use logcatch_tail::QUIET;
use rig::{Rig, append};

/// The path leads to this file from now on.
fn link(rig: &Rig, hard: bool, to: &str) {
    let _ = fs::remove_file(&rig.spec.path);
    let to = rig.path(to);
    if hard {
        fs::hard_link(to, &rig.spec.path).unwrap();
    } else {
        symlink(to, &rig.spec.path).unwrap();
    }
}

#[test]
fn a_link_that_leads_to_a_younger_file_after_a_stop_ships_everything_once() {
    for hard in [false, true] {
        for first in ["a1\n", ""] {
            for unseen in [false, true] {
                let mut rig = Rig::new();
                append(&rig.path("app.log.20261125"), first);
                link(&rig, hard, "app.log.20261125");
                rig.settle();
                rig.stop();
                append(&rig.path("app.log.20261125"), "a2\n");
                let mut expected: Vec<_> = first.lines().chain(["a2"]).collect();
                if unseen {
                    append(&rig.path("app.log.20261126"), "b1\n");
                    expected.push("b1");
                }
                append(&rig.path("app.log.20261127"), "c1\n");
                link(&rig, hard, "app.log.20261127");
                rig.start();
                rig.settle();
                for line in ["c2\n", "c3\n"] {
                    append(&rig.spec.path, line);
                    rig.settle();
                }
                rig.pass(QUIET);
                rig.pass(Duration::from_secs(400));
                rig.restart();
                append(&rig.spec.path, "c4\n");
                rig.settle();
                expected.extend(["c1", "c2", "c3", "c4"]);
                assert_eq!(rig.values(), expected, "hard {hard}, first {first:?}, unseen {unseen}");
            }
        }
    }
}

/// The file has its dated name at the path's first sight already.
#[test]
fn a_file_that_was_empty_at_first_sight_is_no_copy_of_itself() {
    for hard in [false, true] {
        let mut rig = Rig::new();
        append(&rig.path("app.log.20261126"), "");
        link(&rig, hard, "app.log.20261126");
        rig.settle();
        rig.stop();
        append(&rig.spec.path, "a1\n");
        rig.start();
        rig.settle();
        append(&rig.spec.path, "a2\n");
        rig.settle();
        rig.restart();
        rig.settle();
        assert_eq!(rig.values(), ["a1", "a2"], "hard {hard}");
    }
}

/// As glog names its files, and as a container that starts anew gets its next log: the names have nothing in common.
#[test]
fn a_link_that_leads_to_an_unrelated_name_after_a_stop_loses_nothing() {
    for rotated in [false, true] {
        let mut rig = Rig::new();
        let [one, two] = ["x-one.txt", "x-two.txt"].map(|name| rig.path(name));
        append(&one, "a1\n");
        link(&rig, false, "x-one.txt");
        rig.settle();
        rig.stop();
        append(&one, "a2\n");
        let mut expected = vec!["a1", "a2"];
        if rotated {
            fs::rename(&one, rig.path("x-one.txt.20261126-101112")).unwrap();
            append(&one, "b1\n");
            expected.push("b1");
        }
        append(&two, "c1\n");
        link(&rig, false, "x-two.txt");
        rig.start();
        rig.settle();
        expected.push("c1");
        assert_eq!(rig.values(), expected, "rotated {rotated}");
        (0..26).for_each(|_| rig.pass(Duration::from_secs(3600)));
        for _ in 0..2 {
            rig.restart();
            rig.settle();
        }
        append(&rig.spec.path, "c2\n");
        rig.settle();
        expected.push("c2");
        assert_eq!(rig.values(), expected, "rotated {rotated}");
    }
}

/// The other has a watcher of its own, as all files in a pattern have.
#[test]
fn what_a_link_led_to_before_may_be_watched_itself() {
    let mut rig = Rig::new();
    append(&rig.path("x-one.txt"), "a1\n");
    link(&rig, false, "x-one.txt");
    rig.watch("x-one.txt");
    rig.watch("x-two.txt");
    rig.settle();
    rig.stop();
    append(&rig.path("x-one.txt"), "a2\n");
    append(&rig.path("x-two.txt"), "b1\n");
    link(&rig, false, "x-two.txt");
    rig.start();
    rig.settle();
    append(&rig.path("x-one.txt"), "a3\n");
    append(&rig.path("x-two.txt"), "b2\n");
    (0..3).for_each(|_| rig.pass(Duration::from_secs(70)));
    let mut values = rig.values();
    values.sort_unstable();
    assert_eq!(values, ["a1", "a2", "a3", "b1", "b2"]);
}
