//! From framed lines to JSON records: in a buffer of their own, each no longer than the longest record.

use std::ops::Range;
use std::sync::Arc;

use crate::envelope::{Envelope, Origin, TIME_AND_OFFSET};
use crate::filter::{Sieve, Split};
use crate::frame::{Framed, Framer, Tail};

/// A message is never cut shorter than this, whatever is around it: a long path or many fields must not make a line
/// into hundreds of records. Bytes.
const LEAST_MESSAGE: usize = 64;
/// Bytes of bookkeeping of a composed record: where it is in the buffer, and in the file.
const RECORD_COST: usize = 2 * size_of::<Range<u32>>();

/// How much of a line the record holds that was just written; where it ends in the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// All of it.
    Nowhere,
    /// Up to between two lines: it is a group of them.
    Between(u32),
    /// Up to somewhere in it.
    Inside(u32),
}

/// Makes JSON records of the lines of one file.
#[derive(Debug, Clone)]
pub(crate) struct Composer {
    pub(crate) origin: Arc<dyn Origin>,
    pub(crate) envelope: Arc<Envelope>,
    /// Longer records are split; bytes.
    pub(crate) max_line: usize,
}

/// Records that are not the bytes of their lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Composed {
    pub(crate) buffer: Vec<u8>,
    /// Where the lines are that they were made of, line ends included; counted as the ranges of the frame were.
    pub(crate) extents: Vec<Range<u32>>,
}

/// What was framed: by this, these bytes, with what follows them, and where in the file they begin.
type Read<'a> = (&'a Sieve, &'a [u8], Tail, u64);

/// The records of `framed` in objects, where the settings or the log want them so: see [`Composer::compose`].
pub(crate) fn composed(
    composer: Option<Composer>,
    read: Read<'_>,
    framed: &mut Framed,
    space: usize,
) -> Option<Composed> {
    let made = framed.made.take();
    made.or_else(|| composer.map(|composer| composer.compose(read, framed, space)))
}

impl Composer {
    /// Bytes that the message may have in a record, with so many `more` around it than in every one.
    pub(crate) fn room(&self, more: usize) -> usize {
        let around = self.envelope.size() + more;
        self.max_line.saturating_sub(around).max(LEAST_MESSAGE)
    }

    /// What a framer splits lines at whose records shall not be longer than `max_line`, as far as no byte is escaped.
    pub(crate) fn framer(&self, framer: Framer) -> Framer {
        framer.with_max_line(self.room(0))
    }

    /// Bytes that a record takes, however short its line, less what a time or an offset may be shorter.
    pub(crate) fn least(&self) -> usize {
        self.envelope.size() - TIME_AND_OFFSET + RECORD_COST
    }

    /// Bytes that the records of so many unread bytes may take: of one record at least, of many as many as `step` bytes
    /// hold.
    pub(crate) fn space(&self, unread: usize, step: usize) -> usize {
        let one = self.max_line.max(self.envelope.size() + LEAST_MESSAGE) + RECORD_COST;
        // Each byte a line of its own, or one that takes six when it is escaped.
        let most = unread.saturating_mul(self.envelope.size() + RECORD_COST + 6);
        step.max(one).min(most)
    }

    /// Puts the records of `framed` into their objects, and changes it to what came of it. `data`, `tail` and `framer` are
    /// those it was framed with, `offset` is where in the file the data begins. As many are made as `space` bytes hold, but at
    /// least one.
    ///
    /// A line whose object is too long is cut where it fits, and framed on from there: so a cut depends on nothing but
    /// the bytes from the one before. A group of lines is cut between two of them.
    pub(crate) fn compose(&self, (sieve, data, tail, offset): Read<'_>, framed: &mut Framed, space: usize) -> Composed {
        let guess = data.len() + data.len() / 16 + framed.records.len() * (self.envelope.size() + RECORD_COST);
        let framer = &sieve.framer;
        let mut made = Made {
            out: Composed {
                buffer: Vec::with_capacity(guess.min(space)),
                extents: Vec::with_capacity(framed.records.len()),
            },
            records: Vec::with_capacity(framed.records.len()),
            parts: Vec::new(),
            scratch: String::new(),
            time: self.origin.now(),
        };
        let mut few = 1;
        let mut is_again = false;
        loop {
            let lines = std::mem::take(&mut framed.records);
            let mut parts = std::mem::take(&mut framed.parts).into_iter().peekable();
            let mut rests = std::mem::take(&mut framed.rests).into_iter().peekable();
            let extents = std::mem::take(&mut framed.extents);
            let end = index(framed.consumed - framed.dropped_nuls);
            let mut again = None;
            for (nth, line) in lines.iter().enumerate() {
                let label = parts.next_if(|(at, _)| *at as usize == nth).map(|(_, label)| label);
                let before = parts_before(label.as_deref());
                let rest = rests.next_if(|(at, _)| *at as usize == nth).map(|(_, place)| place);
                let next = match extents.get(nth) {
                    Some(extent) => extent.end,
                    None => lines.get(nth + 1).map_or(end, |next| next.start),
                };
                let start = made.out.buffer.len();
                let length = self.write(framer, data, line.clone(), offset, &mut made);
                let is_long = length > self.room(0);
                let cut = if is_long {
                    made.out.buffer.truncate(start);
                    self.write_first(framer, data, line.clone(), (offset, length), &mut made)
                } else {
                    Cut::Nowhere
                };
                let bytes = made.out.buffer.len() + (made.records.len() + 1) * RECORD_COST;
                if bytes > space && !made.records.is_empty() {
                    made.out.buffer.truncate(start);
                    again = Some((line.start, Split::of(before, rest), false));
                    break;
                }
                let record = index(start)..index(made.out.buffer.len());
                let (at, split) = match cut {
                    Cut::Nowhere => {
                        made.push(record, line.start..next, label);
                        continue;
                    }
                    Cut::Between(at) => (at, Split::of(0, sieve.place_behind(data, line.start..at, rest))),
                    Cut::Inside(at) => (at, Split::of(before + 1, None)),
                };
                made.push(record, line.start..at, (split.part > 0).then(|| split.part.to_string()));
                again = Some((at, split, true));
                break;
            }
            let (at, split) = match again {
                Some((at, split, false)) => {
                    (framed.consumed, framed.dropped_nuls) = (at as usize, 0);
                    (framed.part, framed.cut, framed.passed) = (split.part, split.cut, None);
                    framed.skipped.retain(|(line, _)| line.start < at);
                    break;
                }
                Some((at, split, true)) => (at as usize, split),
                None if is_again => (framed.consumed, framed.split()),
                None => break,
            };
            // Few at first: the next line may have to be split, too.
            few = if again.is_some() { 1 } else { few * 2 };
            is_again = true;
            // Those after a cut are found once more.
            let nuls = if again.is_some() { 0 } else { framed.dropped_nuls };
            let mut skipped = std::mem::take(&mut framed.skipped);
            skipped.retain(|(line, _)| (line.start as usize) < at);
            *framed = sieve.frame(data, at, tail, split, few);
            framed.dropped_nuls += nuls;
            framed.skipped.splice(0..0, skipped);
            if framed.consumed == at {
                break;
            }
        }
        framed.records = made.records;
        framed.parts = made.parts;
        made.out
    }

    /// Writes the object of a line. Returns the length of the message in it.
    fn write(&self, framer: &Framer, data: &[u8], line: Range<u32>, offset: u64, made: &mut Made) -> usize {
        let bytes = &data[line.start as usize..line.end as usize];
        let text = framer.text(bytes, line.start as usize, &mut made.scratch);
        let offset = offset + u64::from(line.start);
        self.envelope.write(&made.time, text, offset, &mut made.out.buffer)
    }

    /// Writes the object of as much of a line as fits: `length` is how long its message would be. Returns where in the data
    /// that ends.
    fn write_first(
        &self,
        framer: &Framer,
        data: &[u8],
        line: Range<u32>,
        (offset, mut length): (u64, usize),
        made: &mut Made,
    ) -> Cut {
        let whole = &data[line.start as usize..line.end as usize];
        let start = made.out.buffer.len();
        let mut bytes = whole.len();
        while length > self.room(0) && bytes > 1 {
            let limit = (bytes * self.room(0) / length).clamp(1, bytes - 1);
            let cut = framer.cut(whole, line.start as usize, limit);
            if cut >= bytes {
                break;
            }
            bytes = cut;
            made.out.buffer.truncate(start);
            length = self.write(framer, data, line.start..line.start + index(bytes), offset, made);
        }
        if bytes == whole.len() {
            return Cut::Nowhere;
        }
        let Some((end, after)) = framer.last_line(&whole[..bytes], line.start as usize) else {
            return Cut::Inside(line.start + index(bytes));
        };
        made.out.buffer.truncate(start);
        self.write(framer, data, line.start..line.start + index(end), offset, made);
        Cut::Between(line.start + index(after))
    }
}

/// How many parts of its line went before a record with this label.
pub(crate) fn parts_before(label: Option<&str>) -> u32 {
    let number = label.and_then(|label| label.split('/').next()?.parse::<u32>().ok());
    number.map_or(0, |number| number - 1)
}

struct Made {
    out: Composed,
    records: Vec<Range<u32>>,
    parts: Vec<(u32, String)>,
    scratch: String,
    time: String,
}

impl Made {
    fn push(&mut self, record: Range<u32>, extent: Range<u32>, label: Option<String>) {
        if let Some(label) = label {
            self.parts.push((index(self.records.len()), label));
        }
        self.records.push(record);
        self.out.extents.push(extent);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "read windows are far below 4 GiB")]
fn index(value: usize) -> u32 {
    value as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::account::Skip;
    use crate::charset::Charset;
    use crate::envelope::tests::Fixed;
    use crate::filter::{Ends, Filter};
    use crate::multiline::{Multiline, Rule};
    use crate::position::FileId;

    const OFFSET: u64 = 1000;

    fn composer(max_line: usize) -> Composer {
        let origin = Arc::new(Fixed(json!({"env": "test"})));
        let envelope = Arc::new(Envelope::new(&*origin, "/l".as_ref(), FileId(1)));
        Composer {
            origin,
            envelope,
            max_line,
        }
    }

    /// A record: its message, the file offset, which part it is, the bytes of the file that it accounts for.
    #[derive(Debug, Clone, PartialEq)]
    struct Made {
        message: String,
        offset: u64,
        part: Option<String>,
        extent: Range<u32>,
    }

    fn compose(
        composer: &Composer,
        sieve: (&str, Option<&Arc<Filter>>, Option<&Arc<Multiline>>),
        data: &[u8],
        tail: Tail,
        (at, split): (usize, Split),
        space: usize,
    ) -> (Vec<Made>, Framed) {
        let framer = composer.framer(Framer::new(1).of(Charset::of_label(sieve.0).unwrap()));
        let framer = framer.at(OFFSET);
        let sieve = Sieve {
            framer,
            filter: sieve.1.cloned(),
            multiline: sieve.2.cloned(),
            ends: Ends::None,
            containers: None,
        };
        let mut framed = sieve.frame(data, at, tail, split, usize::MAX);
        let out = composer.compose((&sieve, data, tail, OFFSET), &mut framed, space);
        let made = framed
            .records
            .iter()
            .zip(&out.extents)
            .enumerate()
            .map(|(index, (record, extent))| {
                let object: Value =
                    serde_json::from_slice(&out.buffer[record.start as usize..record.end as usize]).unwrap();
                assert_eq!(object["env"], "test");
                Made {
                    message: object["message"].as_str().unwrap().to_owned(),
                    offset: object["log"]["offset"].as_u64().unwrap(),
                    part: framed
                        .parts
                        .iter()
                        .find(|(of, _)| *of as usize == index)
                        .map(|(_, part)| part.clone()),
                    extent: extent.clone(),
                }
            });
        (made.collect(), framed)
    }

    #[track_caller]
    fn check(data: &str, room: usize, expected: &[(&str, u64, Option<&str>)]) {
        let size = composer(0).envelope.size();
        let composer = composer(size + room);
        let (made, framed) = compose(
            &composer,
            ("utf-8", None, None),
            data.as_bytes(),
            Tail::Open,
            (0, Split::default()),
            usize::MAX,
        );
        let found: Vec<_> = made
            .iter()
            .map(|m| (m.message.as_str(), m.offset - OFFSET, m.part.as_deref()))
            .collect();
        assert_eq!(found, expected);
        assert_eq!((framed.consumed, framed.part), (data.len(), 0));
    }

    #[test]
    fn a_line_is_a_message_and_what_does_not_fit_is_split() {
        check(
            "one\r\n\ntwo \"2\"\n",
            80,
            &[("one", 0, None), ("", 5, None), ("two \"2\"", 6, None)],
        );
        // Two bytes in the object for each of the line: half as many fit.
        let quotes = "\"".repeat(100);
        let line = format!("a\n{quotes}\nb\n");
        check(
            &line,
            100,
            &[
                ("a", 0, None),
                (&quotes[..50], 2, Some("1")),
                (&quotes[50..], 52, Some("2/2")),
                ("b", 103, None),
            ],
        );
        // Longer than a line may be, and then longer still.
        let tabs = "\t".repeat(120);
        check(
            &format!("{tabs}\n"),
            100,
            &[
                (&tabs[..50], 0, Some("1")),
                (&tabs[..50], 50, Some("2")),
                (&tabs[..20], 100, Some("3/3")),
            ],
        );
        let umlauts = "ü\"".repeat(40);
        let (first, second) = umlauts.split_at(umlauts.char_indices().nth(50).unwrap().0);
        check(
            &format!("{umlauts}\n"),
            100,
            &[(first, 0, Some("1")), (second, 75, Some("2/2"))],
        );
    }

    /// In its object a group is longer than the lines it is made of: what does not fit is a record of its own, and no line
    /// is torn.
    #[test]
    fn a_group_whose_object_is_too_long_is_cut_between_lines() {
        let composer = composer(composer(0).envelope.size() + 70);
        let multiline = Arc::new(Multiline::of(
            Rule::Continues(regex::bytes::Regex::new("^ ").unwrap()),
            99,
        ));
        let sieve = ("utf-8", None, Some(&multiline));
        let compose = |data: &str| {
            let start = (0, Split::default());
            let (made, framed) = compose(&composer, sieve, data.as_bytes(), Tail::Open, start, usize::MAX);
            let texts: Vec<_> = made
                .iter()
                .map(|made| (made.message.clone(), made.extent.clone()))
                .collect();
            assert!(made.iter().all(|made| made.part.is_none()));
            (texts, framed.consumed, framed.open)
        };
        let data = format!("1\n{}2\n", " \t\t\t\t\n".repeat(10));
        let (first, rest) = ("1".to_owned() + &"\n \t\t\t\t".repeat(6), &" \t\t\t\t\n".repeat(4));
        let second = rest.trim_end_matches('\n').to_owned();
        let (made, consumed, open) = compose(&data);
        assert_eq!(made, [(first, 0..38), (second, 38..62)]);
        assert_eq!((consumed, open), (62, Some(64)));
        let data = format!("1\n{}", " \t\t\t\t\n".repeat(10));
        let (made, consumed, open) = compose(&data);
        assert_eq!((made, consumed, open), (vec![], 0, Some(62)));
    }

    /// Once the NULs at the end were counted each time that a line before them was split.
    #[test]
    fn nuls_at_the_end_are_counted_once_however_often_lines_are_split() {
        let composer = composer(composer(0).envelope.size() + 100);
        let data = [&b"\"".repeat(120)[..], b"\n", &[0; 100]].concat();
        let start = (0, Split::default());
        let (made, framed) = compose(&composer, ("utf-8", None, None), &data, Tail::Final, start, usize::MAX);
        assert_eq!(made.len(), 3);
        assert_eq!((framed.consumed, framed.dropped_nuls), (221, 100));
    }

    proptest! {
        /// F6: neither the pieces in which the bytes come nor the space there is for records change what they are.
        #[test]
        fn objects_are_a_function_of_the_bytes(
            data in proptest::collection::vec(prop_oneof![1 => Just(b'\n'), 1 => Just(b'\r'), 10 => Just(0u8), 20 => Just(b'"'), 70 => any::<u8>()], 0..900),
            reads in proptest::collection::vec(1usize..400, 1..20),
            space in 0usize..3000,
            label in proptest::sample::select(vec!["utf-8", "gbk", "utf-16le", "utf-16be", "iso-2022-jp"]),
            has_filter: bool,
            has_groups: bool,
            ends: bool,
        ) {
            let end = if ends { Tail::Final } else { Tail::Open };
            let composer = composer(0);
            let filter = Filter::new(&[], &["a".into()]).unwrap().map(Arc::new);
            let rule = Rule::Start(regex::bytes::Regex::new("^[b\"]").unwrap());
            let multiline = Arc::new(Multiline::of(rule, 5));
            let sieve = (label, filter.as_ref().filter(|_| has_filter), Some(&multiline).filter(|_| has_groups));
            let (whole, all) = compose(&composer, sieve, &data, end, (0, Split::default()), usize::MAX);
            let (mut at, mut split, mut seen, mut skipped) = (0, Split::default(), 0, 0);
            let mut nuls = 0;
            let mut made = Vec::new();
            for read in reads.iter().copied().chain([data.len()]) {
                seen = (seen + read).min(data.len());
                loop {
                    let more = data[seen..].iter().any(|b| *b != 0);
                    let open = if more { Tail::MoreFollows } else { Tail::Open };
                    let tail = if seen == data.len() { end } else { open };
                    let (some, framed) = compose(&composer, sieve, &data[..seen], tail, (at, split), space);
                    if framed.consumed == at {
                        split = framed.split();
                        break;
                    }
                    made.extend(some);
                    skipped += framed.skipped_for(Skip::Excluded);
                    nuls += framed.dropped_nuls;
                    (at, split) = (framed.consumed, framed.split());
                }
            }
            prop_assert_eq!(&made, &whole);
            prop_assert_eq!((at, split), (all.consumed, all.split()));
            prop_assert_eq!(skipped, all.skipped_for(Skip::Excluded));
            let accounted: u64 = made.iter().map(|made| u64::from(made.extent.end - made.extent.start)).sum();
            prop_assert_eq!(nuls, all.dropped_nuls);
            prop_assert_eq!(accounted + skipped + nuls as u64, at as u64, "each byte is accounted for by one record");
            for made in &made {
                prop_assert_eq!(made.offset, OFFSET + u64::from(made.extent.start));
            }
        }
    }
}
