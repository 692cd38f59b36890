//! The rows of status: their order, their columns.

use logcatch_actors::words::{bytes, harmless, seconds};
use logcatch_actors::{FileRow, Order, State};

/// The titles, above columns of these widths; the last two have what is left.
const TITLES: [(&str, usize); 5] = [("STATE", 8), ("LAG", 9), ("AGE", 8), ("RATE", 11), ("RESTARTS", 8)];
/// Of a path at least so much is shown, however narrow the terminal.
const SHORTEST_PATH: usize = 16;

/// The rows in order.
pub fn sorted(files: &[FileRow], order: Order) -> Vec<&FileRow> {
    let mut files: Vec<&FileRow> = files.iter().collect();
    files.sort_by(|a, b| order.compare(a, b));
    files
}

/// A title, and a line a file; cut to `width` characters where there is one.
pub fn lines(files: &[&FileRow], width: Option<usize>, colours: bool) -> Vec<String> {
    let fixed: usize = TITLES.iter().map(|(_, width)| width + 1).sum();
    let longest = files.iter().map(|file| name(file).chars().count()).max().unwrap_or(0);
    let path = match width {
        // Half of what is left is for why it waits.
        Some(width) => longest.min(width.saturating_sub(fixed) * 2 / 3).max(SHORTEST_PATH),
        None => longest,
    };
    let mut title = String::new();
    for (text, width) in TITLES {
        title += &if text == "STATE" {
            format!("{text:<width$} ")
        } else {
            format!("{text:>width$} ")
        };
    }
    title += &format!("{:<path$} WHY", "PATH");
    let mut lines = vec![cut(&title, width)];
    for file in files {
        let state = format!("{:<width$}", file.state.to_string(), width = TITLES[0].1);
        let cells = [
            bytes(file.lag_bytes as f64),
            if file.lag_seconds > 0.0 {
                seconds(file.lag_seconds)
            } else {
                "-".to_owned()
            },
            format!("{}/s", bytes(file.bytes_per_second)),
            file.restarts.to_string(),
        ];
        let mut rest = String::new();
        for (cell, (_, width)) in cells.iter().zip(&TITLES[1..]) {
            rest += &format!(" {cell:>width$}");
        }
        rest += &format!(" {:<path$} {}", end_of(&name(file), path), why(file));
        let rest = cut(rest.trim_end(), width.map(|width| width.saturating_sub(TITLES[0].1)));
        lines.push(painted(&state, file.state, colours) + &rest);
    }
    lines
}

/// The path, and the entry if it was given a name.
fn name(file: &FileRow) -> String {
    let path = harmless(&file.path);
    // The first path is the name of an entry without one.
    if file.log.contains('/') {
        path
    } else {
        format!("{path} ({})", harmless(&file.log))
    }
}

fn why(file: &FileRow) -> String {
    let word = file.reason.map_or_else(String::new, |reason| reason.to_string());
    match &file.detail {
        Some(detail) => format!("{word}: {}", harmless(detail)),
        None => word,
    }
}

/// The end of a text that is too long: a file's name is there.
fn end_of(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.to_owned();
    }
    let tail: String = text.chars().skip(length - width.saturating_sub(1)).collect();
    format!("…{tail}")
}

fn cut(text: &str, width: Option<usize>) -> String {
    width.map_or_else(|| text.to_owned(), |width| text.chars().take(width).collect())
}

/// With a colour that says how bad it is (ECMA-48, 8.3.117).
fn painted(text: &str, state: State, colours: bool) -> String {
    let code = match state {
        State::Failed | State::Blocked => "1;31",
        State::Waiting => "33",
        State::Reading => "32",
        State::Idle => "2",
    };
    if colours {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::file;
    use super::*;

    fn files() -> Vec<FileRow> {
        let mut fast = file("/b", State::Reading, 0.2);
        fast.bytes_per_second = 2048.0;
        let mut shaky = file("/c", State::Idle, 0.0);
        shaky.restarts = 3;
        vec![
            fast,
            shaky,
            file("/a", State::Blocked, 70.0),
            file("/d", State::Waiting, 99.0),
        ]
    }

    #[test]
    fn the_worst_is_first_unless_asked_otherwise() {
        let files = files();
        let paths = |order| {
            sorted(&files, order)
                .iter()
                .map(|file| &file.path[1..])
                .collect::<String>()
        };
        assert_eq!(Order::ALL.map(paths), ["adbc", "dabc", "dabc", "bacd", "cabd", "abcd"]);
        assert!(Order::ALL.windows(2).all(|pair| pair[0].next() == pair[1]));
    }

    #[test]
    fn a_row_says_everything_and_is_cut_to_the_terminal() {
        let files = files();
        let all = lines(&sorted(&files, Order::Worst), None, false);
        assert_eq!(
            all[..2],
            [
                "STATE          LAG      AGE        RATE RESTARTS PATH     WHY",
                "blocked    1.0 KiB     70 s       0 B/s        0 /a (app) topic-missing: t: topic does not exist",
            ]
        );
        let narrow = lines(&sorted(&files, Order::Worst), Some(60), false);
        assert!(narrow.iter().all(|line| line.chars().count() <= 60), "{narrow:?}");
        assert_eq!(end_of("/var/log/app.log", 8), "…app.log");
    }
}
