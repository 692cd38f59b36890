//! Single behaviours of a watcher, by the names of the case list.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod rig;

use std::fs;
use std::time::Duration;

use logcatch_tail::QUIET;
use rig::{Rig, append, copy};

const A_WHILE: Duration = Duration::from_secs(70);

#[test]
fn f1_half_a_line_waits_for_the_rest() {
    let mut rig = Rig::new();
    append(&rig.spec.path, "one\ntw");
    rig.settle();
    assert_eq!(rig.values(), ["one"]);
    append(&rig.spec.path, "o\n");
    rig.settle();
    assert_eq!(rig.values(), ["one", "two"]);
}

#[test]
fn f2_half_a_line_survives_a_restart() {
    let mut rig = Rig::new();
    append(&rig.spec.path, "one\ntw");
    rig.settle();
    rig.restart();
    append(&rig.spec.path, "o\n");
    rig.settle();
    assert_eq!(rig.values(), ["one", "two"]);
}

#[test]
fn f7_a_long_line_is_split_across_restarts_and_its_neighbours_are_whole() {
    let mut rig = Rig::new();
    rig.spec.max_line = 300_000;
    rig.restart();
    let long = "x".repeat(1_000_000);
    append(&rig.spec.path, &format!("before\n{long}"));
    rig.settle();
    rig.restart();
    append(&rig.spec.path, "y\nafter\n");
    rig.settle();
    let lengths: Vec<_> = rig.values().iter().map(|value| value.len()).collect();
    assert_eq!(lengths, [6, 300_000, 300_000, 300_000, 100_001, 5]);
    assert_eq!(rig.values()[1..5].concat(), long + "y");
}

#[test]
fn t1_late_lines_of_a_renamed_file_ship_and_the_new_file_waits_for_them() {
    let mut rig = Rig::new();
    append(&rig.spec.path, "a\n");
    rig.settle();
    fs::rename(&rig.spec.path, rig.path("app.log.1")).unwrap();
    append(&rig.path("app.log.1"), "b\n");
    append(&rig.spec.path, "c\n");
    rig.settle();
    append(&rig.path("app.log.1"), "late\n");
    rig.settle();
    assert_eq!(rig.values(), ["a", "b", "c", "late"]);
}

#[test]
fn t3_a_line_long_after_the_rotation_ships() {
    let mut rig = Rig::new();
    append(&rig.spec.path, "a\n");
    rig.settle();
    fs::rename(&rig.spec.path, rig.path("app.log.1")).unwrap();
    append(&rig.spec.path, "b\n");
    rig.settle();
    rig.pass(A_WHILE);
    assert_eq!(
        rig.watcher.as_ref().unwrap().handles(),
        1,
        "the handle of the rotated file is given back"
    );
    append(&rig.path("app.log.1"), "late\n");
    rig.pass(A_WHILE);
    assert_eq!(rig.values(), ["a", "b", "late"]);
}

#[test]
fn t6_an_unfinished_last_line_ships_alone_after_the_quiet_time() {
    let mut rig = Rig::new();
    append(&rig.spec.path, "a\nhalf");
    rig.settle();
    fs::rename(&rig.spec.path, rig.path("app.log.1")).unwrap();
    append(&rig.spec.path, "b\n");
    rig.settle();
    assert_eq!(rig.values(), ["a"]);
    rig.pass(QUIET);
    assert_eq!(rig.values(), ["a", "half", "b"]);
    rig.restart();
    rig.settle();
    assert_eq!(rig.values(), ["a", "half", "b"]);
}

#[test]
fn t10_generations_nobody_saw_are_read_whole_and_in_order() {
    for first in ["a1\na2\n", ""] {
        let mut rig = Rig::new();
        append(&rig.spec.path, first);
        rig.settle();
        append(&rig.spec.path, "a3\n");
        rig.stop();
        for (younger, lines) in ["b1\nb2\n", "c1\n", "d1\n"].iter().enumerate() {
            for n in (1..=younger).rev() {
                fs::rename(
                    rig.path(&format!("app.log.{n}")),
                    rig.path(&format!("app.log.{}", n + 1)),
                )
                .unwrap();
            }
            fs::rename(&rig.spec.path, rig.path("app.log.1")).unwrap();
            append(&rig.spec.path, lines);
        }
        rig.start();
        rig.settle();
        let all: Vec<_> = first.lines().chain(["a3", "b1", "b2", "c1", "d1"]).collect();
        assert_eq!(rig.values(), all);
        rig.restart();
        rig.settle();
        assert_eq!(rig.values(), all);
    }
}

#[test]
fn t10_by_copy_and_truncate() {
    let mut rig = Rig::new();
    append(&rig.spec.path, "a1\na2\n");
    rig.settle();
    append(&rig.spec.path, "a3\n");
    rig.stop();
    for (younger, lines) in ["b1\nb2\n", "c1\n"].iter().enumerate() {
        for n in (1..=younger).rev() {
            fs::rename(
                rig.path(&format!("app.log.{n}")),
                rig.path(&format!("app.log.{}", n + 1)),
            )
            .unwrap();
        }
        copy(&rig.spec.path, &rig.path("app.log.1"));
        fs::write(&rig.spec.path, lines).unwrap();
    }
    rig.start();
    rig.settle();
    assert_eq!(rig.values(), ["a1", "a2", "a3", "b1", "b2", "c1"]);
}

#[test]
fn siblings_that_exist_at_first_sight_are_never_read() {
    let mut rig = Rig::new();
    append(&rig.path("app.log.1"), "old\n");
    append(&rig.path("app.log.2"), "older\n");
    append(&rig.spec.path, "a\n");
    rig.settle();
    rig.restart();
    rig.pass(A_WHILE);
    fs::rename(rig.path("app.log.2"), rig.path("app.log.3")).unwrap();
    fs::rename(rig.path("app.log.1"), rig.path("app.log.2")).unwrap();
    fs::rename(&rig.spec.path, rig.path("app.log.1")).unwrap();
    append(&rig.spec.path, "b\n");
    rig.pass(A_WHILE);
    rig.restart();
    rig.pass(A_WHILE);
    assert_eq!(rig.values(), ["a", "b"]);
}

#[test]
fn u1_truncated_and_shorter_than_before() {
    let mut rig = Rig::new();
    append(&rig.spec.path, "a long first line\n");
    rig.settle();
    fs::write(&rig.spec.path, "b\n").unwrap();
    rig.settle();
    assert_eq!(rig.values(), ["a long first line", "b"]);
}

#[test]
fn u2_rewritten_longer_than_the_position() {
    for restart in [false, true] {
        for text in ["xxxxxx\nsecond\n", "zzzzz\n"] {
            let mut rig = Rig::new();
            append(&rig.spec.path, "first\n");
            rig.settle();
            if restart {
                rig.stop();
            }
            fs::write(&rig.spec.path, text).unwrap();
            if restart {
                rig.start();
            }
            rig.settle();
            let expected: Vec<_> = ["first"].into_iter().chain(text.lines()).collect();
            assert_eq!(rig.values(), expected, "restart {restart}");
        }
    }
}

#[test]
fn u3_what_was_unread_at_a_copy_and_truncate_ships_from_the_copy() {
    for after in ["b1\n", "a long line that goes beyond the position\n"] {
        let mut rig = Rig::new();
        append(&rig.spec.path, "a1\na2\n");
        rig.settle();
        append(&rig.spec.path, "a3\na4\n");
        copy(&rig.spec.path, &rig.path("app.log.1"));
        fs::write(&rig.spec.path, after).unwrap();
        rig.settle();
        assert_eq!(rig.values(), ["a1", "a2", "a3", "a4", after.trim()]);
    }
}

#[test]
fn u4_a_hole_left_by_a_truncation_is_skipped_and_counted() {
    use std::io::Write;
    let mut rig = Rig::new();
    let mut writer = fs::File::create(&rig.spec.path).unwrap();
    writer.write_all(b"before\n").unwrap();
    rig.settle();
    fs::File::options()
        .write(true)
        .open(&rig.spec.path)
        .unwrap()
        .set_len(0)
        .unwrap();
    rig.settle();
    writer.write_all(b"after\n").unwrap();
    rig.settle();
    assert_eq!(rig.values(), ["before", "after"]);
    assert_eq!(rig.world.positions.account("app").balance().skipped_nuls, 7);
}

#[test]
fn r8_nuls_ahead_of_the_data_never_ship() {
    use std::os::unix::fs::FileExt;
    let mut rig = Rig::new();
    let file = fs::File::create(&rig.spec.path).unwrap();
    file.set_len(600_000).unwrap();
    rig.settle();
    let mut at = 0;
    for line in ["one\n", "two\n"] {
        file.write_at(line.as_bytes(), at).unwrap();
        at += line.len() as u64;
        rig.settle();
    }
    assert_eq!(rig.values(), ["one", "two"]);
}

#[test]
fn x1_a_deleted_file_is_read_to_its_end_and_the_new_one_from_its_start() {
    let mut rig = Rig::new();
    append(&rig.spec.path, "a\n");
    rig.settle();
    append(&rig.spec.path, "b\n");
    fs::remove_file(&rig.spec.path).unwrap();
    rig.settle();
    append(&rig.spec.path, "c\n");
    rig.settle();
    assert_eq!(rig.values(), ["a", "b", "c"]);
    rig.pass(Duration::from_secs(400));
    assert_eq!(
        rig.world.positions.all().len(),
        1,
        "the record of the deleted file is gone"
    );
}

#[test]
fn p2_what_was_not_acknowledged_ships_again_and_nothing_else() {
    let mut rig = Rig::new();
    append(&rig.spec.path, "a\n");
    rig.settle();
    rig.checkpoint();
    append(&rig.spec.path, "b\n");
    rig.run(usize::MAX);
    rig.crash();
    rig.settle();
    assert_eq!(rig.values(), ["a", "b", "b"]);
}

#[test]
fn d7_a_file_that_is_old_at_first_sight_starts_at_its_end_and_an_unseen_generation_never_does() {
    let mut rig = Rig::new();
    append(&rig.spec.path, "old\n");
    let all = Some(i64::MAX);
    rig.spec.ignore_before = all;
    rig.restart();
    rig.settle();
    append(&rig.spec.path, "new\n");
    rig.settle();
    assert_eq!(rig.values(), ["new"]);
    assert_eq!(rig.world.positions.account("app").balance().skipped_old, 4);
    rig.stop();
    append(&rig.spec.path, "rest\n");
    fs::rename(&rig.spec.path, rig.path("app.log.2")).unwrap();
    append(&rig.path("app.log.1"), "unseen\n");
    append(&rig.spec.path, "live\n");
    rig.start();
    rig.settle();
    assert_eq!(rig.values(), ["new", "rest", "unseen", "live"]);
}

#[test]
fn p1_start_at_the_end_is_kept_across_a_restart() {
    let mut rig = Rig::new();
    append(&rig.spec.path, "old\n");
    rig.spec.from_end = true;
    rig.restart();
    rig.settle();
    rig.stop();
    append(&rig.spec.path, "new\n");
    rig.start();
    rig.settle();
    assert_eq!(rig.values(), ["new"]);
    assert_eq!(rig.world.positions.account("app").balance().read, 4);
}

#[test]
fn the_account_adds_up() {
    let mut rig = Rig::new();
    append(&rig.spec.path, "one\r\n\ntwo\n");
    rig.settle();
    let balance = rig.world.positions.account("app").balance();
    assert_eq!((balance.read, balance.delivered, balance.delivered_lines), (10, 10, 3));
}

/// Found by the demo: a copy and truncate, a kill before the next save, another copy and truncate, a start.
#[test]
fn u3_a_generation_that_was_truncated_and_copied_around_a_crash_is_read_from_its_copy() {
    let mut rig = Rig::new();
    append(&rig.spec.path, "a1\n");
    rig.settle();
    rig.checkpoint();
    copy(&rig.spec.path, &rig.path("app.log.1"));
    fs::write(&rig.spec.path, "").unwrap();
    rig.settle();
    append(&rig.spec.path, "b1\n");
    rig.settle();
    append(&rig.spec.path, "b2\n");
    rig.crash();
    fs::rename(rig.path("app.log.1"), rig.path("app.log.2")).unwrap();
    copy(&rig.spec.path, &rig.path("app.log.1"));
    fs::write(&rig.spec.path, "c1\n").unwrap();
    rig.settle();
    assert_eq!(rig.values(), ["a1", "b1", "b1", "b2", "c1"]);
}

#[test]
fn u1_an_unfinished_line_that_a_truncation_takes_away_ships_alone() {
    let mut rig = Rig::new();
    append(&rig.spec.path, "one\nunfinished");
    rig.settle();
    fs::write(&rig.spec.path, "").unwrap();
    rig.settle();
    assert_eq!(rig.values(), ["one", "unfinished"]);
    assert!(rig.world.positions.all().iter().all(|stream| stream.is_settled()));
}

#[test]
fn r8_a_rotated_file_with_room_that_was_never_filled_is_finished() {
    let mut rig = Rig::new();
    append(&rig.spec.path, "one\nhalf");
    fs::File::options()
        .write(true)
        .open(&rig.spec.path)
        .unwrap()
        .set_len(2_000_000)
        .unwrap();
    rig.settle();
    fs::rename(&rig.spec.path, rig.path("app.log.1")).unwrap();
    append(&rig.spec.path, "two\n");
    rig.settle();
    rig.pass(QUIET);
    assert_eq!(rig.values(), ["one", "half", "two"]);
}

#[test]
fn a_file_that_comes_back_repeats_nothing() {
    for restart in [false, true] {
        let mut rig = Rig::new();
        append(&rig.spec.path, "a\n");
        rig.settle();
        fs::rename(&rig.spec.path, rig.path("elsewhere")).unwrap();
        if restart {
            rig.restart();
        }
        rig.settle();
        fs::rename(rig.path("elsewhere"), &rig.spec.path).unwrap();
        append(&rig.spec.path, "b\n");
        rig.settle();
        assert_eq!(rig.values(), ["a", "b"], "restart {restart}");
    }
}

#[test]
fn t14_a_file_replaced_by_its_own_longer_content_goes_on() {
    let mut rig = Rig::new();
    let content = format!("{}\n", "x".repeat(2000));
    append(&rig.spec.path, &content);
    rig.settle();
    fs::write(rig.path("new"), format!("{content}more\n")).unwrap();
    fs::rename(rig.path("new"), &rig.spec.path).unwrap();
    rig.settle();
    assert_eq!(rig.values(), [content.trim(), "more"]);
}

/// Renamed within the pattern while the service was down: the watcher of the new path goes on.
#[test]
fn t4_a_file_renamed_to_another_watched_path_goes_on_there() {
    let mut rig = Rig::new();
    append(&rig.spec.path, "a\n");
    rig.settle();
    rig.stop();
    fs::rename(&rig.spec.path, rig.path("renamed.log")).unwrap();
    append(&rig.path("renamed.log"), "b\n");
    rig.start();
    rig.settle();
    rig.spec.path = rig.path("renamed.log").into();
    rig.watcher = Some(rig::watcher(&rig.spec, &rig.world));
    rig.settle();
    assert_eq!(rig.values(), ["a", "b"]);
}

#[test]
fn p5_after_a_damaged_store_what_was_rotated_since_is_read_and_older_ones_are_not() {
    let mut rig = Rig::new();
    append(&rig.path("app.log.2"), "old\n");
    let an_hour_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
    let old = fs::File::options().append(true).open(rig.path("app.log.2")).unwrap();
    old.set_modified(an_hour_ago).unwrap();
    append(&rig.spec.path, "a\n");
    rig.settle();
    rig.damage();
    append(&rig.spec.path, "b\n");
    fs::rename(&rig.spec.path, rig.path("app.log.1")).unwrap();
    append(&rig.spec.path, "c\n");
    rig.start();
    rig.settle();
    rig.restart();
    rig.settle();
    assert_eq!(rig.values(), ["a", "a", "b", "c"]);
}

/// A write to a mapping changes no modification time while its page is dirty; `utimensat` stands in for that here.
#[test]
fn r8_what_is_written_to_a_mapping_ships_though_nothing_tells_of_it() {
    use std::os::unix::fs::FileExt;
    let mut rig = Rig::new();
    let file = fs::File::create(&rig.spec.path).unwrap();
    file.set_len(600_000).unwrap();
    let modified = file.metadata().unwrap().modified().unwrap();
    rig.settle();
    let mut at = 0;
    for text in ["one\n", "t", "wo\n", "three\n"] {
        file.write_at(text.as_bytes(), at).unwrap();
        file.set_modified(modified).unwrap();
        at += text.len() as u64;
        rig.settle();
    }
    assert_eq!(rig.values(), ["one", "two", "three"]);
}

/// As kubelet rotates: the link stays, and the file behind it is renamed in its own directory.
#[test]
fn t10_generations_of_the_file_behind_a_link_are_found_there() {
    let mut rig = Rig::new();
    fs::create_dir(rig.path("pod")).unwrap();
    append(&rig.path("pod/0.log"), "a1\n");
    std::os::unix::fs::symlink(rig.path("pod/0.log"), &rig.spec.path).unwrap();
    rig.settle();
    rig.stop();
    append(&rig.path("pod/0.log"), "a2\n");
    fs::rename(rig.path("pod/0.log"), rig.path("pod/0.log.20261126-101112")).unwrap();
    append(&rig.path("pod/0.log"), "b1\n");
    fs::rename(rig.path("pod/0.log"), rig.path("pod/0.log.20261126-111112")).unwrap();
    append(&rig.path("pod/0.log"), "c1\n");
    rig.start();
    rig.settle();
    rig.restart();
    rig.settle();
    assert_eq!(rig.values(), ["a1", "a2", "b1", "c1"]);
}
