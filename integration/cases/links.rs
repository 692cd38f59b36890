//! Links, rights and disks that fail.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use super::fixture::Fixture;
use super::rotation::SMALL_BITES;
use crate::harness::case::{self, cases};
use crate::harness::writers::{LogFile, installed};

cases![
    l1_a_link_that_is_led_elsewhere_the_old_target_ships_to_its_end_and_then_the_new,
    l2_a_link_and_its_target_ship_once,
    l3_a_file_that_may_not_be_read_is_said_once_and_ships_when_it_may,
    l4_an_error_on_read_restarts_the_watcher_which_goes_on,
];

fn l1_a_link_that_is_led_elsewhere_the_old_target_ships_to_its_end_and_then_the_new() {
    let mut fixture = Fixture::with("retarget", SMALL_BITES);
    fs::create_dir(fixture.host.path("data")).unwrap();
    let link = |target: &str| {
        let temporary = fixture.host.path("data/link");
        symlink(fixture.host.path(target), &temporary).unwrap();
        fs::rename(&temporary, fixture.host.path("logs/app.log")).unwrap();
    };
    fs::write(fixture.host.path("data/first"), "").unwrap();
    fs::write(fixture.host.path("data/second"), "").unwrap();
    link("data/first");
    let mut log = fixture.log("logs/app.log");
    log.write(50_000);
    let service = fixture.host.start();
    fixture.reader.until_count(1);
    link("data/second");
    drop(log.reopen());
    log.write(1000);
    fixture.caught_up();
    log.write(10);
    fixture.finish(service);
}

fn l2_a_link_and_its_target_ship_once() {
    let mut fixture = Fixture::new("link");
    let target = fixture.host.path("logs/target.log");
    let mut log = LogFile::at(&fixture.oracle, target.clone(), "logs/target.log");
    log.write(10);
    symlink(&target, fixture.host.path("logs/a-link.log")).unwrap();
    let service = fixture.host.start();
    fixture.caught_up();
    log.write(10);
    fixture.chance_to_ship();
    fixture.finish(service);
}

fn l3_a_file_that_may_not_be_read_is_said_once_and_ships_when_it_may() {
    let mut fixture = Fixture::new("forbidden");
    fixture.host = fixture.host.with_permissions();
    let mut log = fixture.log("logs/app.log");
    log.write(10);
    fs::set_permissions(log.path(), Permissions::from_mode(0o000)).unwrap();
    let service = fixture.host.start();
    service.wait_log("cannot be opened");
    // Something happens to it, and it is looked at again.
    log.write(10);
    fixture.chance_to_ship();
    fs::set_permissions(log.path(), Permissions::from_mode(0o644)).unwrap();
    fixture.caught_up();
    assert_eq!(
        service.log().matches("cannot be opened").count(),
        1,
        "{}",
        service.log()
    );
    fixture.finish(service);
}

fn l4_an_error_on_read_restarts_the_watcher_which_goes_on() {
    if !installed("strace") {
        case::skip("strace is not installed, which makes a read fail here");
    }
    let mut fixture = Fixture::with("read-error", SMALL_BITES);
    let mut log = fixture.log("logs/app.log");
    log.write(50_000);
    let path = log.path().display().to_string();
    let trace = fixture.host.path("strace.txt").display().to_string();
    // Of the reads of this file one fails in the midst of the backlog.
    fixture.host = fixture.host.run_by(&[
        "strace",
        "-D",
        "-f",
        "-qq",
        "-o",
        &trace,
        "-P",
        &path,
        "-e",
        "trace=pread64",
        "-e",
        "inject=pread64:error=EIO:when=7",
    ]);
    let service = fixture.host.start();
    service.wait_log("watcher failed; it will be restarted from its position");
    fixture.caught_up();
    let log_text = service.log();
    assert!(log_text.contains("Input/output error"), "{log_text}");
    assert_eq!(log_text.matches("watcher failed").count(), 1, "{log_text}");
    log.write(10);
    fixture.finish(service);
}
