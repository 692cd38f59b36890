//! Where the bytes of a generation come from: a plain file, or an archive read as what it holds.

use std::fs::File;
use std::io;

use crate::archive::Archive;
use crate::frame::trailing_nuls;
use crate::generation::STEP;
use crate::identity::{HEAD_LEN, Stat, read_at};

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

    /// Whether there is a byte other than NUL in `from..size`. Holes are jumped over. None when an archive must be
    /// decoded further to know it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn find_data(&mut self, mut from: u64, size: u64) -> io::Result<Option<bool>> {
        let file = match self {
            Self::Plain(file) => file,
            Self::Archive(archive) => return Ok(archive.has_data_after(from)),
        };
        let mut buffer = Vec::new();
        while from < size {
            match rustix::fs::seek(&*file, rustix::fs::SeekFrom::Data(from)) {
                Ok(data) => from = data.max(from),
                Err(rustix::io::Errno::NXIO) => return Ok(Some(false)),
                // A file system that does not know its holes is read through.
                Err(_) => {}
            }
            buffer.clear();
            let length = usize::try_from(size.saturating_sub(from)).unwrap_or(STEP).min(STEP);
            let found = read_at(file, &mut buffer, from, length)?;
            if found == 0 {
                return Ok(Some(false));
            }
            if trailing_nuls(&buffer) < found {
                return Ok(Some(true));
            }
            from += found as u64;
        }
        Ok(Some(false))
    }
}
