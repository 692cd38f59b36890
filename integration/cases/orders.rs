//! Settings applied by order, and positions that an operator changes.

use std::fs::{self, File};
use std::io::Write;
use std::process::Stdio;

use super::control::{fails, json, ok, wait_watched};
use super::fixture::Fixture;
use super::supervision::{Faults, GIVEN_UP, with_neighbours};
use crate::harness::case::cases;
use crate::harness::eventually::{eventually, when};
use crate::harness::kafka;
use crate::harness::reader::texts;
use crate::harness::service::Host;

cases![
    c1_reload_answers_when_the_file_is_applied_or_why_it_is_refused,
    plan_says_what_applying_would_do_and_applies_nothing,
    positions_are_set_and_reset_through_the_service,
    positions_are_set_and_reset_on_the_store_while_no_service_runs,
    positions_of_a_file_whose_lines_kafka_does_not_take_wait_for_it,
    nothing_begins_a_watcher_while_its_position_is_changed,
    an_order_to_a_thread_that_hangs_is_carried_out_on_another,
    a_watcher_that_hangs_when_an_order_ends_it_holds_up_no_other,
];

fn entries(host: &Host, names: &[&str]) -> String {
    let entry = |name: &&str| {
        fs::create_dir_all(host.path(name)).unwrap();
        format!("[[logs]]\nname = \"{name}\"\npath = \"{name}/*.log\"\n")
    };
    names.iter().map(entry).collect()
}

fn head(fixture: &Fixture) -> String {
    fixture.host.head(&kafka::shared().address(), &fixture.topic)
}

fn c1_reload_answers_when_the_file_is_applied_or_why_it_is_refused() {
    let mut fixture = Fixture::new("reload");
    let host = &fixture.host;
    host.settings(&(head(&fixture) + &entries(host, &["one"])));
    let service = host.start();
    let path = host.settings_path().display().to_string();
    assert_eq!(ok(host, &["reload"]), format!("{path}: in force\n"));

    let names = |host: &Host| json(host, &["status"])["settings"]["unmatched"].clone();
    for round in 0..5 {
        let both = round % 2 == 0;
        let wanted: &[&str] = if both { &["one", "two"] } else { &["one"] };
        host.settings(&(head(&fixture) + &entries(host, wanted)));
        ok(host, &["reload"]);
        // In force when it is answered, not some time later.
        assert_eq!(names(host), serde_json::json!(wanted), "round {round}");
    }
    let log = fixture.log("two/app.log");
    let mut log = log;
    log.write(100);
    fixture.caught_up();

    let host = &fixture.host;
    let good = head(&fixture) + &entries(host, &["one", "two"]);
    let refused = [
        (good.replace("brokers", "brokrs"), "`kafka.brokrs`"),
        (good.replace("test-host", "other-host"), "`host` cannot change"),
    ];
    for (text, why) in refused {
        host.settings(&text);
        let said = fails(host, &["reload"], 78);
        assert!(said.contains(why) && said.contains(&path), "{said}");
        let refused = json(host, &["status"])["settings"]["refused"].clone();
        assert!(refused["text"].as_str().unwrap().contains(why), "{refused}");
        assert_eq!(names(host), serde_json::json!(["one"]));
    }
    host.settings(&good);
    ok(host, &["reload"]);
    assert!(json(host, &["status"])["settings"]["refused"].is_null());
    fixture.finish(service);
}

fn plan_says_what_applying_would_do_and_applies_nothing() {
    let fixture = Fixture::new("plan");
    let host = &fixture.host;
    let before = head(&fixture) + &entries(host, &["stays", "goes", "turns"]);
    host.settings(&before);
    for name in ["stays", "goes", "turns"] {
        fixture.log(&format!("{name}/app.log")).write(10);
    }
    let service = host.start();
    wait_watched(host, 3);
    assert_eq!(ok(host, &["plan"]), "nothing changes\n3 unchanged\n");

    // With another state directory it is never applied by itself, and so is compared with what was before.
    let after = (head(&fixture) + &entries(host, &["stays", "comes"])).replace("/state\"", "/elsewhere\"");
    let turned = "[[logs]]\nname = \"turns\"\npath = \"turns/*.log\"\ntopic = \"elsewhere\"\n";
    fs::write(host.path("comes/new.log"), "x\n").unwrap();
    host.settings(&(after + turned + "[limits]\nin_flight = \"8MiB\"\n"));
    service.wait_log("`state.directory` cannot change");
    let output = host.run(&["plan", "--state", "state", "--json"]);
    assert_eq!(output.code, Some(78), "{output:?}");
    let plan: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    let path = |name: &str| host.path(name).display().to_string();
    let expected = serde_json::json!([
        { "log": "comes", "what": "added", "changes": [], "start": [path("comes/new.log")], "stop": [], "go_on": 0 },
        { "log": "turns", "what": "changed", "changes": ["topic"], "start": [], "stop": [], "go_on": 1 },
        { "log": "goes", "what": "removed", "changes": [], "start": [], "stop": [path("goes/app.log")], "go_on": 0 },
    ]);
    assert_eq!(plan["entries"], expected);
    assert_eq!(plan["unchanged"], 1);
    assert_eq!(plan["service"], serde_json::json!(["limits change"]));
    let output = host.run(&["plan", "--state", "state"]);
    assert_eq!(output.code, Some(78), "{output:?}");
    let said =
        "error: cannot apply the settings: `state.directory` cannot change while the service runs: restart it\nhelp: ";
    assert!(output.stderr.starts_with(said), "{output:?}");
    let text = output.stdout;
    for part in [
        "+ comes is added\n    start ",
        "~ turns changes: topic\n    1 go on",
        "- goes is removed",
        "! `state.directory` cannot change",
        "1 unchanged",
    ] {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }

    host.settings(&before);
    ok(host, &["reload"]);
    wait_watched(host, 3);
    host.settings(&before.replace("test-host", "other-host"));
    let output = host.run(&["plan"]);
    assert_eq!(output.code, Some(78), "{output:?}");
    assert!(output.stdout.contains("! `host` cannot change"), "{output:?}");
    host.settings(&(before + "what = = this\n"));
    assert!(fails(host, &["plan"], 78).contains("logcatch.toml:"));
    fixture.finish(service);
}

/// A log with lines of known lengths.
fn write(host: &Host, text: &str) -> String {
    let path = host.path("logs/app.log");
    let mut file = File::options().create(true).append(true).open(&path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    path.display().to_string()
}

fn positions_are_set_and_reset_through_the_service() {
    let mut fixture = Fixture::new("positions");
    let path = write(&fixture.host, "one\ntwo\nthree\n");
    let service = fixture.host.start();
    fixture.reader.until_count(3);
    let host = &fixture.host;
    assert!(ok(host, &["positions", "set", &path, "4"]).contains("at byte 4 of 14; it was at 14"));
    service.wait_log("from=14 to=4 size=14");
    fixture.reader.until_count(5);
    ok(host, &["positions", "set", &path, "begin"]);
    fixture.reader.until_count(8);
    ok(host, &["positions", "reset", "logs/app.log"]);
    fixture.reader.until_count(11);
    for (place, why) in [("5", "its line starts at 4"), ("15", "it has 14 bytes")] {
        let said = fails(host, &["positions", "set", &path, place], 1);
        assert!(said.contains(why), "{said}");
    }
    assert_eq!(host.run(&["positions", "set", &path, "middle"]).code, Some(2));
    // What was refused changed nothing: the watcher goes on where it was.
    write(host, "four\n");
    fixture.reader.until_count(12);
    // A reader may see a line before the service hears that it is acknowledged.
    eventually("its position is after the last line", || {
        let rows = json(host, &["positions", "list", &path]);
        when(rows[0]["position"] == 19 && rows[0]["life"] == "live", || {
            rows.to_string()
        })
    });
    ok(host, &["positions", "set", &path, "end"]);
    write(host, "five\n");
    fixture.reader.until_count(13);
    service.stop();
    let all = "one two three two three one two three one two three four five";
    assert_eq!(texts(fixture.reader.everything()).join(" "), all);
}

fn positions_are_set_and_reset_on_the_store_while_no_service_runs() {
    let mut fixture = Fixture::new("positions-store");
    let path = write(&fixture.host, "one\ntwo\n");
    let run = |fixture: &mut Fixture, count: usize| {
        let service = fixture.host.start();
        fixture.reader.until_count(count);
        service.stop();
    };
    run(&mut fixture, 2);
    write(&fixture.host, "skipped\n");
    ok(&fixture.host, &["positions", "set", &path, "end"]);
    write(&fixture.host, "three\n");
    run(&mut fixture, 3);
    ok(&fixture.host, &["positions", "set", &path, "8"]);
    run(&mut fixture, 5);
    ok(&fixture.host, &["positions", "reset", &path]);
    assert_eq!(json(&fixture.host, &["positions", "list"]), serde_json::json!([]));
    run(&mut fixture, 9);
    let all = "one two three skipped three one two skipped three";
    assert_eq!(texts(fixture.reader.everything()).join(" "), all);
    // A host that never ran has nothing to change.
    let host = Host::new("never-ran");
    host.settings(&(head(&fixture).replace("/state\"", "/never\"") + &entries(&host, &["one"])));
    fails(&host, &["positions", "list"], 1);
}

/// Else lines that are on their way would come twice.
fn positions_of_a_file_whose_lines_kafka_does_not_take_wait_for_it() {
    let broker = kafka::private("positions-away");
    let mut fixture = Fixture::on(&broker, "positions-away", "");
    let path = write(&fixture.host, "one\ntwo\n");
    let service = fixture.host.start();
    fixture.reader.until_count(2);
    broker.pause();
    write(&fixture.host, "three\n");
    super::control::wait_in_flight(&fixture.host, &path, 6);
    let said = ok(&fixture.host, &["positions", "set", &path, "begin"]);
    assert!(said.contains("waits until what is on its way"), "{said}");
    let row = json(&fixture.host, &["status", &path])["files"][0].clone();
    assert_eq!(row["reason"], "restarting", "{row}");
    broker.resume();
    fixture.reader.until_count(6);
    service.stop();
    let all = "one two three one two three";
    assert_eq!(texts(fixture.reader.everything()).join(" "), all);
}

/// A watcher that failed would begin again by itself, and so would one with two orders when the first is carried out.
fn nothing_begins_a_watcher_while_its_position_is_changed() {
    const FILES: usize = 8;
    let broker = kafka::private("positions-race");
    let (mut fixture, faults) = Faults::on(Fixture::on(&broker, "positions-race", ""));
    let host = &fixture.host;
    let name = |n: usize| format!("{n}.log");
    let path = |n: usize| host.path(format!("logs/{n}.log"));
    let append = |n: usize, text: &str| {
        let mut file = File::options().create(true).append(true).open(path(n)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    (0..FILES).for_each(|n| append(n, "one\ntwo\n"));
    let service = host.start();
    fixture.reader.until_count(2 * FILES);
    let wait_in_flight = |bytes| {
        (0..FILES).for_each(|n| super::control::wait_in_flight(host, &path(n).display().to_string(), bytes));
    };
    // A reader may see a line before the service hears that it is acknowledged.
    wait_in_flight(0);
    broker.pause();
    // All at once: a topic that accepts nothing for some seconds is not read for.
    (0..FILES).for_each(|n| append(n, "three\n"));
    wait_in_flight(6);
    for n in 0..FILES {
        faults.begin(&format!("error-{}", name(n)));
        append(n, "four\n");
    }
    service.wait_log_count("watcher failed; it will be restarted", FILES);
    let order = |n: usize| {
        let path = path(n).display().to_string();
        host.command(&["positions", "set", &path, "begin"])
    };
    let orders: Vec<_> = (0..FILES)
        .chain(0..FILES)
        .map(|n| order(n).stdout(Stdio::null()).spawn().unwrap())
        .collect();
    for mut order in orders {
        assert!(order.wait().unwrap().success());
    }
    (0..FILES).for_each(|n| faults.end(&format!("error-{}", name(n))));
    broker.resume();
    service.wait_log_count("position was moved by an operator", 2 * FILES);
    fixture.reader.until_count(7 * FILES);
    service.stop();
    assert_eq!(fixture.reader.everything().len(), 7 * FILES);
}

fn an_order_to_a_thread_that_hangs_is_carried_out_on_another() {
    let (mut fixture, faults) = Faults::on(Fixture::with("order-hangs", "name = \"ours\""));
    let (service, mut logs, mut ill) = with_neighbours(&mut fixture);
    faults.begin("hang-read-ill.log");
    ill.write(100);
    faults.wait_hangs("read-ill.log");
    let mut order = fixture
        .host
        .command(&["restart", "ours"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    service.wait_log_count("watcher is restarted by an operator", 9);
    service.wait_log(GIVEN_UP);
    let records = fixture.reader.records().len();
    logs.iter_mut().for_each(|log| log.write(100));
    fixture.reader.until_count(records + 800);
    faults.end("hang-read-ill.log");
    assert!(order.wait().unwrap().success());
    fixture.finish(service);
}

fn a_watcher_that_hangs_when_an_order_ends_it_holds_up_no_other() {
    let (mut fixture, faults) = Faults::on(Fixture::new("end-hangs"));
    let (service, mut logs, mut ill) = with_neighbours(&mut fixture);
    faults.begin("hang-close-ill.log");
    let path = ill.path().display().to_string();
    let mut order = fixture
        .host
        .command(&["restart", &path])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    faults.wait_hangs("close-ill.log");
    service.wait_log(GIVEN_UP);
    let records = fixture.reader.records().len();
    logs.iter_mut().for_each(|log| log.write(100));
    ill.write(100);
    fixture.reader.until_count(records + 900);
    faults.end("hang-close-ill.log");
    assert!(order.wait().unwrap().success());
    fixture.finish(service);
}
