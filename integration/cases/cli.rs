//! The commands without a broker: what they print, where, and how they end.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::harness::case::cases;
use crate::harness::service::{Host, Output};

cases![
    no_settings_file,
    a_settings_file_that_cannot_be_read,
    a_directory_for_a_settings_file,
    text_that_is_no_toml,
    an_unknown_key_with_the_nearest_known_one,
    a_value_of_the_wrong_type,
    no_logs_at_all,
    a_bad_glob,
    all_problems_at_once,
    a_property_that_the_promises_rest_on,
    every_property_that_librdkafka_does_not_take_at_once_with_what_it_does,
    properties_that_do_not_go_together,
    a_state_directory_that_is_not_there_has_no_dead_letters_to_tell_of,
    all_that_is_wrong_in_one_list,
    a_reload_says_every_bad_property_and_changes_nothing,
    files_that_the_settings_name_and_that_cannot_be_read,
    an_unset_variable,
    usage_errors_end_with_2,
    check_accepts_what_run_accepts,
    preview_prints_the_records_and_keeps_no_position,
    settings_prints_what_applies_and_hides_secrets,
    help_shows_examples,
    a_stop_before_positions_are_read_back_says_nothing_of_draining,
    the_demo_kills_and_rotates_by_itself_and_finds_every_line,
];

const KAFKA: &str = "[kafka]\nbrokers = [\"127.0.0.1:1\"]\ntopic = \"t\"\n";
const LOGS: &str = "[[logs]]\npath = \"logs/*.log\"\n";

/// `run` and `check` refuse these settings with the same words; gives them.
fn refused(text: &str) -> String {
    let host = Host::new("refused");
    host.settings(text);
    refused_on(&host)
}

fn refused_on(host: &Host) -> String {
    let [run, check] = ["run", "check"].map(|command| host.run(&[command]));
    for output in [&run, &check] {
        assert_eq!(output.code, Some(78), "{output:?}");
        assert!(output.stderr.starts_with("error: cannot "), "{output:?}");
        assert!(output.stderr.contains("help: "), "{output:?}");
        assert!(
            output.stderr.contains(&host.settings_path().display().to_string()),
            "{output:?}"
        );
        assert_eq!(output.stdout, "", "{output:?}");
    }
    assert_eq!(run.stderr, check.stderr);
    run.stderr
}

fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
}

fn no_settings_file() {
    let text = refused_on(&Host::new("no-file"));
    assert_says(&text, &["cannot read"]);
}

fn a_settings_file_that_cannot_be_read() {
    let host = Host::new("forbidden").with_permissions();
    host.settings(&format!("{KAFKA}{LOGS}"));
    fs::set_permissions(host.settings_path(), fs::Permissions::from_mode(0o000)).unwrap();
    assert_says(&refused_on(&host), &["cannot read", "ermission denied"]);
}

fn a_directory_for_a_settings_file() {
    let host = Host::new("directory");
    fs::create_dir(host.settings_path()).unwrap();
    assert_says(&refused_on(&host), &["cannot read", "directory"]);
}

fn text_that_is_no_toml() {
    assert_says(&refused(&format!("{KAFKA}{LOGS}what = = this\n")), &["logcatch.toml:6"]);
}

fn an_unknown_key_with_the_nearest_known_one() {
    let text = refused(&format!("{KAFKA}{LOGS}exclude_path = [\"*.gz\"]\n"));
    assert_says(
        &text,
        &[
            "logcatch.toml:6",
            "`logs[0].exclude_path`",
            "did you mean `exclude_paths`?",
        ],
    );
}

fn a_value_of_the_wrong_type() {
    assert_says(
        &refused(&format!("{KAFKA}[[logs]]\npath = 5\n")),
        &["logcatch.toml:5", "`logs[0].path`", "5"],
    );
    let text = refused(&format!("{KAFKA}[limits]\nin_flight = \"12 parsecs\"\n{LOGS}"));
    assert_says(&text, &["logcatch.toml:5", "`limits.in_flight`", "MiB"]);
}

fn no_logs_at_all() {
    assert_says(&refused(KAFKA), &["logs"]);
}

fn a_bad_glob() {
    assert_says(
        &refused(&format!("{KAFKA}[[logs]]\npath = \"logs/[*.log\"\n")),
        &["logcatch.toml:5", "`logs[0].path`"],
    );
}

fn all_problems_at_once() {
    let text = refused("hots = \"a\"\n[kafka]\ntopic = \"t\"\n[[logs]]\npath = 5\nstart = \"middle\"\n");
    assert_says(
        &text,
        &[
            "`hots`",
            "`host`",
            "brokers",
            "`logs[0].path`",
            "`logs[0].start`",
            "\"end\"",
        ],
    );
}

fn a_property_that_the_promises_rest_on() {
    let text = refused(&format!("{KAFKA}[kafka.properties]\nacks = \"1\"\n{LOGS}"));
    assert_says(&text, &["logcatch.toml:5", "acks"]);
}

const BAD_PROPERTIES: &str = "[kafka.properties]\nligner.ms = 5\ncompression.type = \"none-such\"\n";

fn assert_says_bad_properties(text: &str) {
    assert_says(
        text,
        &[
            "`kafka.properties.ligner.ms` is not known to librdkafka",
            "did you mean `linger.ms`?",
            "`kafka.properties.compression.type` has a value that librdkafka does not take",
            "allowed: none, gzip, snappy, lz4, zstd",
        ],
    );
}

fn every_property_that_librdkafka_does_not_take_at_once_with_what_it_does() {
    let text = refused(&format!("{KAFKA}{BAD_PROPERTIES}[[logs]]\npath = 5\n"));
    assert_says_bad_properties(&text);
    assert_says(
        &text,
        &["3 problems", "logcatch.toml:5", "logcatch.toml:6", "logcatch.toml:8"],
    );
}

fn properties_that_do_not_go_together() {
    let bad = "[kafka.properties]\nreconnect.backoff.max.ms = 100\nreconnect.backoff.ms = 5000\n";
    assert_says(
        &refused(&format!("{KAFKA}[state]\ndirectory = \"state\"\n{bad}{LOGS}")),
        &[
            "`reconnect.backoff.max.ms` must be >= `reconnect.backoff.ms`",
            "logcatch.toml: [kafka.properties]",
        ],
    );
}

fn a_state_directory_that_is_not_there_has_no_dead_letters_to_tell_of() {
    let host = Host::new("no-state");
    for command in [
        &["dead-letters", "list"][..],
        &["dead-letters", "resend"],
        &["positions", "list"],
    ] {
        let output = host.run(&[command, &["--state", "misspelt"]].concat());
        assert_eq!((output.code, output.stdout.as_str()), (Some(1), ""), "{output:?}");
        assert_says(&output.stderr, &["misspelt", "help: "]);
    }
}

fn all_that_is_wrong_in_one_list() {
    let text = refused(
        "[kafka]\nbrokers = [\"a\", \"\", \"b:0\"]\ntopic = \"t\"\n[[logs]]\npath = [\"l/[x\", \"\", \"m/[y\"]\n",
    );
    assert_says(
        &text,
        &[
            "6 problems",
            "not \"a\"",
            "brokers[1]",
            "not \"b:0\"",
            "path[0]",
            "path[1]",
            "path[2]",
        ],
    );
}

fn a_reload_says_every_bad_property_and_changes_nothing() {
    let host = Host::new("reload-properties");
    let good = host.head("127.0.0.1:1", "t");
    host.settings(&format!("{good}{LOGS}"));
    let service = host.start();
    service.wait_log("logcatch starts");
    host.settings(&format!("{good}{BAD_PROPERTIES}{LOGS}"));
    let output = host.run(&["reload"]);
    assert_eq!(output.code, Some(78), "{output:?}");
    assert_says_bad_properties(&output.stderr);
    assert_says_bad_properties(&service.stop());
}

fn files_that_the_settings_name_and_that_cannot_be_read() {
    let text = refused(&format!(
        "host = \"${{file:no-such}}\"\ninclude = [\"none.toml\"]\n{KAFKA}[kafka.properties]\nssl.ca.location = \"logs\"\n\
         ssl.crl.location = \"none.pem\"\n{LOGS}"
    ));
    assert_says(
        &text,
        &[
            "logcatch.toml:1",
            "none.toml: cannot be read",
            "none.pem`: No such file",
            "help: create the file",
        ],
    );
    assert!(!text.contains("os error"), "{text}");
}

fn an_unset_variable() {
    let text = refused(&format!("host = \"${{LOGCATCH_SURELY_UNSET}}\"\n{KAFKA}{LOGS}"));
    assert_says(&text, &["logcatch.toml:1", "LOGCATCH_SURELY_UNSET"]);
}

fn usage_errors_end_with_2() {
    let host = Host::new("usage");
    for arguments in [
        &["--no-such-option"][..],
        &["no-such-command"],
        &["run", "--no-such-option"],
        &["preview"],
    ] {
        let output = host.run(arguments);
        assert_eq!(output.code, Some(2), "{arguments:?} {output:?}");
        assert_eq!(output.stdout, "", "{arguments:?}");
    }
}

fn ok(output: Output) -> String {
    assert_eq!(output.code, Some(0), "{output:?}");
    output.stdout
}

fn check_accepts_what_run_accepts() {
    let host = Host::new("check");
    host.settings(&format!("{}{LOGS}", host.head("127.0.0.1:1", "t")));
    fs::write(host.path("logs/app.log"), "one\ntwo\n").unwrap();
    assert_says(&ok(host.run(&["check"])), &["logs/*.log"]);
    assert!(!host.path("state").exists(), "check changes nothing");
}

fn preview_prints_the_records_and_keeps_no_position() {
    let host = Host::new("preview");
    host.settings(&format!("{}{LOGS}", host.head("127.0.0.1:1", "t")));
    fs::write(host.path("logs/app.log"), "one\r\n\ntwo \u{e4}\nunfinished").unwrap();
    let path = host.path("logs/app.log").display().to_string();
    for _ in 0..2 {
        assert_says(&ok(host.run(&["preview", &path])), &["one\n", "two \u{e4}"]);
    }
    assert!(!host.path("state").exists(), "preview keeps nothing");
}

fn settings_prints_what_applies_and_hides_secrets() {
    let host = Host::new("effective");
    host.settings(&format!(
        "{KAFKA}[kafka.properties]\n\"sasl.username\" = \"u\"\nsasl.password = \"tell-nobody\"\n{LOGS}"
    ));
    let output = host.run(&["settings"]);
    assert_says(&output.stdout, &["127.0.0.1:1", "***", "open_files = "]);
    assert!(!output.stdout.contains("etcd"), "there is none: {output:?}");
    assert!(!format!("{output:?}").contains("tell-nobody"), "{output:?}");
    ok(output);
}

fn help_shows_examples() {
    let host = Host::new("help");
    assert_says(
        &ok(host.run(&["--help"])),
        &[
            "run",
            "check",
            "preview",
            "demo",
            "settings",
            "dead-letters",
            "logcatch ",
        ],
    );
    for command in ["run", "check", "preview", "demo", "settings", "dead-letters"] {
        assert_says(&ok(host.run(&[command, "--help"])), &["logcatch", "xample"]);
    }
}

fn a_stop_before_positions_are_read_back_says_nothing_of_draining() {
    let host = Host::new("unopened");
    host.settings(&format!(
        "{KAFKA}delivery = \"exactly-once\"\ninstance = \"web-1\"\n{LOGS}"
    ));
    let service = host.start_managed(&[]).service;
    service.wait_log("exactly once: positions are read back");
    let log = service.stop();
    assert_says(&log, &["stopped before positions were read back: nothing was shipped"]);
    assert!(!log.contains("drained"), "{log}");
}

/// The README's first command, without a terminal: it plays its script and ends by itself.
fn the_demo_kills_and_rotates_by_itself_and_finds_every_line() {
    let host = Host::new("demo");
    let output = host.run(&["demo", "--seconds", "25"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stdout.contains("kcat "), "{output:?}");
    let verdict = output.stdout.trim_end().lines().last().unwrap_or_default();
    assert!(verdict.contains("every one of"), "{output:?}");
    for fault in [
        "kill -9",
        "the broker goes away",
        "made anew",
        "and truncated",
        "a typo",
    ] {
        assert!(output.stdout.contains(fault), "no `{fault}` was played: {output:?}");
    }
}
