//! What `status` says of files, and why they wait.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use super::control::{entry, json, ok, row};
use super::fixture::Fixture;
use crate::harness::case::cases;
use crate::harness::eventually::{eventually, when};
use crate::harness::kafka;
use crate::harness::reader::Reader;
use crate::harness::service::Host;
use crate::harness::writers::LogFile;

cases![
    status_of_an_idle_file_and_of_one_whose_topic_is_missing,
    status_while_kafka_is_away_and_after,
    status_of_a_file_without_rights_and_of_what_is_no_file,
    status_of_a_file_whose_dead_letters_are_full,
    status_of_a_new_file_whose_store_is_gone_and_the_stop_claims_nothing,
];

fn assert_caught_up(row: &Value) {
    assert_eq!(row["lag_bytes"], 0, "{row}");
    assert_eq!(row["lag_seconds"], 0.0, "{row}");
    assert_eq!(row["position"], row["size"], "{row}");
}

/// Waits for a state and a reason of a file; gives its row.
pub fn wait_state(host: &Host, path: &Path, state: &str, reason: Option<&str>) -> Value {
    eventually(&format!("{} is {state}, {reason:?}", path.display()), || {
        let row = row(host, path);
        let is_so = row["state"] == state && row["reason"].as_str() == reason;
        when(is_so, || row.to_string()).map(|()| row)
    })
}

fn status_of_an_idle_file_and_of_one_whose_topic_is_missing() {
    let mut fixture = Fixture::new("status");
    let broker = kafka::shared();
    let missing = kafka::unique("missing");
    let host = &fixture.host;
    let held = entry(host, "held", &format!("topic = \"{missing}\""));
    let nobody = entry(host, "nobody", "");
    host.settings(&format!(
        "{}[[logs]]\npath = \"logs/*.log\"\n{held}{nobody}",
        host.head(&broker.address(), &fixture.topic)
    ));
    let mut log = fixture.log("logs/app.log");
    log.write(1000);
    let held = host.path("held/held.log");
    fs::write(&held, "one\ntwo\n").unwrap();
    let service = host.start();
    fixture.caught_up();

    let host = &fixture.host;
    let idle = wait_state(host, log.path(), "idle", None);
    assert_caught_up(&idle);
    assert_eq!(idle["size"], fs::metadata(log.path()).unwrap().len());
    assert_eq!(idle["topic"], *fixture.topic);
    assert_eq!(idle["restarts"], 0);
    assert_eq!(idle["generations"], 1);

    let blocked = wait_state(host, &held, "blocked", Some("topic-missing"));
    assert!(blocked["detail"].as_str().unwrap().contains(&missing), "{blocked}");
    assert_eq!(blocked["lag_bytes"], 8);
    assert!(blocked["lag_seconds"].as_f64().unwrap() > 0.0, "{blocked}");

    let report = json(host, &["status"]);
    assert_eq!(report["pid"], service.pid());
    assert_eq!(report["kafka"]["up"], true);
    assert!(report["kafka"]["last_ack_seconds"].is_number(), "{report}");
    assert_eq!(report["settings"]["unmatched"], serde_json::json!(["nobody"]));
    assert!(report["settings"]["applied_at"].as_u64().unwrap() > 1_700_000_000);
    let text = ok(host, &["status"]);
    let mut lines = text.lines();
    let verdict = lines.next().unwrap();
    assert!(
        verdict.starts_with("partly shipping: 1 of 2 files up to date"),
        "{text}"
    );
    assert!(verdict.ends_with("; 1 blocked"), "{text}");
    assert!(text.contains("no file matches entry `nobody`"), "{text}");
    let worst = text.lines().find(|line| line.contains(".log")).unwrap();
    assert!(
        worst.starts_with("blocked") && worst.contains("topic-missing"),
        "{text}"
    );
    let only = ok(host, &["status", "held"]);
    assert!(only.contains("held.log") && !only.contains("app.log"), "{only}");

    broker.create_topic(&missing, 1, &[]);
    Reader::new(broker, &missing).until_count(2);
    assert_caught_up(&wait_state(host, &held, "idle", None));
    // A line without its end is no fault.
    fs::write(&held, "one\ntwo\nthr").unwrap();
    let rest = wait_state(host, &held, "idle", Some("unfinished-line"));
    assert_eq!(rest["lag_bytes"], 3, "{rest}");
    service.stop();
}

fn status_while_kafka_is_away_and_after() {
    let broker = kafka::private("status-away");
    let mut fixture = Fixture::on(&broker, "status-away", "");
    let mut log = fixture.log("logs/app.log");
    log.write(100);
    let service = fixture.host.start();
    fixture.caught_up();
    wait_state(&fixture.host, log.path(), "idle", None);
    let shipped = fs::metadata(log.path()).unwrap().len();
    broker.kill();
    log.write(100);
    let row = wait_state(&fixture.host, log.path(), "waiting", Some("kafka-away"));
    assert_eq!(row["position"], shipped, "{row}");
    // More is seen though nothing can be read.
    log.write(100_000);
    let size = fs::metadata(log.path()).unwrap().len();
    let row = eventually("all of the file is seen", || {
        let row = row_of(&fixture, &log);
        when(row["size"] == size, || row.to_string()).map(|()| row)
    });
    assert_eq!(row["lag_bytes"], size - shipped, "{row}");
    assert!(row["lag_seconds"].as_f64().unwrap() > 0.0, "{row}");
    let text = ok(&fixture.host, &["status"]);
    assert!(text.starts_with("waiting for Kafka: "), "{text}");
    assert!(text.contains("\nKafka is away for "), "{text}");
    broker.start_again();
    fixture.caught_up();
    assert_caught_up(&wait_state(&fixture.host, log.path(), "idle", None));
    assert_eq!(json(&fixture.host, &["status"])["kafka"]["up"], true);
    fixture.finish(service);
}

fn row_of(fixture: &Fixture, log: &LogFile) -> Value {
    row(&fixture.host, log.path())
}

fn status_of_a_file_without_rights_and_of_what_is_no_file() {
    let mut fixture = Fixture::new("status-rights");
    fixture.host = fixture.host.with_permissions();
    let mut log = fixture.log("logs/app.log");
    log.write(10);
    fs::set_permissions(log.path(), Permissions::from_mode(0o000)).unwrap();
    let service = fixture.host.start();
    let row = wait_state(&fixture.host, log.path(), "blocked", Some("permission"));
    assert_eq!(row["lag_bytes"], fs::metadata(log.path()).unwrap().len(), "{row}");
    assert!(row["detail"].as_str().unwrap().contains("ermission"), "{row}");
    assert!(row["lag_seconds"].as_f64().unwrap() > 0.0, "{row}");
    // The account has what was never read, too.
    let said = service.stop();
    let unread = format!(" unread={}", fs::metadata(log.path()).unwrap().len());
    let is_account = |line: &str| line.contains("account since the start") && line.contains(&unread);
    assert!(said.lines().any(is_account), "{said}");
    let service = fixture.host.start();
    wait_state(&fixture.host, log.path(), "blocked", Some("permission"));
    fs::set_permissions(log.path(), Permissions::from_mode(0o644)).unwrap();
    fixture.caught_up();
    wait_state(&fixture.host, log.path(), "idle", None);

    fs::remove_file(log.path()).unwrap();
    fs::create_dir(log.path()).unwrap();
    wait_state(&fixture.host, log.path(), "blocked", Some("not-a-file"));
    fs::remove_dir(log.path()).unwrap();
    fixture.finish(service);
}

fn status_of_a_file_whose_dead_letters_are_full() {
    let broker = kafka::shared();
    let topic = broker.topic_with("letters-full", 1, &[("max.message.bytes", "20000")]);
    let host = Host::new("letters-full");
    let settings = |limit: &str| {
        format!(
            "{}dead_letters = \"{limit}\"\n[[logs]]\npath = \"logs/*.log\"\n",
            host.head(&broker.address(), &topic)
        )
    };
    host.settings(&settings("64KiB"));
    // Nothing that compresses: the limit is on what arrives.
    let noise: String = (0..5000u32)
        .map(|n| format!("{:016x}", xxhash_rust::xxh3::xxh3_64(&n.to_le_bytes())))
        .collect();
    let path = host.path("logs/app.log");
    fs::write(&path, format!("one\n{noise}\ntwo\n")).unwrap();
    let service = host.start();
    let row = wait_state(&host, &path, "blocked", Some("dead-letters-full"));
    assert!(row["position"].as_u64().unwrap() < 5, "{row}");
    host.settings(&settings("1MiB"));
    ok(&host, &["reload"]);
    assert_caught_up(&wait_state(&host, &path, "idle", None));
    assert!(ok(&host, &["status"]).contains("1 line kept as dead letters"));
    service.stop();
}

/// The store is moved away while it is open, as a removed state directory takes it.
fn status_of_a_new_file_whose_store_is_gone_and_the_stop_claims_nothing() {
    let mut fixture = Fixture::new("store-gone");
    let (store, away) = (
        fixture.host.path("state/positions.redb"),
        fixture.host.path("state/away"),
    );
    let mut old = fixture.log("logs/old.log");
    old.write(10);
    let service = fixture.host.start();
    fixture.caught_up();
    wait_state(&fixture.host, old.path(), "idle", None);
    fs::rename(&store, &away).unwrap();
    let mut new = fixture.log("logs/new.log");
    new.write(10);
    let name = new.path().display().to_string();
    let row = eventually("the new file waits for its position", || {
        let report = json(&fixture.host, &["status"]);
        let rows = report["files"].as_array().unwrap();
        let row = rows
            .iter()
            .find(|row| row["path"] == *name)
            .cloned()
            .unwrap_or_default();
        when(row["reason"] == "positions-not-saved", || row.to_string()).map(|()| row)
    });
    assert_eq!(row["state"], "blocked", "{row}");
    assert_eq!(row["lag_bytes"], fs::metadata(new.path()).unwrap().len(), "{row}");
    assert!(row["lag_seconds"].as_f64().unwrap() > 0.0, "{row}");
    service.wait_log("it was removed or replaced");
    let text = ok(&fixture.host, &["status"]);
    assert!(text.starts_with("partly shipping: 1 of 2 files up to date"), "{text}");
    // Back in its place it is used again.
    fs::rename(&away, &store).unwrap();
    fixture.caught_up();
    wait_state(&fixture.host, new.path(), "idle", None);
    service.wait_log("positions are saved again");
    // Nothing is left to be saved, and what was is gone.
    fs::remove_file(&store).unwrap();
    let log = service.stop();
    assert!(log.contains("the last positions could not be saved"), "{log}");
    assert!(!log.contains("repeats nothing"), "{log}");
}
