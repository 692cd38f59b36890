//! Which records ship: `include_lines` and `exclude_lines`.

use std::ops::Range;
use std::sync::Arc;

use regex::bytes::RegexSet;

use crate::account::Skip;
use crate::container::{Containers, Sides};
use crate::frame::{Framed, Framer, Tail};
use crate::multiline::{Multiline, Place};

/// Lines that ship, by what their text matches. What is excluded never ships; of the others, if any are included, only
/// those.
#[derive(Debug, Clone)]
pub struct Filter {
    include: Option<RegexSet>,
    exclude: RegexSet,
}

impl Filter {
    /// None where every line ships.
    ///
    /// # Errors
    /// What is not a regular expression, or all together are too large.
    pub fn new(include: &[String], exclude: &[String]) -> Result<Option<Self>, regex::Error> {
        let include = (!include.is_empty()).then(|| RegexSet::new(include)).transpose()?;
        let exclude = RegexSet::new(exclude)?;
        Ok((include.is_some() || !exclude.is_empty()).then_some(Self { include, exclude }))
    }

    /// Why a line does not ship; none when it does.
    pub(crate) fn judge(&self, text: &[u8]) -> Option<Skip> {
        if self.exclude.is_match(text) {
            return Some(Skip::Excluded);
        }
        let is_meant = self.include.as_ref().is_none_or(|include| include.is_match(text));
        (!is_meant).then_some(Skip::NotIncluded)
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        let include = |filter: &Self| filter.include.as_ref().map(|set| set.patterns().to_vec());
        include(self) == include(other) && self.exclude.patterns() == other.exclude.patterns()
    }
}

/// Where a line stands that is being split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Split {
    /// How many parts of it went before.
    pub(crate) part: u32,
    /// Why they did not ship, if they did not: then its other parts do not, either. Of a group that was cut the same.
    pub(crate) passed: Option<Skip>,
    /// Where a group stood that a limit ended before.
    pub(crate) cut: Option<Place>,
    /// How far the streams of a container were read, if one is not there.
    pub(crate) sides: Option<Sides>,
}

/// Which group takes no more lines, though one may follow that would belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    None,
    /// The one whose last line, with its end, ends there in the data.
    At(usize),
    /// The oldest.
    Any,
}

impl Ends {
    pub(crate) fn group(self, after: usize) -> bool {
        match self {
            Self::None => false,
            Self::At(end) => end == after,
            Self::Any => true,
        }
    }
}

/// Finds lines, and leaves out those that do not ship.
#[derive(Debug, Clone)]
pub(crate) struct Sieve {
    pub(crate) framer: Framer,
    pub(crate) filter: Option<Arc<Filter>>,
    pub(crate) multiline: Option<Arc<Multiline>>,
    /// Which group that may not be whole yet ends with its last line that is there.
    pub(crate) ends: Ends,
    /// Lines are as container runtimes write them; records are made, then, and no bytes of the data.
    pub(crate) containers: Option<Containers>,
}

impl Sieve {
    /// See [`Framer::frame`]. With `multiline` a record is a group of lines.
    pub(crate) fn frame(&self, data: &[u8], from: usize, tail: Tail, split: Split, max_records: usize) -> Framed {
        if let Some(containers) = &self.containers {
            return containers.frame(self, data, from, (tail, split), max_records);
        }
        let mut framed = match &self.multiline {
            None => self.framer.frame(data, from, tail, split.part, max_records),
            Some(multiline) => self.group(multiline, data, from, (tail, split), max_records),
        };
        if let Some(filter) = &self.filter {
            self.sift(filter, data, &mut framed, split.passed);
        }
        framed
    }

    /// The first part of a split line decides for all, and so does the first of a group that is longer than groups may be:
    /// they are judged by as much as a record holds.
    fn sift(&self, filter: &Filter, data: &[u8], framed: &mut Framed, mut passed: Option<Skip>) {
        let lines = std::mem::take(&mut framed.records);
        let mut parts = std::mem::take(&mut framed.parts).into_iter().peekable();
        let mut rests = std::mem::take(&mut framed.rests).into_iter().peekable();
        let end = index(framed.consumed - framed.dropped_nuls);
        let mut scratch = String::new();
        for (nth, line) in lines.iter().enumerate() {
            let label = parts.next_if(|(at, _)| *at as usize == nth).map(|(_, label)| label);
            let rest = rests.next_if(|(at, _)| *at as usize == nth).map(|(_, place)| place);
            let extent = line.start..lines.get(nth + 1).map_or(end, |next| next.start);
            if rest.is_none() && label.as_deref().is_none_or(|label| label == "1") {
                let bytes = &data[line.start as usize..line.end as usize];
                passed = filter.judge(self.framer.text_bytes(bytes, line.start as usize, &mut scratch));
            }
            if let Some(why) = passed {
                framed.skip(extent, why);
            } else {
                let nth = index(framed.records.len());
                framed.parts.extend(label.map(|label| (nth, label)));
                framed.rests.extend(rest.map(|place| (nth, place)));
                framed.records.push(line.clone());
                framed.extents.push(extent);
            }
        }
        framed.passed = passed.filter(|_| framed.split().goes_on());
    }
}

impl Split {
    /// Where something stands that ships.
    pub(crate) fn of(part: u32, cut: Option<Place>) -> Self {
        Self {
            part,
            cut,
            ..Self::default()
        }
    }

    /// Whether what comes next may belong to what is in records.
    pub(crate) fn goes_on(&self) -> bool {
        self.part > 0 || self.cut.is_some()
    }
}

impl Framed {
    pub(crate) fn skip(&mut self, extent: Range<u32>, why: Skip) {
        match self.skipped.last_mut() {
            Some((last, of)) if *of == why && last.end == extent.start => last.end = extent.end,
            _ => self.skipped.push((extent, why)),
        }
    }

    /// Where the next line that is to be split, or the rest of this one, stands.
    pub(crate) fn split(&self) -> Split {
        Split {
            part: self.part,
            passed: self.passed,
            cut: self.cut,
            sides: self.sides,
        }
    }

    /// Bytes of lines that do not ship for this reason.
    pub(crate) fn skipped_for(&self, why: Skip) -> u64 {
        let skipped = self.skipped.iter().filter(|(_, of)| *of == why);
        skipped.map(|(extent, _)| u64::from(extent.end - extent.start)).sum()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "read windows are far below 4 GiB")]
fn index(value: usize) -> u32 {
    value as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charset::Charset;

    fn sieve(label: &str, include: &[&str], exclude: &[&str]) -> Sieve {
        let owned = |patterns: &[&str]| patterns.iter().map(|pattern| (*pattern).to_owned()).collect::<Vec<_>>();
        Sieve {
            framer: Framer::new(10).of(Charset::of_label(label).unwrap()),
            filter: Filter::new(&owned(include), &owned(exclude)).unwrap().map(Arc::new),
            multiline: None,
            ends: Ends::None,
            containers: None,
        }
    }

    #[track_caller]
    fn check(sieve: &Sieve, data: &str, shipped: &[&str], skipped: (u64, u64)) {
        let framed = sieve.frame(data.as_bytes(), 0, Tail::Open, Split::default(), usize::MAX);
        let text = |record: &Range<u32>| &data[record.start as usize..record.end as usize];
        assert_eq!(framed.records.iter().map(text).collect::<Vec<_>>(), shipped);
        let reasons = [Skip::Excluded, Skip::NotIncluded].map(|why| framed.skipped_for(why));
        assert_eq!(reasons, [skipped.0, skipped.1]);
        let shipped: u64 = framed
            .extents
            .iter()
            .map(|extent| u64::from(extent.end - extent.start))
            .sum();
        assert_eq!(
            shipped + reasons[0] + reasons[1],
            data.len() as u64,
            "each byte is in one account"
        );
    }

    #[test]
    fn exclusions_win_and_without_inclusions_all_others_ship() {
        let text = "ERROR a\r\nWARN b\nERROR ok\n\nc\n";
        check(
            &sieve("utf-8", &["ERROR", "^$"], &["ok"]),
            text,
            &["ERROR a", ""],
            (9, 9),
        );
        check(
            &sieve("utf-8", &[], &["ok", "^c$"]),
            text,
            &["ERROR a", "WARN b", ""],
            (11, 0),
        );
        check(&sieve("utf-8", &["nothing"], &[]), text, &[], (0, 28));
        assert!(sieve("utf-8", &[], &[]).filter.is_none());
    }

    #[test]
    fn the_first_part_of_a_long_line_decides_for_all_of_it() {
        let text = "0123456789ERROR 89xy\nERROR 789012345\nERROR\n";
        let sieve = sieve("utf-8", &["ERROR"], &[]);
        check(&sieve, text, &["ERROR 7890", "12345", "ERROR"], (0, 21));
        // And when it is read in two halves.
        let first = sieve.frame(&text.as_bytes()[..15], 0, Tail::Open, Split::default(), 9);
        assert_eq!(
            (first.consumed, first.part, first.passed),
            (10, 1, Some(Skip::NotIncluded))
        );
        let second = sieve.frame(text.as_bytes(), 10, Tail::Open, first.split(), 9);
        assert_eq!(second.skipped_for(Skip::NotIncluded), 11);
        assert_eq!(second.parts, [(0, "1".into()), (1, "2/2".into())]);
    }

    #[test]
    fn expressions_see_text_whatever_its_encoding() {
        let framed = |label: &str, data: &[u8]| {
            let sieve = sieve(label, &["^错误"], &[]);
            sieve.frame(data, 0, Tail::Open, Split::default(), 9).records
        };
        assert_eq!(
            framed("gbk", b"\xb4\xed\xce\xf3 a\nb\n").as_slice(),
            std::slice::from_ref(&(0..6))
        );
        let utf_16: Vec<u8> = "b\n错误\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(framed("utf-16be", &utf_16).as_slice(), std::slice::from_ref(&(4..8)));
        // What is no text is seen as it is.
        let sieve = sieve("utf-8", &[r"(?-u:\xff)b"], &[]);
        assert_eq!(
            sieve
                .frame(b"a\xffb\nc\n", 0, Tail::Open, Split::default(), 9)
                .records
                .len(),
            1
        );
    }
}
