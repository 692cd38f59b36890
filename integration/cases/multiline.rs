//! Lines that are one record.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;

use super::fixture::Fixture;
use crate::harness::case::{cases, skip};
use crate::harness::guard;
use crate::harness::reader::texts;
use crate::harness::writers::installed;

cases![
    m1_groups_are_joined_and_an_open_one_ships_after_its_timeout,
    m1_an_open_group_is_not_lost_at_a_stop,
    m1_the_stack_traces_of_a_java_program_are_one_record_each,
    m1_the_tracebacks_of_a_python_program_are_one_record_each,
    m1_the_panic_of_a_go_program_is_one_record,
    m1_a_recorded_panic_is_one_record_and_an_object_in_json,
    m2_a_group_that_spans_a_restart_is_one_record_and_no_part_is_repeated,
    groups_of_which_no_line_matches_are_skipped_whole,
    preview_shows_groups_and_the_last_one_too,
];

fn append(path: &Path, text: &str) {
    use std::io::Write;
    let mut file = File::options().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn m1_groups_are_joined_and_an_open_one_ships_after_its_timeout() {
    let mut fixture = Fixture::with("groups", "multiline = { start = '^\\d' }\nheaders = true");
    let path = fixture.host.path("logs/app.log");
    append(&path, " leading\n1 one\r\n a\n\n2 two\n3 three\n b\n");
    let service = fixture.host.start();
    fixture.reader.until_count(4);
    append(&path, " late\n");
    fixture.reader.until_count(5);
    let told = service.stop();
    let records = fixture.reader.everything();
    let expected = [" leading", "1 one\r\n a\n", "2 two", "3 three\n b", " late"];
    assert_eq!(texts(records), expected);
    let offsets: Vec<_> = records
        .iter()
        .map(|record| record.header("log.offset").unwrap())
        .collect();
    assert_eq!(offsets, ["0", "9", "20", "26", "37"]);
    let account = told
        .lines()
        .find(|line| line.contains("account since the start"))
        .unwrap();
    for part in ["read=43", "delivered=43", "skipped=0", "in_flight=0"] {
        assert!(account.contains(part), "{part} in {account}");
    }
}

/// It stays unread, as a line without its end does: the next start reads it from its first byte.
fn m1_an_open_group_is_not_lost_at_a_stop() {
    let mut fixture = Fixture::with("open-group", "multiline = { start = '^\\d', timeout = \"1h\" }");
    append(&fixture.host.path("logs/app.log"), "1 one\n2 two\n a\n");
    let service = fixture.host.start();
    fixture.reader.until_count(1);
    service.stop();
    let settings = fs::read_to_string(fixture.host.settings_path()).unwrap();
    fixture.host.settings(&settings.replace("1h", "10ms"));
    let service = fixture.host.start();
    fixture.reader.until_count(2);
    service.stop();
    assert_eq!(texts(fixture.reader.everything()), ["1 one", "2 two\n a"]);
}

fn m2_a_group_that_spans_a_restart_is_one_record_and_no_part_is_repeated() {
    let mut fixture = Fixture::with("group-restart", "multiline = { continues = '^\\s', timeout = \"1h\" }");
    let path = fixture.host.path("logs/app.log");
    append(&path, "one\ntwo\n a\n");
    for round in 0..3 {
        let service = fixture.host.start();
        fixture.reader.until_count(1 + 2 * round);
        append(&path, " b\n c");
        service.stop();
        append(&path, "c\n");
        let service = fixture.host.start();
        append(&path, " d\nthree\nfour\n");
        fixture.reader.until_count(3 + 2 * round);
        service.stop();
    }
    let texts = texts(fixture.reader.everything());
    assert_eq!(texts[..3], ["one", "two\n a\n b\n cc\n d", "three"]);
    assert_eq!(texts[3..5], ["four\n b\n cc\n d", "three"]);
    assert_eq!(texts[5..], ["four\n b\n cc\n d", "three"]);
}

/// What a program writes to stderr becomes records of which only those with a trace have several lines.
fn traces_of(program: &[&str], language: &str, first_lines: &[&str]) {
    if !installed(program[0]) {
        skip(&format!("{} is not installed", program[0]));
    }
    let mut fixture = Fixture::with(&format!("traces-{language}"), &format!("multiline = \"{language}\""));
    let path = fixture.host.path("logs/app.log");
    let mut command = guard::command(program[0]);
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/traces");
    command
        .args(&program[1..])
        .current_dir(sources)
        .env("GOTRACEBACK", "all");
    command
        .env("GOCACHE", fixture.host.path("go-cache"))
        .env("GOFLAGS", "-buildvcs=false");
    command.stdout(Stdio::null()).stderr(File::create(&path).unwrap());
    // Before the service starts: a slow machine must not make it wait too long for a line.
    command.status().unwrap();
    let service = fixture.host.start();
    fixture.reader.until_count(first_lines.len());
    service.stop();
    let texts = texts(fixture.reader.everything());
    assert_eq!(
        texts.join("\n") + "\n",
        fs::read_to_string(&path).unwrap(),
        "every byte, once, in order"
    );
    let found: Vec<&str> = texts
        .iter()
        .map(|text| text.lines().next().unwrap_or_default())
        .collect();
    assert_eq!(found, first_lines);
}

fn m1_the_stack_traces_of_a_java_program_are_one_record_each() {
    let failed = |round: u32| format!("java.lang.IllegalStateException: round {round} failed");
    let end = "Exception in thread \"main\" java.lang.UnsupportedOperationException: the end";
    let lines = ["10:00:00 INFO ready", &failed(1), &failed(2), "10:00:01 INFO done", end];
    traces_of(&["java", "Traces.java"], "java", &lines);
}

fn m1_the_tracebacks_of_a_python_program_are_one_record_each() {
    let (trace, log) = ("Traceback (most recent call last):", "ERROR:root:something happened");
    let lines = [
        "INFO ready",
        log,
        trace,
        log,
        trace,
        "ERROR:root:something else happened",
        trace,
        "INFO done",
        "ERROR:root:too deep",
        trace,
        trace,
    ];
    traces_of(&["python3", "traces.py"], "python", &lines);
}

fn m1_the_panic_of_a_go_program_is_one_record() {
    let lines = [
        "2026/11/26 10:00:00 ready",
        "2026/11/26 10:00:01 recovered true",
        "panic: assignment to entry in nil map [recovered]",
    ];
    traces_of(&["go", "run", "traces.go"], "go", &lines);
}

fn m1_a_recorded_panic_is_one_record_and_an_object_in_json() {
    let mut fixture = Fixture::with("panic-json", "multiline = \"go\"\nformat = \"json\"");
    let text = include_str!("../traces/go.txt");
    append(&fixture.host.path("logs/app.log"), text);
    let service = fixture.host.start();
    fixture.reader.until_count(3);
    service.stop();
    let message = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap()["message"].clone();
    let messages: Vec<_> = texts(fixture.reader.everything()).into_iter().map(message).collect();
    let panic = text.splitn(3, '\n').nth(2).unwrap().trim_end();
    assert_eq!(messages[2], panic);
}

fn groups_of_which_no_line_matches_are_skipped_whole() {
    let mut fixture = Fixture::with(
        "group-filter",
        "multiline = { start = '^\\d' }\ninclude_lines = 'cause'",
    );
    append(&fixture.host.path("logs/app.log"), "1\n a\n2\n cause\n3\n");
    let service = fixture.host.start();
    fixture.reader.until_count(1);
    append(&fixture.host.path("logs/app.log"), "4 cause\n5\n");
    fixture.reader.until_count(2);
    service.stop();
    assert_eq!(texts(fixture.reader.everything()), ["2\n cause", "4 cause"]);
}

fn preview_shows_groups_and_the_last_one_too() {
    let fixture = Fixture::with("group-preview", "multiline = { start = '^\\d', timeout = \"1h\" }");
    let path = fixture.host.path("logs/app.log");
    append(&path, "1\n a\n2\n b\n");
    let output = fixture.host.run(&["preview", "--json", path.to_str().unwrap()]);
    let value = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["value"].clone();
    assert_eq!(output.stdout.lines().map(value).collect::<Vec<_>>(), ["1\n a", "2\n b"]);
}
