//! Rotated files that the real logrotate compresses, or puts elsewhere.

use std::fs;

use super::fixture::Fixture;
use super::rotation::SMALL_BITES;
use crate::harness::case::cases;
use crate::harness::writers::{LogFile, logrotate};

cases![
    t2_logrotate_that_compresses_while_the_service_runs_repeats_nothing,
    t9_the_second_half_of_a_file_comes_from_inside_its_archive,
    t10_archives_that_nobody_saw_ship_in_order,
    t10_archives_of_copies_that_nobody_saw_ship_in_order,
    t13_rotated_files_in_another_directory_are_found_by_patterns,
    t13_numbers_before_the_extension_are_generations,
];

/// How logrotate may treat what it rotated last: at once, or with the next rotation.
const COMPRESS: [&str; 2] = ["compress", "compress\ndelaycompress"];

/// Rotates `logs/app.log` by these rules.
fn rotate(fixture: &Fixture, log: &mut LogFile, rules: &str) {
    // A directory that others may write is refused without `su`.
    let path = fixture.host.path("logs/app.log");
    let rules = format!(
        "{} {{\nrotate 9\nmissingok\nsu root root\n{rules}\n}}\n",
        path.display()
    );
    logrotate(&fixture.host, &rules);
    if rules.contains("copytruncate") {
        // It is cut already: from here on the writer counts another generation.
        log.truncate();
    } else {
        drop(log.reopen());
    }
}

fn t2_logrotate_that_compresses_while_the_service_runs_repeats_nothing() {
    for way in ["create", "copytruncate"] {
        for compress in COMPRESS {
            let mut fixture = Fixture::new("logrotate-compress");
            let mut log = fixture.log("logs/app.log");
            let service = fixture.host.start();
            for _ in 0..4 {
                log.write(200);
                // Copying and truncating itself loses what is written meanwhile; and only what was read is known.
                fixture.caught_up();
                rotate(&fixture, &mut log, &format!("{way}\n{compress}"));
            }
            log.write(10);
            fixture.caught_up();
            service.stop();
            let service = fixture.host.start();
            fixture.chance_to_ship();
            fixture.finish(service);
        }
    }
}

fn t9_the_second_half_of_a_file_comes_from_inside_its_archive() {
    for way in ["create", "copytruncate"] {
        let mut fixture = Fixture::with("half-compressed", SMALL_BITES);
        let mut log = fixture.log("logs/app.log");
        log.write(50_000);
        let service = fixture.host.start();
        fixture.reader.until_count(1);
        service.stop();
        rotate(&fixture, &mut log, &format!("{way}\ncompress"));
        assert!(fixture.host.path("logs/app.log.1.gz").exists());
        log.write(10);
        let service = fixture.host.start();
        fixture.finish(service);
    }
}

fn t10_archives_that_nobody_saw_ship_in_order() {
    unseen("create");
}

fn t10_archives_of_copies_that_nobody_saw_ship_in_order() {
    unseen("copytruncate");
}

fn unseen(way: &str) {
    for compress in COMPRESS {
        let mut fixture = Fixture::new("unseen-compressed");
        let mut log = fixture.log("logs/app.log");
        log.write(100);
        let service = fixture.host.start();
        fixture.caught_up();
        service.stop();
        for _ in 0..3 {
            log.write(100);
            rotate(&fixture, &mut log, &format!("{way}\n{compress}"));
        }
        log.write(100);
        assert!(fixture.host.path("logs/app.log.3.gz").exists());
        let service = fixture.host.start();
        fixture.finish(service);
    }
}

fn t13_rotated_files_in_another_directory_are_found_by_patterns() {
    let mut fixture = Fixture::with("olddir", "rotated = \"old/{file}.*\"");
    fs::create_dir(fixture.host.path("old")).unwrap();
    let rules = format!(
        "create\ncompress\ndelaycompress\nolddir {}",
        fixture.host.path("old").display()
    );
    let mut log = fixture.log("logs/app.log");
    log.write(100);
    let service = fixture.host.start();
    fixture.caught_up();
    rotate(&fixture, &mut log, &rules);
    log.write(100);
    fixture.caught_up();
    service.stop();
    for _ in 0..2 {
        log.write(100);
        rotate(&fixture, &mut log, &rules);
    }
    log.write(100);
    assert!(fixture.host.path("old/app.log.2.gz").exists());
    let service = fixture.host.start();
    fixture.finish(service);
}

fn t13_numbers_before_the_extension_are_generations() {
    let mut fixture = Fixture::new("extension");
    let mut log = fixture.log("logs/app.log");
    log.write(100);
    let service = fixture.host.start();
    fixture.caught_up();
    service.stop();
    for _ in 0..2 {
        log.write(100);
        rotate(&fixture, &mut log, "create\ncompress\nextension .log");
    }
    log.write(100);
    assert!(fixture.host.path("logs/app.2.log.gz").exists());
    let service = fixture.host.start();
    fixture.finish(service);
}
