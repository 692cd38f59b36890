//! What is refused as a whole, and in which words.

use std::fs;
use std::io::ErrorKind;

use super::{Dir, KAFKA, LOGS, in_kafka, in_logs, only, problems_in, problems_of};
use crate::Refused;

#[test]
fn all_problems_are_reported_at_once_by_file_and_line() {
    let dir = Dir::new();
    let text = "hsot = \"a\"\n[kafka]\nbrokers = 5\ntopic = \"a b\"\n[limits]\nin_flight = \"1KiB\"\n\
                include = \"x\"\n[[logs]]\npath = \"/l/[a\"\nstart = \"ende\"\n[[logs]]\ntopic = \"x\"\n";
    let path = dir.write("f.toml", text);
    let message = dir.short(&dir.load("f.toml").unwrap_err().to_string());
    assert_eq!(
        message,
        r#"cannot use the settings `f.toml`: 8 problems
  f.toml:1: `hsot` is not a known key
    help: did you mean `host`?
  f.toml:3: `kafka.brokers` must be a text or a list of texts, none of them empty, not the number 5
  f.toml:4: `kafka.topic` must be a topic name, not "a b": ` ` is none of the characters a-z, A-Z, 0-9, `.`, `_` and `-`
  f.toml:6: `limits.in_flight` must be a size from "1MiB" to "64GiB", not "1KiB"
    help: write a whole number and a unit, such as "64MiB", "10MB" or "1024B"
  f.toml:7: `limits.include` is not a known key
    help: it belongs at the top of the file, before the first table
  f.toml:9: `logs[0].path` cannot use the pattern `/l/[a`: the `[` at character 4 is never closed; `\[` is the character itself
  f.toml:10: `logs[0].start` must be "beginning" or "end", not "ende"
    help: did you mean "end"?
  f.toml:11: `logs[1].path` is missing: patterns of the files to ship"#
    );
    let Refused::Invalid { problems, sources, .. } = dir.load("f.toml").unwrap_err() else {
        panic!()
    };
    assert_eq!(problems[3].key, "limits.in_flight");
    assert!(sources.concerns(&path));
}

#[test]
fn a_file_that_cannot_be_read_is_told_by_its_kind() {
    let dir = Dir::new();
    fs::create_dir(dir.path().join("d.toml")).unwrap();
    for (name, kind) in [
        ("none.toml", ErrorKind::NotFound),
        ("no/f.toml", ErrorKind::NotFound),
        ("d.toml", ErrorKind::IsADirectory),
    ] {
        match dir.load(name).unwrap_err() {
            Refused::Unreadable { source, .. } => assert_eq!(source.kind(), kind, "{name}"),
            other => panic!("{other}"),
        }
    }
    let message = dir.short(&dir.load("none.toml").unwrap_err().to_string());
    assert_eq!(message, "cannot read the settings `none.toml`");
}

#[test]
fn what_is_missing_is_named() {
    let cases = [
        (
            "".to_owned(),
            vec![
                "f.toml: `kafka.brokers` is missing: brokers to ask first, as host:port; a list, or one text with commas",
                "f.toml: `logs` is missing: there is nothing to ship | add an entry: a line `[[logs]]`, and under it \
                 `path = \"/var/log/...\"`",
            ],
        ),
        (
            KAFKA.replace("topic", "#topic") + LOGS,
            vec![
                "f.toml:4: `logs[0].topic` is missing, and there is no `kafka.topic` either | give the entry a `topic`, \
                 or all entries one by `topic` under [kafka]",
            ],
        ),
        (
            "[kafka]\nbrokers = []\ntopic = \"t\"\n[[logs]]\npath = []\n".to_owned(),
            vec![
                "f.toml:2: `kafka.brokers` must name at least one broker",
                "f.toml:5: `logs[0].path` must name at least one path",
            ],
        ),
        (
            KAFKA.to_owned() + "[logs]\npath = \"/l\"\n",
            vec![
                "f.toml:4: `logs` must be a list of tables, not a table | in TOML begin each entry with a line `[[logs]]`",
            ],
        ),
        // A bad common topic is one problem, not one for each entry.
        (
            KAFKA.replace("\"t\"", "7") + LOGS,
            vec!["f.toml:3: `kafka.topic` must be a text that is not empty, not the number 7"],
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(problems_of("f.toml", &text), expected, "{text}");
    }
}

#[test]
fn values_have_their_type_in_every_notation() {
    assert_eq!(
        in_kafka("properties = 5"),
        "f.toml:4: `kafka.properties` must be a table of names and values, not the number 5"
    );
    let cases = [
        (
            "name = 5",
            "`logs[0].name` must be a text that is not empty, not the number 5",
        ),
        (
            "name = true",
            "`logs[0].name` must be a text that is not empty, not true",
        ),
        (
            "name = \"\"",
            "`logs[0].name` must be a text that is not empty, not \"\"",
        ),
        (
            "name = [\"a\"]",
            "`logs[0].name` must be a text that is not empty, not a list",
        ),
        (
            "headers = \"true\"",
            "`logs[0].headers` must be true or false, not a text",
        ),
        (
            "exclude_paths = [\"*.gz\", 1.5]",
            "`logs[0].exclude_paths[1]` must be a text that is not empty, not the number 1.5",
        ),
        ("key = { a = 1 }", "`logs[0].key` must be a text, not a table"),
    ];
    for (added, expected) in cases {
        assert_eq!(in_logs(added), format!("f.toml:6: {expected}"));
    }
    let yaml = "kafka:\n  brokers: a:9092\n  topic: 1.10\nlogs:\n  - path: yes.log\n    name:\n";
    assert_eq!(
        problems_of("f.yaml", yaml),
        [
            "f.yaml:3: `kafka.topic` must be a text that is not empty, not the number 1.1",
            "f.yaml:6: `logs[0].name` must be a text that is not empty, not nothing",
        ]
    );
    let json = "{\"kafka\": {\"brokers\": \"a:9092\",\n\"topic\": null},\n\"logs\": [7]}";
    assert_eq!(
        problems_of("f.json", json),
        [
            "f.json:2: `kafka.topic` must be a text that is not empty, not nothing",
            "f.json:3: `logs[0]` must be a table, not the number 7",
        ]
    );
}

#[test]
fn unknown_keys_come_with_the_nearest_known_one() {
    let cases = [
        (
            "Topic = \"x\"",
            "`logs[0].Topic` is not a known key | did you mean `topic`?",
        ),
        (
            "exclude-paths = \"x\"",
            "`logs[0].exclude-paths` is not a known key | did you mean `exclude_paths`?",
        ),
        (
            "brokers = \"x\"",
            "`logs[0].brokers` is not a known key | did you mean `kafka.brokers`?",
        ),
    ];
    for (added, expected) in cases {
        assert_eq!(in_logs(added), format!("f.toml:6: {expected}"));
    }
    assert_eq!(
        in_kafka("[log]\ncolour = true"),
        "f.toml:5: `log.colour` is not a known key | known here: level, format"
    );
}

#[test]
fn repeated_keys_are_refused_in_every_notation() {
    assert_eq!(in_kafka("topic = \"u\""), "f.toml:4: `topic` is repeated");
    assert_eq!(in_kafka("[kafka]"), "f.toml:4: `kafka` is repeated");
    assert_eq!(
        problems_of("f.json", "{\"kafka\": {\"brokers\": \"a:1\",\n\"brokers\": \"b:1\"}}"),
        ["f.json:2: `kafka.brokers` is repeated: it stands in line 1 already"]
    );
    assert_eq!(
        problems_of("f.yml", "kafka:\n  topic: a\n  topic: b\n"),
        ["f.yml:3: `kafka.topic` is repeated: it stands in line 2 already"]
    );
    // One plain, one quoted: TOML sees two keys where librdkafka has one.
    let both = in_kafka("[kafka.properties]\nsecurity.protocol = \"ssl\"\n\"security.protocol\" = \"ssl\"");
    assert!(
        both.contains("`kafka.properties.security.protocol` is repeated: it stands at f.toml:"),
        "{both}"
    );
}

#[test]
fn names_are_unique_and_both_places_are_said() {
    let twice = format!("{KAFKA}{LOGS}name = \"a\"\n[[logs]]\npath = \"/m\"\nname = \"a\"\n");
    assert_eq!(
        only(&twice),
        "f.toml:9: `logs[1].name` must be unique, but the entry at f.toml:6 has the same: \"a\" | give it another name"
    );
    assert_eq!(
        only(&format!("{KAFKA}{LOGS}{LOGS}")),
        "f.toml:6: `logs[1].name` must be unique, but the entry at f.toml:4 has the same: \"/l/*.log\" | give the \
         entries names: they have the same first path"
    );
    assert_eq!(
        in_logs("name = \"a\\nb\""),
        "f.toml:6: `logs[0].name` must not hold control characters, such as a newline"
    );
    assert_eq!(
        only(&format!("{KAFKA}[[logs]]\npath = \"/x\\u0000\"\n")),
        "f.toml:5: `logs[0].path` must not hold control characters, such as a newline: it names the entry | give the \
         entry a name, or correct the path"
    );
}

#[test]
fn values_from_outside_are_in_no_message() {
    let text = "host = \"${NONE}\"\n[kafka]\nbrokers = \"${SECRET}\"\ntopic = \"${SECRET} \"\n\
                [limits]\nin_flight = \"${BAD_SIZE}\"\n[log]\nlevel = \"${SECRET}\"\n\
                [[logs]]\npath = \"${SECRET}[\"\nkey = \"{${SECRET}}\"\ntopic = \"${file:secret}\"\n\
                include_lines = [\"(${SECRET}\"]\n";
    let dir = Dir::new();
    dir.write("f.toml", text);
    dir.write("secret", "hunter2 of a file\n");
    let problems = problems_in(&dir, "f.toml");
    assert_eq!(problems.len(), 9, "{problems:#?}");
    assert!(problems[0].starts_with(
        "f.toml:1: `host` needs the environment variable `NONE`, which is not set | set it, or give a default as in \
         `${NONE:-default}`"
    ));
    assert!(
        problems.iter().all(|problem| !problem.contains("hunter2")),
        "{problems:#?}"
    );
    assert!(problems[2].contains("must be a topic name, not ***"), "{problems:#?}");
}

#[test]
fn included_files_hold_logs_only_and_count_all_or_none() {
    let dir = Dir::new();
    dir.write(
        "f.toml",
        &format!("include = [\"conf.d/*.toml\", \"gone.toml\"]\n{KAFKA}"),
    );
    dir.write("conf.d/a.toml", "host = \"x\"\n[[logs]]\npath = \"/l/a\"\n");
    dir.write("conf.d/b.toml", "[[logs]]\npaht = \"/l/b\"\n");
    dir.write("conf.d/c.toml", "[[logs]\n");
    let problems = problems_in(&dir, "f.toml");
    assert_eq!(
        problems[0],
        "conf.d/a.toml:1: `host` is not a known key | an included file holds [[logs]] only; this belongs in the settings file"
    );
    assert_eq!(
        problems[1],
        "conf.d/b.toml:1: `logs[0].path` is missing: patterns of the files to ship"
    );
    assert_eq!(
        problems[2],
        "conf.d/b.toml:2: `logs[0].paht` is not a known key | did you mean `path`?"
    );
    assert!(
        problems[3].starts_with("conf.d/c.toml:1: is not TOML: "),
        "{problems:#?}"
    );
    let last = problems.last().unwrap();
    assert!(
        last.starts_with("gone.toml: cannot be read: No such file"),
        "{problems:#?}"
    );
}

#[test]
fn what_is_no_settings_file_at_all_is_said() {
    assert_eq!(
        problems_of("f.conf", "x"),
        ["f.conf: is in no known notation | let its name end in .toml, .yaml, .yml or .json"]
    );
    let problem = only("[kafka\n");
    assert!(problem.starts_with("f.toml:1: is not TOML: "), "{problem}");
}
