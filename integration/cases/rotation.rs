//! Files that are renamed, truncated, deleted and made anew while somebody writes to them.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use super::fixture::Fixture;
use crate::harness::case::{self, cases};
use crate::harness::size::sized;
use crate::harness::writers::{LogFile, logrotate};

cases![
    t1_after_a_rename_the_old_handle_and_the_new_file_ship,
    t2_logrotate_ten_times_over_while_writers_keep_old_handles,
    t3_late_lines_of_a_renamed_file_ship_for_minutes,
    t4_a_file_renamed_within_the_glob_keeps_its_stream,
    t5_a_backlog_that_is_moved_away_is_read_to_its_end_and_then_the_new_file,
    t6_an_unfinished_line_at_rotation_ships_alone_and_once,
    t7_a_chain_of_renames_while_stopped_loses_only_what_is_gone,
    t8_a_file_renamed_and_deleted_at_once_is_read_to_its_end,
    t10_generations_that_nobody_saw_ship_in_order,
    t10_generations_that_nobody_saw_by_copy_and_truncate_ship_in_order,
    t14_a_file_replaced_by_rename_with_its_longer_self_goes_on,
    t14_a_file_replaced_by_rename_while_stopped_goes_on,
    u1_a_file_that_is_cut_and_written_less_than_before_is_read_anew,
    u2_a_file_rewritten_longer_than_before_is_read_anew,
    u2_a_file_rewritten_longer_while_stopped_is_read_anew,
    u3_copy_and_truncate_repeats_nothing,
    u3_what_was_unread_at_a_copy_and_truncate_ships_from_the_copy,
    u4_the_hole_before_a_stale_writers_lines_never_ships,
    x1_a_file_deleted_mostly_unread_and_made_anew_ships_whole,
    x2_four_times_deleted_and_made_anew_every_generation_ships,
    x2_four_times_made_anew_while_stopped_in_the_same_inode_every_generation_ships,
];

/// So little at once that most of a file is unread when its first lines arrive.
pub const SMALL_BITES: &str = "max_line = \"64KiB\"\n[limits]\nin_flight = \"1MiB\"";

fn t1_after_a_rename_the_old_handle_and_the_new_file_ship() {
    let mut fixture = Fixture::new("rename").late_lines();
    let mut log = fixture.log("logs/app.log");
    let service = fixture.host.start();
    log.write(1000);
    fixture.caught_up();
    for _ in 0..3 {
        let mut old = log.rename_to(&fixture.host.path("logs/app.log.1"));
        old.write(10);
        log.write(10);
        old.write_singly(10);
        log.write_singly(10);
        fixture.caught_up();
    }
    fixture.finish(service);
}

fn t2_logrotate_ten_times_over_while_writers_keep_old_handles() {
    let mut fixture = Fixture::new("logrotate").late_lines();
    let names = ["logs/a.log", "logs/b.log", "logs/c.log"];
    let mut logs: Vec<LogFile> = names.iter().map(|name| fixture.log(name)).collect();
    // A directory that others may write is refused without `su`.
    let rules = format!(
        "{} {{\n  rotate 12\n  create\n  missingok\n  nocompress\n  su root root\n}}\n",
        fixture.host.path("logs/*.log").display()
    );
    let service = fixture.host.start();
    // What was rotated before the logs were first seen is never read.
    logs.iter_mut().for_each(|log| log.write(1));
    fixture.caught_up();
    for _ in 0..10 {
        logs.iter_mut().for_each(|log| log.write(200));
        logrotate(&fixture.host, &rules);
        let mut olds: Vec<LogFile> = logs.iter_mut().map(LogFile::reopen).collect();
        olds.iter_mut().for_each(|old| old.write(20));
        logs.iter_mut().for_each(|log| log.write(20));
        // A writer that holds an old handle over two rotations writes where no reader looks for long; real ones reopen.
        fixture.caught_up();
    }
    fixture.finish(service);
}

/// A line every 20 s for two minutes; usually every second for six.
fn t3_late_lines_of_a_renamed_file_ship_for_minutes() {
    let pause = sized(Duration::from_secs(1), Duration::from_secs(20));
    let mut fixture = Fixture::new("late").late_lines();
    let mut log = fixture.log("logs/app.log");
    log.write(100);
    let service = fixture.host.start();
    fixture.caught_up();
    let mut old = log.rename_to(&fixture.host.path("logs/app.log.1"));
    for _ in 0..6 {
        old.write(1);
        log.write(1);
        sleep(pause);
    }
    fixture.finish(service);
}

fn t4_a_file_renamed_within_the_glob_keeps_its_stream() {
    let mut fixture = Fixture::new("rename-in-glob");
    let mut log = fixture.log("logs/app.log");
    log.write(100);
    let service = fixture.host.start();
    fixture.caught_up();
    fs::rename(log.path(), fixture.host.path("logs/renamed.log")).unwrap();
    log.write(100);
    fixture.chance_to_ship();
    fixture.finish(service);
}

fn t5_a_backlog_that_is_moved_away_is_read_to_its_end_and_then_the_new_file() {
    let mut fixture = Fixture::with("backlog", SMALL_BITES);
    let mut log = fixture.log("logs/app.log");
    log.write(100_000);
    let service = fixture.host.start();
    fixture.reader.until_count(1);
    drop(log.rename_to(&fixture.host.path("moved-away")));
    log.write(1000);
    fixture.finish(service);
}

fn t6_an_unfinished_line_at_rotation_ships_alone_and_once() {
    let mut fixture = Fixture::new("unfinished");
    let mut log = fixture.log("logs/app.log");
    log.write(100);
    let service = fixture.host.start();
    fixture.caught_up();
    // Whole but for its end, so that the judge knows it; the writer never comes back to it.
    let unfinished = log.lines(1, "");
    log.write_raw(unfinished.as_bytes());
    fixture.chance_to_ship();
    drop(log.rename_to(&fixture.host.path("logs/app.log.1")));
    log.write(100);
    fixture.finish(service);
}

fn t7_a_chain_of_renames_while_stopped_loses_only_what_is_gone() {
    let mut fixture = Fixture::new("chain");
    let mut log = fixture.log("logs/app.log");
    let service = fixture.host.start();
    // Every generation but the last was read before; the oldest is deleted in the end.
    for _ in 0..3 {
        log.write(100);
        fixture.caught_up();
        rotate(&fixture, &mut log);
    }
    log.write(100);
    fixture.caught_up();
    service.stop();
    log.write(100);
    rotate(&fixture, &mut log);
    fs::remove_file(fixture.host.path("logs/app.log.4")).unwrap();
    log.write(100);
    let service = fixture.host.start();
    fixture.finish(service);
}

/// A rotation as logrotate does it: `.3` to `.4`, `.2` to `.3`, `.1` to `.2`, the log to `.1`, a new log.
pub fn rotate(fixture: &Fixture, log: &mut LogFile) {
    drop(log.rename_to(&make_room(fixture)));
}

/// The same, but the log is copied to `.1` and cut.
pub fn rotate_by_copy(fixture: &Fixture, log: &mut LogFile) {
    log.copy_and_truncate(&make_room(fixture));
}

/// Moves the rotated files on by one; gives the path of `.1`, which is free then.
pub fn make_room(fixture: &Fixture) -> PathBuf {
    let numbered = |number: u32| fixture.host.path(format!("logs/app.log.{number}"));
    for number in (1..9).rev() {
        // Most do not exist.
        let _ = fs::rename(numbered(number), numbered(number + 1));
    }
    numbered(1)
}

fn t8_a_file_renamed_and_deleted_at_once_is_read_to_its_end() {
    let mut fixture = Fixture::with("rename-delete", SMALL_BITES);
    let mut log = fixture.log("logs/app.log");
    log.write(50_000);
    let service = fixture.host.start();
    fixture.reader.until_count(1);
    drop(log.rename_to(&fixture.host.path("logs/app.log.1")));
    fs::remove_file(fixture.host.path("logs/app.log.1")).unwrap();
    log.write(1000);
    fixture.finish(service);
}

fn t10_generations_that_nobody_saw_ship_in_order() {
    nobody_saw("unseen", rotate);
}

fn t10_generations_that_nobody_saw_by_copy_and_truncate_ship_in_order() {
    nobody_saw("unseen-copies", rotate_by_copy);
}

fn nobody_saw(name: &str, rotate: fn(&Fixture, &mut LogFile)) {
    let mut fixture = Fixture::new(name);
    let mut log = fixture.log("logs/app.log");
    log.write(100);
    let service = fixture.host.start();
    fixture.caught_up();
    service.stop();
    for _ in 0..3 {
        log.write(100);
        rotate(&fixture, &mut log);
    }
    log.write(100);
    let service = fixture.host.start();
    fixture.finish(service);
}

fn t14_a_file_replaced_by_rename_with_its_longer_self_goes_on() {
    let mut fixture = Fixture::new("rsync");
    let mut log = fixture.log("logs/app.log");
    log.write(100);
    let service = fixture.host.start();
    for _ in 0..5 {
        fixture.caught_up();
        replace(&mut log, 100);
    }
    fixture.finish(service);
}

fn t14_a_file_replaced_by_rename_while_stopped_goes_on() {
    let mut fixture = Fixture::new("rsync-stopped");
    let mut log = fixture.log("logs/app.log");
    log.write(100);
    for _ in 0..3 {
        let service = fixture.host.start();
        fixture.caught_up();
        service.stop();
        replace(&mut log, 100);
    }
    let service = fixture.host.start();
    fixture.finish(service);
}

/// What rsync does: the old content and the new lines in a hidden file beside the log, which is then renamed over it.
fn replace(log: &mut LogFile, lines: usize) {
    let temporary = log.path().with_file_name(".app.log.q7XbZk");
    let mut content = fs::read(log.path()).unwrap();
    content.extend(log.lines(lines, "\n").into_bytes());
    fs::write(&temporary, content).unwrap();
    fs::rename(&temporary, log.path()).unwrap();
}

fn u1_a_file_that_is_cut_and_written_less_than_before_is_read_anew() {
    let mut fixture = Fixture::new("truncate");
    let mut log = fixture.log("logs/app.log");
    log.write(500);
    let service = fixture.host.start();
    for lines in [200, 50, 1] {
        fixture.caught_up();
        log.truncate();
        log.write(lines);
    }
    fixture.finish(service);
}

fn u2_a_file_rewritten_longer_than_before_is_read_anew() {
    let mut fixture = Fixture::new("rewrite");
    let mut log = fixture.log("logs/app.log");
    log.write(100);
    let service = fixture.host.start();
    for lines in [300, 600] {
        fixture.caught_up();
        log.truncate();
        log.write(lines);
    }
    fixture.finish(service);
}

fn u2_a_file_rewritten_longer_while_stopped_is_read_anew() {
    let mut fixture = Fixture::new("rewrite-stopped");
    let mut log = fixture.log("logs/app.log");
    log.write(100);
    let service = fixture.host.start();
    fixture.caught_up();
    service.stop();
    log.truncate();
    log.write(500);
    let service = fixture.host.start();
    fixture.finish(service);
}

fn u3_copy_and_truncate_repeats_nothing() {
    let mut fixture = Fixture::new("copytruncate");
    // The copy lies in the glob, too.
    let mut log = fixture.log("logs/app.log");
    log.write(500);
    let service = fixture.host.start();
    fixture.caught_up();
    for number in 1..=3 {
        log.copy_and_truncate(&fixture.host.path(format!("logs/app-2026010{number}.log")));
        log.write(200);
        fixture.caught_up();
    }
    fixture.finish(service);
}

fn u3_what_was_unread_at_a_copy_and_truncate_ships_from_the_copy() {
    let mut fixture = Fixture::with("copy-unread", SMALL_BITES);
    let mut log = fixture.log("logs/app.log");
    log.write(50_000);
    let service = fixture.host.start();
    fixture.reader.until_count(1);
    rotate_by_copy(&fixture, &mut log);
    log.write(1000);
    fixture.finish(service);
}

fn u4_the_hole_before_a_stale_writers_lines_never_ships() {
    use std::os::unix::fs::FileExt;
    let mut fixture = Fixture::new("hole");
    let mut log = fixture.log("logs/app.log");
    log.write(100);
    let service = fixture.host.start();
    fixture.caught_up();
    // This writer did not open for appending: it goes on where it was.
    let end = fs::metadata(log.path()).unwrap().len();
    log.truncate();
    let stale = fs::File::options().write(true).open(log.path()).unwrap();
    stale.write_all_at(log.lines(10, "\n").as_bytes(), end).unwrap();
    fixture.finish(service);
}

fn x1_a_file_deleted_mostly_unread_and_made_anew_ships_whole() {
    let mut fixture = Fixture::with("delete", SMALL_BITES);
    let mut log = fixture.log("logs/app.log");
    log.write(100_000);
    let service = fixture.host.start();
    fixture.reader.until_count(1);
    drop(log.delete());
    log.write(1000);
    fixture.finish(service);
}

fn x2_four_times_deleted_and_made_anew_every_generation_ships() {
    let mut fixture = Fixture::new("delete-again");
    let mut log = fixture.log("logs/app.log");
    log.write(100);
    let service = fixture.host.start();
    for _ in 0..4 {
        fixture.caught_up();
        drop(log.delete());
        log.write(100);
    }
    fixture.finish(service);
}

/// While the service runs it holds the deleted file, and its inode is not free: this is for a service that is stopped.
fn x2_four_times_made_anew_while_stopped_in_the_same_inode_every_generation_ships() {
    let mut fixture = Fixture::new("inode-again");
    let mut log = fixture.log("logs/app.log");
    log.write(100);
    for lines in [200, 300, 400, 500] {
        let service = fixture.host.start();
        fixture.caught_up();
        service.stop();
        if !log.delete_and_take_inode() {
            case::skip("this file system does not give a freed inode to the next file");
        }
        // Longer each time: the saved position lies within it.
        log.write(lines);
    }
    let service = fixture.host.start();
    fixture.finish(service);
}
