//! Lines that describe themselves: which log, which generation of its file, the how-manieth line of that generation,
//! and a checksum. Counting lines is no check, because a loss and a repetition cancel out; a line that says what it is
//! lets every fault be called by its name.

use std::io::Write as _;

/// The logs that the demo writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Log {
    /// Rotated by renaming; its writer reopens at once.
    Web,
    /// Rotated by renaming; its writer goes on with the old handle for a while.
    Jobs,
    /// Rotated by copying the file and truncating it.
    Audit,
}

/// One line of one of the logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// The log that it belongs to.
    pub log: Log,
    /// Counts the files that the log has had under its path, from 1.
    pub generation: u32,
    /// Counts the lines of the generation, from 1.
    pub number: u64,
}

impl Log {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Web, Self::Jobs, Self::Audit];

    /// Its name in the settings, which is also the key of its records and the stem of its file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Jobs => "jobs",
            Self::Audit => "audit",
        }
    }

    /// The log of this name.
    pub fn named(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|log| log.name().as_bytes() == name)
    }

    /// Lines a second. Together some 48,000 in a minute: enough to see work, and far from the 5 MiB a partition that
    /// the in-process broker keeps, even over an outage.
    pub fn rate(self) -> u32 {
        match self {
            Self::Web => 400,
            Self::Jobs => 250,
            Self::Audit => 150,
        }
    }

    fn message(self, number: u64) -> String {
        match self {
            Self::Web => format!("GET /cart/{} 200 {} ms", number * 31 % 997, number * 7 % 90 + 3),
            Self::Jobs => format!("job {} done in {} ms", number * 17 % 9973, number * 13 % 800 + 20),
            Self::Audit => format!("user {} signed in", number * 7919 % 1009),
        }
    }
}

impl Line {
    /// Appends the line with its line end.
    pub fn write(self, out: &mut Vec<u8>) {
        let start = out.len();
        let Self {
            log,
            generation,
            number,
        } = self;
        // Writing to a vector does not fail.
        let _ = write!(out, "{} {generation} {number} {}", log.name(), log.message(number));
        let sum = checksum(&out[start..]);
        let _ = writeln!(out, " #{sum:08x}");
    }

    /// Reads a record back; `None` if it is not, byte for byte, a line that [`Line::write`] made.
    pub fn parse(record: &[u8]) -> Option<Self> {
        let mut fields = record.splitn(4, |&byte| byte == b' ');
        let log = Log::named(fields.next()?)?;
        let generation = str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        let number = str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        let line = Self {
            log,
            generation,
            number,
        };
        let mut same = Vec::with_capacity(record.len() + 1);
        line.write(&mut same);
        (same.strip_suffix(b"\n") == Some(record)).then_some(line)
    }
}

/// FNV-1a, 32 bits: for the eye of who reads along, and against damage by chance.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, &byte| {
        (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: Line) -> Vec<u8> {
        let mut out = Vec::new();
        line.write(&mut out);
        assert_eq!(out.pop(), Some(b'\n'));
        out
    }

    #[test]
    fn a_line_is_read_back_as_it_was_written() {
        for log in Log::ALL {
            for number in [1, 2, 999, 1_000_000_007] {
                let line = Line {
                    log,
                    generation: 3,
                    number,
                };
                assert_eq!(Line::parse(&text(line)), Some(line));
            }
        }
    }

    #[test]
    fn a_torn_merged_or_changed_line_is_none() {
        let whole = text(Line {
            log: Log::Web,
            generation: 1,
            number: 12,
        });
        for end in 0..whole.len() {
            assert_eq!(Line::parse(&whole[..end]), None, "torn after {end} bytes");
            assert_eq!(Line::parse(&whole[end + 1..]), None, "torn before {end} bytes");
        }
        for place in 0..whole.len() {
            let mut changed = whole.clone();
            changed[place] ^= 1;
            assert_eq!(Line::parse(&changed), None, "changed at {place}");
        }
        assert_eq!(Line::parse(&[whole.as_slice(), whole.as_slice()].concat()), None);
        assert_eq!(Line::parse(b""), None);
    }
}
