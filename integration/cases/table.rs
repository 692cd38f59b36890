//! `CASES.md` is true: every case has a row, every test that it names exists, and every test named after a case is in it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::harness::case::cases;

cases![
    every_case_has_a_row,
    every_test_in_the_table_exists,
    every_test_named_after_a_case_is_in_the_table,
];

const TABLE: &str = include_str!("../CASES.md");

/// How many cases each theme has.
const THEMES: [(char, usize); 15] = [
    ('D', 7),
    ('R', 8),
    ('F', 8),
    ('M', 2),
    ('T', 15),
    ('U', 4),
    ('X', 3),
    ('L', 4),
    ('P', 10),
    ('C', 5),
    ('S', 5),
    ('K', 11),
    ('E', 5),
    ('B', 5),
    ('Q', 2),
];

/// The rows: a case, and the tests named for it.
fn rows() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    TABLE.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("| ")?.split(" | ").collect();
        let [case, _, tests] = cells[..] else { return None };
        let is_case = case.len() > 1 && case[1..].bytes().all(|byte| byte.is_ascii_digit());
        let tests = tests.split('`').skip(1).step_by(2).collect();
        is_case.then_some((case, tests))
    })
}

fn titles() -> BTreeSet<String> {
    super::all().map(|case| case.title()).collect()
}

fn every_case_has_a_row() {
    let rows: Vec<&str> = rows().map(|(case, _)| case).collect();
    let cases = THEMES
        .iter()
        .flat_map(|(theme, count)| (1..=*count).map(move |number| format!("{theme}{number}")));
    assert_eq!(rows, cases.collect::<Vec<_>>());
}

fn every_test_in_the_table_exists() {
    let titles = titles();
    let exists = |test: &str| match (test.strip_suffix('*'), test.split_once(".rs::")) {
        (Some(group), _) => titles.iter().any(|title| title.starts_with(group)),
        (None, Some((file, function))) => {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("{file}.rs"));
            fs::read_to_string(path).is_ok_and(|text| text.contains(&format!("fn {function}(")))
        }
        (None, None) => titles.contains(test),
    };
    let missing: Vec<&str> = rows()
        .flat_map(|(_, tests)| tests)
        .filter(|test| !exists(test))
        .collect();
    assert!(missing.is_empty(), "in the table only: {missing:#?}");
}

fn every_test_named_after_a_case_is_in_the_table() {
    let in_table: BTreeSet<&str> = rows().flat_map(|(_, tests)| tests).collect();
    let groups: Vec<&str> = in_table.iter().filter_map(|test| test.strip_suffix('*')).collect();
    let titles = titles();
    let is_missing = |title: &&String| {
        let in_group = groups.iter().any(|group| title.starts_with(group));
        case_of(title).is_some() && !in_group && !in_table.contains(title.as_str())
    };
    let missing: Vec<&String> = titles.iter().filter(is_missing).collect();
    assert!(missing.is_empty(), "not in the table: {missing:#?}");
    for (case, tests) in rows() {
        let strangers: Vec<_> = tests
            .iter()
            .filter(|test| case_of(test).is_some_and(|of| of != case))
            .collect();
        assert!(strangers.is_empty(), "in the row of {case}: {strangers:?}");
    }
}

/// The case that a test is named after: `T1` of `rotation::t1_after_a_rename`.
fn case_of(test: &str) -> Option<String> {
    let function = test.rsplit("::").next()?;
    let (word, _) = function.split_once('_')?;
    let (theme, number) = word.split_at_checked(1)?;
    let is_case = theme.as_bytes()[0].is_ascii_lowercase() && !number.is_empty();
    (is_case && number.bytes().all(|byte| byte.is_ascii_digit())).then(|| word.to_uppercase())
}
