//! Logs as container runtimes write them.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::fixture::Fixture;
use crate::harness::case::cases;
use crate::harness::kafka;
use crate::harness::reader::texts;

cases![
    cri_lines_become_objects_of_the_program_and_kubelets_rotation_loses_nothing,
    a_part_that_waits_for_its_rest_across_restarts_repeats_nothing_of_the_other_stream,
    docker_logs_behind_links_ship_what_the_program_wrote,
    a_trace_in_a_container_is_one_record_whatever_the_other_stream_says,
    what_no_runtime_wrote_ships_as_it_is_and_is_said_once,
];

const TIME: &str = "2016-10-06T00:17:09.669794202Z";
const POD: &str = "pods/shop_web-1_0f7a-11/main";

/// The logs of pods on the shared broker.
fn fixture(name: &str, entry: &str) -> Fixture {
    let fixture = Fixture::with(name, "");
    let head = fixture.host.head(&kafka::shared().address(), &fixture.topic);
    fixture
        .host
        .settings(&format!("{head}[[logs]]\ninput = \"container\"\n{entry}\n"));
    fs::create_dir_all(fixture.host.path(POD)).unwrap();
    fixture
}

fn append(path: &Path, text: &str) {
    use std::io::Write;
    let mut file = File::options().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn cri(side: &str, tag: &str, text: &str) -> String {
    format!("{TIME} {side} {tag} {text}\n")
}

fn docker(side: &str, log: &str) -> String {
    serde_json::json!({"log": log, "stream": side, "time": TIME}).to_string() + "\n"
}

fn cri_lines_become_objects_of_the_program_and_kubelets_rotation_loses_nothing() {
    let mut fixture = fixture(
        "cri",
        "path = \"pods/*/*/*.log\"\nformat = \"json\"\nkey = \"{namespace}/{pod}/{container}\"\nfields = { app = \"{pod}\" }",
    );
    let log = fixture.host.path(POD).join("0.log");
    let number = |n: usize| cri("stdout", "F", &format!("line {n}"));
    let (first, middle) = (cri("stdout", "P", "long "), cri("stderr", "F", "oh \"no\""));
    append(&log, &format!("{first}{middle}{}", cri("stdout", "F", "line")));
    let service = fixture.host.start();
    fixture.reader.until_count(2);
    // As kubelet: the file is renamed, the one before it compressed.
    append(&log, &number(1));
    let rotated = |at: &str| fixture.host.path(POD).join(format!("0.log.{at}"));
    fs::rename(&log, rotated("20240101-000000")).unwrap();
    append(&log, &number(2));
    fixture.reader.until_count(4);
    let told = service.stop();
    append(&log, &number(3));
    let gzip = Command::new("gzip").arg(rotated("20240101-000000")).status();
    assert!(gzip.unwrap().success());
    fs::rename(&log, rotated("20240101-000100")).unwrap();
    append(&log, &number(4));
    let service = fixture.host.start();
    fixture.reader.until_count(6);
    service.stop();
    let account = told
        .lines()
        .find(|line| line.contains("account since the start"))
        .unwrap();
    let read = format!(
        "read={0}",
        first.len() + middle.len() + cri("stdout", "F", "line").len() + 2 * number(1).len()
    );
    assert!(
        account.contains(&read) && account.contains("in_flight=0"),
        "{read} in {account}"
    );
    let records = fixture.reader.everything();
    let objects: Vec<Value> = records
        .iter()
        .map(|record| serde_json::from_str(&record.text()).unwrap())
        .collect();
    let messages: Vec<&str> = objects
        .iter()
        .map(|object| object["message"].as_str().unwrap())
        .collect();
    assert_eq!(
        messages,
        ["oh \"no\"", "long line", "line 1", "line 2", "line 3", "line 4"]
    );
    assert_eq!(
        (&objects[0]["stream"], &objects[1]["stream"]),
        (&"stderr".into(), &"stdout".into())
    );
    let offsets = [&objects[0], &objects[1], &objects[2]].map(|object| object["log"]["offset"].as_u64().unwrap());
    assert_eq!(offsets[..2], [first.len() as u64, 0]);
    for (record, object) in records.iter().zip(&objects) {
        assert_eq!(object["@timestamp"], TIME);
        let kubernetes = serde_json::json!({
            "namespace": "shop", "pod": {"name": "web-1", "uid": "0f7a-11"}, "container": {"name": "main"},
        });
        assert_eq!(object["kubernetes"], kubernetes);
        assert_eq!(object["app"], "web-1");
        assert_eq!(record.key.as_deref(), Some(&b"shop/web-1/main"[..]));
    }
}

fn a_part_that_waits_for_its_rest_across_restarts_repeats_nothing_of_the_other_stream() {
    let mut fixture = fixture("part-restart", "path = \"pods/*/*/*.log\"\nkey = \"{path}\"");
    let log = fixture.host.path(POD).join("0.log");
    append(&log, &cri("stdout", "P", "a"));
    for round in 0..3 {
        append(&log, &cri("stderr", "F", &format!("x{round}")));
        let service = fixture.host.start();
        fixture.reader.until_count(1 + 2 * round);
        append(&log, &cri("stderr", "F", &format!("y{round}")));
        fixture.reader.until_count(2 + 2 * round);
        service.stop();
    }
    append(&log, &cri("stdout", "F", "b"));
    let service = fixture.host.start();
    fixture.reader.until_count(7);
    service.stop();
    assert_eq!(
        texts(fixture.reader.everything()),
        ["x0", "y0", "x1", "y1", "x2", "y2", "ab"]
    );
}

fn docker_logs_behind_links_ship_what_the_program_wrote() {
    let mut fixture = fixture(
        "docker",
        "path = \"containers/*.log\"\nkey = \"{namespace}/{pod}/{container}\"",
    );
    let id = "0123456789abcdef".repeat(4);
    for directory in ["docker", "containers"] {
        fs::create_dir(fixture.host.path(directory)).unwrap();
    }
    let target = fixture.host.path(format!("docker/{id}-json.log"));
    append(
        &target,
        &[
            docker("stdout", "a "),
            docker("stderr", "b\n"),
            docker("stdout", "\"c\"\r\n"),
        ]
        .concat(),
    );
    symlink(&target, fixture.host.path(POD).join("0.log")).unwrap();
    let link = fixture.host.path(format!("containers/web-1_shop_main-{id}.log"));
    symlink(fixture.host.path(POD).join("0.log"), link).unwrap();
    let service = fixture.host.start();
    fixture.reader.until_count(2);
    append(&target, &docker("stdout", "d\n"));
    fs::rename(&target, fixture.host.path(format!("docker/{id}-json.log.1"))).unwrap();
    append(&target, &docker("stdout", "e\n"));
    fixture.reader.until_count(4);
    service.stop();
    let records = fixture.reader.everything();
    assert_eq!(texts(records), ["b", "a \"c\"", "d", "e"]);
    assert!(
        records
            .iter()
            .all(|record| record.key.as_deref() == Some(&b"shop/web-1/main"[..]))
    );
}

fn a_trace_in_a_container_is_one_record_whatever_the_other_stream_says() {
    let mut fixture = fixture(
        "container-trace",
        "path = \"pods/*/*/*.log\"\nkey = \"{path}\"\nmultiline = \"go\"",
    );
    let text = include_str!("../traces/go.txt");
    // After each line of the trace one of the other stream.
    let lines: String = text
        .lines()
        .enumerate()
        .map(|(n, line)| cri("stderr", "F", line) + &cri("stdout", "F", &format!("ok {n}")))
        .collect();
    append(&fixture.host.path(POD).join("0.log"), &lines);
    let service = fixture.host.start();
    let count = text.lines().count();
    fixture.reader.until_count(count + 3);
    service.stop();
    let texts = texts(fixture.reader.everything());
    let (ok, trace): (Vec<String>, Vec<String>) = texts.into_iter().partition(|text| text.starts_with("ok "));
    assert_eq!(ok, (0..count).map(|n| format!("ok {n}")).collect::<Vec<_>>());
    assert_eq!(trace.join("\n") + "\n", text);
    assert_eq!(trace.len(), 3);
}

fn what_no_runtime_wrote_ships_as_it_is_and_is_said_once() {
    let mut fixture = fixture("odd", "path = \"pods/*/*/*.log\"\nkey = \"{path}\"");
    let log = fixture.host.path(POD).join("0.log");
    append(&log, &format!("odd\n{}odd again\n", cri("stdout", "F", "fine")));
    let service = fixture.host.start();
    fixture.reader.until_count(3);
    append(&log, "and again\n");
    fixture.reader.until_count(4);
    let told = service.stop();
    assert_eq!(
        texts(fixture.reader.everything()),
        ["odd", "fine", "odd again", "and again"]
    );
    assert_eq!(told.matches("neither CRI nor Docker JSON").count(), 1, "{told}");
}
