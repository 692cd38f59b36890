//! Which bytes become which record.

use std::fs;

use super::fixture::Fixture;
use crate::harness::case::cases;
use crate::harness::reader::texts;

cases![
    f1_half_a_line_a_pause_and_the_rest_are_one_record,
    f2_half_a_line_a_restart_and_the_rest_are_one_record,
    f3_a_line_without_its_end_waits_for_it,
    f4_every_empty_line_is_an_empty_record,
    f5_line_ends_go_and_blanks_stay,
    f6_bytes_that_are_no_text_arrive_unchanged,
    f7_a_line_over_the_limit_is_split_and_its_neighbours_are_whole,
    f7_a_line_of_1_7_megabytes_is_split_in_two,
    f7_200_megabytes_without_a_line_end_ship_in_bounded_memory,
];

/// What a log of these bytes becomes.
fn shipped(name: &str, entry: &str, bytes: &[u8], records: usize) -> Vec<Vec<u8>> {
    let mut fixture = Fixture::with(name, entry);
    fs::write(fixture.host.path("logs/app.log"), bytes).unwrap();
    let service = fixture.host.start();
    fixture.reader.until_count(records);
    service.stop();
    let values = fixture.reader.everything().iter().map(|record| record.value.clone());
    values.map(|value| value.expect("no line is a tombstone")).collect()
}

fn f1_half_a_line_a_pause_and_the_rest_are_one_record() {
    let mut fixture = Fixture::new("half");
    let mut log = fixture.log("logs/app.log");
    let service = fixture.host.start();
    for _ in 0..3 {
        let line = log.lines(1, "\n");
        let (first, rest) = line.as_bytes().split_at(17);
        log.write_raw(first);
        fixture.chance_to_ship();
        log.write_raw(rest);
        fixture.caught_up();
    }
    fixture.finish(service);
}

fn f2_half_a_line_a_restart_and_the_rest_are_one_record() {
    let mut fixture = Fixture::new("half-restart");
    let mut log = fixture.log("logs/app.log");
    log.write(10);
    let service = fixture.host.start();
    fixture.caught_up();
    let line = log.lines(1, "\n");
    let (first, rest) = line.as_bytes().split_at(17);
    log.write_raw(first);
    service.stop();
    log.write_raw(rest);
    let service = fixture.host.start();
    fixture.finish(service);
}

fn f3_a_line_without_its_end_waits_for_it() {
    let mut fixture = Fixture::new("no-end");
    let mut log = fixture.log("logs/app.log");
    log.write_raw(b"no end");
    let service = fixture.host.start();
    fixture.chance_to_ship();
    assert!(!texts(fixture.reader.everything()).contains(&"no end".to_owned()));
    log.write_raw(b" yet\n");
    fixture
        .reader
        .until("the line", |records| texts(records).contains(&"no end yet".to_owned()));
    service.stop();
    assert_eq!(fixture.reader.everything().len(), 2);
}

fn f4_every_empty_line_is_an_empty_record() {
    let values = shipped("empty", "", b"\n\nfirst\n\n\nsecond\n\n", 7);
    assert_eq!(values, [b"".as_slice(), b"", b"first", b"", b"", b"second", b""]);
    assert_eq!(shipped("only-empty", "", b"\n\n\n", 3), [b"", b"", b""]);
}

fn f5_line_ends_go_and_blanks_stay() {
    let values = shipped("ends", "", b"a\r\nb\n\tc \r\n\r\n \r\r\nd\re\n", 6);
    assert_eq!(values, [b"a".as_slice(), b"b", b"\tc ", b"", b" \r", b"d\re"]);
}

fn f6_bytes_that_are_no_text_arrive_unchanged() {
    let mut bytes: Vec<u8> = (0..=255).filter(|byte| *byte != b'\n').collect();
    bytes.extend(b"\nnul \0 inside\n\0\0\n\xff\xfe\xf0\x9f\n");
    let expected: Vec<Vec<u8>> = bytes
        .strip_suffix(b"\n")
        .unwrap()
        .split(|b| *b == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    assert_eq!(shipped("binary", "", &bytes, 4), expected);
}

fn f7_a_line_over_the_limit_is_split_and_its_neighbours_are_whole() {
    const LIMIT: usize = 1000;
    let mut fixture = Fixture::with("split", "max_line = \"1000B\"");
    let long = "x".repeat(2 * LIMIT + 1);
    let exact = "y".repeat(LIMIT);
    // No cut falls inside a character of two bytes.
    let umlauts = format!("z{}", "ä".repeat(LIMIT / 2));
    fs::write(
        fixture.host.path("logs/app.log"),
        format!("before\n{long}\n{exact}\n{umlauts}\nafter\n"),
    )
    .unwrap();
    let service = fixture.host.start();
    fixture.reader.until_count(8);
    service.stop();
    let records = fixture.reader.everything();
    let found: Vec<(String, Option<String>)> = records
        .iter()
        .map(|record| (record.text(), record.header("logcatch.part")))
        .collect();
    let part = |text: &str, part: &str| (text.to_owned(), Some(part.to_owned()));
    let whole = |text: &str| (text.to_owned(), None);
    let expected = [
        whole("before"),
        part(&long[..LIMIT], "1"),
        part(&long[LIMIT..2 * LIMIT], "2"),
        part("x", "3/3"),
        whole(&exact),
        part(&umlauts[..LIMIT - 1], "1"),
        part("ä", "2/2"),
        whole("after"),
    ];
    assert_eq!(found, expected);
}

/// What is longer than the limit by default, 900 KiB.
fn f7_a_line_of_1_7_megabytes_is_split_in_two() {
    assert_split("long", 1_700_000, 2);
}

fn f7_200_megabytes_without_a_line_end_ship_in_bounded_memory() {
    assert_split("endless", 200_000_000, 218);
}

fn assert_split(name: &str, length: usize, parts: usize) {
    const LIMIT: usize = 900 * 1024;
    const PROMISED: u64 = 100_000_000;
    let mut fixture = Fixture::new(name);
    let long: Vec<u8> = (b'a'..b'x').cycle().take(length).collect();
    fs::write(
        fixture.host.path("logs/app.log"),
        [b"before\n", long.as_slice(), b"\nafter\n"].concat(),
    )
    .unwrap();
    let service = fixture.host.start();
    fixture.reader.until_count(parts + 2);
    let peak = service.peak_memory();
    assert!(peak < PROMISED, "{peak} bytes resident");
    service.stop();
    let records = fixture.reader.everything();
    assert_eq!(records.len(), parts + 2);
    assert_eq!(
        (records[0].text(), records[parts + 1].text()),
        ("before".into(), "after".into())
    );
    for (index, record) in records[1..=parts].iter().enumerate() {
        let number = index + 1;
        let part = if number == parts {
            format!("{parts}/{parts}")
        } else {
            number.to_string()
        };
        assert_eq!(record.header("logcatch.part"), Some(part));
        let bytes = &long[index * LIMIT..length.min(number * LIMIT)];
        assert!(
            record.value.as_deref() == Some(bytes),
            "part {number} is not what was written"
        );
    }
}
