//! No handle is left in the process: that is waited out, and nothing is lost. One test, because the limit is the process's.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod rig;

use std::fs::{self, File};
use std::os::fd::AsRawFd;

use rig::{Rig, append};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Runs while nothing can be opened.
fn without_handles(run: impl FnOnce()) {
    let before = getrlimit(Resource::Nofile);
    let next = File::open("/dev/null").unwrap().as_raw_fd();
    let current = Some(u64::try_from(next).unwrap());
    setrlimit(Resource::Nofile, Rlimit { current, ..before }).unwrap();
    assert!(File::open("/dev/null").is_err());
    run();
    setrlimit(Resource::Nofile, before).unwrap();
}

#[test]
fn without_a_handle_left_everything_waits_and_nothing_is_lost() {
    // At first sight.
    let mut rig = Rig::new();
    append(&rig.spec.path, "one\n");
    without_handles(|| rig.settle());
    rig.settle();
    assert_eq!(rig.values(), ["one"]);

    // After two rotations, one of which nobody saw.
    append(&rig.spec.path, "two\n");
    fs::rename(&rig.spec.path, rig.path("app.log.2")).unwrap();
    append(&rig.path("app.log.1"), "three\n");
    append(&rig.spec.path, "four\n");
    without_handles(|| rig.settle());
    rig.settle();
    assert_eq!(rig.values(), ["one", "two", "three", "four"]);

    // At a copy and truncate.
    append(&rig.spec.path, "five\n");
    fs::copy(&rig.spec.path, rig.path("app.log.0")).unwrap();
    fs::write(&rig.spec.path, "6\n").unwrap();
    without_handles(|| rig.settle());
    rig.settle();
    assert_eq!(rig.values()[4..], ["five", "6"]);

    // At a start with known positions.
    rig.restart();
    append(&rig.spec.path, "seven\n");
    fs::rename(&rig.spec.path, rig.path("app.log.00")).unwrap();
    append(&rig.spec.path, "eight\n");
    without_handles(|| rig.settle());
    rig.settle();
    assert_eq!(rig.values()[6..], ["seven", "eight"]);
}
