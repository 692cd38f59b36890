//! What the live view shows, and what its keys do to it. No terminal here.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use logcatch_actors::{FileRow, Order, Report, State, verdict};

use super::table;

/// Rows that a page key moves where the height is not known.
const PAGE: usize = 10;

/// The state of the view.
#[derive(Debug, Default)]
pub struct View {
    order: Order,
    reverse: bool,
    /// Only rows that contain this.
    filter: String,
    /// The filter is being typed.
    typing: bool,
    /// Only rows that are not as they should be.
    troubled: bool,
    /// Rows that are above the window.
    first: usize,
}

/// What follows from a key.
#[derive(Debug, PartialEq, Eq)]
pub enum After {
    Redraw,
    Quit,
}

impl View {
    /// A key was pressed.
    pub fn key(&mut self, key: KeyEvent) -> After {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c' | 'd') if is_control => return After::Quit,
            KeyCode::Esc if self.typing || !self.filter.is_empty() => {
                self.typing = false;
                self.filter.clear();
            }
            KeyCode::Enter => self.typing = false,
            KeyCode::Backspace if self.typing => {
                self.filter.pop();
            }
            KeyCode::Char(char) if self.typing => self.filter.push(char),
            KeyCode::Char('q') | KeyCode::Esc => return After::Quit,
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Char('s') => self.order = self.order.next(),
            KeyCode::Char('r') => self.reverse = !self.reverse,
            KeyCode::Char('t') => self.troubled = !self.troubled,
            KeyCode::Down => self.first += 1,
            KeyCode::Up => self.first = self.first.saturating_sub(1),
            KeyCode::PageDown => self.first += PAGE,
            KeyCode::PageUp => self.first = self.first.saturating_sub(PAGE),
            KeyCode::Home => self.first = 0,
            _ => {}
        }
        After::Redraw
    }

    /// The lines for a terminal of this size. `trouble` says why there is nothing newer than `report`.
    pub fn lines(&mut self, report: &Report, trouble: Option<&str>, (width, height): (usize, usize)) -> Vec<String> {
        let mut lines = vec![verdict::sentence(report)];
        lines.extend(verdict::remarks(report));
        if let Some(trouble) = trouble {
            lines.insert(0, format!("no news: {trouble}"));
        }
        lines.truncate((height / 3).max(1));
        let mut lines: Vec<String> = lines.iter().map(|line| line.chars().take(width).collect()).collect();
        lines.push(String::new());
        let mut files = table::sorted(&report.files, self.order);
        files.retain(|file| self.shows(file));
        if self.reverse {
            files.reverse();
        }
        // The title and the last line are no rows.
        let room = height.saturating_sub(lines.len() + 2);
        self.first = self.first.min(files.len().saturating_sub(room));
        let shown: Vec<&FileRow> = files.iter().skip(self.first).take(room).copied().collect();
        lines.extend(table::lines(&shown, Some(width), crate::cli::stdout_has_colours()));
        lines.resize(height.saturating_sub(1), String::new());
        lines.push(self.foot(files.len()).chars().take(width).collect());
        lines
    }

    fn shows(&self, file: &FileRow) -> bool {
        let is_fine = file.state == State::Idle || file.state == State::Reading && verdict::keeps_up(file);
        let contains = |text: &str| text.contains(&self.filter);
        let reason = || file.reason.map_or_else(String::new, |reason| reason.to_string());
        (!self.troubled || !is_fine)
            && (contains(&file.path) || contains(&file.log) || contains(&file.state.to_string()) || contains(&reason()))
    }

    fn foot(&self, count: usize) -> String {
        if self.typing {
            return format!("only with: {}_   (Enter keeps it, Esc shows all)", self.filter);
        }
        let mut foot = format!("q quit  s sort ({}", self.order.word());
        foot += if self.reverse { ", reversed)" } else { ")" };
        foot += "  r reverse  / filter";
        if !self.filter.is_empty() {
            foot += &format!(" ({}, Esc shows all)", self.filter);
        }
        foot += if self.troubled { "  t all" } else { "  t only trouble" };
        format!("{foot}  {count} shown")
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::file;
    use super::*;

    fn press(view: &mut View, keys: &str) {
        for char in keys.chars() {
            let code = if char == '\n' {
                KeyCode::Enter
            } else {
                KeyCode::Char(char)
            };
            assert_eq!(view.key(code.into()), After::Redraw);
        }
    }

    fn report() -> Report {
        let number = |n: usize| file(&format!("/log/{n:03}"), State::Idle, 0.0);
        let mut files: Vec<_> = (0..100).map(number).collect();
        files[50] = file("/log/050", State::Blocked, 9.0);
        Report {
            files,
            ..Report::default()
        }
    }

    fn shown(view: &mut View, report: &Report) -> Vec<String> {
        let lines = view.lines(report, None, (200, 24));
        assert_eq!(lines.len(), 24);
        let path = |line: &String| Some(line.split_once("/log/")?.1[..3].to_owned());
        lines.iter().filter_map(path).collect()
    }

    #[test]
    fn keys_sort_filter_and_scroll() {
        let (mut view, report) = (View::default(), report());
        assert_eq!(shown(&mut view, &report)[..2], ["050", "000"]);
        press(&mut view, "t");
        assert_eq!(shown(&mut view, &report), ["050"]);
        press(&mut view, "tsssss");
        assert_eq!(shown(&mut view, &report)[..2], ["000", "001"]);
        view.key(KeyCode::Down.into());
        assert_eq!(shown(&mut view, &report)[0], "001");
        press(&mut view, "r");
        assert_eq!(shown(&mut view, &report)[0], "098");
        press(&mut view, "/q7");
        assert!(shown(&mut view, &report).is_empty(), "typed, not obeyed");
        view.key(KeyCode::Backspace.into());
        view.key(KeyCode::Backspace.into());
        press(&mut view, "07\n");
        assert_eq!(
            shown(&mut view, &report),
            [
                "079", "078", "077", "076", "075", "074", "073", "072", "071", "070", "007"
            ]
        );
        view.key(KeyCode::Esc.into());
        assert!(shown(&mut view, &report).len() > 11);
        for _ in 0..50 {
            view.key(KeyCode::PageDown.into());
        }
        assert_eq!(
            shown(&mut view, &report).last().unwrap(),
            "000",
            "the last page is full"
        );
        assert_eq!(view.key(KeyCode::Char('q').into()), After::Quit);
    }

    #[test]
    fn lines_fit_the_smallest_terminal() {
        for size in [(1, 1), (20, 5), (80, 24)] {
            let lines = View::default().lines(&report(), Some("gone"), size);
            assert!(lines.len() >= size.1, "{size:?}");
        }
    }
}
