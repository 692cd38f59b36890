//! What waits for a topic that takes nothing is given back where nobody wants it any more.

use std::collections::HashSet;
use std::sync::Arc;

use crate::batch::Source;
use crate::error::Code;
use crate::fake::{Fate, Item, Rig, batch};
use crate::partition::partition;

fn files(names: &[&str]) -> HashSet<(Arc<str>, String)> {
    names.iter().map(|name| ("log".into(), (*name).to_owned())).collect()
}

fn push(rig: &mut Rig, topic: &str, file: &str, lines: &[&str]) -> Fate {
    push_with(rig, "k", topic, file, lines)
}

fn push_with(rig: &mut Rig, key: &str, topic: &str, file: &str, lines: &[&str]) -> Fate {
    let (mut batch, fate) = batch(topic, key, lines);
    batch.source = Arc::new(Source {
        file_id: file.to_owned(),
        ..(*batch.source).clone()
    });
    rig.shipper.push(batch, rig.now);
    rig.run();
    fate
}

/// A topic that took something, and is gone.
fn gone() -> Rig {
    let mut rig = Rig::new(&[("t", 1), ("u", 1)]);
    rig.prove("t", "k");
    rig.broker.cluster().topics.remove("t");
    rig
}

#[test]
fn what_came_back_and_what_waits_behind_it_is_given_back_and_leaves_nothing() {
    let mut rig = gone();
    let out = push(&mut rig, "t", "f", &["1", "2"]);
    assert_eq!(rig.shipper.give_back(&files(&["f"])), 0, "librdkafka has it");
    rig.judge_all(|_| Err(Code::UNKNOWN_TOPIC_OR_PARTITION));
    let behind = push(&mut rig, "t", "f", &["3"]);
    assert_eq!(rig.shipper.give_back(&files(&["other"])), 0);
    assert_eq!(rig.shipper.give_back(&files(&["f"])), 2);
    assert_eq!((out.told(), behind.told()), (vec![None], vec![None]));
    assert_eq!(rig.shipper.unsettled(), 0);
    assert_eq!(rig.shipper.next_wake(), None, "nobody wants the topic");
    rig.broker.cluster().topics.insert("t".into(), 1);
    let again = push(&mut rig, "t", "f", &["1", "2", "3"]);
    rig.judge_all(|_| Ok(()));
    again.delivered();
    assert_eq!(rig.broker.values("t"), ["1", "2", "3"]);
}

#[test]
fn what_others_wait_with_stays_and_ships_once_the_topic_is_there() {
    let mut rig = gone();
    let fates = [
        push(&mut rig, "t", "f", &["1", "2"]),
        push(&mut rig, "t", "g", &["3", "4"]),
    ];
    rig.judge_all(|_| Err(Code::UNKNOWN_TOPIC_OR_PARTITION));
    let later = [push(&mut rig, "t", "f", &["5"]), push(&mut rig, "t", "g", &["6"])];
    assert_eq!(rig.shipper.give_back(&files(&["f"])), 2);
    assert!(fates[1].told().is_empty() && later[1].told().is_empty());
    rig.broker.cluster().topics.insert("t".into(), 1);
    while rig.shipper.unsettled() > 0 {
        rig.pass();
        rig.judge_all(|_| Ok(()));
    }
    assert_eq!(rig.broker.values("t"), ["3", "4", "6"]);
}

#[test]
fn a_batch_of_which_a_part_is_acknowledged_is_given_back_whole() {
    let mut rig = gone();
    rig.broker.cluster().batch_records = 2;
    let fate = push(&mut rig, "t", "f", &["1", "2", "3", "4"]);
    let mut takes = true;
    rig.judge_all(|_| {
        if std::mem::take(&mut takes) {
            Ok(())
        } else {
            Err(Code::UNKNOWN_TOPIC_OR_PARTITION)
        }
    });
    assert_eq!(rig.broker.values("t"), ["1", "2"]);
    assert_eq!(rig.shipper.give_back(&files(&["f"])), 1);
    assert_eq!(fate.told(), [None]);
}

#[test]
fn all_that_is_left_of_a_file_goes_or_nothing() {
    let mut rig = gone();
    let before = push(&mut rig, "t", "f", &["1"]);
    rig.judge_all(|_| Err(Code::TOPIC_AUTHORIZATION_FAILED));
    let after = push(&mut rig, "u", "f", &["2"]);
    assert_eq!(rig.shipper.give_back(&files(&["f"])), 0, "one is on its way");
    rig.judge_all(|_| Ok(()));
    after.delivered();
    assert_eq!(rig.shipper.give_back(&files(&["f"])), 1);
    assert_eq!(before.told(), [None]);
}

#[test]
fn a_topic_that_only_fails_for_a_while_keeps_its_lines() {
    let mut rig = gone();
    let fate = push(&mut rig, "t", "f", &["1"]);
    rig.judge_all(|_| Err(Code::NOT_ENOUGH_REPLICAS));
    assert_eq!(rig.shipper.give_back(&files(&["f"])), 0);
    assert!(fate.told().is_empty());
}

#[test]
fn a_line_that_waits_to_be_a_dead_letter_is_not_given_back() {
    let mut rig = gone();
    rig.grave.make_room(0);
    let fate = push(&mut rig, "t", "f", &["1", "bad"]);
    rig.broker.cluster().batch_records = 1;
    rig.judge_all(|batch| {
        if batch[0].value == "bad" {
            Err(Code::MESSAGE_TOO_LARGE)
        } else {
            Err(Code::UNKNOWN_TOPIC_OR_PARTITION)
        }
    });
    assert_eq!(rig.shipper.give_back(&files(&["f"])), 0);
    assert!(fate.told().is_empty());
}

#[test]
fn what_came_back_to_a_partition_that_has_more_out_is_not_given_back_yet() {
    let key = |place| {
        let mut keys = (0..).map(|n| n.to_string());
        keys.find(|key| partition(key.as_bytes(), 2) == place).unwrap()
    };
    let (one, two) = (key(0), key(1));
    let mut rig = Rig::new(&[("t", 2)]);
    [&one, &two].into_iter().for_each(|key| rig.prove("t", key));
    let fate = push_with(&mut rig, &one, "t", "f", &["f1", "f2"]);
    let beside = push_with(&mut rig, &one, "t", "g", &["g1"]);
    push_with(&mut rig, &two, "t", "h", &["h1"]);
    rig.broker.cluster().topics.remove("t");
    let gone = |_: &[Item]| Err(Code::UNKNOWN_TOPIC_OR_PARTITION);
    // The other partition says so first, then it is heard of one file.
    rig.broker.judge_those(|item| item.value.starts_with('h'), gone);
    rig.run();
    rig.broker.judge_those(|item| item.value.starts_with('f'), gone);
    rig.run();
    assert_eq!(
        rig.shipper.give_back(&files(&["f"])),
        0,
        "it is sorted out with what is out"
    );
    rig.broker.judge(gone);
    rig.run();
    assert_eq!(rig.shipper.give_back(&files(&["f"])), 1);
    assert_eq!(fate.told(), [None]);
    rig.broker.cluster().topics.insert("t".into(), 2);
    while rig.shipper.unsettled() > 0 {
        rig.pass();
        rig.judge_all(|_| Ok(()));
    }
    beside.delivered();
    let mut arrived = rig.broker.values("t");
    arrived.sort();
    assert_eq!(arrived, ["g1", "h1"]);
}
