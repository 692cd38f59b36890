//! What the service grew out of did: three logs, one of 16 partitions for each, acknowledged by all replicas.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, sleep};
use std::time::Duration;

use super::fixture::{Fixture, caught_up};
use crate::harness::case::{cases, skip};
use crate::harness::kafka::{self, Broker};
use crate::harness::oracle::Oracle;
use crate::harness::reader::{Reader, Record};
use crate::harness::service::{self, Host};
use crate::harness::{guard, writers};

cases![
    the_seeds_demo_with_its_own_settings_file,
    the_seeds_demo_with_settings_of_today,
    kcat_sees_what_the_reader_sees,
    a_real_log_of_this_machine_arrives_unchanged,
];

const LOGS: [&str; 3] = ["logdir1", "logdir2", "logdir3"];

/// Its writer: so many lines, each flushed by itself, then the log is renamed to the time; the next run makes it anew.
const RUNS: u32 = 2;
const LINES: usize = 20;
const BETWEEN_LINES: Duration = Duration::from_millis(100);

fn write(oracle: &Oracle, dir: &Path, name: &str) {
    let name = Arc::from(name);
    for run in 1..=RUNS {
        let path = dir.join("log.txt");
        let mut file = File::options().create(true).append(true).open(&path).unwrap();
        for _ in 0..LINES {
            let line = format!("{}\n", oracle.next(&name, run));
            file.write_all(line.as_bytes()).unwrap();
            sleep(BETWEEN_LINES);
        }
        drop(file);
        fs::rename(path, dir.join(format!("2026090315040{run}.txt"))).unwrap();
    }
}

/// Runs the three writers beside the service and gives what arrived.
fn demo(host: &Host, broker: &Broker, topic: &str) -> Vec<Record> {
    let oracle = Oracle::default();
    for log in LOGS {
        fs::create_dir_all(host.path(log)).unwrap();
        oracle.key(log, log);
    }
    let mut reader = Reader::new(broker, topic);
    let service = host.start();
    thread::scope(|scope| {
        for log in LOGS {
            let (dir, oracle) = (host.path(log), &oracle);
            scope.spawn(move || write(oracle, &dir, log));
        }
    });
    caught_up(&oracle, &mut reader);
    service.stop();
    let records = reader.everything().to_vec();
    oracle.judge(&records).assert_clean();
    records
}

fn the_seeds_demo_with_its_own_settings_file() {
    let broker = kafka::shared();
    broker.create_topic("logcatchsys", 16, &[]);
    let host = Host::new("seed").with_settings_file("config.yaml");
    let logs = LOGS
        .map(|log| format!("  - logtopic: {log}\n    logpath: ./{log}/log.txt\n"))
        .concat();
    host.settings(&format!(
        "collectlogs:\n{logs}kafkaconfig:\n  kafkaaddr: {}\n",
        broker.address()
    ));
    // Its form has no state directory: the service manager's is taken.
    let host = host.with_env("STATE_DIRECTORY", "state");
    let records = demo(&host, broker, "logcatchsys");

    let expected: BTreeSet<String> = records.iter().map(|r| format!("{}\t{}", key(r), r.text())).collect();
    let count = records.len().to_string();
    let printed = broker.tool(
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
        &[
            "--bootstrap-server",
            &broker.address(),
            "--topic",
            "logcatchsys",
            "--from-beginning",
            "--max-messages",
            &count,
            "--formatter-property",
            "print.key=true",
        ],
    );
    let printed: Vec<&str> = printed.lines().collect();
    assert_eq!(
        printed.len(),
        records.len(),
        "Kafka's own consumer sees every record once"
    );
    assert_eq!(
        printed.iter().map(|line| (*line).to_owned()).collect::<BTreeSet<_>>(),
        expected
    );
}

fn the_seeds_demo_with_settings_of_today() {
    let broker = kafka::shared();
    let topic = broker.topic("logcatchsys", 16);
    let host = Host::new("seed-today");
    let logs = LOGS
        .map(|log| format!("[[logs]]\nname = \"{log}\"\npath = \"{log}/log.txt\"\nkey = \"{{name}}\"\n"))
        .concat();
    host.settings(&(host.head(&broker.address(), &topic) + &logs));
    demo(&host, broker, &topic);
}

fn kcat_sees_what_the_reader_sees() {
    if !writers::installed("kcat") {
        skip("kcat is not installed");
    }
    let mut fixture = Fixture::new("kcat");
    fixture.log("logs/a.log").write(50);
    fixture.log("logs/b.log").write(50);
    let service = fixture.host.start();
    fixture.caught_up();
    service.stop();
    let mut kcat = guard::command("kcat");
    let address = kafka::shared().address();
    kcat.args([
        "-C",
        "-q",
        "-e",
        "-b",
        &address,
        "-t",
        &fixture.topic,
        "-f",
        "%k\t%p\t%o\t%s\n",
    ]);
    let printed = service::finish(kcat).stdout;
    let mut printed: Vec<&str> = printed.lines().collect();
    let line = |r: &Record| format!("{}\t{}\t{}\t{}", key(r), r.partition, r.offset, r.text());
    let mut expected: Vec<String> = fixture.reader.everything().iter().map(line).collect();
    printed.sort_unstable();
    expected.sort_unstable();
    assert_eq!(printed, expected);
}

fn key(record: &Record) -> String {
    String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned()
}

fn a_real_log_of_this_machine_arrives_unchanged() {
    let logs = [
        "/var/log/dpkg.log",
        "/var/log/apt/history.log",
        "/var/log/syslog",
        "/var/log/messages",
        "/var/log/pacman.log",
    ];
    let Some((path, bytes)) = logs.into_iter().find_map(|path| {
        let bytes = fs::read(path).ok()?;
        bytes.contains(&b'\n').then_some((path, bytes))
    }) else {
        skip("none of the usual logs is here and can be read");
    };
    let broker = kafka::shared();
    let topic = broker.topic("real", 16);
    let host = Host::new("real");
    host.settings(&format!(
        "{}[[logs]]\npath = \"{path}\"\n",
        host.head(&broker.address(), &topic)
    ));
    let service = host.start();
    let mut expected: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
    // What follows the last line end is no line yet.
    expected.pop();
    let mut reader = Reader::new(broker, &topic);
    reader.until_count(expected.len());
    service.stop();
    // The log may have grown meanwhile.
    let records = &reader.everything()[..expected.len()];
    for (record, line) in records.iter().zip(expected) {
        assert_eq!(record.value.as_deref(), Some(line.strip_suffix(b"\r").unwrap_or(line)));
        assert_eq!(record.key.as_deref(), Some(host.key(path).as_bytes()));
    }
}
