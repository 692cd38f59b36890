//! Which archive holds which generation. Finding out means decoding it up to a position, in steps: until the answer is
//! there, asking fails with [`undecided`], and the one who asks comes back and asks again.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use thin_vec::ThinVec;

use crate::archive::{Archive, Coding};
use crate::file::{is_exhausted, open_regular};
use crate::identity::{HEAD_LEN, Head, Inode, Stat};
use crate::position::Mark;
use crate::siblings::Sibling;
use crate::source::Source;
use crate::watcher::QUIET;

/// An archive whose first bytes are not there yet is looked at this often.
const LOOK: Duration = Duration::from_secs(1);

/// It is not known yet; the next call takes another step.
#[must_use]
pub fn undecided() -> io::Error {
    io::Error::other(Undecided)
}

/// Whether an error is [`undecided`].
#[must_use]
pub fn is_undecided(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Undecided>())
}

#[derive(Debug, thiserror::Error)]
#[error("an archive is still being looked through")]
struct Undecided;

/// What is known of the archives beside a path.
#[derive(Debug)]
pub struct Inspections {
    /// The time of the poll that asks.
    pub now: Instant,
    /// When to ask again; none: at once.
    pub again: Option<Instant>,
    seen: ThinVec<Inspection>,
}

#[derive(Debug)]
struct Inspection {
    inode: Inode,
    /// Compressed size and modification time, and since when they are the same.
    looks: (u64, i64),
    since: Instant,
    /// Open until all questions are answered, or another one needs its handle.
    archive: Option<Archive>,
    head: Vec<u8>,
    answers: Vec<(Mark, bool)>,
}

impl Inspections {
    /// Nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self {
            now: Instant::now(),
            again: None,
            seen: ThinVec::new(),
        }
    }

    /// Whether an archive holds a content with these first bytes and these before the mark. One that ends before the
    /// mark because it is not complete may, if its first bytes are these: reading on in it finds out.
    ///
    /// # Errors
    /// [`undecided`], and when the file cannot be read.
    pub fn holds(&mut self, sibling: &Sibling, head: Head, mark: &Mark) -> io::Result<bool> {
        let now = self.now;
        let Some(index) = self.look(sibling)? else {
            return Ok(false);
        };
        let length = usize::from(head.len);
        if self.seen[index].head.len() < length {
            let archive = self.archive(index, sibling)?;
            archive.advance(0, HEAD_LEN as u64)?;
            let (is_whole, is_cut) = (archive.is_whole(), archive.is_cut());
            let bytes = archive.head().to_vec();
            let inspection = &mut self.seen[index];
            inspection.head = bytes;
            if inspection.head.len() < length {
                let is_quiet = now.saturating_duration_since(inspection.since) >= QUIET;
                if is_whole || (is_cut && is_quiet) {
                    return Ok(false);
                }
                if is_cut {
                    self.again = Some((inspection.since + QUIET).min(now + LOOK));
                }
                return Err(undecided());
            }
        }
        let inspection = &self.seen[index];
        if Head::of(&inspection.head[..length]) != head {
            return Ok(false);
        }
        if let Some((_, answer)) = inspection.answers.iter().find(|(asked, _)| asked == mark) {
            return Ok(*answer);
        }
        let guard = usize::from(mark.guard.len);
        let from = mark.offset - guard as u64;
        let archive = self.archive(index, sibling)?;
        archive.advance(from, mark.offset)?;
        let answer = if archive.decoded() >= mark.offset {
            mark.guard.holds(archive.bytes(from, guard))
        } else if archive.is_cut() {
            return Ok(true);
        } else if archive.is_whole() {
            false
        } else {
            return Err(undecided());
        };
        self.seen[index].answers.push((*mark, answer));
        Ok(answer)
    }

    /// Opens an archive, at the place where it was inspected last.
    ///
    /// # Errors
    /// [`undecided`] when another file has its name now; what `open` answers.
    pub fn open(&mut self, sibling: &Sibling) -> io::Result<(Source, Stat)> {
        let known = self.seen.iter_mut().find(|known| known.inode == sibling.stat.inode);
        let mut archive = match known.and_then(|known| known.archive.take()) {
            Some(archive) => archive,
            None => self.open_anew(sibling)?,
        };
        let stat = archive.look()?;
        if stat.inode != sibling.stat.inode {
            return Err(undecided());
        }
        Ok((Source::Archive(Box::new(archive)), stat))
    }

    /// The questions are answered: nothing is kept open, and what is not `around` any more is forgotten.
    pub fn close(&mut self, around: &[Sibling]) {
        self.seen
            .retain(|known| around.iter().any(|sibling| sibling.stat.inode == known.inode));
        self.seen.iter_mut().for_each(|known| known.archive = None);
    }

    /// Opens an archive. Where no handle is left for it, those that are kept for the next question about theirs give theirs up:
    /// else who has fewer than there are archives would never know.
    fn open_anew(&mut self, sibling: &Sibling) -> io::Result<Archive> {
        match open(&sibling.path, sibling.coding) {
            Err(error) if is_exhausted(&error) && self.seen.iter().any(|known| known.archive.is_some()) => {
                self.seen.iter_mut().for_each(|known| known.archive = None);
                open(&sibling.path, sibling.coding)
            }
            opened => opened,
        }
    }

    /// An archive that is looked at, open.
    fn archive(&mut self, index: usize, sibling: &Sibling) -> io::Result<&mut Archive> {
        let mut archive = match self.seen[index].archive.take() {
            Some(archive) => archive,
            None => self.open_anew(sibling)?,
        };
        let inspection = &mut self.seen[index];
        if archive.look()?.inode != inspection.inode {
            // Renamed since the directory was listed.
            return Err(undecided());
        }
        Ok(inspection.archive.insert(archive))
    }

    /// What is known of an archive as it looks now; none when it cannot be opened.
    fn look(&mut self, sibling: &Sibling) -> io::Result<Option<usize>> {
        let stat = &sibling.stat;
        let looks = (stat.size, stat.modified);
        if let Some(index) = self.seen.iter().position(|known| known.inode == stat.inode) {
            let known = &mut self.seen[index];
            if known.looks == looks {
                return Ok(Some(index));
            }
            self.seen.remove(index);
        }
        let archive = match self.open_anew(sibling) {
            Ok(archive) => archive,
            // Only who may read it can say what it holds.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        self.seen.push(Inspection {
            inode: stat.inode,
            looks,
            since: self.now,
            archive: Some(archive),
            head: Vec::new(),
            answers: Vec::new(),
        });
        Ok(Some(self.seen.len() - 1))
    }
}

fn open(path: &Path, coding: Coding) -> io::Result<Archive> {
    match open_regular(path) {
        Ok((file, _)) => Archive::new(file, coding),
        // Renamed since the directory was listed.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(undecided()),
        Err(error) => Err(error),
    }
}
