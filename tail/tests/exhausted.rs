//! No handle is left in the process: that is waited out, and nothing is lost. One test, because the limit is the process's.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod rig;

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use rig::archive::{Gz, LINES, all, lines};
use rig::{Rig, append};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Runs while so many can be opened. Below the last that is open all are taken, or those would count.
fn with_handles(free: u64, run: impl FnOnce()) {
    let before = getrlimit(Resource::Nofile);
    let open = fs::read_dir("/proc/self/fd").unwrap();
    let number = |name: std::ffi::OsString| name.to_str().unwrap().parse::<i32>().unwrap();
    let last = open.map(|entry| number(entry.unwrap().file_name())).max().unwrap();
    let mut taken = vec![];
    while taken.last().map_or(0, File::as_raw_fd) <= last {
        taken.push(File::open("/dev/null").unwrap());
    }
    let next = taken.last().unwrap().as_raw_fd() + 1;
    let current = Some(u64::try_from(next).unwrap() + free);
    setrlimit(Resource::Nofile, Rlimit { current, ..before }).unwrap();
    assert!(free > 0 || File::open("/dev/null").is_err());
    run();
    setrlimit(Resource::Nofile, before).unwrap();
}

fn without_handles(run: impl FnOnce()) {
    with_handles(0, run);
}

/// The handles suffice for a part of what is found, a larger one each time.
fn with_few_handles(expected: &[&str], case: impl Fn(&mut Rig, &dyn Fn(&mut dyn FnMut()))) {
    for free in 0..14 {
        let mut rig = Rig::new();
        case(&mut rig, &|run| with_handles(free, run));
        for _ in 0..3 {
            rig.now += Duration::from_secs(6);
            rig.settle();
        }
        assert_eq!(rig.values(), expected, "{free} handles");
    }
}

/// Time passes between two files, by what the file system stamps.
fn later() {
    std::thread::sleep(Duration::from_millis(15));
}

#[test]
fn without_a_handle_left_everything_waits_and_nothing_is_lost() {
    // At first sight.
    let mut rig = Rig::new();
    append(&rig.spec.path, "one\n");
    without_handles(|| rig.settle());
    rig.settle();
    assert_eq!(rig.values(), ["one"]);

    // After two rotations, one of which nobody saw.
    append(&rig.spec.path, "two\n");
    fs::rename(&rig.spec.path, rig.path("app.log.2")).unwrap();
    append(&rig.path("app.log.1"), "three\n");
    append(&rig.spec.path, "four\n");
    without_handles(|| rig.settle());
    rig.settle();
    assert_eq!(rig.values(), ["one", "two", "three", "four"]);

    // At a copy and truncate.
    append(&rig.spec.path, "five\n");
    fs::copy(&rig.spec.path, rig.path("app.log.0")).unwrap();
    fs::write(&rig.spec.path, "6\n").unwrap();
    without_handles(|| rig.settle());
    rig.settle();
    assert_eq!(rig.values()[4..], ["five", "6"]);

    // At a start with known positions.
    rig.restart();
    append(&rig.spec.path, "seven\n");
    fs::rename(&rig.spec.path, rig.path("app.log.00")).unwrap();
    append(&rig.spec.path, "eight\n");
    without_handles(|| rig.settle());
    rig.settle();
    assert_eq!(rig.values()[6..], ["seven", "eight"]);

    // Of a hole, when the copy was found, and what may have come after it could not be looked for.
    with_few_handles(&["a1", "a2", "b1"], |rig, with| {
        append(&rig.spec.path, "a1\n");
        let writer = File::options().write(true).open(&rig.spec.path).unwrap();
        rig.settle();
        writer.write_at(b"a2\n", 3).unwrap();
        rig::copy(&rig.spec.path, &rig.path("app.log.1"));
        writer.set_len(0).unwrap();
        writer.write_at(b"b1\n", 6).unwrap();
        with(&mut || assert!(rig.run(usize::MAX)));
    });

    // When a part of those were opened that nobody saw: at their rotation, then at a start, plain and compressed.
    let unseen = |rig: &Rig, suffix: &str| {
        for n in [3, 2, 1] {
            later();
            let path = rig.path(&format!("app.log.{n}"));
            append(&path, &format!("u{n}\n"));
            if !suffix.is_empty() {
                Gz.compress(&path);
            }
        }
        later();
        append(&rig.spec.path, "z\n");
    };
    let expected = ["a1", "a2", "u3", "u2", "u1", "z"];
    with_few_handles(&expected, |rig, with| {
        append(&rig.spec.path, "a1\n");
        rig.settle();
        append(&rig.spec.path, "a2\n");
        fs::rename(&rig.spec.path, rig.path("app.log.4")).unwrap();
        unseen(rig, "");
        with(&mut || assert!(rig.run(usize::MAX)));
    });
    for suffix in ["", ".gz"] {
        with_few_handles(&expected, |rig, with| {
            append(&rig.spec.path, "a1\n");
            rig.settle();
            rig.stop();
            append(&rig.spec.path, "a2\n");
            later();
            fs::rename(&rig.spec.path, rig.path("app.log.4")).unwrap();
            if !suffix.is_empty() {
                Gz.compress(&rig.path("app.log.4"));
            }
            unseen(rig, suffix);
            rig.start();
            with(&mut || {
                rig.run(usize::MAX);
                rig.now += Duration::from_secs(1);
                assert!(rig.run(usize::MAX));
            });
        });
    }

    // Of a hole at a start, when more was read than was copied, and the copy was found.
    let texts: Vec<String> = (0..200).map(|n| format!("line {n:04}")).collect();
    let mut expected: Vec<&str> = texts.iter().map(String::as_str).collect();
    expected.extend(["u1", "z"]);
    with_few_handles(&expected, |rig, with| {
        append(&rig.spec.path, &(texts.join("\n") + "\n"));
        rig.settle();
        rig.stop();
        rig::copy(&rig.spec.path, &rig.path("app.log.2"));
        let copy = File::options().write(true).open(rig.path("app.log.2")).unwrap();
        copy.set_len(1500).unwrap();
        later();
        append(&rig.path("app.log.1"), "u1\n");
        later();
        let writer = File::options().write(true).open(&rig.spec.path).unwrap();
        writer.set_len(0).unwrap();
        writer.write_at(b"z\n", 2000).unwrap();
        rig.start();
        with(&mut || assert!(rig.run(usize::MAX)));
    });

    // Of archives that are only looked through one after the other is open.
    let mut rig = Rig::new();
    let (first, second) = (lines("a", 0..LINES), lines("a", LINES..2 * LINES));
    append(&rig.spec.path, &first);
    rig.settle();
    append(&rig.spec.path, &second);
    rig.stop();
    for n in (2..=12).rev() {
        later();
        let path = rig.path(&format!("app.log.{n}"));
        append(&path, &lines(&format!("other {n}"), 0..2 * LINES));
        Gz.compress_anew(&path);
    }
    later();
    fs::rename(&rig.spec.path, rig.path("app.log.1")).unwrap();
    Gz.compress_anew(&rig.path("app.log.1"));
    append(&rig.spec.path, "z\n");
    rig.start();
    with_handles(3, || {
        for _ in 0..3 {
            rig.run(usize::MAX);
            rig.now += Duration::from_secs(6);
        }
    });
    assert_eq!(rig.values(), all(&[&first, &second, "z"]));
}
