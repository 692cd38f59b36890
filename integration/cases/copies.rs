//! Copies of a log inside the pattern, as `copytruncate` and backups make them: what is in them ships once.

use std::fs::{self, File};
use std::io::Write;

use super::fixture::Fixture;
use super::rotation::{SMALL_BITES, make_room, rotate_by_copy};
use crate::harness::case::{self, cases};
use crate::harness::writers::logrotate;

cases![
    u3_copies_in_the_pattern_ship_what_was_unread_and_nothing_twice,
    u3_the_real_copytruncate_in_the_pattern,
    t11_a_copy_that_still_grows_in_the_pattern_is_not_read,
    t12_identical_generations_ship_once_each,
    t13_the_real_logrotate_copy_repeats_nothing,
    a_file_beside_a_log_that_is_idle_ships,
];

/// Rotated names are paths of their own, too.
const PATTERN: &str = "exclude_paths = []\n";

fn pattern(name: &str) -> Fixture {
    let fixture = Fixture::new(name);
    watch_rotated_names(&fixture, PATTERN);
    fixture
}

/// Watches `logs/app.log*` instead of `logs/*.log`.
fn watch_rotated_names(fixture: &Fixture, entry: &str) {
    let broker = crate::harness::kafka::shared();
    let head = fixture.host.head(&broker.address(), &fixture.topic);
    let paths = "path = [\"logs/*.log\", \"logs/app.log*\"]";
    let watch = case::watch_key();
    fixture
        .host
        .settings(&format!("{head}[[logs]]\n{paths}\n{watch}{entry}"));
}

fn u3_copies_in_the_pattern_ship_what_was_unread_and_nothing_twice() {
    let mut fixture = Fixture::new("copies");
    watch_rotated_names(&fixture, &format!("{PATTERN}{SMALL_BITES}\n"));
    let mut log = fixture.log("logs/app.log");
    let service = fixture.host.start();
    for _ in 0..3 {
        let before = fixture.oracle.written();
        log.write(50_000);
        // Some of it was read, most was not.
        fixture.reader.until_count(before + 1);
        rotate_by_copy(&fixture, &mut log);
        log.write(100);
        fixture.caught_up();
    }
    service.stop();
    log.write(100);
    rotate_by_copy(&fixture, &mut log);
    log.write(100);
    let service = fixture.host.start();
    fixture.finish(service);
}

fn u3_the_real_copytruncate_in_the_pattern() {
    let mut fixture = pattern("copytruncate");
    let mut log = fixture.log("logs/app.log");
    let rules = format!(
        "{} {{\n  rotate 9\n  copytruncate\n  missingok\n  nocompress\n  su root root\n}}\n",
        log.path().display()
    );
    log.write(1);
    let service = fixture.host.start();
    // A copy that is there at first sight is a log of its own.
    fixture.caught_up();
    for _ in 0..5 {
        log.write(500);
        logrotate(&fixture.host, &rules);
        log.truncate();
        log.write(100);
        fixture.caught_up();
    }
    fixture.finish(service);
}

fn t11_a_copy_that_still_grows_in_the_pattern_is_not_read() {
    let mut fixture = pattern("growing-copy");
    let mut log = fixture.log("logs/app.log");
    log.write(20_000);
    let service = fixture.host.start();
    fixture.caught_up();
    let content = fs::read(log.path()).unwrap();
    let mut copy = File::create(fixture.host.path("logs/app.log.1")).unwrap();
    for part in content.chunks(content.len() / 4) {
        copy.write_all(part).unwrap();
        fixture.chance_to_ship();
    }
    service.wait_log("taken for a copy");
    log.write(10);
    fixture.caught_up();
    service.stop();
    let service = fixture.host.start();
    fixture.chance_to_ship();
    fixture.finish(service);
}

/// The lines are the same each night, so that counting is all there is to judge by.
fn t12_identical_generations_ship_once_each() {
    let mut fixture = pattern("identical");
    let log = fixture.host.path("logs/app.log");
    let night = "the same line every night, long enough that heads are full after a few\n".repeat(100);
    let service = fixture.host.start();
    for nights in 1..=4 {
        make_room(&fixture);
        if nights % 2 == 0 {
            fs::rename(&log, fixture.host.path("logs/app.log.1")).unwrap();
        } else if nights > 1 {
            fs::copy(&log, fixture.host.path("logs/app.log.1")).unwrap();
            File::options().write(true).open(&log).unwrap().set_len(0).unwrap();
            // Else it could grow to the same bytes and more before it was looked at: outside of what can be told.
            service.wait_log_count("file was truncated", nights / 2);
        }
        File::options()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap()
            .write_all(night.as_bytes())
            .unwrap();
        fixture.reader.until_count(nights * 100);
    }
    fixture.chance_to_ship();
    service.stop();
    assert_eq!(
        fixture.reader.everything().len(),
        401,
        "four nights, and the line of the other log"
    );
}

fn t13_the_real_logrotate_copy_repeats_nothing() {
    let mut fixture = pattern("copy");
    let mut log = fixture.log("logs/app.log");
    let rules = format!(
        "{} {{\n  rotate 9\n  copy\n  missingok\n  nocompress\n  su root root\n}}\n",
        log.path().display()
    );
    let service = fixture.host.start();
    for number in 1..=3 {
        log.write(500);
        fixture.caught_up();
        logrotate(&fixture.host, &rules);
        service.wait_log_count("taken for a copy", number);
    }
    log.write(100);
    fixture.caught_up();
    service.stop();
    let service = fixture.host.start();
    fixture.chance_to_ship();
    fixture.finish(service);
}

/// It may be a copy by its name, and waits for the watcher of the log, which nothing else wakes.
fn a_file_beside_a_log_that_is_idle_ships() {
    let mut fixture = pattern("idle");
    fixture.log("logs/app.log").write(10);
    let service = fixture.host.start();
    fixture.caught_up();
    fixture.log("logs/app.log-20261126").write(10);
    fixture.caught_up();
    fixture.finish(service);
}
