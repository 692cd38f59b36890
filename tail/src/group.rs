//! From lines to groups of them: `multiline`. A group is the bytes of the file from its first line to its last, with the
//! line ends between; it is found only when it is known to be whole, and stays unread until then.

use std::ops::Range;

use crate::filter::{Sieve, Split};
use crate::frame::{Framed, Tail};
use crate::multiline::{Multiline, Place};

/// Lines that are looked at before they are joined: what their ranges take is not paid for.
const LINES_AT_ONCE: usize = 4096;

/// A group that the next line may belong to.
struct Open {
    range: Range<u32>,
    /// Behind the end of its last line.
    after: usize,
    lines: usize,
    place: Place,
    /// It is what a limit cut off a group, which stood there before it.
    rest: Option<Place>,
}

impl Sieve {
    /// As [`crate::frame::Framer::frame`] finds lines, of which at most `max_records` groups are made. A group ends before
    /// a line that begins another, with its `max_lines` lines, and before one with which it would be longer than the longest
    /// record: what these limits cut off goes on where the group stood, and ships if it did. A line that is longer itself is
    /// in none.
    pub(crate) fn group(
        &self,
        multiline: &Multiline,
        data: &[u8],
        from: usize,
        (tail, split): (Tail, Split),
        max_records: usize,
    ) -> Framed {
        let framer = &self.framer;
        let (mut part, mut cut) = (split.part, split.cut);
        let mut out = Framed {
            consumed: from,
            part,
            ..Framed::default()
        };
        let mut open: Option<Open> = None;
        let mut scratch = String::new();
        let (mut at, mut nuls) = (from, 0);
        loop {
            let found = framer.frame(data, at, tail, part, LINES_AT_ONCE);
            let end = index(found.consumed - found.dropped_nuls);
            let mut labels = found.parts.into_iter().peekable();
            for (nth, line) in found.records.iter().enumerate() {
                let after = found.records.get(nth + 1).map_or(end, |next| next.start) as usize;
                let label = labels.next_if(|(of, _)| *of as usize == nth).map(|(_, label)| label);
                if let Some(label) = label {
                    if let Some(open) = open.take()
                        && is_full(&mut out, open, None, max_records)
                    {
                        return out;
                    }
                    (cut, out.cut) = (None, None);
                    out.parts.push((index(out.records.len()), label.clone()));
                    out.records.push(line.clone());
                    let is_last = label.contains('/');
                    out.part = if is_last { 0 } else { label.parse().unwrap_or(0) };
                    out.consumed = after;
                    if out.records.len() >= max_records {
                        return out;
                    }
                    continue;
                }
                let text = framer.text_bytes(
                    &data[line.start as usize..line.end as usize],
                    line.start as usize,
                    &mut scratch,
                );
                let fits = |open: &&mut Open| (line.end - open.range.start) as usize <= framer.max_line();
                let before = open.as_ref().map(|open| open.place).or(cut.take());
                let next = before.and_then(|place| multiline.rule.next(place, text));
                if let (Some(open), Some(place)) = (open.as_mut().filter(fits), next) {
                    (open.range.end, open.after, open.place) = (line.end, after, place);
                    open.lines += 1;
                } else {
                    let rest = before.filter(|_| next.is_some());
                    let next = Open {
                        range: line.clone(),
                        after,
                        lines: 1,
                        place: next.unwrap_or_else(|| multiline.rule.first(text)),
                        rest,
                    };
                    if let Some(open) = open.replace(next)
                        && is_full(&mut out, open, rest, max_records)
                    {
                        return out;
                    }
                }
                if let Some(full) = open.take_if(|open| open.lines >= multiline.max_lines) {
                    cut = Some(full.place);
                    if is_full(&mut out, full, cut, max_records) {
                        return out;
                    }
                }
            }
            nuls += found.dropped_nuls;
            part = found.part;
            if found.consumed == at {
                break;
            }
            at = found.consumed;
        }
        let certain = framer.certain_rest(data, at, tail);
        // No line can follow that would still fit.
        let is_long = |open: &Open| at - open.range.start as usize + certain > framer.max_line();
        if let Some(over) = open.take_if(|open| tail == Tail::Final || self.ends.group(open.after) || is_long(open)) {
            cut = Some(over.place).filter(|_| is_long(&over));
            if is_full(&mut out, over, cut, max_records) {
                return out;
            }
        }
        match open {
            Some(open) => (out.open, out.cut) = (Some(open.after), open.rest),
            None => (out.consumed, out.dropped_nuls, out.part, out.cut) = (at, nuls, part, cut),
        }
        out
    }

    /// Where a group stands behind these of its lines, and where it stood before them, if they are not its first.
    pub(crate) fn place_behind(&self, data: &[u8], lines: Range<u32>, before: Option<Place>) -> Option<Place> {
        let rule = &self.multiline.as_ref()?.rule;
        let (from, to) = (lines.start as usize, lines.end as usize);
        let mut scratch = String::new();
        let found = self.framer.frame(&data[..to], from, Tail::Open, 0, usize::MAX);
        found.records.iter().fold(before, |place, line| {
            let (start, end) = (line.start as usize, line.end as usize);
            let text = self.framer.text_bytes(&data[start..end], start, &mut scratch);
            let next = place.and_then(|place| rule.next(place, text));
            Some(next.unwrap_or_else(|| rule.first(text)))
        })
    }
}

/// Makes a record of a group, which a limit `cut` there, if it did. True when no more may be made.
fn is_full(out: &mut Framed, open: Open, cut: Option<Place>, max_records: usize) -> bool {
    out.rests
        .extend(open.rest.map(|place| (index(out.records.len()), place)));
    out.records.push(open.range);
    (out.consumed, out.part, out.cut) = (open.after, 0, cut);
    out.records.len() >= max_records
}

#[expect(clippy::cast_possible_truncation, reason = "read windows are far below 4 GiB")]
fn index(value: usize) -> u32 {
    value as u32
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use regex::bytes::Regex;

    use super::*;
    use crate::account::Skip;
    use crate::charset::Charset;
    use crate::filter::{Ends, Filter, Split};
    use crate::frame::Framer;
    use crate::multiline::{Language, Rule};

    fn starting(pattern: &str) -> Rule {
        Rule::Start(Regex::new(pattern).unwrap())
    }

    fn continuing(pattern: &str) -> Rule {
        Rule::Continues(Regex::new(pattern).unwrap())
    }

    fn sieve(rule: Rule, max_line: usize, max_lines: usize) -> Sieve {
        Sieve {
            framer: Framer::new(max_line),
            filter: None,
            multiline: Some(Arc::new(Multiline::of(rule, max_lines))),
            ends: Ends::None,
            containers: None,
        }
    }

    fn frame(sieve: &Sieve, data: &[u8], tail: Tail) -> Framed {
        sieve.frame(data, 0, tail, Split::default(), usize::MAX)
    }

    #[track_caller]
    fn check(sieve: &Sieve, data: &str, tail: Tail, expected: &[&str], rest: &str) {
        let framed = frame(sieve, data.as_bytes(), tail);
        let text = |record: &Range<u32>| &data[record.start as usize..record.end as usize];
        assert_eq!(framed.records.iter().map(text).collect::<Vec<_>>(), expected);
        assert_eq!(&data[framed.consumed..], rest, "what is left for later");
    }

    #[test]
    fn a_group_is_whole_when_a_line_begins_another() {
        let by_start = sieve(starting(r"^\d"), 100, 9);
        check(
            &by_start,
            "1\n a\r\n\n2\n3\n b\n",
            Tail::Open,
            &["1\n a\r\n", "2"],
            "3\n b\n",
        );
        check(&by_start, "1\n a\n2", Tail::Open, &[], "1\n a\n2");
        check(&by_start, "1\n a\n b", Tail::Final, &["1\n a\n b"], "");
        let by_continuation = sieve(continuing(r"^\s"), 100, 9);
        check(
            &by_continuation,
            "1\n a\nx\ny\n b\n",
            Tail::Open,
            &["1\n a", "x"],
            "y\n b\n",
        );
    }

    /// M1: nothing is there that it could belong to.
    #[test]
    fn a_leading_continuation_is_a_record() {
        check(
            &sieve(starting(r"^\d"), 100, 9),
            " a\n1\n2\n",
            Tail::Open,
            &[" a", "1"],
            "2\n",
        );
        check(
            &sieve(continuing(r"^\s"), 100, 9),
            " a\n1\n2\n",
            Tail::Open,
            &[" a", "1"],
            "2\n",
        );
    }

    #[test]
    fn a_group_ends_when_nothing_came_for_too_long_and_half_a_line_is_not_in_it() {
        let sieve = sieve(starting(r"^\d"), 100, 9);
        assert_eq!(frame(&sieve, b"1\n a\n b", Tail::Open).open, Some(5));
        let ended = Sieve {
            ends: Ends::Any,
            ..sieve
        };
        check(&ended, "1\n a\n b", Tail::Open, &["1\n a"], " b");
        assert_eq!(frame(&ended, b"1\n a\n b", Tail::Open).open, None);
        // The one that waited was added to.
        let others = Sieve {
            ends: Ends::At(2),
            ..ended
        };
        check(&others, "1\n a\n b", Tail::Open, &[], "1\n a\n b");
    }

    #[test]
    fn a_group_has_no_more_lines_and_bytes_than_it_may() {
        let few = sieve(starting(r"^\d"), 100, 2);
        check(&few, "1\n a\n b\n c\n d\n", Tail::Open, &["1\n a", " b\n c"], " d\n");
        let short = sieve(starting(r"^\d"), 10, 9);
        check(
            &short,
            "1\n 456\n 890\n a\n2\n",
            Tail::Open,
            &["1\n 456", " 890\n a"],
            "2\n",
        );
        check(&short, "1\n 456\n 89\n2\n", Tail::Open, &["1\n 456\n 89"], "2\n");
        // Whatever follows, it does not fit any more.
        check(&short, "1\n 456\n 890", Tail::Open, &["1\n 456"], " 890");
        check(&short, "1\n 456\n 89", Tail::Open, &[], "1\n 456\n 89");
    }

    #[test]
    fn a_line_that_is_too_long_itself_is_split_and_in_no_group() {
        let sieve = sieve(starting(r"^\d"), 10, 9);
        let data = "1\n a\n 23456789abcd\n b\n2\n";
        check(&sieve, data, Tail::Open, &["1\n a", " 23456789a", "bcd", " b"], "2\n");
        let framed = frame(&sieve, data.as_bytes(), Tail::Open);
        assert_eq!(framed.parts, [(1, "1".into()), (2, "2/2".into())]);
    }

    #[test]
    fn a_filter_sees_whole_groups() {
        let sieve = Sieve {
            filter: Filter::new(&["cause".into()], &[]).unwrap().map(Arc::new),
            ..sieve(starting(r"^\d"), 100, 9)
        };
        let data = b"1 x\n a\n2 y\n cause\n3 z\n";
        let framed = frame(&sieve, data, Tail::Open);
        assert_eq!((framed.records.len(), framed.records.first()), (1, Some(&(7..17))));
        assert_eq!(framed.skipped_for(Skip::NotIncluded), 7);
    }

    /// Once each piece was judged by itself: the end of what was to ship was left out, and of what was not, shipped.
    #[test]
    fn what_a_limit_cuts_off_a_group_ships_if_its_beginning_does() {
        let filtered = |max_line, max_lines| Sieve {
            filter: Filter::new(&["^x".into()], &["^x!".into()]).unwrap().map(Arc::new),
            ..sieve(starting(r"^\S"), max_line, max_lines)
        };
        let data = "x\n a\n b\n c\n d\n!\n x\n x\n x\nx!\n a\n x\n c\nx\n";
        let many = ["x\n a", " b\n c", " d"];
        check(&filtered(100, 2), data, Tail::Open, &many, "x\n");
        check(&filtered(4, 100), data, Tail::Open, &["x\n a", " b", " c", " d"], "x\n");
        let framed = frame(&filtered(100, 2), data.as_bytes(), Tail::Open);
        assert_eq!(
            [Skip::NotIncluded, Skip::Excluded].map(|why| framed.skipped_for(why)),
            [11, 12]
        );
        // Over a restart, too: the position knows.
        let first = frame(&filtered(100, 2), &data.as_bytes()[..8], Tail::Open);
        assert_eq!((first.consumed, first.cut, first.passed), (5, Some(Place::Plain), None));
        let skipped = frame(&filtered(100, 2), b"!\n x\n x\n", Tail::Open);
        assert_eq!((skipped.consumed, skipped.passed), (5, Some(Skip::NotIncluded)));
        let rest = filtered(100, 2).frame(b"!\n x\n x\nx\n", 5, Tail::Open, skipped.split(), 9);
        assert_eq!((rest.records.len(), rest.skipped_for(Skip::NotIncluded)), (0, 3));
    }

    /// Once every frame was a record of two lines: what a limit cut off did not know that it was in a stack.
    #[test]
    fn what_a_limit_cuts_off_a_trace_goes_on_as_a_trace() {
        let frames = |range: Range<u32>| -> Vec<String> {
            range.map(|n| format!("main.f{n}(0x{n})\n\t/a.go:{n} +0x1d")).collect()
        };
        let head = "panic: boom\n\ngoroutine 1 [running]:\n";
        let data = format!("{head}{}\n2024/01/01 on\n2024/01/01 off\n", frames(0..10).join("\n"));
        let (first, second) = (head.to_owned() + &frames(0..4).join("\n"), frames(4..10).join("\n"));
        let second = second.split_at(second.match_indices('\n').nth(10).unwrap().0);
        let last = &second.1[1..];
        let sieve = sieve(Rule::Trace(Language::Go), 1000, 11);
        check(
            &sieve,
            &data,
            Tail::Open,
            &[&first, second.0, last, "2024/01/01 on"],
            "2024/01/01 off\n",
        );
    }

    fn rule() -> impl Strategy<Value = Rule> {
        prop_oneof![
            Just(starting("^[ab]")),
            Just(continuing("^[ab]")),
            Just(Rule::Trace(Language::Python)),
            Just(Rule::Trace(Language::Go)),
        ]
    }

    proptest! {
        /// F6, M1, M2: neither the pieces in which bytes come, nor how many records are made at once, nor restarts change
        /// what is a record; as long as nothing takes too long.
        #[test]
        fn groups_are_a_function_of_the_bytes(
            data in proptest::collection::vec(prop_oneof![
                4 => Just(b'\n'), 1 => Just(b'\r'), 1 => Just(0u8), 2 => Just(b'a'), 3 => Just(b' '), 4 => any::<u8>()
            ], 0..200),
            reads in proptest::collection::vec(1usize..20, 1..80),
            (max, max_lines) in (1usize..30, 1usize..6),
            few in 1usize..5,
            rule in rule(),
            label in proptest::sample::select(vec!["utf-8", "gbk", "utf-16le", "utf-16be"]),
            (ends, has_filter) in any::<(bool, bool)>(),
        ) {
            let end = if ends { Tail::Final } else { Tail::Open };
            let mut sieve = sieve(rule, max, max_lines);
            sieve.filter = Filter::new(&["a".into()], &[]).unwrap().map(Arc::new).filter(|_| has_filter);
            sieve.framer = sieve.framer.of(Charset::of_label(label).unwrap());
            let whole = frame(&sieve, &data, end);
            let (mut at, mut split, mut seen) = (0, Split::default(), 0);
            let mut records: Vec<Range<u32>> = Vec::new();
            for read in reads.iter().copied().chain([data.len()]) {
                seen = (seen + read).min(data.len());
                loop {
                    let more = data[seen..].iter().any(|byte| *byte != 0);
                    let open = if more { Tail::MoreFollows } else { Tail::Open };
                    let tail = if seen == data.len() { end } else { open };
                    let framed = sieve.frame(&data[..seen], at, tail, split, few);
                    split = framed.split();
                    if framed.consumed == at { break; }
                    records.extend(framed.records.iter().cloned());
                    at = framed.consumed;
                }
            }
            prop_assert_eq!(&records, &whole.records);
            prop_assert_eq!((at, split), (whole.consumed, whole.split()));
        }
    }
}
