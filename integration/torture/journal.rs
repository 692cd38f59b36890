//! What was done, step by step, for the story of a fault.

use super::plan::Action;
use super::timeline::now;

/// So many steps before the writing of a faulted line are told, and so many after.
const BEFORE: usize = 12;
const AFTER: usize = 12;

/// See the module.
#[derive(Default)]
pub struct Journal {
    steps: Vec<(i64, Action)>,
}

impl Journal {
    /// Takes a step down and gives its number.
    pub fn note(&mut self, action: Action) -> usize {
        self.steps.push((now(), action));
        self.steps.len() - 1
    }

    /// What happened around a step to one log, and to all.
    pub fn around(&self, step: usize, log: Option<usize>) -> String {
        let concerns = |(_, (_, action)): &(usize, &(i64, Action))| match action {
            Action::Write { log: other, .. }
            | Action::Late { log: other, .. }
            | Action::Half { log: other }
            | Action::Rotate { log: other, .. } => log.is_none_or(|log| log == *other),
            _ => true,
        };
        let all: Vec<_> = self.steps.iter().enumerate().filter(concerns).collect();
        let at = all.partition_point(|(number, _)| *number < step);
        let start = self.steps.first().map_or(0, |(at, _)| *at);
        let shown = &all[at.saturating_sub(BEFORE)..(at + AFTER).min(all.len())];
        let tell = |(number, (at, action)): &(usize, &(i64, Action))| {
            let mark = if *number == step { ">" } else { " " };
            format!(
                "  {mark} #{number} at {:.3} s: {action:?}\n",
                (*at - start) as f64 / 1000.0
            )
        };
        shown.iter().map(tell).collect()
    }

    /// How many steps were done.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// When the first step was done.
    pub fn start(&self) -> i64 {
        self.steps.first().map_or(0, |(at, _)| *at)
    }
}
