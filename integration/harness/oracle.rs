//! The judge: what was written, against what arrived. Each way to be wrong has a name.

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
        let written = self.written.lock().unwrap();
        let keys = self.keys.lock().unwrap();
        let mut verdict = Verdict {
            arrived: records.len(),
            ..Verdict::default()
        };
        let mut seen: BTreeSet<LineId> = BTreeSet::new();
        let mut last: HashMap<(Arc<str>, u32), (i32, LineId)> = HashMap::new();
        for record in records {
            let place = format!("at {}/{}: {}", record.partition, record.offset, shortened(record));
            let value = record.value.as_deref().unwrap_or_default();
            let line = LineId::of(value).filter(|id| {
                let count = written.get(&(id.file.clone(), id.generation)).copied().unwrap_or(0);
                (1..=count).contains(&id.number)
            });
            let Some(id) = line else {
                verdict.faults.push((broken(value, &written), place));
                continue;
            };
            if keys.get(&id.file).is_some_and(|key| record.key.as_ref() != Some(key)) {
                let key = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
                verdict
                    .faults
                    .push((Fault::Misattributed, format!("{id} under key `{key}` {place}")));
            }
            if !seen.insert(id.clone()) {
                verdict.faults.push((Fault::Duplicate, format!("{id} {place}")));
                continue;
            }
            let stream = (id.file.clone(), if self.late_lines { id.generation } else { 0 });
            if let Some((partition, before)) = last.get(&stream)
                && (*partition != record.partition || *before > id)
            {
                verdict
                    .faults
                    .push((Fault::Reordered, format!("{id} after {before} {place}")));
            }
            last.insert(stream, (record.partition, id));
        }
        for ((file, generation), count) in written.iter() {
            verdict.written += usize::try_from(*count).unwrap();
            for number in 1..=*count {
                let id = LineId {
                    file: file.clone(),
                    generation: *generation,
                    number,
                };
                if !seen.contains(&id) {
                    verdict.faults.push((Fault::Lost, id.to_string()));
                }
            }
        }
        verdict
    }
}

/// What is wrong with a value that is no line that was written.
fn broken(value: &[u8], written: &BTreeMap<(Arc<str>, u32), u32>) -> Fault {
    let count = |byte| value.iter().filter(|&&b| b == byte).count();
    let (starts, ends) = (count(START), count(END));
    let whole = value.first() == Some(&START) && value.last() == Some(&END);
    match (starts, ends) {
        (1, 1) if whole => Fault::Phantom,
        (0 | 1, 0 | 1) if starts + ends < 2 && is_piece(value, written) => Fault::Torn,
        (0, 0) => Fault::Phantom,
        (1, 0) | (0, 1) => Fault::Phantom,
        _ => Fault::Merged,
    }
}

fn is_piece(value: &[u8], written: &BTreeMap<(Arc<str>, u32), u32>) -> bool {
    !value.is_empty()
        && written.iter().any(|((file, generation), count)| {
            (1..=*count).any(|number| {
                let text = LineId {
                    file: file.clone(),
                    generation: *generation,
                    number,
                }
                .text();
                text.as_bytes().windows(value.len()).any(|window| window == value)
            })
        })
}

fn shortened(record: &Record) -> String {
    let text = record.text();
    let end = text.char_indices().nth(100).map_or(text.len(), |(index, _)| index);
    format!("{:?}", &text[..end])
}

impl Verdict {
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
