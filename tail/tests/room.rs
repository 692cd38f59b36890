//! Files whose programs write NULs ahead of their lines, so that the room is there when they need it.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod rig;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use logcatch_tail::QUIET;
use rig::{Rig, append};

const MIB: u64 = 1024 * 1024;
/// More than is looked through in one step.
const ROOM: u64 = 24 * MIB;

/// A program that wrote its room, and fills it.
struct Writer {
    file: File,
    end: u64,
}

impl Writer {
    fn new(rig: &Rig) -> Self {
        fs::write(&rig.spec.path, vec![0; usize::try_from(ROOM).unwrap()]).unwrap();
        let file = File::options().write(true).open(&rig.spec.path).unwrap();
        Self { file, end: 0 }
    }

    fn write(&mut self, line: &str) {
        self.file.write_all_at(line.as_bytes(), self.end).unwrap();
        self.end += line.len() as u64;
    }

    /// Far behind what was written so far.
    fn write_far(&self, line: &str) {
        self.file.write_all_at(line.as_bytes(), ROOM - 1024).unwrap();
    }
}

/// Two lines, and one far behind them that comes when what is between was looked through.
fn write_behind_room(rig: &mut Rig) {
    let mut writer = Writer::new(rig);
    writer.write("one\n");
    rig.settle();
    writer.write("two\n");
    writer.write_far("far\n");
    rig.settle();
}

/// Bytes that this thread has read from files.
fn bytes_read() -> u64 {
    let io = fs::read_to_string("/proc/thread-self/io").unwrap();
    let read = io.lines().find_map(|line| line.strip_prefix("rchar: "));
    read.unwrap().parse().unwrap()
}

#[test]
fn r8_room_is_not_read_for_each_line_that_is_written_into_it() {
    const LINES: u64 = 40;
    let mut rig = Rig::new();
    let mut writer = Writer::new(&rig);
    rig.settle();
    let before = bytes_read();
    for n in 0..LINES {
        writer.write(&format!("line {n}\n"));
        rig.settle();
    }
    let read = bytes_read() - before;
    assert_eq!(rig.delivered.len(), 40);
    assert!(read < LINES * MIB, "{} MiB were read", read / MIB);
}

/// Two lines, and one that begins with what was room.
fn assert_far(values: &[&str]) {
    assert_eq!(values[..2], ["one", "two"]);
    let far = values[2..].concat();
    assert!(far.ends_with("\0far"), "{} records", values.len());
    assert_eq!(far.len() as u64, ROOM - 1024 + 3 - 8, "NULs before data are data");
}

#[test]
fn r8_what_is_written_behind_room_that_was_looked_through_is_found() {
    let mut rig = Rig::new();
    write_behind_room(&mut rig);
    rig.pass(Duration::from_secs(1));
    assert_far(&rig.values());
}

#[test]
fn r8_what_is_behind_room_when_the_file_is_rotated_ships_before_its_successor() {
    let mut rig = Rig::new();
    write_behind_room(&mut rig);
    fs::rename(&rig.spec.path, rig.path("app.log.1")).unwrap();
    append(&rig.spec.path, "next\n");
    rig.settle();
    rig.pass(QUIET);
    let [rest @ .., last] = &rig.values()[..] else {
        panic!("nothing came")
    };
    assert_eq!((*last, &rest[..2]), ("next", &["one", "two"][..]));
    assert!(rest.last().unwrap().ends_with("far"), "{} records", rest.len());
}

#[test]
fn r8_room_that_grows_and_goes_is_no_data() {
    let mut rig = Rig::new();
    let mut writer = Writer::new(&rig);
    writer.write("one\n");
    rig.settle();
    writer.file.set_len(2 * ROOM).unwrap();
    writer.write("two\n");
    rig.settle();
    writer.file.set_len(writer.end).unwrap();
    rig.settle();
    append(&rig.spec.path, "three\n");
    rig.settle();
    assert_eq!(rig.values(), ["one", "two", "three"]);
}
