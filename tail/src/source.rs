//! Where the bytes of a generation come from: a plain file, or an archive read as what it holds.

use std::fs::File;
use std::io;

use crate::archive::Archive;
use crate::frame::trailing_nuls;
use crate::generation::STEP;
use crate::identity::{HEAD_LEN, Stat, read_at};

/// So many bytes of NULs are looked through in one step: a millisecond.
const FAR: u64 = 16 * STEP as u64;

/// A file that is open for reading. Offsets are those of the content.
#[derive(Debug)]
pub enum Source {
    /// A file with the content itself. It may grow, be cut, be written anew.
    Plain(File),
    /// A file with the content compressed. No program writes on in it, so it only gets complete.
    Archive(Box<Archive>),
}

impl From<File> for Source {
    fn from(file: File) -> Self {
        Self::Plain(file)
    }
}

impl Source {
    /// What the system says of the file now. The size of an archive is what was decoded of it: `next`, or more, as long
    /// as its end was not seen.
    ///
    /// # Errors
    /// What `fstat` answers.
    pub fn stat(&mut self, next: u64) -> io::Result<Stat> {
        match self {
            Self::Plain(file) => Ok(Stat::from(&file.metadata()?)),
            Self::Archive(archive) => {
                let stat = archive.look()?;
                let least = if archive.is_whole() { 0 } else { next };
                Ok(Stat {
                    size: archive.decoded().max(least),
                    ..stat
                })
            }
        }
    }

    /// Whether decoding can go on, as of the last [`Source::stat`]; never for a plain file.
    #[must_use]
    pub fn has_more(&self) -> bool {
        matches!(self, Self::Archive(archive) if archive.has_more())
    }

    /// The plain file, once more.
    ///
    /// # Errors
    /// When no handle is left, or this is an archive.
    pub fn try_clone_file(&self) -> io::Result<File> {
        match self {
            Self::Plain(file) => file.try_clone(),
            Self::Archive(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// The first bytes, `length` or what there is; at most [`HEAD_LEN`].
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn head(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let length = length.min(HEAD_LEN);
        match self {
            Self::Plain(file) => {
                let mut bytes = Vec::new();
                read_at(file, &mut bytes, 0, length)?;
                Ok(bytes)
            }
            Self::Archive(archive) => {
                if archive.head().len() < length {
                    archive.advance(0, length as u64)?;
                }
                Ok(archive.head()[..length.min(archive.head().len())].to_vec())
            }
        }
    }

    /// Reads up to `length` bytes at `offset` into the end of `buffer`: those before the end of a plain file, those at
    /// hand of an archive.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read_at(&self, buffer: &mut Vec<u8>, offset: u64, length: usize) -> io::Result<usize> {
        match self {
            Self::Plain(file) => read_at(file, buffer, offset, length),
            Self::Archive(archive) => {
                let bytes = archive.bytes(offset, length);
                buffer.reserve_exact(bytes.len());
                buffer.extend_from_slice(bytes);
                Ok(bytes.len())
            }
        }
    }

    /// Looks for a byte other than NUL in `from..size`, for one step. Holes are jumped over.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn find_data(&mut self, from: u64, size: u64) -> io::Result<Ahead> {
        let file = match self {
            Self::Plain(file) => file,
            Self::Archive(archive) => return Ok(Ahead::of(archive.has_data_after(from), size)),
        };
        let mut ahead = Ahead {
            has_data: None,
            to: from,
            read: 0,
        };
        let mut buffer = Vec::new();
        while ahead.to < size {
            match rustix::fs::seek(&*file, rustix::fs::SeekFrom::Data(ahead.to)) {
                Ok(data) => ahead.to = data.max(ahead.to),
                Err(rustix::io::Errno::NXIO) => break,
                // A file system that does not know its holes is read through.
                Err(_) => {}
            }
            if ahead.read >= FAR {
                return Ok(ahead);
            }
            buffer.clear();
            let length = usize::try_from(size.saturating_sub(ahead.to)).unwrap_or(STEP).min(STEP);
            let found = read_at(file, &mut buffer, ahead.to, length)?;
            if found == 0 {
                break;
            }
            ahead.read += found as u64;
            if trailing_nuls(&buffer) < found {
                ahead.has_data = Some(true);
                return Ok(ahead);
            }
            ahead.to += found as u64;
        }
        ahead.has_data = Some(false);
        ahead.to = ahead.to.max(size);
        Ok(ahead)
    }
}

/// What comes in a file.
#[derive(Debug)]
pub struct Ahead {
    /// Whether there is a byte other than NUL; none when that is not known yet.
    pub has_data: Option<bool>,
    /// There is none before this offset.
    pub to: u64,
    /// Bytes that were read to find that out.
    pub read: u64,
}

impl Ahead {
    /// What an archive answers.
    fn of(has_data: Option<bool>, size: u64) -> Self {
        let (to, read) = (size, 0);
        Self { has_data, to, read }
    }
}
