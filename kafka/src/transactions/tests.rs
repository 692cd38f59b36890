//! Positions are handed over, refused and waited for.

use std::time::Duration;

use crate::error::Code;
use crate::fake::transactions::{batch_of, rig};

#[test]
fn positions_that_are_not_taken_are_complained_of_until_they_are_committed() {
    let (mut rig, log) = rig(&[("t", 1)], 1 << 20);
    rig.run();
    let (batch, fate) = batch_of(&log, "t", "f", &["1"], 1);
    rig.shipper.push(batch, rig.now);
    for _ in 0..5 {
        rig.run();
        rig.broker.judge_some(|item| item.topic == "t");
        rig.now += Duration::from_secs(1);
    }
    let complaint = |shipper: &crate::Shipper<_>| shipper.transaction.as_ref().and_then(|txn| txn.complaint.due_at());
    assert!(complaint(&rig.shipper).is_some());
    assert!(fate.told().is_empty());
    for _ in 0..5 {
        rig.broker.accept();
        rig.run();
        rig.now += Duration::from_secs(1);
    }
    fate.delivered();
    assert_eq!(complaint(&rig.shipper), None);
}

#[test]
fn positions_are_under_way_before_the_last_of_the_lines() {
    let (mut rig, log) = rig(&[("t", 1)], 1 << 20);
    rig.run();
    rig.shipper.hurry(true);
    let (batch, fate) = batch_of(&log, "t", "f", &["1", "2"], 2);
    rig.shipper.push(batch, rig.now);
    rig.run();
    let under_way = |rig: &crate::fake::Rig| -> Vec<_> {
        let cluster = rig.broker.cluster();
        cluster.queue.iter().map(|item| item.topic.clone()).collect()
    };
    assert_eq!(under_way(&rig), ["t"], "the second one waits until it is acknowledged");
    rig.broker.accept();
    rig.run();
    let topics = under_way(&rig);
    assert_ne!(topics.first().map(String::as_str), Some("t"));
    assert_eq!(topics.last().map(String::as_str), Some("t"));
    for _ in 0..5 {
        rig.broker.accept();
        rig.run();
    }
    fate.delivered();
    assert_eq!(rig.broker.committed("t"), ["1", "2"]);
}

#[test]
fn a_transaction_goes_on_for_longer_while_it_ships_a_backlog() {
    for (bytes, open_for) in [(1_000, 100), (5_000_000, 160)] {
        let (mut rig, log) = rig(&[("t", 1)], 64 << 20);
        rig.run();
        let (batch, _fate) = batch_of(&log, "t", "f", &[&"x".repeat(bytes)], 1);
        rig.shipper.push(batch, rig.now);
        rig.run();
        let wake_at = rig.shipper.transaction.as_ref().and_then(|txn| txn.wake_at());
        assert_eq!(wake_at, Some(rig.now + Duration::from_millis(open_for)));
    }
}

#[test]
fn a_backlog_does_not_keep_the_lines_of_a_file_that_is_read_to_its_end() {
    let (mut rig, log) = rig(&[("t", 1)], 64 << 20);
    rig.run();
    let (batch, _backlog) = batch_of(&log, "t", "f", &[&"x".repeat(5_000_000)], 1);
    rig.shipper.push(batch, rig.now);
    rig.run();
    let (batch, _line) = batch_of(&log, "t", "g", &["a line"], 1);
    rig.shipper.push(batch, rig.now);
    rig.run();
    let wake_at = rig.shipper.transaction.as_ref().and_then(|txn| txn.wake_at());
    assert_eq!(wake_at, Some(rig.now + Duration::from_millis(100)));
}

#[test]
fn a_fresh_line_passes_the_batches_of_a_backlog_that_wait() {
    let (mut rig, log) = rig(&[("t", 1)], 800);
    rig.run();
    rig.broker.cluster().capacity = 1;
    let backlog: Vec<_> = (1..=8)
        .map(|passed| {
            let (batch, fate) = batch_of(&log, "t", "f", &[&"x".repeat(99)], passed);
            rig.shipper.push(batch, rig.now);
            fate
        })
        .collect();
    let (batch, _line) = batch_of(&log, "t", "g", &["a line"], 1);
    rig.shipper.push(batch, rig.now);
    rig.run();
    let gate = rig.shipper.transaction.as_ref().unwrap();
    let is_in = |file: &str| {
        let mut members = gate.members.iter().filter_map(|id| rig.shipper.parcels.get(*id));
        members.any(|parcel| parcel.file().1 == file)
    };
    assert!(is_in("g") && is_in("f"));
    assert!(gate.members.len() < backlog.len() && !gate.waiting.is_empty());
}

#[test]
fn a_transaction_does_not_wait_for_all_that_is_read() {
    let (mut rig, log) = rig(&[("t", 1)], 800);
    rig.run();
    rig.broker.cluster().capacity = 4;
    let line = "x".repeat(99);
    let fates: Vec<_> = (1..=8)
        .map(|passed| {
            let (batch, fate) = batch_of(&log, "t", "f", &[&line], passed);
            rig.shipper.push(batch, rig.now);
            fate
        })
        .collect();
    rig.run();
    let gate = rig.shipper.transaction.as_ref().unwrap();
    assert!(gate.members.len() <= rig.broker.held() + 2, "a quarter ahead");
    assert_eq!(gate.members.len() + gate.waiting.len(), fates.len());
    rig.pass();
    while fates.iter().any(|fate| fate.told().is_empty()) {
        rig.broker.accept();
        rig.run();
        rig.now += Duration::from_millis(100);
        rig.run();
    }
    assert_eq!(rig.broker.committed("t").len(), fates.len());
    assert!(rig.broker.cluster().transactions.commits > 1);
}

#[test]
fn a_topic_that_took_its_lines_is_not_blamed_for_positions_that_are_refused() {
    let (mut rig, log) = rig(&[("t", 1)], 1 << 20);
    rig.run();
    let (batch, fate) = batch_of(&log, "t", "f", &["1"], 1);
    rig.shipper.push(batch, rig.now);
    for _ in 0..100 {
        rig.run();
        rig.broker.judge_some(|item| item.topic == "t");
        rig.run();
        rig.broker.cluster().transactions.why = Some(Code::TOPIC_AUTHORIZATION_FAILED);
        rig.broker.judge(|_| Err(Code::PURGE_QUEUE));
        rig.now += Duration::from_millis(100);
        let held = |lane: &crate::lane::Lane| matches!(lane.phase, crate::lane::Phase::Held(..));
        assert!(!rig.shipper.lanes.iter().flatten().any(held));
    }
    let why = rig.shipper.snapshot().positions_wait.unwrap_or_default();
    assert!(why.starts_with("Kafka does not take them: "), "{why}");
    rig.broker.cluster().transactions.why = None;
    for _ in 0..200 {
        rig.now += Duration::from_millis(100);
        rig.run();
        rig.broker.accept();
    }
    fate.delivered();
    assert_eq!(rig.broker.committed("t"), ["1"]);
}

#[test]
fn why_positions_are_not_committed_is_said_until_they_are() {
    let (mut rig, log) = rig(&[("t", 1)], 1 << 20);
    rig.run();
    let why = |rig: &crate::fake::Rig| rig.shipper.snapshot().positions_wait.unwrap_or_default();
    assert_eq!(why(&rig), "they are read back and not committed yet");
    log.book().due = Some(rig.now);
    rig.run();
    rig.broker.judge(|_| Err(Code::MESSAGE_TOO_LARGE));
    rig.run();
    assert!(why(&rig).starts_with("Kafka does not take them: "), "{}", why(&rig));
    log.book().due = Some(rig.now);
    for _ in 0..100 {
        rig.now += Duration::from_millis(100);
        rig.run();
        rig.broker.accept();
    }
    assert_eq!(why(&rig), "");
    assert!(rig.shipper.snapshot().committed > 0);

    rig.broker.cluster().transactions.lose_commit = Some(true);
    let (batch, fate) = batch_of(&log, "t", "f", &["1"], 1);
    rig.shipper.push(batch, rig.now);
    for _ in 0..200 {
        rig.now += Duration::from_millis(100);
        rig.run();
        rig.broker.accept();
    }
    fate.delivered();
    assert_eq!(
        why(&rig),
        "",
        "they were committed before, and nothing else is to be written"
    );
}

#[test]
fn a_topic_that_makes_every_record_come_back_is_found_and_the_others_are_committed() {
    let (mut rig, log) = rig(&[("denied", 1), ("t", 1), ("u", 1)], 1 << 20);
    rig.run();
    let fates = ["denied", "t", "u"].map(|topic| {
        let (batch, fate) = batch_of(&log, topic, topic, &["1"], 1);
        rig.shipper.push(batch, rig.now);
        fate
    });
    for _ in 0..200 {
        rig.run();
        let is_denied = rig.broker.cluster().queue.iter().any(|item| item.topic == "denied");
        if is_denied {
            rig.broker.cluster().transactions.why = Some(Code::TOPIC_AUTHORIZATION_FAILED);
            rig.broker.judge(|_| Err(Code::PURGE_QUEUE));
        } else {
            rig.broker.accept();
        }
        rig.run();
        rig.now += Duration::from_millis(100);
    }
    let [denied, t, u] = fates;
    t.delivered();
    u.delivered();
    assert!(denied.told().is_empty());
}
