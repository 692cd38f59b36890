//! The pages in `docs/` are true: what the service says is in them, what they show is accepted, what they name exists.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::control::{ok, row};
use super::fixture::Fixture;
use crate::harness::case::{self, cases};
use crate::harness::eventually::{eventually, when};
use crate::harness::reader::texts;
use crate::harness::service::{Host, finish};
use crate::harness::{guard, kafka};

cases![
    operations_tell_what_to_do_about_every_warning_and_error,
    operations_tell_every_reason_alert_and_exit_code,
    settings_shown_in_the_docs_are_good,
    the_json_schema_takes_good_settings_and_refuses_bad_ones,
    links_between_the_docs_lead_somewhere,
    migrating_goes_on_exactly_where_the_other_shipper_ended,
    the_rights_of_the_docs_are_enough_in_both_modes,
];

const SOURCES: [&str; 6] = ["src", "actors/src", "settings/src", "kafka/src", "tail/src", "web/src"];

/// Messages that are made elsewhere, by their format, and what they may be.
const MADE_ELSEWHERE: [(&str, &[&str]); 5] = [
    ("{notice}", &["lets anybody answer as Kafka", "is left out"]),
    (
        "{}{outcome}",
        &[
            "no token to log in to Kafka with",
            "Kafka refuses the login",
            "no TLS connection to Kafka",
        ],
    ),
    // Of tail/src/turnover.rs.
    (
        "{what}",
        &[
            "bytes were written between a copy and its truncation",
            "file was truncated before it was read to its end and no copy of it was found",
            "a rotated file was cut or written anew before it was read to its end",
        ],
    ),
    ("{error}", &["cannot save positions in"]),
    ("{facility} {}", &["librdkafka"]),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Everything below a directory that ends so.
fn files(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_str().is_some_and(|path| path.ends_with(ending)) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A page with its line ends and backticks taken out, so that a message is found however it is set.
fn flat(text: &str) -> String {
    text.replace('`', "").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The formats of all warnings and errors in a source: of each call the last text.
fn messages(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let mut found = Vec::new();
    for call in ["log::warn!(", "log::error!(", "log::log!("] {
        for (at, _) in source.match_indices(call) {
            found.push(last_text(&source[at + call.len()..]).expect("a message"));
        }
    }
    found
}

/// The last text before the parenthesis that is open at the beginning is closed.
fn last_text(code: &str) -> Option<String> {
    let (mut depth, mut text, mut last, mut escaped) = (1, None::<String>, None, false);
    for char in code.chars() {
        match &mut text {
            Some(open) if escaped || (char != '"' && char != '\\') => {
                open.push(char);
                escaped = false;
            }
            Some(_) if char == '\\' => escaped = true,
            Some(_) => last = text.take(),
            None => match char {
                '"' => text = Some(String::new()),
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth -= 1,
                _ => {}
            },
        }
        if depth == 0 {
            break;
        }
    }
    last
}

/// What of a format is always said: its longest part between placeholders.
fn constant(format: &str) -> String {
    let parts = format
        .split('{')
        .map(|part| part.split_once('}').map_or(part, |(_, rest)| rest));
    let longest = parts.max_by_key(|part| part.len()).unwrap_or_default();
    flat(longest.trim_matches([':', ';', ',', ' ']))
}

fn operations_tell_what_to_do_about_every_warning_and_error() {
    let page = flat(&read("docs/operations.md"));
    let mut missing = BTreeSet::new();
    let mut count = 0;
    for directory in SOURCES {
        for path in files(&root().join(directory), ".rs") {
            // It is in builds of tests only.
            if path.ends_with("tail/src/wrong.rs") || path.components().any(|part| part.as_os_str() == "tests") {
                continue;
            }
            for format in messages(&fs::read_to_string(&path).unwrap()) {
                count += 1;
                let said: Vec<String> = match MADE_ELSEWHERE.iter().find(|(known, _)| *known == format) {
                    Some((_, said)) => said.iter().map(|text| flat(text)).collect(),
                    None => vec![constant(&format)],
                };
                let unknown = said.into_iter().filter(|text| text.len() < 8 || !page.contains(text));
                missing.extend(unknown.map(|text| format!("{}: {text}", path.display())));
            }
        }
    }
    assert!(count > 60, "{count}");
    assert!(missing.is_empty(), "not in docs/operations.md: {missing:#?}");
}

/// `TopicMissing` as it is in JSON.
fn kebab(variant: &str) -> String {
    let mut word = String::new();
    for char in variant.chars() {
        if char.is_uppercase() && !word.is_empty() {
            word.push('-');
        }
        word.extend(char.to_lowercase());
    }
    word
}

fn operations_tell_every_reason_alert_and_exit_code() {
    let page = read("docs/operations.md");
    let source = read("actors/src/observe/report.rs");
    let (_, reasons) = source.split_once("pub enum Reason {").unwrap();
    let (reasons, _) = reasons.split_once("\n}").unwrap();
    let variants = reasons.lines().filter_map(|line| line.trim().strip_suffix(','));
    let reasons: Vec<String> = variants.filter(|line| !line.contains(' ')).map(kebab).collect();
    assert!(
        reasons.len() > 25 && reasons.contains(&"topic-missing".to_owned()),
        "{reasons:?}"
    );
    let alerts = read("deploy/prometheus-alerts.yml");
    let alerts = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    let alerts: Vec<String> = alerts.map(str::to_owned).collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    for word in reasons
        .iter()
        .chain(&alerts)
        .map(String::as_str)
        .chain(["0", "1", "2", "3", "78"])
    {
        assert!(page.contains(&format!("\n| `{word}` |")), "no row for `{word}`");
    }
}

/// The blocks of TOML in a page that are settings of logcatch, each made whole.
fn examples(page: &str) -> Vec<String> {
    let blocks = page
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    let whole = blocks.map(|block| {
        let mut text = block.to_owned();
        if !text.contains("[[logs]]") && !text.contains("include = ") {
            text.push_str("\n[[logs]]\npath = \"logs/*.log\"\n");
        }
        if !text.contains("[kafka]\n") {
            text.push_str("\n[kafka]\nbrokers = [\"127.0.0.1:1\"]\ntopic = \"t\"\n");
        }
        text
    });
    whole.collect()
}

fn pages() -> Vec<PathBuf> {
    let mut pages = files(&root().join("docs"), ".md");
    pages.push(root().join("README.md"));
    pages
}

fn all_examples() -> Vec<(PathBuf, String)> {
    let pages = pages().into_iter();
    let examples = pages.flat_map(|page| {
        let text = fs::read_to_string(&page).unwrap();
        examples(&text).into_iter().map(move |example| (page.clone(), example))
    });
    examples.collect()
}

fn settings_shown_in_the_docs_are_good() {
    let examples = all_examples();
    assert!(examples.len() >= 10, "{}", examples.len());
    for (page, example) in examples {
        // Only builds with that feature take it.
        if example.contains("[etcd]") && !cfg!(feature = "etcd") {
            continue;
        }
        let host = Host::new("example");
        for file in [
            "ca.pem",
            "etcd-ca.pem",
            "password",
            "etcd-password",
            "client.pem",
            "client.key",
        ] {
            fs::write(host.path(file), "x").unwrap();
        }
        host.settings(&example);
        let output = host.run(&["settings"]);
        assert_eq!(output.code, Some(0), "{}: {output:?}\n{example}", page.display());
    }
}

/// Says of each document, which are lists of numbers and texts in JSON, what the schema says.
const VALIDATOR: &str = "\
import json, sys, tomllib
from jsonschema import Draft202012Validator as Validator
schema = json.load(open(sys.argv[1]))
Validator.check_schema(schema)
texts = json.load(open(sys.argv[2]))
print(json.dumps([[e.message for e in Validator(schema).iter_errors(tomllib.loads(t))] for t in texts]))
";

fn the_json_schema_takes_good_settings_and_refuses_bad_ones() {
    let python = |arguments: &[&str]| {
        let mut command = guard::command("python3");
        command.arg("-c").args(arguments);
        finish(command)
    };
    if python(&["import jsonschema, tomllib"]).code != Some(0) {
        case::skip("the Python module jsonschema is not installed");
    }
    let mut good: Vec<String> = all_examples().into_iter().map(|(_, example)| example).collect();
    // The older form, and an example of what is read from etcd.
    good.retain(|text| !text.contains("collectlogs"));
    good.push(read("deploy/logcatch.toml"));
    let head = "[kafka]\nbrokers = \"a:1\"\ntopic = \"t\"\n";
    let bad = [
        "[kafka]\ntopic = \"t\"\n".to_owned(),
        format!("{head}acks = 1\n"),
        format!("{head}[limits]\nin_flight = 5\n"),
        format!("{head}[limits]\nin_flight = \"5 apples\"\n"),
        format!("{head}[[logs]]\npath = \"/l\"\nstart = \"middle\"\n"),
        format!("{head}[[logs]]\nname = \"n\"\n"),
        format!("{head}[[logs]]\npath = \"/l\"\nwatch = true\n"),
    ];
    let host = Host::new("schema");
    let (texts, count) = (host.path("texts.json"), good.len());
    good.extend(bad.iter().cloned());
    fs::write(&texts, json!(good).to_string()).unwrap();
    let schema = root().join("docs/logcatch.schema.json");
    let output = python(&[VALIDATOR, &schema.display().to_string(), &texts.display().to_string()]);
    assert_eq!(output.code, Some(0), "{output:?}");
    let said: Vec<Vec<String>> = serde_json::from_str(&output.stdout).unwrap();
    for (text, errors) in good.iter().zip(&said).take(count) {
        assert!(errors.is_empty(), "{errors:?}\n{text}");
    }
    for (text, errors) in good.iter().zip(&said).skip(count) {
        assert!(!errors.is_empty(), "{text}");
    }
    let printed: Value = serde_json::from_str(&host.run(&["settings", "--schema"]).stdout).unwrap();
    assert_eq!(
        printed,
        serde_json::from_str::<Value>(&read("docs/logcatch.schema.json")).unwrap()
    );
}

fn links_between_the_docs_lead_somewhere() {
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap_or_default();
            if path.is_empty() || link.contains("://") {
                continue;
            }
            assert!(page.parent().unwrap().join(path).exists(), "{}: {link}", page.display());
        }
    }
    let index = read("docs/README.md");
    for page in files(&root().join("docs"), ".md") {
        let name = page.file_name().unwrap().to_str().unwrap();
        assert!(name == "README.md" || index.contains(&format!("]({name})")), "{name}");
    }
    assert!(read("README.md").contains("](docs/README.md)"));
}

/// The steps of docs/migrating.md, for a file of which another shipper has sent the first part.
fn migrating_goes_on_exactly_where_the_other_shipper_ended() {
    let mut fixture = Fixture::new("migrating");
    let path = fixture.host.path("logs/app.log");
    let lines = |from: usize, to: usize| (from..to).map(|n| format!("line {n}\n")).collect::<String>();
    fs::write(&path, lines(0, 100)).unwrap();
    // Generations that are there at first sight are never read.
    fs::write(fixture.host.path("logs/app.log.1"), lines(900, 910)).unwrap();
    let entry = "[[logs]]\nname = \"app\"\npath = \"logs/*.log\"\nstart = \"end\"\n";
    let settings = |broker: &str| fixture.host.head(broker, &fixture.topic) + entry;

    fixture.host.settings(&settings("127.0.0.1:1"));
    let service = fixture.host.start();
    eventually("the file has a position", || {
        let listed = ok(&fixture.host, &["positions", "list"]);
        when(listed.contains("app.log"), || listed)
    });
    service.stop();
    let mut log = OpenOptions::new().append(true).open(&path).unwrap();
    log.write_all(lines(100, 120).as_bytes()).unwrap();
    let (path, offset) = (path.display().to_string(), lines(0, 60).len());
    assert_ne!(
        fixture
            .host
            .run(&["positions", "set", &path, &(offset + 1).to_string()])
            .code,
        Some(0)
    );
    ok(&fixture.host, &["positions", "set", &path, &offset.to_string()]);

    fixture.host.settings(&settings(&kafka::shared().address()));
    let service = fixture.host.start();
    log.write_all(lines(120, 130).as_bytes()).unwrap();
    fixture.reader.until_count(70);
    service.stop();
    let expected: Vec<String> = lines(60, 130).lines().map(str::to_owned).collect();
    assert_eq!(texts(fixture.reader.everything()), expected);
}

/// The commands of a page that give rights, for a topic, a positions topic and a transactional id.
fn rights(topic: &str, positions: &str, id: &str) -> Vec<Vec<String>> {
    let page = read("docs/access-rights.md");
    let commands = page.lines().filter(|line| line.starts_with("kafka-acls.sh "));
    let word = |word: &str| match word {
        "logs" => topic.to_owned(),
        "logcatch-positions" => positions.to_owned(),
        "logcatch-web-1" => id.to_owned(),
        "User:logcatch" => "User:ANONYMOUS".to_owned(),
        word => word.to_owned(),
    };
    let commands = commands.map(|line| line.split(' ').skip(3).map(word).collect());
    commands.collect()
}

/// Where there are rules for something, what no rule allows is forbidden.
fn the_rights_of_the_docs_are_enough_in_both_modes() {
    let broker = kafka::private_with_rights("rights");
    for is_exact in [false, true] {
        let mut fixture = Fixture::on(&broker, "rights", "");
        let mut positions = String::new();
        if is_exact {
            positions = fixture.host.exactly_once("rights");
            fixture.host.ship_logs(&broker, &fixture.topic, "");
        }
        let commands = rights(&fixture.topic, &positions, "logcatch-rights");
        assert_eq!(commands.len(), 3, "{commands:?}");
        for command in commands.iter().take(if is_exact { 3 } else { 1 }) {
            broker.acl(&command.iter().map(String::as_str).collect::<Vec<_>>());
        }
        let mut log = fixture.log("logs/app.log");
        log.write(100);
        let service = fixture.host.start();
        eventually("every line is acknowledged", || {
            let row = row(&fixture.host, log.path());
            let is_done = row["state"] == "idle" && row["lag_bytes"] == 0 && row["position"] != 0;
            when(is_done, || row.to_string())
        });
        let checked = ok(&fixture.host, &["check", "--broker"]);
        assert!(checked.contains(&fixture.topic), "{checked}");
        // For the test's own eyes.
        let topic = fixture.topic.clone();
        broker.acl(&[
            "--add",
            "--allow-principal",
            "User:ANONYMOUS",
            "--topic",
            &topic,
            "--operation",
            "Read",
        ]);
        fixture.finish(service);
    }
}
