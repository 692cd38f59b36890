//! Files in other encodings, in the hands of a watcher.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod rig;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use logcatch_tail::{Charset, Filter, QUIET, STEP};
use rig::archive::{Gz, Zst, rotate};
use rig::{Rig, append, copy};

/// How a code unit is written.
type ToBytes = fn(u16) -> [u8; 2];

const BYTE_ORDERS: [(&str, ToBytes); 2] = [("utf-16le", u16::to_le_bytes), ("utf-16be", u16::to_be_bytes)];

fn encoded(text: &str, to_bytes: ToBytes) -> Vec<u8> {
    text.encode_utf16().flat_map(to_bytes).collect()
}

fn rig_of(label: &str) -> Rig {
    let mut rig = Rig::new();
    rig.spec.shape.charset = Charset::of_label(label).unwrap();
    rig.restart();
    rig
}

/// What was delivered, by its bytes.
fn shipped(rig: &Rig, to_bytes: ToBytes, text: &str) -> Vec<bool> {
    let lines = text.split('\n').map(|line| encoded(line, to_bytes));
    let values = rig.delivered.iter().map(|record| record.bytes.clone());
    lines.zip(values).map(|(line, value)| line == value).collect()
}

/// The mark is passed over once, and known again after a restart.
#[test]
fn f8_a_byte_order_mark_never_ships_and_says_what_the_file_is() {
    // The label is that of the other order: what the file says is trusted more.
    for ((_, to_bytes), label) in BYTE_ORDERS.into_iter().zip(["utf-16be", "utf-8"]) {
        let mut rig = rig_of(label);
        let mut log = File::create(&rig.spec.path).unwrap();
        log.write_all(&encoded("\u{feff}", to_bytes)).unwrap();
        rig.settle();
        log.write_all(&encoded("ਊ one\n上 two\n", to_bytes)).unwrap();
        rig.settle();
        assert_eq!(rig.world.positions.account("app").balance().skipped_marks, 2);
        rig.restart();
        log.write_all(&encoded("three 😀\n", to_bytes)).unwrap();
        rig.settle();
        assert_eq!(shipped(&rig, to_bytes, "ਊ one\n上 two\nthree 😀"), [true; 3]);
        assert_eq!(rig.delivered[0].offset, 2);
        assert_eq!(
            rig.world.positions.account("app").balance().skipped_marks,
            0,
            "not again"
        );
    }
    let mut rig = Rig::new();
    fs::write(&rig.spec.path, "\u{feff}one\n\u{feff}two\n").unwrap();
    rig.settle();
    assert_eq!(rig.values(), ["one", "\u{feff}two"], "only the first is a mark");
}

#[test]
fn nuls_ahead_of_the_data_are_told_from_halves_of_characters() {
    for (label, to_bytes) in BYTE_ORDERS {
        let mut rig = rig_of(label);
        let log = File::create(&rig.spec.path).unwrap();
        log.set_len(4096).unwrap();
        rig.settle();
        log.write_all_at(&encoded("one\ntw", to_bytes), 0).unwrap();
        rig.settle();
        log.write_all_at(&encoded("two\n", to_bytes), 8).unwrap();
        rig.settle();
        assert_eq!(shipped(&rig, to_bytes, "one\ntwo"), [true; 2], "{label}");
    }
}

#[test]
fn u4_a_hole_before_text_of_two_bytes_a_character_is_skipped_and_no_half_of_it() {
    for (label, to_bytes) in BYTE_ORDERS {
        let mut rig = rig_of(label);
        let mut log = File::create(&rig.spec.path).unwrap();
        log.write_all(&encoded("before\n", to_bytes)).unwrap();
        rig.settle();
        log.set_len(0).unwrap();
        rig.settle();
        log.write_all(&encoded("after\n", to_bytes)).unwrap();
        rig.settle();
        assert_eq!(shipped(&rig, to_bytes, "before\nafter"), [true; 2], "{label}");
        assert_eq!(rig.world.positions.account("app").balance().skipped_nuls, 14);
    }
}

#[test]
fn u4_a_hole_longer_than_one_read_is_skipped_whole() {
    const HOLE: usize = 2 * STEP + 10;
    let mut rig = Rig::new();
    let mut writer = File::create(&rig.spec.path).unwrap();
    writer.write_all(&[&[b'x'; HOLE - 1][..], b"\n"].concat()).unwrap();
    rig.settle();
    writer.set_len(0).unwrap();
    rig.settle();
    writer.write_all(b"after\n").unwrap();
    rig.settle();
    assert_eq!(rig.values().last(), Some(&"after"));
    let skipped = rig.world.positions.account("app").balance().skipped_nuls;
    assert_eq!(skipped, HOLE as u64);
}

/// An unfinished line ships at a rotation, with half a character at its end; what comes late begins with the other half.
#[test]
fn the_tear_at_a_rotation_keeps_every_byte() {
    let mut rig = rig_of("utf-16le");
    let mut log = File::create(&rig.spec.path).unwrap();
    log.write_all(&encoded("one\n上", u16::to_le_bytes)[..9]).unwrap();
    rig.settle();
    fs::rename(&rig.spec.path, rig.path("app.log.1")).unwrap();
    fs::write(&rig.spec.path, "").unwrap();
    rig.settle();
    rig.pass(2 * QUIET);
    log.write_all(&[0x4E, b'\n', 0]).unwrap();
    rig.pass(2 * QUIET);
    let values: Vec<&[u8]> = rig.delivered.iter().map(|record| record.bytes.as_slice()).collect();
    assert_eq!(values, [b"o\0n\0e\0".as_slice(), b"\x0A", b"\x4E"]);
}

/// Of what comes after the change; nothing is read again.
#[test]
fn another_encoding_counts_from_the_next_line_on() {
    let mut rig = Rig::new();
    let mut log = File::create(&rig.spec.path).unwrap();
    log.write_all(&encoded("one\n", u16::to_le_bytes)).unwrap();
    rig.settle();
    let mut shape = rig.spec.shape.clone();
    shape.charset = Charset::of_label("utf-16le").unwrap();
    rig.watcher.as_mut().unwrap().set_shape(rig.spec.max_line, &shape);
    log.write_all(&encoded("twoਊ\nthree\n", u16::to_le_bytes)).unwrap();
    rig.settle();
    let values: Vec<Vec<u8>> = rig.delivered.iter().map(|record| record.bytes.clone()).collect();
    let expected = ["one", "twoਊ", "three"].map(|line| encoded(line, u16::to_le_bytes));
    assert_eq!(values, expected);
}

/// The high byte of the last unit of a head is NUL in little endian, and no room that a writer may yet fill.
#[test]
fn a_shorter_copy_of_a_log_of_two_bytes_a_character_is_not_read_again() {
    for (label, to_bytes) in BYTE_ORDERS {
        for is_known in [false, true] {
            let mut rig = rig_of(label);
            rig.watch("app.log.1");
            fs::write(&rig.spec.path, encoded(&"a line\n".repeat(10_000), to_bytes)).unwrap();
            rig.settle();
            copy(&rig.spec.path, &rig.path("app.log.1"));
            let mut log = File::options().append(true).open(&rig.spec.path).unwrap();
            log.write_all(&encoded("read before the truncation\n", to_bytes))
                .unwrap();
            rig.settle();
            if !is_known {
                rig.stop();
            }
            fs::write(&rig.spec.path, encoded("b\n", to_bytes)).unwrap();
            if !is_known {
                rig.start();
            }
            for _ in 0..4 {
                rig.pass(QUIET);
            }
            assert_eq!(
                rig.delivered.len(),
                10_002,
                "{label}, seen by the running service: {is_known}"
            );
        }
    }
}

/// It would identify nothing: all files in the encoding begin with these bytes.
#[test]
fn a_position_is_never_right_after_a_byte_order_mark() {
    let mut rig = rig_of("utf-8");
    let mut log = File::create(&rig.spec.path).unwrap();
    for part in ["\u{feff}", "on", "e\ntw"] {
        log.write_all(part.as_bytes()).unwrap();
        rig.settle();
        let record = rig.world.positions.all()[0].record();
        assert_eq!(record.mark.offset, if part == "e\ntw" { 7 } else { 0 });
    }
    assert_eq!(rig.values(), ["one"]);
    assert_eq!(rig.delivered[0].offset, 3);
    assert_eq!(rig.world.positions.account("app").balance().skipped_marks, 3);
    // With nothing after it, it is passed over at the end.
    fs::rename(&rig.spec.path, rig.path("app.log.1")).unwrap();
    fs::write(&rig.spec.path, "\u{feff}").unwrap();
    rig.settle();
    fs::rename(&rig.spec.path, rig.path("app.log.2")).unwrap();
    fs::write(&rig.spec.path, "").unwrap();
    for _ in 0..3 {
        rig.pass(QUIET);
    }
    assert_eq!(rig.values(), ["one", "tw"]);
    assert_eq!(rig.world.positions.account("app").balance().skipped_marks, 6);
}

#[test]
fn long_lines_and_nuls_after_a_byte_order_mark_are_read() {
    for (max_line, end) in [(10, "\n"), (10, "\0\0\0\0x\n"), (STEP, "\n"), (2 * STEP, "\n")] {
        let mut rig = Rig::new();
        rig.spec.max_line = max_line;
        rig.restart();
        let line = "x".repeat(max_line - 1) + "yz" + end;
        let mut text = format!("\u{feff}{line}");
        text += &"more\n".repeat(STEP);
        fs::write(&rig.spec.path, &text).unwrap();
        assert!(rig.run(10_000));
        rig.acknowledge();
        let bytes: usize = rig.delivered.iter().map(|record| record.bytes.len()).sum();
        assert_eq!(bytes, line.len() - 1 + 4 * STEP);
        assert_eq!(rig.delivered[0].offset, 3);
        assert_eq!(rig.delivered[0].bytes.len(), max_line);
    }
}

/// Who appends to a log does not see that it was cut, and writes no other mark.
#[test]
fn what_a_mark_said_holds_on_after_a_truncation() {
    for (label, to_bytes) in BYTE_ORDERS {
        let mut rig = rig_of("utf-8");
        rig.spec.shape.filter = Filter::new(&["^line".into()], &[]).unwrap().map(Arc::new);
        rig.restart();
        let mut log = File::options().append(true).create(true).open(&rig.spec.path).unwrap();
        log.write_all(&encoded("\u{feff}line 1\n", to_bytes)).unwrap();
        rig.settle();
        for n in 2..4 {
            copy(&rig.spec.path, &rig.path(&format!("app.log.{n}")));
            log.set_len(0).unwrap();
            rig.settle();
            log.write_all(&encoded(&format!("line {n}\n"), to_bytes)).unwrap();
            rig.settle();
        }
        rig.restart();
        log.write_all(&encoded("line 4\n", to_bytes)).unwrap();
        rig.settle();
        assert_eq!(
            shipped(&rig, to_bytes, "line 1\nline 2\nline 3\nline 4"),
            [true; 4],
            "{label}"
        );
        // What begins with a mark of its own is that.
        fs::write(&rig.spec.path, "\u{feff}line 5\n").unwrap();
        rig.settle();
        assert_eq!(rig.values().last(), Some(&"line 5"));
    }
}

/// While the service runs or is down: the rest in the copy and what comes after it are what the mark said.
#[test]
fn what_a_mark_said_holds_on_after_truncations_between_two_looks() {
    for (label, to_bytes) in BYTE_ORDERS {
        for (is_down, is_copied) in [(true, true), (true, false), (false, true), (false, false)] {
            for is_again in [false, true] {
                let mut rig = rig_of("utf-8");
                rig.spec.shape.filter = Filter::new(&["^line".into()], &[]).unwrap().map(Arc::new);
                rig.restart();
                let mut log = File::options().append(true).create(true).open(&rig.spec.path).unwrap();
                log.write_all(&encoded("\u{feff}line 1 is longer\n", to_bytes)).unwrap();
                rig.settle();
                let mut expected = String::from("line 1 is longer");
                if is_down {
                    rig.stop();
                }
                for n in 2..if is_again { 4 } else { 3 } {
                    if is_copied {
                        let line = format!("line {n}, only in a copy");
                        log.write_all(&encoded(&format!("{line}\n"), to_bytes)).unwrap();
                        expected = format!("{expected}\n{line}");
                        let _ = fs::rename(rig.path("app.log.1"), rig.path("app.log.2"));
                        copy(&rig.spec.path, &rig.path("app.log.1"));
                    }
                    log.set_len(0).unwrap();
                }
                log.write_all(&encoded("line 4\n", to_bytes)).unwrap();
                if is_down {
                    rig.start();
                }
                rig.settle();
                rig.restart();
                log.write_all(&encoded("line 5\n", to_bytes)).unwrap();
                rig.settle();
                let expected = format!("{expected}\nline 4\nline 5");
                let context = format!("{label}, down: {is_down}, copied: {is_copied}, twice: {is_again}");
                assert_eq!(rig.delivered.len(), expected.lines().count(), "{context}");
                assert!(
                    shipped(&rig, to_bytes, &expected).into_iter().all(|is_it| is_it),
                    "{context}"
                );
            }
        }
    }
}

/// What begins with a mark of its own is that; the rest in the copy is what it was.
#[test]
fn after_a_truncation_while_the_service_is_down_each_content_has_its_own_mark() {
    let (first, second) = (u16::to_be_bytes as ToBytes, u16::to_le_bytes as ToBytes);
    let mut rig = rig_of("utf-8");
    rig.spec.shape.filter = Filter::new(&["^line".into()], &[]).unwrap().map(Arc::new);
    rig.restart();
    let mut log = File::options().append(true).create(true).open(&rig.spec.path).unwrap();
    log.write_all(&encoded("\u{feff}line 1\n", first)).unwrap();
    rig.settle();
    rig.stop();
    log.write_all(&encoded("line 2\n", first)).unwrap();
    copy(&rig.spec.path, &rig.path("app.log.1"));
    log.set_len(0).unwrap();
    log.write_all(&encoded("\u{feff}line 3\n", second)).unwrap();
    rig.start();
    rig.settle();
    assert_eq!(shipped(&rig, first, "line 1\nline 2"), [true; 2]);
    assert_eq!(rig.delivered[2].bytes, encoded("line 3", second));
}

#[test]
fn u4_a_hole_left_by_a_truncation_while_the_service_is_down_is_skipped() {
    for is_copied in [false, true] {
        let mut rig = Rig::new();
        let mut log = File::create(&rig.spec.path).unwrap();
        log.write_all(b"before\n").unwrap();
        rig.settle();
        rig.stop();
        log.write_all(b"rest\n").unwrap();
        if is_copied {
            copy(&rig.spec.path, &rig.path("app.log.1"));
        }
        log.set_len(0).unwrap();
        log.write_all(b"after\n").unwrap();
        rig.start();
        rig.settle();
        let expected: &[&str] = if is_copied {
            &["before", "rest", "after"]
        } else {
            &["before", "after"]
        };
        assert_eq!(rig.values(), expected);
        assert_eq!(rig.world.positions.account("app").balance().skipped_nuls, 12);
    }
}

/// A file that is older than what comes now, by all that the times of file systems can say.
fn write_long_before(path: &Path, text: &str) {
    /// Births are compared as closely as this.
    const SURE: Duration = Duration::from_millis(20);
    fs::write(path, text).unwrap();
    let born = fs::metadata(path).unwrap().created().unwrap();
    while born.elapsed().unwrap_or_default() < SURE {
        std::thread::yield_now();
    }
}

/// All files in the encoding begin with it: what was there at first sight is no copy of what was cut.
#[test]
fn a_byte_order_mark_alone_is_no_copy_of_another_file() {
    let mut rig = rig_of("utf-8");
    write_long_before(&rig.path("app.log.1"), "\u{feff}from before the first sight\n");
    fs::write(&rig.spec.path, "\u{feff}").unwrap();
    rig.settle();
    fs::write(&rig.spec.path, "").unwrap();
    rig.settle();
    append(&rig.spec.path, "new\n");
    rig.settle();
    rig.restart();
    rig.settle();
    assert_eq!(rig.values(), ["new"]);
}

/// Nothing was in it but the mark, which was passed over when it was rotated.
#[test]
fn a_rotated_byte_order_mark_is_in_no_other_file() {
    let mut rig = rig_of("utf-8");
    write_long_before(&rig.path("app.log.2"), "\u{feff}from before the first sight\n");
    fs::write(&rig.spec.path, "\u{feff}").unwrap();
    rig.settle();
    fs::rename(&rig.spec.path, rig.path("app.log.1")).unwrap();
    fs::write(&rig.spec.path, "").unwrap();
    for _ in 0..3 {
        rig.pass(QUIET);
    }
    rig.stop();
    fs::remove_file(rig.path("app.log.1")).unwrap();
    fs::write(&rig.spec.path, "new\n").unwrap();
    rig.start();
    rig.settle();
    assert_eq!(rig.values(), ["new"]);
}

#[test]
fn a_rotated_byte_order_mark_explains_no_archive() {
    for kind in [Gz, Zst] {
        let mut rig = rig_of("utf-8");
        fs::write(&rig.spec.path, "\u{feff}").unwrap();
        rig.settle();
        rotate(&rig, false);
        for _ in 0..3 {
            rig.pass(QUIET);
        }
        rig.stop();
        append(&rig.spec.path, "\u{feff}born and compressed unseen\n");
        rotate(&rig, false);
        append(&rig.spec.path, "\u{feff}unseen, too\n");
        rotate(&rig, false);
        kind.compress(&rig.path("app.log.1"));
        append(&rig.spec.path, "new\n");
        rig.start();
        rig.settle();
        for _ in 0..3 {
            rig.pass(QUIET);
        }
        assert_eq!(rig.values(), ["born and compressed unseen", "unseen, too", "new"]);
    }
}
