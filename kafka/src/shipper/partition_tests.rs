//! Promises to each partition of a topic, whatever becomes of the others.

use std::time::Duration;

use crate::error::Code;
use crate::fake::{Fate, Item, Rig};
use crate::lanes::{LaneState, Trouble};
use crate::partition::partition;

/// A broker that has forgotten the producer takes whatever it sees first as a beginning: what was refused before it would be
/// acknowledged without being stored.
#[test]
fn a_topic_that_was_gone_gets_one_record_until_it_is_acknowledged() {
    for code in [Code::UNKNOWN_TOPIC_OR_PARTITION, Code::NOT_ENOUGH_REPLICAS] {
        let mut rig = Rig::new(&[("t", 1)]);
        rig.prove("t", "k");
        let first = rig.push("t", "k", &["a", "b"]);
        rig.run();
        assert_eq!(rig.broker.held(), 2);
        rig.broker.judge(|_| Err(code));
        rig.run();
        let second = rig.push("t", "k", &["c"]);
        rig.pass();
        assert_eq!(rig.broker.held(), 1, "{}", code.name());
        rig.judge_all(|_| Ok(()));
        assert_eq!(rig.broker.values("t"), ["a", "b", "c"]);
        first.delivered();
        second.delivered();
    }
}

#[test]
fn a_partition_that_was_quiet_for_long_gets_one_record_until_it_is_acknowledged() {
    let mut rig = Rig::new(&[("t", 1)]);
    rig.prove("t", "k");
    rig.now += Duration::from_secs(59);
    rig.push("t", "k", &["a", "b"]);
    rig.run();
    assert_eq!(rig.broker.held(), 2, "it is known");
    rig.judge_all(|_| Ok(()));
    rig.now += Duration::from_secs(61);
    let fate = rig.push("t", "k", &["c", "d"]);
    rig.run();
    assert_eq!(rig.broker.held(), 1);
    rig.judge_all(|_| Ok(()));
    assert_eq!(rig.broker.values("t"), ["a", "b", "c", "d"]);
    fate.delivered();
}

/// A topic with two partitions and a key for each; nothing is heard of the second one any more, where something is under way.
fn with_a_silent_partition() -> (Rig, [String; 2]) {
    let mut rig = Rig::new(&[("t", 2)]);
    let key = |place| {
        (0..)
            .map(|n| n.to_string())
            .find(|key| partition(key.as_bytes(), 2) == place)
    };
    let keys = [key(0).unwrap(), key(1).unwrap()];
    for key in &keys {
        rig.prove("t", key);
    }
    rig.push("t", &keys[1], &["silent"]);
    rig.run();
    (rig, keys)
}

fn is_of_first(item: &Item) -> bool {
    item.partition == Some(0)
}

/// Judges what comes to the first partition until nothing more does.
fn judge_first(rig: &mut Rig, mut verdict: impl FnMut(&[Item]) -> Result<(), Code>) {
    rig.run();
    while rig.broker.held() > 1 {
        rig.broker.judge_those(is_of_first, &mut verdict);
        rig.run();
    }
}

fn fits(batch: &[Item]) -> Result<(), Code> {
    if batch.iter().all(|item| item.value != "bad") {
        Ok(())
    } else {
        Err(Code::INVALID_RECORD)
    }
}

#[test]
fn a_refused_record_is_a_dead_letter_though_another_partition_is_silent() {
    let (mut rig, keys) = with_a_silent_partition();
    let fate = rig.push("t", &keys[0], &["a", "bad", "b", "c"]);
    let alone = rig.push("t", &keys[0], &["bad"]);
    judge_first(&mut rig, fits);
    assert_eq!(fate.dead(), [1]);
    assert_eq!(alone.dead(), [0]);
    let later = rig.push("t", &keys[0], &["later"]);
    judge_first(&mut rig, fits);
    later.delivered();
    assert_eq!(rig.broker.values("t"), ["a", "b", "c", "later"]);
    assert!(rig.shipper.lanes().lane("t").is_open());
    rig.judge_all(|_| Ok(()));
    assert_eq!(rig.shipper.unsettled(), 0);
}

#[test]
fn what_fails_for_a_while_is_sent_again_though_another_partition_is_silent() {
    for code in [Code::NOT_ENOUGH_REPLICAS, Code::UNKNOWN_TOPIC_OR_PARTITION] {
        let (mut rig, keys) = with_a_silent_partition();
        let fate = rig.push("t", &keys[0], &["a", "b"]);
        rig.run();
        rig.broker.judge_those(is_of_first, |_| Err(code));
        rig.run();
        assert!(!rig.shipper.lanes().lane("t").is_open());
        rig.pass();
        judge_first(&mut rig, |_| Ok(()));
        fate.delivered();
        assert!(rig.shipper.lanes().lane("t").is_open());
        assert_eq!(rig.broker.held(), 1, "the silent one is not sent twice");
    }
}

#[test]
fn after_a_failure_a_partition_gets_nothing_until_all_that_is_out_there_is_reported() {
    let mut rig = Rig::new(&[("t", 1)]);
    rig.prove("t", "k");
    let fates = [rig.push("t", "k", &["a", "b"]), rig.push("t", "k", &["c", "d"])];
    rig.run();
    let is_first = |item: &Item| item.value.as_str() <= "b";
    rig.broker.judge_those(is_first, |_| Err(Code::PURGE_QUEUE));
    let newest = rig.push("t", "k", &["e"]);
    rig.run();
    assert_eq!(rig.broker.held(), 2);
    rig.broker.judge(|_| Err(Code::PURGE_QUEUE));
    rig.judge_all(|_| Ok(()));
    assert_eq!(rig.broker.values("t"), ["a", "b", "c", "d", "e"]);
    fates.iter().chain([&newest]).for_each(Fate::delivered);
}

#[test]
fn a_topic_that_is_gone_stays_so_whatever_is_heard_of_what_was_under_way() {
    let (mut rig, keys) = with_a_silent_partition();
    rig.push("t", &keys[0], &["a"]);
    rig.run();
    rig.broker.cluster().topics.clear();
    rig.broker
        .judge_those(is_of_first, |_| Err(Code::UNKNOWN_TOPIC_OR_PARTITION));
    rig.run();
    let is_missing = |rig: &Rig| {
        let state = rig.shipper.lanes().lane("t").state();
        matches!(
            state,
            LaneState::Held {
                why: Trouble::Missing,
                ..
            }
        )
    };
    for _ in 0..20 {
        rig.pass();
        assert!(is_missing(&rig));
    }
    rig.broker.accept();
    rig.run();
    assert!(is_missing(&rig));
    rig.broker.cluster().topics.insert("t".into(), 1);
    while rig.broker.held() == 0 {
        rig.pass();
    }
    assert!(!rig.shipper.lanes().lane("t").is_open(), "it has proven nothing yet");
    rig.judge_all(|_| Ok(()));
    assert_eq!(rig.broker.values("t"), ["silent", "a"]);
    assert_eq!(rig.shipper.unsettled(), 0);
}

/// All others would wait for it, again and again.
#[test]
fn smaller_batches_wait_for_a_silent_partition_and_stop_nobody() {
    let (mut rig, keys) = with_a_silent_partition();
    for _ in 0..3 {
        rig.now += Duration::from_secs(2);
        let fate = rig.push("t", &keys[0], &["a"]);
        judge_first(&mut rig, |_| Ok(()));
        fate.delivered();
    }
    rig.shipper.handover.keep_batches_under(20_000, rig.now);
    for _ in 0..100 {
        rig.now += Duration::from_secs(2);
        let fate = rig.push("t", &keys[0], &["b"]);
        judge_first(&mut rig, |_| Ok(()));
        fate.delivered();
    }
    assert_eq!(rig.broker.cluster().built, []);
    rig.judge_all(|_| Ok(()));
    rig.now += Duration::from_secs(60);
    rig.run();
    assert_eq!(rig.broker.cluster().built, [Some(20_000)]);
}
