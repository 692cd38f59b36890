//! The one sentence at the end.

use std::process::ExitStatus;

use super::tally::{Tally, Written};

/// All that is known at the end.
pub struct Outcome<'a> {
    /// What the writers wrote.
    pub written: &'a Written,
    /// What arrived.
    pub tally: &'a Tally,
    /// How often the service was killed.
    pub kills: u32,
    /// How often it ended though nobody killed it or asked it to end.
    pub deaths: u32,
    /// How it ended when it was asked to.
    pub ending: Ending,
}

/// How the service ended when it was asked to.
#[derive(Clone, Copy, Debug)]
pub enum Ending {
    /// With this status.
    Status(ExitStatus),
    /// Not at all within the time it has.
    Hung,
    /// There was none to ask.
    Absent,
}

/// What the demo says, and whether the service kept what it promises.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The sentence.
    pub sentence: String,
    /// Whether all is well.
    pub good: bool,
}

impl Outcome<'_> {
    /// The sentence.
    pub fn verdict(&self) -> Verdict {
        let written: u64 = self.written.values().sum();
        let faults = self.faults(written);
        let mut sentence = if written == 0 {
            "nothing was written, so nothing can be said".to_owned()
        } else if faults.is_empty() {
            let twice = match (self.tally.twice, self.kills) {
                (0, 0) => "none came twice".to_owned(),
                (0, kills) => format!("none came twice, not even after {kills} kill -9"),
                (twice, kills) => format!("{} came twice after {kills} kill -9", grouped(twice)),
            };
            format!(
                "every one of {} lines arrived, in order, none lost; {twice}",
                grouped(written)
            )
        } else {
            format!("of {} lines {}", grouped(written), faults.join(", "))
        };
        if self.tally.guests > 0 {
            sentence += &format!("; with {} records of your own logs", grouped(self.tally.guests));
        }
        Verdict {
            sentence,
            good: written > 0 && faults.is_empty(),
        }
    }

    fn faults(&self, written: u64) -> Vec<String> {
        let Tally {
            twice,
            out_of_order,
            damaged,
            evicted,
            ..
        } = self.tally;
        let lost = self.tally.absent(self.written);
        let phantoms = (self.tally.arrived() + lost).saturating_sub(written);
        let mut faults = Vec::new();
        let mut fault = |count: u64, what: &str| {
            if count > 0 {
                faults.push(format!("{} {what}", grouped(count)));
            }
        };
        fault(lost, if lost == 1 { "was lost" } else { "were lost" });
        fault(*out_of_order, "came out of order");
        fault(
            if self.kills == 0 { *twice } else { 0 },
            "came twice although nothing was killed",
        );
        fault(*damaged, "came damaged");
        fault(phantoms, "came that nobody wrote");
        fault(
            *evicted,
            "records were dropped by the demo's broker before they were read back",
        );
        if self.deaths > 0 {
            faults.push(format!("the service ended by itself ({} x)", self.deaths));
        }
        match self.ending {
            Ending::Status(status) if status.success() => {}
            Ending::Status(status) => faults.push(format!("the service ended with {status} when asked to end")),
            Ending::Absent => faults.push("there was no service to end".to_owned()),
            Ending::Hung => faults.push("the service did not end when asked to".to_owned()),
        }
        if lost == 0 && !faults.is_empty() {
            faults.insert(0, "none was lost".to_owned());
        }
        faults
    }
}

/// The number with a comma between each three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::super::line::{Line, Log};
    use super::*;

    fn verdict(written: u64, arrived: &[u64], kills: u32, exit: i32) -> Verdict {
        let mut tally = Tally::default();
        for &number in arrived {
            let mut value = Vec::new();
            Line {
                log: Log::Web,
                generation: 1,
                number,
            }
            .write(&mut value);
            value.pop();
            tally.arrive(Some(b"web"), &value);
        }
        let written = Written::from([((Log::Web, 1), written)]);
        let ending = Ending::Status(ExitStatus::from_raw(exit << 8));
        Outcome {
            written: &written,
            tally: &tally,
            kills,
            deaths: 0,
            ending,
        }
        .verdict()
    }

    fn check(got: Verdict, good: bool, sentence: &str) {
        assert_eq!(
            got,
            Verdict {
                sentence: sentence.to_owned(),
                good
            }
        );
    }

    #[test]
    fn the_sentence_says_what_happened() {
        let all: Vec<u64> = (1..=1234).collect();
        let replayed: Vec<u64> = (1..=1000).chain(901..=1234).collect();
        check(
            verdict(1234, &all, 0, 0),
            true,
            "every one of 1,234 lines arrived, in order, none lost; none came twice",
        );
        check(
            verdict(1234, &all, 2, 0),
            true,
            "every one of 1,234 lines arrived, in order, none lost; none came twice, not even after 2 kill -9",
        );
        check(
            verdict(1234, &replayed, 1, 0),
            true,
            "every one of 1,234 lines arrived, in order, none lost; 100 came twice after 1 kill -9",
        );
        check(
            verdict(1234, &replayed, 0, 0),
            false,
            "of 1,234 lines none was lost, 100 came twice although nothing was killed",
        );
        check(verdict(1236, &all, 0, 0), false, "of 1,236 lines 2 were lost");
        check(
            verdict(4, &[1, 3, 2], 0, 0),
            false,
            "of 4 lines 1 was lost, 1 came out of order",
        );
        check(
            verdict(2, &[1, 2, 3], 0, 0),
            false,
            "of 2 lines none was lost, 1 came that nobody wrote",
        );
        check(
            verdict(2, &[1, 2], 0, 1),
            false,
            "of 2 lines none was lost, the service ended with exit status: 1 when asked to end",
        );
        check(
            verdict(0, &[], 0, 0),
            false,
            "nothing was written, so nothing can be said",
        );
    }
}
