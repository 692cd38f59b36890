//! What takes minutes, days or a reboot to show, on a clock that the test moves; by the names of the case list.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod rig;

use std::fs;
use std::time::Duration;

use logcatch_tail::Life;
use rig::{Rig, append};

/// Longer than the handle of a rotated file is kept.
const A_WHILE: Duration = Duration::from_secs(70);
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn t3_a_line_every_20_s_for_two_minutes_into_a_rotated_file_ships() {
    let mut rig = Rig::new();
    append(&rig.spec.path, "a\n");
    rig.settle();
    fs::rename(&rig.spec.path, rig.path("app.log.1")).unwrap();
    append(&rig.spec.path, "b\n");
    rig.settle();
    for _ in 0..6 {
        rig.pass(Duration::from_secs(20));
        append(&rig.path("app.log.1"), "late\n");
        append(&rig.spec.path, "b\n");
        rig.settle();
    }
    assert_eq!(rig.values().iter().filter(|value| **value == "late").count(), 6);
    assert_eq!(rig.values().iter().filter(|value| **value == "b").count(), 7);
    rig.pass(A_WHILE);
    assert_eq!(rig.watcher.as_ref().unwrap().handles(), 1);
}

#[test]
fn x3_the_position_of_a_vanished_file_is_kept_for_24_hours_of_running_time() {
    let mut rig = Rig::new();
    append(&rig.spec.path, "a\n");
    rig.settle();
    // Out of sight: whether it still exists, nobody can tell.
    fs::rename(&rig.spec.path, rig.path("elsewhere")).unwrap();
    for _ in 0..23 {
        rig.pass(HOUR);
    }
    // Time that the service does not run is no running time.
    rig.restart();
    rig.now += 100 * HOUR;
    rig.settle();
    assert_eq!(rig.world.positions.all().len(), 1);
    fs::rename(rig.path("elsewhere"), &rig.spec.path).unwrap();
    append(&rig.spec.path, "b\n");
    rig.pass(HOUR);
    assert_eq!(rig.values(), ["a", "b"]);

    fs::rename(&rig.spec.path, rig.path("elsewhere")).unwrap();
    for _ in 0..26 {
        rig.pass(HOUR);
    }
    assert_eq!(rig.world.positions.all().len(), 0);
}

#[test]
fn x3_a_directory_that_is_away_for_days_repeats_nothing() {
    for restart in [false, true] {
        let mut rig = Rig::new();
        fs::create_dir(rig.path("mount")).unwrap();
        rig.spec.path = rig.path("mount/app.log").into();
        rig.restart();
        append(&rig.spec.path, "a\n");
        rig.settle();
        fs::rename(rig.path("mount"), rig.path("away")).unwrap();
        for hour in 0..50 {
            rig.pass(HOUR);
            if restart && hour == 10 {
                rig.restart();
                rig.settle();
            }
        }
        fs::rename(rig.path("away"), rig.path("mount")).unwrap();
        append(&rig.spec.path, "b\n");
        rig.pass(HOUR);
        assert_eq!(rig.values(), ["a", "b"], "restart {restart}");
    }
}

#[test]
fn p7_the_state_of_a_path_that_is_made_anew_200_times_stays_small() {
    let mut rig = Rig::new();
    for number in 0..200 {
        append(&rig.spec.path, &format!("{number}\n"));
        rig.settle();
        match number % 3 {
            0 => fs::remove_file(&rig.spec.path).unwrap(),
            1 => fs::rename(&rig.spec.path, rig.path("app.log.1")).unwrap(),
            _ => fs::write(&rig.spec.path, "").unwrap(),
        }
        rig.pass(Duration::from_secs(400));
    }
    assert_eq!(rig.values().len(), 200);
    let watcher = rig.watcher.as_ref().unwrap();
    assert!(watcher.handles() <= 1, "{} handles", watcher.handles());
    // A rotated file that another replaced under its name might still be somewhere, for a day.
    for _ in 0..26 {
        rig.pass(HOUR);
    }
    // The live file, one rotated file, and nothing of those that are gone.
    let records = rig.world.positions.all().len();
    assert!(records <= 2, "{records} records");
}

#[test]
fn p10_another_device_number_repeats_nothing() {
    for rotated in [false, true] {
        let mut rig = Rig::new();
        let first = format!("{}\n", "x".repeat(2000));
        append(&rig.spec.path, &first);
        rig.settle();
        for stream in rig.world.positions.all() {
            stream.update(|record| record.inode.dev += 1);
        }
        rig.stop();
        append(&rig.spec.path, "more\n");
        let mut expected = vec![first.trim(), "more"];
        if rotated {
            fs::rename(&rig.spec.path, rig.path("app.log.1")).unwrap();
            append(&rig.spec.path, "new\n");
            expected.push("new");
        }
        rig.start();
        rig.settle();
        assert_eq!(rig.values(), expected, "rotated {rotated}");
        rig.restart();
        rig.settle();
        assert_eq!(rig.values(), expected, "rotated {rotated}");
    }
}

/// With less than 1024 bytes to compare, a changed device number cannot be told from another file: twice rather than not.
#[test]
fn p10_another_device_number_of_a_short_file_loses_nothing() {
    let mut rig = Rig::new();
    append(&rig.spec.path, "a\n");
    rig.settle();
    for stream in rig.world.positions.all() {
        stream.update(|record| record.inode.dev += 1);
    }
    rig.stop();
    append(&rig.spec.path, "b\n");
    rig.start();
    rig.settle();
    assert_eq!(rig.values().last(), Some(&"b"));
    assert!(rig.values().contains(&"a"));
}

#[test]
fn x3_a_vanished_file_is_forgotten_also_after_its_device_number_changed() {
    let mut rig = Rig::new();
    append(&rig.spec.path, "a\n");
    rig.settle();
    fs::rename(&rig.spec.path, rig.path("elsewhere")).unwrap();
    append(&rig.spec.path, "b\n");
    rig.pass(A_WHILE);
    for stream in rig.world.positions.all() {
        stream.update(|record| record.inode.dev += u64::from(record.life == Life::Rotated));
    }
    rig.restart();
    for _ in 0..26 {
        rig.pass(HOUR);
    }
    assert_eq!(rig.values(), ["a", "b"]);
    assert_eq!(rig.world.positions.all().len(), 1);
}
