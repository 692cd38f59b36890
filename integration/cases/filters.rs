//! Which lines ship, and how fast.

use std::fs;
use std::fs::File;
use std::io::Write;

use serde_json::Value;

use super::fixture::Fixture;
use crate::harness::case::cases;
use crate::harness::eventually::{eventually, when};
use crate::harness::kafka;
use crate::harness::reader::texts;

cases![
    lines_that_do_not_ship_are_passed_and_counted,
    a_file_of_which_nothing_ships_still_moves_its_position,
    the_offsets_of_lines_that_ship_are_those_of_the_file,
    other_lines_ship_from_the_moment_the_settings_say_so,
    a_rate_limit_delays_and_loses_nothing,
];

/// The end of the account that the service gives at its stop.
fn account(told: &str) -> &str {
    told.lines()
        .find(|line| line.contains("account since the start"))
        .expect("an account")
}

fn lines_that_do_not_ship_are_passed_and_counted() {
    for format in ["raw", "json"] {
        let entry = format!("format = \"{format}\"\ninclude_lines = ['ERROR', '^WARN']\nexclude_lines = 'healthz'");
        let mut fixture = Fixture::with("filter", &entry);
        let path = fixture.host.path("logs/app.log");
        // 26 bytes that ship, 14 and 6 that do not.
        fs::write(&path, "an ERROR here\nINFO\r\nERROR healthz\nWARN it did\n").unwrap();
        let service = fixture.host.start();
        fixture.reader.until_count(2);
        fs::write(fixture.host.path("logs/end.log"), "ERROR end\n").unwrap();
        fixture.reader.until_count(3);
        let told = service.stop();
        let texts = texts(fixture.reader.everything());
        for (text, line) in texts.iter().zip(["an ERROR here", "WARN it did", "ERROR end"]) {
            assert!(
                if format == "raw" {
                    text == line
                } else {
                    text.contains(line)
                },
                "{text}"
            );
        }
        let account = account(&told);
        for part in ["read=56", "delivered=36", "skipped=20", "in_flight=0"] {
            assert!(account.contains(part), "{part} in {account}");
        }
    }
}

fn a_file_of_which_nothing_ships_still_moves_its_position() {
    let mut fixture = Fixture::with("all-skipped", "include_lines = 'never'");
    let path = fixture.host.path("logs/app.log");
    // More than one read.
    let line = "x".repeat(99) + "\n";
    fs::write(&path, line.repeat(10_000)).unwrap();
    let service = fixture.host.start();
    let position = || {
        let output = fixture.host.run(&["status", "--json"]);
        let status: Value = serde_json::from_str(&output.stdout).unwrap_or_default();
        status["files"][0]["position"].as_u64()
    };
    eventually("everything is passed", || {
        let position = position();
        when(position == Some(1_000_000), || format!("at {position:?}"))
    });
    let told = service.stop();
    assert!(account(&told).contains("read=1000000") && account(&told).contains("skipped=1000000"));
    // Nothing is looked at twice.
    let mut log = File::options().append(true).open(&path).unwrap();
    log.write_all(b"never\n").unwrap();
    let service = fixture.host.start();
    fixture.reader.until_count(1);
    let told = service.stop();
    assert!(
        account(&told).contains("read=6") && account(&told).contains("skipped=0"),
        "{told}"
    );
    assert_eq!(texts(fixture.reader.everything()), ["never"]);
}

fn the_offsets_of_lines_that_ship_are_those_of_the_file() {
    let mut fixture = Fixture::with(
        "filter-offsets",
        "headers = true\nexclude_lines = 'no'\nencoding = \"utf-16le\"",
    );
    let text: String = (0..2000)
        .map(|n| format!("{} {n}\n", if n % 50 == 7 { "yes" } else { "no" }))
        .collect();
    let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(fixture.host.path("logs/app.log"), &bytes).unwrap();
    let service = fixture.host.start();
    fixture.reader.until_count(40);
    service.stop();
    let records = fixture.reader.everything();
    assert_eq!(records.len(), 40);
    for record in records {
        let value = record.value.as_deref().unwrap();
        let offset: usize = record.header("log.offset").unwrap().parse().unwrap();
        assert_eq!(&bytes[offset..offset + value.len()], value);
        assert_eq!(&bytes[offset + value.len()..][..2], b"\n\0");
    }
}

fn other_lines_ship_from_the_moment_the_settings_say_so() {
    let mut fixture = Fixture::with("filter-live", "exclude_lines = 'debug'");
    let mut log = File::create(fixture.host.path("logs/app.log")).unwrap();
    log.write_all(b"debug 1\none\n").unwrap();
    let mut managed = fixture.host.start_managed(&[]);
    fixture.reader.until_count(1);
    let head = fixture.host.head(&kafka::shared().address(), &fixture.topic);
    fixture
        .host
        .settings(&format!("{head}[[logs]]\npath = \"logs/*.log\"\n"));
    managed.until_count("READY=1", 2);
    log.write_all(b"debug 2\n").unwrap();
    fixture.reader.until_count(2);
    managed.service.stop();
    assert_eq!(
        texts(fixture.reader.everything()),
        ["one", "debug 2"],
        "what was passed stays passed"
    );
}

fn a_rate_limit_delays_and_loses_nothing() {
    let mut fixture = Fixture::with("rate", "rate_limit = \"8KiB/s\"");
    let mut logs = ["a", "b", "c"].map(|name| fixture.log(&format!("logs/{name}.log")));
    logs.iter_mut().for_each(|log| log.write(1000));
    let mut managed = fixture.host.start_managed(&[]);
    eventually("status says why files wait", || {
        let output = fixture.host.run(&["status", "--json"]);
        when(output.stdout.contains("\"rate-limit\""), || output.stdout)
    });
    // Far more than the limit allows in this time: the most of it is still unread.
    let read = fixture.reader.everything().len();
    assert!(read < 2000, "{read} lines of 3000 were read without delay");
    let head = fixture.host.head(&kafka::shared().address(), &fixture.topic);
    fixture.host.settings(&format!(
        "{head}[[logs]]\npath = \"logs/*.log\"\nrate_limit = \"100MiB/s\"\n"
    ));
    managed.until_count("READY=1", 2);
    fixture.finish(managed.service);
}
