//! Ends of the service, wanted and not, and what the next start makes of them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::fixture::{Fixture, caught_up};
use super::rotation::SMALL_BITES;
use crate::harness::case::cases;
use crate::harness::kafka;
use crate::harness::process;
use crate::harness::reader::Reader;
use crate::harness::service::Host;
use crate::harness::size::sized;
use crate::harness::writers::Background;

cases![
    a_restart_neither_loses_nor_repeats,
    p1_with_start_end_a_line_written_while_stopped_ships,
    p3_a_stop_in_the_midst_of_a_backlog_loses_and_repeats_nothing,
    p5_garbage_where_positions_should_be_means_reading_from_the_beginning,
    p8_kill_9_under_load_loses_nothing_and_repeats_little,
    q1_a_stop_with_kafka_away_ends_in_time_and_loses_nothing,
    q1_a_stop_in_a_huge_backlog_with_kafka_hung_ends_in_time_and_loses_nothing,
    q1_a_stop_while_everything_waits,
    q1_a_stop_by_sigint_and_a_second_signal_while_idle,
    q2_a_second_service_on_the_same_state_directory_is_refused,
    p5_a_state_directory_that_cannot_be_made_is_refused,
    p5_a_state_directory_that_cannot_be_written_is_refused,
];

fn a_restart_neither_loses_nor_repeats() {
    let mut fixture = Fixture::new("restart");
    let mut log = fixture.log("logs/app.log");
    for _ in 0..3 {
        log.write(1000);
        let service = fixture.host.start();
        log.write(1000);
        fixture.caught_up();
        service.stop();
        log.write(1000);
    }
    let service = fixture.host.start();
    fixture.finish(service);
}

fn p1_with_start_end_a_line_written_while_stopped_ships() {
    let mut fixture = Fixture::with("end-stopped", "start = \"end\"");
    let mut log = fixture.log("logs/app.log");
    log.write_raw(b"old\n");
    let service = fixture.host.start();
    // The other log of `chance_to_ship` must be born after the first look, or it is old, too.
    service.wait_log("watcher started");
    fixture.chance_to_ship();
    service.stop();
    log.write(10);
    let service = fixture.host.start();
    fixture.finish(service);
}

fn p3_a_stop_in_the_midst_of_a_backlog_loses_and_repeats_nothing() {
    let mut fixture = Fixture::with("midway", SMALL_BITES);
    let mut log = fixture.log("logs/app.log");
    log.write(100_000);
    for part in [1, 30_000] {
        let service = fixture.host.start();
        fixture.reader.until_count(part);
        service.stop();
    }
    assert!(
        fixture.reader.everything().len() < 100_000,
        "nothing was left for the last start"
    );
    let service = fixture.host.start();
    fixture.finish(service);
}

fn p5_garbage_where_positions_should_be_means_reading_from_the_beginning() {
    let mut fixture = Fixture::new("garbage");
    let mut log = fixture.log("logs/app.log");
    log.write(100);
    let service = fixture.host.start();
    fixture.caught_up();
    service.stop();
    let store = fixture.host.path("state/positions.redb");
    for garbage in [b"garbage".repeat(1000).as_slice(), b""] {
        fs::write(&store, garbage).unwrap();
        log.write(100);
        let service = fixture.host.start();
        fixture.caught_up();
        service.wait_log("damaged");
        service.stop();
    }
    fixture.verdict().assert_only_duplicates(100 + 200);
}

fn p8_kill_9_under_load_loses_nothing_and_repeats_little() {
    let crashes = sized(10, 100);
    // Half a second of the load below: what was in flight, and what was acknowledged since the last save.
    const REPEATED_PER_CRASH: usize = 1000;
    let mut fixture = Fixture::new("crash");
    let head = fixture.host.head(&kafka::shared().address(), &fixture.topic);
    fixture.host.settings(&format!(
        "{head}checkpoint_interval = \"200ms\"\n[[logs]]\npath = \"logs/*.log\"\n"
    ));
    let log = fixture.log("logs/app.log");
    let writer = Background::repeat(log, |log| {
        log.write(20);
        sleep(Duration::from_millis(10));
    });
    for crash in 0..crashes {
        let start = fixture.oracle.written();
        let service = fixture.host.start();
        let target = start + 150 * crash;
        fixture.reader.until("lines flow", |records| records.len() > target);
        service.kill();
    }
    let service = fixture.host.start();
    drop(writer.stop());
    fixture.caught_up();
    service.stop();
    fixture.verdict().assert_only_duplicates(crashes * REPEATED_PER_CRASH);
}

fn q1_a_stop_with_kafka_away_ends_in_time_and_loses_nothing() {
    let fixture = Fixture::new("stop-away");
    let mut log = fixture.log("logs/app.log");
    log.write(1000);
    let nobody = format!("127.0.0.1:{}", kafka::free_port());
    let head = fixture.host.head(&nobody, &fixture.topic);
    fixture.host.settings(&format!(
        "{head}[limits]\nshutdown_timeout = \"2s\"\n[[logs]]\npath = \"logs/*.log\"\n"
    ));
    let service = fixture.host.start();
    service.wait_log("cannot reach Kafka");
    service.stop();
    fixture.host.ship_logs(kafka::shared(), &fixture.topic, "");
    let service = fixture.host.start();
    fixture.finish(service);
}

fn q1_a_stop_in_a_huge_backlog_with_kafka_hung_ends_in_time_and_loses_nothing() {
    const TIMEOUT: Duration = Duration::from_secs(2);
    /// What a busy machine may take on top.
    const GRACE: Duration = Duration::from_secs(8);
    let broker = kafka::private("stop-hung");
    let entry = format!("[limits]\nshutdown_timeout = \"{}s\"", TIMEOUT.as_secs());
    let mut fixture = Fixture::on(&broker, "stop-hung", &entry);
    let mut log = fixture.log("logs/app.log");
    log.write(100);
    let service = fixture.host.start();
    fixture.caught_up();
    broker.pause();
    let before = process::bytes_read(service.pid());
    log.write(100_000);
    service.wait_read(before, 1_000_000);
    let start = Instant::now();
    service.stop();
    assert!(start.elapsed() < TIMEOUT + GRACE, "{:?}", start.elapsed());
    broker.resume();
    let service = fixture.host.start();
    fixture.caught_up();
    service.stop();
    // No file has more than a quarter of 16 MiB in flight, and no line is shorter than 40 bytes.
    fixture.verdict().assert_only_duplicates(4 * 1024 * 1024 / 40);
}

fn q1_a_stop_while_everything_waits() {
    let broker = kafka::shared();
    let fixture = Fixture::new("stop-waiting");
    let missing = kafka::unique("stop-missing");
    let head = fixture.host.head(&broker.address(), &missing);
    fixture.host.settings(&format!(
        "{head}[[logs]]\npath = \"logs/*.log\"\n[[logs]]\npath = \"absent/a.log\"\n"
    ));
    let mut log = fixture.log("logs/app.log");
    log.write(1000);
    let service = fixture.host.start();
    service.wait_log(&missing);
    service.wait_log("no file matches yet");
    service.stop();
    broker.create_topic(&missing, 1, &[]);
    let service = fixture.host.start();
    let mut reader = Reader::new(broker, &missing);
    caught_up(&fixture.oracle, &mut reader);
    service.stop();
    fixture.oracle.judge(reader.everything()).assert_clean();
}

fn q1_a_stop_by_sigint_and_a_second_signal_while_idle() {
    let fixture = Fixture::new("interrupt");
    let mut service = fixture.host.start();
    service.signal(Signal::INT);
    assert_eq!(service.wait().code(), Some(0));
    let mut service = fixture.host.start();
    service.signal(Signal::TERM);
    // Impatience is no failure; the process may be gone already.
    service.signal(Signal::TERM);
    assert_eq!(service.wait().code(), Some(0));
}

fn q2_a_second_service_on_the_same_state_directory_is_refused() {
    let fixture = Fixture::new("second");
    let service = fixture.host.start();
    let second = fixture.host.run(&["run"]);
    assert_eq!(second.code, Some(3), "{second:?}");
    assert!(second.stderr.contains("error: cannot "), "{second:?}");
    assert!(second.stderr.contains(&service.pid().to_string()), "{second:?}");
    assert!(second.stderr.contains("\nhelp: "), "{second:?}");
    fixture.log("logs/app.log").write(10);
    fixture.finish(service);
}

fn p5_a_state_directory_that_cannot_be_made_is_refused() {
    let host = Host::new("no-state");
    fs::write(host.path("file"), "").unwrap();
    assert_refused(&host, "/proc/logcatch");
    assert_refused(&host, &host.path("file").display().to_string());
}

fn p5_a_state_directory_that_cannot_be_written_is_refused() {
    let host = Host::new("read-only").with_permissions();
    let directory = host.path("read-only");
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(&directory, Permissions::from_mode(0o555)).unwrap();
    assert_refused(&host, &directory.display().to_string());
}

fn assert_refused(host: &Host, directory: &str) {
    host.settings(&format!(
        "[kafka]\nbrokers = [\"127.0.0.1:1\"]\ntopic = \"t\"\n[state]\ndirectory = \"{directory}\"\n[[logs]]\npath = \"*.log\"\n"
    ));
    let output = host.run(&["run"]);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stderr.starts_with("error: cannot "), "{output:?}");
    assert!(
        output.stderr.contains(directory) && output.stderr.contains("\nhelp: "),
        "{output:?}"
    );
}
