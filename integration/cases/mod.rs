//! The tests by theme. A name that begins with a letter and a number (`t1_...`) is that case of the list in `README.md`.

mod cli;
mod copies;
mod dead_letters;
mod discovery;
mod fixture;
mod framing;
pub mod harness;
mod judge;
mod kafka;
mod last_good;
mod manager;
mod reload;
mod restart;
mod rotation;
mod seed;
mod settings;
mod supervision;

use crate::harness::case::Case;

/// All tests. Those that need a broker of their own come first: they take longest.
pub fn all() -> impl Iterator<Item = Case> {
    let groups = [
        kafka::CASES,
        dead_letters::CASES,
        restart::CASES,
        rotation::CASES,
        copies::CASES,
        seed::CASES,
        discovery::CASES,
        supervision::CASES,
        reload::CASES,
        settings::CASES,
        last_good::CASES,
        manager::CASES,
        framing::CASES,
        harness::CASES,
        judge::CASES,
        cli::CASES,
    ];
    groups.into_iter().flatten().copied()
}
