//! What was written and what became of it: which lines are owed, which could not be seen by any reader.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::timeline::{DOWN, FROZEN, NO_KAFKA, NO_SIDE, Risk, Timeline, now};
use crate::harness::lines::LineId;
use crate::harness::oracle::{Fairness, Oracle, Verdict};
use crate::harness::reader::Record;

/// A line that could be read for so many milliseconds, by a service that ran and had Kafka, is owed whatever becomes of its
/// file then. The service looks around every ten seconds where it missed a notification.
const OWED_AFTER: i64 = 12_000;

/// How the names of the logs in the second directory begin.
const SIDE: &str = "side/";

/// So many lines of a generation were there after a step.
struct Write {
    at: i64,
    step: usize,
    upto: u32,
}

/// The content of a generation can no longer be reached.
struct Cut {
    why: &'static str,
    /// The lines up to this one should have been read before.
    owed: u32,
}

/// One generation of a log.
struct Generation {
    side: bool,
    writes: Vec<Write>,
    /// The lines up to this one were written before it had a successor.
    on_time: Option<u32>,
    cut: Option<Cut>,
    /// It has no name any more: this run of the service has it open.
    held_by: Option<u32>,
}

/// Which lines of a generation have arrived.
#[derive(Default)]
struct Seen {
    /// By number; there is no line 0.
    lines: Vec<bool>,
    count: u32,
}

impl Seen {
    fn add(&mut self, number: usize) {
        self.lines.resize(self.lines.len().max(number + 1), false);
        if !std::mem::replace(&mut self.lines[number], true) {
            self.count += 1;
        }
    }

    /// The first of the lines up to `last` that has not arrived.
    fn first_missing(&self, last: u32) -> Option<u32> {
        let has = |number: u32| self.lines.get(number as usize).is_some_and(|seen| *seen);
        // Most generations are complete, and this is asked often.
        if self.count >= last && self.lines.len() == self.count as usize + 1 {
            return None;
        }
        (1..=last).find(|number| !has(*number))
    }
}

/// A generation, by the name of its log and its number.
pub type Key = (Arc<str>, u32);

/// See the module.
pub struct Books {
    oracle: Oracle,
    generations: BTreeMap<Key, Generation>,
    pub timeline: Timeline,
    /// No crash explains a repetition.
    pub exactly_once: bool,
    /// The step that is being done.
    pub step: usize,
    /// Which lines have arrived, by generation.
    seen: HashMap<Key, Seen>,
    /// So many records are taken down in `seen`.
    taken: usize,
}

impl Books {
    /// Nothing is written yet.
    pub fn new() -> Books {
        Books {
            oracle: Oracle::default(),
            generations: BTreeMap::new(),
            timeline: Timeline::new(),
            exactly_once: false,
            step: 0,
            seen: HashMap::new(),
            taken: 0,
        }
    }

    /// Records of a log must carry this key.
    pub fn key(&self, file: &str, key: String) {
        self.oracle.key(file, key);
    }

    /// A log has a new generation from now on.
    pub fn begin(&mut self, file: &Arc<str>, generation: u32) {
        let begun = Generation {
            side: file.starts_with(SIDE),
            writes: Vec::new(),
            on_time: None,
            cut: None,
            held_by: None,
        };
        self.generations.insert((file.clone(), generation), begun);
    }

    /// The next lines of a generation, each with its end, for the caller to write now.
    pub fn lines(&mut self, file: &Arc<str>, generation: u32, count: usize) -> String {
        let lines: String = (0..count).map(|_| self.oracle.next(file, generation) + "\n").collect();
        let step = self.step;
        let begun = self.generation(file, generation);
        let upto = begun.count() + u32::try_from(count).unwrap();
        begun.writes.push(Write { at: now(), step, upto });
        lines
    }

    fn generation(&mut self, file: &Arc<str>, generation: u32) -> &mut Generation {
        self.generations
            .get_mut(&(file.clone(), generation))
            .expect("a generation that was begun")
    }

    /// A generation has a successor from now on; `unfinished` lines of it are not whole yet.
    pub fn rotated(&mut self, file: &Arc<str>, generation: u32, unfinished: u32) {
        let begun = self.generation(file, generation);
        begun.on_time = begun.on_time.or(Some(begun.count() - unfinished));
    }

    /// The last name of a generation goes; `holder` is the run of the service that has it open.
    pub fn deleted(&mut self, file: &Arc<str>, generation: u32, holder: Option<u32>) {
        let loses_it = self.timeline.has(NO_SIDE) && file.starts_with(SIDE);
        match holder.filter(|_| !loses_it) {
            Some(run) => self.generation(file, generation).held_by = Some(run),
            None => self.cut(file, generation, "deleted, and not open in the service"),
        }
    }

    /// The content of a generation is gone for everybody.
    pub fn cut(&mut self, file: &Arc<str>, generation: u32, why: &'static str) {
        let begun = &self.generations[&(file.clone(), generation)];
        if begun.cut.is_some() {
            return;
        }
        let hindrance = DOWN | FROZEN | NO_KAFKA | if begun.side { NO_SIDE } else { 0 };
        let is_owed = |write: &&Write| self.timeline.fit(write.at, now(), hindrance) >= OWED_AFTER;
        let owed = begun
            .writes
            .iter()
            .take_while(is_owed)
            .last()
            .map_or(0, |write| write.upto);
        self.generation(file, generation).cut = Some(Cut { why, owed });
    }

    /// A run of the service has ended, and with it went what only it had open.
    pub fn run_ended(&mut self, run: u32) {
        self.cut_where(
            |begun| begun.held_by == Some(run),
            "deleted, and the service that had it open ended",
        );
    }

    /// The entry of the second directory went, and with it the handles of its files.
    pub fn side_ended(&mut self) {
        self.cut_where(
            |begun| begun.side && begun.held_by.is_some(),
            "deleted, and its entry was removed",
        );
    }

    fn cut_where(&mut self, condition: impl Fn(&Generation) -> bool, why: &'static str) {
        let keys: Vec<Key> = self
            .generations
            .iter()
            .filter(|(_, begun)| condition(begun))
            .map(|(key, _)| key.clone())
            .collect();
        for (file, generation) in keys {
            self.cut(&file, generation, why);
        }
    }

    /// Takes down what has arrived; `records` are all so far.
    pub fn take_down(&mut self, records: &[Record]) {
        for record in &records[self.taken..] {
            if let Some((key, number)) = record.value.as_deref().and_then(named) {
                self.seen.entry(key).or_default().add(number);
            }
        }
        self.taken = records.len();
    }

    /// A line that is owed and has not arrived.
    pub fn missing(&self) -> Option<LineId> {
        self.generations.iter().find_map(|((file, generation), begun)| {
            let owed = begun.cut.as_ref().map_or(begun.count(), |cut| cut.owed);
            let seen = self.seen.get(&(file.clone(), *generation));
            let number = seen.map_or((owed > 0).then_some(1), |seen| seen.first_missing(owed))?;
            Some(LineId {
                file: file.clone(),
                generation: *generation,
                number,
            })
        })
    }

    /// Compares what was written with all that arrived.
    pub fn judge(&self, records: &[Record]) -> Verdict {
        let judge = Judge {
            books: self,
            risks: self.risks(),
        };
        self.oracle.judge_fairly(records, &judge)
    }

    fn risks(&self) -> Vec<Risk> {
        if self.exactly_once {
            Vec::new()
        } else {
            self.timeline.risks()
        }
    }

    /// How many records a crash could have repeated.
    pub fn duplicates_allowed(&self, records: &[Record]) -> usize {
        let risks = self.risks();
        records
            .iter()
            .filter(|record| risks.iter().any(|risk| risk.covers(record.time)))
            .count()
    }

    /// Why lines are excused, and how many generations have such lines.
    pub fn cuts(&self) -> BTreeMap<&'static str, usize> {
        let mut cuts = BTreeMap::new();
        for (key, begun) in &self.generations {
            let arrived = self.seen.get(key).map_or(0, |seen| seen.count);
            if let Some(cut) = begun.cut.as_ref().filter(|_| arrived < begun.count()) {
                *cuts.entry(cut.why).or_default() += 1;
            }
        }
        cuts
    }

    /// The step that wrote a line, and what is known of its generation.
    pub fn story(&self, line: &LineId) -> (usize, String) {
        let begun = &self.generations[&(line.file.clone(), line.generation)];
        let write = begun.writes.iter().find(|write| write.upto >= line.number);
        let mut story = format!("{} lines", begun.count());
        if let Some(on_time) = begun.on_time {
            story += &format!(", rotated after {on_time}");
        }
        if let Some(cut) = &begun.cut {
            story += &format!(", {} (owed up to {})", cut.why, cut.owed);
        }
        (write.map_or(0, |write| write.step), story)
    }
}

impl Generation {
    fn count(&self) -> u32 {
        self.writes.last().map_or(0, |write| write.upto)
    }
}

/// What the books allow.
struct Judge<'a> {
    books: &'a Books,
    risks: Vec<Risk>,
}

impl Judge<'_> {
    fn generation(&self, line: &LineId) -> &Generation {
        &self.books.generations[&(line.file.clone(), line.generation)]
    }
}

impl Fairness for Judge<'_> {
    fn may_miss(&self, line: &LineId) -> bool {
        self.generation(line)
            .cut
            .as_ref()
            .is_some_and(|cut| line.number > cut.owed)
    }

    fn may_repeat(&self, _: &LineId, first: i64, again: i64) -> bool {
        self.risks.iter().any(|risk| risk.explains(first, again))
    }

    fn may_tear(&self, piece: &[u8]) -> bool {
        self.books.generations.iter().any(|((file, generation), begun)| {
            let Some(first) = begun.cut.as_ref().map(|cut| cut.owed + 1) else {
                return false;
            };
            let line = |number| LineId {
                file: file.clone(),
                generation: *generation,
                number,
            };
            (first..=begun.count()).any(|number| line(number).text().as_bytes().starts_with(piece))
        })
    }

    fn is_late(&self, line: &LineId) -> bool {
        self.generation(line)
            .on_time
            .is_some_and(|on_time| line.number > on_time)
    }
}

/// What a line says it is: cheap, for the judge looks closely in the end.
fn named(value: &[u8]) -> Option<(Key, usize)> {
    let mut words = std::str::from_utf8(value).ok()?.strip_prefix('<')?.split(' ');
    let (file, generation, number) = (words.next()?, words.next()?, words.next()?);
    Some(((file.into(), generation.parse().ok()?), number.parse().ok()?))
}
