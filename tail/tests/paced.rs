//! What a rate limit is measured by, and how long one file waits for another.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod rig;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use logcatch_tail::Filter;
use rig::{Rig, append};

#[test]
fn lines_that_do_not_ship_are_read_as_well() {
    let mut rig = Rig::new();
    rig.spec.shape.filter = Filter::new(&[], &["^no".into()]).unwrap().map(Arc::new);
    rig.restart();
    let mut read = |text: &str| {
        append(&rig.spec.path, text);
        rig.settle();
        rig.watcher.as_mut().unwrap().take_read()
    };
    assert_eq!(read("yes\nnot this\n"), 13);
    assert_eq!(read("nor this\nunfinished"), 9, "nothing ships");
    assert_eq!(read(""), 0);
}

#[test]
fn an_unfinished_line_that_grows_for_ever_in_a_rotated_file_does_not_hold_the_new_one() {
    let mut rig = Rig::new();
    append(&rig.spec.path, "a1\n");
    rig.settle();
    fs::rename(&rig.spec.path, rig.path("app.log.1")).unwrap();
    append(&rig.spec.path, "b1\n");
    let add = |rig: &mut Rig, seconds| {
        for _ in 0..seconds {
            append(&rig.path("app.log.1"), ".");
            rig.pass(Duration::from_secs(1));
        }
    };
    add(&mut rig, 10);
    assert_eq!(rig.values(), ["a1"], "as long as its end may come soon");
    add(&mut rig, 50);
    assert_eq!(rig.values(), ["a1", "b1"]);
    append(&rig.path("app.log.1"), "\n");
    rig.settle();
    assert_eq!(rig.values(), ["a1", "b1", &".".repeat(60)]);
}
