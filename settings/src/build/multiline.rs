//! `multiline`: which lines are one record.

use std::sync::Arc;
use std::time::Duration;

use logcatch_tail::{Language, Multiline, Rule};
use regex::bytes::Regex;

use crate::given::{Given, Table, Text};
use crate::reader::Report;

/// The defaults of `multiline.timeout` and `multiline.max_lines`, for those that name a language only.
const TIMEOUT: Duration = Duration::from_secs(1);
const MAX_LINES: usize = 500;

pub(super) fn read(table: &Table, report: &mut Report) -> Option<Arc<Multiline>> {
    let (rule, timeout, max_lines) = match table.given("multiline")? {
        Given::Text(language) => (Rule::Trace(language_of(language)?), TIMEOUT, MAX_LINES),
        Given::Table(given) => {
            let rule = match (given.text("start"), given.text("continues")) {
                (Some(start), None) => Rule::Start(regex(start)?),
                (None, Some(continues)) => Rule::Continues(regex(continues)?),
                _ => {
                    // An expression that is wrong was reported, and is not there.
                    let key = table.spot_of("multiline").key;
                    let is_known = ["start", "continues"]
                        .iter()
                        .any(|name| report.concerns(&format!("{key}.{name}")));
                    if !is_known {
                        let problem = table
                            .spot_of("multiline")
                            .problem("must have either `start` or `continues`");
                        report.problems.push(problem);
                    }
                    return None;
                }
            };
            let max_lines = given.number("max_lines").and_then(|lines| usize::try_from(lines).ok());
            (rule, given.duration("timeout"), max_lines.unwrap_or(MAX_LINES))
        }
        _ => return None,
    };
    let multiline = Multiline {
        rule,
        timeout,
        max_lines,
    };
    Some(Arc::new(multiline))
}

fn language_of(text: &Text) -> Option<Language> {
    Some(match text.value.as_str() {
        "java" => Language::Java,
        "python" => Language::Python,
        "go" => Language::Go,
        _ => return None,
    })
}

/// It is one: its shape was checked.
fn regex(text: &Text) -> Option<Regex> {
    Regex::new(&text.value).ok()
}
