//! What is drawn, and how: a few status rows at the foot, redrawn in place, above which events scroll.
//!
//! Without a terminal, or with one that cannot do it, rows are plain lines and there is no foot.

use std::env;
use std::io::{self, IsTerminal as _, Stdout, Write as _};

use crossterm::cursor::{Hide, MoveToColumn, MoveUp, Show};
use crossterm::queue;
use crossterm::terminal::{self, BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate};

/// The width that is assumed where a terminal does not tell its own.
const USUAL_WIDTH: usize = 80;

/// An event takes this many rows of the terminal at most.
const LONGEST_EVENT: usize = 3;

/// How a piece of text looks, where there is colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// As the terminal writes.
    Plain,
    /// In the background.
    Dim,
    /// To be seen first.
    Strong,
    /// As it should be.
    Good,
    /// Passing, to be watched.
    Busy,
    /// Wrong.
    Bad,
}

/// Pieces of text, one beside the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row(Vec<(Look, String)>);

/// The terminal, in raw mode while it is live; set back on drop.
pub struct Screen {
    out: Stdout,
    live: bool,
    colour: bool,
    /// The widths of the rows of the foot that is on the screen.
    foot: Vec<usize>,
}

impl Row {
    /// Adds a piece.
    #[must_use]
    pub fn with(mut self, look: Look, text: impl Into<String>) -> Self {
        // Text comes from logs and from outside: what would move the cursor is left out.
        let text: String = text
            .into()
            .chars()
            .map(|char| if char.is_control() { ' ' } else { char })
            .collect();
        self.0.push((look, text));
        self
    }

    /// Without looks.
    pub fn text(&self) -> String {
        self.0.iter().map(|(_, text)| text.as_str()).collect()
    }

    /// Its first `width` characters.
    fn cut(&self, width: usize) -> Self {
        let mut left = width;
        let mut cut = Self::default();
        for (look, text) in &self.0 {
            let piece: String = text.chars().take(left).collect();
            left -= piece.chars().count();
            cut.0.push((*look, piece));
        }
        cut
    }

    /// Rows of at most `width` characters, cut at blanks where there are some, further rows indented like the last piece.
    fn wrap(&self, width: usize) -> Vec<Self> {
        let Some(((look, text), head)) = self.0.split_last() else {
            return Vec::new();
        };
        let indent: usize = head.iter().map(|(_, text)| text.chars().count()).sum();
        let room = width.saturating_sub(indent).max(20);
        let mut rows: Vec<Self> = Vec::new();
        let mut rest = text.as_str();
        loop {
            let mut row = if rows.is_empty() {
                Self(head.to_vec())
            } else {
                Self::default().with(Look::Plain, " ".repeat(indent))
            };
            let end_of = |chars: usize| rest.char_indices().nth(chars).map_or(rest.len(), |(end, _)| end);
            let last = rows.len() + 1 == LONGEST_EVENT;
            let cut = match end_of(room) {
                end if end == rest.len() => end,
                // Room for the sign that something is left out.
                _ if last => end_of(room - 1),
                end => rest[..end].rfind(' ').map_or(end, |blank| blank + 1),
            };
            row.0.push((*look, rest[..cut].trim_end().to_owned()));
            rest = &rest[cut..];
            if last && !rest.is_empty() {
                row.0.push((Look::Dim, "…".to_owned()));
            }
            rows.push(row);
            if last || rest.is_empty() {
                return rows;
            }
        }
    }
}

impl Screen {
    /// Takes the terminal, if there is one for reading keys and for drawing.
    pub fn open() -> io::Result<Self> {
        let out = io::stdout();
        let able = env::var_os("TERM").is_none_or(|term| term != "dumb");
        let live = able && out.is_terminal() && io::stdin().is_terminal();
        let colour = able && out.is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let mut screen = Self {
            out,
            live,
            colour,
            foot: Vec::new(),
        };
        if live {
            terminal::enable_raw_mode()?;
            queue!(screen.out, Hide)?;
        }
        Ok(screen)
    }

    /// Whether keys can be read, and a foot is drawn.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Writes rows whole, also where they are wider than the terminal: they are to be copied.
    pub fn print(&mut self, rows: &[Row]) -> io::Result<()> {
        self.erase_foot()?;
        for row in rows {
            self.write(row)?;
            self.end_row()?;
        }
        self.out.flush()
    }

    /// Writes events, and below them the foot anew.
    pub fn draw(&mut self, events: &[Row], foot: &[Row]) -> io::Result<()> {
        if !self.live {
            return self.print(events);
        }
        queue!(self.out, BeginSynchronizedUpdate)?;
        self.erase_foot()?;
        let width = width();
        for row in events.iter().flat_map(|event| event.wrap(width)) {
            self.write(&row)?;
            self.end_row()?;
        }
        for row in foot {
            // One column stays free: in the last one, terminals differ about where the cursor then is.
            let row = row.cut(width.saturating_sub(1));
            self.write(&row)?;
            self.end_row()?;
            self.foot.push(row.text().chars().count());
        }
        queue!(self.out, EndSynchronizedUpdate)?;
        self.out.flush()
    }

    fn erase_foot(&mut self) -> io::Result<()> {
        // A terminal that became narrower has broken the rows it already held.
        let width = width().max(1);
        let rows: usize = self.foot.drain(..).map(|chars| chars.div_ceil(width).max(1)).sum();
        if let Ok(rows @ 1..) = u16::try_from(rows) {
            queue!(
                self.out,
                MoveUp(rows),
                MoveToColumn(0),
                Clear(ClearType::FromCursorDown)
            )?;
        }
        Ok(())
    }

    fn write(&mut self, row: &Row) -> io::Result<()> {
        for (look, text) in &row.0 {
            match look.code().filter(|_| self.colour) {
                Some(code) => write!(self.out, "\x1b[{code}m{text}\x1b[0m")?,
                None => write!(self.out, "{text}")?,
            }
        }
        Ok(())
    }

    fn end_row(&mut self) -> io::Result<()> {
        self.out.write_all(if self.live { b"\r\n" } else { b"\n" })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.live {
            let _ = queue!(self.out, Show);
            let _ = self.out.flush();
            let _ = terminal::disable_raw_mode();
        }
    }
}

impl Look {
    /// The number for SGR (ECMA-48, 8.3.117).
    fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Dim => Some("2"),
            Self::Strong => Some("1"),
            Self::Good => Some("32"),
            Self::Busy => Some("33"),
            Self::Bad => Some("1;31"),
        }
    }
}

fn width() -> usize {
    match terminal::size() {
        Ok((columns @ 1.., _)) => columns.into(),
        _ => USUAL_WIDTH,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(rows: &[Row]) -> Vec<String> {
        rows.iter().map(Row::text).collect()
    }

    #[test]
    fn long_events_are_wrapped_at_blanks_and_cut_after_three_rows() {
        let row = Row::default()
            .with(Look::Dim, "0:01  ")
            .with(Look::Plain, "one two three four five six seven");
        assert_eq!(texts(&row.wrap(80)), [row.text()]);
        assert_eq!(
            texts(&row.wrap(26)),
            ["0:01  one two three four", "      five six seven"]
        );
        let endless = Row::default().with(Look::Plain, "x".repeat(100));
        assert_eq!(
            texts(&endless.wrap(20)),
            ["x".repeat(20), "x".repeat(20), format!("{}…", "x".repeat(19))]
        );
    }

    #[test]
    fn the_foot_is_cut_by_characters_and_moves_no_cursor() {
        let row = Row::default().with(Look::Good, "äöü").with(Look::Plain, "a\x1b[2Jb");
        assert_eq!(row.cut(4).text(), "äöüa");
        assert_eq!(row.text(), "äöüa [2Jb");
    }
}
