//! What a reload changes of an entry that goes on, and what changes nothing because one part of it is refused.

use std::collections::BTreeSet;
use std::fs;

use super::control::{fails, json, ok};
use super::fixture::Fixture;
use crate::harness::case::cases;
use crate::harness::kafka;
use crate::harness::service::HOST;

cases![
    c1_a_changed_key_takes_what_follows_and_nothing_is_read_again,
    c2_settings_that_kafkas_client_refuses_change_nothing_at_all,
    rust_log_wins_over_the_level_of_the_settings,
];

fn c1_a_changed_key_takes_what_follows_and_nothing_is_read_again() {
    let mut fixture = Fixture::new("key");
    let mut log = fixture.log("logs/app.log");
    log.write(100);
    let service = fixture.host.start();
    fixture.caught_up();
    let other = format!("{HOST}:other");
    fixture
        .host
        .ship_logs(kafka::shared(), &fixture.topic, "key = \"{host}:other\"");
    ok(&fixture.host, &["reload"]);
    log.write(100);
    let records = fixture.reader.until_count(200);
    let keys: Vec<&[u8]> = records.iter().filter_map(|record| record.key.as_deref()).collect();
    assert_eq!(keys.iter().filter(|key| **key == other.as_bytes()).count(), 100);
    service.stop();
    let texts: BTreeSet<String> = fixture.reader.everything().iter().map(|record| record.text()).collect();
    assert_eq!(
        (texts.len(), fixture.reader.everything().len()),
        (200, 200),
        "each line once"
    );
}

/// What no schema knows, librdkafka refuses, some of it only when a producer is made: the last stage at which settings can fail.
fn c2_settings_that_kafkas_client_refuses_change_nothing_at_all() {
    let mut fixture = Fixture::with("refused-late", "name = \"app\"");
    let mut log = fixture.log("logs/app.log");
    log.write(10);
    let service = fixture.host.start();
    fixture.caught_up();
    let good = fs::read_to_string(fixture.host.settings_path()).unwrap();
    fs::create_dir(fixture.host.path("two")).unwrap();
    let mut two = fixture.log("two/app.log");
    two.write(10);
    let entry = "[[logs]]\nname = \"two\"\npath = \"two/*.log\"\n";
    for property in [
        "linger.ms = \"soon\"",
        "no.such.property = \"1\"",
        "ssl.ca.location = \"/no/such/file\"",
        // Only a producer that is made of both finds that they do not go together.
        "reconnect.backoff.max.ms = 100\nreconnect.backoff.ms = 5000",
    ] {
        let bad = good.replace("name = \"app\"", "name = \"app\"\nmax_line = \"1KiB\"");
        let bad = format!("{bad}{entry}[limits]\nin_flight = \"4MiB\"\n[kafka.properties]\n{property}\n");
        let bad = bad.replace("ssl.ca", "security.protocol = \"SSL\"\nssl.ca");
        fixture.host.settings(&bad);
        let said = fails(&fixture.host, &["reload"], 78);
        let name = property.split(' ').next().unwrap();
        assert!(said.contains(name), "{said}");
        let report = json(&fixture.host, &["status"]);
        assert_eq!(report["files"].as_array().unwrap().len(), 1, "{report}");
        log.write(10);
        // All but what is in the other directory.
        fixture.reader.until_count(fixture.oracle.written() - 10);
    }
    fails(&fixture.host, &["status", "two"], 1);
    fixture.host.settings(&(good + entry));
    ok(&fixture.host, &["reload"]);
    fixture.finish(service);
}

fn rust_log_wins_over_the_level_of_the_settings() {
    let mut fixture = Fixture::with("rust-log", "[log]\nlevel = \"error\"");
    fixture.log("logs/app.log").write(1);
    fixture.host = fixture.host.with_value("RUST_LOG", "warn,logcatch_actors=info");
    let service = fixture.host.start();
    fixture.caught_up();
    let log = service.log();
    assert!(
        log.contains("watcher started") && !log.contains("logcatch starts"),
        "{log}"
    );
    fixture.finish(service);
}
