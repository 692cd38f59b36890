//! Which files are shown, and in what order: asked for in the query of an address.

use logcatch_actors::{FileRow, Order, State};
use serde::{Deserialize, Serialize};

/// Rows of the page, and of the API unless more are asked for.
pub const ROWS: usize = 200;
/// Characters that are looked for.
const LONGEST: usize = 1000;

/// The query, as it was sent; what is empty is not asked for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    q: String,
    log: String,
    state: String,
    sort: String,
    limit: String,
}

/// A query that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// What the path, the entry, the state or the reason contains.
    pub text: String,
    /// The settings entry; empty for all.
    pub log: String,
    /// The state.
    pub state: Option<State>,
    /// What is first.
    pub order: Order,
    /// Rows at most.
    pub limit: usize,
}

/// The rows that were asked for.
#[derive(Debug, Serialize)]
pub struct Rows<'a> {
    /// All watched paths.
    pub total: usize,
    /// Those that the filter leaves.
    pub matched: usize,
    /// Of these the first.
    pub files: Vec<&'a FileRow>,
}

/// A query that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the query: `{key}` must be {allowed}")]
pub struct BadQuery {
    key: &'static str,
    allowed: &'static str,
}

impl TryFrom<Asked> for Filter {
    type Error = BadQuery;

    fn try_from(asked: Asked) -> Result<Self, BadQuery> {
        let bad = |key, allowed| BadQuery { key, allowed };
        let state = match asked.state.as_str() {
            "" => None,
            word => Some(
                serde_json::from_value(word.into())
                    .map_err(|_| bad("state", "idle, reading, waiting, blocked or failed"))?,
            ),
        };
        let order = match asked.sort.as_str() {
            "" => Order::default(),
            word => (Order::ALL.into_iter().find(|order| order.word() == word))
                .ok_or(bad("sort", "worst, lag, age, rate, restarts or path"))?,
        };
        let limit = match asked.limit.as_str() {
            "" => ROWS,
            number => number.parse().map_err(|_| bad("limit", "a number of rows"))?,
        };
        Ok(Self {
            text: asked.q.chars().take(LONGEST).collect(),
            log: asked.log,
            state,
            order,
            limit,
        })
    }
}

impl Filter {
    /// The rows of these files.
    pub fn rows<'a>(&self, files: &'a [FileRow]) -> Rows<'a> {
        let mut shown: Vec<&FileRow> = files.iter().filter(|file| self.shows(file)).collect();
        let matched = shown.len();
        if matched > self.limit && self.limit > 0 {
            // Only the first are sorted.
            shown.select_nth_unstable_by(self.limit - 1, |a, b| self.order.compare(a, b));
        }
        shown.truncate(self.limit);
        shown.sort_by(|a, b| self.order.compare(a, b));
        Rows {
            total: files.len(),
            matched,
            files: shown,
        }
    }

    fn shows(&self, file: &FileRow) -> bool {
        let contains = |text: &str| text.contains(&self.text);
        let has_text = || {
            contains(&file.path)
                || contains(&file.log)
                || contains(&file.state.to_string())
                || file.reason.is_some_and(|reason| contains(&reason.to_string()))
        };
        (self.log.is_empty() || self.log == file.log)
            && self.state.is_none_or(|state| state == file.state)
            && (self.text.is_empty() || has_text())
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            text: String::new(),
            log: String::new(),
            state: None,
            order: Order::default(),
            limit: ROWS,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use logcatch_actors::Reason;

    use super::*;

    pub fn file(log: &str, path: &str, state: State, lag_seconds: f64) -> FileRow {
        let is_blocked = state == State::Blocked;
        FileRow {
            log: log.into(),
            path: path.into(),
            topic: "t".into(),
            state,
            reason: is_blocked.then_some(Reason::TopicMissing),
            detail: None,
            since_seconds: 1.0,
            size: 2048,
            position: 1024,
            lag_bytes: if lag_seconds > 0.0 { 1024 } else { 0 },
            lag_seconds,
            in_flight_bytes: 0,
            bytes_per_second: 0.0,
            lines_per_second: 0.0,
            restarts: 0,
            generations: 1,
            file_id: "1".into(),
            time_to_loss_seconds: None,
        }
    }

    fn asked(pairs: &[(&str, &str)]) -> Result<Filter, BadQuery> {
        let pairs: serde_json::Map<_, _> = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).into()))
            .collect();
        Filter::try_from(serde_json::from_value::<Asked>(pairs.into()).unwrap())
    }

    #[test]
    fn rows_are_filtered_sorted_and_cut_by_the_server() {
        let mut files: Vec<_> = (0..1000)
            .map(|n| file("app", &format!("/a/{n:03}"), State::Idle, 0.0))
            .collect();
        files.push(file("web", "/w/late", State::Waiting, 50.0));
        files.push(file("web", "/w/blocked", State::Blocked, 5.0));
        let paths = |pairs: &[(&str, &str)]| {
            let filter = asked(pairs).unwrap();
            let rows = filter.rows(&files);
            assert_eq!(rows.total, 1002);
            let paths: Vec<_> = rows.files.iter().map(|file| file.path.clone()).collect();
            (rows.matched, paths)
        };
        let (matched, all) = paths(&[]);
        assert_eq!((matched, all.len()), (1002, ROWS));
        assert_eq!(all[..3], ["/w/blocked", "/w/late", "/a/000"]);
        assert_eq!(
            paths(&[("sort", "age"), ("limit", "1")]),
            (1002, vec!["/w/late".into()])
        );
        assert_eq!(
            paths(&[("log", "web"), ("state", "blocked")]),
            (1, vec!["/w/blocked".into()])
        );
        assert_eq!(
            paths(&[("q", "99"), ("sort", "path"), ("limit", "2")]),
            (19, vec!["/a/099".into(), "/a/199".into()])
        );
        assert_eq!(paths(&[("q", "topic-missing")]).0, 1);
        assert_eq!(paths(&[("limit", "0")]), (1002, vec![]));
    }

    #[test]
    fn a_query_that_means_nothing_is_refused() {
        for (key, value) in [("state", "bad"), ("sort", "size"), ("limit", "-1")] {
            let error = asked(&[(key, value)]).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("cannot read the query: `{key}` must be ")),
                "{error}"
            );
        }
    }
}
