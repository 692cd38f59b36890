//! Archives that are not whole yet, never get whole, or hold what is rare.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod rig;

use std::fs::{self, File};
use std::io::Write;
use std::time::Duration;

use logcatch_tail::QUIET;
use rig::archive::{A_WHILE, Gz, LINES, Zst, all, check, check_for_good, lines, rotate};
use rig::{Rig, append};

#[test]
fn t15_beside_a_half_written_archive_the_plain_file_is_read() {
    for running in [false, true] {
        let mut rig = Rig::new();
        let (first, second) = (lines("a", 0..LINES), lines("a", LINES..2 * LINES));
        append(&rig.spec.path, &first);
        rig.settle();
        append(&rig.spec.path, &second);
        if !running {
            rig.stop();
        }
        rotate(&rig, false);
        append(&rig.spec.path, "b\n");
        let plain = rig.path("app.log.1");
        let bytes = Gz.bytes(&plain);
        fs::write(Gz.of(&plain), &bytes[..bytes.len() / 2]).unwrap();
        if !running {
            rig.start();
        }
        rig.settle();
        check(
            &rig,
            &[&first, &second, "b"],
            &format!("half written, running {running}"),
        );
        fs::write(Gz.of(&plain), &bytes).unwrap();
        fs::remove_file(&plain).unwrap();
        rig.pass(QUIET);
        check_for_good(&mut rig, &[&first, &second, "b"], &format!("running {running}"));
    }
}

/// However little of it is there: the live file goes on after the quiet time, and the rest comes when it is whole.
#[test]
fn t15_a_half_written_archive_alone_is_waited_for() {
    for kind in [Gz, Zst] {
        for part in [0, 10, 50, 95, 99] {
            let mut rig = Rig::new();
            let (first, second) = (lines("a", 0..LINES), lines("a", LINES..40 * LINES));
            append(&rig.spec.path, &first);
            rig.settle();
            append(&rig.spec.path, &second);
            rig.stop();
            rotate(&rig, false);
            let plain = rig.path("app.log.1");
            let bytes = kind.bytes(&plain);
            fs::remove_file(&plain).unwrap();
            fs::write(kind.of(&plain), &bytes[..bytes.len() * part / 100]).unwrap();
            append(&rig.spec.path, "b\n");
            rig.start();
            rig.settle();
            assert!(!rig.values().contains(&"b"), "{kind:?} {part}: the live file waits");
            rig.pass(Duration::from_secs(2));
            append(&kind.of(&plain), "");
            File::options()
                .append(true)
                .open(kind.of(&plain))
                .unwrap()
                .write_all(&bytes[bytes.len() * part / 100..])
                .unwrap();
            rig.pass(Duration::from_secs(1));
            check_for_good(&mut rig, &[&first, &second, "b"], &format!("{kind:?}, {part} %"));
        }
    }
}

#[test]
fn an_archive_that_never_gets_whole_holds_the_live_file_up_for_the_quiet_time_only() {
    for kind in [Gz, Zst] {
        for part in [0, 10, 60] {
            let mut rig = Rig::new();
            let (first, second) = (lines("a", 0..LINES), lines("a", LINES..400 * LINES));
            append(&rig.spec.path, &first);
            rig.settle();
            append(&rig.spec.path, &second);
            rig.stop();
            rotate(&rig, false);
            let plain = rig.path("app.log.1");
            let bytes = kind.bytes(&plain);
            fs::remove_file(&plain).unwrap();
            fs::write(kind.of(&plain), &bytes[..bytes.len() * part / 100]).unwrap();
            append(&rig.spec.path, "b\n");
            rig.start();
            rig.settle();
            rig.pass(QUIET);
            // Once for what it holds, and once for its end.
            rig.pass(QUIET);
            assert!(rig.values().contains(&"b"), "{kind:?} {part}");
            rig.pass(A_WHILE);
            // Complete after all: the rest comes, later and once.
            fs::write(kind.of(&plain), &bytes).unwrap();
            rig.pass(Duration::from_secs(1));
            rig.pass(A_WHILE);
            rig.restart();
            rig.settle();
            let mut found: Vec<_> = rig.values().iter().map(ToString::to_string).collect();
            let mut expected = all(&[&first, &second, "b"]);
            found.sort();
            expected.sort();
            if part == 0 || (kind, part) == (Zst, 10) {
                // Nothing of it could be decoded, so nobody could say what it would hold: in doubt a line comes twice.
                found.dedup();
            }
            assert!(
                found == expected,
                "{kind:?} {part}: {} of {}",
                found.len(),
                expected.len()
            );
        }
    }
}

#[test]
fn an_archive_of_many_members_is_one_generation() {
    let mut rig = Rig::new();
    append(&rig.spec.path, "a\n");
    rig.settle();
    rig.stop();
    rotate(&rig, false);
    let mut bytes = Vec::new();
    let text = "a\n".to_owned() + &lines("a", 0..LINES);
    for part in [&text[..1000], &text[1000..1001], &text[1001..]] {
        fs::write(rig.path("part"), part).unwrap();
        bytes.extend(Gz.bytes(&rig.path("part")));
    }
    fs::remove_file(rig.path("app.log.1")).unwrap();
    fs::write(rig.path("app.log.1.gz"), bytes).unwrap();
    append(&rig.spec.path, "b\n");
    rig.start();
    rig.settle();
    check_for_good(&mut rig, &[&text, "b"], "members");
}

#[test]
fn an_archive_is_read_on_though_it_is_deleted() {
    let mut rig = Rig::new();
    let (first, second) = (lines("a", 0..LINES), lines("a", LINES..20_000));
    append(&rig.spec.path, &first);
    rig.settle();
    append(&rig.spec.path, &second);
    rig.stop();
    rotate(&rig, false);
    Gz.compress(&rig.path("app.log.1"));
    append(&rig.spec.path, "b\n");
    rig.start();
    // The archive is open, and the first lines are read.
    assert!(!rig.run(1));
    fs::remove_file(rig.path("app.log.1.gz")).unwrap();
    rig.settle();
    check_for_good(&mut rig, &[&first, &second, "b"], "deleted");
}

#[test]
fn an_unfinished_line_at_the_end_of_an_archive_ships() {
    let mut rig = Rig::new();
    append(&rig.spec.path, "a\nhalf");
    rig.settle();
    rig.stop();
    rotate(&rig, false);
    Gz.compress(&rig.path("app.log.1"));
    append(&rig.spec.path, "b\n");
    rig.start();
    rig.settle();
    check_for_good(&mut rig, &["a\nhalf\nb"], "unfinished");
}

/// Room that a writer reserved and never filled, longer than what is read at once.
#[test]
fn nuls_at_the_end_of_an_archive_never_ship() {
    for end in ["", "last\n"] {
        let mut rig = Rig::new();
        rig.spec.max_line = 100_000;
        rig.restart();
        append(&rig.spec.path, "a\n");
        rig.settle();
        rig.stop();
        let file = File::options().write(true).open(&rig.spec.path).unwrap();
        file.set_len(5_000_000).unwrap();
        append(&rig.spec.path, end);
        rotate(&rig, false);
        Gz.compress(&rig.path("app.log.1"));
        append(&rig.spec.path, "b\n");
        rig.start();
        rig.settle();
        let values: Vec<_> = rig.values().iter().map(ToString::to_string).collect();
        if end.is_empty() {
            check_for_good(&mut rig, &["a\nb"], "never filled");
        } else {
            // Data follows: the NULs are content.
            assert_eq!(values.concat().len(), 1 + (5_000_000 - 2) + 4 + 1);
            assert_eq!(values.last().unwrap(), "b");
        }
    }
}
