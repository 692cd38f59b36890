//! What tells a generation from others, as its file is now.

use std::io;

use super::Generation;
use crate::file::{first_bytes, mark_at};
use crate::identity::{Head, Stat};
use crate::position::Mark;
use crate::source::Source;

impl Generation {
    /// A mark that tells the content from others that begin alike: where it was read to, else its end as it is now.
    #[must_use]
    pub fn witness(&self) -> Mark {
        let end = || {
            let Source::Plain(file) = &self.source else { return None };
            let (mark, _) = mark_at(file, file.metadata().ok()?.len()).ok()?;
            Some(mark)
        };
        if self.next.offset > 0 {
            self.next
        } else {
            end().unwrap_or(self.next)
        }
    }

    /// What was written to one in which nothing was ever seen, by its first bytes and its modification time, if it has no name
    /// any more: then it may have become an archive before anybody looked.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn late_beginning(&self) -> io::Result<Option<(Head, i64)>> {
        let Source::Plain(file) = &self.source else {
            return Ok(None);
        };
        if !self.is_untouched() {
            return Ok(None);
        }
        let stat = Stat::from(&file.metadata()?);
        let head = |bytes: Vec<u8>| (Head::of(&bytes), stat.modified);
        (stat.links == 0).then(|| first_bytes(file).map(head)).transpose()
    }

    /// Whether it was truncated or written anew in place, by one look at it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn was_cut(&mut self, stat: &Stat) -> io::Result<bool> {
        Ok(stat.size < self.next.offset || !self.is_unchanged(stat)?)
    }

    /// When the file was last modified, as of now; nanoseconds since the epoch.
    ///
    /// # Errors
    /// What `fstat` answers.
    pub fn modified(&self) -> io::Result<i64> {
        match &self.source {
            Source::Plain(file) => Ok(Stat::from(&file.metadata()?).modified),
            Source::Archive(_) => Ok(i64::MAX),
        }
    }

    /// How many names the file has now.
    ///
    /// # Errors
    /// What `fstat` answers.
    pub fn links(&self) -> io::Result<u64> {
        match &self.source {
            Source::Plain(file) => Ok(Stat::from(&file.metadata()?).links),
            Source::Archive(_) => Ok(1),
        }
    }
}
