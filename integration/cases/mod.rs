//! The tests by theme. A name that begins with a letter and a number (`t1_...`) is that case of the table in `CASES.md`.

mod cli;
mod discovery;
mod fixture;
mod framing;
pub mod harness;
mod judge;
mod kafka;
mod links;
mod load;
mod positions;
mod reading;
mod restart;
mod rotation;
mod seed;
mod settings;
mod table;

use crate::harness::case::{Case, Watching};

/// All tests. Those that need a broker of their own come first: they take longest.
pub fn all() -> impl Iterator<Item = Case> {
    let groups = [
        kafka::CASES,
        restart::CASES,
        load::CASES,
        positions::CASES,
        rotation::CASES,
        seed::CASES,
        discovery::CASES,
        reading::CASES,
        links::CASES,
        settings::CASES,
        framing::CASES,
        harness::CASES,
        judge::CASES,
        cli::CASES,
        table::CASES,
    ];
    // A copy in the glob may still be taken for a new file: a matter of time, and polling gives it that.
    let is_sure = |case: &&Case| !case.name.ends_with("::u3_copy_and_truncate_repeats_nothing");
    let again = [Watching::Polling, Watching::Exhausted].into_iter();
    let again = again.flat_map(move |watching| {
        let cases = rotation::CASES.iter().filter(is_sure);
        cases.map(move |case| case.again(watching))
    });
    groups.into_iter().flatten().copied().chain(again)
}
