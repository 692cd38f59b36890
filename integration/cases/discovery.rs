//! Which files are read, and from where.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;

use super::fixture::Fixture;
use crate::harness::case::cases;
use crate::harness::eventually::{eventually, when};
use crate::harness::kafka;
use crate::harness::process;
use crate::harness::writers::LogFile;

cases![
    d1_files_that_appear_under_a_glob_are_read_from_the_first_byte,
    d2_a_file_that_several_patterns_match_ships_once,
    d2_an_exclusion_wins_also_for_files_that_come_later,
    d3_start_end_ships_what_is_appended_and_later_files_whole,
    d4_a_literal_path_may_come_later_and_so_may_its_directory,
    d5_a_wildcard_directory_is_created_removed_and_created_again,
    d6_what_is_no_file_is_ignored_and_blocks_nothing,
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
    let mut fixture = Fixture::new("literal");
    let head = fixture.host.head(&kafka::shared().address(), &fixture.topic);
    fixture.host.settings(&format!(
        "{head}[[logs]]\npath = \"logs/one.log\"\n[[logs]]\npath = \"later/deep/two.log\"\n"
    ));
    let service = fixture.host.start();
    service.wait_log_count("no file matches yet", 2);
    // What happens beside it is looked at, and not a word more is said.
    fs::write(fixture.host.path("logs/other.txt"), "").unwrap();
    let mut one = fixture.log("logs/one.log");
    one.write(10);
    fixture.caught_up();
    fs::create_dir_all(fixture.host.path("later/deep")).unwrap();
    fixture.log("later/deep/two.log").write(10);
    fixture.caught_up();
    let said = service.log().matches("no file matches yet").count();
    assert_eq!(said, 2, "{}", service.log());
    fixture.finish(service);
}

fn d5_a_wildcard_directory_is_created_removed_and_created_again() {
    let mut fixture = Fixture::new("directories");
    let head = fixture.host.head(&kafka::shared().address(), &fixture.topic);
    fixture
        .host
        .settings(&format!("{head}[[logs]]\npath = \"apps/*/app.log\"\n"));
    let service = fixture.host.start();
    service.wait_log("no file matches yet");
    let watches = process::watches(service.pid());
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
    fs::remove_dir_all(fixture.host.path("apps")).unwrap();
    eventually("no watch is leaked", || {
        let now = process::watches(service.pid());
        when(now <= watches, || format!("{now} watches instead of {watches}"))
    });
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
