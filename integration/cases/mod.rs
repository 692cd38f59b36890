//! The tests by theme. A name that begins with a letter and a number (`t1_...`) is that case of the table in `CASES.md`.

mod archives;
mod changes;
mod cli;
mod containers;
mod control;
mod copies;
mod dead_letters;
mod discovery;
mod docs;
mod encodings;
#[cfg(feature = "etcd")]
mod etcd;
mod exactly_once;
mod exactly_once_kills;
mod exactly_once_opening;
mod filters;
pub mod fixture;
mod framing;
pub mod harness;
mod judge;
mod kafka;
mod last_good;
mod leaving;
mod limits;
mod links;
mod live;
mod load;
mod machine;
mod manager;
mod multiline;
mod names;
mod orders;
mod package;
mod positions;
mod reading;
mod reasons;
mod records;
mod reload;
mod resend;
mod restart;
mod rotation;
mod secrets;
mod security;
mod seed;
mod settings;
mod status;
mod supervision;
mod table;
mod topics;
mod web;

use crate::harness::case::{Case, Watching};

/// All tests. Those that need a broker of their own come first: they take longest.
pub fn all() -> impl Iterator<Item = Case> {
    let groups = [
        kafka::CASES,
        security::CASES,
        secrets::CASES,
        exactly_once::CASES,
        exactly_once_kills::CASES,
        exactly_once_opening::CASES,
        dead_letters::CASES,
        resend::CASES,
        reasons::CASES,
        restart::CASES,
        load::CASES,
        positions::CASES,
        rotation::CASES,
        limits::CASES,
        copies::CASES,
        archives::CASES,
        seed::CASES,
        discovery::CASES,
        status::CASES,
        control::CASES,
        orders::CASES,
        live::CASES,
        names::CASES,
        reading::CASES,
        records::CASES,
        links::CASES,
        supervision::CASES,
        reload::CASES,
        settings::CASES,
        topics::CASES,
        leaving::CASES,
        changes::CASES,
        last_good::CASES,
        manager::CASES,
        machine::CASES,
        package::CASES,
        filters::CASES,
        framing::CASES,
        multiline::CASES,
        containers::CASES,
        encodings::CASES,
        harness::CASES,
        judge::CASES,
        cli::CASES,
        table::CASES,
        docs::CASES,
        #[cfg(feature = "etcd")]
        etcd::CASES,
    ];
    let again = [Watching::Polling, Watching::Exhausted]
        .into_iter()
        .flat_map(|watching| {
            let cases = rotation::CASES.iter().chain(copies::CASES);
            cases.map(move |case| case.again(watching))
        });
    groups
        .into_iter()
        .flatten()
        .chain(web::all())
        .copied()
        .chain(again)
        .chain(crate::torture::all())
}
