//! The judge is judged: each fault, made by hand, must be found under its own name and no other.

use std::sync::Arc;

use crate::harness::case::cases;
use crate::harness::lines::LineId;
use crate::harness::oracle::{Fairness, Fault, Oracle, Verdict};
use crate::harness::reader::Record;

cases![
    lines_as_written_have_no_fault,
    a_missing_line_is_lost,
    a_repeated_line_is_a_duplicate,
    a_loss_and_a_duplicate_do_not_cancel_out,
    swapped_lines_are_reordered,
    swapped_generations_are_reordered_unless_late_lines_are_allowed,
    a_file_in_two_partitions_is_reordered,
    any_piece_of_a_line_is_torn,
    two_lines_in_a_record_are_merged,
    what_nobody_wrote_is_a_phantom,
    a_line_under_another_key_is_misattributed,
    a_loss_is_excused_at_the_end_of_a_generation_only,
    a_repeat_is_excused_where_a_crash_lies_between_only,
    a_late_line_may_be_overtaken_and_no_other,
    half_a_line_is_excused_where_the_line_is_only,
];

/// Two generations of one file and another file, ten lines each, as they should arrive.
fn world(oracle: &Oracle) -> Vec<Record> {
    let (app, web): (Arc<str>, Arc<str>) = ("app".into(), "web".into());
    oracle.key("app", "key-app");
    oracle.key("web", "key-web");
    let mut records = Vec::new();
    for _ in 0..10 {
        records.push(record(0, "key-app", &oracle.next(&app, 1)));
        records.push(record(1, "key-web", &oracle.next(&web, 1)));
    }
    records.extend((0..10).map(|_| record(0, "key-app", &oracle.next(&app, 2))));
    records
}

fn record(partition: i32, key: &str, value: &str) -> Record {
    let (key, value) = (Some(key.into()), Some(value.into()));
    Record {
        partition,
        offset: 0,
        key,
        value,
        headers: Vec::new(),
        time: 0,
    }
}

/// Changes what arrived and gives the faults that are found then.
fn faults_after(change: impl Fn(&mut Vec<Record>)) -> Vec<Fault> {
    let oracle = Oracle::default();
    let mut records = world(&oracle);
    change(&mut records);
    oracle
        .judge(&records)
        .faults
        .into_iter()
        .map(|(fault, _)| fault)
        .collect()
}

fn change_value(record: &mut Record, change: impl Fn(&mut Vec<u8>)) {
    change(record.value.as_mut().unwrap());
}

fn lines_as_written_have_no_fault() {
    assert_eq!(faults_after(|_| ()), []);
}

fn a_missing_line_is_lost() {
    assert_eq!(faults_after(|records| drop(records.remove(4))), [Fault::Lost]);
    assert_eq!(faults_after(|records| drop(records.pop())), [Fault::Lost]);
    assert_eq!(faults_after(Vec::clear), [Fault::Lost; 30]);
}

fn a_repeated_line_is_a_duplicate() {
    assert_eq!(
        faults_after(|records| records.push(records[4].clone())),
        [Fault::Duplicate]
    );
    assert_eq!(
        faults_after(|records| records.extend(records.clone())),
        [Fault::Duplicate; 30]
    );
}

fn a_loss_and_a_duplicate_do_not_cancel_out() {
    assert_eq!(
        faults_after(|records| records[4] = records[2].clone()),
        [Fault::Duplicate, Fault::Lost]
    );
}

fn swapped_lines_are_reordered() {
    assert_eq!(faults_after(|records| records.swap(4, 6)), [Fault::Reordered]);
    // Lines of different files have no order.
    assert_eq!(faults_after(|records| records.swap(4, 5)), []);
}

fn swapped_generations_are_reordered_unless_late_lines_are_allowed() {
    assert_eq!(faults_after(|records| records.rotate_left(20)), [Fault::Reordered]);
    let oracle = Oracle::with_late_lines();
    let mut records = world(&oracle);
    records.rotate_left(20);
    oracle.judge(&records).assert_clean();
    records.swap(4, 5);
    assert_eq!(oracle.judge(&records).count(Fault::Reordered), 1);
}

fn a_file_in_two_partitions_is_reordered() {
    assert_eq!(faults_after(|records| records[29].partition = 1), [Fault::Reordered]);
}

fn any_piece_of_a_line_is_torn() {
    let cuts: [fn(&mut Vec<u8>); 4] = [
        |v| v.truncate(9),
        |v| drop(v.drain(..9)),
        |v| v.truncate(v.len() - 1),
        |v| *v = v[3..12].to_vec(),
    ];
    for cut in cuts {
        assert_eq!(
            faults_after(|records| change_value(&mut records[4], cut)),
            [Fault::Torn, Fault::Lost]
        );
    }
}

fn two_lines_in_a_record_are_merged() {
    let next = |records: &[Record]| records[6].value.clone().unwrap();
    for end in ["", "\n", "\0"] {
        let found = faults_after(|records| {
            let second = next(records);
            change_value(&mut records[4], |v| v.extend(end.bytes().chain(second.clone())));
        });
        assert_eq!(found, [Fault::Merged, Fault::Lost]);
    }
    let found = faults_after(|records| {
        let second = next(records);
        change_value(&mut records[4], |v| v.extend(&second[..7]));
    });
    assert_eq!(found, [Fault::Merged, Fault::Lost]);
}

fn what_nobody_wrote_is_a_phantom() {
    let never_written = LineId {
        file: "app".into(),
        generation: 1,
        number: 11,
    }
    .text();
    for value in [
        never_written.as_str(),
        "",
        "\0\0\0",
        "something else",
        "<app 1 3 lorem 0123456789abcdef>",
    ] {
        assert_eq!(
            faults_after(|records| records.push(record(0, "key-app", value))),
            [Fault::Phantom],
            "{value}"
        );
    }
    let flipped = faults_after(|records| change_value(&mut records[4], |v| v[5] ^= 1));
    assert_eq!(flipped, [Fault::Phantom, Fault::Lost]);
    let tombstone = faults_after(|records| records[4].value = None);
    assert_eq!(tombstone, [Fault::Phantom, Fault::Lost]);
}

fn a_line_under_another_key_is_misattributed() {
    assert_eq!(
        faults_after(|records| records[4].key = Some("key-web".into())),
        [Fault::Misattributed]
    );
    assert_eq!(faults_after(|records| records[4].key = None), [Fault::Misattributed]);
}

/// Of generation 1 of `app` the lines from the ninth on could not be read, and the tenth was late; a crash at 100.
struct Harsh;

impl Fairness for Harsh {
    fn may_miss(&self, line: &LineId) -> bool {
        (&*line.file, line.generation) == ("app", 1) && line.number >= 9
    }

    fn may_repeat(&self, _: &LineId, first: i64, again: i64) -> bool {
        first < 100 && again >= 100
    }

    fn may_tear(&self, piece: &[u8]) -> bool {
        piece.starts_with(b"<app 1 9 ")
    }

    fn is_late(&self, line: &LineId) -> bool {
        (&*line.file, line.generation, line.number) == ("app", 1, 10)
    }
}

/// What the judge says in that world, where the lines of `app` are 0, 2 ... 18, then 20 to 29.
fn harsh(change: impl Fn(&mut Vec<Record>)) -> Verdict {
    let oracle = Oracle::default();
    let mut records = world(&oracle);
    change(&mut records);
    oracle.judge_fairly(&records, &Harsh)
}

fn kinds(verdict: &Verdict) -> Vec<Fault> {
    verdict.faults.iter().map(|(fault, _)| *fault).collect()
}

fn a_loss_is_excused_at_the_end_of_a_generation_only() {
    let last_two = harsh(|records| {
        records.remove(18);
        records.remove(16);
    });
    assert_eq!((kinds(&last_two), last_two.excused), (vec![], 2));
    let one_before_the_last = harsh(|records| drop(records.remove(16)));
    assert_eq!(kinds(&one_before_the_last), [Fault::Lost]);
    let one_that_is_owed = harsh(|records| {
        records.remove(18);
        records.remove(16);
        records.remove(14);
    });
    assert_eq!(kinds(&one_that_is_owed), [Fault::Lost]);
}

fn a_repeat_is_excused_where_a_crash_lies_between_only() {
    let repeat = |time| {
        harsh(|records| {
            let again = records[4].clone();
            records.push(Record { time, ..again });
        })
    };
    let explained = repeat(100);
    assert_eq!((kinds(&explained), explained.repeated), (vec![], 1));
    assert_eq!(kinds(&repeat(99)), [Fault::Duplicate]);
}

fn a_late_line_may_be_overtaken_and_no_other() {
    let moved_to_the_end = |index| {
        harsh(|records| {
            let moved = records.remove(index);
            records.push(moved);
        })
    };
    assert_eq!(kinds(&moved_to_the_end(18)), []);
    assert_eq!(kinds(&moved_to_the_end(14)), [Fault::Reordered]);
}

fn half_a_line_is_excused_where_the_line_is_only() {
    let halved = |index: usize| {
        harsh(|records| {
            change_value(&mut records[index], |value| value.truncate(20));
            records.remove(18);
        })
    };
    let excused = halved(16);
    assert_eq!((kinds(&excused), excused.torn, excused.excused), (vec![], 1, 2));
    assert_eq!(kinds(&halved(14)), [Fault::Torn, Fault::Lost]);
}
