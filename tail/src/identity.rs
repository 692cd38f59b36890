//! What makes a file the same file: its content decides, device and inode only propose.

use std::fs::File;
use std::io;
use std::num::NonZeroI64;
use std::os::unix::fs::MetadataExt;

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::charset::Charset;
use crate::wrong::{Wrong, does};

/// How many bytes from the start of a file are compared to tell two files apart.
/// Filebeat and Vector use 256 to 1024; access logs that start alike part within the first lines.
pub const HEAD_LEN: usize = 1024;

/// How many bytes before a position are checked with every read: an atomic witness that the file was not rewritten.
pub const GUARD_LEN: usize = 64;

/// Nanoseconds since the epoch, which itself is taken for one later: so it takes no more room where there may be none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "i64", into = "i64")]
pub struct Birth(NonZeroI64);

impl From<i64> for Birth {
    fn from(nanoseconds: i64) -> Self {
        Self(NonZeroI64::new(nanoseconds).unwrap_or(const { NonZeroI64::new(1).unwrap() }))
    }
}

impl From<Birth> for i64 {
    fn from(birth: Birth) -> Self {
        birth.0.get()
    }
}

/// What the kernel says of a file: enough to propose that two names are one file, never enough to decide it,
/// because ext4 gives a freed inode to the next file created and device numbers change with reboots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Inode {
    /// Device number of the file system.
    pub dev: u64,
    /// Inode number on it.
    pub ino: u64,
    /// Birth time, where the file system keeps one: tells a reused inode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub born: Option<Birth>,
}

impl Inode {
    /// None is before it.
    pub(crate) const LEAST: Self = Self {
        dev: 0,
        ino: 0,
        born: None,
    };
}

/// One look at a file: what `stat` said at that moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stat {
    /// Device and inode.
    pub inode: Inode,
    /// Size in bytes.
    pub size: u64,
    /// Modification time, nanoseconds since the epoch.
    pub modified: i64,
    /// How many names the file has; 0 when it was deleted and lives on in open handles.
    pub links: u64,
    /// Whether it is a regular file; only those are read.
    pub regular: bool,
}

impl From<&std::fs::Metadata> for Stat {
    fn from(meta: &std::fs::Metadata) -> Self {
        let nanos = |t: std::time::SystemTime| {
            let since = t.duration_since(std::time::UNIX_EPOCH).ok()?;
            i64::try_from(since.as_nanos()).ok()
        };
        Self {
            inode: Inode {
                dev: meta.dev(),
                ino: meta.ino(),
                born: meta.created().ok().and_then(nanos).map(Birth::from),
            },
            size: meta.size(),
            modified: meta
                .mtime()
                .saturating_mul(1_000_000_000)
                .saturating_add(meta.mtime_nsec()),
            links: meta.nlink(),
            regular: meta.is_file(),
        }
    }
}

/// Fingerprint of the first bytes of a file, up to [`HEAD_LEN`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Head {
    /// How many bytes it covers.
    pub len: u16,
    /// XXH3 over them.
    pub hash: u64,
}

impl Default for Head {
    fn default() -> Self {
        Self::of(&[])
    }
}

impl Head {
    /// The fingerprint of these first bytes; what exceeds [`HEAD_LEN`] does not count. A byte-order mark alone is as good as
    /// nothing: all files in its encoding begin with it.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let is_mark = Charset::of_mark(bytes).is_some_and(|(_, length)| length == bytes.len());
        let length = if is_mark { 0 } else { bytes.len().min(HEAD_LEN) };
        let bytes = &bytes[..length];
        Self {
            len: u16::try_from(bytes.len()).unwrap_or(u16::MAX),
            hash: xxh3_64(bytes),
        }
    }

    /// Whether it tells nothing: nothing was seen of the file, or a byte-order mark alone.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether it covers as many bytes as a fingerprint can: only then does equality say "the same content".
    #[must_use]
    pub fn is_full(&self) -> bool {
        usize::from(self.len) == HEAD_LEN
    }
}

/// Fingerprint of the bytes right before a position, up to [`GUARD_LEN`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Guard {
    /// How many bytes it covers: all there are before the position, at most [`GUARD_LEN`].
    pub len: u8,
    /// XXH3 over them.
    pub hash: u64,
}

impl Default for Guard {
    fn default() -> Self {
        Self::of(&[])
    }
}

impl Guard {
    /// The guard of a position that these bytes precede; only the last [`GUARD_LEN`] count.
    #[must_use]
    pub fn of(before: &[u8]) -> Self {
        let last = &before[before.len().saturating_sub(GUARD_LEN)..];
        Self {
            len: u8::try_from(last.len()).unwrap_or(u8::MAX),
            hash: xxh3_64(last),
        }
    }

    /// Whether these bytes, exactly as many as the guard covers, are the ones it was made of.
    #[must_use]
    pub fn holds(&self, bytes: &[u8]) -> bool {
        bytes.len() == usize::from(self.len) && (xxh3_64(bytes) == self.hash || does(Wrong::GuardNotChecked))
    }
}

/// Reads up to `len` bytes at `offset` into the end of `buffer`, retrying short and interrupted reads;
/// fewer come back only at the end of the file.
///
/// # Errors
/// What `pread` answers, `EIO` and `ESTALE` among it.
pub fn read_at(file: &File, buffer: &mut Vec<u8>, offset: u64, len: usize) -> io::Result<usize> {
    let start = buffer.len();
    buffer.reserve_exact(len);
    while buffer.len() - start < len {
        let at = offset + (buffer.len() - start) as u64;
        match rustix::io::pread(file, spare_capacity(buffer), at) {
            Ok(0) => break,
            Ok(_) => {}
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // The allocator may have given more room than was asked for.
    buffer.truncate(start + len);
    Ok(buffer.len() - start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_birth_is_saved_as_its_nanoseconds_and_the_epoch_is_one() {
        let inode = |born: Option<i64>| Inode {
            dev: 1,
            ino: 2,
            born: born.map(Birth::from),
        };
        let saved = serde_json::to_string(&inode(Some(-7))).unwrap();
        assert_eq!(saved, r#"{"dev":1,"ino":2,"born":-7}"#);
        for born in [None, Some(-7), Some(0), Some(i64::MAX)] {
            let saved = serde_json::to_string(&inode(born)).unwrap();
            assert_eq!(serde_json::from_str::<Inode>(&saved).unwrap(), inode(born));
        }
        let epoch = serde_json::from_str(r#"{"dev":1,"ino":2,"born":0}"#);
        assert_eq!(epoch.ok(), Some(inode(Some(0))), "as an earlier version saved it");
        assert!(inode(Some(-1)).born < inode(Some(0)).born && inode(None).born < inode(Some(i64::MIN)).born);
    }
}
