//! Many files: what is asked of the disk once for all.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod rig;

use std::fs;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use rig::{Rig, append};

const FILES: usize = 100;

#[test]
fn a_start_with_saved_positions_lists_their_directory_once_for_all_and_misses_no_rotated_file() {
    let mut rig = Rig::new();
    let path = |rig: &Rig, number| rig.path(&format!("{number}.log"));
    for number in 0..FILES {
        append(&path(&rig, number), "one\n");
        rig.watch(&format!("{number}.log"));
    }
    rig.settle();
    rig.stop();
    for number in 0..FILES {
        append(&path(&rig, number), "two\n");
        if number % 10 == 0 {
            fs::rename(path(&rig, number), rig.path(&format!("{number}.log.1"))).unwrap();
            append(&path(&rig, number), "three\n");
        }
    }
    // A directory that changed just now may change again within the same tick of the kernel's clock: it is listed each time.
    let changed = fs::metadata(rig.logs.path()).unwrap().modified().unwrap();
    while SystemTime::now() < changed + Duration::from_secs(4) {
        sleep(Duration::from_millis(50));
    }
    rig.start();
    rig.settle();
    let mut values = rig.values();
    values.sort_unstable();
    let mut expected = [vec!["one"; FILES], vec!["three"; FILES / 10], vec!["two"; FILES]].concat();
    expected.sort_unstable();
    assert_eq!(values, expected);
    let reads = rig.world.listings.reads();
    assert!(reads < 10, "the directory was listed {reads} times");
}
