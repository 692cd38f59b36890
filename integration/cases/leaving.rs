//! Entries that are removed while lines of their files wait for a topic that is gone.

use std::fs;
use std::path::Path;

use super::control;
use super::topics::{append, leave_lines};
use crate::harness::case::cases;
use crate::harness::eventually::{eventually, when};
use crate::harness::kafka::{self, Broker};
use crate::harness::reader::{Reader, texts};
use crate::harness::service::{Host, Service};

cases![
    c1_an_entry_removed_while_its_topic_is_gone_comes_back_with_another_and_ships_each_line_once,
    c1_an_entry_removed_while_its_topic_is_gone_comes_back_with_another_with_exactly_once,
    c1_an_entry_that_gets_another_name_and_topic_while_its_topic_is_gone_ships_each_line_once,
    c1_an_entry_removed_while_its_topic_is_deleted_under_load_loses_nothing,
    c1_an_entry_removed_while_its_topic_is_deleted_under_load_loses_nothing_with_exactly_once,
    c1_what_an_entry_that_is_gone_left_for_a_topic_that_is_gone_holds_up_no_stop,
    c1_lines_of_an_entry_that_is_gone_wait_for_their_topic_where_nothing_else_has_them,
    an_entry_that_comes_back_while_its_lines_wait_is_said_to_wait_and_goes_on,
];

const GIVEN_BACK: &str = "lines that waited for a topic are given back";

/// Removes all entries but one that has no files.
fn remove(host: &Host, broker: &Broker, topic: &str) {
    host.settings(&(host.head(&broker.address(), topic) + &control::entry(host, "other", "")));
    control::ok(host, &["reload"]);
}

/// What of the file is not acknowledged.
fn unacknowledged(host: &Host, path: &Path) -> Vec<String> {
    let position = control::row(host, path)["position"].as_u64().unwrap();
    let text = fs::read_to_string(path).unwrap();
    let text = &text[usize::try_from(position).unwrap()..];
    text.lines().map(str::to_owned).collect()
}

/// The entry is removed, and all that it left is given back.
fn leave(host: &Host, broker: &Broker, service: &Service, topic: &str) {
    remove(host, broker, topic);
    service.wait_log(GIVEN_BACK);
    let status = control::json(host, &["status"]);
    assert_eq!(status["kafka"]["in_flight_bytes"], 0, "{status}");
}

fn comes_back(host: &Host) {
    let broker = kafka::shared();
    let [before, after] = ["before", "after"].map(|name| broker.topic(name, 1));
    let service = leave_lines(host, broker, &before);
    let path = host.path("logs/x.log");
    let mut lines = unacknowledged(host, &path);
    leave(host, broker, &service, &after);
    append(host, "logs/x.log", "meanwhile\n");
    host.ship_logs(broker, &after, "");
    control::ok(host, &["reload"]);
    append(host, "logs/x.log", "next\n");
    lines.extend(["meanwhile", "next"].map(str::to_owned));
    let mut reader = Reader::new(broker, &after);
    reader.until_count(lines.len());
    let log = service.stop();
    assert!(log.contains("drained: everything"), "{log}");
    assert!(!log.contains("the file waits until"), "{log}");
    assert_eq!(texts(reader.everything()), lines);
}

fn c1_an_entry_removed_while_its_topic_is_gone_comes_back_with_another_and_ships_each_line_once() {
    comes_back(&Host::new("gives-back"));
}

fn c1_an_entry_removed_while_its_topic_is_gone_comes_back_with_another_with_exactly_once() {
    let mut host = Host::new("gives-back-once");
    host.exactly_once(&kafka::unique("gives-back"));
    comes_back(&host);
}

fn c1_an_entry_that_gets_another_name_and_topic_while_its_topic_is_gone_ships_each_line_once() {
    let broker = kafka::shared();
    let host = Host::new("renamed-and-given-back");
    let [before, after] = ["before", "after"].map(|name| broker.topic(name, 1));
    let service = leave_lines(&host, broker, &before);
    let mut lines = unacknowledged(&host, &host.path("logs/x.log"));
    host.settings(&(host.head(&broker.address(), &after) + "[[logs]]\nname = \"renamed\"\npath = \"logs/*.log\"\n"));
    control::ok(&host, &["reload"]);
    append(&host, "logs/x.log", "next\n");
    lines.push("next".to_owned());
    let mut reader = Reader::new(broker, &after);
    reader.until_count(lines.len());
    let log = service.stop();
    assert!(log.contains(GIVEN_BACK), "{log}");
    assert!(log.contains("drained: everything"), "{log}");
    assert_eq!(texts(reader.everything()), lines);
}

/// The topic is deleted in full flow: some requests are acknowledged in part, others come back, and more waits.
fn comes_back_under_load(host: &Host) {
    let broker = kafka::shared();
    let [before, after] = ["before", "after"].map(|name| broker.topic(name, 1));
    host.ship_logs(broker, &before, "");
    let path = host.path("logs/x.log");
    let mut number = 0;
    let mut more = || {
        let lines: String = (number..number + 500).map(|n| format!("line {n}\n")).collect();
        number += 500;
        append(host, "logs/x.log", &lines);
    };
    more();
    let service = host.start();
    Reader::new(broker, &before).until_count(1);
    for _ in 0..20 {
        more();
    }
    broker.delete_topic(&before);
    eventually("lines wait for the topic", || {
        let row = control::row(host, &path);
        let is_left = row["in_flight_bytes"].as_u64() > Some(0) && row["reason"] == "topic-missing";
        if !is_left {
            more();
        }
        when(is_left, || row.to_string())
    });
    let lines = unacknowledged(host, &path);
    leave(host, broker, &service, &after);
    host.ship_logs(broker, &after, "");
    control::ok(host, &["reload"]);
    let mut reader = Reader::new(broker, &after);
    reader.until_count(lines.len());
    service.stop();
    assert!(texts(reader.everything()) == lines, "each line once, in order");
}

fn c1_an_entry_removed_while_its_topic_is_deleted_under_load_loses_nothing() {
    comes_back_under_load(&Host::new("gives-back-many"));
}

fn c1_an_entry_removed_while_its_topic_is_deleted_under_load_loses_nothing_with_exactly_once() {
    let mut host = Host::new("gives-back-many-once");
    host.exactly_once(&kafka::unique("gives-back-many"));
    comes_back_under_load(&host);
}

fn c1_what_an_entry_that_is_gone_left_for_a_topic_that_is_gone_holds_up_no_stop() {
    let broker = kafka::shared();
    let host = Host::new("leaves-and-stops");
    let [before, after] = ["before", "after"].map(|name| broker.topic(name, 1));
    let service = leave_lines(&host, broker, &before);
    let lines = unacknowledged(&host, &host.path("logs/x.log"));
    leave(&host, broker, &service, &after);
    let log = service.stop();
    assert!(log.contains("drained: everything"), "{log}");
    host.ship_logs(broker, &after, "");
    let service = host.start();
    let mut reader = Reader::new(broker, &after);
    reader.until_count(lines.len());
    service.stop();
    assert_eq!(texts(reader.everything()), lines);
}

/// The file is deleted: what was read of it is in memory only.
fn c1_lines_of_an_entry_that_is_gone_wait_for_their_topic_where_nothing_else_has_them() {
    let broker = kafka::shared();
    let host = Host::new("nowhere-else");
    let before = broker.topic("before", 1);
    let service = leave_lines(&host, broker, &before);
    let path = host.path("logs/x.log");
    let lines = unacknowledged(&host, &path);
    fs::remove_file(&path).unwrap();
    remove(&host, broker, &before);
    service.wait_log("lines that cannot be read again wait for their topic");
    broker.create_topic(&before, 1, &[]);
    let mut reader = Reader::new(broker, &before);
    reader.until_count(lines.len());
    let log = service.stop();
    assert!(!log.contains(GIVEN_BACK), "{log}");
    assert_eq!(texts(reader.everything()), lines);
}

/// A topic that only fails for a while gets what was read for it, also of an entry that is gone by then.
fn an_entry_that_comes_back_while_its_lines_wait_is_said_to_wait_and_goes_on() {
    let broker = kafka::shared();
    let host = Host::new("comes-back");
    let after = broker.topic("after", 1);
    let before = broker.topic_with("before", 1, &[("message.timestamp.before.max.ms", "1")]);
    host.ship_logs(broker, &before, "");
    append(&host, "logs/x.log", "left\n");
    let service = host.start();
    control::wait_watched(&host, 1);
    let path = host.path("logs/x.log");
    eventually("lines wait for the topic", || {
        let row = control::row(&host, &path);
        let is_left = row["in_flight_bytes"].as_u64() > Some(0);
        when(is_left && row["reason"] == "clock-wrong", || row.to_string())
    });
    remove(&host, broker, &after);
    host.ship_logs(broker, &after, "");
    control::ok(&host, &["reload"]);
    append(&host, "logs/x.log", "next\n");
    service.wait_log("the file waits until what was read of it before is acknowledged");
    broker.alter_topic(&before, &[]);
    Reader::new(broker, &after).until("the file goes on", |records| {
        records.iter().any(|record| record.text() == "next")
    });
    let log = service.stop();
    let said = log.matches("the file waits until").count();
    assert_eq!(said, 1, "{log}");
    assert!(!log.contains(GIVEN_BACK), "{log}");
    let all = Reader::new(broker, &before).everything().len() + Reader::new(broker, &after).everything().len();
    assert_eq!(
        all,
        fs::read_to_string(&path).unwrap().lines().count(),
        "each line once"
    );
}
