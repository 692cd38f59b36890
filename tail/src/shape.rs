//! How the bytes of a file become records.

use crate::charset::Charset;
use crate::frame::Framer;

/// How the bytes of a file become records; the longest line is beside it in [`crate::WatchSpec`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shape {
    /// The encoding of the file, unless it begins with a byte-order mark, which is trusted more.
    pub charset: Charset,
}

impl Shape {
    pub(crate) fn framer(&self, max_line: usize) -> Framer {
        Framer::new(max_line).of(self.charset)
    }
}
