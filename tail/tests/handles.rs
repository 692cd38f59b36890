//! More files than handles: a live file that is closed goes on as if it had never been.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod rig;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use logcatch_tail::{HOLD, Handles, QUIET, Seat};
use rig::{Rig, append};

const A_WHILE: Duration = Duration::from_secs(70);

/// A rig with one handle for all, which another file can want.
struct Squeezed {
    rig: Rig,
    other: Seat,
    woken: Arc<AtomicUsize>,
}

impl Squeezed {
    fn new() -> Self {
        let rig = Rig::new();
        rig.world.handles.set_limit(1);
        let woken = Arc::new(AtomicUsize::new(0));
        let other = rig.world.handles.seat({
            let woken = Arc::clone(&woken);
            Arc::new(move || {
                woken.fetch_add(1, Ordering::Relaxed);
            })
        });
        Self { rig, other, woken }
    }

    /// The other file takes the handle.
    fn close(&mut self) {
        assert!(!self.other.take(self.rig.now), "the handle is in use");
        self.rig.run(0);
        assert_eq!(self.handles(), 0, "the file is closed");
        assert_eq!(self.woken.swap(0, Ordering::Relaxed), 1, "the other one has its turn");
        assert!(self.other.take(self.rig.now));
    }

    /// And gives it back.
    fn open(&mut self) {
        self.other.give_up();
    }

    fn handles(&self) -> usize {
        self.rig.watcher.as_ref().unwrap().handles()
    }
}

#[test]
fn r5_what_is_appended_while_it_is_closed_ships() {
    let mut squeezed = Squeezed::new();
    append(&squeezed.rig.spec.path, "one\n");
    squeezed.rig.settle();
    squeezed.close();
    append(&squeezed.rig.spec.path, "two\n");
    squeezed.rig.settle();
    assert_eq!(squeezed.rig.values(), ["one"], "there is no handle");
    squeezed.open();
    squeezed.rig.settle();
    assert_eq!(squeezed.rig.values(), ["one", "two"]);
}

#[test]
fn a_file_that_does_not_change_is_not_opened_again() {
    let mut squeezed = Squeezed::new();
    append(&squeezed.rig.spec.path, "one\nunfinished");
    squeezed.rig.settle();
    squeezed.close();
    squeezed.open();
    squeezed.rig.settle();
    assert_eq!(squeezed.handles(), 0);
    append(&squeezed.rig.spec.path, " line\n");
    squeezed.rig.settle();
    assert_eq!(squeezed.rig.values(), ["one", "unfinished line"]);
}

#[test]
fn a_file_that_is_not_acknowledged_or_not_read_keeps_its_handle_for_a_while_only() {
    let mut squeezed = Squeezed::new();
    append(&squeezed.rig.spec.path, "one\n");
    squeezed.rig.run(usize::MAX);
    assert!(!squeezed.other.take(squeezed.rig.now));
    squeezed.rig.run(0);
    assert_eq!(squeezed.handles(), 1, "not acknowledged");
    assert!(squeezed.rig.watcher.as_ref().unwrap().others_wait());
    append(&squeezed.rig.spec.path, "two\n");
    squeezed.rig.run(0);
    assert_eq!(squeezed.handles(), 1, "not read");
    squeezed.rig.now += HOLD;
    squeezed.rig.world.handles.tick(squeezed.rig.now);
    squeezed.rig.run(0);
    assert_eq!(squeezed.handles(), 0);
    // It has its turn again after the other one, and nothing in flight is repeated.
    assert!(squeezed.other.take(squeezed.rig.now));
    squeezed.open();
    squeezed.rig.settle();
    assert_eq!(squeezed.rig.values(), ["one", "two"]);
}

#[test]
fn a_file_that_was_asked_for_its_handle_gives_it_up_when_it_is_acknowledged() {
    let mut squeezed = Squeezed::new();
    append(&squeezed.rig.spec.path, "one\n");
    squeezed.rig.run(usize::MAX);
    assert!(!squeezed.other.take(squeezed.rig.now));
    squeezed.rig.run(0);
    assert_eq!(squeezed.handles(), 1);
    squeezed.rig.acknowledge();
    squeezed.rig.run(0);
    assert_eq!(squeezed.handles(), 0);
}

#[test]
fn a_file_that_was_renamed_while_it_was_closed_is_read_to_its_end_before_its_successor() {
    let mut squeezed = Squeezed::new();
    append(&squeezed.rig.spec.path, "one\n");
    squeezed.rig.settle();
    squeezed.close();
    append(&squeezed.rig.spec.path, "two\n");
    fs::rename(&squeezed.rig.spec.path, squeezed.rig.path("app.log.2")).unwrap();
    append(&squeezed.rig.path("app.log.1"), "nobody saw this one\n");
    append(&squeezed.rig.spec.path, "three\n");
    squeezed.open();
    squeezed.rig.settle();
    assert_eq!(squeezed.rig.values(), ["one", "two", "nobody saw this one", "three"]);
}

#[test]
fn u2_a_file_written_anew_while_it_was_closed_is_read_from_its_start() {
    for new in ["three\nfour\nfive\n", "abc\n"] {
        let mut squeezed = Squeezed::new();
        append(&squeezed.rig.spec.path, "one\n");
        squeezed.rig.settle();
        squeezed.close();
        fs::write(&squeezed.rig.spec.path, new).unwrap();
        squeezed.open();
        squeezed.rig.settle();
        assert_eq!(squeezed.rig.values().join("\n"), format!("one\n{}", new.trim_end()));
    }
}

#[test]
fn u3_what_a_copy_and_truncate_leaves_in_the_copy_of_a_closed_file_ships() {
    let mut squeezed = Squeezed::new();
    append(&squeezed.rig.spec.path, "one\n");
    squeezed.rig.settle();
    squeezed.close();
    append(&squeezed.rig.spec.path, "two\n");
    fs::copy(&squeezed.rig.spec.path, squeezed.rig.path("app.log.1")).unwrap();
    fs::write(&squeezed.rig.spec.path, "3\n").unwrap();
    squeezed.open();
    squeezed.rig.settle();
    assert_eq!(squeezed.rig.values(), ["one", "two", "3"]);
}

#[test]
fn u3_what_was_copied_from_a_closed_file_in_which_nothing_was_ever_seen_ships() {
    let mut squeezed = Squeezed::new();
    append(&squeezed.rig.spec.path, "");
    squeezed.rig.settle();
    append(&squeezed.rig.spec.path, "one\n");
    fs::copy(&squeezed.rig.spec.path, squeezed.rig.path("app.log.1")).unwrap();
    fs::write(&squeezed.rig.spec.path, "").unwrap();
    squeezed.close();
    squeezed.rig.pass(QUIET);
    squeezed.open();
    squeezed.rig.pass(QUIET);
    assert_eq!(squeezed.rig.values(), ["one"]);
}

#[test]
fn t14_a_closed_file_replaced_by_its_own_longer_content_goes_on() {
    let mut squeezed = Squeezed::new();
    let head = format!("{}\n", "x".repeat(1500));
    append(&squeezed.rig.spec.path, &head);
    squeezed.rig.settle();
    squeezed.close();
    append(&squeezed.rig.path("new"), &format!("{head}two\n"));
    fs::rename(squeezed.rig.path("new"), &squeezed.rig.spec.path).unwrap();
    squeezed.open();
    squeezed.rig.settle();
    assert_eq!(squeezed.rig.values()[1..], ["two"]);
}

#[test]
fn a_closed_file_that_was_deleted_is_let_go_and_its_successor_read_whole() {
    let mut squeezed = Squeezed::new();
    append(&squeezed.rig.spec.path, "one\n");
    squeezed.rig.settle();
    squeezed.close();
    fs::remove_file(&squeezed.rig.spec.path).unwrap();
    squeezed.rig.settle();
    append(&squeezed.rig.spec.path, "one\ntwo\n");
    squeezed.open();
    squeezed.rig.settle();
    assert_eq!(squeezed.rig.values(), ["one", "one", "two"]);
}

#[test]
fn a_closed_file_that_is_not_acknowledged_and_gone_waits_until_it_is_settled() {
    let mut squeezed = Squeezed::new();
    append(&squeezed.rig.spec.path, "one\n");
    squeezed.rig.run(usize::MAX);
    squeezed.rig.now += HOLD;
    assert!(!squeezed.other.take(squeezed.rig.now));
    squeezed.rig.world.handles.tick(squeezed.rig.now);
    squeezed.rig.run(0);
    assert_eq!(squeezed.handles(), 0);
    fs::remove_file(&squeezed.rig.spec.path).unwrap();
    append(&squeezed.rig.spec.path, "two\n");
    squeezed.rig.run(usize::MAX);
    assert_eq!(squeezed.rig.values(), ["one"]);
    squeezed.other.give_up();
    squeezed.rig.settle();
    squeezed.rig.settle();
    assert_eq!(squeezed.rig.values(), ["one", "two"]);
}

/// It was closed in favour of another file, and with the handle went the lines.
#[test]
fn x1_a_file_that_went_from_its_path_unread_keeps_its_handle_though_another_waits() {
    for is_deleted in [true, false] {
        let mut squeezed = Squeezed::new();
        append(&squeezed.rig.spec.path, "one\n");
        squeezed.rig.settle();
        let away = tempfile::tempdir_in(squeezed.rig.logs.path()).unwrap();
        append(&squeezed.rig.spec.path, "two\nhalf");
        if is_deleted {
            fs::remove_file(&squeezed.rig.spec.path).unwrap();
        } else {
            fs::rename(&squeezed.rig.spec.path, away.path().join("elsewhere")).unwrap();
        }
        append(&squeezed.rig.spec.path, "three\n");
        assert!(!squeezed.other.take(squeezed.rig.now));
        squeezed.rig.now += HOLD;
        squeezed.rig.world.handles.tick(squeezed.rig.now);
        // It is asked for its handle before anybody tells it that its file went.
        squeezed.rig.is_quiet = true;
        squeezed.rig.run(0);
        squeezed.rig.is_quiet = false;
        assert_eq!(squeezed.handles(), 1, "the new file is closed, the old one is not");
        squeezed.rig.settle();
        squeezed.rig.pass(QUIET);
        assert_eq!(squeezed.rig.values(), ["one", "two", "half"]);
        for _ in 0..7 {
            squeezed.rig.pass(A_WHILE);
        }
        assert!(squeezed.other.take(squeezed.rig.now), "its turn came");
        squeezed.open();
        squeezed.rig.settle();
        assert_eq!(squeezed.rig.values(), ["one", "two", "half", "three"]);
    }
}

#[test]
fn d3_a_file_without_a_handle_at_first_sight_still_starts_at_its_end() {
    let mut squeezed = Squeezed::new();
    assert!(squeezed.other.take(squeezed.rig.now));
    squeezed.rig.spec.from_end = true;
    squeezed.rig.restart();
    squeezed.rig.world.handles.set_limit(0);
    append(&squeezed.rig.spec.path, "old\n");
    squeezed.rig.settle();
    append(&squeezed.rig.spec.path, "new\n");
    squeezed.rig.settle();
    assert_eq!(squeezed.handles(), 0);
    squeezed.rig.world.handles.set_limit(1);
    squeezed.rig.settle();
    assert_eq!(squeezed.rig.values(), ["new"]);
}

#[test]
fn a_rotated_generation_keeps_its_handle_and_counts() {
    let mut squeezed = Squeezed::new();
    append(&squeezed.rig.spec.path, "one\n");
    squeezed.rig.settle();
    let away = tempfile::tempdir_in(squeezed.rig.logs.path()).unwrap();
    fs::rename(&squeezed.rig.spec.path, away.path().join("elsewhere")).unwrap();
    append(&squeezed.rig.spec.path, "two\n");
    squeezed.rig.settle();
    assert!(!squeezed.other.take(squeezed.rig.now));
    squeezed.rig.settle();
    assert_eq!(squeezed.handles(), 1, "the live file was closed");
    assert_eq!(squeezed.rig.world.handles.open(), 1);
    assert_eq!(squeezed.woken.load(Ordering::Relaxed), 0);
    append(&away.path().join("elsewhere"), "late\n");
    squeezed.rig.settle();
    assert_eq!(squeezed.rig.values(), ["one", "two", "late"]);
    squeezed.rig.pass(A_WHILE);
    squeezed.rig.pass(QUIET);
    assert_eq!(squeezed.handles(), 0);
    assert_eq!(squeezed.woken.load(Ordering::Relaxed), 1, "its turn came");
}

/// What only they lead to would be lost; what the limit bounds is live files.
#[test]
fn x1_generations_that_are_not_read_keep_their_handles_beyond_the_limit() {
    const ROTATIONS: usize = 12;
    let mut squeezed = Squeezed::new();
    for n in 0..ROTATIONS {
        append(&squeezed.rig.spec.path, &format!("{n}\n"));
        squeezed.rig.run(0);
        // The one before is deleted.
        fs::rename(&squeezed.rig.spec.path, squeezed.rig.path("app.log.1")).unwrap();
        append(&squeezed.rig.spec.path, "");
        squeezed.rig.run(0);
    }
    assert_eq!(squeezed.rig.world.handles.open(), ROTATIONS + 1);
    squeezed.rig.settle();
    squeezed.rig.pass(QUIET);
    let lines: Vec<String> = (0..ROTATIONS).map(|n| n.to_string()).collect();
    assert_eq!(squeezed.rig.values(), lines);
}

/// A thousand logs that are rotated at midnight would hold two handles each for a minute.
#[test]
fn a_rotated_generation_that_is_read_and_has_a_rotated_name_gives_its_handle_to_who_waits() {
    let mut squeezed = Squeezed::new();
    append(&squeezed.rig.spec.path, "one\n");
    squeezed.rig.rotate(1);
    assert!(!squeezed.other.take(squeezed.rig.now));
    squeezed.rig.settle();
    assert_eq!(squeezed.handles(), 1, "it is not quiet for long enough");
    squeezed.rig.pass(QUIET);
    squeezed.rig.settle();
    assert_eq!(squeezed.handles(), 0);
    assert!(squeezed.other.take(squeezed.rig.now), "its turn came");
    append(&squeezed.rig.path("app.log.1"), "late\n");
    squeezed.rig.pass(QUIET);
    assert_eq!(squeezed.rig.values(), ["one", "late"]);
}

#[test]
fn b2_turns_go_round_in_order_and_a_smaller_limit_is_kept() {
    let handles = Handles::new(2);
    let mut now = std::time::Instant::now();
    let mut seats: Vec<Seat> = (0..6).map(|_| handles.seat(Arc::new(|| {}))).collect();
    let took: Vec<bool> = seats.iter_mut().map(|seat| seat.take(now)).collect();
    assert_eq!(took, [true, true, false, false, false, false]);
    let mut order = Vec::new();
    for _ in 0..6 {
        now += HOLD;
        handles.tick(now);
        for (index, seat) in seats.iter_mut().enumerate() {
            if seat.try_take(now) && !seat.may_keep(now, true, true) {
                order.push(index);
                seat.give_up();
                seat.take(now);
            }
        }
        assert!(handles.open() <= 2);
    }
    assert_eq!(order, [0, 1, 2, 3, 4, 5, 0, 1, 2, 3], "first come, first served");
    assert_eq!(handles.waiting(), 4);
    handles.set_limit(1);
    now += HOLD;
    let gave_up = seats
        .iter_mut()
        .filter_map(|seat| (seat.try_take(now) && !seat.may_keep(now, true, true)).then(|| seat.give_up()));
    assert!(gave_up.count() >= 1);
    assert_eq!(handles.open(), 1);
    drop(seats);
    assert_eq!((handles.open(), handles.waiting()), (0, 0));
}

#[test]
fn the_least_recently_active_file_that_rests_is_asked_first() {
    let handles = Handles::new(3);
    let now = std::time::Instant::now();
    let mut seats: Vec<Seat> = (0..4).map(|_| handles.seat(Arc::new(|| {}))).collect();
    seats[..3].iter_mut().for_each(|seat| assert!(seat.take(now)));
    for index in [1, 0, 2] {
        seats[index].report(true, 0);
    }
    // A file that is active again and rests again is the last to be asked.
    seats[1].report(false, 0);
    seats[1].report(true, 0);
    assert!(!seats[3].take(now));
    let keeps: Vec<bool> = seats[..3]
        .iter_mut()
        .map(|seat| seat.may_keep(now, false, true))
        .collect();
    assert_eq!(keeps, [false, true, true]);
}

#[test]
fn a_holder_that_does_not_answer_keeps_nobody_waiting() {
    let handles = Handles::new(2);
    let now = std::time::Instant::now();
    let mut seats: Vec<Seat> = (0..3).map(|_| handles.seat(Arc::new(|| {}))).collect();
    seats[..2].iter_mut().for_each(|seat| {
        assert!(seat.take(now));
        seat.report(true, 0);
    });
    assert!(!seats[2].take(now));
    assert!(
        seats[1].may_keep(now, false, true),
        "the other one was asked, and hangs"
    );
    handles.tick(now);
    assert!(!seats[1].may_keep(now, false, true));
    seats[1].give_up();
    assert!(seats[2].take(now));
}

#[test]
fn who_rests_longest_is_asked_first_also_after_all_are_laid_out_anew() {
    let rig = Rig::new();
    let handles = &rig.world.handles;
    handles.set_limit(3);
    let asked = Arc::new(AtomicUsize::new(0));
    let mut seats: Vec<Seat> = (1..=3)
        .map(|number| {
            let asked = Arc::clone(&asked);
            handles.seat(Arc::new(move || asked.store(number, Ordering::Relaxed)))
        })
        .collect();
    assert!(seats.iter_mut().all(|seat| seat.try_take(rig.now)));
    for number in [1, 0, 2] {
        seats[number].report(true, 0);
    }
    rig.world.pack();
    let mut other = handles.seat(Arc::new(|| {}));
    assert!(!other.take(rig.now));
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    seats.remove(1);
    assert!(other.take(rig.now), "the place of one that is gone");
    assert_eq!((handles.open(), handles.waiting()), (3, 0));
}
