//! Which values are refused, and in which words.

use std::path::Path;
use std::time::Duration;

use super::{KAFKA, LOGS, in_kafka, in_logs, problems_of, settings};

#[test]
fn sizes_durations_and_counts_have_units_and_ranges() {
    let units = "write a whole number and a unit, such as \"64MiB\", \"10MB\" or \"1024B\"";
    let times = "write a whole number and a unit: \"500ms\", \"1s\", \"5m\", \"2h\" or \"7d\"";
    let cases = [
        (
            "[limits]\nin_flight = 33554432",
            format!("`limits.in_flight` must be a size from \"1MiB\" to \"64GiB\", not the number 33554432 | {units}"),
        ),
        (
            "[limits]\nin_flight = \"32M\"",
            format!("`limits.in_flight` must be a size from \"1MiB\" to \"64GiB\", not \"32M\" | {units}"),
        ),
        (
            "[limits]\nopen_files = \"5\"",
            "`limits.open_files` must be a whole number from 16 to 16777216, not a text".to_owned(),
        ),
        (
            "[limits]\nopen_files = -1",
            "`limits.open_files` must be a whole number from 16 to 16777216, not -1".to_owned(),
        ),
        (
            "[limits]\nshutdown_timeout = \"0s\"",
            format!("`limits.shutdown_timeout` must be a duration from \"100ms\" to \"1h\", not \"0s\" | {times}"),
        ),
        (
            "[state]\ncheckpoint_interval = 1",
            format!(
                "`state.checkpoint_interval` must be a duration from \"10ms\" to \"1h\", not the number 1 | {times}"
            ),
        ),
        (
            "[log]\nlevel = \"warning\"",
            "`log.level` must be \"off\", \"error\", \"warn\", \"info\", \"debug\" or \"trace\", not \"warning\""
                .to_owned(),
        ),
    ];
    for (added, expected) in cases {
        let problem = in_kafka(added);
        assert!(
            problem.starts_with(&format!("f.toml:5: {expected}")),
            "{problem}\n{expected}"
        );
    }
    assert_eq!(
        in_logs("max_line = \"5MiB\""),
        "f.toml:6: `logs[0].max_line` must be at most a quarter of `limits.in_flight`: 4MiB | lower it, or raise `limits.in_flight`"
    );
}

#[test]
fn placeholders_must_stand_for_something() {
    let help = "the placeholders are `{host}`, `{name}`, `{path}`, `{file}`, `{1}` for the first wildcard of `path`, and \
                so on, for containers `{namespace}`, `{pod}` and `{container}`; `{{` and `}}` are the braces themselves";
    let only = "which stands for something in logs of containers only | give the entry `input = \"container\"`";
    let cases = [
        ("key = \"{hots}\"", format!("`logs[0].key` holds the unknown placeholder `{{hots}}` | {help}")),
        ("key = \"{host\"", format!("`logs[0].key` holds a `{{` that is never closed | {help}")),
        (
            "key = \"{2}\"",
            "`logs[0].key` holds {2}, but a path has 1 wildcard | a placeholder with a number stands for a wildcard of \
             `path`, counted from 1"
                .to_owned(),
        ),
        (
            "rotated = [\"auto\", \"/a/{fil}.*\"]",
            format!("`logs[0].rotated[1]` holds the unknown placeholder `{{fil}}` | {help}"),
        ),
        ("key = \"{pod}\"", format!("`logs[0].key` holds {{pod}}, {only}")),
        (
            "topic = \"logs-{2}\"",
            "`logs[0].topic` holds {2}, but a path has 1 wildcard | a placeholder with a number stands for a wildcard of \
             `path`, counted from 1"
                .to_owned(),
        ),
        ("topic = \"logs-{pod}\"", format!("`logs[0].topic` holds {{pod}}, {only}")),
        (
            "topic = \"logs-{path}\"",
            "`logs[0].topic` must give a topic name, and with {path} it cannot: `/` is none of the characters a-z, A-Z, \
             0-9, `.`, `_` and `-` | a path holds `/`: take {file} or {1}"
                .to_owned(),
        ),
        (
            "topic = \"logs-{name}\"",
            "`logs[0].topic` must give a topic name, and with {name} it cannot: `/` is none of the characters a-z, A-Z, \
             0-9, `.`, `_` and `-` | give the entry a `name` of such characters"
                .to_owned(),
        ),
        (
            "topic = \"{1}\"",
            "`logs[0].topic` must be a topic name, not \"{1}\": a template starts with a literal, as in \"logs-{1}\""
                .to_owned(),
        ),
        ("topic = \"..\"", "`logs[0].topic` must be a topic name, not \"..\": Kafka does not allow it".to_owned()),
    ];
    for (added, expected) in cases {
        assert_eq!(in_logs(added), format!("f.toml:6: {expected}"));
    }
}

#[test]
fn a_topic_follows_from_the_path() {
    let settings = settings(
        "host = \"h\"\n[kafka]\nbrokers = [\"a:1\"]\ntopic = \"t-{1}\"\n[[logs]]\nname = \"n\"\npath = \"/l/*/*.log\"\n\
         topic = \"x-{host}-{name}-{1}-{2}-{file}\"\n[[logs]]\npath = \"/m/**/*.log\"\n",
    );
    let of = |log: usize, path: &str| settings.logs[log].topic_of("h", Path::new(path));
    assert_eq!(of(0, "/l/a/b.log").as_deref(), Ok("x-h-n-a-b-b.log"));
    assert_eq!(of(1, "/m/a/b.log").as_deref(), Ok("t-a"));
    let illegal = of(0, "/l/a b/c.log").unwrap_err();
    assert_eq!(
        illegal.to_string(),
        "`x-h-n-a b-c-c.log` cannot be a topic: ` ` is none of the characters a-z, A-Z, 0-9, `.`, `_` and `-`"
    );
    let long = format!("/l/{}/b.log", "x".repeat(240));
    assert!(
        of(0, &long)
            .unwrap_err()
            .to_string()
            .ends_with("longer than 249 characters")
    );
}

#[test]
fn limits_of_handles_and_age_are_taken() {
    let settings = settings(
        "[kafka]\nbrokers = \"a:1\"\n[limits]\nopen_files = 64\n[[logs]]\npath = \"/l\"\ntopic = \"t\"\nignore_older = \"7d\"",
    );
    assert_eq!(settings.limits.open_files, Some(64));
    let log = &settings.logs[0];
    assert_eq!(log.ignore_older, Some(Duration::from_secs(7 * 86_400)));
    let epoch = std::time::SystemTime::UNIX_EPOCH;
    assert_eq!(
        log.ignore_before(epoch + Duration::from_secs(8 * 86_400)),
        Some(86_400_000_000_000)
    );
    assert_eq!(log.ignore_before(epoch), Some(0));
}

#[test]
fn what_cannot_be_is_said_with_what_is_allowed() {
    let in_entry = [
        (
            "ignore_older = 7",
            "`logs[0].ignore_older` must be a duration from \"1s\" to \"3650d\", not the number 7",
        ),
        (
            "input = \"containers\"",
            "`logs[0].input` must be \"lines\" or \"container\", not \"containers\"",
        ),
        (
            "include_lines = ['(']",
            "`logs[0].include_lines[0]` must be a regular expression, not \"(\" | correct the expression: unclosed group",
        ),
        (
            "multiline = \"rust\"",
            "`logs[0].multiline` must be \"java\", \"python\" or \"go\", or a table, not \"rust\"",
        ),
        (
            "multiline = { max_lines = 1, start = 'a' }",
            "`logs[0].multiline.max_lines` must be a whole number from 2 to 1000000, not 1",
        ),
        (
            "multiline = { start = '(' }",
            "`logs[0].multiline.start` must be a regular expression, not \"(\" | correct the expression: unclosed group",
        ),
        (
            "multiline = { start = '^a', continues = '^b' }",
            "`logs[0].multiline` must have either `start` or `continues`",
        ),
        (
            "rate_limit = \"1MiB\"",
            "`logs[0].rate_limit` must be a rate from \"1KiB/s\" to \"1TiB/s\", not \"1MiB\"",
        ),
    ];
    for (added, expected) in in_entry {
        let problem = in_logs(added);
        assert!(
            problem.starts_with(&format!("f.toml:6: {expected}")),
            "{problem}\n{expected}"
        );
    }
    let at_top = [
        (
            "delivery = \"exactly-once\"",
            "f.toml:4: `kafka.delivery` needs `kafka.instance` with \"exactly-once\" | give this service a name",
        ),
        (
            "instance = \"a\\nb\"",
            "f.toml:4: `kafka.instance` must be at most 200 bytes without control characters",
        ),
        (
            "positions_topic = \"a b\"",
            "f.toml:4: `kafka.positions_topic` must be a topic name, not \"a b\"",
        ),
        (
            "positions_topic = \"positions-{host}\"",
            "f.toml:4: `kafka.positions_topic` cannot hold placeholders | all positions of a service",
        ),
        (
            "[web]\nlisten = \"5642\"",
            "f.toml:5: `web.listen` must be an address and a port, or empty for no page | write it as",
        ),
    ];
    for (added, expected) in at_top {
        let problem = in_kafka(added);
        assert!(problem.starts_with(expected), "{problem}\n{expected}");
    }
    let neither = problems_of("f.toml", &format!("{KAFKA}{LOGS}multiline = {{ timeout = \"1s\" }}\n"));
    assert!(
        neither.contains(&"f.toml:6: `logs[0].multiline` must have either `start` or `continues`".to_owned()),
        "{neither:?}"
    );
}

#[test]
fn properties_that_the_promises_rest_on_are_refused_with_the_reason() {
    for (name, expected) in [
        (
            "bootstrap.servers",
            "cannot be set: it is the same as `kafka.brokers` | give `kafka.brokers`",
        ),
        ("acks", "cannot be set: it is always \"all\""),
        ("request.required.acks", "cannot be set: it is always \"all\""),
        ("retries", "cannot be set: it has no limit here"),
        ("message.send.max.retries", "cannot be set: it has no limit here"),
        ("enable.idempotence", "cannot be set: it is always on"),
        ("enable.gapless.guarantee", "cannot be set: it is fixed"),
        ("max.in.flight", "cannot be set: it is fixed"),
        ("max.in.flight.requests.per.connection", "cannot be set: it is fixed"),
        (
            "delivery.timeout.ms",
            "cannot be set: it has no limit here: a timeout would drop lines",
        ),
        (
            "message.timeout.ms",
            "cannot be set: it has no limit here: a timeout would drop lines",
        ),
        (
            "transactional.id",
            "cannot be set: it follows from `kafka.delivery` and `kafka.instance`",
        ),
        (
            "queue.buffering.max.messages",
            "cannot be set: it follows from `limits.in_flight` | give `limits.in_flight`",
        ),
        (
            "queue.buffering.max.ms",
            "cannot be set: it is the older name of `linger.ms` | give `linger.ms`",
        ),
    ] {
        for written in [format!("{name} = 1"), format!("\"{name}\" = \"1\"")] {
            let problem = in_kafka(&format!("[kafka.properties]\n{written}"));
            assert!(
                problem.starts_with(&format!("f.toml:5: `kafka.properties.{name}` {expected}")),
                "{problem}"
            );
        }
    }
    assert_eq!(
        in_kafka("[kafka.properties]\nlinger.ms = 0.5"),
        "f.toml:5: `kafka.properties.linger.ms` must be a text, a whole number, true or false, not the number 0.5 | write \
         it as a text, in quotes"
    );
}

#[test]
fn every_bad_broker_is_named() {
    let problems = problems_of(
        "f.toml",
        &format!("[kafka]\ntopic = \"t\"\nbrokers = [\"a:9092, b\",\n  \"[::1]:0\"]\n{LOGS}"),
    );
    let help = "write brokers as \"kafka-1:9092\" or \"[::1]:9092\"";
    assert_eq!(
        problems,
        [
            format!("f.toml:3: `kafka.brokers[0]` must be host:port, not \"b\": the port is missing | {help}"),
            format!(
                "f.toml:4: `kafka.brokers[1]` must be host:port, not \"[::1]:0\": the port must be a number from 1 to 65535 | {help}"
            ),
        ]
    );
}

#[test]
fn exactly_once_needs_a_name_and_keeps_it_while_the_service_runs() {
    let exactly_once = settings(&format!(
        "{KAFKA}delivery = \"exactly-once\"\ninstance = \"web-1\"\n{LOGS}"
    ));
    let expected = crate::Delivery::ExactlyOnce(crate::ExactlyOnce {
        instance: "web-1".into(),
        positions_topic: "logcatch-positions".into(),
    });
    assert_eq!(exactly_once.kafka.delivery, expected);
    // Transactions need more in flight, and of one file; what is given counts all the same.
    let in_flight = |settings: &crate::Settings| (settings.limits.in_flight, settings.limits.in_flight_of_one);
    assert_eq!(in_flight(&exactly_once), (192 << 20, 96 << 20));
    assert_eq!(exactly_once.settled_at_once(), 96 << 20);
    let limits = "[limits]\nin_flight = \"16MiB\"\n";
    let given = settings(&format!(
        "{KAFKA}delivery = \"exactly-once\"\ninstance = \"web-1\"\n{limits}{LOGS}"
    ));
    assert_eq!(in_flight(&given), (16 << 20, 8 << 20));
    // A name may be there before it is needed.
    let plain = settings(&format!("{KAFKA}instance = \"web-1\"\n{LOGS}"));
    assert_eq!(plain.kafka.delivery, crate::Delivery::AtLeastOnce);
    assert_eq!(in_flight(&plain), (16 << 20, 4 << 20));
    assert_eq!(plain.settled_at_once(), 0);
    for (old, new) in [(&plain, &exactly_once), (&exactly_once, &plain)] {
        assert!(crate::needs_restart(old, new).is_empty());
        assert!(crate::changes_delivery(old, new) && !crate::changes_delivery(old, old));
    }
    let other = |keys: &str| {
        let new = settings(&format!("{KAFKA}delivery = \"exactly-once\"\n{keys}{LOGS}"));
        crate::needs_restart(&exactly_once, &new)
    };
    assert!(other("instance = \"web-1\"\n").is_empty());
    let refused = other("instance = \"web-2\"\npositions_topic = \"p\"\n");
    let restart = "cannot change while the service runs: restart it";
    assert_eq!(
        refused,
        ["instance", "positions_topic"].map(|key| format!("`kafka.{key}` {restart}"))
    );
}
