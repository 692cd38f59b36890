//! Where the bytes of a file and of its settings entry went. Every byte is in exactly one account, and the accounts add
//! up at any moment: what moves bytes is one [`Posting`], entered in one step.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// Why bytes were passed over without being sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Skip {
    /// `start = "end"`: they were there before the entry was first applied.
    Start,
    /// `ignore_older`: the file had not been written to for so long when it was first seen.
    Old,
    /// NULs that no program wrote as data: a hole left by a truncation, or room a writer had reserved.
    Nuls,
    /// A byte-order mark: it says how the text is written and is no part of it.
    Mark,
    /// They are in another file, too, which is read.
    Copy,
    /// `exclude_lines`: lines that match it.
    Excluded,
    /// `include_lines`: lines that do not match it.
    NotIncluded,
}

impl Skip {
    const ALL: [Self; 7] = [
        Self::Start,
        Self::Old,
        Self::Nuls,
        Self::Mark,
        Self::Copy,
        Self::Excluded,
        Self::NotIncluded,
    ];
}

/// The counters of a file or of an entry at one moment, since the service started; bytes are file bytes, line ends
/// included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Balance {
    /// Bytes taken from files: handed over, or skipped. What a restarted watcher reads again counts once.
    pub read: u64,
    /// Bytes whose records Kafka acknowledged.
    pub delivered: u64,
    /// Records Kafka acknowledged.
    pub delivered_lines: u64,
    /// Bytes skipped by `start = "end"`.
    pub skipped_start: u64,
    /// Bytes skipped by `ignore_older`.
    pub skipped_old: u64,
    /// NUL bytes that were not data.
    pub skipped_nuls: u64,
    /// Bytes of byte-order marks.
    pub skipped_marks: u64,
    /// Bytes of copies of files that are read.
    pub skipped_copy: u64,
    /// Bytes of lines that `exclude_lines` matches.
    pub skipped_excluded: u64,
    /// Bytes of lines that `include_lines` does not match.
    pub skipped_not_included: u64,
    /// Bytes whose records are among the dead letters.
    pub dead_lettered: u64,
    /// Bytes handed over and not settled.
    pub in_flight: u64,
    /// Bytes that are known to have been written and can no longer be read; they were never read.
    pub unreachable: u64,
}

/// The [`Balance`] of a file, as it is kept: of most files nothing is ever skipped, and there may be tens of thousands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Book {
    read: u64,
    delivered: u64,
    delivered_lines: u64,
    in_flight: u64,
    lost: Option<Box<Lost>>,
}

/// What was read or written and never ships.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Lost {
    dead_lettered: u64,
    unreachable: u64,
    /// In the order of [`Skip::ALL`].
    skipped: [u64; Skip::ALL.len()],
}

/// Bytes passed over in a stretch of a file whose lines are handed over; when they are read again, so are these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Passed {
    pub(crate) nuls: u64,
    pub(crate) marks: u64,
    pub(crate) excluded: u64,
    pub(crate) not_included: u64,
}

/// One move of bytes, by which the books stay balanced.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Posting {
    /// Read and handed over.
    Issued(u64),
    /// A batch is settled: of its bytes so many are dead letters, all others delivered in so many records.
    Settled { bytes: u64, dead: u64, lines: u64 },
    /// What was in flight will be read again, and what was passed over between it.
    Forgotten(u64, Passed),
    /// Read and passed over.
    Skipped(Skip, u64),
    /// What was passed over will be read again.
    TakenBack(Skip, u64),
    /// Never to be read.
    Unreachable(u64),
}

/// The counters of one settings entry: those of all its files, forgotten ones included.
#[derive(Debug, Default)]
pub struct Account {
    balance: Mutex<Balance>,
}

impl Account {
    /// The counters now.
    #[must_use]
    pub fn balance(&self) -> Balance {
        *self.balance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn post(&self, posting: Posting) {
        self.balance
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .post(posting);
    }
}

impl Passed {
    pub(crate) fn each(&self) -> [(Skip, u64); 4] {
        [
            (Skip::Nuls, self.nuls),
            (Skip::Mark, self.marks),
            (Skip::Excluded, self.excluded),
            (Skip::NotIncluded, self.not_included),
        ]
    }

    pub(crate) fn total(&self) -> u64 {
        self.each().iter().map(|(_, bytes)| bytes).sum()
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.nuls += other.nuls;
        self.marks += other.marks;
        self.excluded += other.excluded;
        self.not_included += other.not_included;
    }
}

impl Book {
    pub(crate) fn balance(&self) -> Balance {
        let mut balance = Balance {
            read: self.read,
            delivered: self.delivered,
            delivered_lines: self.delivered_lines,
            in_flight: self.in_flight,
            ..Balance::default()
        };
        if let Some(lost) = &self.lost {
            (balance.dead_lettered, balance.unreachable) = (lost.dead_lettered, lost.unreachable);
            for (why, bytes) in Skip::ALL.into_iter().zip(lost.skipped) {
                *balance.skipped_for(why) = bytes;
            }
        }
        balance
    }

    pub(crate) fn post(&mut self, posting: Posting) {
        let mut balance = self.balance();
        balance.post(posting);
        (self.read, self.delivered, self.delivered_lines) = (balance.read, balance.delivered, balance.delivered_lines);
        self.in_flight = balance.in_flight;
        let lost = Lost {
            dead_lettered: balance.dead_lettered,
            unreachable: balance.unreachable,
            skipped: Skip::ALL.map(|why| *balance.skipped_for(why)),
        };
        match &mut self.lost {
            Some(known) => **known = lost,
            None if lost != Lost::default() => self.lost = Some(Box::new(lost)),
            None => {}
        }
    }
}

impl Balance {
    /// Bytes passed over, for whatever reason.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped_by_reason().iter().map(|(_, bytes)| bytes).sum()
    }

    /// The same by why, in the words of the metrics.
    #[must_use]
    pub fn skipped_by_reason(&self) -> [(&'static str, u64); 7] {
        [
            ("start", self.skipped_start),
            ("ignore-older", self.skipped_old),
            ("nuls", self.skipped_nuls),
            ("byte-order-mark", self.skipped_marks),
            ("copy", self.skipped_copy),
            ("excluded", self.skipped_excluded),
            ("not-included", self.skipped_not_included),
        ]
    }

    /// Whether every byte that was read is in exactly one of the other accounts.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        self.read == self.delivered + self.skipped() + self.dead_lettered + self.in_flight
    }

    /// These counters, but those that only rise where nothing is taken back are not below what they were before: for
    /// metrics, whose counters never fall.
    #[must_use]
    pub fn held_at(mut self, before: &Self) -> Self {
        let mut before = *before;
        self.read = self.read.max(before.read);
        for why in Skip::ALL {
            let most = (*before.skipped_for(why)).max(*self.skipped_for(why));
            *self.skipped_for(why) = most;
        }
        self
    }

    fn skipped_for(&mut self, why: Skip) -> &mut u64 {
        match why {
            Skip::Start => &mut self.skipped_start,
            Skip::Old => &mut self.skipped_old,
            Skip::Nuls => &mut self.skipped_nuls,
            Skip::Mark => &mut self.skipped_marks,
            Skip::Copy => &mut self.skipped_copy,
            Skip::Excluded => &mut self.skipped_excluded,
            Skip::NotIncluded => &mut self.skipped_not_included,
        }
    }

    pub(crate) fn post(&mut self, posting: Posting) {
        match posting {
            Posting::Issued(bytes) => {
                self.read += bytes;
                self.in_flight += bytes;
            }
            Posting::Settled { bytes, dead, lines } => {
                self.in_flight -= bytes;
                self.dead_lettered += dead;
                self.delivered += bytes - dead;
                self.delivered_lines += lines;
            }
            Posting::Forgotten(bytes, passed) => {
                self.read -= bytes + passed.total();
                self.in_flight -= bytes;
                for (why, bytes) in passed.each() {
                    *self.skipped_for(why) -= bytes;
                }
            }
            Posting::Skipped(why, bytes) => {
                self.read += bytes;
                *self.skipped_for(why) += bytes;
            }
            Posting::TakenBack(why, bytes) => {
                self.read -= bytes;
                *self.skipped_for(why) -= bytes;
            }
            Posting::Unreachable(bytes) => self.unreachable += bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;
    use crate::position::{Mark, StreamRecord};
    use crate::positions::Positions;
    use crate::stream::Settled;

    fn record(positions: &Positions) -> StreamRecord {
        StreamRecord::example("/a".as_ref(), positions.new_id())
    }

    /// One thread a file reads, settles and forgets; meanwhile others look at the books of files and entry.
    #[test]
    fn the_books_add_up_at_any_moment() {
        const FILES: usize = 4;
        const ROUNDS: u64 = 20_000;
        let positions = Positions::in_memory();
        let account = positions.account("app");
        let streams: Vec<_> = (0..FILES).map(|_| positions.begin(record(&positions))).collect();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let workers: Vec<_> = streams
                .iter()
                .map(|stream| {
                    scope.spawn(move || {
                        for round in 1..=ROUNDS {
                            let first = stream.issue(Mark::default(), round % 97);
                            let second = stream.issue(Mark::default(), 7);
                            let settled = Settled {
                                lines: 1,
                                dead_lettered: round % 3,
                            };
                            stream.settle(second, settled, None);
                            match round % 5 {
                                0 => stream.forget_in_flight(),
                                1 => stream.skip(Skip::Nuls, 3),
                                2 => stream.skip(Skip::Start, 5),
                                3 => stream.unreachable(11),
                                _ => {}
                            }
                            stream.settle(first, settled, None);
                        }
                    })
                })
                .collect();
            let watch = || {
                let mut looks = 0;
                while !done.load(Ordering::Relaxed) {
                    let entry = account.balance();
                    assert!(entry.adds_up(), "{entry:?}");
                    for stream in &streams {
                        let file = stream.balance();
                        assert!(file.adds_up(), "{file:?}");
                    }
                    looks += 1;
                }
                looks
            };
            let watcher = scope.spawn(watch);
            workers.into_iter().for_each(|worker| worker.join().unwrap());
            done.store(true, Ordering::Relaxed);
            assert!(watcher.join().unwrap() > 0);
        });
        let sum = |count: fn(&Balance) -> u64| streams.iter().map(|stream| count(&stream.balance())).sum::<u64>();
        let entry = account.balance();
        assert_eq!(entry.in_flight, 0);
        assert_eq!(entry.read, sum(|file| file.read));
        assert_eq!(entry.delivered, sum(|file| file.delivered));
        assert_eq!(entry.dead_lettered, sum(|file| file.dead_lettered));
        assert_eq!(entry.unreachable, sum(|file| file.unreachable));
    }

    #[test]
    fn a_book_is_its_balance() {
        let (mut book, mut balance) = (Book::default(), Balance::default());
        let postings = [
            Posting::Issued(10),
            Posting::Unreachable(3),
            Posting::Settled {
                bytes: 10,
                dead: 4,
                lines: 1,
            },
        ];
        let skips = Skip::ALL
            .into_iter()
            .zip(1..)
            .map(|(why, bytes)| Posting::Skipped(why, bytes));
        for posting in postings
            .into_iter()
            .chain(skips)
            .chain([Posting::TakenBack(Skip::Copy, 2)])
        {
            book.post(posting);
            balance.post(posting);
            assert_eq!(book.balance(), balance);
        }
    }

    #[test]
    fn what_was_passed_over_between_forgotten_lines_counts_once() {
        let positions = Positions::in_memory();
        let stream = positions.begin(record(&positions));
        let passed = Passed {
            excluded: 5,
            nuls: 2,
            ..Passed::default()
        };
        let settled = stream.issue_past(Mark::default(), 10, passed);
        stream.settle(settled, Settled::default(), None);
        stream.issue_past(Mark::default(), 20, passed);
        stream.forget_in_flight();
        let balance = stream.balance();
        assert!(balance.adds_up(), "{balance:?}");
        assert_eq!(
            (balance.read, balance.skipped_excluded, balance.skipped_nuls),
            (17, 5, 2)
        );
        assert_eq!(balance, positions.account("app").balance());
    }

    #[test]
    fn what_is_read_after_all_is_no_longer_skipped_and_no_counter_of_the_metrics_falls() {
        let positions = Positions::in_memory();
        let stream = positions.begin(record(&positions));
        stream.skip(Skip::Copy, 10);
        stream.skip(Skip::Nuls, 2);
        let before = stream.balance();
        stream.read_copy_after_all();
        let balance = stream.balance();
        assert_eq!((balance.read, balance.skipped_copy, balance.skipped_nuls), (2, 0, 2));
        assert_eq!(balance, positions.account("app").balance());
        assert_eq!(balance.held_at(&before), before);
        stream.skip(Skip::Nuls, 20);
        let after = stream.balance().held_at(&before);
        assert_eq!((after.read, after.skipped_copy, after.skipped_nuls), (22, 10, 22));
    }

    #[test]
    fn what_is_forgotten_in_flight_and_read_again_counts_once() {
        let positions = Positions::in_memory();
        let stream = positions.begin(record(&positions));
        let late = stream.issue(Mark::default(), 10);
        stream.forget_in_flight();
        let again = stream.issue(Mark::default(), 10);
        let settled = Settled {
            lines: 1,
            dead_lettered: 4,
        };
        stream.settle(late, settled, None);
        assert_eq!(stream.balance().in_flight, 10);
        stream.settle(again, settled, None);
        let balance = stream.balance();
        assert_eq!((balance.read, balance.delivered, balance.dead_lettered), (10, 6, 4));
        assert_eq!(balance, positions.account("app").balance());
    }
}
