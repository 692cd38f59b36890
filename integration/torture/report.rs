//! What is told of a run: its figures, and the stories of its faults.

use std::collections::{BTreeMap, BTreeSet};

use super::timeline::now;
use super::world::World;
use crate::harness::oracle::Verdict;

/// So many generations with faults are told.
const GENERATIONS: usize = 20;

/// The figures of a run.
pub fn table(world: &World<'_, '_>, verdict: &Verdict) -> String {
    let (figures, counts) = (&world.life.figures, &world.counts);
    let mut rows: Vec<(String, String)> = Vec::new();
    let mut row = |name: &str, value: String| rows.push((name.to_owned(), value));
    row(
        "seconds",
        format!("{:.0}", (now() - world.journal.start()) as f64 / 1000.0),
    );
    row("steps", world.journal.len().to_string());
    row("lines written", verdict.written.to_string());
    row("records arrived", verdict.arrived.to_string());
    let mut kinds: Vec<String> = Vec::new();
    for kind in verdict.faults.iter().map(|(fault, _)| *fault).collect::<BTreeSet<_>>() {
        kinds.push(format!("{kind:?} {}", verdict.count(kind)));
    }
    row(
        "faults",
        if kinds.is_empty() {
            "0".to_owned()
        } else {
            kinds.join(", ")
        },
    );
    let bound = world.books.duplicates_allowed(world.reader.records());
    row(
        "duplicates, by crashes",
        format!("{} of at most {bound}", verdict.repeated),
    );
    row(
        "lines nobody could read",
        format!("{}, and the first halves of {}", verdict.excused, verdict.torn),
    );
    for (why, generations) in world.books.cuts() {
        row("  generations", format!("{generations} {why}"));
    }
    row("service started", figures.starts.to_string());
    row("  killed", figures.kills.to_string());
    row("  state deleted", world.life.state_lost.to_string());
    row("  ended and drained", figures.drained.to_string());
    row("  ended, drain cut short", figures.cut.to_string());
    row("  frozen", figures.freezes.to_string());
    row("  accounts that add up", figures.accounts.to_string());
    for (what, times) in &counts.outages {
        row("Kafka", format!("{what} {times}"));
    }
    row("settings touched", counts.settings.to_string());
    for (kind, times) in &counts.rotations {
        row("rotations", format!("{times} {kind}"));
    }
    row(
        "late lines, half lines",
        format!("{}, {}", counts.late_lines, counts.half_lines),
    );
    row("waits for all", counts.calms.to_string());
    row("peak memory", format!("{} MiB", figures.peak_memory >> 20));
    row("peak handles on logs", figures.peak_handles.to_string());
    row("handles in the end", counts.handles_in_the_end.to_string());
    rows.iter()
        .map(|(name, value)| format!("{name:>28}  {value}\n"))
        .collect()
}

/// What led to the first fault of each kind.
pub fn story(world: &World<'_, '_>, verdict: &Verdict) -> String {
    let mut told = BTreeSet::new();
    let mut story = String::new();
    let mut generations: BTreeMap<_, usize> = BTreeMap::new();
    for ((fault, _), line) in verdict.faults.iter().zip(&verdict.lines) {
        if let Some(line) = line {
            *generations.entry((*fault, &line.file, line.generation)).or_default() += 1;
        }
    }
    for ((fault, file, generation), count) in generations.iter().take(GENERATIONS) {
        story += &format!("{fault:?}: {count} lines of {file} generation {generation}\n");
    }
    for ((fault, what), line) in verdict.faults.iter().zip(&verdict.lines) {
        let Some(line) = line.as_ref().filter(|_| told.insert(*fault)) else {
            continue;
        };
        let (step, generation) = world.books.story(line);
        story += &format!("{fault:?}: {what}\n  of a generation with {generation}\n");
        story += &world.journal.around(step, world.log_of(&line.file));
    }
    story
}
