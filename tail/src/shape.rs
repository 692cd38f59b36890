//! How the bytes of a file become records.

use std::sync::Arc;

use crate::charset::Charset;
use crate::compose::Composer;
use crate::envelope::{Envelope, Origin};
use crate::frame::Framer;
use crate::generation::STEP;
use crate::stream::Stream;

/// A line becomes three times as long in its JSON object, or four: as much is read at once as fits then.
const JSON_STEP: usize = STEP / 4;

/// How the bytes of a file become records; the longest record is beside it in [`crate::WatchSpec`].
#[derive(Debug, Clone, Default)]
pub struct Shape {
    /// The encoding of the file, unless it begins with a byte-order mark, which is trusted more.
    pub charset: Charset,
    /// Records are JSON objects that say where the line comes from; without it, the lines themselves.
    pub json: Option<Arc<dyn Origin>>,
}

/// A [`Shape`] at work.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    framer: Framer,
    max_line: usize,
    json: Option<Arc<dyn Origin>>,
}

/// What is around the lines of one file, as long as the settings stay.
#[derive(Debug)]
pub(crate) struct Kept(Arc<dyn Origin>, Arc<Envelope>);

impl Recipe {
    pub(crate) fn new(max_line: usize, shape: &Shape) -> Self {
        Self {
            framer: Framer::new(max_line).of(shape.charset),
            max_line,
            json: shape.json.clone(),
        }
    }

    /// How much is read at once where `window` bytes would be of plain lines.
    pub(crate) fn window(&self, window: usize) -> usize {
        if self.json.is_some() && window <= STEP {
            JSON_STEP
        } else {
            window
        }
    }

    /// What makes JSON of the lines of a stream, if they shall be that; `kept` stays with the stream.
    pub(crate) fn composer(&self, stream: &Stream, kept: &mut Option<Kept>) -> Option<Composer> {
        let origin = self.json.as_ref()?;
        let envelope = match kept {
            Some(Kept(of, envelope)) if Arc::ptr_eq(of, origin) => Arc::clone(envelope),
            _ => {
                let envelope = Arc::new(Envelope::new(&**origin, &stream.record().path, stream.id()));
                *kept = Some(Kept(Arc::clone(origin), Arc::clone(&envelope)));
                envelope
            }
        };
        Some(Composer {
            envelope,
            origin: Arc::clone(origin),
            max_line: self.max_line,
        })
    }

    /// What finds lines in text of this encoding, if the file says one, or else that of the settings.
    pub(crate) fn framer(&self, charset: Option<Charset>, composer: Option<&Composer>) -> Framer {
        let framer = self.framer.of(charset.unwrap_or(self.framer.charset()));
        composer.map_or(framer, |composer| composer.framer(framer))
    }
}
