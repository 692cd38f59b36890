//! Tests of the real binary against a real Kafka.
//!
//! One target with a main of its own, because the brokers must be ended however the tests end. What it takes and prints is
//! what `cargo test` is used to: `cargo test --test integration -- --list`, a filter, `--test-threads`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod cases;
mod harness;
mod torture;

use std::process::ExitCode;

use harness::{case, guard, kafka, secure};

/// Tests mostly wait: for Kafka, for files to be noticed, for a deadline of the service.
const THREADS: usize = 4;

fn main() -> ExitCode {
    if std::env::var_os(cases::harness::BAIT).is_some() {
        cases::harness::be_bait();
    }
    let mut arguments = libtest_mimic::Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(THREADS));
    case::collect_panics();
    let conclusion = libtest_mimic::run(&arguments, cases::all().map(|case| case.trial()).collect());
    kafka::end_shared();
    secure::end();
    guard::end();
    conclusion.exit_code()
}
