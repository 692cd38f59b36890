//! Crash points by system call: strace kills the service at its Nth write, flush or rename, or lets those fail.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::cases::fixture::Fixture;
use crate::harness::case::{cases, skip};
use crate::harness::eventually::{eventually, when};
use crate::harness::service::Service;
use crate::harness::writers::{Background, LogFile, installed};

cases![
    p8_a_kill_at_any_flush_of_the_positions_loses_nothing,
    p8_a_kill_at_any_write_of_the_positions_loses_nothing,
    p8_a_kill_at_the_renaming_of_the_new_store_loses_nothing,
    b5_a_full_disk_under_the_positions_stops_nothing_and_passes,
    b5_a_flush_that_fails_stops_nothing_and_passes,
];

/// Between two writes of the load.
const PACE: Duration = Duration::from_millis(10);
/// Two writers of five lines each pace, for a checkpoint interval and what a save takes, twice over.
const REPEATED_PER_CRASH: usize = 6000;

const INTERVAL: &str = "[state]\ncheckpoint_interval = \"200ms\"";

/// Two logs, one of which is renamed again and again.
fn load(fixture: &Fixture) -> Background<Vec<LogFile>> {
    let logs = vec![fixture.log("logs/app.log"), fixture.log("logs/web.log")];
    let dir = fixture.host.path("logs");
    let mut turn = 0;
    Background::repeat(logs, move |logs| {
        logs.iter_mut().for_each(|log| log.write(5));
        turn += 1;
        if turn % 100 == 0 {
            drop(logs[1].rename_to(&dir.join(format!("web.log-20260101-{turn:06}"))));
        }
        sleep(PACE);
    })
}

/// A host whose positions are saved often.
fn fixture(name: &str) -> Fixture {
    if !installed("strace") {
        skip("strace is not installed");
    }
    let fixture = Fixture::new(name).late_lines();
    let head = fixture
        .host
        .head(&crate::harness::kafka::shared().address(), &fixture.topic);
    let head = head.replace("[state]", INTERVAL);
    fixture
        .host
        .settings(&format!("{head}[[logs]]\npath = \"logs/*.log\"\n"));
    fixture
}

/// Starts the service under strace, which does to it what `injection` says.
fn launch(fixture: &Fixture, injection: &str) -> Service {
    let call = injection.split(':').next().unwrap_or_default();
    let (trace, inject) = (format!("trace={call}"), format!("inject={injection}"));
    let output = fixture.host.path("strace.txt").display().to_string();
    let strace = ["strace", "-f", "-qq", "-o", &output, "-e", &trace, "-e", &inject];
    fixture.host.launch(fixture.host.command_under(&strace, &["run"]))
}

/// Kills the service at each of these calls while lines are written; then it must go on as if nothing had been.
fn killed_at(name: &str, call: &str, numbers: &[u32]) {
    let mut fixture = fixture(name);
    let writers = load(&fixture);
    for number in numbers {
        let mut service = launch(&fixture, &format!("{call}:signal=SIGKILL:when={number}"));
        let status = service.wait();
        assert!(
            !status.success(),
            "the service outlived the call that should have killed it: {status}"
        );
    }
    let service = fixture.host.start();
    drop(writers.stop());
    fixture.caught_up();
    service.stop();
    fixture
        .verdict()
        .assert_only_duplicates(numbers.len() * REPEATED_PER_CRASH);
}

fn p8_a_kill_at_any_flush_of_the_positions_loses_nothing() {
    // The first ones make the store; a save takes two.
    killed_at("kill-flush", "fdatasync", &[1, 2, 3, 4, 5, 6, 7, 8, 12, 13]);
}

fn p8_a_kill_at_any_write_of_the_positions_loses_nothing() {
    killed_at("kill-write", "pwrite64", &[1, 2, 3, 5, 6, 7, 9, 14, 22, 33, 60]);
}

fn p8_a_kill_at_the_renaming_of_the_new_store_loses_nothing() {
    killed_at("kill-rename", "rename", &[1]);
}

/// The calls on the store fail for a while; lines ship on, the service says so, and says when it is over.
fn failing(name: &str, injection: &str) {
    let mut fixture = fixture(name);
    let service = fixture.host.start();
    fixture.log("logs/app.log").write(10);
    fixture.caught_up();
    service.stop();
    let writers = load(&fixture);
    let service = launch(&fixture, injection);
    service.wait_log("shipping goes on and a crash now repeats lines");
    // What is written now arrives while nothing can be saved, or just after.
    fixture.chance_to_ship();
    service.wait_log("positions are saved again");
    drop(writers.stop());
    fixture.caught_up();
    terminate(service);
    let service = fixture.host.start();
    fixture.finish(service);
}

/// Ends a service that runs under strace: the signal is for the service, not for strace.
fn terminate(mut service: Service) {
    let children = format!("/proc/{0}/task/{0}/children", service.pid());
    let pid = eventually("strace has a child", || {
        let listed = fs::read_to_string(&children).unwrap_or_default();
        let pid = listed
            .split_whitespace()
            .next()
            .and_then(|pid| pid.parse().ok())
            .and_then(Pid::from_raw);
        pid.ok_or_else(|| format!("`{listed}`"))
    });
    kill_process(pid, Signal::TERM).unwrap();
    let status = service.wait();
    assert!(status.success(), "the service did not end with success: {status}");
    let log = service.log();
    eventually("it drained", || {
        when(log.contains("drained: everything"), || log.clone())
    });
}

fn b5_a_full_disk_under_the_positions_stops_nothing_and_passes() {
    failing("no-space", "pwrite64:error=ENOSPC:when=40..60");
}

fn b5_a_flush_that_fails_stops_nothing_and_passes() {
    failing("bad-flush", "fdatasync:error=EIO:when=8..12");
}
