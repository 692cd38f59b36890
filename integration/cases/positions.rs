//! What the saved positions are worth: after crashes, on other disks, for files that look alike.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use super::fixture::Fixture;
use super::rotation::rotate;
use crate::harness::case::cases;
use crate::harness::eventually::{eventually, when};
use crate::harness::kafka;
use crate::harness::oracle::Fault;
use crate::harness::process;
use crate::harness::reader::Reader;
use crate::harness::size::sized;
use crate::harness::writers::LogFile;

cases![
    p2_what_was_read_and_not_acknowledged_ships_after_a_crash,
    p4_files_with_equal_beginnings_are_told_apart,
    p5_a_directory_where_the_store_should_be_is_refused,
    p6_a_copy_of_state_and_logs_and_what_had_arrived_cover_everything,
    p7_the_state_stays_bounded_while_files_come_and_go,
    p9_a_file_first_seen_empty_and_rotated_twice_while_stopped,
];

fn p2_what_was_read_and_not_acknowledged_ships_after_a_crash() {
    const LINES: usize = 2000;
    let broker = kafka::private("unacknowledged");
    let mut fixture = Fixture::on(&broker, "unacknowledged", "");
    let mut log = fixture.log("logs/app.log");
    log.write(100);
    let service = fixture.host.start();
    fixture.caught_up();
    broker.pause();
    let (read, size) = (
        process::bytes_read(service.pid()),
        fs::metadata(log.path()).unwrap().len(),
    );
    log.write(LINES);
    service.wait_read(read, fs::metadata(log.path()).unwrap().len() - size);
    service.kill();
    broker.resume();
    let service = fixture.host.start();
    fixture.caught_up();
    service.stop();
    // The broker may have taken what was on its way to it.
    fixture.verdict().assert_only_duplicates(LINES + 100);
}

fn p4_files_with_equal_beginnings_are_told_apart() {
    let mut fixture = Fixture::new("equal-heads");
    let head = "the same words at the top of each log\n".repeat(100);
    let mut logs: Vec<LogFile> = ["logs/a.log", "logs/b.log"].map(|name| fixture.log(name)).into();
    logs.iter_mut().for_each(|log| log.write_raw(head.as_bytes()));
    logs.iter_mut().for_each(|log| log.write(10));
    let service = fixture.host.start();
    fixture.reader.until_count(220);
    service.stop();
    logs.iter_mut().for_each(|log| log.write(10));
    let service = fixture.host.start();
    fixture.reader.until_count(240);
    service.stop();
    let (heads, lines): (Vec<_>, Vec<_>) = fixture
        .reader
        .everything()
        .iter()
        .cloned()
        .partition(|record| record.text().starts_with("the same"));
    assert_eq!(heads.len(), 200);
    fixture.oracle.judge(&lines).assert_clean();
}

fn p5_a_directory_where_the_store_should_be_is_refused() {
    let fixture = Fixture::new("store-directory");
    let store = fixture.host.path("state/positions.redb");
    fs::create_dir_all(&store).unwrap();
    fixture.log("logs/app.log").write(10);
    let output = fixture.host.run(&["run"]);
    assert_eq!(output.code, Some(1), "{output:?}");
    for part in ["error: cannot ", "positions.redb", "\nhelp: "] {
        assert!(output.stderr.contains(part), "no `{part}`: {output:?}");
    }
    fs::remove_dir(&store).unwrap();
    let service = fixture.host.start();
    fixture.finish(service);
}

fn p6_a_copy_of_state_and_logs_and_what_had_arrived_cover_everything() {
    for round in 0..sized(4, 40) {
        let mut fixture = Fixture::new("copied");
        let mut log = fixture.log("logs/app.log");
        let service = fixture.host.start();
        // Each round stops at another point of a life with rotations and a backlog.
        for step in 0..=round % 4 {
            log.write(2000 + 500 * round);
            fixture.reader.until_count(1 + 1500 * step);
            if step % 2 == 1 {
                rotate(&fixture, &mut log);
                log.write(500);
            }
        }
        service.signal(Signal::STOP);
        for name in ["state", "logs"] {
            copy(&fixture.host.path(name), &fixture.host.path(format!("copy-of-{name}")));
        }
        let mut records = fixture.reader.everything().to_vec();
        service.kill();
        for name in ["state", "logs"] {
            fs::remove_dir_all(fixture.host.path(name)).unwrap();
            fs::rename(fixture.host.path(format!("copy-of-{name}")), fixture.host.path(name)).unwrap();
        }
        let topic = kafka::shared().topic("copied-again", 4);
        fixture.host.ship_logs(kafka::shared(), &topic, "");
        let service = fixture.host.start();
        let mut reader = Reader::new(kafka::shared(), &topic);
        eventually("both together hold every line", || {
            reader.take(std::time::Duration::from_millis(50));
            let all = [records.as_slice(), reader.records()].concat();
            let verdict = fixture.oracle.judge(&all);
            when(verdict.count(Fault::Lost) == 0, || verdict.to_string())
        });
        service.stop();
        records.extend_from_slice(reader.everything());
        let bound = records.len();
        fixture.oracle.judge(&records).assert_only_duplicates(bound);
    }
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(status.success());
}

fn p7_the_state_stays_bounded_while_files_come_and_go() {
    let (files, rounds) = sized((50, 10), (500, 30));
    // A position takes some 500 bytes, that of a deleted file for minutes; the store writes beside what it replaces.
    let promised = 2_000_000 + u64::try_from(files * rounds).unwrap() * 2_000;
    let mut fixture = Fixture::new("churn");
    let mut logs: Vec<LogFile> = (0..files)
        .map(|number| fixture.log(&format!("logs/{number}.log")))
        .collect();
    let service = fixture.host.start();
    for round in 0..rounds {
        for log in &mut logs {
            if round > 0 {
                drop(log.delete());
            }
            log.write(3);
        }
        fixture.caught_up();
    }
    let size = fs::metadata(fixture.host.path("state/positions.redb")).unwrap().len();
    assert!(size < promised, "{size} bytes");
    let (memory, limit) = (service.peak_memory(), 100_000_000);
    assert!(memory < limit, "{memory} bytes resident");
    fixture.finish(service);
}

fn p9_a_file_first_seen_empty_and_rotated_twice_while_stopped() {
    let mut fixture = Fixture::new("empty-rotated");
    let mut log = fixture.log("logs/app.log");
    let service = fixture.host.start();
    service.wait_open(log.path());
    fixture.chance_to_ship();
    service.stop();
    for _ in 0..2 {
        log.write(100);
        rotate(&fixture, &mut log);
    }
    log.write(100);
    let service = fixture.host.start();
    fixture.finish(service);
}
