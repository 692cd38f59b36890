//! Lines that Kafka refuses for themselves: kept, listed, sent again; and the account of every byte.

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;

use rdkafka::mocking::MockCluster;
use serde_json::{Value, json};

use super::control;
use super::fixture::caught_up;
use crate::harness::case::cases;
use crate::harness::eventually::{eventually, when};
use crate::harness::kafka::{self, Broker};
use crate::harness::oracle::Oracle;
use crate::harness::reader::Reader;
use crate::harness::service::{Host, Output};
use crate::harness::writers::LogFile;

cases![
    k6_a_dead_letter_is_listed_and_sent_again_once_the_topic_takes_it,
    full_dead_letters_hold_back_their_file_until_the_limit_is_raised,
    a_resend_that_is_killed_loses_no_letter,
    a_resend_takes_only_what_is_meant_and_keeps_what_cannot_be_sent,
    a_resend_without_kafka_keeps_everything,
    a_list_needs_nothing_of_the_settings_but_the_state_directory,
];

/// A topic whose limit is below that of the client.
pub const SMALL: &[(&str, &str)] = &[("max.message.bytes", "20000")];

/// A line above that limit, whatever compresses it: the limit is on what arrives.
pub fn noise(seed: u64) -> String {
    (0..4000u64)
        .map(|n| format!("{:016x}", xxhash_rust::xxh3::xxh3_64_with_seed(&n.to_le_bytes(), seed)))
        .collect()
}

pub fn list(host: &Host) -> Vec<Value> {
    let output = host.run(&["dead-letters", "list", "--json"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    output
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

pub fn resend(host: &Host, arguments: &[&str]) -> Output {
    host.run(&[&["dead-letters", "resend"], arguments].concat())
}

/// The account that the service says of an entry when it ends: it must add up.
fn account(log: &str, entry: &str) -> HashMap<String, u64> {
    let is_account = |line: &&str| line.contains("account since") && line.contains(&format!("log={entry} "));
    let line = log.lines().find(is_account);
    let line = line.unwrap_or_else(|| panic!("no account of `{entry}` in:\n{log}"));
    let account: HashMap<String, u64> = line
        .split_whitespace()
        .filter_map(|word| word.split_once('='))
        .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
        .collect();
    let places = ["delivered", "skipped", "dead_lettered", "in_flight"];
    let sum: u64 = places.iter().map(|name| account[*name]).sum();
    assert_eq!(account["read"], sum, "{line}");
    account
}

fn k6_a_dead_letter_is_listed_and_sent_again_once_the_topic_takes_it() {
    let broker = kafka::shared();
    let topic = broker.topic_with("small", 4, SMALL);
    let host = Host::new("listed");
    host.ship_logs(broker, &topic, "name = \"app\"");
    let oracle = Arc::new(Oracle::default());
    let mut log = LogFile::open(&oracle, &host, "logs/app.log");
    let noise = noise(1);
    log.write(100);
    let offset = fs::metadata(log.path()).unwrap().len();
    log.write_raw(format!("{noise}\n").as_bytes());
    log.write(100);
    let service = host.start();
    let mut reader = Reader::new(broker, &topic);
    reader.until_count(200);
    service.wait_log("kept as a dead letter");
    assert_eq!(list(&host).len(), 1, "while the service runs");
    let account = account(&service.stop(), "app");
    let size = fs::metadata(log.path()).unwrap().len();
    assert_eq!(account["read"], size);
    assert_eq!(account["dead_lettered"], noise.len() as u64 + 1);
    assert_eq!(
        (account["in_flight"], account["unread"], account["delivered_lines"]),
        (0, 0, 200)
    );
    oracle.judge(reader.everything()).assert_clean();

    let path = log.path().display().to_string();
    let mut letter = list(&host).remove(0);
    assert_eq!(letter["line"].take(), json!(noise));
    assert_eq!(
        (&letter["key"], &letter["path"]),
        (&json!(host.key("logs/app.log")), &json!(path))
    );
    let row = host
        .run(&["dead-letters", "list", "--log", "app", "--path", "logs/app.log"])
        .stdout;
    for part in [
        path,
        offset.to_string(),
        topic.clone(),
        noise.len().to_string(),
        "MSG_SIZE_TOO_LARGE".into(),
    ] {
        assert!(row.contains(&part), "`{part}` is not in:\n{row}");
    }
    assert!(!row.contains(&noise[..100]), "lines only when asked for");
    assert_eq!(host.run(&["dead-letters", "list", "--log", "other"]).stdout, "");

    let refused = resend(&host, &[]);
    assert_eq!(
        (refused.code, refused.stdout.as_str()),
        (Some(1), "sent 0, refused again 1, left 1\n")
    );
    assert!(refused.stderr.contains(&topic), "{refused:?}");
    assert_eq!(list(&host).len(), 1);

    broker.alter_topic(&topic, &[]);
    let sent = eventually("the broker takes the line", || {
        let sent = resend(&host, &[]);
        if sent.code == Some(0) {
            Ok(sent)
        } else {
            Err(format!("{sent:?}"))
        }
    });
    assert_eq!(sent.stdout, "sent 1, refused again 0, left 0\n");
    assert_eq!(list(&host), Vec::<Value>::new());
    let partition = reader.records()[0].partition;
    let records = reader.everything();
    let again: Vec<_> = records.iter().filter(|record| record.text() == noise).collect();
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].key.as_deref(), Some(host.key("logs/app.log").as_bytes()));
    assert_eq!(again[0].partition, partition);
    assert_eq!(resend(&host, &[]).stdout, "sent 0, refused again 0, left 0\n");

    let service = host.start();
    log.write(10);
    reader.until_count(211);
    service.stop();
    assert_eq!(reader.everything().len(), 211, "nothing came twice");
}

fn full_dead_letters_hold_back_their_file_until_the_limit_is_raised() {
    /// Lines behind those that nobody keeps.
    const BEHIND: usize = 2000;
    let broker = kafka::shared();
    let topic = broker.topic_with("full", 4, SMALL);
    let host = Host::new("full");
    let settings = |limit: &str| {
        host.settings(&format!(
            "{}dead_letters = \"{limit}\"\n[[logs]]\nname = \"app\"\npath = \"logs/*.log\"\n",
            host.head(&broker.address(), &topic)
        ));
    };
    settings("100kB");
    let oracle = Arc::new(Oracle::default());
    let mut log = LogFile::open(&oracle, &host, "logs/app.log");
    for seed in 0..3 {
        log.write(10);
        log.write_raw(format!("{}\n", noise(seed)).as_bytes());
    }
    let service = host.start();
    service.wait_log("cannot keep dead letters");
    // Its file waits, and others do not.
    log.write(BEHIND);
    let mut reader = Reader::new(broker, &topic);
    let mut other = LogFile::open(&oracle, &host, "logs/other.log");
    let line = other.lines(1, "");
    other.write_raw(format!("{line}\n").as_bytes());
    reader.until("the line of another log", |records| {
        records.iter().any(|record| record.text() == line)
    });
    eventually("the status says why it waits", || {
        let row = control::row(&host, log.path());
        let is_blocked = row["state"] == "blocked" && row["reason"] == "dead-letters-full";
        when(is_blocked, || row.to_string())
    });
    assert_eq!(list(&host).len(), 1, "there is room for one of three");
    // A crash now: the position has not passed the lines that nobody keeps.
    service.kill();
    let service = host.start();
    service.wait_log("cannot keep dead letters");
    settings("100MB");
    service.wait_log("dead letters can be kept again");
    eventually("all three are kept", || {
        let count = list(&host).len();
        when(count >= 3, || format!("{count}"))
    });
    log.write(10);
    caught_up(&oracle, &mut reader);
    let account = account(&service.stop(), "app");
    assert_eq!((account["in_flight"], account["unread"]), (0, 0));
    let kept: Vec<Value> = list(&host).iter().map(|letter| letter["line"].clone()).collect();
    for seed in 0..3 {
        assert!(kept.contains(&json!(noise(seed))), "noise {seed} is kept");
    }
    // What was read with those that nobody kept, and nothing that was written behind it; and the line of the other log.
    oracle.judge(reader.everything()).assert_only_duplicates(31);
}

/// Letters as the service writes them, in two files, of lines that the oracle knows.
pub fn letters(host: &Host, oracle: &Arc<Oracle>, topic: &str, logs: &[&str], count: usize) {
    let directory = host.path("state/dead-letters");
    fs::create_dir_all(&directory).unwrap();
    let files: Vec<LogFile> = logs
        .iter()
        .map(|log| LogFile::open(oracle, host, &format!("logs/{log}.log")))
        .collect();
    for number in 1..=2 {
        let mut text = String::new();
        for _ in 0..count / 2 {
            for (file, log) in files.iter().zip(logs) {
                let letter = json!({
                    "time": "2026-01-01T00:00:00.000Z", "log": log, "path": file.path(), "file_id": "f", "offset": 1,
                    "topic": topic, "key": host.key(format!("logs/{log}.log")), "reason": "refused", "line": file.lines(1, ""),
                });
                text += &format!("{letter}\n");
            }
        }
        // A crash may have torn the last one.
        text += "{\"time\": \"2026-";
        fs::write(directory.join(format!("letters-{number:08}.jsonl")), text).unwrap();
    }
}

fn a_resend_that_is_killed_loses_no_letter() {
    let broker = kafka::shared();
    let topic = broker.topic("killed", 4);
    let host = Host::new("killed");
    host.ship_logs(broker, &topic, "");
    let oracle = Arc::new(Oracle::default());
    letters(&host, &oracle, &topic, &["a", "b"], 10_000);
    let mut reader = Reader::new(broker, &topic);
    let mut kills = 0;
    for count in [1, 3_000, 12_000] {
        let mut child = host.command(&["dead-letters", "resend"]).spawn().unwrap();
        reader.until_count(reader.records().len().max(count));
        kills += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(kills > 0, "each had ended before it was killed");
    let output = resend(&host, &[]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(list(&host), Vec::<Value>::new());
    let written = oracle.written();
    oracle.judge(reader.everything()).assert_only_duplicates(4 * written);
}

fn a_resend_takes_only_what_is_meant_and_keeps_what_cannot_be_sent() {
    let broker: &Broker = kafka::shared();
    let (missing, other) = (kafka::unique("nowhere"), broker.topic("elsewhere", 4));
    let host = Host::new("meant");
    host.ship_logs(broker, &other, "");
    let (a, b) = (Arc::new(Oracle::default()), Arc::new(Oracle::default()));
    letters(&host, &a, &missing, &["a"], 10);
    let first = fs::read_to_string(host.path("state/dead-letters/letters-00000001.jsonl")).unwrap();
    letters(&host, &b, &missing, &["b"], 10);
    let whole = first.rsplit_once('\n').unwrap().0;
    fs::write(
        host.path("state/dead-letters/letters-00000000.jsonl"),
        format!("{whole}\nno letter\n"),
    )
    .unwrap();

    let held = resend(&host, &["--log", "b"]);
    assert_eq!(held.code, Some(1), "{held:?}");
    assert_eq!(held.stdout, "sent 0, refused again 0, left 11\n");
    assert!(
        held.stderr.contains("topic does not exist") && held.stderr.contains("no dead letters"),
        "{held:?}"
    );

    let path = host.path("logs/b.log").display().to_string();
    let sent = resend(&host, &["--path", &path, "--topic", &other, "--json"]);
    let said: Value = serde_json::from_str(&sent.stdout).unwrap();
    assert_eq!(
        (&said["sent"], &said["left"], &said["unreadable"]),
        (&json!(10), &json!(1), &json!(1))
    );
    let mut reader = Reader::new(broker, &other);
    b.judge(reader.everything()).assert_clean();
    assert!(list(&host).iter().all(|letter| letter["log"] == "a"));
    assert_eq!(list(&host).len(), 5);
    let kept = fs::read_to_string(host.path("state/dead-letters/letters-00000000.jsonl")).unwrap();
    assert!(kept.contains("no letter\n"), "what cannot be read is not thrown away");
}

fn a_resend_without_kafka_keeps_everything() {
    let cluster = MockCluster::new(1).unwrap();
    let host = Host::new("away");
    host.settings(&format!(
        "{}[[logs]]\npath = \"logs/*.log\"\n",
        host.head(&cluster.bootstrap_servers(), "t")
    ));
    drop(cluster);
    let oracle = Arc::new(Oracle::default());
    letters(&host, &oracle, "t", &["a"], 10);
    let output = resend(&host, &[]);
    assert_eq!(
        (output.code, output.stdout.as_str()),
        (Some(1), "sent 0, refused again 0, left 10\n")
    );
    assert!(output.stderr.contains("does not answer"), "{output:?}");
    assert!(
        output.stderr.contains("cannot send 10 dead letters again"),
        "{output:?}"
    );
    // What is named is not there, though others are.
    let nothing = resend(&host, &["--path", "/nope"]);
    assert_eq!(nothing.code, Some(1), "{nothing:?}");
    assert!(nothing.stderr.contains("no dead letter is as named"), "{nothing:?}");
    assert!(nothing.stderr.contains("10 are kept, of `"), "{nothing:?}");
    let shown = host.run(&["dead-letters", "list", "--log", "nope"]);
    assert!(
        shown.stderr.contains("no dead letters as named; 10 are kept"),
        "{shown:?}"
    );
    assert_eq!(resend(&host, &["--topic", "a/b"]).code, Some(2));
    assert_eq!(list(&host).len(), 10);
}

fn a_list_needs_nothing_of_the_settings_but_the_state_directory() {
    let host = Host::new("invalid");
    let oracle = Arc::new(Oracle::default());
    letters(&host, &oracle, "t", &["a"], 10);
    host.settings(&format!(
        "[kafka]\nbrokers = \"${{UNSET}}\"\n[state]\ndirectory = \"{}\"\n",
        host.path("state").display()
    ));
    assert_eq!(list(&host).len(), 10);
    assert_eq!(resend(&host, &[]).code, Some(78));
    fs::remove_file(host.settings_path()).unwrap();
    let state = host.path("state").display().to_string();
    let named = host.run(&["dead-letters", "list", "--json", "--state", &state]);
    assert_eq!((named.code, named.stdout.lines().count()), (Some(0), 10), "{named:?}");
}
