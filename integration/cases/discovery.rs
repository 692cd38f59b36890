//! Which files are read, and from where.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::process::Command;

use super::fixture::Fixture;
use crate::harness::case::cases;
use crate::harness::kafka;
use crate::harness::writers::LogFile;

cases![
    d1_files_that_appear_under_a_glob_are_read_from_the_first_byte,
    d2_a_file_that_several_patterns_match_ships_once,
    d2_an_exclusion_wins_also_for_files_that_come_later,
    d3_start_end_ships_what_is_appended_and_later_files_whole,
    d4_a_literal_path_may_come_later_and_so_may_its_directory,
    d5_a_wildcard_directory_is_created_removed_and_created_again,
    d6_what_is_no_file_is_ignored_and_blocks_nothing,
    l2_a_link_and_its_target_ship_once,
    l3_a_file_that_may_not_be_read_is_said_once_and_ships_when_it_may,
    p4_files_with_equal_beginnings_are_told_apart,
    r1_ten_writers_at_once_with_handles_kept_and_reopened,
    r2_several_empty_files_are_told_apart,
];

fn d1_files_that_appear_under_a_glob_are_read_from_the_first_byte() {
    let mut fixture = Fixture::new("glob");
    let service = fixture.host.start();
    for name in ["logs/a.log", "logs/b.log", "logs/c.log"] {
        let mut log = fixture.log(name);
        log.write(100);
        fixture.caught_up();
        log.write(100);
    }
    fixture.log("logs/ignored.txt").write_raw(b"not matched\n");
    fixture.finish(service);
}

fn d2_a_file_that_several_patterns_match_ships_once() {
    let fixture = Fixture::new("overlap");
    let root = fixture.host.path("").display().to_string();
    let paths = format!("[\"logs/*.log\", \"logs//app.*\", \"{root}**/app.log\", \"./logs/../logs/app.log\"]");
    let head = fixture.host.head(&kafka::shared().address(), &fixture.topic);
    // Two entries without a name of their own: the first has the file.
    fixture.host.settings(&format!(
        "{head}[[logs]]\npath = {paths}\n[[logs]]\npath = \"logs/ap*.log\"\n"
    ));
    fixture.log("logs/app.log").write(100);
    let service = fixture.host.start();
    fixture.finish(service);
}

fn d2_an_exclusion_wins_also_for_files_that_come_later() {
    let mut fixture = Fixture::with("exclude", "exclude_paths = [\"*debug*\"]");
    fs::write(fixture.host.path("logs/debug.log"), "excluded\n").unwrap();
    fixture.log("logs/app.log").write(10);
    let service = fixture.host.start();
    fixture.caught_up();
    fs::write(fixture.host.path("logs/app-debug.log"), "excluded\n").unwrap();
    fixture.log("logs/app2.log").write(10);
    fixture.chance_to_ship();
    fixture.finish(service);
}

fn d3_start_end_ships_what_is_appended_and_later_files_whole() {
    let mut fixture = Fixture::with("end", "start = \"end\"");
    let mut logs: Vec<LogFile> = (0..20).map(|n| fixture.log(&format!("logs/{n}.log"))).collect();
    logs.iter_mut().for_each(|log| log.write_raw(b"old\n"));
    let service = fixture.host.start();
    // What exists is settled by the first look, which starts the watchers; a file of `chance_to_ship` born before it is
    // old, too.
    service.wait_log("watcher started");
    // A file is first seen some time after the service is ready; what is appended before that is old.
    fixture.chance_to_ship();
    logs.iter_mut().for_each(|log| log.write(5));
    fixture.log("logs/new.log").write(5);
    fixture.finish(service);
}

fn d4_a_literal_path_may_come_later_and_so_may_its_directory() {
    let fixture = Fixture::new("literal");
    let head = fixture.host.head(&kafka::shared().address(), &fixture.topic);
    fixture.host.settings(&format!(
        "{head}[[logs]]\npath = [\"logs/one.log\", \"later/deep/two.log\"]\n"
    ));
    let service = fixture.host.start();
    fixture.log("logs/one.log").write(10);
    fs::create_dir_all(fixture.host.path("later/deep")).unwrap();
    fixture.log("later/deep/two.log").write(10);
    fixture.finish(service);
}

fn d5_a_wildcard_directory_is_created_removed_and_created_again() {
    let mut fixture = Fixture::new("directories");
    let head = fixture.host.head(&kafka::shared().address(), &fixture.topic);
    fixture
        .host
        .settings(&format!("{head}[[logs]]\npath = \"apps/*/app.log\"\n"));
    let service = fixture.host.start();
    let dir = fixture.host.path("apps/web");
    fs::create_dir_all(&dir).unwrap();
    let mut log = fixture.log("apps/web/app.log");
    log.write(10);
    fixture.caught_up();
    for _ in 0..3 {
        fs::remove_dir_all(&dir).unwrap();
        fs::create_dir_all(&dir).unwrap();
        log.reopen();
        log.write(10);
        fixture.caught_up();
    }
    fixture.finish(service);
}

fn d6_what_is_no_file_is_ignored_and_blocks_nothing() {
    let fixture = Fixture::new("no-files");
    fs::create_dir(fixture.host.path("logs/directory.log")).unwrap();
    let _socket = UnixListener::bind(fixture.host.path("logs/socket.log")).unwrap();
    let fifo = Command::new("mkfifo")
        .arg(fixture.host.path("logs/fifo.log"))
        .status()
        .unwrap();
    assert!(fifo.success());
    symlink("/dev/zero", fixture.host.path("logs/device.log")).unwrap();
    symlink("/nowhere/at/all", fixture.host.path("logs/dangling.log")).unwrap();
    fixture.log("logs/file.log").write(100);
    let service = fixture.host.start();
    fixture.log("logs/later.log").write(100);
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
