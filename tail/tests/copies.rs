//! Copies of a watched log, inside the pattern and beside it: what is in them is shipped once.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod rig;

use std::fs::{self, File};
use std::time::Duration;

use logcatch_tail::QUIET;
use rig::archive::Gz;
use rig::{Rig, append, copy};

fn lines(name: &str, count: usize) -> String {
    (0..count).map(|n| format!("{name} {n} {}\n", "x".repeat(50))).collect()
}

fn assert_once(rig: &Rig, expected: &str) {
    let mut values = rig.values();
    let mut expected: Vec<_> = expected.lines().collect();
    values.sort_unstable();
    expected.sort_unstable();
    assert_eq!(values, expected);
}

/// A log and its copy under a rotated name, both in the pattern.
fn pattern() -> Rig {
    let mut rig = Rig::new();
    rig.watch("app.log.1");
    rig.settle();
    rig
}

#[test]
fn t11_a_big_copy_that_still_grows_in_the_pattern_is_not_read() {
    for cut in [1, 500, 20_000] {
        let mut rig = pattern();
        let content = lines("a", 1000);
        append(&rig.spec.path, &content);
        rig.settle();
        for end in [0, cut, 2 * cut, content.len()] {
            if end == 0 {
                copy(&rig.spec.path, &rig.path("app.log.1"));
            }
            fs::write(rig.path("app.log.1"), &content[..end]).unwrap();
            rig.pass(Duration::from_secs(2));
        }
        rig.pass(QUIET);
        rig.pass(QUIET);
        append(&rig.spec.path, "later\n");
        rig.settle();
        rig.restart();
        rig.pass(QUIET);
        rig.pass(QUIET);
        assert_once(&rig, &(content + "later\n"));
    }
}

#[test]
fn u3_in_the_pattern_what_was_unread_ships_from_the_copy_and_nothing_twice() {
    for unread in ["", "a3\na4\n"] {
        for restart in [false, true] {
            let mut rig = pattern();
            append(&rig.spec.path, "a1\na2\n");
            rig.settle();
            if restart {
                rig.stop();
            }
            append(&rig.spec.path, unread);
            copy(&rig.spec.path, &rig.path("app.log.1"));
            if !restart {
                // The copy is seen before the truncation.
                rig.others.iter_mut().for_each(|other| {
                    other.wake();
                    other.poll(rig.now).unwrap();
                });
            }
            fs::write(&rig.spec.path, "b1\n").unwrap();
            if restart {
                rig.start();
            }
            rig.settle();
            for _ in 0..4 {
                rig.pass(QUIET);
            }
            rig.restart();
            rig.pass(QUIET);
            rig.pass(QUIET);
            assert_once(&rig, &format!("a1\na2\n{unread}b1\n"));
        }
    }
}

#[test]
fn u3_a_copy_that_ends_before_what_was_read_is_not_read_again() {
    for in_pattern in [false, true] {
        for size in [3, 2000] {
            let mut rig = if in_pattern { pattern() } else { Rig::new() };
            let copied = lines("a", size / 50);
            append(&rig.spec.path, &copied);
            rig.settle();
            copy(&rig.spec.path, &rig.path("app.log.1"));
            append(&rig.spec.path, "read before the truncation\n");
            rig.settle();
            fs::write(&rig.spec.path, "").unwrap();
            rig.settle();
            append(&rig.spec.path, "b\n");
            rig.settle();
            for _ in 0..3 {
                rig.pass(QUIET);
            }
            rig.restart();
            rig.pass(QUIET);
            rig.pass(QUIET);
            assert_once(&rig, &format!("{copied}read before the truncation\nb\n"));
        }
    }
}

/// Once its copy was found at the next start only, and lost if it was deleted before.
#[test]
fn u3_a_generation_that_nobody_saw_after_a_copy_that_ends_early_is_read() {
    for (compresses, in_pattern) in [(false, false), (true, false), (false, true)] {
        let mut rig = if in_pattern { pattern() } else { Rig::new() };
        let [one, two] = ["app.log.1", "app.log.2"].map(|name| rig.path(name));
        append(&rig.spec.path, "a1\n");
        rig.settle();
        copy(&rig.spec.path, &one);
        append(&rig.spec.path, "a2\n");
        rig.settle();
        fs::write(&rig.spec.path, "b\n").unwrap();
        fs::rename(&one, &two).unwrap();
        copy(&rig.spec.path, &one);
        if compresses {
            Gz.compress(&one);
        }
        fs::write(&rig.spec.path, "c\n").unwrap();
        rig.settle();
        (0..3).for_each(|_| rig.pass(QUIET));
        let expected = ["a1", "a2", "b", "c"];
        assert_eq!(rig.values(), expected, "{compresses} {in_pattern}");
        rig.restart();
        rig.pass(QUIET);
        assert_eq!(rig.values(), expected, "nothing is read again");
    }
}

/// Once it was found again at each look, because its position could not move beyond its first end.
#[test]
fn a_copy_that_ended_early_and_grows_later_is_read_on_once() {
    for in_flight in [false, true] {
        let mut rig = Rig::new();
        let copied = lines("a", 40);
        append(&rig.spec.path, &copied);
        rig.settle();
        copy(&rig.spec.path, &rig.path("app.log.1"));
        append(&rig.spec.path, "read before the truncation\n");
        rig.run(usize::MAX);
        if !in_flight {
            rig.acknowledge();
        }
        fs::write(&rig.spec.path, "").unwrap();
        rig.run(usize::MAX);
        append(&rig.path("app.log.1"), "late in the copy\n");
        for _ in 0..3 {
            rig.pass(QUIET);
        }
        rig.restart();
        rig.pass(Duration::from_secs(70));
        rig.pass(QUIET);
        assert_once(&rig, &format!("{copied}read before the truncation\nlate in the copy\n"));
    }
}

/// Truncated while the service was down, after more was read than was copied.
#[test]
fn u3_a_shorter_copy_across_a_restart_is_not_read_again() {
    for in_pattern in [false, true] {
        let mut rig = if in_pattern { pattern() } else { Rig::new() };
        let copied = lines("a", 40);
        append(&rig.spec.path, &copied);
        rig.settle();
        copy(&rig.spec.path, &rig.path("app.log.1"));
        append(&rig.spec.path, "read before the truncation\n");
        rig.settle();
        rig.stop();
        fs::write(&rig.spec.path, "b\n").unwrap();
        rig.start();
        rig.settle();
        for _ in 0..3 {
            rig.pass(QUIET);
        }
        assert_once(&rig, &format!("{copied}read before the truncation\nb\n"));
    }
}

#[test]
fn u3_what_was_lost_between_a_copy_and_its_truncation_is_counted() {
    let mut rig = Rig::new();
    append(&rig.spec.path, "a1\n");
    rig.settle();
    append(&rig.spec.path, "a2\n");
    copy(&rig.spec.path, &rig.path("app.log.1"));
    append(&rig.spec.path, "lost\n");
    rig.run(0);
    fs::write(&rig.spec.path, "").unwrap();
    rig.settle();
    assert_eq!(rig.values(), ["a1", "a2"]);
    assert_eq!(rig.world.positions.account("app").balance().unreachable, 5);
}

/// Kafka was away: the file was seen and nothing of it was read.
#[test]
fn u3_a_file_of_which_nothing_was_read_is_found_in_its_copy() {
    for look in [false, true] {
        for after in ["b1\n", "b1 is longer than what was there before\n"] {
            let mut rig = Rig::new();
            append(&rig.spec.path, "");
            rig.run(0);
            append(&rig.spec.path, "a1\na2\n");
            if look {
                rig.run(0);
            }
            copy(&rig.spec.path, &rig.path("app.log.1"));
            fs::write(&rig.spec.path, after).unwrap();
            rig.pass(Duration::ZERO);
            rig.pass(QUIET);
            rig.restart();
            rig.pass(QUIET);
            assert_eq!(rig.values(), ["a1", "a2", after.trim()], "look {look}");
        }
    }
}

#[test]
fn t12_identical_generations_by_copy_each_ship_once() {
    for in_pattern in [false, true] {
        let mut rig = Rig::new();
        if in_pattern {
            rig.watch("app.log.1");
            rig.watch("app.log.2");
            rig.watch("app.log.3");
        }
        rig.settle();
        let night = lines("night", 40);
        let mut expected = String::new();
        for _ in 0..3 {
            append(&rig.spec.path, &night);
            expected += &night;
            rig.settle();
            for n in [2, 1] {
                let _ = fs::rename(
                    rig.path(&format!("app.log.{n}")),
                    rig.path(&format!("app.log.{}", n + 1)),
                );
            }
            copy(&rig.spec.path, &rig.path("app.log.1"));
            fs::write(&rig.spec.path, "").unwrap();
            rig.settle();
            for _ in 0..3 {
                rig.pass(QUIET);
            }
        }
        rig.restart();
        rig.pass(QUIET);
        rig.pass(QUIET);
        assert_once(&rig, &expected);
    }
}

#[test]
fn t12_identical_generations_by_rename_each_ship_once() {
    let mut rig = Rig::new();
    for n in 1..=3 {
        rig.watch(&format!("app.log.{n}"));
    }
    rig.settle();
    let night = lines("night", 40);
    let mut expected = String::new();
    for round in 0..3 {
        append(&rig.spec.path, &night);
        expected += &night;
        if round != 1 {
            rig.settle();
        }
        for n in [2, 1] {
            let _ = fs::rename(
                rig.path(&format!("app.log.{n}")),
                rig.path(&format!("app.log.{}", n + 1)),
            );
        }
        fs::rename(&rig.spec.path, rig.path("app.log.1")).unwrap();
        append(&rig.spec.path, "");
        rig.settle();
        for _ in 0..20 {
            rig.pass(QUIET);
        }
    }
    rig.restart();
    rig.pass(QUIET);
    assert_once(&rig, &expected);
}

/// logrotate's `copy`: the log is never truncated.
#[test]
fn t13_copies_of_a_log_that_grows_on_are_never_read() {
    let mut rig = Rig::new();
    for n in 1..=3 {
        rig.watch(&format!("app.log.{n}"));
    }
    rig.settle();
    let mut expected = String::new();
    for round in 0..3 {
        let day = lines(&format!("day {round}"), 30);
        append(&rig.spec.path, &day);
        expected += &day;
        rig.settle();
        for n in [2, 1] {
            let _ = fs::rename(
                rig.path(&format!("app.log.{n}")),
                rig.path(&format!("app.log.{}", n + 1)),
            );
        }
        copy(&rig.spec.path, &rig.path("app.log.1"));
        for _ in 0..3 {
            rig.pass(QUIET);
        }
        if round == 1 {
            rig.restart();
        }
    }
    let copied = rig.world.positions.account("app").balance().skipped_copy;
    assert!(copied > 0);
    rig.restart();
    rig.pass(QUIET);
    assert_once(&rig, &expected);
}

/// A name that looks like a rotated one is no proof.
#[test]
fn a_log_of_its_own_beside_another_is_read_soon_and_whole() {
    for content in ["b1\nb2\n", "a1\nb2\n"] {
        let mut rig = pattern();
        append(&rig.spec.path, "a1\na2\n");
        rig.settle();
        append(&rig.path("app.log.1"), content);
        rig.settle();
        append(&rig.path("app.log.1"), "b3\n");
        rig.pass(Duration::from_secs(2));
        if content.starts_with('b') {
            assert_once(&rig, &format!("a1\na2\n{content}b3\n"));
        }
        rig.pass(QUIET);
        rig.pass(QUIET);
        assert_once(&rig, &format!("a1\na2\n{content}b3\n"));
    }
}

/// What was taken for a copy goes its own way: all of it is read, when too little was there to be sure.
#[test]
fn a_small_file_that_began_as_a_copy_and_goes_on_otherwise_is_read_whole() {
    let mut rig = pattern();
    append(&rig.spec.path, "a1\na2\n");
    rig.settle();
    copy(&rig.spec.path, &rig.path("app.log.1"));
    fs::write(rig.path("app.log.1"), "a1\n").unwrap();
    rig.pass(QUIET);
    rig.pass(QUIET);
    assert_once(&rig, "a1\na2\n");
    assert_eq!(rig.world.positions.account("app").balance().skipped_copy, 3);
    append(&rig.path("app.log.1"), "b\n");
    rig.settle();
    rig.pass(QUIET);
    rig.pass(QUIET);
    assert_once(&rig, "a1\na2\na1\nb\n");
    let balance = rig.world.positions.account("app").balance();
    assert_eq!(
        (balance.skipped_copy, balance.read),
        (0, 6 + 5),
        "every byte counts once"
    );
}

/// Renamed within the pattern before it was known to be a copy: the log's watcher still finds it.
#[test]
fn u3_a_copy_that_is_renamed_before_it_is_decided_belongs_to_its_log() {
    let mut rig = pattern();
    rig.watch("app.log.2");
    append(&rig.spec.path, "a1\n");
    rig.settle();
    append(&rig.spec.path, "a2\n");
    copy(&rig.spec.path, &rig.path("app.log.1"));
    // Only the watcher of the copy's path looks before all the rest has happened.
    rig.others.iter_mut().for_each(|other| {
        other.wake();
        other.poll(rig.now).unwrap();
    });
    fs::write(&rig.spec.path, "b1\n").unwrap();
    fs::rename(rig.path("app.log.1"), rig.path("app.log.2")).unwrap();
    rig.others.iter_mut().for_each(|other| {
        other.wake();
        other.poll(rig.now).unwrap();
    });
    rig.settle();
    for _ in 0..3 {
        rig.pass(QUIET);
    }
    assert_eq!(rig.values(), ["a1", "a2", "b1"]);
    let log: Vec<_> = rig.delivered[..2].iter().map(|record| &record.file_id).collect();
    assert_eq!(log[0], log[1], "both are of one file");
}

/// Kafka is away, and something older is to be read before the log's watcher comes to the truncation.
#[test]
fn u3_a_copy_waits_for_the_watcher_of_its_log_however_long_that_takes() {
    let mut rig = pattern();
    append(&rig.spec.path, "a1\n");
    rig.run(0);
    fs::rename(&rig.spec.path, rig.path("app.log.2")).unwrap();
    append(&rig.spec.path, "b1\n");
    rig.run(0);
    copy(&rig.spec.path, &rig.path("app.log.1"));
    fs::write(&rig.spec.path, "c1 is longer\n").unwrap();
    for _ in 0..10 {
        rig.now += QUIET;
        rig.run(0);
    }
    rig.settle();
    rig.pass(QUIET);
    rig.pass(QUIET);
    assert_eq!(rig.values(), ["a1", "b1", "c1 is longer"]);
}

/// The copy is shifted on while the watcher of the log looks for it, as by the next rotation. It was once seen under neither of
/// its names: the log forgot what it had shipped, and the copy shipped it again under its own path.
#[test]
fn a_copy_that_is_renamed_while_it_is_looked_for_ships_nothing_twice() {
    for _ in 0..30 {
        let mut rig = pattern();
        rig.watch("app.log.2");
        let content = lines("a", 40);
        append(&rig.spec.path, &content);
        rig.settle();
        let [first, second] = [1, 2].map(|n| rig.path(&format!("app.log.{n}")));
        copy(&rig.spec.path, &first);
        fs::write(&rig.spec.path, lines("b", 30)).unwrap();
        let ends = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !ends.load(std::sync::atomic::Ordering::Relaxed) {
                    fs::rename(&first, &second).unwrap();
                    fs::rename(&second, &first).unwrap();
                }
            });
            // The log alone: what its neighbours make of it comes when all is quiet.
            let others = std::mem::take(&mut rig.others);
            rig.run(0);
            rig.others = others;
            ends.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        rig.settle();
        (0..3).for_each(|_| rig.pass(QUIET));
        assert_once(&rig, &(content + &lines("b", 30)));
    }
}

/// Found by the torture test: Kafka was away, an older file waited to be read, and the log was copied and cut. Nobody looked whether it
/// was, and the copy was deleted.
#[test]
fn a_cut_is_seen_while_what_was_before_it_waits_to_be_read() {
    let mut rig = Rig::new();
    let live = rig.spec.path.clone();
    let [one, two] = ["app.log.1", "app.log.2"].map(|name| rig.path(name));
    let text = |name: &str| format!("{name} {}\n", name.repeat(2000));
    append(&live, &text("a"));
    rig.settle();
    fs::rename(&live, &one).unwrap();
    append(&live, &text("b"));
    rig.settle();
    rig.stop();
    append(&one, &text("late"));
    append(&live, &text("c"));
    rig.start();
    assert!(!rig.run(0), "nothing is read yet");
    fs::rename(&one, &two).unwrap();
    copy(&live, &one);
    File::options().write(true).open(&live).unwrap().set_len(0).unwrap();
    append(&live, &text("d"));
    rig.run(0);
    [one, two].iter().for_each(|rotated| fs::remove_file(rotated).unwrap());
    rig.settle();
    let names: Vec<_> = rig
        .values()
        .into_iter()
        .filter_map(|value| value.split(' ').next())
        .collect();
    assert_eq!(names, ["a", "b", "late", "c", "d"]);
}
