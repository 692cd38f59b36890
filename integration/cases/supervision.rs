//! Watchers that panic, fail or hang, and a producer that fails fatally: provoked by the fault points of debug builds.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::fixture::Fixture;
use crate::harness::case::{self, cases};
use crate::harness::eventually::{eventually, when};
use crate::harness::kafka;
use crate::harness::process::Resources;
use crate::harness::service::Service;
use crate::harness::writers::{Background, LogFile};

cases![
    s1_a_watcher_that_panics_restarts_alone_from_its_position,
    s1_a_watcher_that_panics_outside_its_step_is_replaced,
    s1_crash_after_crash_leaves_nothing_behind,
    s1_a_watcher_that_fails_before_its_first_look_keeps_to_start_end,
    s2_a_watcher_that_fails_every_time_rests_longer_and_longer,
    s2_a_removed_watcher_is_not_resurrected,
    s4_a_watcher_that_hangs_is_replaced_and_its_neighbours_move,
    s4_a_look_that_hangs_leaves_out_its_entry_alone,
    s4_a_stop_does_not_wait_for_a_watcher_that_hangs,
    s5_a_producer_that_fails_fatally_is_rebuilt_and_everything_sent_again,
];

/// What the service says when a watcher failed.
const FAILED: &str = "watcher failed; it will be restarted from its position";

/// Faults on a host: files that the service looks for.
pub struct Faults(PathBuf);

impl Faults {
    pub fn on(fixture: Fixture) -> (Fixture, Faults) {
        if !cfg!(debug_assertions) {
            case::skip("fault points are in debug builds only");
        }
        let faults = Faults(fixture.host.path("faults"));
        fs::create_dir(&faults.0).unwrap();
        let host = fixture.host.with_env("LOGCATCH_FAULT_DIR", "faults");
        (Fixture { host, ..fixture }, faults)
    }

    pub fn begin(&self, name: &str) {
        fs::write(self.0.join(name), "").unwrap();
    }

    /// Waits until something hangs at the fault `hang-NAME`.
    pub fn wait_hangs(&self, name: &str) {
        let met = self.0.join(format!("hangs-{name}"));
        eventually(&format!("it hangs at {name}"), || when(met.exists(), String::new));
    }

    pub fn end(&self, name: &str) {
        fs::remove_file(self.0.join(name)).unwrap();
    }
}

/// Lines of the log that say `what` of a path.
fn said(service: &Service, what: &str, path: &str) -> Vec<String> {
    let log = service.log();
    let lines = log.lines().filter(|line| line.contains(what) && line.contains(path));
    lines.map(str::to_owned).collect()
}

fn wait_said(service: &Service, what: &str, path: &str, count: usize) {
    eventually(&format!("`{what}` is said of {path} {count} times"), || {
        let seen = said(service, what, path).len();
        when(seen >= count, || format!("{seen} times"))
    });
}

/// Lines that are written to a log all the time.
fn keep_writing(log: LogFile) -> Background<LogFile> {
    Background::repeat(log, |log| {
        log.write(5);
        sleep(Duration::from_millis(10));
    })
}

fn s1_a_watcher_that_panics_restarts_alone_from_its_position() {
    let (mut fixture, faults) = Faults::on(Fixture::new("panic"));
    let (ill, well) = (fixture.log("logs/ill.log"), fixture.log("logs/well.log"));
    let service = fixture.host.start();
    let writers = [ill, well].map(keep_writing);
    fixture.reader.until_count(100);
    for count in 1..=2 {
        faults.begin("panic-ill.log");
        wait_said(&service, FAILED, "ill.log", count);
        faults.end("panic-ill.log");
        // The neighbour ships while the other one rests.
        let records = fixture.reader.records().len();
        fixture.reader.until_count(records + 50);
    }
    let rests: Vec<_> = said(&service, FAILED, "ill.log");
    assert!(rests[0].contains("panicked: a test wanted it"), "{rests:?}");
    assert!(
        rests[0].contains("wait_seconds=1") && rests[1].contains("wait_seconds=2"),
        "{rests:?}"
    );
    for writer in writers {
        drop(writer.stop());
    }
    fixture.caught_up();
    assert_eq!(said(&service, FAILED, "well.log"), [""; 0]);
    fixture.finish(service);
}

fn s1_a_watcher_that_panics_outside_its_step_is_replaced() {
    let (mut fixture, faults) = Faults::on(Fixture::new("outside"));
    let (mut ill, mut well) = (fixture.log("logs/ill.log"), fixture.log("logs/well.log"));
    ill.write(1);
    well.write(1);
    let service = fixture.host.start();
    fixture.caught_up();
    faults.begin("panic-outside-ill.log");
    ill.write(1);
    wait_said(&service, FAILED, "ill.log", 1);
    faults.end("panic-outside-ill.log");
    let failed = said(&service, FAILED, "ill.log");
    assert!(failed[0].contains("ended outside its step"), "{failed:?}");
    ill.write(1);
    well.write(1);
    fixture.caught_up();
    assert_eq!(said(&service, FAILED, "well.log"), [""; 0]);
    fixture.finish(service);
}

/// Handles, threads and memory become what they were, give or take what differs anyway: threads of a pool rest for some
/// seconds before they end.
pub fn assert_nothing_left(before: Resources, service: &Service) {
    const MEMORY: u64 = 16 << 20;
    eventually("nothing is left", || {
        let now = service.resources();
        let is_left =
            now.handles > before.handles + 2 || now.threads > before.threads + 2 || now.memory > before.memory + MEMORY;
        when(!is_left, || format!("before {before:?}, now {now:?}"))
    });
}

fn s1_crash_after_crash_leaves_nothing_behind() {
    let (watchers, rounds) = if long() { (200, 5) } else { (50, 2) };
    let (mut fixture, faults) = Faults::on(Fixture::new("crashes"));
    let mut logs: Vec<LogFile> = (0..watchers).map(|n| fixture.log(&format!("logs/{n}.log"))).collect();
    logs.iter_mut().for_each(|log| log.write(1));
    let service = fixture.host.start();
    fixture.caught_up();
    let mut before = None;
    for round in 1..=rounds {
        (0..watchers).for_each(|n| faults.begin(&format!("panic-{n}.log")));
        logs.iter_mut().for_each(|log| log.write(1));
        wait_said(&service, FAILED, "/logs/", watchers * round);
        (0..watchers).for_each(|n| faults.end(&format!("panic-{n}.log")));
        fixture.caught_up();
        // The first crashes load what a process needs once: symbols, for one.
        before.get_or_insert_with(|| service.resources());
    }
    assert_nothing_left(before.unwrap(), &service);
    fixture.finish(service);
}

/// Whether the tests may take minutes.
pub fn long() -> bool {
    std::env::var_os("LOGCATCH_LONG").is_some()
}

fn s1_a_watcher_that_fails_before_its_first_look_keeps_to_start_end() {
    let (fixture, faults) = Faults::on(Fixture::with("first-look", "start = \"end\""));
    let mut log = fixture.log("logs/app.log");
    log.write_raw(b"old\n");
    faults.begin("error-app.log");
    let service = fixture.host.start();
    wait_said(&service, FAILED, "app.log", 1);
    faults.end("error-app.log");
    // From the first look on lines ship: until then the file may grow unseen.
    wait_applied(&fixture);
    log.write(10);
    fixture.finish(service);
}

/// The entry's first application is in the position store: every file that existed was looked at.
fn wait_applied(fixture: &Fixture) {
    eventually("the entry counts as applied", || {
        let store = fs::read(fixture.host.path("state/positions.redb")).unwrap();
        let found = store.windows(7).any(|window| window == b"app.log");
        when(found, || "no position of the file is saved".to_owned())
    });
}

fn s2_a_watcher_that_fails_every_time_rests_longer_and_longer() {
    let (mut fixture, faults) = Faults::on(Fixture::new("every-time"));
    let mut ill = fixture.log("logs/ill.log");
    ill.write(100);
    faults.begin("error-ill.log");
    let service = fixture.host.start();
    wait_said(&service, FAILED, "ill.log", 4);
    let rests = said(&service, FAILED, "ill.log");
    for (rest, seconds) in rests.iter().zip([1, 2, 4, 8]) {
        assert!(rest.contains(&format!("wait_seconds={seconds}")), "{rests:?}");
    }
    for (pair, seconds) in rests.windows(2).zip([1.0, 2.0, 4.0]) {
        // To the millisecond, and past midnight.
        let rested = (second_of_day(&pair[1]) - second_of_day(&pair[0])).rem_euclid(86_400.0);
        assert!(rested >= seconds - 0.002, "it did not rest: {rests:?}");
    }
    fixture.log("logs/well.log").write(100);
    fixture.reader.until_count(100);
    faults.end("error-ill.log");
    fixture.finish(service);
}

/// When a line was said: `[2026-01-02T03:04:05.678Z ...`.
fn second_of_day(line: &str) -> f64 {
    let time = line.split(['T', 'Z']).nth(1).unwrap();
    time.split(':')
        .fold(0.0, |seconds, part| seconds * 60.0 + part.parse::<f64>().unwrap())
}

fn s2_a_removed_watcher_is_not_resurrected() {
    let (mut fixture, faults) = Faults::on(Fixture::new("removed"));
    fs::create_dir(fixture.host.path("other")).unwrap();
    fixture.log("logs/ill.log").write(10);
    faults.begin("error-ill.log");
    let service = fixture.host.start();
    wait_said(&service, FAILED, "ill.log", 2);
    let head = fixture.host.head(&kafka::shared().address(), &fixture.topic);
    let other = format!("{head}[[logs]]\nname = \"other\"\npath = \"other/*.log\"\n");
    fixture.host.settings(&other);
    fixture.log("other/app.log").write(10);
    fixture.reader.until_count(10);
    let starts =
        |service: &Service| said(service, "watcher started", "ill.log").len() + said(service, FAILED, "ill.log").len();
    let before = starts(&service);
    faults.end("error-ill.log");
    // Longer than it would have rested: what was to come has come.
    let later = Instant::now() + Duration::from_secs(3);
    eventually("its rest is over", || when(Instant::now() > later, String::new));
    assert_eq!(starts(&service), before);
    assert_eq!(fixture.reader.everything().len(), 10, "a removed watcher ships nothing");
    let both = format!("{other}[[logs]]\npath = \"logs/*.log\"\n");
    fixture.host.settings(&both);
    fixture.finish(service);
}

/// What the service says when a thread is given up.
pub const GIVEN_UP: &str = "a watcher does not answer";

/// A service that has caught up with logs on all threads, and with one that will hang.
pub fn with_neighbours(fixture: &mut Fixture) -> (Service, Vec<LogFile>, LogFile) {
    // More than there are threads, so that the one that hangs has neighbours.
    let mut logs: Vec<LogFile> = (0..8).map(|n| fixture.log(&format!("logs/{n}.log"))).collect();
    let mut ill = fixture.log("logs/ill.log");
    let service = fixture.host.start();
    ill.write(100);
    logs.iter_mut().for_each(|log| log.write(100));
    fixture.caught_up();
    (service, logs, ill)
}

fn s4_a_watcher_that_hangs_is_replaced_and_its_neighbours_move() {
    let (mut fixture, faults) = Faults::on(Fixture::new("hang"));
    let (service, mut logs, mut ill) = with_neighbours(&mut fixture);
    let before = service.resources();

    // It hangs with lines to read, picked and paid for.
    faults.begin("hang-read-ill.log");
    ill.write(10_000);
    wait_said(&service, GIVEN_UP, "", 1);
    wait_said(&service, FAILED, "ill.log", 1);
    // The neighbours ship, whichever thread they were on.
    let records = fixture.reader.records().len();
    logs.iter_mut().for_each(|log| log.write(100));
    fixture.reader.until_count(records + 800);
    assert!(service.log().contains("given_up_threads=1"), "{}", service.log());

    // The replacement hangs as well, in a thread that is its directory's, and is replaced in turn.
    wait_said(&service, FAILED, "ill.log", 2);
    logs.iter_mut().for_each(|log| log.write(100));
    // All wake: only the last one may ship anything.
    faults.end("hang-read-ill.log");
    ill.write(1000);
    fixture.caught_up();
    fixture.verdict().assert_clean();
    eventually("the threads that were given up end", || {
        let now = service.resources();
        when(now.threads <= before.threads + 2, || {
            format!("before {before:?}, now {now:?}")
        })
    });
    ill.write(100);
    fixture.finish(service);
}

fn s4_a_look_that_hangs_leaves_out_its_entry_alone() {
    let (mut fixture, faults) = Faults::on(Fixture::new("blind"));
    let entry = |dir: &str| format!("[[logs]]\nname = \"{dir}\"\npath = \"{dir}/*.log\"\n");
    let head = fixture.host.head(&kafka::shared().address(), &fixture.topic);
    for dir in ["dead", "fine", "late"] {
        fs::create_dir(fixture.host.path(dir)).unwrap();
    }
    fixture.host.settings(&(head.clone() + &entry("dead") + &entry("fine")));
    let mut known = fixture.log("dead/known.log");
    let service = fixture.host.start();
    known.write(10);
    fixture.caught_up();

    faults.begin("hang-look-dead");
    fixture.log("fine/new.log").write(10);
    service.wait_log("this entry is left out until it does");
    fixture.caught_up();
    // Settings apply meanwhile, and what is known of the entry is read on.
    fixture
        .host
        .settings(&(head + &entry("dead") + &entry("fine") + &entry("late")));
    fixture.log("late/new.log").write(10);
    known.write(10);
    fixture.caught_up();
    faults.end("hang-look-dead");
    fixture.log("dead/new.log").write(10);
    fixture.finish(service);
}

fn s4_a_stop_does_not_wait_for_a_watcher_that_hangs() {
    let (mut fixture, faults) = Faults::on(Fixture::with("hang-stop", "name = \"ours\""));
    let mut ill = fixture.log("logs/ill.log");
    ill.write(100);
    fixture.log("logs/well.log").write(100);
    let service = fixture.host.start();
    fixture.caught_up();
    faults.begin("hang-ill.log");
    ill.write(100);
    wait_said(&service, GIVEN_UP, "", 1);
    // A look for files hangs as well, and the thread it is on.
    faults.begin("hang-look-ours");
    service.wait_log("looking for files does not return");
    service.stop();
    faults.end("hang-ill.log");
    faults.end("hang-look-ours");
    let service = fixture.host.start();
    fixture.finish(service);
}

fn s5_a_producer_that_fails_fatally_is_rebuilt_and_everything_sent_again() {
    let (mut fixture, faults) = Faults::on(Fixture::new("fatal"));
    let log = fixture.log("logs/app.log");
    let service = fixture.host.start();
    let writer = keep_writing(log);
    for count in 1..=3 {
        let records = fixture.reader.records().len();
        fixture.reader.until_count(records + 100);
        faults.begin("fatal-kafka");
        service.wait_log_count("a test wanted it", count);
    }
    let records = fixture.reader.records().len();
    fixture.reader.until_count(records + 100);
    drop(writer.stop());
    fixture.caught_up();
    service.stop();
    // What was in flight may come twice, at most so many lines each time.
    fixture.verdict().assert_only_duplicates(3 * 500);
}
