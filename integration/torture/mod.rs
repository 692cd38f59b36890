//! The torture test: a world of writers and rotators that a seed decides, the service and Kafka killed, stopped and started at
//! any moment, and a judge that names each fault and allows only what could not be otherwise.

mod books;
mod crash_points;
mod journal;
mod life;
mod outage;
mod plan;
mod random;
mod report;
mod rotator;
mod run;
mod timeline;
mod world;
mod writer;
mod wrong;

use crate::harness::case::{Case, cases};

cases![
    a_minute_of_torture,
    a_minute_of_torture_exactly_once,
    the_same_seed_gives_the_same_plan
];

/// All tests of this directory.
pub fn all() -> impl Iterator<Item = Case> {
    CASES.iter().chain(wrong::CASES).chain(crash_points::CASES).copied()
}

fn a_minute_of_torture() {
    let run = run::Run::from_environment();
    println!("torture: seed {}; again: {}", run.seed, run.again);
    let outcome = run.go(plan::Profile::everything());
    println!("{}", outcome.table);
    outcome.assert_clean();
}

fn a_minute_of_torture_exactly_once() {
    let run = run::Run::exactly_once();
    println!("torture: seed {}; again: {}", run.seed, run.again);
    let outcome = run.go(world());
    println!("{}", outcome.table);
    outcome.assert_clean();
}

/// The world that `LOGCATCH_WORLD` names; everything at once without it.
fn world() -> plan::Profile {
    match std::env::var("LOGCATCH_WORLD").as_deref() {
        Ok("outages") => plan::Profile::outages(),
        _ => plan::Profile::everything(),
    }
}

fn the_same_seed_gives_the_same_plan() {
    let steps = |seed| {
        plan::Plan::new(seed, plan::Profile::everything())
            .take(5000)
            .collect::<Vec<_>>()
    };
    assert_eq!(steps(7), steps(7));
    assert_ne!(steps(7), steps(8));
}
