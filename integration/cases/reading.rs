//! Reading what is written, however it is written and however the service learns of it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::fixture::Fixture;
use crate::harness::case::{self, cases};
use crate::harness::guard;
use crate::harness::size::sized;
use crate::harness::writers::{LogFile, installed};

cases![
    r1_ten_writers_at_once_with_handles_kept_and_reopened,
    r2_several_empty_files_are_told_apart,
    r6_a_line_after_a_long_idle_time_ships_at_once,
    r7_lost_notifications_lead_to_a_look_at_everything,
    r8_a_writer_that_fills_room_it_reserved,
    r8_a_writer_that_maps_its_file_into_memory,
];

fn r1_ten_writers_at_once_with_handles_kept_and_reopened() {
    let fixture = Fixture::new("ten");
    let service = fixture.host.start();
    std::thread::scope(|scope| {
        for number in 0..10 {
            let mut log = fixture.log(&format!("logs/{number}.log"));
            scope.spawn(move || match number % 2 {
                0 => log.write_singly(1000),
                _ => log.write_reopening(1000),
            });
        }
    });
    fixture.finish(service);
}

fn r2_several_empty_files_are_told_apart() {
    let mut fixture = Fixture::new("empty-files");
    let names: Vec<String> = (0..8).map(|number| format!("logs/{number}.log")).collect();
    let mut logs: Vec<LogFile> = names.iter().map(|name| fixture.log(name)).collect();
    let service = fixture.host.start();
    fixture.chance_to_ship();
    logs.iter_mut().step_by(2).for_each(|log| log.write(3));
    fixture.caught_up();
    service.stop();
    logs.iter_mut().for_each(|log| log.write(3));
    let service = fixture.host.start();
    fixture.finish(service);
}

/// Idle for longer than the slow look at everything takes to come round, and then told by the kernel, not found by that look.
fn r6_a_line_after_a_long_idle_time_ships_at_once() {
    /// Half of the pause between two slow looks: far more than it takes, far less than not to be told.
    const PROMISED: Duration = Duration::from_secs(5);
    let mut fixture = Fixture::new("idle");
    let mut log = fixture.log("logs/app.log");
    log.write(10);
    let service = fixture.host.start();
    fixture.caught_up();
    for _ in 0..2 {
        sleep(sized(Duration::from_secs(12), Duration::from_secs(300)));
        let start = Instant::now();
        log.write(1);
        fixture.caught_up();
        assert!(start.elapsed() < PROMISED, "{:?}", start.elapsed());
    }
    fixture.finish(service);
}

fn r7_lost_notifications_lead_to_a_look_at_everything() {
    let limit = std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    if limit > 100_000 {
        case::skip("fs.inotify.max_queued_events is too large to be overrun in a test");
    }
    let mut fixture = Fixture::new("overflow");
    let mut logs: Vec<LogFile> = ["logs/a.log", "logs/b.log"].map(|name| fixture.log(name)).into();
    logs.iter_mut().for_each(|log| log.write(10));
    let service = fixture.host.start();
    fixture.caught_up();
    service.signal(Signal::STOP);
    // In turns, or the kernel would merge what happens to one file.
    for _ in 0..limit / 2 + 100 {
        logs.iter_mut().for_each(|log| log.write(1));
    }
    // Nobody is told of these.
    let mut old = logs[0].rename_to(&fixture.host.path("logs/a.log.1"));
    old.write(10);
    logs[0].write(10);
    fixture.log("logs/new.log").write(10);
    service.signal(Signal::CONT);
    service.wait_log("file notifications were lost; looking at everything");
    fixture.finish(service);
}

fn r8_a_writer_that_fills_room_it_reserved() {
    const ROOM: u64 = 1 << 20;
    let mut fixture = Fixture::new("reserved");
    let log = fixture.log("logs/app.log");
    let file = File::options().write(true).open(log.path()).unwrap();
    file.set_len(ROOM).unwrap();
    let service = fixture.host.start();
    let mut end = 0;
    for _ in 0..5 {
        let lines = log.lines(100, "\n");
        file.write_all_at(lines.as_bytes(), end).unwrap();
        end += u64::try_from(lines.len()).unwrap();
        fixture.caught_up();
    }
    // As such a writer does at its end.
    file.set_len(end).unwrap();
    fixture.finish(service);
}

/// What is written to a mapping raises no notification, and moves no modification time while its page is dirty.
fn r8_a_writer_that_maps_its_file_into_memory() {
    const WRITER: &str = "
import mmap, os, sys
path, room, pieces = sys.argv[1], 1 << 20, sys.argv[2:]
with open(path, 'r+b') as file:
    file.truncate(room)
    mapped = mmap.mmap(file.fileno(), room)
    end = 0
    for piece in pieces:
        data = open(piece, 'rb').read()
        mapped[end:end + len(data)] = data
        end += len(data)
        sys.stdout.write('.')
        sys.stdout.flush()
        sys.stdin.readline()
    mapped.close()
";
    if !installed("python3") {
        case::skip("python3 is not installed, which maps a file here");
    }
    let mut fixture = Fixture::new("mapped");
    let log = fixture.log("logs/app.log");
    let service = fixture.host.start();
    let pieces: Vec<_> = (0..3)
        .map(|number| fixture.host.path(format!("piece-{number}")))
        .collect();
    for piece in &pieces {
        std::fs::write(piece, log.lines(3, "\n")).unwrap();
    }
    let mut writer = guard::command("python3");
    writer.args(["-c", WRITER]).arg(log.path()).args(&pieces);
    let mut writer = writer.stdin(std::process::Stdio::piped()).spawn().unwrap();
    for shipped in [3, 6, 9] {
        fixture.reader.until_count(shipped);
        use std::io::Write;
        writer.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }
    assert!(writer.wait().unwrap().success());
    fixture.finish(service);
}
