//! The bell by which librdkafka's threads and the readers wake the one thread that ships.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::pipe::{PipeFlags, pipe_with};

/// A pipe: readable after [`Wake::ring`] until [`Wake::clear`].
///
/// It outlives single producers, so that a reactor registers it once. A pipe rather than an eventfd, because a
/// reactor has a type for pipes, and takes other descriptors by unsafe calls only.
#[derive(Debug)]
pub struct Wake {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Wake {
    /// What is written to ring.
    pub(crate) const RING: [u8; 1] = [1];

    /// A bell that has not rung.
    ///
    /// # Errors
    /// The process or the system has no file descriptor left.
    pub fn new() -> io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Self { reader, writer })
    }

    /// Makes it readable.
    pub fn ring(&self) {
        // Would block only when the pipe is full, and then it is readable anyway.
        let _ = rustix::io::write(&self.writer, &Self::RING);
    }

    /// Makes it unreadable; clear first and look for work then, so that no ring is missed.
    pub fn clear(&self) {
        let mut rings = [0; 256];
        // Ends with an error when nothing is left, which is what is wanted.
        while rustix::io::read(&self.reader, &mut rings).is_ok_and(|count| count == rings.len()) {}
    }

    /// A reading end of its own, for a reactor: nonblocking, and the same pipe.
    ///
    /// # Errors
    /// The process has no file descriptor left.
    pub fn reader(&self) -> io::Result<OwnedFd> {
        self.reader.try_clone()
    }

    /// The end that librdkafka writes to; open as long as this is.
    pub(crate) fn writer(&self) -> RawFd {
        self.writer.as_raw_fd()
    }
}

impl AsFd for Wake {
    /// The reading end.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}
