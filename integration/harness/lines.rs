//! Lines that describe themselves: whoever finds one knows which file it belongs to, where in it, and whether it is whole.

use std::fmt;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

/// A line starts and ends with these, and has neither inside: a piece of a line and two lines in one show.
pub const START: u8 = b'<';
pub const END: u8 = b'>';

/// Which line: of which file, of which of the generations that bore the file's name, the how manieth.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineId {
    pub file: Arc<str>,
    pub generation: u32,
    pub number: u32,
}

impl fmt::Display for LineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} generation {} line {}", self.file, self.generation, self.number)
    }
}

impl LineId {
    /// The line's text without its end: a function of the id, of 40 to 240 bytes.
    pub fn text(&self) -> String {
        let head = format!("<{} {} {} ", self.file, self.generation, self.number);
        let hash = xxh3_64(head.as_bytes());
        let filler = "lorem ipsum dolor sit amet "
            .chars()
            .cycle()
            .take(usize::try_from(hash % 200).unwrap());
        let body: String = head.chars().chain(filler).collect();
        format!("{body} {:016x}>", xxh3_64(body.as_bytes()))
    }

    /// The line that a text is, if it is one, whole and unchanged.
    pub fn of(text: &[u8]) -> Option<LineId> {
        let inner = std::str::from_utf8(text).ok()?.strip_prefix('<')?;
        let mut words = inner.split(' ');
        let file = words.next()?.into();
        let id = LineId {
            file,
            generation: words.next()?.parse().ok()?,
            number: words.next()?.parse().ok()?,
        };
        (id.text().as_bytes() == text).then_some(id)
    }
}
