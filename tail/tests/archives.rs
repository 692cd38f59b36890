//! Rotated generations that were compressed, by the names of the case list.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod rig;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use logcatch_tail::QUIET;
use rig::{Rig, append};

/// Longer than any handle of a rotated file is kept.
const A_WHILE: Duration = Duration::from_secs(400);
/// What is compressed has as many lines: more than the first bytes that are compared.
const LINES: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Gz,
    Zst,
}
use Kind::{Gz, Zst};

impl Kind {
    fn of(self, path: &Path) -> PathBuf {
        let suffix = if self == Gz { ".gz" } else { ".zst" };
        PathBuf::from(format!("{}{suffix}", path.display()))
    }

    /// The archive of `path` as the programs write it, without touching `path`.
    fn bytes(self, path: &Path) -> Vec<u8> {
        if self == Zst {
            return zstd::encode_all(File::open(path).unwrap(), 0).unwrap();
        }
        let done = Command::new("gzip").arg("--stdout").arg(path).output().unwrap();
        assert!(done.status.success());
        done.stdout
    }

    /// What `gzip FILE` and `zstd --rm FILE` do.
    fn compress(self, path: &Path) {
        let bytes = self.bytes(path);
        let modified = fs::metadata(path).unwrap().modified().unwrap();
        let mut archive = File::create_new(self.of(path)).unwrap();
        archive.write_all(&bytes).unwrap();
        archive.set_modified(modified).unwrap();
        fs::remove_file(path).unwrap();
    }
}

/// Lines of a generation; their number is in each.
fn lines(generation: &str, range: std::ops::Range<usize>) -> String {
    range
        .map(|n| format!("{generation} {n} of a line of the usual length\n"))
        .collect()
}

fn all(texts: &[&str]) -> Vec<String> {
    texts.iter().flat_map(|text| text.lines()).map(str::to_owned).collect()
}

#[track_caller]
fn check(rig: &Rig, expected: &[&str], context: &str) {
    let (found, expected) = (rig.values(), all(expected));
    let first = found.iter().zip(&expected).position(|(a, b)| a != b);
    assert!(
        found == expected,
        "{context}: {} of {} lines, first difference at {first:?}",
        found.len(),
        expected.len()
    );
}

/// Restarts and passing time repeat nothing.
#[track_caller]
fn check_for_good(rig: &mut Rig, expected: &[&str], context: &str) {
    check(rig, expected, context);
    rig.pass(A_WHILE);
    check(rig, expected, &format!("{context}, after a while"));
    for again in 1..=2 {
        rig.restart();
        rig.settle();
        rig.pass(A_WHILE);
        check(rig, expected, &format!("{context}, after {again} restarts"));
    }
}

/// A rotation: archives and plain files up by one, then the live file to `.1`, by renaming or copying.
fn rotate(rig: &Rig, copy: bool) {
    for n in (1..9).rev() {
        for suffix in ["", ".gz", ".zst"] {
            let from = rig.path(&format!("app.log.{n}{suffix}"));
            if from.exists() {
                fs::rename(from, rig.path(&format!("app.log.{}{suffix}", n + 1))).unwrap();
            }
        }
    }
    if copy {
        fs::copy(&rig.spec.path, rig.path("app.log.1")).unwrap();
        fs::write(&rig.spec.path, "").unwrap();
    } else {
        fs::rename(&rig.spec.path, rig.path("app.log.1")).unwrap();
        append(&rig.spec.path, "");
    }
}

#[test]
fn t9_the_second_half_comes_from_inside_the_archive() {
    for kind in [Gz, Zst] {
        // Beyond what one step decodes, too.
        for count in [LINES, 60_000] {
            let mut rig = Rig::new();
            let (first, second) = (lines("a", 0..count), lines("a", count..2 * count));
            append(&rig.spec.path, &first);
            rig.settle();
            append(&rig.spec.path, &second);
            rig.stop();
            rotate(&rig, false);
            kind.compress(&rig.path("app.log.1"));
            append(&rig.spec.path, "b\n");
            rig.start();
            rig.settle();
            check_for_good(&mut rig, &[&first, &second, "b"], &format!("{kind:?}, {count} lines"));
        }
    }
}

#[test]
fn t10_archives_of_generations_nobody_saw_are_read_whole_and_in_order() {
    for kind in [Gz, Zst] {
        for copy in [false, true] {
            for delay in [false, true] {
                let mut rig = Rig::new();
                let texts: Vec<_> = ["a", "b", "c", "d"].iter().map(|name| lines(name, 0..LINES)).collect();
                let late = lines("a", LINES..LINES + 10);
                append(&rig.spec.path, &texts[0]);
                rig.settle();
                append(&rig.spec.path, &late);
                rig.stop();
                for next in &texts[1..] {
                    rotate(&rig, copy);
                    let plain = rig.path(if delay { "app.log.2" } else { "app.log.1" });
                    if plain.exists() {
                        kind.compress(&plain);
                    }
                    append(&rig.spec.path, next);
                }
                rig.start();
                rig.settle();
                let expected = [&texts[0][..], &late, &texts[1], &texts[2], &texts[3]];
                check_for_good(&mut rig, &expected, &format!("{kind:?}, copy {copy}, delay {delay}"));
            }
        }
    }
}

#[test]
fn t10_first_seen_empty_and_then_two_archives() {
    for copy in [false, true] {
        let mut rig = Rig::new();
        append(&rig.spec.path, "");
        rig.settle();
        rig.stop();
        let (a, b) = (lines("a", 0..LINES), lines("b", 0..LINES));
        for text in [&a, &b] {
            append(&rig.spec.path, text);
            rotate(&rig, copy);
            Gz.compress(&rig.path("app.log.1"));
        }
        append(&rig.spec.path, "c\n");
        rig.start();
        rig.settle();
        check_for_good(&mut rig, &[&a, &b, "c"], &format!("copy {copy}"));
    }
}

#[test]
fn t10_dated_archives_go_by_their_names() {
    for pattern in ["app.log-DATE", "app-DATE.log"] {
        let mut rig = Rig::new();
        let (a, b, c) = (lines("a", 0..LINES), lines("b", 0..LINES), lines("c", 0..LINES));
        append(&rig.spec.path, &a);
        rig.settle();
        rig.stop();
        for (date, next) in [("20261122", &b), ("20261123", &c)] {
            let name = rig.path(&pattern.replace("DATE", date));
            fs::rename(&rig.spec.path, &name).unwrap();
            Zst.compress(&name);
            append(&rig.spec.path, next);
        }
        rig.start();
        rig.settle();
        check_for_good(&mut rig, &[&a, &b, &c], pattern);
    }
}

#[test]
fn a_generation_that_is_compressed_while_it_is_known_is_not_read_again() {
    for kind in [Gz, Zst] {
        for copy in [false, true] {
            for delay in [false, true] {
                let mut rig = Rig::new();
                let mut written = String::new();
                for name in ["a", "b", "c", "d"] {
                    let text = lines(name, 0..LINES);
                    append(&rig.spec.path, &text);
                    written += &text;
                    rig.settle();
                    // The last lines are unread at the rotation.
                    let last = lines(name, LINES..LINES + 5);
                    append(&rig.spec.path, &last);
                    written += &last;
                    rotate(&rig, copy);
                    rig.settle();
                    let plain = rig.path(if delay { "app.log.2" } else { "app.log.1" });
                    if plain.exists() {
                        kind.compress(&plain);
                    }
                    rig.pass(Duration::from_secs(if name == "b" { 400 } else { 1 }));
                }
                check_for_good(&mut rig, &[&written], &format!("{kind:?}, copy {copy}, delay {delay}"));
            }
        }
    }
}

#[test]
fn archives_that_came_between_two_looks_are_read_whole_and_in_order() {
    for copy in [false, true] {
        for unread in [0, 5] {
            let mut rig = Rig::new();
            let texts: Vec<_> = ["a", "b", "c", "d"].iter().map(|name| lines(name, 0..LINES)).collect();
            append(&rig.spec.path, &texts[0]);
            rig.settle();
            let late = lines("a", LINES..LINES + unread);
            append(&rig.spec.path, &late);
            for next in &texts[1..] {
                rotate(&rig, copy);
                Gz.compress(&rig.path("app.log.1"));
                append(&rig.spec.path, next);
            }
            rig.settle();
            let expected = [&texts[0][..], &late, &texts[1], &texts[2], &texts[3]];
            check_for_good(&mut rig, &expected, &format!("copy {copy}, unread {unread}"));
        }
    }
}

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

#[test]
fn archives_that_exist_at_first_sight_are_never_read() {
    let mut rig = Rig::new();
    append(&rig.path("app.log.1"), &lines("old", 0..LINES));
    Gz.compress(&rig.path("app.log.1"));
    append(&rig.path("app.log.1"), &lines("less old", 0..LINES));
    fs::rename(rig.path("app.log.1.gz"), rig.path("app.log.2.gz")).unwrap();
    append(&rig.spec.path, "a\n");
    rig.settle();
    let mut written = "a\n".to_owned();
    for name in ["b", "c"] {
        rotate(&rig, false);
        Gz.compress(&rig.path("app.log.2"));
        let text = lines(name, 0..LINES);
        append(&rig.spec.path, &text);
        written += &text;
        rig.pass(Duration::from_secs(70));
    }
    check_for_good(&mut rig, &[&written], "first sight");
}

/// Where rotation puts files elsewhere, as logrotate's `olddir` does.
#[test]
fn t13_rotated_files_are_found_by_patterns() {
    for running in [false, true] {
        let mut rig = Rig::new();
        fs::create_dir(rig.path("old")).unwrap();
        rig.spec.rotated.beside = false;
        rig.spec.rotated.globs = vec![logcatch_tail::PathGlob::parse("old/app.log.*", rig.logs.path()).unwrap()];
        rig.restart();
        let (a, late, b) = (lines("a", 0..LINES), lines("a", LINES..LINES + 5), lines("b", 0..LINES));
        append(&rig.spec.path, &a);
        rig.settle();
        append(&rig.spec.path, &late);
        if !running {
            rig.stop();
        }
        fs::rename(&rig.spec.path, rig.path("old/app.log.2")).unwrap();
        Gz.compress(&rig.path("old/app.log.2"));
        append(&rig.path("old/app.log.1"), &b);
        append(&rig.spec.path, "c\n");
        if !running {
            rig.start();
        }
        rig.settle();
        check_for_good(&mut rig, &[&a, &late, &b, "c"], &format!("running {running}"));
    }
}

/// As dated logs are that nobody renames: the path itself is compressed.
#[test]
fn t9_compressed_under_its_own_name_while_stopped_and_running() {
    for running in [false, true] {
        let mut rig = Rig::new();
        fs::write(rig.path("app.log.gz"), "an old archive that is no archive of ours").unwrap();
        append(&rig.spec.path, "a1\na2\n");
        rig.settle();
        if !running {
            rig.stop();
        }
        append(&rig.spec.path, "a3\n");
        let status = Command::new("gzip").arg("-f").arg(&rig.spec.path).status().unwrap();
        assert!(status.success());
        if running {
            rig.settle();
        } else {
            rig.start();
        }
        for _ in 0..20 {
            rig.pass(QUIET);
        }
        append(&rig.spec.path, "b1\n");
        rig.pass(QUIET);
        rig.restart();
        rig.pass(QUIET);
        assert_eq!(rig.values(), ["a1", "a2", "a3", "b1"], "running {running}");
    }
}
