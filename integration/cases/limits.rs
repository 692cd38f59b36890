//! More files than handles, files that nobody writes to any more, and a system without notifications.

use std::fs::{self, File};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;

use super::fixture::Fixture;
use crate::harness::case::cases;
use crate::harness::eventually::{eventually, when};
use crate::harness::kafka;
use crate::harness::service::Service;
use crate::harness::writers::{Background, LogFile};

cases![
    r4_an_idle_file_that_is_closed_while_kafka_is_away_loses_and_repeats_nothing,
    r5_lines_appended_while_their_files_are_closed_ship_once,
    b1_two_thousand_idle_files_take_little_memory_and_give_their_handles_back,
    b2_more_files_than_handles_are_all_read_and_the_limit_holds,
    b2_files_whose_topic_is_missing_keep_no_handle_from_the_others,
    d3_start_end_with_more_files_than_handles_ships_not_one_old_line,
    d7_an_old_file_is_skipped_what_follows_ships_and_a_known_path_is_never_skipped,
];

/// The files of a directory that the service holds open, as the kernel knows it; the service is stopped while it is asked.
fn open_logs(service: &Service, directory: &Path) -> usize {
    service.signal(Signal::STOP);
    let process = format!("/proc/{}", service.pid());
    eventually("the service is stopped", || {
        let stat = fs::read_to_string(format!("{process}/stat")).unwrap();
        let is_stopped = stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'));
        when(is_stopped, || stat.clone())
    });
    let links = fs::read_dir(format!("{process}/fd")).unwrap();
    let open = links
        .filter_map(|link| fs::read_link(link.unwrap().path()).ok())
        .filter(|path| path.starts_with(directory) && path.is_file())
        .count();
    service.signal(Signal::CONT);
    open
}

/// What the service has read from anywhere so far, in bytes.
fn bytes_read(service: &Service) -> u64 {
    let io = fs::read_to_string(format!("/proc/{}/io", service.pid())).unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("rchar: "));
    line.unwrap().parse().unwrap()
}

fn logs(fixture: &Fixture, count: usize) -> Vec<LogFile> {
    (0..count)
        .map(|number| fixture.log(&format!("logs/{number}.log")))
        .collect()
}

fn r4_an_idle_file_that_is_closed_while_kafka_is_away_loses_and_repeats_nothing() {
    let broker = kafka::private("refuses");
    let mut fixture = Fixture::on(&broker, "refuses", "[limits]\nopen_files = 16");
    let mut app = fixture.log("logs/app.log");
    app.write(1);
    let service = fixture.host.start();
    // The topic takes records: from now on files are read whether Kafka is there or not.
    fixture.caught_up();
    broker.pause();
    let before = bytes_read(&service);
    app.write(5000);
    let length = fs::metadata(app.path()).unwrap().len();
    eventually("the lines are read", || {
        let read = bytes_read(&service) - before;
        when(read > length / 2, || format!("{read} of {length} bytes are"))
    });
    let path = app.path().to_owned();
    let is_open = |service: &Service| open_logs(service, &path) > 0;
    let mut others = logs(&fixture, 40);
    others.iter_mut().for_each(|log| log.write(10));
    eventually("the file is closed", || {
        when(!is_open(&service), || "it is open".to_owned())
    });
    app.write(8);
    eventually("the file is open again, in its turn", || {
        when(is_open(&service), || "it is closed".to_owned())
    });
    broker.resume();
    fixture.finish(service);
}

fn r5_lines_appended_while_their_files_are_closed_ship_once() {
    let mut fixture = Fixture::with("closing", "[limits]\nopen_files = 16");
    let service = fixture.host.start();
    let mut all = logs(&fixture, 60);
    let mut writers = Vec::new();
    for _ in 0..4 {
        let mine = all.split_off(all.len() - 15);
        writers.push(Background::repeat(mine, |mine| {
            for log in mine {
                log.write(1);
                sleep(Duration::from_micros(500));
            }
        }));
    }
    fixture
        .reader
        .until("thousands of lines", |records| records.len() > 8_000);
    writers.into_iter().for_each(|writer| drop(writer.stop()));
    assert!(open_logs(&service, &fixture.host.path("logs")) <= 16);
    fixture.finish(service);
}

fn b1_two_thousand_idle_files_take_little_memory_and_give_their_handles_back() {
    const PROMISED: u64 = 80_000_000;
    let mut fixture = Fixture::new("idle");
    let mut files = logs(&fixture, 2000);
    files.iter_mut().for_each(|log| log.write(1));
    let service = fixture.host.start();
    fixture.caught_up();
    let directory = fixture.host.path("logs");
    assert_eq!(open_logs(&service, &directory), 2000, "there are handles enough");
    fixture
        .host
        .ship_logs(kafka::shared(), &fixture.topic, "[limits]\nopen_files = 16");
    eventually("the handles are given back", || {
        let open = open_logs(&service, &directory);
        when(open <= 16, || format!("{open} are open"))
    });
    files.iter_mut().step_by(100).for_each(|log| log.write(1));
    fixture.caught_up();
    let peak = service.peak_memory();
    assert!(peak < PROMISED, "{peak} bytes resident");
    fixture.finish(service);
}

fn b2_more_files_than_handles_are_all_read_and_the_limit_holds() {
    let mut fixture = Fixture::with("many", "[limits]\nopen_files = 64");
    let mut files = logs(&fixture, 300);
    files.iter_mut().for_each(|log| log.write(50));
    // Some have more to read than one turn's worth.
    files.iter_mut().take(3).for_each(|log| log.write(50_000));
    let service = fixture.host.start();
    let directory = fixture.host.path("logs");
    let mut most = 0;
    for _ in 0..3 {
        for some in files.chunks_mut(10) {
            some.iter_mut().for_each(|log| log.write(1));
            most = most.max(open_logs(&service, &directory));
        }
        fixture.caught_up();
    }
    assert!((32..=64).contains(&most), "{most} were open at once");
    fixture.finish(service);
}

fn b2_files_whose_topic_is_missing_keep_no_handle_from_the_others() {
    let mut fixture = Fixture::new("not-missing");
    let missing = kafka::unique("missing");
    let head = fixture.host.head(&kafka::shared().address(), &fixture.topic);
    fixture.host.settings(&format!(
        "{head}[limits]\nopen_files = 16\n[[logs]]\nname = \"held\"\npath = \"held/*.log\"\ntopic = \"{missing}\"\n\
         [[logs]]\npath = \"logs/*.log\"\n"
    ));
    fs::create_dir(fixture.host.path("held")).unwrap();
    for number in 0..40 {
        fs::write(fixture.host.path(format!("held/{number}.log")), "held\n").unwrap();
    }
    let service = fixture.host.start();
    service.wait_log("topic does not exist");
    let held = fixture.host.path("held");
    eventually("the held files have the handles", || {
        let open = open_logs(&service, &held);
        when(open >= 10, || format!("{open} are open"))
    });
    let mut files = logs(&fixture, 40);
    for _ in 0..3 {
        files.iter_mut().for_each(|log| log.write(10));
        fixture.caught_up();
    }
    service.wait_log("files wait for a handle");
    fixture.finish(service);
}

fn d3_start_end_with_more_files_than_handles_ships_not_one_old_line() {
    let mut fixture = Fixture::with("end-many", "start = \"end\"\n[limits]\nopen_files = 16");
    let mut files = logs(&fixture, 200);
    files.iter_mut().for_each(|log| log.write_raw(b"old\nolder\n"));
    let service = fixture.host.start();
    service.wait_log_count("watcher started", files.len());
    fixture.chance_to_ship();
    files.iter_mut().for_each(|log| log.write(3));
    let mut new: Vec<LogFile> = (0..50).map(|n| fixture.log(&format!("logs/new-{n}.log"))).collect();
    new.iter_mut().for_each(|log| log.write(3));
    fixture.finish(service);
}

fn d7_an_old_file_is_skipped_what_follows_ships_and_a_known_path_is_never_skipped() {
    let mut fixture = Fixture::with("old", "ignore_older = \"1h\"");
    let make_old = |path: &Path| {
        let file = File::options().append(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(7200))
            .unwrap();
    };
    let mut old = fixture.log("logs/old.log");
    old.write_raw(b"old\n");
    make_old(old.path());
    let mut known = fixture.log("logs/known.log");
    known.write(10);
    let service = fixture.host.start();
    service.wait_log_count("watcher started", 2);
    fixture.chance_to_ship();
    fixture.caught_up();
    old.write(5);
    fixture.caught_up();
    service.stop();
    // Two rotations that nobody sees, all of it old by now.
    known.write(10);
    let (first, second) = (
        fixture.host.path("logs/known.log.2"),
        fixture.host.path("logs/known.log.1"),
    );
    drop(known.rename_to(&first));
    known.write(10);
    drop(known.rename_to(&second));
    known.write(10);
    [first.as_path(), &second, known.path()].into_iter().for_each(make_old);
    let service = fixture.host.start();
    fixture.finish(service);
}
