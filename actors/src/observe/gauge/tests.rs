use std::path::Path;

use super::super::report::Reason;
use super::*;

/// The system answers so.
fn refused(number: i32) -> Condition {
    let error = std::io::Error::from_raw_os_error(number);
    Condition::Refused {
        kind: error.kind(),
        cause: error.to_string().into(),
    }
}

const FINE: Surroundings = Surroundings {
    kafka: Some(true),
    refusal: None,
    saves_fail: false,
};

fn a_gauge() -> Gauge {
    Gauge::new(("app".into(), Path::new("/a").into()))
}

fn judged(gauge: &Gauge, around: Surroundings, now: Instant) -> (State, Option<Reason>) {
    let row = gauge.row(around, Vec::new, now);
    (row.state, row.reason)
}

#[test]
fn a_watcher_says_what_it_waits_for() {
    let (gauge, now) = (a_gauge(), Instant::now());
    let failing = Surroundings {
        saves_fail: true,
        ..FINE
    };
    let cases = [
        (Activity::Starting, FINE, State::Waiting, Reason::Starting),
        (Activity::Restarting, FINE, State::Waiting, Reason::Restarting),
        (Activity::Saving, FINE, State::Waiting, Reason::SavingPosition),
        (Activity::Saving, failing, State::Blocked, Reason::PositionsNotSaved),
        (Activity::Budget, FINE, State::Waiting, Reason::MemoryLimit),
        (Activity::Settling, FINE, State::Waiting, Reason::Acknowledgement),
        (Activity::Paced, FINE, State::Waiting, Reason::RateLimit),
        (Activity::Asleep, failing, State::Idle, Reason::NoFile),
        (
            Activity::Failed("boom".into()),
            FINE,
            State::Failed,
            Reason::WatcherFailed,
        ),
    ];
    for (activity, around, state, reason) in cases {
        gauge.turn_to(activity.clone(), now);
        assert_eq!(judged(&gauge, around, now), (state, Some(reason)), "{activity:?}");
    }
    assert_eq!(gauge.row(FINE, Vec::new, now).detail.as_deref(), Some("boom"));
}

#[test]
fn a_step_that_does_not_come_back_shows_and_a_restart_counts() {
    let (gauge, now) = (a_gauge(), Instant::now());
    gauge.turn_to(Activity::Reading, now);
    gauge.enter(now);
    let later = now + HANGS + Duration::from_secs(1);
    assert_eq!(judged(&gauge, FINE, now), (State::Reading, None));
    assert_eq!(
        judged(&gauge, FINE, later),
        (State::Waiting, Some(Reason::NotAnswering))
    );
    gauge.leave();
    assert_eq!(judged(&gauge, FINE, later), (State::Reading, None));
    gauge.restarts(Activity::Failed("boom".into()), later);
    let row = gauge.row(FINE, Vec::new, later + Duration::from_secs(2));
    assert_eq!((row.restarts, row.since_seconds), (1, 2.0));
}

#[test]
fn what_the_system_answers_has_a_word() {
    let gauge = a_gauge();
    for (number, reason, words) in [
        (13, Reason::Permission, "Permission denied"),
        (116, Reason::Unreadable, "Stale file handle"),
    ] {
        gauge.change().condition = refused(number);
        let row = gauge.row(FINE, Vec::new, Instant::now());
        assert_eq!((row.reason, row.detail.as_deref()), (Some(reason), Some(words)));
    }
}

#[test]
fn a_watcher_is_quiet_from_a_look_at_its_row_until_something_happens() {
    let gauge = a_gauge();
    let now = Instant::now() + Duration::from_secs(60);
    let lag = || gauge.row(FINE, Vec::new, now).lag_bytes;
    assert!(!gauge.is_quiet(), "nobody looked");
    assert_eq!(lag(), 0);
    assert!(gauge.is_quiet());
    gauge.acknowledged(1000, 5, now);
    let later = gauge.row(FINE, Vec::new, now + Duration::from_secs(1));
    assert_eq!((later.bytes_per_second, later.lines_per_second), (1000.0, 5.0));
    assert!(!gauge.is_quiet(), "its rate shows for some seconds");
    let now = now + Duration::from_secs(60);
    let lag = || gauge.row(FINE, Vec::new, now).lag_bytes;
    assert_eq!(lag(), 0);
    assert!(gauge.is_quiet() && gauge.lock().rate.is_none());
    gauge.acknowledged(1000, 5, now);
    let later = gauge.row(FINE, Vec::new, now + Duration::from_secs(1));
    assert_eq!(later.lines_per_second, 1.0, "five in the last five seconds");
    let now = now + Duration::from_secs(60);
    let lag = || gauge.row(FINE, Vec::new, now).lag_bytes;
    assert_eq!(lag(), 0);
    let happens: [&dyn Fn(); 5] = [
        &|| gauge.enter(now),
        &|| gauge.leave(),
        &|| gauge.turn_to(Activity::Reading, now),
        &|| gauge.restarts(Activity::Restarting, now),
        &|| gauge.on_disk(7),
    ];
    for happens in happens {
        happens();
        assert!(!gauge.is_quiet());
        assert_eq!(lag(), 0);
        assert!(gauge.is_quiet());
    }
    gauge.change().condition = refused(5);
    assert_eq!(lag(), 7);
    assert!(!gauge.is_quiet(), "it is behind");
}

#[test]
fn the_lag_of_what_was_never_read_has_bytes_and_grows_old() {
    let gauge = a_gauge();
    gauge.on_disk(7);
    let later = Instant::now() + Duration::from_secs(30);
    gauge.change().condition = refused(5);
    let row = gauge.row(FINE, Vec::new, later);
    assert!(row.lag_bytes == 7 && row.lag_seconds >= 30.0, "{row:?}");
}
