//! Files that are written anew in place, as reports are.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod rig;

use std::fs;

use rig::{Rig, append};

#[test]
fn u2_written_anew_with_another_beginning_and_the_same_end() {
    let report = |number: u32, rows: usize| {
        format!(
            "report {number}\n{}",
            "a row that is the same in each of them\n".repeat(rows)
        )
    };
    for restart in [false, true] {
        for rows in [10, 12] {
            let mut rig = Rig::new();
            append(&rig.spec.path, &report(1, 10));
            rig.settle();
            if restart {
                rig.stop();
            }
            fs::write(&rig.spec.path, report(2, rows)).unwrap();
            if restart {
                rig.start();
            }
            rig.settle();
            let all = report(1, 10) + &report(2, rows);
            assert_eq!(
                rig.values(),
                all.lines().collect::<Vec<_>>(),
                "restart {restart}, {rows} rows"
            );
        }
    }
}
