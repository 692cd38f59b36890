//! A file on disk: opened without surprises, and what its content says.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::frame::trailing_nuls;
use crate::identity::{GUARD_LEN, Guard, HEAD_LEN, Head, Stat, read_at};
use crate::position::{Mark, StreamRecord};
use crate::wrong::{Wrong, does};

/// How much of the end of a possible copy is compared: enough that two logs cannot agree by chance.
const END_LEN: usize = 64 * 1024;

/// The first bytes of a file, up to [`HEAD_LEN`], without NULs at their end: room that a writer may yet fill.
///
/// # Errors
/// When it cannot be read.
pub fn first_bytes(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // A NUL that is half of the last character is no room: something follows it.
    read_at(file, &mut bytes, 0, HEAD_LEN + 2)?;
    bytes.truncate((bytes.len() - trailing_nuls(&bytes)).min(HEAD_LEN));
    // They are kept for as long as the file is small.
    bytes.shrink_to_fit();
    Ok(bytes)
}

/// Whether a file is a copy of the beginning of another: it came to be later, and holds the same as far as its own
/// beginning and end tell. What was written before the other and renamed can begin alike, but is older.
///
/// # Errors
/// When one of them cannot be read.
pub fn is_copy(file: &File, stat: &Stat, original: &File, theirs: &Stat) -> io::Result<bool> {
    let is_later = matches!((stat.inode.born, theirs.inode.born), (Some(ours), Some(theirs)) if ours > theirs);
    if !is_later || stat.size > theirs.size {
        return Ok(false);
    }
    let end = stat.size.saturating_sub(END_LEN as u64);
    for (offset, length) in [(0, HEAD_LEN), (end, END_LEN)] {
        let length = length.min(usize::try_from(stat.size - offset).unwrap_or(usize::MAX));
        let (mut bytes, mut original_bytes) = (Vec::new(), Vec::new());
        read_at(file, &mut bytes, offset, length)?;
        read_at(original, &mut original_bytes, offset, length)?;
        if bytes != original_bytes {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The mark at an offset, and the head of what is before it.
///
/// # Errors
/// When the file cannot be read.
pub fn mark_at(file: &File, offset: u64) -> io::Result<(Mark, Head)> {
    let length = offset.min(GUARD_LEN as u64);
    let mut bytes = Vec::new();
    read_at(file, &mut bytes, offset - length, usize::try_from(length).unwrap_or(0))?;
    let guard = Guard::of(&bytes);
    bytes.clear();
    read_at(
        file,
        &mut bytes,
        0,
        usize::try_from(offset).unwrap_or(HEAD_LEN).min(HEAD_LEN),
    )?;
    let mark = Mark {
        offset,
        guard,
        ..Mark::default()
    };
    Ok((mark, Head::of(&bytes)))
}

/// Whether the bytes before a mark are the ones that were there.
pub fn holds(file: &File, mark: &Mark) -> io::Result<bool> {
    let length = usize::from(mark.guard.len);
    let mut bytes = Vec::new();
    read_at(file, &mut bytes, mark.offset.saturating_sub(length as u64), length)?;
    Ok(mark.guard.holds(&bytes))
}

/// Whether a file holds the content of a record up to `mark`: the same first bytes, and the same before the mark.
/// A record of which nothing was delivered, or only a byte-order mark passed over, fits by device, inode and birth time only.
///
/// # Errors
/// When it cannot be read.
pub fn fits(file: &File, stat: &Stat, record: &StreamRecord, mark: &Mark, head: Head) -> io::Result<bool> {
    if does(Wrong::IdentityByInode) {
        return Ok((stat.inode.dev, stat.inode.ino) == (record.inode.dev, record.inode.ino));
    }
    if stat.size < mark.offset || stat.size < u64::from(head.len) {
        return Ok(false);
    }
    let begins_alike = if head.is_empty() {
        stat.inode == record.inode
    } else {
        let mut bytes = Vec::new();
        read_at(file, &mut bytes, 0, usize::from(head.len))?;
        Head::of(&bytes) == head
    };
    Ok(begins_alike && holds(file, mark)?)
}

/// Opens a file that was just found; none when it went meanwhile, or may not be read.
///
/// # Errors
/// When no handle is left, which says nothing of the file.
pub fn open_found(path: &Path) -> io::Result<Option<(File, Stat)>> {
    match open_regular(path) {
        Err(error) if is_exhausted(&error) => Err(error),
        opened => Ok(opened.ok()),
    }
}

/// Whether there is nothing at a path, as opposed to something that cannot be looked at.
pub fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Whether no handle is left in the process or the system: that passes, and is not the file's fault.
pub fn is_exhausted(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    code == Some(rustix::io::Errno::MFILE.raw_os_error()) || code == Some(rustix::io::Errno::NFILE.raw_os_error())
}

/// Opens a regular file for reading; a FIFO, socket or device at the path never blocks and is refused.
///
/// # Errors
/// What `open` answers; `InvalidInput` for what is no regular file.
pub fn open_regular(path: &Path) -> io::Result<(File, Stat)> {
    use std::os::unix::fs::OpenOptionsExt;
    // Looked at first: opening a device can have effects of its own.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC | rustix::fs::OFlags::NOCTTY;
    let file = File::options()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    let stat = Stat::from(&file.metadata()?);
    if !stat.regular {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok((file, stat))
}
