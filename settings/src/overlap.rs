//! What becomes of a file that several entries match.

use std::collections::BTreeSet;

/// How often a file ships that these entries match, given by their names and whether they were named: once for each name, and once
/// for all that have none, by the first of those. Such as "once, by `a.log`" or "2 times, once for each name".
#[must_use]
pub fn how_often<'a>(mut entries: impl Iterator<Item = (&'a str, bool)> + Clone) -> String {
    let names: BTreeSet<_> = entries.clone().collect();
    let first = entries.find(|(_, named)| !named);
    let times = names.iter().filter(|(_, named)| *named).count() + usize::from(first.is_some());
    match first {
        _ if names.len() == 1 => "once".to_owned(),
        Some((first, _)) if times == 1 => format!("once, by `{first}`"),
        _ => format!("{times} times, once for each name"),
    }
}
