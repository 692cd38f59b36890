use std::sync::Arc;

use proptest::prelude::*;
use regex::bytes::Regex;
use serde_json::{Value, json};

use super::*;
use crate::account::Skip;
use crate::compose::Composer;
use crate::envelope::Envelope;
use crate::envelope::tests::Fixed;
use crate::filter::{Ends, Filter, Sieve, Split};
use crate::frame::{Framed, Framer, Tail};
use crate::multiline::{Multiline, Rule};
use crate::position::FileId;

const TIME: &str = "2016-10-06T00:17:09.669794202Z";

#[track_caller]
fn check_line(line: &str, expected: Option<(Side, &str, bool)>) {
    let expected = expected.map(|(side, text, is_part)| Line {
        side,
        time: TIME.into(),
        text: text.as_bytes().into(),
        is_part,
    });
    assert_eq!(Line::parse(line.as_bytes()), expected, "{line}");
}

#[test]
fn lines_of_both_kinds_are_known_and_others_are_not() {
    use Side::{Stderr, Stdout};
    check_line(&format!("{TIME} stdout F a  b "), Some((Stdout, "a  b ", false)));
    check_line(&format!("{TIME} stderr P a"), Some((Stderr, "a", true)));
    check_line(&format!("{TIME} stderr F:x:y a"), Some((Stderr, "a", false)));
    check_line(&format!("{TIME} stdout F "), Some((Stdout, "", false)));
    check_line(&format!("{TIME} stdout F"), Some((Stdout, "", false)));
    let docker = |log: &str| format!(r#"{{"log":"{log}","stream":"stderr","time":"{TIME}","attrs":{{"a":"b"}}}}"#);
    check_line(&docker(r"a\tb\n"), Some((Stderr, "a\tb", false)));
    check_line(&docker(r"a\r\n"), Some((Stderr, "a", false)));
    check_line(&docker(r"\n"), Some((Stderr, "", false)));
    check_line(&docker("ä"), Some((Stderr, "ä", true)));
    check_line(&docker(""), Some((Stderr, "", true)));
    for other in [
        "",
        "plain text",
        "{\"log\":\"a\\n\"}",
        "{\"log\":\"a",
        "2016-10-06 stdout F a",
        &format!("{TIME} stdin F a"),
        &format!("{TIME} stdout X a"),
        &format!("{TIME} stdout"),
        &docker("a").replace(TIME, "\\\"now\\\""),
    ] {
        check_line(other, None);
    }
}

fn composer(max_line: usize) -> Composer {
    let origin = Arc::new(Fixed(json!({"kubernetes": {"namespace": "ns"}})));
    let envelope = Arc::new(Envelope::new(&*origin, "/l".as_ref(), FileId(1)));
    Composer {
        origin,
        envelope,
        max_line,
    }
}

/// Groups are of lines that begin with a blank.
fn sieve(max_line: usize, has_groups: bool, composer: Option<&Composer>) -> Sieve {
    let rule = Rule::Continues(Regex::new("^ ").unwrap());
    Sieve {
        framer: Framer::new(Containers::reach(max_line)),
        filter: None,
        multiline: has_groups.then(|| Arc::new(Multiline::of(rule, 4))),
        ends: Ends::None,
        containers: Some(Containers::new(composer, max_line, 0)),
    }
}

fn frame(sieve: &Sieve, data: &[u8], tail: Tail) -> Framed {
    sieve.frame(data, 0, tail, Split::default(), usize::MAX)
}

fn texts(framed: &Framed) -> Vec<String> {
    let buffer = &framed.made.as_ref().unwrap().buffer;
    let text = |record: &std::ops::Range<u32>| &buffer[record.start as usize..record.end as usize];
    let texts = framed.records.iter().map(text);
    texts.map(|text| String::from_utf8_lossy(text).into_owned()).collect()
}

fn cri(side: &str, tag: &str, text: &str) -> String {
    format!("{TIME} {side} {tag} {text}\n")
}

#[track_caller]
fn check(sieve: &Sieve, data: &str, tail: Tail, expected: &[&str], rest: &str) -> Framed {
    let framed = frame(sieve, data.as_bytes(), tail);
    assert_eq!(texts(&framed), expected);
    assert_eq!(&data[framed.consumed..], rest, "what is left for later");
    framed
}

#[test]
fn parts_are_joined_by_stream_and_what_waits_for_its_rest_holds_only_the_position() {
    let (out, err) = (cri("stdout", "P", "a "), cri("stderr", "F", "x"));
    let both = format!("{out}{err}{}{}", cri("stderr", "P", "y"), cri("stdout", "F", "b"));
    let framed = check(
        &sieve(100, false, None),
        &format!("{out}{err}"),
        Tail::Open,
        &["x"],
        &format!("{out}{err}"),
    );
    assert_eq!(framed.taken, Some(err.len()));
    let sides = framed.sides.unwrap();
    assert_eq!(sides.map(|side| side.offset), [0, (out.len() + err.len()) as u64]);
    // What was read goes on there.
    let split = Split {
        sides: framed.sides,
        ..Split::default()
    };
    let again = sieve(100, false, None).frame(both.as_bytes(), 0, Tail::Open, split, 9);
    assert_eq!(texts(&again), ["a b"]);
    assert_eq!(again.consumed, out.len() + err.len());
    assert_eq!(
        again.made.unwrap().extents[0].start,
        0,
        "the offset is that of the first part"
    );
    check(&sieve(100, false, None), &both, Tail::Final, &["x", "a b", "y"], "");
}

#[test]
fn a_joined_line_longer_than_a_record_is_split_and_its_parts_are_marked() {
    let data = [("P", "01234567"), ("P", "89"), ("P", "abc"), ("F", "")]
        .map(|(tag, text)| cri("stdout", tag, text))
        .concat();
    let framed = check(&sieve(10, true, None), &data, Tail::Open, &["0123456789", "abc"], "");
    assert_eq!(framed.parts, [(0, "1".into()), (1, "2/2".into())]);
    let long = cri("stdout", "F", "0123456789abcdefghijé");
    let framed = check(
        &sieve(10, true, None),
        &long,
        Tail::Open,
        &["0123456789", "abcdefghij", "é"],
        "",
    );
    assert_eq!(framed.parts, [(0, "1".into()), (1, "2".into()), (2, "3/3".into())]);
    assert_eq!(framed.taken, Some(long.len()), "each byte counts once");
}

#[test]
fn groups_are_of_one_stream_each() {
    let data = [
        ("stdout", "1"),
        ("stderr", "x"),
        ("stdout", " a"),
        ("stderr", " y"),
        ("stdout", "2"),
        ("stderr", " z"),
    ]
    .map(|(side, text)| cri(side, "F", text))
    .concat();
    let framed = check(
        &sieve(100, true, None),
        &data,
        Tail::Open,
        &["1\n a"],
        &data[cri("stdout", "F", "1").len()..],
    );
    assert!(framed.open.is_some());
    check(
        &sieve(100, true, None),
        &data,
        Tail::Final,
        &["1\n a", "2", "x\n y\n z"],
        "",
    );
}

#[test]
fn what_no_runtime_wrote_ships_as_it_is_and_ends_what_was_open() {
    let data = format!(
        "{}odd {{\n{{\"log\":\n{}",
        cri("stdout", "P", "a"),
        cri("stdout", "F", "b")
    );
    let framed = check(
        &sieve(100, true, None),
        &data,
        Tail::Final,
        &["a", "odd {", "{\"log\":", "b"],
        "",
    );
    assert!(framed.is_odd);
    let framed = check(&sieve(4, false, None), "odd line\n", Tail::Open, &["odd ", "line"], "");
    assert_eq!(framed.parts, [(0, "1".into()), (1, "2/2".into())]);
}

#[test]
fn an_object_says_stream_and_the_time_that_the_runtime_wrote() {
    let composer = composer(1000);
    let docker = format!("{{\"log\":\"a \\\"b\\\"\\n\",\"stream\":\"stderr\",\"time\":\"{TIME}\"}}\nodd\n");
    let framed = frame(&sieve(1000, false, Some(&composer)), docker.as_bytes(), Tail::Open);
    let objects: Vec<Value> = texts(&framed)
        .iter()
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();
    assert_eq!(objects[0]["message"], "a \"b\"");
    assert_eq!(
        (&objects[0]["stream"], &objects[0]["@timestamp"]),
        (&json!("stderr"), &json!(TIME))
    );
    assert_eq!(objects[0]["kubernetes"]["namespace"], "ns");
    assert_eq!(objects[1]["message"], "odd");
    assert!(objects[1].get("stream").is_none());
    // However it is escaped, no record is longer than it may be.
    let quotes = cri("stdout", "F", &"\"".repeat(2000));
    let framed = frame(&sieve(1000, false, Some(&composer)), quotes.as_bytes(), Tail::Open);
    assert!(framed.records.iter().all(|record| record.end - record.start <= 1000));
    let messages = texts(&framed)
        .into_iter()
        .map(|text| serde_json::from_str::<Value>(&text).unwrap());
    let lengths: usize = messages.map(|object| object["message"].as_str().unwrap().len()).sum();
    assert_eq!(lengths, 2000);
}

#[test]
fn a_filter_sees_what_the_program_wrote() {
    let sieve = Sieve {
        filter: Filter::new(&["^b".into()], &[]).unwrap().map(Arc::new),
        ..sieve(5, false, None)
    };
    let data = [("P", "abc"), ("P", "def"), ("F", "bgh"), ("F", "bcd"), ("F", "b012345")]
        .map(|(tag, text)| cri("stdout", tag, text))
        .concat();
    let framed = frame(&sieve, data.as_bytes(), Tail::Open);
    assert_eq!(texts(&framed), ["bcd", "b0123", "45"]);
    let skipped = framed.skipped_for(Skip::NotIncluded);
    assert_eq!(framed.taken.unwrap() as u64 + skipped, data.len() as u64);
}

/// What is known to be the last part says so, if there is nothing left of the line, too.
#[test]
fn a_line_that_was_given_up_has_a_last_part() {
    let parts = |framed: &Framed| framed.parts.iter().map(|(_, part)| part.clone()).collect::<Vec<_>>();
    let line = cri("stdout", "P", "abcdefgh");
    let sieve = sieve(4, false, None);
    let framed = check(
        &sieve,
        &(line.clone() + "odd\n"),
        Tail::Open,
        &["abcd", "efgh", "", "odd"],
        "",
    );
    assert_eq!(
        (parts(&framed), framed.taken),
        (["1", "2", "3/3"].map(str::to_owned).to_vec(), Some(line.len() + 4))
    );
    let first = check(&sieve, &line, Tail::Open, &["abcd", "efgh"], "");
    let last = sieve.frame(line.as_bytes(), first.consumed, Tail::Final, first.split(), 9);
    assert_eq!(
        (texts(&last), parts(&last), last.sides),
        (vec![String::new()], vec!["3/3".to_owned()], None)
    );
}

/// As progress bars have them.
#[test]
fn a_cr_at_the_end_of_a_part_is_in_the_middle_of_the_line() {
    let data = [("P", "aaa\r"), ("P", "\r"), ("F", "bbb\r"), ("F", "c")]
        .map(|(tag, text)| cri("stdout", tag, text))
        .concat();
    let framed = check(&sieve(100, false, None), &data, Tail::Open, &["aaa\r\rbbb", "c"], "");
    assert_eq!(framed.taken, Some(data.len()));
    // An empty part has nothing in the middle.
    let none = format!("{TIME} stdout P\r\n");
    check(
        &sieve(100, false, None),
        &(none + &cri("stdout", "F", "c")),
        Tail::Open,
        &["c"],
        "",
    );
    let docker = format!("{{\"log\":\"a\",\"stream\":\"stdout\",\"time\":\"{TIME}\"}}\r\n");
    check(
        &sieve(100, false, None),
        &(docker + &cri("stdout", "F", "c")),
        Tail::Open,
        &["ac"],
        "",
    );
}

/// Runtimes cut at 16 KiB, inside a character, too.
#[test]
fn a_part_of_a_joined_line_ends_between_characters_whatever_the_runtime_cut() {
    let text = "aé€😀b€é".repeat(9);
    // 11 and more: what is missing of its last character makes a piece longer than a record.
    for piece in (4..=7).chain(11..=40) {
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(piece).collect();
        let line = |(nth, bytes): (usize, &&[u8])| {
            let tag = if nth + 1 == pieces.len() { "F" } else { "P" };
            [cri("stdout", tag, "").trim_end_matches('\n').as_bytes(), bytes, b"\n"].concat()
        };
        let data: Vec<u8> = pieces.iter().enumerate().flat_map(line).collect();
        let sieve = sieve(13, false, None);
        let whole = frame(&sieve, &data, Tail::Open);
        assert_eq!(texts(&whole).concat(), text, "{piece}");
        assert_eq!(whole.taken, Some(data.len()), "each byte counts once");
        assert!(whole.records.iter().all(|record| record.len() <= 13), "{piece}");
        // Wherever it is read on.
        let (mut found, mut at, mut split, mut taken) = (Vec::new(), 0, Split::default(), 0);
        let reads = (0..=data.len()).step_by(20).map(|seen| (seen, 1));
        for (seen, records) in reads.chain([(data.len(), 1), (data.len(), 99)]) {
            let framed = sieve.frame(&data[..seen], at, Tail::Open, split, records);
            found.extend(texts(&framed));
            taken += framed.taken.unwrap();
            (at, split) = (framed.consumed, framed.split());
        }
        assert_eq!((&found, taken), (&texts(&whole), data.len()), "{piece}");
    }
}

/// For each stream by itself.
#[test]
fn what_a_limit_cuts_off_a_group_ships_if_its_beginning_does() {
    let sieve = Sieve {
        filter: Filter::new(&["^x".into()], &[]).unwrap().map(Arc::new),
        ..sieve(100, true, None)
    };
    let long = |first: &str| [first, " 1", " 2", " 3", " 4", " 5", " x"].map(str::to_owned);
    let both = long("x").into_iter().zip(long("y"));
    let data: String = both
        .map(|(out, err)| cri("stdout", "F", &out) + &cri("stderr", "F", &err))
        .collect();
    let data = data + &cri("stdout", "F", "z") + &cri("stderr", "F", "x");
    let framed = frame(&sieve, data.as_bytes(), Tail::Final);
    assert_eq!(texts(&framed), ["x\n 1\n 2\n 3", " 4\n 5\n x", "x"]);
    // Over a restart, too: the position knows.
    let (mut found, mut at, mut split) = (Vec::new(), 0, Split::default());
    for seen in (0..=data.len()).step_by(20).chain([data.len()]) {
        let tail = if seen == data.len() { Tail::Final } else { Tail::Open };
        let framed = sieve.frame(&data.as_bytes()[..seen], at, tail, split, 9);
        found.extend(texts(&framed));
        (at, split) = (framed.consumed, framed.split());
    }
    assert_eq!(found, ["x\n 1\n 2\n 3", " 4\n 5\n x", "x"]);
}

/// A program's line, or a part of one, as it stands in the file; or something else.
fn written() -> impl Strategy<Value = String> {
    let text = "[ ab\"é]{0,12}";
    prop_oneof![
        4 => (any::<bool>(), any::<bool>(), text).prop_map(|(is_out, is_part, text)| {
            cri(if is_out { "stdout" } else { "stderr" }, if is_part { "P" } else { "F" }, &text)
        }),
        2 => (any::<bool>(), any::<bool>(), text).prop_map(|(is_out, is_part, text)| {
            let log = if is_part { text } else { text + "\n" };
            let stream = if is_out { "stdout" } else { "stderr" };
            json!({"log": log, "stream": stream, "time": TIME}).to_string() + "\n"
        }),
        1 => "[a-c]{0,8}\n",
    ]
}

/// Records by what they are of, with their parts and offsets.
type Found = [Vec<(Value, Option<String>, u32)>; 3];

fn add(found: &mut Found, framed: &Framed) {
    let extents = &framed.made.as_ref().unwrap().extents;
    for (nth, (text, extent)) in texts(framed).into_iter().zip(extents).enumerate() {
        let object: Value = serde_json::from_str(&text).unwrap();
        let lane = match object.get("stream").and_then(Value::as_str) {
            Some("stdout") => 0,
            Some(_) => 1,
            None => 2,
        };
        let part = framed
            .parts
            .iter()
            .find(|(of, _)| *of as usize == nth)
            .map(|(_, part)| part.clone());
        found[lane].push((object["message"].clone(), part, extent.start));
    }
}

proptest! {
    /// F6, M2: what is in a record of a stream depends on the bytes of the file, and neither on the pieces in which they come
    /// nor on restarts; each byte counts once.
    #[test]
    fn records_of_a_stream_are_a_function_of_the_bytes(
        lines in proptest::collection::vec(written(), 0..40),
        reads in proptest::collection::vec(1usize..300, 1..30),
        room in 3usize..40,
        (few, space) in (1usize..5, 1usize..2000),
        (has_groups, has_filter, ends) in any::<(bool, bool, bool)>(),
        reach in 150usize..2000,
    ) {
        let data = lines.concat().into_bytes();
        let end = if ends { Tail::Final } else { Tail::Open };
        let max_line = composer(0).envelope.size() + 32 + 64 + room;
        let composer = composer(max_line);
        let mut sieve = sieve(max_line, has_groups, Some(&composer));
        sieve.framer = Framer::new(reach);
        sieve.filter = Filter::new(&[], &["b".into()]).unwrap().map(Arc::new).filter(|_| has_filter);
        let whole = frame(&sieve, &data, end);
        let mut expected = Found::default();
        add(&mut expected, &whole);
        sieve.containers = sieve.containers.map(|containers| containers.within(space));
        let (mut at, mut split, mut seen) = (0, Split::default(), 0);
        let (mut found, mut taken, mut skipped) = (Found::default(), 0, 0);
        for read in reads.iter().copied().chain([data.len()]) {
            seen = (seen + read).min(data.len());
            loop {
                let tail = if seen == data.len() { end } else { Tail::Open };
                let framed = sieve.frame(&data[..seen], at, tail, split, few);
                if framed.is_nothing(at) {
                    split = framed.split();
                    break;
                }
                add(&mut found, &framed);
                taken += framed.taken.unwrap();
                skipped += framed.skipped_for(Skip::Excluded);
                (at, split) = (framed.consumed, framed.split());
            }
        }
        prop_assert_eq!(&found, &expected);
        prop_assert_eq!((at, split), (whole.consumed, whole.split()));
        prop_assert_eq!(taken, whole.taken.unwrap());
        prop_assert_eq!(skipped, whole.skipped_for(Skip::Excluded));
        if ends {
            prop_assert_eq!((at, taken as u64 + skipped), (data.len(), data.len() as u64));
            prop_assert_eq!(split.sides, None);
        }
    }
}
