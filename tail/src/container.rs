//! Lines as container runtimes write them: a line of a program, or a part of one, with its time and the stream it was written to.
//!
//! CRI (`kuberuntime/logs/logs.go` of kubelet): `2016-10-06T00:17:09.669794202Z stdout F text`, with `P` for a part. Docker's
//! json-file driver: `{"log":"text\n","stream":"stdout","time":"2016-10-06T00:17:09.669794202Z"}`, a part without `\n`.

mod join;
mod lane;
mod piece;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub(crate) use join::Containers;
pub use lane::{Progress, Sides};

/// What a program wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Side {
    Stdout,
    Stderr,
}

impl Side {
    /// Its name in records.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// A line of a container's log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) side: Side,
    /// When the runtime read it, as it wrote that down.
    pub(crate) time: Cow<'a, str>,
    pub(crate) text: Cow<'a, [u8]>,
    /// More of the program's line follows.
    pub(crate) is_part: bool,
}

/// The longest time that is one, in bytes: with nanoseconds and an offset.
const LONGEST_TIME: usize = 35;

impl<'a> Line<'a> {
    /// None for what no runtime writes.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        match line.first()? {
            b'{' => Self::docker(line),
            b'0'..=b'9' => Self::cri(line),
            _ => None,
        }
    }

    fn cri(line: &'a [u8]) -> Option<Self> {
        let mut words = line.splitn(4, |byte| *byte == b' ');
        let (time, side, tags) = (words.next()?, words.next()?, words.next()?);
        let side = match side {
            b"stdout" => Side::Stdout,
            b"stderr" => Side::Stderr,
            _ => return None,
        };
        // Tags are separated by colons, and this one is the first.
        let is_part = match tags.split(|byte| *byte == b':').next()? {
            b"P" => true,
            b"F" => false,
            _ => return None,
        };
        let time = std::str::from_utf8(time).ok().filter(|time| is_time(time))?;
        Some(Self {
            side,
            time: time.into(),
            text: words.next().unwrap_or_default().into(),
            is_part,
        })
    }

    /// The same, of this line with its end: in CRI a CR before it ends a line of the program, and is in the middle of one
    /// where more of it follows.
    pub(crate) fn with_cr(self, whole: &'a [u8]) -> Self {
        match whole {
            [with_cr @ .., b'\n'] if self.is_part && with_cr.ends_with(b"\r") => Self::cri(with_cr).unwrap_or(self),
            _ => self,
        }
    }

    fn docker(line: &'a [u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Docker<'a> {
            #[serde(borrow)]
            log: Cow<'a, str>,
            stream: Side,
            #[serde(borrow)]
            time: Cow<'a, str>,
        }
        let Docker { log, stream, time } = serde_json::from_slice(line).ok()?;
        let whole = log.strip_suffix('\n');
        let length = whole.map(|text| text.strip_suffix('\r').unwrap_or(text).len());
        let text = match log {
            Cow::Borrowed(text) => Cow::Borrowed(&text.as_bytes()[..length.unwrap_or(text.len())]),
            Cow::Owned(mut text) => {
                text.truncate(length.unwrap_or(text.len()));
                Cow::Owned(text.into_bytes())
            }
        };
        is_time(&time).then_some(Self {
            side: stream,
            time,
            text,
            is_part: length.is_none(),
        })
    }
}

/// Whether it looks like a time in RFC 3339: it is put into JSON as it is.
fn is_time(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_digit() || b"-+:.TZ".contains(&byte);
    text.len() <= LONGEST_TIME && text.len() >= "2016-10-06T00:17:09Z".len() && text.bytes().all(is_part)
}

#[cfg(test)]
mod tests;
