//! How the bytes of a file become records.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::charset::Charset;
use crate::compose::Composer;
use crate::container::Containers;
use crate::envelope::{Envelope, Origin};
use crate::filter::{Ends, Filter, Sieve};
use crate::frame::Framer;
use crate::generation::STEP;
use crate::multiline::Multiline;
use crate::stream::Stream;

/// A line becomes three times as long in its JSON object, or four: as much is read at once as fits then.
const JSON_STEP: usize = STEP / 4;
/// With a rate limit a file is read so often in a second, as far as [`LEAST_STEP`] allows.
const READS_A_SECOND: u64 = 4;
/// Bytes; below it reading costs more than what is read.
const LEAST_STEP: usize = 4096;

/// How the bytes of a file become records; the longest record is beside it in [`crate::WatchSpec`].
#[derive(Debug, Clone, Default)]
pub struct Shape {
    /// The encoding of the file, unless it begins with a byte-order mark, which is trusted more.
    pub charset: Charset,
    /// Records are JSON objects that say where the line comes from; without it, the lines themselves.
    pub json: Option<Arc<dyn Origin>>,
    /// Which lines ship.
    pub filter: Option<Arc<Filter>>,
    /// Which lines are one record; without it, each is one.
    pub multiline: Option<Arc<Multiline>>,
    /// Lines are written by a container runtime: records are what is in them.
    pub container: bool,
    /// File bytes a second that will be read at most: what is read at once is little enough that this looks even.
    pub rate_limit: Option<u64>,
}

/// A [`Shape`] at work.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    max_line: usize,
    charset: Charset,
    container: bool,
    /// What most files have nothing of.
    more: Option<Box<More>>,
}

#[derive(Debug, Clone)]
struct More {
    /// How much is read at once; bytes.
    step: usize,
    json: Option<Arc<dyn Origin>>,
    filter: Option<Arc<Filter>>,
    multiline: Option<Arc<Multiline>>,
}

/// What is around the lines of one file, as long as the settings stay.
#[derive(Debug)]
pub(crate) struct Kept(Arc<dyn Origin>, Arc<Envelope>);

impl Recipe {
    pub(crate) fn new(max_line: usize, shape: &Shape) -> Self {
        let most = if shape.json.is_some() { JSON_STEP } else { STEP };
        let step = shape.rate_limit.map_or(most, |rate| {
            let part = usize::try_from(rate / READS_A_SECOND).unwrap_or(most);
            part.clamp(LEAST_STEP, most)
        });
        let is_plain = step == STEP && shape.json.is_none() && shape.filter.is_none() && shape.multiline.is_none();
        let more = || {
            Box::new(More {
                step,
                json: shape.json.clone(),
                filter: shape.filter.clone(),
                multiline: shape.multiline.clone(),
            })
        };
        Self {
            max_line,
            charset: shape.charset,
            container: shape.container,
            more: (!is_plain).then(more),
        }
    }

    fn json(&self) -> Option<&Arc<dyn Origin>> {
        self.more.as_ref()?.json.as_ref()
    }

    fn filter(&self) -> Option<&Arc<Filter>> {
        self.more.as_ref()?.filter.as_ref()
    }

    fn multiline(&self) -> Option<&Arc<Multiline>> {
        self.more.as_ref()?.multiline.as_ref()
    }

    /// How much is read at once.
    pub(crate) fn step(&self) -> usize {
        self.more.as_ref().map_or(STEP, |more| more.step)
    }

    /// What makes JSON of the lines of a stream, if they shall be that; `kept` stays with the stream.
    pub(crate) fn composer(&self, stream: &Stream, kept: &mut Option<Box<Kept>>) -> Option<Composer> {
        let origin = self.json()?;
        let known = kept.as_deref().filter(|Kept(of, _)| Arc::ptr_eq(of, origin));
        let envelope = match known {
            Some(Kept(_, envelope)) => Arc::clone(envelope),
            None => {
                let envelope = Arc::new(Envelope::new(&**origin, &stream.record().path, stream.id()));
                *kept = Some(Box::new(Kept(Arc::clone(origin), Arc::clone(&envelope))));
                envelope
            }
        };
        Some(Composer {
            envelope,
            origin: Arc::clone(origin),
            max_line: self.max_line,
        })
    }

    /// What finds lines, from this file offset on, in text of this encoding, if the file says one, or else that of the
    /// settings.
    pub(crate) fn sieve(&self, charset: Option<Charset>, composer: Option<&Composer>, offset: u64) -> Sieve {
        let framer = Framer::new(self.max_line)
            .of(charset.unwrap_or(self.charset))
            .at(offset);
        let containers = self.container.then(|| Containers::new(composer, self.max_line, offset));
        Sieve {
            framer: match composer {
                _ if self.container => framer.with_max_line(Containers::reach(self.max_line)),
                Some(composer) => composer.framer(framer),
                None => framer,
            },
            containers,
            filter: self.filter().cloned(),
            multiline: self.multiline().cloned(),
            ends: Ends::None,
        }
    }

    /// How long a group of lines waits for one more; none where each line is a record.
    pub(crate) fn group_timeout(&self) -> Option<Duration> {
        self.multiline().map(|multiline| multiline.timeout)
    }

    /// Bytes of records that are no bytes of the file, for so many of these; without a composer.
    pub(crate) fn copied(&self, bytes: usize) -> usize {
        if self.container { bytes } else { 0 }
    }

    /// Whether lines are as container runtimes write them.
    pub(crate) fn is_container(&self) -> bool {
        self.container
    }

    /// Bytes of a code unit, as far as the settings know.
    pub(crate) fn unit(&self) -> usize {
        self.charset.unit()
    }

    /// How many lines are looked for where their records may take so many bytes. Of those that a filter leaves out none is
    /// made a record.
    pub(crate) fn most_lines(&self, space: usize, composer: Option<&Composer>) -> usize {
        let each = match composer {
            Some(composer) if self.filter().is_none() => composer.least(),
            _ => self.record_cost(),
        };
        (space / each).max(1)
    }

    /// Bytes of bookkeeping a record costs in a batch: where it is in the buffer, and with a filter, in the file.
    pub(crate) fn record_cost(&self) -> usize {
        let ranges = if self.filter().is_some() || self.container {
            2
        } else {
            1
        };
        ranges * size_of::<Range<u32>>()
    }
}
