//! Watchers that wait for the watcher of a log to which nothing is written.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod rig;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use logcatch_tail::{QUIET, Watcher};
use rig::{Rig, append, copy};

/// A log that is read and quiet, whose watcher counts how often it is woken.
fn idle() -> (Rig, Arc<AtomicUsize>) {
    let mut rig = Rig::new();
    let woken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&woken);
    let wake = Arc::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
    });
    rig.watcher = Some(Watcher::new(rig.spec.clone(), rig.world.clone(), wake));
    append(&rig.spec.path, "quiet\n");
    rig.settle();
    rig.is_quiet = true;
    (rig, woken)
}

/// A file of its own, written in one go after the log.
fn appear(rig: &mut Rig, name: &str) {
    copy(&rig.spec.path, &rig.path(name));
    fs::write(rig.path(name), "of its own\n").unwrap();
    rig.watch(name);
}

/// Time passes, and only timers tell it.
fn wait(rig: &mut Rig, time: Duration) {
    let end = rig.now + time;
    while rig.now < end {
        rig.now += Duration::from_secs(1);
        rig.settle();
    }
}

/// Once it waited until something was written to the log: for ever, if nothing was.
#[test]
fn a_file_that_may_be_a_copy_is_read_though_nothing_wakes_the_watcher_of_the_original() {
    for name in ["app.log-20261126", "app-1.log"] {
        let (mut rig, woken) = idle();
        appear(&mut rig, name);
        rig.settle();
        assert_eq!(rig.values(), ["quiet"], "it may be a generation of the log");
        wait(&mut rig, 3 * QUIET);
        assert_eq!(rig.values(), ["quiet", "of its own"]);
        let count = woken.load(Ordering::Relaxed);
        assert!(count > 0, "who sleeps without a timer must be woken");
        wait(&mut rig, 3 * QUIET);
        assert_eq!(woken.load(Ordering::Relaxed), count, "nothing is waited for any more");
    }
}

#[test]
fn a_file_that_may_be_a_copy_and_is_renamed_away_is_read_as_well() {
    let (mut rig, woken) = idle();
    appear(&mut rig, "app.log-20261126");
    rig.settle();
    fs::rename(rig.path("app.log-20261126"), rig.path("elsewhere")).unwrap();
    wait(&mut rig, 4 * QUIET);
    assert_eq!(rig.values(), ["quiet", "of its own"]);
    assert!(woken.load(Ordering::Relaxed) > 0);
}
