//! Generations that are born and rotated away while the path leads nowhere.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod rig;

use std::fs;

use rig::archive::Gz;
use rig::{Rig, append};

#[test]
fn a_generation_between_an_absent_file_and_the_next_look_is_read() {
    let mut rig = Rig::new();
    append(&rig.spec.path, "a\n");
    rig.settle();
    fs::rename(&rig.spec.path, rig.path("app.log.1")).unwrap();
    rig.settle();
    // The path was seen to lead nowhere; two files come before it is looked at again.
    append(&rig.spec.path, "b\n");
    fs::rename(rig.path("app.log.1"), rig.path("app.log.2")).unwrap();
    fs::rename(&rig.spec.path, rig.path("app.log.1")).unwrap();
    append(&rig.spec.path, "c\n");
    rig.settle();
    assert_eq!(rig.values(), ["a", "b", "c"]);
}

#[test]
fn a_generation_after_a_deleted_one_is_read() {
    let mut rig = Rig::new();
    append(&rig.spec.path, "a\n");
    rig.settle();
    fs::remove_file(&rig.spec.path).unwrap();
    rig.settle();
    append(&rig.spec.path, "b\n");
    fs::rename(&rig.spec.path, rig.path("app.log.1")).unwrap();
    append(&rig.spec.path, "c\n");
    rig.settle();
    assert_eq!(rig.values(), ["a", "b", "c"]);
}

/// It was frozen, say: a file in which nothing was seen yet has an archive before the watcher is told of its rotation.
#[test]
fn the_archive_of_an_unread_file_whose_rotation_was_not_noticed_is_no_copy_of_it() {
    let mut rig = Rig::new();
    append(&rig.spec.path, "");
    rig.run(0);
    append(&rig.spec.path, "a\n");
    fs::rename(&rig.spec.path, rig.path("app.log.1")).unwrap();
    Gz.compress(&rig.path("app.log.1"));
    append(&rig.spec.path, "b\n");
    rig.is_quiet = true;
    rig.run(0);
    rig.is_quiet = false;
    rig.settle();
    assert_eq!(rig.values(), ["a", "b"]);
}
