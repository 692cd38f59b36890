//! A clock that was ahead, as at the start of a host, and is right again.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod rig;

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use logcatch_tail::QUIET;
use rig::{Rig, append, copy};

const HOURS: Duration = Duration::from_secs(7200);

/// Of the generations that are known, one was first seen later than now.
fn seen_ahead(rig: &mut Rig) {
    let stream = rig.world.positions.all().remove(0);
    let mut record = stream.record();
    record.id.0 += u64::try_from(HOURS.as_nanos()).unwrap();
    stream.retire();
    rig.world.positions.begin(record);
    rig.checkpoint();
    rig.restart();
}

/// The file was empty whenever it was looked at: what was in it meanwhile is in its copy.
#[track_caller]
fn check_copy(rig: &mut Rig) {
    append(&rig.spec.path, "a1\n");
    copy(&rig.spec.path, &rig.path("app.log.1"));
    fs::write(&rig.spec.path, "").unwrap();
    rig.pass(QUIET);
    append(&rig.spec.path, "b1\n");
    rig.pass(QUIET);
    assert_eq!(
        rig.values()
            .into_iter()
            .filter(|value| *value != "x")
            .collect::<Vec<_>>(),
        ["a1", "b1"]
    );
}

#[test]
fn what_is_first_seen_after_another_was_seen_ahead_is_seen_now() {
    let mut rig = Rig::new();
    let other = rig.path("other.log").into();
    let path = std::mem::replace(&mut rig.spec.path, other);
    rig.restart();
    append(&rig.spec.path, "x\n");
    rig.settle();
    seen_ahead(&mut rig);
    rig.spec.path = path;
    rig.restart();
    append(&rig.spec.path, "");
    rig.settle();
    check_copy(&mut rig);
}

#[test]
fn what_was_first_seen_ahead_may_have_a_copy() {
    let mut rig = Rig::new();
    append(&rig.spec.path, "");
    rig.settle();
    seen_ahead(&mut rig);
    rig.settle();
    check_copy(&mut rig);
}

#[test]
fn what_came_after_a_file_that_was_changed_ahead_and_is_gone_is_read() {
    for stopped in [false, true] {
        let mut rig = Rig::new();
        append(&rig.spec.path, "a1\n");
        let file = File::options().append(true).open(&rig.spec.path).unwrap();
        file.set_modified(SystemTime::now() + HOURS).unwrap();
        rig.settle();
        if stopped {
            rig.stop();
        }
        fs::remove_file(&rig.spec.path).unwrap();
        append(&rig.path("app.log.1"), "b1\n");
        append(&rig.spec.path, "c1\n");
        if stopped {
            rig.start();
        }
        rig.settle();
        assert_eq!(rig.values(), ["a1", "b1", "c1"], "stopped {stopped}");
    }
}
