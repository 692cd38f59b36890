//! What a record says besides its line: JSON objects, fields, headers.

use std::fs;
use std::fs::File;
use std::io::Write;

use serde_json::{Value, json};

use super::fixture::Fixture;
use crate::harness::case::cases;
use crate::harness::kafka;
use crate::harness::reader::Record;

cases![
    json_records_say_where_their_line_comes_from,
    json_records_that_became_too_long_are_split,
    headers_say_where_a_raw_line_comes_from,
    a_record_keeps_the_path_its_file_was_found_under,
    what_records_look_like_is_applied_live_and_nothing_is_sent_again,
    preview_shows_what_would_ship,
    a_dead_letter_keeps_its_headers,
];

const FIELDS: &str = "[logs.fields]\nenv = \"prod\"\nservice = { name = \"{1}\", node = 7, canary = true }\n";

fn object(record: &Record) -> Value {
    serde_json::from_slice(record.value.as_deref().unwrap()).unwrap()
}

fn json_records_say_where_their_line_comes_from() {
    let mut fixture = Fixture::with("json", &format!("format = \"json\"\nheaders = true\n{FIELDS}"));
    let path = fixture.host.path("logs/shop.log");
    let lines: [&[u8]; 6] = [
        b"plain",
        b"",
        "\"quoted\" \\ \tü 😀".as_bytes(),
        b"no \xff text \xe4\xb8",
        b"\x00\x01\x1f\x7f",
        b"{\"a\": 1}",
    ];
    let texts = [
        "plain",
        "",
        "\"quoted\" \\ \tü 😀",
        "no \u{fffd} text \u{fffd}",
        "\u{0}\u{1}\u{1f}\u{7f}",
        "{\"a\": 1}",
    ];
    fs::write(&path, [&lines.join(&b"\r\n"[..])[..], b"\n"].concat()).unwrap();
    let service = fixture.host.start();
    fixture.reader.until_count(6);
    service.stop();
    let mut offset = 0;
    let records = fixture.reader.everything();
    let id = records[0].header("logcatch.file_id").unwrap();
    for (record, (line, text)) in records.iter().zip(lines.iter().zip(texts)) {
        let mut object = object(record);
        let time = object.as_object_mut().unwrap().remove("@timestamp").unwrap();
        assert!(is_near(time.as_str().unwrap(), record.time), "{time} {}", record.time);
        let expected = json!({
            "message": text, "host": {"name": "test-host"}, "log": {"file": {"path": path}, "offset": offset},
            "logcatch": {"file_id": id}, "env": "prod", "service": {"name": "shop", "node": 7, "canary": true},
        });
        assert_eq!(object, expected);
        let headers: Vec<_> = record.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            headers,
            ["host.name", "log.file.path", "logcatch.file_id", "log.offset"]
        );
        assert_eq!(record.header("log.offset").unwrap(), offset.to_string());
        offset += line.len() as u64 + 2;
    }
}

/// Whether a time in RFC 3339 is within a minute of one in milliseconds; by its minutes, which no other code has to read.
fn is_near(time: &str, millis: i64) -> bool {
    let number = |from: usize| time[from..from + 2].parse::<i64>().unwrap();
    let minutes = number(11) * 60 + number(14);
    let other = millis / 60_000 % 1440;
    time.len() == 24 && time.ends_with('Z') && matches!((minutes - other).rem_euclid(1440), 0 | 1 | 1439)
}

fn json_records_that_became_too_long_are_split() {
    const LIMIT: usize = 2000;
    let mut fixture = Fixture::with("json-split", &format!("format = \"json\"\nmax_line = \"{LIMIT}B\"\n"));
    // Half of it is escaped; twice, so that parts of one line meet whole neighbours.
    let long = "ü\"".repeat(1500);
    fs::write(fixture.host.path("logs/app.log"), format!("a\n{long}\nb\n{long}\nc\n")).unwrap();
    let service = fixture.host.start();
    fixture.reader.until("the last line", |records| {
        records.iter().any(|record| object(record)["message"] == "c")
    });
    service.stop();
    let records = fixture.reader.everything();
    let mut lines = vec![(String::new(), 0)];
    let mut offset = 0;
    for record in records {
        let object = object(record);
        assert!(record.value.as_ref().unwrap().len() <= LIMIT);
        assert_eq!(object["log"]["offset"], offset);
        let message = object["message"].as_str().unwrap();
        offset += message.len() as u64;
        let line = lines.last_mut().unwrap();
        line.0 += message;
        line.1 += 1;
        let part = record.header("logcatch.part");
        let last = format!("{0}/{0}", line.1);
        if line.1 == 1 && part.is_none() || part.as_ref() == Some(&last) {
            lines.push((String::new(), 0));
            offset += 1;
        } else {
            assert_eq!(part, Some(line.1.to_string()));
        }
    }
    let found: Vec<&str> = lines.iter().map(|(line, _)| line.as_str()).collect();
    assert_eq!(found, ["a", &long, "b", &long, "c", ""]);
    assert!(lines[1].1 > 2 && lines[1].1 == lines[3].1, "{} parts", lines[1].1);
}

fn headers_say_where_a_raw_line_comes_from() {
    let mut fixture = Fixture::with("headers", &format!("headers = true\nmax_line = \"64B\"\n{FIELDS}"));
    let path = fixture.host.path("logs/shop.log");
    let long = "x".repeat(100);
    fs::write(&path, format!("one\n{long}\ntwo\n")).unwrap();
    let service = fixture.host.start();
    fixture.reader.until_count(4);
    service.stop();
    let records = fixture.reader.everything();
    let id = records[0].header("logcatch.file_id").unwrap();
    let expected = [
        ("one", 0, None),
        (&long[..64], 4, Some("1")),
        (&long[64..], 68, Some("2/2")),
        ("two", 105, None),
    ];
    assert_eq!(records.len(), expected.len());
    for (record, (text, offset, part)) in records.iter().zip(expected) {
        assert_eq!(record.text(), text);
        let mut headers = vec![
            ("host.name", "test-host".to_owned()),
            ("log.file.path", path.display().to_string()),
            ("logcatch.file_id", id.clone()),
            ("env", "prod".to_owned()),
            ("service.canary", "true".to_owned()),
            ("service.name", "shop".to_owned()),
            ("service.node", "7".to_owned()),
            ("log.offset", offset.to_string()),
        ];
        headers.extend(part.map(|part| ("logcatch.part", part.to_owned())));
        let found: Vec<_> = record
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), String::from_utf8(value.clone()).unwrap()))
            .collect();
        assert_eq!(found, headers);
    }
}

fn a_record_keeps_the_path_its_file_was_found_under() {
    let mut fixture = Fixture::with("json-rotated", "format = \"json\"\n");
    let path = fixture.host.path("logs/app.log");
    let mut log = File::create(&path).unwrap();
    log.write_all(b"one\n").unwrap();
    let service = fixture.host.start();
    fixture.reader.until_count(1);
    fs::rename(&path, fixture.host.path("logs/app.log.1")).unwrap();
    log.write_all(b"two\n").unwrap();
    fs::write(&path, "three\n").unwrap();
    fixture.reader.until_count(3);
    service.stop();
    let objects: Vec<Value> = fixture.reader.everything().iter().map(object).collect();
    assert!(
        objects
            .iter()
            .all(|object| object["log"]["file"]["path"] == json!(path))
    );
    let id = |index: usize| &objects[index]["logcatch"]["file_id"];
    assert!(id(0) == id(1) && id(1) != id(2));
    assert_eq!(
        [0, 4, 0].map(Value::from),
        [0, 1, 2].map(|index| objects[index]["log"]["offset"].clone())
    );
}

fn what_records_look_like_is_applied_live_and_nothing_is_sent_again() {
    let mut fixture = Fixture::new("json-live");
    let mut log = File::create(fixture.host.path("logs/app.log")).unwrap();
    let mut managed = fixture.host.start_managed(&[]);
    let head = fixture.host.head(&kafka::shared().address(), &fixture.topic);
    let entries = [
        "",
        "format = \"json\"\n",
        "format = \"json\"\nfields = { a = 1 }\n",
        "fields = { b = \"2\" }\n",
    ];
    for (count, entry) in entries.iter().enumerate() {
        if count > 0 {
            fixture
                .host
                .settings(&format!("{head}[[logs]]\npath = \"logs/*.log\"\n{entry}"));
            managed.until_count("READY=1", count + 1);
        }
        log.write_all(b"line\n").unwrap();
        fixture.reader.until_count(count + 1);
    }
    managed.service.stop();
    let records = fixture.reader.everything();
    assert_eq!(records.len(), 4);
    assert_eq!((records[0].text(), records[3].text()), ("line".into(), "line".into()));
    let objects = [object(&records[1]), object(&records[2])];
    assert_eq!((&objects[0]["a"], &objects[1]["a"]), (&Value::Null, &json!(1)));
    assert_eq!(objects[1]["log"]["offset"], 10);
    assert_eq!(records[3].header("b"), Some("2".into()));
}

fn preview_shows_what_would_ship() {
    let mut fixture = Fixture::with("json-preview", &format!("format = \"json\"\nheaders = true\n{FIELDS}"));
    let path = fixture.host.path("logs/shop.log");
    fs::write(&path, "one\ntwo \"2\"\n").unwrap();
    let service = fixture.host.start();
    fixture.reader.until_count(2);
    service.stop();
    let preview = |arguments: &[&str]| -> Vec<Value> {
        let arguments = [&["preview", path.to_str().unwrap()], arguments].concat();
        let output = fixture.host.run(&arguments);
        assert_eq!(output.code, Some(0), "{}", output.stderr);
        output
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    // Another file id and another time are the only differences.
    let same = |mut object: Value| {
        object["@timestamp"] = Value::Null;
        object["logcatch"]["file_id"] = Value::Null;
        object
    };
    let shown = preview(&[]);
    let records = fixture.reader.everything();
    let shipped: Vec<Value> = records.iter().map(|record| same(object(record))).collect();
    assert_eq!(shown.into_iter().map(same).collect::<Vec<_>>(), shipped);
    for (shown, record) in preview(&["--json"]).iter().zip(records) {
        let value: Value = serde_json::from_str(shown["value"].as_str().unwrap()).unwrap();
        assert_eq!(same(value), same(object(record)));
        assert_eq!(
            shown["headers"]["log.offset"],
            json!(record.header("log.offset").unwrap())
        );
        assert_eq!(shown["headers"]["host.name"], "test-host");
    }
}

fn a_dead_letter_keeps_its_headers() {
    let broker = kafka::shared();
    let topic = broker.topic_with("letter-headers", 1, &[("max.message.bytes", "2000")]);
    let mut fixture = Fixture::new("letter-headers");
    let head = fixture.host.head(&broker.address(), &topic);
    fixture.host.settings(&format!(
        "{head}[[logs]]\npath = \"logs/*.log\"\nheaders = true\nfields = {{ env = \"prod\" }}\n"
    ));
    // Nothing that compression makes small.
    let random = std::iter::successors(Some(1_u32), |n| {
        Some(n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223))
    });
    let letter = |n: u32| char::from(b'!' + u8::try_from((n >> 16) % 89).unwrap());
    let long: String = random.map(letter).take(4000).collect();
    fs::write(fixture.host.path("logs/app.log"), format!("one\n{long}\n")).unwrap();
    let service = fixture.host.start();
    service.wait_log("kept as a dead letter");
    service.stop();
    let to = fixture.topic.clone();
    let output = fixture.host.run(&["dead-letters", "resend", "--topic", &to]);
    assert_eq!(output.code, Some(0), "{} {}", output.stdout, output.stderr);
    fixture.reader.until_count(1);
    let record = &fixture.reader.everything()[0];
    assert_eq!(record.text(), long);
    assert_eq!(record.header("env"), Some("prod".into()));
    assert_eq!(record.header("log.offset"), Some("4".into()));
}
