//! Rotated generations that were compressed, by the names of the case list.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod rig;

use std::fs;
use std::process::Command;
use std::time::Duration;

use logcatch_tail::QUIET;
use rig::archive::{Gz, LINES, Zst, check_for_good, lines, rotate};
use rig::{Rig, append, copy};

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

/// Found by the torture test: rotations by copies that stay plain, one that is compressed, and one that stays plain again, while the
/// service was frozen.
#[test]
fn t10_an_archive_between_plain_files_that_nobody_saw_is_read_between_them() {
    for copy in [false, true] {
        let mut rig = Rig::new();
        let texts: Vec<_> = ["a", "b", "c", "d", "e"]
            .iter()
            .map(|name| lines(name, 0..LINES))
            .collect();
        append(&rig.spec.path, &texts[0]);
        rig.settle();
        let late = lines("a", LINES..LINES + 10);
        append(&rig.spec.path, &late);
        for next in &texts[1..] {
            rotate(&rig, copy);
            append(&rig.spec.path, next);
        }
        Gz.compress(&rig.path("app.log.2"));
        rig.settle();
        let expected = [&texts[0][..], &late, &texts[1], &texts[2], &texts[3], &texts[4]];
        check_for_good(&mut rig, &expected, &format!("copy {copy}"));
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

/// Only what stands before the position tells them apart.
#[test]
fn archives_that_begin_alike_are_told_apart() {
    for running in [false, true] {
        for anew in [false, true] {
            let mut rig = Rig::new();
            let texts = ["a", "b", "c"].map(|name| lines("same", 0..LINES) + &lines(name, 0..LINES));
            let late = lines("a", LINES..LINES + 5);
            append(&rig.spec.path, &texts[0]);
            rig.settle();
            append(&rig.spec.path, &late);
            if !running {
                rig.stop();
            }
            // One that is older than all that was ever read, put back from a backup.
            append(
                &rig.path("app.log.9"),
                &(lines("same", 0..LINES) + &lines("z", 0..LINES)),
            );
            Gz.compress_anew(&rig.path("app.log.9"));
            for next in [&texts[1], &texts[2]] {
                rotate(&rig, false);
                let plain = rig.path("app.log.1");
                if anew {
                    Gz.compress_anew(&plain)
                } else {
                    Gz.compress(&plain)
                }
                append(&rig.spec.path, next);
            }
            if !running {
                rig.start();
            }
            rig.settle();
            let expected = [&texts[0][..], &late, &texts[1], &texts[2]];
            check_for_good(&mut rig, &expected, &format!("running {running}, anew {anew}"));
        }
    }
}

#[test]
fn t12_generations_that_are_alike_are_each_read_once() {
    // Written anew in place while nobody looks, up to the position or beyond it, it cannot be told from growth.
    for (running, copy) in [(false, false), (true, false), (true, true)] {
        let mut rig = Rig::new();
        let text = lines("same", 0..LINES);
        append(&rig.spec.path, &text);
        rig.settle();
        for _ in 0..3 {
            if !running {
                rig.stop();
            }
            for _ in 0..2 {
                rotate(&rig, copy);
                if running {
                    rig.settle();
                }
                Gz.compress(&rig.path("app.log.1"));
                append(&rig.spec.path, &text);
                if running {
                    rig.settle();
                }
            }
            if !running {
                rig.start();
            }
            rig.settle();
        }
        check_for_good(&mut rig, &[&text[..]; 7], &format!("running {running}, copy {copy}"));
    }
}

#[test]
fn an_archive_that_has_its_own_modification_time_is_known_all_the_same() {
    for copy in [false, true] {
        for seen in [false, true] {
            let mut rig = Rig::new();
            let mut written = String::new();
            for name in ["a", "b", "c"] {
                let text = lines(name, 0..LINES);
                append(&rig.spec.path, &text);
                written += &text;
                rig.settle();
                rotate(&rig, copy);
                if seen {
                    rig.settle();
                }
                Zst.compress_anew(&rig.path("app.log.1"));
                rig.settle();
            }
            check_for_good(&mut rig, &[&written], &format!("copy {copy}, rotation seen {seen}"));
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
        let status = Command::new("gzip").arg("-f").arg(&*rig.spec.path).status().unwrap();
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

/// Found by the model: the handle was given back between the copy and the look for it.
#[test]
fn u3_a_copy_of_what_nobody_saw_is_found_in_its_archive_though_the_file_was_closed() {
    use logcatch_tail::HOLD;
    let mut rig = Rig::new();
    append(&rig.spec.path, "");
    rig.run(0);
    append(&rig.spec.path, "a\n");
    copy(&rig.spec.path, &rig.path("app.log.1"));
    fs::File::options()
        .write(true)
        .open(&rig.spec.path)
        .unwrap()
        .set_len(0)
        .unwrap();
    rig.run(0);
    append(&rig.spec.path, "b\n");
    assert!(
        Command::new("gzip")
            .arg(rig.path("app.log.1"))
            .status()
            .unwrap()
            .success()
    );
    rig.world.handles.set_limit(0);
    rig.now += HOLD;
    rig.run(0);
    rig.world.handles.set_limit(usize::MAX);
    rig.run(0);
    rig.settle();
    rig.pass(QUIET);
    rig.pass(QUIET);
    assert_eq!(rig.values(), ["a", "b"]);
}

/// Found by `model`: an empty copy had a watcher of its own, moved on, and what took its place was compressed. The archive was
/// taken for that of the copy, in which nothing was ever seen.
#[test]
fn an_archive_of_the_log_is_not_that_of_an_empty_copy_that_had_its_name() {
    let mut rig = Rig::new();
    rig.others_first = true;
    for name in ["app.log.1", "app.log.2"] {
        rig.watch(name);
    }
    let write = |rig: &mut Rig, text: &str| {
        append(&rig.spec.path, text);
        rig.settle();
    };
    write(&mut rig, "");
    copy(&rig.spec.path, &rig.path("app.log.1"));
    write(&mut rig, "a1\n");
    // More than a tick of the clock of the file system, so that the truncation is not taken for that which made the copy.
    std::thread::sleep(Duration::from_millis(20));
    fs::write(&rig.spec.path, "").unwrap();
    rig.settle();
    fs::remove_file(&rig.spec.path).unwrap();
    write(&mut rig, "");
    append(&rig.spec.path, "b1\nb2\n");
    rotate(&rig, false);
    write(&mut rig, "c1\n");
    rig.stop();
    Gz.compress(&rig.path("app.log.1"));
    rig.start();
    rig.settle();
    check_for_good(
        &mut rig,
        &["a1\n", "b1\nb2\n", "c1\n"],
        "with watchers of rotated names",
    );
}
