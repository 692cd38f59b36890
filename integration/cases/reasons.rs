//! The words by which `status` says why a file waits, each with the real trouble behind it, and without it afterwards.

use std::thread::sleep;
use std::time::Duration;

use rdkafka::mocking::MockCluster;
use serde_json::Value;

use super::control::{json, ok};
use super::fixture::Fixture;
use super::load::SmallDisk;
use super::status::wait_state;
use super::supervision::Faults;
use crate::harness::case::cases;
use crate::harness::eventually::{eventually, when};
use crate::harness::kafka;
use crate::harness::reader::Reader;
use crate::harness::service::Host;
use crate::harness::writers::{Background, LogFile};

cases![
    topic_forbidden_is_said_while_rights_are_missing,
    handle_limit_is_said_of_files_that_wait_for_their_turn,
    topic_share_is_said_of_files_whose_topic_holds_its_share,
    positions_not_saved_is_said_of_new_files_on_a_full_disk,
    failed_is_said_with_the_error_while_a_watcher_rests,
];

/// Waits until a file is in this state for this reason; gives its row.
fn wait_any(host: &Host, state: &str, reason: &str) -> Value {
    eventually(&format!("a file is {state}: {reason}"), || {
        let report = json(host, &["status"]);
        let mut rows = report["files"].as_array().unwrap().iter();
        let found = rows.find(|row| row["state"] == state && row["reason"] == reason);
        found.cloned().ok_or_else(|| report["files"].to_string())
    })
}

/// Waits until no file waits for anything.
fn wait_idle(host: &Host) {
    eventually("every file is idle", || {
        let report = json(host, &["status"]);
        let mut rows = report["files"].as_array().unwrap().iter();
        when(rows.all(|row| row["state"] == "idle"), || report["files"].to_string())
    });
}

fn topic_forbidden_is_said_while_rights_are_missing() {
    let broker = kafka::private_with_rights("forbidden");
    let mut fixture = Fixture::on(&broker, "forbidden", "");
    let topic = fixture.topic.clone();
    let allow = |operations: &[&str]| {
        let operations = operations.iter().flat_map(|operation| ["--operation", operation]);
        let words = ["--add", "--allow-principal", "User:ANONYMOUS", "--topic", &topic];
        broker.acl(&words.into_iter().chain(operations).collect::<Vec<_>>());
    };
    // With rules for it, what no rule allows is forbidden.
    allow(&["Read", "Describe"]);
    let mut log = fixture.log("logs/app.log");
    log.write(100);
    let service = fixture.host.start();
    let row = wait_state(&fixture.host, log.path(), "blocked", Some("topic-forbidden"));
    assert!(row["detail"].as_str().unwrap().contains(&topic), "{row}");
    let text = ok(&fixture.host, &["status"]);
    assert!(
        text.contains("; 1 blocked") && text.contains("topic-forbidden"),
        "{text}"
    );
    allow(&["Write"]);
    fixture.caught_up();
    wait_state(&fixture.host, log.path(), "idle", None);
    fixture.finish(service);
}

fn failed_is_said_with_the_error_while_a_watcher_rests() {
    let (mut fixture, faults) = Faults::on(Fixture::new("failed"));
    let mut ill = fixture.log("logs/ill.log");
    ill.write(10);
    faults.begin("error-ill.log");
    let service = fixture.host.start();
    let row = wait_state(&fixture.host, ill.path(), "failed", Some("watcher-failed"));
    assert!(row["detail"].as_str().unwrap().contains("a test wanted it"), "{row}");
    let text = ok(&fixture.host, &["status"]);
    assert!(text.contains("failed") && text.contains("a test wanted it"), "{text}");
    faults.end("error-ill.log");
    fixture.caught_up();
    let row = wait_state(&fixture.host, ill.path(), "idle", None);
    assert!(row["restarts"].as_u64().unwrap() >= 1, "{row}");
    fixture.finish(service);
}

fn positions_not_saved_is_said_of_new_files_on_a_full_disk() {
    let mut fixture = Fixture::new("not-saved");
    let disk = SmallDisk::mount(fixture.host.path("state"), "8m");
    fixture.host = disk.seen_by(fixture.host);
    let mut known = fixture.log("logs/known.log");
    known.write(100);
    let service = fixture.host.start();
    fixture.caught_up();
    disk.fill();
    let mut logs: Vec<LogFile> = (0..500).map(|n| fixture.log(&format!("logs/{n}.log"))).collect();
    logs.iter_mut().for_each(|log| log.write(3));
    let row = wait_any(&fixture.host, "blocked", "positions-not-saved");
    assert_eq!(row["position"], 0, "{row}");
    let report = json(&fixture.host, &["status"]);
    assert_eq!(report["positions"]["failing"], true, "{}", report["positions"]);
    // The file whose position is known ships meanwhile.
    known.write(100);
    let name = "logs/known.log";
    fixture.reader.until("what is appended to the known file", |records| {
        records.iter().filter(|record| record.text().contains(name)).count() >= 200
    });
    disk.free();
    fixture.caught_up();
    wait_idle(&fixture.host);
    fixture.finish(service);
}

fn handle_limit_is_said_of_files_that_wait_for_their_turn() {
    let broker = kafka::private("turns");
    let mut fixture = Fixture::on(&broker, "turns", "[limits]\nopen_files = 16");
    let mut logs: Vec<LogFile> = (0..60).map(|n| fixture.log(&format!("logs/{n}.log"))).collect();
    logs.iter_mut().for_each(|log| log.write(1));
    let service = fixture.host.start();
    fixture.caught_up();
    let writer = Background::repeat(logs, |logs| {
        for log in logs.iter_mut() {
            log.write(200);
        }
        sleep(Duration::from_millis(20));
    });
    wait_any(&fixture.host, "waiting", "handle-limit");
    drop(writer.stop());
    fixture.caught_up();
    wait_idle(&fixture.host);
    fixture.finish(service);
}

/// Each answer takes two seconds: the topic is well, and what is on its way holds all that one topic may.
fn topic_share_is_said_of_files_whose_topic_holds_its_share() {
    let cluster = MockCluster::new(1).unwrap();
    let topic = kafka::unique("share");
    cluster.create_topic(&topic, 4, 1).unwrap();
    let address = cluster.bootstrap_servers();
    let host = Host::new("share");
    host.settings(&format!(
        "{}[limits]\nin_flight = \"1MiB\"\n[[logs]]\npath = \"logs/*.log\"\nmax_line = \"64KiB\"\n",
        host.head(&address, &topic)
    ));
    let mut fixture = Fixture {
        reader: Reader::with(kafka::client(&address), &topic),
        host,
        topic,
        oracle: std::sync::Arc::default(),
    };
    let mut logs: Vec<LogFile> = (0..12).map(|n| fixture.log(&format!("logs/{n}.log"))).collect();
    cluster.broker_round_trip_time(1, Duration::from_secs(2)).unwrap();
    logs.iter_mut().for_each(|log| log.write(4_000));
    let service = fixture.host.start();
    let row = wait_any(&fixture.host, "waiting", "topic-share");
    assert!(row["lag_bytes"].as_u64().unwrap() > 0, "{row}");
    cluster.broker_round_trip_time(1, Duration::ZERO).unwrap();
    fixture.caught_up();
    wait_idle(&fixture.host);
    fixture.finish(service);
}
