//! Files that are not UTF-8. Their bytes are those that Python's encoders write.

use std::fs;
use std::fs::File;
use std::io::Write;

use super::fixture::Fixture;
use crate::harness::case::cases;
use crate::harness::reader::Record;

cases![
    f8_utf_16_ends_lines_at_code_units_and_its_marks_never_ship,
    f8_gbk_and_shift_jis_arrive_byte_for_byte_and_are_split_between_characters,
    f8_a_corrected_encoding_counts_from_the_next_line_on,
    f8_preview_shows_the_same_records,
];

/// The bytes 0x0A in characters beside each other and across them, an emoji of two units, an empty line.
const TEXT: [&str; 6] = [
    "2026-11-26 上线",
    "ਊ\u{a00}\u{d}\u{a0a} ਊ",
    "",
    "über 😀",
    "c\r\r",
    "end",
];

const GBK: [&[u8]; 3] = [
    b"2026-11-26 08:00:01 \xb6\xa9\xb5\xa5\xb7\xfe\xce\xf1 \xc6\xf4\xb6\xaf\xcd\xea\xb3\xc9",
    b"\xb4\xed\xce\xf3\xa3\xba\xca\xfd\xbe\xdd\xbf\xe2\xc1\xac\xbd\xd3\xb3\xac\xca\xb1\xa3\xac\xd5\xfd\xd4\xda\xd6\xd8\xca\xd4",
    b"\xd3\xc3\xbb\xa7\xa1\xb0\xd5\xc5\xc8\xfd\xa1\xb1\xb5\xc7\xc2\xbc\xb3\xc9\xb9\xa6",
];

/// Its second line holds three characters whose second byte is a backslash.
const SHIFT_JIS: [&[u8]; 3] = [
    b"2026-11-26 08:00:01 \x83T\x81[\x83o\x81[\x82\xf0\x8bN\x93\xae\x82\xb5\x82\xdc\x82\xb5\x82\xbd",
    b"\x83G\x83\x89\x81[\x81F\x94\x5c\x97\xcd\x95\x5c\x83\x5c\x82\xcc\x8dX\x90V\x82\xc9\x8e\xb8\x94s\x82\xb5\x82\xdc\x82\xb5\x82\xbd",
    b"\xd5\xb0\xbb\xde\xb0\x96\xbc\x81F\x93c\x92\x86",
];

fn utf_16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(to_bytes).collect()
}

fn values(records: &[Record]) -> Vec<&[u8]> {
    records
        .iter()
        .map(|record| record.value.as_deref().expect("no line is a tombstone"))
        .collect()
}

fn f8_utf_16_ends_lines_at_code_units_and_its_marks_never_ship() {
    let orders = [
        ("utf-16le", "", u16::to_le_bytes as fn(u16) -> [u8; 2]),
        ("utf-16be", "", u16::to_be_bytes),
        // Without a setting its mark says what a file is.
        ("utf-8", "\u{feff}", u16::to_le_bytes),
        ("utf-8", "\u{feff}", u16::to_be_bytes),
    ];
    for (encoding, mark, to_bytes) in orders {
        let mut fixture = Fixture::with("utf16", &format!("encoding = \"{encoding}\""));
        let mut log = File::create(fixture.host.path("logs/app.log")).unwrap();
        let text: String = TEXT.iter().map(|line| format!("{line}\r\n")).collect();
        let bytes = utf_16(&format!("{mark}{text}"), to_bytes);
        // In pieces of three bytes, so that reads can end inside a unit.
        let service = fixture.host.start();
        for piece in bytes.chunks(3) {
            log.write_all(piece).unwrap();
        }
        fixture.reader.until_count(TEXT.len());
        let told = service.stop();
        let expected: Vec<Vec<u8>> = TEXT.iter().map(|line| utf_16(line, to_bytes)).collect();
        assert_eq!(values(fixture.reader.everything()), expected, "{encoding}");
        let account = told
            .lines()
            .find(|line| line.contains("account since the start"))
            .unwrap();
        let skipped = format!("skipped={}", 2 * mark.encode_utf16().count());
        assert!(account.contains(&skipped), "{skipped} in {account}");
    }
    let mut fixture = Fixture::new("utf8-mark");
    fs::write(fixture.host.path("logs/app.log"), "\u{feff}one\ntwo\n").unwrap();
    let service = fixture.host.start();
    fixture.reader.until_count(2);
    service.stop();
    assert_eq!(values(fixture.reader.everything()), [b"one", b"two"]);
}

fn f8_gbk_and_shift_jis_arrive_byte_for_byte_and_are_split_between_characters() {
    for (encoding, lines) in [("gbk", GBK), ("shift_jis", SHIFT_JIS)] {
        let settings = format!("encoding = \"{encoding}\"\nmax_line = \"65B\"");
        let mut fixture = Fixture::with("legacy", &settings);
        // 90 characters of two bytes behind one of one byte: each part ends at an odd place.
        let long = [b"x".as_slice(), &lines[1][..20].repeat(9)].concat();
        let mut bytes = lines.join(&b"\r\n"[..]);
        bytes.extend([b"\n".as_slice(), &long, b"\n"].concat());
        fs::write(fixture.host.path("logs/app.log"), bytes).unwrap();
        let service = fixture.host.start();
        fixture.reader.until_count(6);
        service.stop();
        let records = fixture.reader.everything();
        assert_eq!(values(&records[..3]), lines, "{encoding}");
        let parts = [&long[..65], &long[65..129], &long[129..]];
        assert_eq!(values(&records[3..]), parts, "{encoding}");
        let headers: Vec<_> = records
            .iter()
            .filter_map(|record| record.header("logcatch.part"))
            .collect();
        assert_eq!(headers, ["1", "2", "3/3"]);
    }
}

fn f8_a_corrected_encoding_counts_from_the_next_line_on() {
    let mut fixture = Fixture::new("corrected");
    let mut log = File::create(fixture.host.path("logs/app.log")).unwrap();
    log.write_all(&utf_16("one\n", u16::to_le_bytes)).unwrap();
    let mut managed = fixture.host.start_managed(&[]);
    fixture.reader.until_count(1);
    let head = fixture
        .host
        .head(&crate::harness::kafka::shared().address(), &fixture.topic);
    fixture.host.settings(&format!(
        "{head}[[logs]]\npath = \"logs/*.log\"\nencoding = \"utf-16le\"\n"
    ));
    managed.until_count("READY=1", 2);
    log.write_all(&utf_16("twoਊ\nthree\n", u16::to_le_bytes)).unwrap();
    fixture.reader.until_count(3);
    managed.service.stop();
    let expected = ["one", "twoਊ", "three"].map(|line| utf_16(line, u16::to_le_bytes));
    assert_eq!(
        values(fixture.reader.everything()),
        expected,
        "nothing again, nothing torn"
    );
}

fn f8_preview_shows_the_same_records() {
    let fixture = Fixture::with("preview-gbk", "encoding = \"gbk\"");
    let log = fixture.host.path("logs/app.log");
    fs::write(&log, [GBK.join(&b'\n'), b"\n".to_vec()].concat()).unwrap();
    let output = fixture
        .host
        .command(&["preview", log.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(output.stdout, fs::read(&log).unwrap());
}
