//! Reading a compressed file as the bytes it holds: forward in bounded steps, going on where the file was cut.

use std::fs::File;
use std::io;

use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{Decoder as ZstdDecoder, Operation};

use crate::identity::{HEAD_LEN, Stat, read_at};

/// Bytes decoded in one step: a few milliseconds at the 300 MB/s of zlib, so that skipping to a position far inside
/// holds no other file up.
pub const DECODE_STEP: u64 = 1024 * 1024;
/// Bytes of the file taken at once, and bytes decoded at once.
const CHUNK: usize = 64 * 1024;
/// Gzip with the largest window there is, 32 KiB (RFC 1952 on top of RFC 1951).
const GZIP_WINDOW: u8 = 15;
/// How a member of a gzip file begins (RFC 1952, 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// How the bytes of a file are to be read, as its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Coding {
    /// As they are.
    Plain,
    /// `.gz`, of any number of members.
    Gzip,
    /// `.zst`, of any number of frames.
    Zstd,
}

impl Coding {
    /// The coding that a file name says, and the name without its suffix.
    #[must_use]
    pub fn of(name: &[u8]) -> (Self, &[u8]) {
        let suffixes = [(&b".gz"[..], Self::Gzip), (b".zst", Self::Zstd)];
        let found = suffixes
            .into_iter()
            .find_map(|(suffix, coding)| Some((coding, name.strip_suffix(suffix)?)));
        found.unwrap_or((Self::Plain, name))
    }
}

/// Up to where an archive could be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// There is more.
    Open,
    /// To its end: its last member or frame is complete.
    Whole,
    /// To where it ends without being complete: it is still being written, or was cut.
    Cut,
    /// What follows is no compressed data; size and modification time when that was found.
    Damaged(u64, i64),
}

/// An open archive. It remembers the bytes around where it was read last; offsets are those of what it holds.
pub struct Archive {
    file: File,
    decoder: Decoder,
    /// Compressed bytes taken and not decoded yet, and where in the file they end.
    input: Vec<u8>,
    taken: u64,
    /// What was decoded last, from `start` on.
    buffer: Vec<u8>,
    start: u64,
    /// The first bytes, up to [`HEAD_LEN`].
    head: Vec<u8>,
    reach: Reach,
    nuls: Nuls,
    /// Size and modification time of the file when it was last looked at.
    seen: (u64, i64),
}

/// What is known of a run of NULs that is longer than what is remembered.
#[derive(Debug, Clone, Copy)]
enum Nuls {
    Unknown,
    /// Nothing but NULs in `from..until`; what follows is being looked for.
    Seeking {
        from: u64,
        until: u64,
    },
    /// Nothing but NULs from there to the byte at `until`, or to the end of the archive.
    Known {
        from: u64,
        until: Option<u64>,
    },
}

impl Archive {
    /// An archive of which nothing is read yet.
    ///
    /// # Errors
    /// When there is no memory for the decoder.
    pub fn new(file: File, coding: Coding) -> io::Result<Self> {
        Ok(Self {
            file,
            decoder: Decoder::new(coding)?,
            input: Vec::new(),
            taken: 0,
            buffer: Vec::new(),
            start: 0,
            head: Vec::new(),
            reach: Reach::Open,
            nuls: Nuls::Unknown,
            seen: (0, 0),
        })
    }

    /// What the system says of the file; its size is the compressed one.
    ///
    /// # Errors
    /// What `fstat` answers.
    pub fn look(&mut self) -> io::Result<Stat> {
        let stat = Stat::from(&self.file.metadata()?);
        self.seen = (stat.size, stat.modified);
        Ok(stat)
    }

    /// So many bytes are decoded.
    #[must_use]
    pub fn decoded(&self) -> u64 {
        self.start + self.buffer.len() as u64
    }

    /// The first bytes, up to [`HEAD_LEN`], as far as they are decoded.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Whether it was decoded to its end.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.reach == Reach::Whole
    }

    /// Whether its end is not there yet, as far as it was looked at.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        matches!(self.reach, Reach::Cut | Reach::Damaged(..))
    }

    /// Whether a step can find more, as of the last [`Archive::look`].
    #[must_use]
    pub fn has_more(&self) -> bool {
        match self.reach {
            Reach::Open => true,
            Reach::Whole | Reach::Cut => self.seen.0 > self.taken,
            Reach::Damaged(size, modified) => (size, modified) != self.seen,
        }
    }

    /// Compressed size and modification time at the last [`Archive::look`].
    #[must_use]
    pub fn seen(&self) -> (u64, i64) {
        self.seen
    }

    /// The decoded bytes in `from..from + length`, as far as they are at hand.
    #[must_use]
    pub fn bytes(&self, from: u64, length: usize) -> &[u8] {
        let at = |offset: u64| usize::try_from(offset).map_or(self.buffer.len(), |at| at.min(self.buffer.len()));
        let Some(skip) = from.checked_sub(self.start) else {
            return &[];
        };
        &self.buffer[at(skip)..at(skip.saturating_add(length as u64))]
    }

    /// Takes one step, of [`DECODE_STEP`] bytes at most, towards having the bytes in `from..until` at hand. Going back
    /// beyond what is remembered begins anew.
    ///
    /// # Errors
    /// When the file cannot be read. Damage is no error: what was written so far may not be all.
    pub fn advance(&mut self, from: u64, until: u64) -> io::Result<()> {
        self.look()?;
        if from < self.start || (matches!(self.reach, Reach::Damaged(..)) && self.has_more()) {
            self.begin_anew()?;
        } else if self.reach != Reach::Open && self.has_more() {
            self.reach = Reach::Open;
            self.nuls = Nuls::Unknown;
        }
        self.forget(from);
        let until = until.min(self.decoded() + DECODE_STEP);
        while self.decoded() < until && self.reach == Reach::Open {
            if self.input.is_empty() && !self.decoder.is_full {
                let found = read_at(&self.file, &mut self.input, self.taken, CHUNK)?;
                self.taken += found as u64;
                if found == 0 {
                    self.reach = if self.decoder.is_complete {
                        Reach::Whole
                    } else {
                        Reach::Cut
                    };
                    break;
                }
            }
            let room = usize::try_from(until - self.decoded()).unwrap_or(CHUNK).min(CHUNK);
            if self.decode(room).is_err() {
                self.reach = Reach::Damaged(self.seen.0, self.seen.1);
            }
            if self.decoded() <= from {
                self.forget(from);
            }
        }
        Ok(())
    }

    /// Whether a byte other than NUL follows at or after `from`, up to where the archive can be decoded now; none as
    /// long as [`Archive::seek_data`] must find that out.
    pub fn has_data_after(&mut self, from: u64) -> Option<bool> {
        match self.nuls {
            Nuls::Known { from: start, until } if from >= start && until.is_none_or(|until| from <= until) => {
                return Some(until.is_some());
            }
            Nuls::Seeking { from: start, .. } if start == from => {}
            _ => self.nuls = Nuls::Seeking { from, until: from },
        }
        None
    }

    /// Takes one step in looking for what follows a run of NULs. False when nothing is looked for.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn seek_data(&mut self) -> io::Result<bool> {
        let Nuls::Seeking { from, until } = self.nuls else {
            return Ok(false);
        };
        self.advance(until, until + CHUNK as u64)?;
        let found = self.bytes(until, CHUNK);
        let (nuls, length) = (found.iter().take_while(|byte| **byte == 0).count(), found.len());
        let until = until + nuls as u64;
        self.nuls = if nuls < length {
            Nuls::Known {
                from,
                until: Some(until),
            }
        } else if self.reach != Reach::Open && until >= self.decoded() {
            Nuls::Known { from, until: None }
        } else {
            Nuls::Seeking { from, until }
        };
        Ok(true)
    }

    /// Decodes up to `room` bytes of what was taken.
    fn decode(&mut self, room: usize) -> io::Result<()> {
        let before = self.buffer.len();
        self.buffer.resize(before + room, 0);
        let done = self.decoder.run(&self.input, &mut self.buffer[before..]);
        let (read, written) = done.as_ref().copied().unwrap_or((0, 0));
        self.buffer.truncate(before + written);
        self.input.drain(..read);
        let decoded = &self.buffer[before..];
        let missing = (HEAD_LEN - self.head.len()).min(decoded.len());
        if self.start + before as u64 == self.head.len() as u64 {
            self.head.extend_from_slice(&decoded[..missing]);
        }
        done.map(|_| ())
    }

    /// Lets go of what lies before `from`.
    fn forget(&mut self, from: u64) {
        let before = from.saturating_sub(self.start).min(self.buffer.len() as u64);
        self.buffer.drain(..usize::try_from(before).unwrap_or(0));
        self.start += before;
    }

    fn begin_anew(&mut self) -> io::Result<()> {
        let anew = Self::new(self.file.try_clone()?, self.decoder.coding)?;
        *self = Self {
            nuls: self.nuls,
            seen: self.seen,
            ..anew
        };
        Ok(())
    }
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archive")
            .field("coding", &self.decoder.coding)
            .field("decoded", &self.decoded())
            .field("reach", &self.reach)
            .finish_non_exhaustive()
    }
}

/// Decodes what it is given, and can be given more at any time.
struct Decoder {
    coding: Coding,
    engine: Engine,
    /// What was given so far ends with a complete member or frame.
    is_complete: bool,
    /// The last output was filled: more may be ready without more input.
    is_full: bool,
}

enum Engine {
    /// None between two members.
    Gzip(Option<Decompress>),
    Zstd(ZstdDecoder<'static>),
}

impl Decoder {
    fn new(coding: Coding) -> io::Result<Self> {
        Ok(Self {
            coding,
            engine: match coding {
                Coding::Zstd => Engine::Zstd(ZstdDecoder::new()?),
                Coding::Gzip | Coding::Plain => Engine::Gzip(None),
            },
            is_complete: false,
            is_full: false,
        })
    }

    /// How many bytes it took of `input`, and how many it put at the start of `output`.
    fn run(&mut self, input: &[u8], output: &mut [u8]) -> io::Result<(usize, usize)> {
        let (read, written) = match &mut self.engine {
            Engine::Zstd(engine) => {
                let status = engine.run_on_buffers(input, output)?;
                self.is_complete = status.remaining == 0;
                (status.bytes_read, status.bytes_written)
            }
            Engine::Gzip(member) => {
                if member.is_none() {
                    if self.is_complete && !input.starts_with(&GZIP_MAGIC[..input.len().min(2)]) {
                        // Padding after the last member, as on tapes; gzip passes over it, too.
                        return Ok((input.len(), 0));
                    }
                    self.is_complete = false;
                }
                let engine = member.get_or_insert_with(|| Decompress::new_gzip(GZIP_WINDOW));
                let (read, written) = (engine.total_in(), engine.total_out());
                let status = engine.decompress(input, output, FlushDecompress::None);
                let read = usize::try_from(engine.total_in() - read).unwrap_or(0);
                let written = usize::try_from(engine.total_out() - written).unwrap_or(0);
                match status {
                    Ok(Status::StreamEnd) => {
                        *member = None;
                        self.is_complete = true;
                    }
                    Ok(_) => {}
                    // What stands before the damage is good; the next call finds it again.
                    Err(_) if written > 0 => {}
                    Err(error) => return Err(error.into()),
                }
                (read, written)
            }
        };
        self.is_full = written == output.len() && !self.is_complete;
        if read == 0 && written == 0 && !input.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no progress"));
        }
        Ok((read, written))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn compressed(coding: Coding, parts: &[&[u8]]) -> Vec<u8> {
        let mut all = Vec::new();
        for part in parts {
            if coding == Coding::Zstd {
                all.extend(zstd::encode_all(*part, 3).unwrap());
            } else {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(part).unwrap();
                all.extend(encoder.finish().unwrap());
            }
        }
        all
    }

    fn text(bytes: usize) -> Vec<u8> {
        let mut state = 1u64;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            b"abcdefghij klmnop\n"[usize::try_from(state >> 60).unwrap()]
        };
        (0..bytes).map(|_| next()).collect()
    }

    /// Everything in `from..`, in reads of `window` bytes.
    fn read(archive: &mut Archive, mut from: u64, window: usize) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            archive.advance(from, from + window as u64).unwrap();
            let found = archive.bytes(from, window).to_vec();
            from += found.len() as u64;
            all.extend(&found);
            if found.is_empty() && archive.decoded() >= from && archive.look().is_ok() && !archive.has_more() {
                return all;
            }
        }
    }

    #[test]
    fn members_and_frames_are_one_content_that_can_be_read_from_anywhere() {
        for coding in [Coding::Gzip, Coding::Zstd] {
            let (a, b) = (text(3_000_000), text(100));
            let whole = [&a[..], &b, &a].concat();
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&compressed(coding, &[&a, &b, b"", &a])).unwrap();
            let mut archive = Archive::new(file, coding).unwrap();
            for from in [0, 2_999_990, 5_000_000, 70, whole.len()] {
                assert!(
                    read(&mut archive, from as u64, 300_000) == whole[from..],
                    "{coding:?} {from}"
                );
                assert!(archive.is_whole());
            }
            assert_eq!(archive.head(), &whole[..HEAD_LEN]);
        }
    }

    #[test]
    fn a_step_is_bounded() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&compressed(Coding::Gzip, &[&vec![0; 50_000_000]]))
            .unwrap();
        let mut archive = Archive::new(file, Coding::Gzip).unwrap();
        archive.advance(40_000_000, 40_000_100).unwrap();
        assert_eq!(archive.decoded(), DECODE_STEP);
        assert!(archive.buffer.capacity() <= 2 * CHUNK);
    }

    /// However it grows, nothing is taken for its end before it is.
    #[test]
    fn an_archive_that_grows_is_whole_when_its_last_byte_is_there() {
        for coding in [Coding::Gzip, Coding::Zstd] {
            let content = text(200_000);
            let bytes = compressed(coding, &[&content]);
            let mut file = tempfile::tempfile().unwrap();
            let mut archive = Archive::new(file.try_clone().unwrap(), coding).unwrap();
            let mut all = Vec::new();
            let sizes = (0..20)
                .chain((20..bytes.len() - 20).step_by(997))
                .chain(bytes.len() - 20..bytes.len());
            let mut written = 0;
            for size in sizes {
                file.write_all(&bytes[written..size]).unwrap();
                written = size;
                all.extend(read(&mut archive, all.len() as u64, 50_000));
                assert!(archive.is_cut() && !archive.is_whole(), "{coding:?} {size}");
                assert!(content.starts_with(&all));
            }
            file.write_all(&bytes[written..]).unwrap();
            all.extend(read(&mut archive, all.len() as u64, 50_000));
            assert!(archive.is_whole() && all == content, "{coding:?}");
        }
    }

    #[test]
    fn damage_is_no_end_and_padding_is_none() {
        let content = text(100_000);
        let mut bytes = compressed(Coding::Gzip, &[&content]);
        let crc = bytes.len() - 8;
        bytes[crc] ^= 1;
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let mut archive = Archive::new(file.try_clone().unwrap(), Coding::Gzip).unwrap();
        assert!(read(&mut archive, 0, 50_000) == content);
        assert!(archive.is_cut());
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[compressed(Coding::Gzip, &[&content]), vec![0; 512]].concat())
            .unwrap();
        let mut archive = Archive::new(file, Coding::Gzip).unwrap();
        assert!(read(&mut archive, 0, 50_000) == content);
        assert!(archive.is_whole());
    }
}
