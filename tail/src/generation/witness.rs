//! What tells a generation from others, as its file is now.

use std::io;

use super::Generation;
use crate::file::mark_at;
use crate::identity::Stat;
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
