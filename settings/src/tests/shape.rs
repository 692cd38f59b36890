//! What records are made of lines.

use super::{KAFKA, LOGS, in_logs, settings};
use crate::{Change, diff};

#[test]
fn encodings_have_the_labels_of_the_standard_and_the_nearest_is_suggested() {
    let name = |label: &str| {
        let settings = settings(&format!("{KAFKA}{LOGS}encoding = \"{label}\"\n"));
        settings.logs[0].charset.name()
    };
    assert_eq!(name("UTF-8"), "UTF-8");
    assert_eq!(name("latin1"), "windows-1252");
    assert_eq!(name("utf-16"), "UTF-16LE");
    assert_eq!(name("gb2312"), "GBK");
    let cases = [
        ("utf8x", "utf-8"),
        ("shift-jiss", "shift_jis"),
        ("windows-1522", "windows-1252"),
        ("utf16-le", "utf-16le"),
        ("GB-2312", "gb2312"),
    ];
    for (label, nearest) in cases {
        assert_eq!(
            in_logs(&format!("encoding = \"{label}\"")),
            format!(
                "f.toml:6: `logs[0].encoding` must be an encoding by its WHATWG label, not \"{label}\" | did you mean \
                 \"{nearest}\"?"
            )
        );
    }
    assert_eq!(
        in_logs("encoding = \"${SECRET}\""),
        "f.toml:6: `logs[0].encoding` must be an encoding by its WHATWG label, not *** | see \
         https://encoding.spec.whatwg.org/#names-and-labels"
    );
}

#[test]
fn another_encoding_is_a_change_of_how_files_are_read() {
    let with = |label: &str| settings(&format!("{KAFKA}{LOGS}encoding = \"{label}\"\n"));
    assert!(
        diff(&with("utf8"), &with("utf-8")).is_empty(),
        "two labels of one encoding"
    );
    let diff = diff(&with("gbk"), &with("big5"));
    assert_eq!(diff.changed[0].what, [Change::Other]);
}

#[test]
fn fields_keep_their_kinds_and_nest() {
    let settings = settings(&format!(
        "host = \"web-1\"\n{KAFKA}{LOGS}format = \"json\"\n[logs.fields]\nenv = \"prod\"\nservice = {{ name = \"shop\", node = 7 }}\n\
         \"service.canary\" = true\nfile = \"{{host}}:{{1}}\"\nzip = \"007\"\n\"host.ip\" = \"10.0.0.1\"\n"
    ));
    let log = &settings.logs[0];
    assert!(log.json && !log.headers);
    assert_eq!(
        serde_json::Value::Object(log.fields_json("web-1", "/l/a.log".as_ref())),
        serde_json::json!({
            "env": "prod", "service": {"name": "shop", "node": 7, "canary": true}, "file": "web-1:a", "zip": "007",
            "host": {"ip": "10.0.0.1"},
        })
    );
    let texts = log.fields_text("web-1", "/l/a.log".as_ref());
    assert!(texts.contains(&("service.canary".into(), "true".into())), "{texts:?}");
}

#[test]
fn fields_that_would_hide_something_are_refused() {
    let help = "give the field another name";
    for name in [
        "message",
        "\"@timestamp\"",
        "host",
        "host.name",
        "log",
        "log.file",
        "log.offset",
        "logcatch.x",
    ] {
        let problem = in_logs(&format!("fields.{name} = \"x\""));
        let expected = format!("is a name that logcatch sets itself | {help}");
        assert!(problem.ends_with(&expected), "{problem}");
    }
    let problem = in_logs("fields = { \"a.b\" = 1, a = 2 }");
    assert!(
        problem.contains("is inside `a`, which has a value of its own"),
        "{problem}"
    );
    let problem = in_logs("fields = { \"a..b\" = 1 }");
    assert!(
        problem.contains("must have a name of parts joined by single dots"),
        "{problem}"
    );
    let problem = in_logs("fields = { a = \"{2}\" }");
    assert!(problem.contains("holds {2}, but a path has 1 wildcard"), "{problem}");
    let problem = in_logs("fields = { a = \"{hots}\" }");
    assert!(problem.contains("holds the unknown placeholder `{hots}`"), "{problem}");
}

#[test]
fn a_json_record_needs_room_for_what_is_around_its_message() {
    let problem = in_logs("format = \"json\"\nmax_line = \"3MiB\"");
    assert!(
        problem.contains("must be at most an eighth of `limits.in_flight` with `format = \"json\"`: 2MiB"),
        "{problem}"
    );
    let problem = in_logs("format = \"json\"\nmax_line = \"1000B\"");
    assert!(
        problem.contains("must be at least 1KiB with `format = \"json\"`"),
        "{problem}"
    );
}

#[test]
fn which_lines_ship_and_how_fast_is_a_change_of_how_files_are_read() {
    let with = |keys: &str| settings(&format!("{KAFKA}{LOGS}{keys}\n"));
    let plain = with("include_lines = []");
    assert!(plain.logs[0].filter.is_none() && diff(&plain, &with("")).is_empty());
    let one = with("include_lines = 'a'\nrate_limit = \"10MiB/s\"");
    assert_eq!(one.logs[0].rate_limit, Some(10 << 20));
    assert!(diff(&one, &with("include_lines = ['a']\nrate_limit = \"10240KiB/s\"")).is_empty());
    for other in [
        "include_lines = 'a'",
        "exclude_lines = 'a'\nrate_limit = \"10MiB/s\"",
        "include_lines = ['a', 'b']\nrate_limit = \"10MiB/s\"",
    ] {
        assert_eq!(diff(&one, &with(other)).changed[0].what, [Change::Other], "{other}");
    }
}

#[test]
fn containers_know_their_pods_and_are_read_as_utf_8() {
    let entry = "[[logs]]\npath = \"/l/*/*/*.log\"\ninput = \"container\"\ntopic = \"logs-{namespace}\"\nkey = \"{pod}/{container}\"\n";
    let with = settings(&format!("{KAFKA}{entry}"));
    let log = &with.logs[0];
    assert!(log.container);
    let path = "/l/shop_web-1_0f7a/main/0.log".as_ref();
    assert_eq!(log.topic_of("h", path).unwrap(), "logs-shop");
    assert_eq!(log.key_of("h", path).unwrap(), "web-1/main");
    let problem = in_logs("input = \"container\"\nencoding = \"gbk\"");
    assert!(
        problem.contains("must be \"utf-8\" with `input = \"container\"`"),
        "{problem}"
    );
    let problem = in_logs("input = \"container\"\nmax_line = \"3MiB\"");
    assert!(
        problem.contains("an eighth of `limits.in_flight` with `input = \"container\"`: 2MiB"),
        "{problem}"
    );
    let lines = settings(&format!("{KAFKA}{LOGS}input = \"lines\"\n"));
    let container = settings(&format!("{KAFKA}{LOGS}input = \"container\"\n"));
    assert_eq!(diff(&lines, &container).changed[0].what, [Change::Other]);
}

#[test]
fn multiline_is_a_language_or_an_expression_and_a_change_of_how_files_are_read() {
    use std::time::Duration;

    use logcatch_tail::{Language, Rule};

    let with = |keys: &str| settings(&format!("{KAFKA}{LOGS}{keys}\n"));
    assert!(with("").logs[0].multiline.is_none());
    let java = with("multiline = \"java\"");
    let multiline = java.logs[0].multiline.as_ref().unwrap();
    assert_eq!(multiline.rule, Rule::Trace(Language::Java));
    assert_eq!((multiline.timeout, multiline.max_lines), (Duration::from_secs(1), 500));
    let given = with("multiline = { start = '^\\d', timeout = \"3s\", max_lines = 7 }");
    let multiline = given.logs[0].multiline.as_ref().unwrap();
    assert!(matches!(&multiline.rule, Rule::Start(regex) if regex.as_str() == "^\\d"));
    assert_eq!((multiline.timeout, multiline.max_lines), (Duration::from_secs(3), 7));
    let other = with("multiline = { continues = '^\\d', timeout = \"3s\", max_lines = 7 }");
    assert_eq!(diff(&given, &other).changed[0].what, [Change::Other]);
    assert!(diff(&given, &given.clone()).is_empty());
}
