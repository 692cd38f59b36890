//! The commands that talk to the running service: what they show, what they do, and what they say when they cannot.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use super::fixture::Fixture;
use crate::harness::case::{cases, skip};
use crate::harness::eventually::{eventually, when};
use crate::harness::kafka;
use crate::harness::service::{Host, Output, finish};
use crate::harness::writers::{Background, installed};
use crate::harness::{guard, writers::LogFile};

cases![
    s3_a_path_restarted_again_and_again_under_load_loses_and_repeats_nothing,
    s3_all_paths_of_a_name_are_restarted,
    an_unknown_path_is_answered_with_the_nearest_known_ones,
    no_service_and_a_stale_socket_are_said_and_a_new_service_takes_its_place,
    commands_work_while_the_settings_file_is_broken,
    a_deep_state_directory_works,
    others_are_refused_and_the_group_may_look_but_not_change,
    a_client_that_talks_nonsense_harms_nobody,
    each_command_shows_examples,
];

/// An entry under a name, for logs in a directory of that name.
pub fn entry(host: &Host, name: &str, rest: &str) -> String {
    fs::create_dir_all(host.path(name)).unwrap();
    format!("[[logs]]\nname = \"{name}\"\npath = \"{name}/*.log\"\n{rest}\n")
}

/// The output of a command that must succeed.
pub fn ok(host: &Host, arguments: &[&str]) -> String {
    let output = host.run(arguments);
    assert_eq!(output.code, Some(0), "{arguments:?} {output:?}");
    assert_eq!(output.stderr, "", "{arguments:?}");
    output.stdout
}

/// The output of a command that must fail with this code, and say what to do.
pub fn fails(host: &Host, arguments: &[&str], code: i32) -> String {
    failed(&host.run(arguments), code)
}

fn failed(output: &Output, code: i32) -> String {
    assert_eq!(output.code, Some(code), "{output:?}");
    assert_eq!(output.stdout, "", "{output:?}");
    assert!(output.stderr.starts_with("error: cannot "), "{output:?}");
    assert!(output.stderr.contains("\nhelp: "), "{output:?}");
    output.stderr.clone()
}

pub fn json(host: &Host, arguments: &[&str]) -> Value {
    let text = ok(host, &[arguments, &["--json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The row of a file.
pub fn row(host: &Host, path: &Path) -> Value {
    let report = json(host, &["status", &path.display().to_string()]);
    let files = report["files"].as_array().unwrap();
    assert_eq!(files.len(), 1, "{report}");
    files[0].clone()
}

/// Programs that write to logs until they are stopped.
fn under_load(fixture: &Fixture, names: &[&str]) -> Vec<Background<LogFile>> {
    let write = |log: &mut LogFile| {
        log.write(20);
        sleep(Duration::from_millis(5));
    };
    let start = |name: &&str| Background::repeat(fixture.log(name), write);
    names.iter().map(start).collect()
}

fn s3_a_path_restarted_again_and_again_under_load_loses_and_repeats_nothing() {
    let mut fixture = Fixture::new("restart-path");
    let writers = under_load(&fixture, &["logs/one.log", "logs/two.log"]);
    let service = fixture.host.start();
    let path = fixture.host.path("logs/one.log").display().to_string();
    for _ in 0..10 {
        let arrived = fixture.reader.records().len();
        fixture
            .reader
            .until("lines flow", |records| records.len() > arrived + 100);
        let said = ok(&fixture.host, &["restart", &path]);
        assert_eq!(said, format!("{path}: restarted\n"));
    }
    assert_eq!(row(&fixture.host, Path::new(&path))["restarts"], 10);
    assert_eq!(row(&fixture.host, &fixture.host.path("logs/two.log"))["restarts"], 0);
    writers.into_iter().for_each(|writer| drop(writer.stop()));
    fixture.finish(service);
}

fn s3_all_paths_of_a_name_are_restarted() {
    let mut fixture = Fixture::new("restart-name");
    let host = &fixture.host;
    let entries = entry(host, "one", "") + &entry(host, "two", "");
    host.settings(&(host.head(&kafka::shared().address(), &fixture.topic) + &entries));
    let writers = under_load(&fixture, &["one/a.log", "one/b.log", "two/c.log"]);
    let service = fixture.host.start();
    fixture.reader.until_count(500);
    let path = fixture.host.path("two/c.log");
    eventually("lines flow at a rate", || {
        let row = row(&fixture.host, &path);
        let flows = |name| row[name].as_f64().unwrap() > 0.0;
        when(flows("lines_per_second") && flows("bytes_per_second"), || {
            row.to_string()
        })
    });
    let done = json(&fixture.host, &["restart", "one"]);
    let paths: Vec<_> = done.as_array().unwrap().iter().map(|done| &done["path"]).collect();
    let expected = ["one/a.log", "one/b.log"].map(|name| Value::from(fixture.host.path(name).display().to_string()));
    assert_eq!(paths, expected.iter().collect::<Vec<_>>());
    let report = json(&fixture.host, &["status"]);
    let restarts: Vec<_> = report["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| &file["restarts"])
        .collect();
    assert_eq!(restarts, [1, 1, 0]);
    writers.into_iter().for_each(|writer| drop(writer.stop()));
    fixture.finish(service);
}

fn an_unknown_path_is_answered_with_the_nearest_known_ones() {
    let fixture = Fixture::new("unknown");
    let mut log = fixture.log("logs/access.log");
    log.write(1);
    let service = fixture.host.start();
    wait_watched(&fixture.host, 1);
    let path = log.path().display().to_string();
    for command in [
        &["status"][..],
        &["restart"],
        &["positions", "reset"],
        &["positions", "list"],
    ] {
        let said = fails(&fixture.host, &[command, &["logs/acces.log"]].concat(), 1);
        assert!(
            said.contains("acces.log`") && said.contains(&format!("`{path}`")),
            "{said}"
        );
    }
    fixture.finish(service);
}

/// Waits until so many files are watched.
pub fn wait_watched(host: &Host, count: usize) {
    eventually(&format!("{count} files are watched"), || {
        let report = json(host, &["status"]);
        let watched = report["files"].as_array().unwrap().len();
        when(watched == count, || report.to_string())
    });
}

/// Waits until so many bytes of a file are on their way to Kafka.
pub fn wait_in_flight(host: &Host, path: &str, bytes: u64) {
    eventually(&format!("{bytes} bytes are on their way"), || {
        let row = row(host, Path::new(path));
        when(row["in_flight_bytes"] == bytes, || row.to_string())
    });
}

fn no_service_and_a_stale_socket_are_said_and_a_new_service_takes_its_place() {
    let fixture = Fixture::new("stale");
    let state = fixture.host.path("state").display().to_string();
    let commands: [&[&str]; 4] = [&["status"], &["restart", "x"], &["reload"], &["plan"]];
    let say_so = |host: &Host| {
        for command in commands {
            let said = fails(host, command, 1);
            assert!(said.contains(&state) && said.contains("`logcatch run`"), "{said}");
        }
    };
    say_so(&fixture.host);
    let service = fixture.host.start();
    wait_watched(&fixture.host, 0);
    service.kill();
    assert!(fixture.host.path("state/control.sock").exists(), "stale");
    say_so(&fixture.host);
    let service = fixture.host.start();
    wait_watched(&fixture.host, 0);
    let mode = fs::metadata(fixture.host.path("state/control.sock"))
        .unwrap()
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o660);
    service.stop();
    assert!(!fixture.host.path("state/control.sock").exists());
    say_so(&fixture.host);
}

fn commands_work_while_the_settings_file_is_broken() {
    let fixture = Fixture::new("broken");
    let mut log = fixture.log("logs/app.log");
    log.write(10);
    let service = fixture.host.start();
    wait_watched(&fixture.host, 1);
    let good = fs::read_to_string(fixture.host.settings_path()).unwrap();
    let broken = [
        good.replace("host = \"test-host\"", "host = \"${LOGCATCH_SURELY_UNSET}\""),
        good.clone() + "what = = this\n",
        good.replace("[[logs]]", "[[logs]"),
    ];
    for (count, text) in broken.iter().enumerate() {
        fixture.host.settings(text);
        service.wait_log_count("settings refused", 2 * count + 1);
        let report = json(&fixture.host, &["status"]);
        let refused = report["settings"]["refused"]["text"].as_str().unwrap();
        assert!(refused.contains("logcatch.toml"), "{report}");
        assert!(ok(&fixture.host, &["status"]).contains("the settings file is refused"));
        ok(&fixture.host, &["restart", "logs/app.log"]);
        let said = fails(&fixture.host, &["reload"], 78);
        assert!(said.contains("logcatch.toml:"), "{said}");
        // Read again by that, and refused once more in the log.
        service.wait_log_count("settings refused", 2 * count + 2);
        fixture.host.settings(&good);
        eventually("the good file is in force", || {
            let report = json(&fixture.host, &["status"]);
            when(report["settings"]["refused"].is_null(), || report.to_string())
        });
    }
    fixture.finish(service);
}

fn a_deep_state_directory_works() {
    let fixture = Fixture::new("deep");
    let deep = format!("{}/{}", "d".repeat(120), "e".repeat(120));
    let head = fixture.host.head(&kafka::shared().address(), &fixture.topic);
    let head = head.replace("/state\"", &format!("/{deep}\""));
    fixture
        .host
        .settings(&format!("{head}[[logs]]\npath = \"logs/*.log\"\n"));
    fixture.log("logs/app.log").write(10);
    let service = fixture.host.start();
    wait_watched(&fixture.host, 1);
    ok(&fixture.host, &["restart", "logs/app.log"]);
    // Also without any settings file.
    fs::rename(fixture.host.settings_path(), fixture.host.path("away")).unwrap();
    ok(&fixture.host, &["status", "--state", &deep]);
    assert!(fails(&fixture.host, &["status"], 78).contains("--state"));
    fs::rename(fixture.host.path("away"), fixture.host.settings_path()).unwrap();
    fixture.finish(service);
}

/// A command as run by another user.
fn as_user(host: &Host, group: u32, arguments: &[&str]) -> Output {
    let mut command: Command = guard::command("setpriv");
    command.args(["--reuid=65534", &format!("--regid={group}"), "--clear-groups"]);
    command.arg(env!("CARGO_BIN_EXE_logcatch")).args(arguments);
    command.arg("--state").arg(host.path("state")).current_dir("/");
    let output = finish(command);
    if output.stderr.contains("failed to execute") {
        skip("another user may not run the binary in this place");
    }
    output
}

fn others_are_refused_and_the_group_may_look_but_not_change() {
    if !rustix::process::geteuid().is_root() || !installed("setpriv") {
        skip("only root can run it as another user, by setpriv");
    }
    const GROUP: u32 = 4242;
    let fixture = Fixture::new("rights");
    fixture.log("logs/app.log").write(10);
    fs::set_permissions(guard::run_dir(), Permissions::from_mode(0o711)).unwrap();
    let state = fixture.host.path("state");
    fs::create_dir(&state).unwrap();
    std::os::unix::fs::chown(&state, None, Some(GROUP)).unwrap();
    let service = fixture.host.start();
    wait_watched(&fixture.host, 1);

    let stranger = failed(&as_user(&fixture.host, 65534, &["status"]), 1);
    assert!(stranger.contains("ermission denied"), "{stranger}");
    assert!(
        stranger.contains("user `root`") && stranger.contains(&GROUP.to_string()),
        "{stranger}"
    );
    let looks = as_user(&fixture.host, GROUP, &["status"]);
    assert_eq!(looks.code, Some(0), "{looks:?}");
    assert!(looks.stdout.contains("app.log"), "{looks:?}");
    for command in [
        &["restart", "/x"][..],
        &["reload"],
        &["positions", "set", "/x", "end"],
        &["positions", "reset", "/x"],
        &["dead-letters", "resend"],
    ] {
        let said = failed(&as_user(&fixture.host, GROUP, command), 1);
        assert!(said.contains("root"), "{said}");
    }
    assert_eq!(as_user(&fixture.host, GROUP, &["plan"]).code, Some(0));
    for list in [["positions", "list"], ["dead-letters", "list"]] {
        assert_eq!(as_user(&fixture.host, GROUP, &list).code, Some(0));
    }
    fixture.finish(service);
}

fn a_client_that_talks_nonsense_harms_nobody() {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    let fixture = Fixture::new("nonsense");
    fixture.log("logs/app.log").write(10);
    let service = fixture.host.start();
    wait_watched(&fixture.host, 1);
    let connect = || UnixStream::connect(fixture.host.path("state/control.sock")).unwrap();
    let answer = |mut stream: UnixStream| {
        let mut text = String::new();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    for nonsense in [
        &b"\xff\xfe\n"[..],
        b"{\"command\":\"dance\"}\n",
        b"{\"command\":\"status\"",
    ] {
        let mut stream = connect();
        stream.write_all(nonsense).unwrap();
        let text = answer(stream);
        assert!(text.contains("cannot understand"), "{text}");
    }
    // Longer than any request.
    let mut stream = connect();
    let sent = stream.write_all(&[b'x'; 1 << 20]);
    drop((sent, stream));
    // More clients than have a seat: the others are told, and the seats are free again when they have gone.
    let crowd: Vec<_> = (0..40).map(|_| connect()).collect();
    let said = fails(&fixture.host, &["status"], 1);
    assert!(said.contains("clients are connected already"), "{said}");
    drop(crowd);
    eventually("a seat is free", || {
        let output = fixture.host.run(&["status"]);
        when(output.code == Some(0), || format!("{output:?}"))
    });
    fixture.finish(service);
}

fn each_command_shows_examples() {
    let host = Host::new("help-control");
    for command in [
        &["status"][..],
        &["restart"],
        &["reload"],
        &["plan"],
        &["positions"],
        &["positions", "list"],
        &["positions", "set"],
        &["positions", "reset"],
        &["dead-letters"],
        &["dead-letters", "list"],
        &["dead-letters", "resend"],
    ] {
        let help = ok(&host, &[command, &["--help"]].concat());
        let usage = format!("logcatch {}", command.join(" "));
        let (_, examples) = help.split_once("Examples:").expect("examples");
        assert!(examples.contains(&usage), "{help}");
    }
    assert!(ok(&host, &["--help"]).contains("status --watch"));
}
