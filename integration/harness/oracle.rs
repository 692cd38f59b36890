//! The judge: what was written, against what arrived. Each way to be wrong has a name.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex};

use super::lines::{END, LineId, START};
use super::reader::Record;

/// What is wrong with what arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// A line never arrived.
    Lost,
    /// A line arrived again.
    Duplicate,
    /// A line arrived after one that was written later, or a file's lines are in several partitions, which have no order.
    Reordered,
    /// A piece of a line.
    Torn,
    /// More than one line, or pieces of more, in one record.
    Merged,
    /// What nobody wrote.
    Phantom,
    /// A whole line under the name of another file.
    Misattributed,
}

/// What a harsher world than a plain test allows. By default nothing.
pub trait Fairness {
    /// No reader could have seen this line; of a generation only its last lines may be missing.
    fn may_miss(&self, _line: &LineId) -> bool {
        false
    }

    /// A line whose first record has one time (milliseconds, see [`Record::time`]) may come again at another.
    fn may_repeat(&self, _line: &LineId, _first: i64, _again: i64) -> bool {
        false
    }

    /// This piece is the beginning of a line that [`Fairness::may_miss`]: it was unfinished when its file was cut.
    fn may_tear(&self, _piece: &[u8]) -> bool {
        false
    }

    /// It was written when its generation had a successor already, which may overtake it.
    fn is_late(&self, _line: &LineId) -> bool {
        false
    }
}

/// Every line once and in order.
struct Strict;

impl Fairness for Strict {}

/// Keeps the books of what was written.
#[derive(Default)]
pub struct Oracle {
    /// How many lines each generation of each file has.
    written: Mutex<BTreeMap<(Arc<str>, u32), u32>>,
    /// The key that records of a file must carry.
    keys: Mutex<HashMap<Arc<str>, Vec<u8>>>,
    /// A later generation may overtake the late lines of the one before.
    late_lines: bool,
}

/// What the judge found.
#[derive(Default)]
pub struct Verdict {
    /// Each fault with what it is about, in the order found.
    pub faults: Vec<(Fault, String)>,
    /// The line that each fault is about, where it is about one.
    pub lines: Vec<Option<LineId>>,
    /// Lines that are missing and may be.
    pub excused: usize,
    /// Records that are the beginning of such a line.
    pub torn: usize,
    /// Records that repeat a line and may.
    pub repeated: usize,
    /// How many lines were written.
    pub written: usize,
    /// How many records arrived.
    pub arrived: usize,
}

impl Oracle {
    /// A judge that lets a generation's late lines follow its successor: for writers that keep an old handle.
    pub fn with_late_lines() -> Oracle {
        Oracle {
            late_lines: true,
            ..Oracle::default()
        }
    }

    /// Records of `file` must carry `key` from now on.
    pub fn key(&self, file: &str, key: impl Into<Vec<u8>>) {
        self.keys.lock().unwrap().insert(file.into(), key.into());
    }

    /// The next line of a generation of a file: written from now on, without its end.
    pub fn next(&self, file: &Arc<str>, generation: u32) -> String {
        let mut written = self.written.lock().unwrap();
        let count = written.entry((file.clone(), generation)).or_default();
        *count += 1;
        LineId {
            file: file.clone(),
            generation,
            number: *count,
        }
        .text()
    }

    /// How many lines were written so far.
    pub fn written(&self) -> usize {
        self.written
            .lock()
            .unwrap()
            .values()
            .map(|&count| usize::try_from(count).unwrap())
            .sum()
    }

    /// Compares the books with the records of a topic, which are in order within each partition.
    pub fn judge(&self, records: &[Record]) -> Verdict {
        self.judge_fairly(records, &Strict)
    }

    /// [`Oracle::judge`], with what the world allows.
    pub fn judge_fairly(&self, records: &[Record], fairness: &impl Fairness) -> Verdict {
        let written = self.written.lock().unwrap();
        let keys = self.keys.lock().unwrap();
        let mut pieces = Pieces::of(&written);
        let mut verdict = Verdict {
            arrived: records.len(),
            ..Verdict::default()
        };
        let mut seen: HashMap<LineId, i64> = HashMap::new();
        let mut order = Order::default();
        for record in records {
            let place = || format!("at {}/{}: {}", record.partition, record.offset, shortened(record));
            let value = record.value.as_deref().unwrap_or_default();
            let line = LineId::of(value).filter(|id| {
                let count = written.get(&(id.file.clone(), id.generation)).copied().unwrap_or(0);
                (1..=count).contains(&id.number)
            });
            let Some(id) = line else {
                match broken(value, &mut pieces) {
                    Fault::Torn if fairness.may_tear(value) => verdict.torn += 1,
                    fault => verdict.add(fault, None, place()),
                }
                continue;
            };
            if keys.get(&id.file).is_some_and(|key| record.key.as_ref() != Some(key)) {
                let key = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
                verdict.add(
                    Fault::Misattributed,
                    Some(&id),
                    format!("{id} under key `{key}` {}", place()),
                );
            }
            match seen.entry(id.clone()) {
                Entry::Vacant(first) => first.insert(record.time),
                Entry::Occupied(first) if fairness.may_repeat(&id, *first.get(), record.time) => {
                    verdict.repeated += 1;
                    continue;
                }
                Entry::Occupied(_) => {
                    verdict.add(Fault::Duplicate, Some(&id), format!("{id} {}", place()));
                    continue;
                }
            };
            let may_be_overtaken = self.late_lines || fairness.is_late(&id);
            if let Some(before) = order.breaks(record.partition, &id, may_be_overtaken) {
                verdict.add(Fault::Reordered, Some(&id), format!("{id} after {before} {}", place()));
            }
        }
        for ((file, generation), count) in written.iter() {
            verdict.written += usize::try_from(*count).unwrap();
            let mut is_last = true;
            let mut lost = Vec::new();
            for number in (1..=*count).rev() {
                let id = LineId {
                    file: file.clone(),
                    generation: *generation,
                    number,
                };
                if seen.contains_key(&id) {
                    is_last = false;
                } else if is_last && fairness.may_miss(&id) {
                    verdict.excused += 1;
                } else {
                    lost.push(id);
                }
            }
            for id in lost.into_iter().rev() {
                verdict.add(Fault::Lost, Some(&id), id.to_string());
            }
        }
        verdict
    }
}

/// What came last of each generation, and of each file but for late lines.
#[derive(Default)]
struct Order {
    last: HashMap<(Arc<str>, u32), (i32, LineId)>,
}

/// Stands for all generations of a file: they count from 1.
const ALL: u32 = 0;

impl Order {
    /// The line that came before this one and should not have, or is in another partition.
    fn breaks(&mut self, partition: i32, id: &LineId, may_be_overtaken: bool) -> Option<LineId> {
        let streams = [id.generation, ALL];
        let streams = if may_be_overtaken { &streams[..1] } else { &streams };
        let mut broken = None;
        for stream in streams {
            let before = self.last.insert((id.file.clone(), *stream), (partition, id.clone()));
            let wrong = before.filter(|(other, before)| *other != partition || before > id);
            broken = broken.or(wrong.map(|(_, before)| before));
        }
        broken
    }
}

/// What is wrong with a value that is no line that was written.
fn broken(value: &[u8], pieces: &mut Pieces) -> Fault {
    let count = |byte| value.iter().filter(|&&b| b == byte).count();
    let (starts, ends) = (count(START), count(END));
    let whole = value.first() == Some(&START) && value.last() == Some(&END);
    match (starts, ends) {
        (1, 1) if whole => Fault::Phantom,
        (0 | 1, 0 | 1) if starts + ends < 2 && pieces.hold(value) => Fault::Torn,
        (0, 0) => Fault::Phantom,
        (1, 0) | (0, 1) => Fault::Phantom,
        _ => Fault::Merged,
    }
}

/// Knows a piece of a written line. All lines in one text, made when first asked.
struct Pieces<'a> {
    written: &'a BTreeMap<(Arc<str>, u32), u32>,
    text: Option<String>,
    /// How many more are looked for: in a world of many lines, with many pieces, the first ones tell enough.
    left: u32,
}

impl<'a> Pieces<'a> {
    fn of(written: &'a BTreeMap<(Arc<str>, u32), u32>) -> Pieces<'a> {
        Pieces {
            written,
            text: None,
            left: 100,
        }
    }

    fn hold(&mut self, value: &[u8]) -> bool {
        let Ok(piece) = std::str::from_utf8(value) else {
            return false;
        };
        if piece.is_empty() || piece.contains('\n') {
            return false;
        }
        self.left = self.left.saturating_sub(1);
        let text = self.text.get_or_insert_with(|| {
            let lines = self.written.iter().flat_map(|((file, generation), count)| {
                (1..=*count).map(|number| LineId {
                    file: file.clone(),
                    generation: *generation,
                    number,
                })
            });
            lines.map(|id| id.text() + "\n").collect()
        });
        self.left == 0 || text.contains(piece)
    }
}

fn shortened(record: &Record) -> String {
    let text = record.text();
    let end = text.char_indices().nth(100).map_or(text.len(), |(index, _)| index);
    format!("{:?}", &text[..end])
}

impl Verdict {
    fn add(&mut self, fault: Fault, line: Option<&LineId>, what: String) {
        self.faults.push((fault, what));
        self.lines.push(line.cloned());
    }

    /// How many faults of one kind there are.
    pub fn count(&self, fault: Fault) -> usize {
        self.faults.iter().filter(|(kind, _)| *kind == fault).count()
    }

    /// Every line once, whole, in order, under its file's name.
    pub fn assert_clean(&self) {
        assert!(self.faults.is_empty(), "{self}");
    }

    /// As [`Verdict::assert_clean`], but lines may have come again, at most `bound` times: what a crash allows.
    pub fn assert_only_duplicates(&self, bound: usize) {
        assert!(self.count(Fault::Duplicate) == self.faults.len(), "{self}");
        assert!(self.faults.len() <= bound, "more than {bound} duplicates: {self}");
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 5;
        writeln!(f, "{} lines written, {} records arrived", self.written, self.arrived)?;
        let kinds: BTreeSet<Fault> = self.faults.iter().map(|(fault, _)| *fault).collect();
        for kind in kinds {
            writeln!(f, "{kind:?}: {}", self.count(kind))?;
            for (_, what) in self.faults.iter().filter(|(fault, _)| *fault == kind).take(SHOWN) {
                writeln!(f, "  {what}")?;
            }
        }
        Ok(())
    }
}
