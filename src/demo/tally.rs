//! The account of what arrived: pure, so that it can be tested without a broker.
//!
//! Order is promised within one generation of a file, so the account is kept by generation. What can be said at once
//! and what only at the end:
//!
//! - A line that has not arrived while no later one of its generation has is *in flight*: nothing is wrong.
//! - A line that has not arrived although a later one of its generation has is *missing*: it was passed over. While the
//!   demo runs, these are shown as lost. Should it arrive after all, it was not lost but *out of order*.
//! - At the end, when nothing is in flight any more, every written line that has not arrived is lost.

use std::collections::{BTreeMap, BTreeSet};

use super::line::{Line, Log};

/// How many lines were written, by log and generation.
pub type Written = BTreeMap<(Log, u32), u64>;

/// What arrived so far.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Lines that came before and came again.
    pub twice: u64,
    /// Lines that came after a later line of their generation.
    pub out_of_order: u64,
    /// Records with the key of a log that are not one of its lines: torn, merged, changed, under another log's key.
    pub damaged: u64,
    /// Records of other keys: the visitor's own logs.
    pub guests: u64,
    /// Records that the in-process broker dropped before they were read back: it keeps 5 MiB a partition.
    pub evicted: u64,
    generations: BTreeMap<(Log, u32), Arrived>,
}

#[derive(Clone, Debug, Default)]
struct Arrived {
    /// The highest number that arrived; 0 before the first.
    highest: u64,
    /// The numbers below it that have not.
    missing: BTreeSet<u64>,
}

impl Tally {
    /// Takes a record into the account.
    pub fn arrive(&mut self, key: Option<&[u8]>, value: &[u8]) {
        let owner = key.and_then(Log::named);
        let Some(line) = Line::parse(value) else {
            match owner {
                Some(_) => self.damaged += 1,
                None => self.guests += 1,
            }
            return;
        };
        if owner.is_some_and(|owner| owner != line.log) {
            self.damaged += 1;
            return;
        }
        let generation = self.generations.entry((line.log, line.generation)).or_default();
        if line.number > generation.highest {
            generation.missing.extend(generation.highest + 1..line.number);
            generation.highest = line.number;
        } else if generation.missing.remove(&line.number) {
            self.out_of_order += 1;
        } else {
            self.twice += 1;
        }
    }

    /// Different lines that arrived.
    pub fn arrived(&self) -> u64 {
        self.generations.values().map(Arrived::count).sum()
    }

    /// Different lines of one log that arrived.
    pub fn arrived_of(&self, log: Log) -> u64 {
        self.generations
            .iter()
            .filter(|((of, _), _)| *of == log)
            .map(|(_, generation)| generation.count())
            .sum()
    }

    /// Lines that were passed over: a later one of their generation is there, they are not.
    pub fn missing(&self) -> u64 {
        self.generations
            .values()
            .map(|generation| count(generation.missing.len()))
            .sum()
    }

    /// Where lines are absent: log, generation, first and last number of each gap.
    pub fn gaps(&self, written: &Written) -> Vec<(Log, u32, u64, u64)> {
        let mut gaps: Vec<(Log, u32, u64, u64)> = Vec::new();
        for (&(log, generation), &lines) in written {
            let arrived = self.generations.get(&(log, generation)).cloned().unwrap_or_default();
            for number in arrived
                .missing
                .range(..=lines)
                .copied()
                .chain(arrived.highest + 1..=lines)
            {
                match gaps.last_mut() {
                    Some(gap) if (gap.0, gap.1, gap.3 + 1) == (log, generation, number) => gap.3 = number,
                    _ => gaps.push((log, generation, number, number)),
                }
            }
        }
        gaps
    }

    /// Lines that were written and have not arrived: lost, when nothing is in flight any more.
    pub fn absent(&self, written: &Written) -> u64 {
        let absent = |(of, &lines): (&(Log, u32), &u64)| match self.generations.get(of) {
            None => lines,
            Some(arrived) => count(arrived.missing.range(..=lines).count()) + lines.saturating_sub(arrived.highest),
        };
        written.iter().map(absent).sum()
    }
}

impl Arrived {
    fn count(&self) -> u64 {
        self.highest - count(self.missing.len())
    }
}

fn count(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(numbers: impl IntoIterator<Item = u64>) -> Tally {
        let mut tally = Tally::default();
        arrive(&mut tally, 1, numbers);
        tally
    }

    fn arrive(tally: &mut Tally, generation: u32, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            let mut value = Vec::new();
            Line {
                log: Log::Jobs,
                generation,
                number,
            }
            .write(&mut value);
            value.pop();
            tally.arrive(Some(b"jobs"), &value);
        }
    }

    /// (arrived, missing, out of order, twice)
    fn counts(tally: &Tally) -> (u64, u64, u64, u64) {
        (tally.arrived(), tally.missing(), tally.out_of_order, tally.twice)
    }

    #[test]
    fn lines_in_order_have_no_fault() {
        assert_eq!(counts(&tally(1..=500)), (500, 0, 0, 0));
    }

    #[test]
    fn a_line_passed_over_is_missing_at_once() {
        assert_eq!(counts(&tally([1, 2, 5])), (3, 2, 0, 0));
    }

    #[test]
    fn a_missing_line_that_comes_late_is_out_of_order() {
        assert_eq!(counts(&tally([1, 3, 4, 2])), (4, 0, 1, 0));
    }

    #[test]
    fn a_replay_after_a_crash_is_twice_and_keeps_its_order() {
        assert_eq!(counts(&tally((1..=10).chain(6..=20))), (20, 0, 0, 5));
    }

    #[test]
    fn a_loss_and_a_repetition_do_not_cancel_out() {
        assert_eq!(counts(&tally([1, 2, 2, 4])), (3, 1, 0, 1));
    }

    #[test]
    fn generations_have_an_order_each() {
        let mut tally = tally(1..=5);
        arrive(&mut tally, 2, 1..=3);
        arrive(&mut tally, 1, 6..=7);
        assert_eq!(counts(&tally), (10, 0, 0, 0));
        assert_eq!((tally.arrived_of(Log::Jobs), tally.arrived_of(Log::Web)), (10, 0));
    }

    #[test]
    fn what_was_written_and_never_came_is_absent() {
        let tally = tally([1, 2, 4]);
        let written = Written::from([((Log::Jobs, 1), 10), ((Log::Web, 1), 7)]);
        assert_eq!(tally.absent(&written), 1 + 6 + 7);
        assert_eq!(tally.absent(&Written::from([((Log::Jobs, 1), 4)])), 1);
        assert_eq!(
            tally.gaps(&written),
            [(Log::Web, 1, 1, 7), (Log::Jobs, 1, 3, 3), (Log::Jobs, 1, 5, 10)]
        );
    }

    #[test]
    fn damage_and_guests_are_told_apart_by_the_key() {
        let mut tally = Tally::default();
        let mut value = Vec::new();
        Line {
            log: Log::Web,
            generation: 1,
            number: 1,
        }
        .write(&mut value);
        value.pop();
        tally.arrive(Some(b"web"), &value[1..]);
        tally.arrive(Some(b"jobs"), &value);
        tally.arrive(Some(b"yours"), b"some text");
        tally.arrive(None, b"some text");
        assert_eq!((tally.damaged, tally.guests, tally.arrived()), (2, 2, 0));
        // The visitor may change the key of a log in the settings: its lines still say whose they are.
        tally.arrive(Some(b"host:web.log"), &value);
        assert_eq!(tally.arrived(), 1);
    }
}
