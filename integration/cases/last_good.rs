//! A start that finds its settings broken runs on those that were in force last.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::fixture::Fixture;
use crate::harness::case::cases;
use crate::harness::kafka;
use crate::harness::service::Managed;
use crate::harness::writers::LogFile;

cases![
    a_typo_before_a_reboot_stops_no_shipping_and_ready_is_said_when_it_is_mended,
    a_bad_property_before_a_reboot_stops_no_shipping,
    a_settings_file_that_is_missing_at_start_is_waited_for,
    a_broken_included_file_changes_nothing_running_or_at_start,
    without_last_good_settings_a_broken_file_ends_the_start,
];

/// What the service says of a broken file at start.
const FELL_BACK: &str = "settings refused; running on those that were in force last, and not ready";

/// Starts on a broken file; it must ship, and must not say that it is ready.
fn start_broken(fixture: &mut Fixture) -> Managed {
    let mut managed = fixture.host.start_managed(&[]);
    managed.service.wait_log(FELL_BACK);
    fixture.caught_up();
    assert_not_ready(&mut managed);
    managed
}

fn assert_not_ready(managed: &mut Managed) {
    let told = managed.told();
    assert!(!told.iter().any(|told| told.contains("READY=1")), "{told:?}");
    assert!(told.iter().any(|told| told.contains("STATUS=not ready")), "{told:?}");
}

/// Lines are shipped and the service has stopped. Gives its settings.
fn shipped(fixture: &mut Fixture, log: &mut LogFile) -> String {
    let good = fs::read_to_string(fixture.host.settings_path()).unwrap();
    log.write(100);
    let service = fixture.host.start();
    fixture.caught_up();
    service.stop();
    good
}

fn a_typo_before_a_reboot_stops_no_shipping_and_ready_is_said_when_it_is_mended() {
    let mut fixture = Fixture::new("typo");
    let mut log = fixture.log("logs/app.log");
    let good = shipped(&mut fixture, &mut log);

    fixture.host.settings(&good.replace("topic", "topci"));
    log.write(100);
    let mut managed = start_broken(&mut fixture);
    assert!(
        managed.service.log().contains("`kafka.topci` is not a known key"),
        "{}",
        managed.service.log()
    );
    // Another broken one, and a stop: what was kept is kept.
    fixture.host.settings("= =");
    managed.service.wait_log("everything stays as it was");
    assert_not_ready(&mut managed);
    managed.service.stop();
    log.write(100);
    fixture.host.settings(&good.replace("topic", "topci"));
    let mut managed = start_broken(&mut fixture);

    fixture.host.settings(&good);
    managed.until("READY=1");
    log.write(100);
    fixture.finish(managed.service);
}

fn a_bad_property_before_a_reboot_stops_no_shipping() {
    let mut fixture = Fixture::new("bad-property");
    let mut log = fixture.log("logs/app.log");
    let good = shipped(&mut fixture, &mut log);
    fixture
        .host
        .settings(&good.replace("[[logs]]", "[kafka.properties]\nlinger.ms = \"soon\"\n[[logs]]"));
    log.write(100);
    let mut managed = start_broken(&mut fixture);
    fixture.host.settings(&good);
    managed.until("READY=1");
    fixture.finish(managed.service);
}

fn a_settings_file_that_is_missing_at_start_is_waited_for() {
    let fixture = Fixture::new("missing");
    let host = fixture.host.with_env("STATE_DIRECTORY", "state");
    let mut fixture = Fixture { host, ..fixture };
    // Named nowhere but in the environment: the file that would name it is not there.
    let settings = fs::read_to_string(fixture.host.settings_path()).unwrap();
    let (head, rest) = settings.split_once("[state]\n").unwrap();
    let (_, entries) = rest.split_once('\n').unwrap();
    fixture.host.settings(&format!("{head}{entries}"));
    let mut log = fixture.log("logs/app.log");
    log.write(100);
    let service = fixture.host.start();
    fixture.caught_up();
    service.stop();
    let kept = fs::read_dir(fixture.host.path("state/last-good")).unwrap().flatten();
    for file in kept {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
    }

    let path = fixture.host.settings_path().to_owned();
    fs::remove_file(&path).unwrap();
    log.write(100);
    let mut managed = start_broken(&mut fixture);
    fs::write(&path, format!("{head}{entries}")).unwrap();
    managed.until("READY=1");
    log.write(100);
    fixture.finish(managed.service);
}

fn a_broken_included_file_changes_nothing_running_or_at_start() {
    let mut fixture = Fixture::new("included");
    let entry = |dir: &str| format!("[[logs]]\nname = \"{dir}\"\npath = \"../{dir}/*.log\"\n");
    let head = fixture.host.head(&kafka::shared().address(), &fixture.topic);
    fixture.host.settings(&format!("include = [\"conf.d/*.toml\"]\n{head}"));
    for dir in ["conf.d", "one", "two", "three"] {
        fs::create_dir(fixture.host.path(dir)).unwrap();
    }
    let file = |dir: &str| fixture.host.path(format!("conf.d/{dir}.toml"));
    fs::write(file("one"), entry("one")).unwrap();
    let (one_file, two_file, three_file) = (file("one"), file("two"), file("three"));
    let mut logs = ["one", "two", "three"].map(|dir| fixture.log(&format!("{dir}/app.log")));
    logs[0].write(10);
    let service = fixture.host.start();
    fixture.caught_up();

    // A good file and a broken one: neither counts. What "two" holds is written to the books when it may ship.
    fs::write(&two_file, entry("two")).unwrap();
    fs::write(&three_file, entry("three").replace("path", "pth")).unwrap();
    service.wait_log("`logs[0].pth` is not a known key");
    logs[0].write(10);
    fixture.caught_up();
    service.stop();

    logs[0].write(10);
    let mut managed = start_broken(&mut fixture);
    let log = managed.service.log();
    // The two may have been read one after the other: then "two" is in force, but "three" never.
    assert!(!log.contains("three/app.log"), "{log}");
    fs::write(&three_file, entry("three")).unwrap();
    managed.until("READY=1");
    logs.iter_mut().for_each(|log| log.write(10));
    fixture.caught_up();
    fs::remove_file(&one_file).unwrap();
    managed.service.wait_log("watcher stopped");
    fixture.finish(managed.service);
}

fn without_last_good_settings_a_broken_file_ends_the_start() {
    let fixture = Fixture::new("first-broken");
    let good = fs::read_to_string(fixture.host.settings_path()).unwrap();
    fixture.host.settings(&good.replace("topic", "topci"));
    let output = fixture.host.run(&["run"]);
    assert_eq!(output.code, Some(78), "{output:?}");
    assert!(
        output.stderr.starts_with("error: cannot use the settings"),
        "{output:?}"
    );
}
