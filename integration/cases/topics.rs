//! Topics and keys that follow from the path.

use std::cell::Cell;
use std::fs;

use super::control;
use crate::harness::case::cases;
use crate::harness::eventually::{eventually, when};
use crate::harness::kafka::{self, Broker};
use crate::harness::reader::{Reader, texts};
use crate::harness::service::{HOST, Host, Service};

cases![
    topics_and_keys_follow_from_the_path_and_an_illegal_topic_blocks_its_own_file_alone,
    a_changed_template_moves_what_follows_and_reads_nothing_again,
    files_whose_key_becomes_the_same_are_in_one_partition_from_then_on,
    a_topic_that_is_changed_while_lines_wait_for_the_one_before_is_said_and_bounded,
];

pub fn append(host: &Host, name: &str, text: &str) {
    use std::io::Write;
    let path = host.path(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = fs::File::options().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn row(host: &Host, part: &str) -> serde_json::Value {
    let status = host.run(&["status", "--json"]).stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap_or_default();
    let rows = status["files"].as_array().cloned().unwrap_or_default();
    let is_it = |row: &serde_json::Value| row["path"].as_str().unwrap_or_default().contains(part);
    rows.into_iter().find(is_it).unwrap_or_default()
}

fn topics_and_keys_follow_from_the_path_and_an_illegal_topic_blocks_its_own_file_alone() {
    let broker = kafka::shared();
    let host = Host::new("templates");
    let prefix = kafka::unique("by-path");
    let [web, app] = ["web", "app"].map(|name| format!("{prefix}-{name}.{HOST}"));
    [&web, &app].iter().for_each(|topic| broker.create_topic(topic, 2, &[]));
    let entry = "name = \"n\"\npath = \"logs/*/*.log\"\nkey = \"{name}/{1}/{2}/{file}\"\n";
    let settings = |topic: &str| {
        format!(
            "{}[[logs]]\n{entry}topic = \"{topic}\"\n",
            host.head(&broker.address(), "unused")
        )
    };
    host.settings(&settings(&format!("{prefix}-{{1}}.{{host}}")));
    append(&host, "logs/web/a.log", "web a\n");
    append(&host, "logs/app/b.log", "app b\n");
    append(&host, "logs/not good/c.log", "not good c\n");
    let service = host.start();
    service.wait_log("no topic for this path, it waits");
    for (topic, text, key) in [(&web, "web a", "n/web/a/a.log"), (&app, "app b", "n/app/b/b.log")] {
        let mut reader = Reader::new(broker, topic);
        let records = reader.until_count(1);
        assert_eq!(texts(records), [text]);
        assert_eq!(records[0].key.as_deref(), Some(key.as_bytes()));
    }
    eventually("the status says which file has no topic", || {
        let row = row(&host, "not good");
        let is = row["state"] == "blocked" && row["reason"] == "topic-illegal" && row["lag_bytes"] == 11;
        when(is, || row.to_string())
    });
    let check = host.run(&["check", "--broker"]);
    assert_eq!(check.code, Some(0), "{check:?}");
    assert!(
        check.stdout.contains("cannot ship `") && check.stdout.contains("not good/c.log`"),
        "{check:?}"
    );
    assert!(
        check.stdout.contains(&format!("topic `{web}`: 2 partitions")),
        "{check:?}"
    );

    // Others come and go on beside it, and it ships when the settings give it a topic.
    append(&host, "logs/web/d.log", "web d\n");
    Reader::new(broker, &web).until_count(2);
    host.settings(&settings(&app));
    let mut reader = Reader::new(broker, &app);
    reader.until("the blocked file", |records| {
        texts(records).contains(&"not good c".to_owned())
    });
    service.stop();
    assert_eq!(reader.everything().len(), 2, "nothing was read again");
    assert_eq!(Reader::new(broker, &web).everything().len(), 2);
}

fn a_changed_template_moves_what_follows_and_reads_nothing_again() {
    let broker = kafka::shared();
    let host = Host::new("retemplated");
    let prefix = kafka::unique("moved");
    let [before, after] = ["a", "b"].map(|name| format!("{prefix}-{name}-x"));
    [&before, &after]
        .iter()
        .for_each(|topic| broker.create_topic(topic, 2, &[]));
    let settings = |middle: &str| {
        let head = host.head(&broker.address(), &format!("{prefix}-{middle}-{{1}}"));
        format!("{head}[[logs]]\npath = \"logs/*.log\"\n")
    };
    host.settings(&settings("a"));
    append(&host, "logs/x.log", "one\n");
    let service = host.start();
    Reader::new(broker, &before).until_count(1);
    host.settings(&settings("b"));
    service.wait_log("settings are applied");
    append(&host, "logs/x.log", "two\n");
    let mut reader = Reader::new(broker, &after);
    reader.until_count(1);
    service.stop();
    assert_eq!(texts(reader.everything()), ["two"]);
    assert_eq!(texts(Reader::new(broker, &before).everything()), ["one"]);

    // And across a restart.
    host.settings(&settings("a"));
    append(&host, "logs/x.log", "three\n");
    let service = host.start();
    let mut reader = Reader::new(broker, &before);
    reader.until_count(2);
    service.stop();
    assert_eq!(texts(reader.everything()).len(), 2);
    assert_eq!(Reader::new(broker, &after).everything().len(), 1);
}

fn files_whose_key_becomes_the_same_are_in_one_partition_from_then_on() {
    const FILES: usize = 12;
    let broker = kafka::shared();
    let host = Host::new("rekeyed");
    let topic = broker.topic("rekeyed", 4);
    let settings = |key: &str| host.ship_logs(broker, &topic, &format!("key = \"{key}\""));
    let write = |text: &str| (0..FILES).for_each(|n| append(&host, &format!("logs/{n}.log"), &format!("{text}\n")));
    let mut reader = Reader::new(broker, &topic);
    let mut partitions = |text: &str, times: usize| {
        reader.until_count(times * FILES);
        let records = reader.records().iter().filter(|record| record.text() == text);
        let partitions: Vec<_> = records.map(|record| record.partition).collect();
        assert_eq!(partitions.len(), FILES, "of `{text}`");
        partitions.into_iter().collect::<std::collections::BTreeSet<_>>()
    };
    settings("{file}");
    write("one");
    let service = host.start();
    assert!(partitions("one", 1).len() > 1, "they have keys of their own");
    settings("same");
    service.wait_log("settings are applied");
    write("two");
    let two = partitions("two", 2);
    assert_eq!(two.len(), 1, "same key, same partition: {two:?}");
    service.stop();
    let service = host.start();
    write("three");
    assert_eq!(partitions("three", 3), two);
    service.stop();
    assert_eq!(reader.everything().len(), 3 * FILES);
}

/// A service with lines of `logs/x.log` on their way to a topic that is gone.
pub fn leave_lines(host: &Host, broker: &Broker, topic: &str) -> Service {
    host.ship_logs(broker, topic, "");
    append(host, "logs/x.log", "first\n");
    let service = host.start();
    Reader::new(broker, topic).until_count(1);
    broker.delete_topic(topic);
    let path = host.path("logs/x.log");
    let mut left = 0;
    eventually("lines wait for the topic", || {
        let row = control::row(host, &path);
        let is_left = row["in_flight_bytes"].as_u64() > Some(0);
        if !is_left {
            left += 1;
            append(host, "logs/x.log", &format!("left {left}\n"));
        }
        when(is_left && row["reason"] == "topic-missing", || row.to_string())
    });
    service
}

/// Lines that were read for a topic stay for it. Those that follow do not pass them for ever: memory, and what would be
/// repeated after a restart, are bounded.
fn a_topic_that_is_changed_while_lines_wait_for_the_one_before_is_said_and_bounded() {
    /// Batches of a line each; more than may pass.
    const MANY: usize = 1000;
    /// New lines go to the new topic at first.
    const SOME: usize = 10;
    let broker = kafka::shared();
    let host = Host::new("left-behind");
    let [before, after] = ["before", "after"].map(|name| broker.topic(name, 1));
    let service = leave_lines(&host, broker, &before);
    let path = host.path("logs/x.log");
    host.ship_logs(broker, &after, "");
    service.wait_log("lines of the file wait for the topic that it had before");
    let mut reader = Reader::new(broker, &after);
    let mut passed = 0;
    loop {
        assert!(passed < MANY, "all pass");
        append(&host, "logs/x.log", &format!("passes {passed}\n"));
        passed += 1;
        // Either it ships, or the service says what it waits for.
        let last = format!("passes {}", passed - 1);
        let is_held = Cell::new(false);
        reader.until("the line, or a reason", |records| {
            if records.iter().any(|record| record.text() == last) {
                return true;
            }
            let row = control::row(&host, &path);
            is_held.set(passed > SOME && row["state"] == "blocked" && row["reason"] == "topic-missing");
            is_held.get()
        });
        if is_held.get() {
            break;
        }
    }
    broker.create_topic(&before, 1, &[]);
    reader.until("the file goes on", |records| {
        records
            .iter()
            .any(|record| record.text() == format!("passes {}", passed - 1))
    });
    service.stop();
    let left = Reader::new(broker, &before).everything().len();
    assert!(left > 0, "what was read for the topic is in it");
    let mut lines = texts(reader.everything());
    lines.retain(|line| line.starts_with("passes"));
    assert_eq!(lines.len(), passed, "each once");
}
