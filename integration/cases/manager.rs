//! Life under a service manager: what it is told, and how the log reaches the journal.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use super::fixture::Fixture;
use crate::harness::case::{self, cases};
use crate::harness::service::Host;
use crate::harness::writers::installed;

cases![
    a_reload_is_told_with_its_time_and_a_refused_one_ends_ready_too,
    the_watchdog_is_fed_while_the_actors_answer_and_not_when_one_hangs,
    the_journal_gets_levels_and_no_times,
    messages_that_repeat_are_held_back_and_counted,
    the_unit_is_valid_and_the_example_settings_pass_the_check,
];

fn a_reload_is_told_with_its_time_and_a_refused_one_ends_ready_too() {
    let fixture = Fixture::new("told");
    let good = fs::read_to_string(fixture.host.settings_path()).unwrap();
    let mut managed = fixture.host.start_managed(&[]);
    managed.until("READY=1");
    managed.service.signal(Signal::HUP);
    managed.until_count("READY=1", 2);
    fixture.host.settings(&format!("{good}nonsense = 1\n"));
    managed.until_count("READY=1", 3);
    managed.until("STATUS=the settings are refused, the log says why; ships by those that were in force before");
    let told = managed.told().to_vec();
    let reloads: Vec<_> = told.iter().filter(|told| told.contains("RELOADING=1")).collect();
    assert_eq!(reloads.len(), 2, "{told:?}");
    assert!(reloads.iter().all(|told| told.contains("MONOTONIC_USEC=")), "{told:?}");
    managed.service.signal(Signal::TERM);
    assert_eq!(managed.service.wait().code(), Some(0));
    let told = managed.told();
    assert!(
        told.last().is_some_and(|told| told.starts_with("STOPPING=1")),
        "{told:?}"
    );
}

fn the_watchdog_is_fed_while_the_actors_answer_and_not_when_one_hangs() {
    if !cfg!(debug_assertions) {
        case::skip("fault points are in debug builds only");
    }
    let fixture = Fixture::new("watchdog");
    let host = fixture.host.with_env("LOGCATCH_FAULT_DIR", "faults");
    fs::create_dir(host.path("faults")).unwrap();
    let hang = host.path("faults/hang-kafka");
    let mut managed = host.start_managed(&[("WATCHDOG_USEC", "200000")]);
    managed.until_count("WATCHDOG=1", 3);
    fs::write(&hang, "").unwrap();
    managed
        .service
        .wait_log("an actor does not answer; the watchdog is not fed");
    let fed = managed.told().iter().filter(|told| *told == "WATCHDOG=1").count();
    managed
        .service
        .wait_log_count("an actor does not answer; the watchdog is not fed", 3);
    let still = managed.told().iter().filter(|told| *told == "WATCHDOG=1").count();
    assert_eq!(fed, still, "it was fed while an actor hung");
    fs::remove_file(&hang).unwrap();
    managed.until_count("WATCHDOG=1", still + 1);
    managed.service.stop();
}

fn the_journal_gets_levels_and_no_times() {
    let fixture = Fixture::new("journal");
    // The file that the service's stderr will be.
    let stderr = fixture.host.path("logcatch-run-1.txt");
    let meta = File::create(&stderr).unwrap().metadata().unwrap();
    let stream = format!("{}:{}", meta.dev(), meta.ino());
    let mut managed = fixture.host.start_managed(&[("JOURNAL_STREAM", &stream)]);
    managed.until("READY=1");
    managed.service.wait_log("no file matches yet");
    let good = fs::read_to_string(fixture.host.settings_path()).unwrap();
    fixture.host.settings(&good.replace("topic", "topci"));
    managed.service.wait_log("settings refused");
    let log = managed.service.log();
    assert!(log.lines().all(|line| line.starts_with('<')), "{log}");
    assert!(log.contains("<6>logcatch starts version="), "{log}");
    assert!(log.contains("\n<3>settings refused"), "{log}");
    managed.service.stop();
    // The same variable, but stderr is another file.
    let mut managed = fixture.host.start_managed(&[("JOURNAL_STREAM", &stream)]);
    managed.service.wait_log("logcatch starts");
    assert!(managed.service.log().starts_with('['), "{}", managed.service.log());
    managed.until("STATUS=not ready: the settings are refused; ships by those that were in force last");
    managed.service.stop();
}

fn messages_that_repeat_are_held_back_and_counted() {
    const MOST: usize = 10;
    const READ: &str = "settings were read again and say what is in force";
    let fixture = Fixture::new("repeats");
    let mut managed = fixture.host.start_managed(&[]);
    managed.until("READY=1");
    for count in 1..=MOST + 5 {
        managed.service.signal(Signal::HUP);
        managed.until_count("READY=1", 1 + count);
    }
    assert_eq!(managed.service.log().matches(READ).count(), MOST);
    managed.service.signal(Signal::TERM);
    assert_eq!(managed.service.wait().code(), Some(0));
    let log = managed.service.log();
    let last = log.lines().rfind(|line| line.contains(READ)).unwrap_or_default();
    assert!(last.contains("repeated=5"), "{log}");
}

fn the_unit_is_valid_and_the_example_settings_pass_the_check() {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    let host = Host::new("deploy");
    fs::copy(deploy.join("logcatch.toml"), host.settings_path()).unwrap();
    let output = host.run(&["check"]);
    assert_eq!(output.code, Some(0), "{output:?}");

    if !installed("systemd-analyze") {
        return;
    }
    // Where the unit says, no binary may be installed: it is checked with the one that was built.
    let unit = fs::read_to_string(deploy.join("logcatch.service")).unwrap();
    let unit = unit.replace("/usr/bin/logcatch", env!("CARGO_BIN_EXE_logcatch"));
    let path = host.path("logcatch.service");
    fs::write(&path, unit).unwrap();
    let output = Command::new("systemd-analyze")
        .arg("verify")
        .arg(&path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // Of other units of this machine it may say what it likes.
    let ours: Vec<_> = said.lines().filter(|line| line.contains("logcatch.service")).collect();
    assert!(output.status.success() && ours.is_empty(), "{said}");
}
