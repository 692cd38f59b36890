//! The judge is judged: each deliberately wrong behaviour of the service turns a short torture red, under the right name.

use std::time::Duration;

use super::plan::Profile;
use super::rotator::Kind;
use super::run::{PATIENCE, Run};
use crate::harness::case::{cases, skip};
use crate::harness::oracle::Fault;

cases![
    the_worlds_of_the_wrong_behaviours_are_clean_without_them,
    a_position_before_its_acknowledgement_is_found,
    identity_by_inode_is_found,
    a_dropped_partial_line_is_found,
    a_duplicate_after_a_reload_is_found,
    a_skipped_generation_is_found,
    an_unchecked_guard_is_found,
    an_old_generation_closed_at_its_rename_is_found,
    a_successor_read_first_is_found,
];

/// Planned time of each: enough for each behaviour to show with any seed that was tried.
const LENGTH: Duration = Duration::from_secs(12);
/// What is lost is lost: longer than the 5 s that the service waits for late lines.
const IMPATIENCE: Duration = Duration::from_secs(12);
const SEED: u64 = 5;

const RENAMES: Kind = Kind::Rename { keep: 6 };
const COPIES: Kind = Kind::Copy { keep: 6 };

fn three(kinds: &[Kind]) -> Profile {
    Profile::quiet(vec![kinds.to_vec(); 3])
}

/// Kafka stands still while the service is killed.
fn kills_and_outages() -> Profile {
    Profile {
        kill: 20,
        outage: 15,
        ..three(&[RENAMES])
    }
}

/// Copies, and files made anew, while the service is down.
fn copies_and_kills() -> Profile {
    Profile {
        rotate: 100,
        kill: 20,
        ..three(&[COPIES, Kind::Recreate])
    }
}

/// Lines in two halves.
fn halves() -> Profile {
    Profile {
        half: 300,
        ..three(&[RENAMES])
    }
}

/// The settings change and change.
fn reloads() -> Profile {
    Profile {
        settings: 30,
        ..three(&[RENAMES])
    }
}

/// Renames while the service is down.
fn renames_and_kills() -> Profile {
    Profile {
        rotate: 150,
        kill: 15,
        terminate: 15,
        ..three(&[RENAMES])
    }
}

/// Files are cut while the service stands still.
fn cuts_and_freezes() -> Profile {
    Profile {
        rotate: 100,
        freeze: 60,
        burst: 3000,
        ..three(&[Kind::Truncate])
    }
}

/// Renames amid much writing.
fn renames_and_bursts() -> Profile {
    Profile {
        rotate: 150,
        late: 100,
        burst: 1000,
        ..three(&[RENAMES])
    }
}

/// Renames of what the service has had no time to read.
fn renames_and_freezes() -> Profile {
    Profile {
        rotate: 100,
        freeze: 60,
        burst: 1000,
        ..three(&[RENAMES])
    }
}

fn the_worlds_of_the_wrong_behaviours_are_clean_without_them() {
    let worlds = [
        kills_and_outages,
        copies_and_kills,
        halves,
        reloads,
        renames_and_kills,
        cuts_and_freezes,
        renames_and_bursts,
        renames_and_freezes,
    ];
    for world in worlds {
        run(PATIENCE, None).go(world()).assert_clean();
    }
}

fn run(patience: Duration, wrong: Option<&'static str>) -> Run {
    Run {
        exactly_once: false,
        again: "cargo test --test integration -- torture::wrong".to_owned(),
        seed: SEED,
        length: LENGTH,
        patience,
        wrong,
    }
}

fn find(wrong: &'static str, profile: Profile, faults: &[Fault]) {
    if !cfg!(debug_assertions) {
        skip("a release build does nothing wrongly");
    }
    let outcome = run(IMPATIENCE, Some(wrong)).go(profile);
    let found = faults.iter().any(|fault| outcome.verdict.count(*fault) > 0);
    assert!(found, "`{wrong}` shows none of {faults:?}: {}", outcome.verdict);
}

fn a_position_before_its_acknowledgement_is_found() {
    find("position-before-acknowledgement", kills_and_outages(), &[Fault::Lost]);
}

fn identity_by_inode_is_found() {
    find("identity-by-inode", copies_and_kills(), &[Fault::Lost]);
}

fn a_dropped_partial_line_is_found() {
    find("partial-line-dropped", halves(), &[Fault::Torn, Fault::Lost]);
}

fn a_duplicate_after_a_reload_is_found() {
    find("duplicate-after-reload", reloads(), &[Fault::Duplicate]);
}

fn a_skipped_generation_is_found() {
    find("unseen-generation-skipped", renames_and_kills(), &[Fault::Lost]);
}

fn an_unchecked_guard_is_found() {
    find("guard-not-checked", cuts_and_freezes(), &[Fault::Lost, Fault::Torn]);
}

fn an_old_generation_closed_at_its_rename_is_found() {
    find("old-generation-closed-at-rename", renames_and_bursts(), &[Fault::Lost]);
}

fn a_successor_read_first_is_found() {
    find("successor-read-first", renames_and_freezes(), &[Fault::Reordered]);
}
