//! Entries under another name, in pieces, in another order: positions go with the files.

use std::os::unix::fs::symlink;

use super::control::{json, ok, row};
use super::fixture::Fixture;
use crate::harness::case::cases;
use crate::harness::eventually::{eventually, when};
use crate::harness::kafka;
use crate::harness::reader::Reader;
use crate::harness::service::Host;
use crate::harness::writers::LogFile;

cases![
    c1_a_new_name_takes_over_and_nothing_is_read_again_or_passed_over,
    c1_names_that_changed_while_the_service_was_down_take_over_as_well,
    c1_what_is_on_its_way_under_the_old_name_settles_before_the_new_one_begins,
    c1_a_new_name_is_applied_though_some_of_its_files_wait_for_the_old_one,
    c1_files_that_several_entries_match_are_told,
];

/// What the service says of settings that changed something.
const APPLIED: &str = "settings are applied";

fn entry(name: &str, paths: &str, more: &str) -> String {
    let name = if name.is_empty() {
        String::new()
    } else {
        format!("name = \"{name}\"\n")
    };
    format!("[[logs]]\n{name}path = {paths}\n{more}\n")
}

/// Ways to say that both logs ship, each of which gives some file another entry than the one before.
fn ways() -> Vec<String> {
    const ALL: &str = "\"logs/*.log\"";
    const X: &str = "\"logs/x*.log\"";
    const Y: &str = "\"logs/y*.log\"";
    vec![
        entry("a", ALL, ""),
        // Renamed.
        entry("b", ALL, ""),
        // Renamed, and files that nobody knows would start at their end.
        entry("c", ALL, "start = \"end\""),
        // Split.
        entry("c", X, "") + &entry("d", Y, ""),
        // Exchanged.
        entry("d", X, "") + &entry("c", Y, ""),
        // A pattern goes to another entry.
        entry("d", "[\"logs/x*.log\", \"logs/y*.log\"]", ""),
        // Without names, of which each file has the first that means it.
        entry("", ALL, "") + &entry("", X, ""),
        // In another order.
        entry("", X, "") + &entry("", ALL, ""),
        // Without the first one.
        entry("", ALL, ""),
        // The first path is the name.
        entry("", "\"logs/[xy]*.log\"", ""),
    ]
}

impl Fixture {
    fn entries(&self, entries: &str) {
        let head = self.host.head(&kafka::shared().address(), &self.topic);
        self.host.settings(&(head + entries));
    }
}

fn write(logs: &mut [LogFile], count: usize) {
    logs.iter_mut().for_each(|log| log.write(count));
}

fn c1_a_new_name_takes_over_and_nothing_is_read_again_or_passed_over() {
    let mut fixture = Fixture::new("names");
    let ways = ways();
    fixture.entries(&ways[0]);
    let mut logs = ["logs/x.log", "logs/y.log"].map(|name| fixture.log(name));
    write(&mut logs, 100);
    let service = fixture.host.start();
    fixture.caught_up();
    for (count, way) in ways.iter().enumerate().skip(1) {
        // Some of them are on their way when the settings change.
        write(&mut logs, 2000);
        fixture.entries(way);
        service.wait_log_count(APPLIED, count);
        // Only who has taken over ships these, after what it would read again.
        write(&mut logs, 10);
        fixture.caught_up();
    }
    fixture.finish(service);
}

fn c1_names_that_changed_while_the_service_was_down_take_over_as_well() {
    let mut fixture = Fixture::new("names-down");
    let ways = ways();
    fixture.entries(&ways[0]);
    let mut logs = ["logs/x.log", "logs/y.log"].map(|name| fixture.log(name));
    let mut service = fixture.host.start();
    for way in &ways[1..] {
        write(&mut logs, 50);
        fixture.caught_up();
        service.stop();
        fixture.entries(way);
        write(&mut logs, 10);
        service = fixture.host.start();
        fixture.caught_up();
    }
    // A generation that nobody has read yet goes with its path.
    service.stop();
    logs[0].write(50);
    drop(logs[0].rename_to(&fixture.host.path("logs/x.log.1")));
    logs[0].write(50);
    fixture.entries(&ways[0]);
    let service = fixture.host.start();
    fixture.finish(service);
}

fn c1_what_is_on_its_way_under_the_old_name_settles_before_the_new_one_begins() {
    let broker = kafka::private("names-away");
    // Less than the lines take: some are on their way, the rest is unread.
    const LITTLE: &str = "max_line = \"64KiB\"\n[limits]\nin_flight = \"1MiB\"\n";
    let entry = |name: &str, more: &str| format!("name = \"{name}\"\n{more}{LITTLE}");
    let mut fixture = Fixture::on(&broker, "names-away", &entry("a", ""));
    let mut log = fixture.log("logs/app.log");
    log.write(100);
    let service = fixture.host.start();
    fixture.caught_up();
    broker.pause();
    log.write(20_000);
    eventually("it has handed over what it may", || {
        let row = row(&fixture.host, log.path());
        when(row["in_flight_bytes"].as_u64() > Some(100_000), || row.to_string())
    });
    let renamed = entry("b", "start = \"end\"\n");
    fixture.host.ship_logs(&broker, &fixture.topic, &renamed);
    service.wait_log(APPLIED);
    log.write(100);
    broker.resume();
    fixture.finish(service);
}

/// Else files that come while the service is down would count as there when the entry was first applied.
fn c1_a_new_name_is_applied_though_some_of_its_files_wait_for_the_old_one() {
    const LITTLE: &str = "[limits]\nshutdown_timeout = \"100ms\"\n";
    let broker = kafka::private("names-applied");
    let mut fixture = Fixture::on(&broker, "names-applied", &format!("name = \"a\"\n{LITTLE}"));
    let [mut waits, mut rests] = ["logs/waits.log", "logs/rests.log"].map(|name| fixture.log(name));
    rests.write(10);
    let service = fixture.host.start();
    fixture.caught_up();
    broker.pause();
    waits.write(1000);
    eventually("lines are on their way", || {
        let row = row(&fixture.host, waits.path());
        when(row["in_flight_bytes"].as_u64() > Some(0), || row.to_string())
    });
    let renamed = format!("name = \"b\"\nstart = \"end\"\n{LITTLE}");
    fixture.host.ship_logs(&broker, &fixture.topic, &renamed);
    eventually("the file that rests is taken over", || {
        // For a moment it has no row.
        let report = json(&fixture.host, &["status"]);
        let is_it = |row: &serde_json::Value| row["path"] == rests.path().display().to_string() && row["log"] == "b";
        let row = report["files"].as_array().unwrap().iter().find(|row| is_it(row));
        when(row.is_some_and(|row| row["state"] == "idle"), || report.to_string())
    });
    service.stop();
    fixture.log("logs/born.log").write(10);
    let service = fixture.host.start();
    broker.resume();
    fixture.caught_up();
    service.stop();
}

fn c1_files_that_several_entries_match_are_told() {
    let mut fixture = Fixture::new("overlaps");
    symlink("x.log", fixture.host.path("logs/link")).unwrap();
    let unnamed = entry("", "\"logs/*.log\"", "") + &entry("", "\"logs/link\"", "");
    fixture.entries(&unnamed);
    let mut logs = ["logs/x.log", "logs/y.log"].map(|name| fixture.log(name));
    write(&mut logs, 10);
    let service = fixture.host.start();
    fixture.caught_up();
    let remark = |host: &Host| {
        eventually("what several entries match is told", || {
            let notes = json(host, &["status"])["notes"].clone();
            when(notes[0].is_string(), || notes.to_string()).map(|()| notes[0].as_str().unwrap().to_owned())
        })
    };
    let path = |name: &str| fixture.host.path(name).display().to_string();
    let (all, link) = (path("logs/*.log"), path("logs/link"));
    let told = remark(&fixture.host);
    assert_eq!(
        told,
        format!("`{link}` is matched by `{all}`, `{link}`: it ships once, by `{all}`")
    );
    assert!(
        service
            .log()
            .contains(&format!("several entries match the same files: {told}"))
    );
    let text = ok(&fixture.host, &["status"]);
    assert!(text.contains(&told), "{text}");
    // Under a name of its own it ships once more.
    let topic = kafka::shared().topic("overlaps-named", 1);
    let mut reader = Reader::new(kafka::shared(), &topic);
    let named = entry("z", "\"logs/*.log\"", &format!("topic = \"{topic}\"\n"));
    fixture.entries(&(unnamed + &named));
    reader.until_count(20);
    let told = remark(&fixture.host);
    assert!(told.contains("ships 2 times, once for each name"), "{told}");
    fixture.entries(&entry("", "\"logs/*.log\"", ""));
    eventually("nothing is told any more", || {
        let report = json(&fixture.host, &["status"]);
        when(report["notes"].is_null(), || report["notes"].to_string())
    });
    fixture.finish(service);
}
