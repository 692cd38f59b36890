//! What a rate limit is measured by.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod rig;

use std::sync::Arc;

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
