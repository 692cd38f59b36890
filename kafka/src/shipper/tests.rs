//! Promises of the shipper, on a scripted cluster and at times that the tests set.

use std::sync::Arc;
use std::time::Duration;

use crate::batch::{Outcome, Target};
use crate::error::{Code, ErrorClass};
use crate::fake::{Fate, Rig, batch, to};
use crate::lanes::{LaneState, Trouble};
use crate::partition::partition;

fn lines(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}{n}")).collect()
}

fn refs(lines: &[String]) -> Vec<&str> {
    lines.iter().map(String::as_str).collect()
}

fn held(reason: &str) -> LaneState {
    let why = match reason {
        "topic does not exist" => Trouble::Missing,
        "no right to write to the topic" => Trouble::Forbidden,
        "Kafka acknowledges nothing" => Trouble::Silent,
        _ => Trouble::Other,
    };
    LaneState::Held {
        why,
        reason: reason.into(),
    }
}

#[test]
fn a_batch_is_settled_once_after_its_last_record() {
    let mut rig = Rig::new(&[("t", 16)]);
    rig.broker.cluster().batch_records = 2;
    let fate = rig.push("t", "21", &["a", "b", "c"]);
    rig.run();
    let mut judged = 0;
    rig.broker.judge(|batch| {
        judged += batch.len();
        if judged > 2 {
            Err(Code::NOT_ENOUGH_REPLICAS)
        } else {
            Ok(())
        }
    });
    rig.run();
    assert_eq!(fate.told(), [], "one record is not accounted for");
    rig.pass();
    rig.broker.accept();
    rig.run();
    assert_eq!(
        fate.told(),
        [Some(Outcome {
            partition: Some(partition(b"21", 16)),
            ..Outcome::default()
        })]
    );
    assert_eq!(rig.broker.values("t"), ["a", "b", "c"]);
    assert_eq!(rig.shipper.unsettled(), 0);
}

#[test]
fn empty_lines_and_batches_are_accounted_for_too() {
    let mut rig = Rig::new(&[("t", 1)]);
    let nothing = rig.push("t", "k", &[]);
    let empty = rig.push("t", "k", &["", "a", ""]);
    rig.judge_all(|_| Ok(()));
    nothing.delivered();
    empty.delivered();
    assert_eq!(rig.broker.values("t"), ["", "a", ""]);
}

#[test]
fn a_file_keeps_its_partition_when_partitions_are_added() {
    let mut rig = Rig::new(&[("t", 4)]);
    let target = Arc::new(Target::new("t".into(), *b"host:/a", None));
    for count in [4, 4000] {
        rig.broker.cluster().topics.insert("t".into(), count);
        rig.shipper.push(to(&target, &["a"]).0, rig.now);
        rig.judge_all(|_| Ok(()));
        rig.now += Duration::from_secs(3600);
    }
    let partitions: Vec<_> = rig.broker.cluster().log.iter().map(|item| item.partition).collect();
    assert_eq!(partitions, [target.partition(), target.partition()]);

    let late = Arc::new(Target::new("t".into(), *b"host:/b", None));
    rig.shipper.push(to(&late, &["a"]).0, rig.now);
    rig.judge_all(|_| Ok(()));
    let later = Arc::new(Target::new("t".into(), *b"host:/c", None));
    rig.shipper.push(to(&later, &["a"]).0, rig.now);
    rig.judge_all(|_| Ok(()));
    assert_eq!(
        later.partition(),
        Some(partition(b"host:/c", 4000)),
        "new files learn of new partitions"
    );
}

#[test]
fn a_saved_partition_that_is_gone_is_chosen_anew() {
    let mut rig = Rig::new(&[("t", 2)]);
    let target = Arc::new(Target::new("t".into(), *b"k", Some(7)));
    rig.shipper.push(to(&target, &["a"]).0, rig.now);
    rig.judge_all(|_| Ok(()));
    assert_eq!(target.partition(), Some(partition(b"k", 2)));
}

#[test]
fn what_fails_for_a_while_is_sent_again_in_order_and_before_anything_newer() {
    let mut rig = Rig::new(&[("t", 1)]);
    rig.prove("t", "k");
    rig.broker.cluster().batch_records = 5;
    let lines = lines("", 100);
    let fates: Vec<_> = lines.chunks(10).map(|chunk| rig.push("t", "k", &refs(chunk))).collect();
    rig.run();
    assert_eq!(rig.broker.held(), 100);
    // From the 7th request on nothing is accepted.
    let mut requests = 0;
    rig.broker.judge(|_| {
        requests += 1;
        if requests > 7 {
            Err(Code::NOT_ENOUGH_REPLICAS)
        } else {
            Ok(())
        }
    });
    rig.run();
    let newest = rig.push("t", "k", &["newest"]);
    rig.run();
    assert_eq!(rig.broker.held(), 0, "the lane waits a second");
    rig.pass();
    rig.judge_all(|_| Ok(()));
    let mut expected = lines;
    expected.push("newest".into());
    assert_eq!(rig.broker.values("t"), expected);
    for fate in fates {
        fate.delivered();
    }
    newest.delivered();
}

#[test]
fn a_lane_that_came_back_proves_itself_with_one_record_first() {
    let mut rig = Rig::new(&[("t", 1)]);
    rig.prove("t", "k");
    rig.broker.cluster().capacity = 50_000;
    rig.broker.cluster().batch_records = 10_000;
    let lines = lines("", 5000);
    rig.push("t", "k", &refs(&lines));
    rig.run();
    rig.broker.judge(|_| Err(Code::TOPIC_AUTHORIZATION_FAILED));
    rig.run();
    rig.pass();
    assert_eq!(rig.broker.held(), 1);
    rig.broker.accept();
    rig.run();
    assert_eq!(rig.broker.held(), 5000 - 1);
    rig.broker.accept();
    assert_eq!(rig.broker.values("t"), lines);
}

#[test]
fn one_record_too_large_becomes_a_dead_letter_and_its_neighbours_arrive_once_in_order() {
    let mut rig = Rig::new(&[("t", 1)]);
    let mut lines = lines("line ", 1000);
    lines[321] = "x".repeat(2000);
    lines[900] = "y".repeat(2000);
    let fates: Vec<_> = lines
        .chunks(100)
        .map(|chunk| rig.push("t", "k", &refs(chunk)))
        .collect();
    let later = rig.push("t", "k", &["later"]);
    rig.judge_all(|batch| {
        let fits = batch.iter().all(|item| item.value.len() <= 1000);
        if fits { Ok(()) } else { Err(Code::MESSAGE_TOO_LARGE) }
    });
    let dead: Vec<_> = fates.iter().map(|fate| fate.dead()).collect();
    assert_eq!(dead[3], [21]);
    assert_eq!(dead[9], [0]);
    assert_eq!(dead.iter().flatten().count(), 2);
    later.delivered();
    assert_eq!(rig.grave.lines(), [lines.remove(321), lines.remove(899)]);
    lines.push("later".into());
    let mut arrived = rig.broker.values("t");
    arrived.sort();
    lines.sort();
    assert_eq!(arrived, lines, "each once");
    assert_eq!(rig.shipper.snapshot().dead_lettered, 2);
    assert!(rig.shipper.snapshot().errors[&(ErrorClass::Record, "MSG_SIZE_TOO_LARGE")] >= 2);
}

#[test]
fn a_batch_of_small_lines_over_the_topics_limit_loses_none_and_batches_get_smaller() {
    let mut rig = Rig::new(&[("t", 1)]);
    let lines = lines("0123456789", 1000);
    let fate = rig.push("t", "k", &refs(&lines));
    rig.judge_all(|batch| {
        let size: usize = batch.iter().map(|item| item.value.len()).sum();
        if size <= 3000 {
            Ok(())
        } else {
            Err(Code::MESSAGE_TOO_LARGE)
        }
    });
    fate.delivered();
    assert_eq!(rig.broker.values("t"), lines);
    let built = rig.broker.cluster().built.clone();
    assert!(built.iter().all(Option::is_some) && !built.is_empty(), "{built:?}");
}

#[test]
fn where_the_broker_names_the_invalid_record_only_that_one_is_sent_alone() {
    let mut rig = Rig::new(&[("t", 1)]);
    rig.prove("t", "k");
    let fate = rig.push("t", "k", &["a", "bad", "c"]);
    rig.run();
    let sent = rig.broker.held();
    rig.broker.name_invalid(|item| item.value == "bad");
    let mut requests = Vec::new();
    rig.judge_all(|batch| {
        requests.push(batch.iter().map(|item| item.value.clone()).collect::<Vec<_>>());
        if batch.iter().all(|item| item.value != "bad") {
            Ok(())
        } else {
            Err(Code::INVALID_RECORD)
        }
    });
    assert_eq!(sent, 3);
    assert_eq!(fate.dead(), [1]);
    assert_eq!(rig.broker.values("t"), ["a", "c"]);
    assert_eq!(requests, [vec!["a", "c"], vec!["bad"]], "neighbours are not split");
}

#[test]
fn a_full_dead_letter_file_blocks_its_file_and_loses_nothing() {
    let mut rig = Rig::new(&[("t", 1)]);
    rig.grave.make_room(0);
    let target = Arc::new(Target::new("t".into(), *b"k", None));
    let (batch, fate) = to(&target, &["a", "bad", "c"]);
    rig.shipper.push(batch, rig.now);
    let judge = |batch: &[crate::fake::Item]| {
        if batch.iter().any(|item| item.value == "bad") {
            Err(Code::INVALID_RECORD)
        } else {
            Ok(())
        }
    };
    rig.judge_all(judge);
    assert_eq!(fate.told(), []);
    assert!(target.is_blocked());
    let other = rig.push("t", "other", &["d"]);
    rig.judge_all(judge);
    other.delivered();

    rig.grave.make_room(1);
    rig.pass();
    assert_eq!(fate.dead(), [1]);
    assert!(!target.is_blocked());
    assert_eq!(rig.grave.lines(), ["bad"]);
    assert_eq!(rig.broker.values("t"), ["a", "c", "d"]);
}

#[test]
fn a_missing_topic_holds_only_its_own_and_flows_when_it_is_created() {
    let mut rig = Rig::new(&[("good", 1)]);
    let lane = rig.shipper.lanes().lane("missing");
    let waits = rig.push("missing", "k", &["a"]);
    for n in 0..30 {
        let flows = rig.push("good", "k", &[&format!("{n}")]);
        rig.judge_all(|_| Ok(()));
        flows.delivered();
        rig.now += Duration::from_secs(1);
    }
    assert_eq!(lane.state(), held("topic does not exist"));
    assert_eq!(waits.told(), []);
    rig.broker.cluster().topics.insert("missing".into(), 3);
    let before = rig.now;
    rig.pass();
    assert!(rig.now - before <= Duration::from_secs(10));
    rig.judge_all(|_| Ok(()));
    waits.delivered();
    assert!(lane.is_open());
}

#[test]
fn a_topic_created_late_opens_for_readers_that_sent_nothing_yet() {
    let mut rig = Rig::new(&[]);
    let lane = rig.shipper.lanes().lane("t");
    rig.run();
    assert_eq!(lane.state(), held("topic does not exist"));
    rig.broker.cluster().topics.insert("t".into(), 1);
    rig.pass();
    assert!(lane.is_open());
    assert_eq!(rig.shipper.next_wake(), None, "nothing is waited for");
}

#[test]
fn rights_withdrawn_and_restored_lose_nothing() {
    let mut rig = Rig::new(&[("t", 1)]);
    let lane = rig.shipper.lanes().lane("t");
    let lines = lines("", 50);
    let fate = rig.push("t", "k", &refs(&lines));
    rig.run();
    for _ in 0..5 {
        rig.broker.judge(|_| Err(Code::TOPIC_AUTHORIZATION_FAILED));
        rig.run();
        assert_eq!(lane.state(), held("no right to write to the topic"));
        rig.pass();
        // Out again, and not answered for a while.
        rig.pass();
    }
    rig.judge_all(|_| Ok(()));
    assert_eq!(rig.broker.values("t"), lines);
    fate.delivered();
    assert!(lane.is_open());
}

#[test]
fn a_topic_that_accepts_nothing_never_fills_the_queue() {
    let mut rig = Rig::new(&[("stuck", 1), ("stuck2", 1), ("good", 1)]);
    let lines = lines("", 1000);
    for topic in ["stuck", "stuck2"] {
        rig.push(topic, "k", &refs(&lines));
        rig.push(topic, "k", &refs(&lines));
    }
    rig.run();
    let stuck = rig.broker.held();
    assert!(stuck < 1000, "{stuck}");
    let lane = rig.shipper.lanes().lane("stuck");
    rig.pass();
    assert_eq!(lane.state(), held("Kafka acknowledges nothing"));
    let fate = rig.push("good", "k", &refs(&lines));
    rig.run();
    assert!(rig.broker.held() > stuck, "there is room for others");
    while rig.broker.values("good").len() < 1000 {
        accept_only(&mut rig, "good");
    }
    fate.delivered();
    accept_only(&mut rig, "stuck");
    assert!(lane.is_open());
}

/// Answers for one topic; the others' requests stay where they are.
fn accept_only(rig: &mut Rig, topic: &str) {
    rig.broker.judge_some(|item| item.topic == topic);
    rig.run();
}

#[test]
fn while_kafka_is_away_topics_are_asked_for_until_it_answers() {
    let mut rig = Rig::new(&[("t", 1)]);
    rig.broker.cluster().away = true;
    let lane = rig.shipper.lanes().lane("t");
    rig.run();
    assert_eq!(lane.state(), LaneState::Asking);
    assert_eq!(rig.shipper.snapshot().connected, Some(false));
    for _ in 0..100 {
        rig.pass();
    }
    rig.broker.cluster().away = false;
    rig.pass();
    assert!(lane.is_open());
    assert_eq!(rig.shipper.snapshot().connected, Some(true));
    assert_eq!(
        rig.shipper.next_wake(),
        None,
        "no timer while nothing is to be waited for"
    );
}

#[test]
fn an_idle_service_notices_that_kafka_is_back() {
    let mut rig = Rig::new(&[("t", 1)]);
    rig.shipper.lanes().lane("t");
    rig.run();
    rig.broker.cluster().away = true;
    rig.broker.trouble(Code::ALL_BROKERS_DOWN);
    rig.run();
    assert_eq!(rig.shipper.snapshot().connected, Some(false));
    for _ in 0..10 {
        rig.pass();
    }
    assert_eq!(rig.shipper.snapshot().connected, Some(false));
    rig.broker.cluster().away = false;
    rig.pass();
    assert_eq!(rig.shipper.snapshot().connected, Some(true));
}

#[test]
fn lanes_that_no_reader_holds_are_forgotten() {
    let mut rig = Rig::new(&[]);
    let lane = rig.shipper.lanes().lane("gone");
    rig.run();
    drop(lane);
    let kept = rig.shipper.lanes().lane("kept");
    rig.run();
    let states = rig.shipper.lanes().states();
    assert_eq!(states.iter().map(|(topic, _)| &**topic).collect::<Vec<_>>(), ["kept"]);
    drop(kept);
}

#[test]
fn lanes_are_fed_in_turn() {
    let mut rig = Rig::new(&[("a", 1), ("b", 1)]);
    rig.broker.cluster().capacity = 50_000;
    let lines = lines("", 4000);
    rig.push("a", "k", &refs(&lines));
    rig.push("b", "k", &refs(&lines[..10]));
    rig.run();
    let queue = rig.broker.held_topics();
    let first_b = queue.iter().position(|topic| topic == "b").unwrap();
    assert!(first_b <= 1024, "{first_b}");
}

#[test]
fn bytes_of_a_lane_are_known_until_they_are_settled() {
    let mut rig = Rig::new(&[("t", 1)]);
    let lane = rig.shipper.lanes().lane("t");
    rig.push("t", "k", &["abc", "d"]);
    assert_eq!(lane.in_flight(), 6);
    rig.judge_all(|_| Ok(()));
    assert_eq!(lane.in_flight(), 0);
    assert_eq!(rig.shipper.snapshot().sent_bytes, 6);
}

#[test]
fn no_timer_runs_hot_while_a_question_is_under_way() {
    let mut rig = Rig::new(&[("t", 1)]);
    rig.broker.trouble(Code::ALL_BROKERS_DOWN);
    rig.shipper.lanes().lane("t");
    rig.shipper.turn(rig.now);
    let errands = rig.shipper.take_errands(rig.now);
    assert_eq!(errands.len(), 1, "the question is under way");
    for _ in 0..100 {
        rig.now += Duration::from_secs(1);
        rig.shipper.turn(rig.now);
        assert!(rig.shipper.take_errands(rig.now).is_empty());
        assert!(rig.shipper.next_wake().is_none_or(|at| at > rig.now));
    }
}

/// A broker takes the first sequence number of a producer it does not know as a beginning.
#[test]
fn until_one_record_is_acknowledged_a_partition_gets_no_second_one() {
    let mut rig = Rig::new(&[("t", 1)]);
    let first = rig.push("t", "k", &["a", "b"]);
    let second = rig.push("t", "k", &["c"]);
    rig.run();
    assert_eq!(rig.broker.held(), 1);
    rig.broker.judge(|_| Err(Code::NOT_ENOUGH_REPLICAS));
    rig.run();
    rig.pass();
    assert_eq!(rig.broker.held(), 1, "the same one again");
    rig.broker.accept();
    rig.run();
    assert_eq!(rig.broker.held(), 2);
    rig.judge_all(|_| Ok(()));
    assert_eq!(rig.broker.values("t"), ["a", "b", "c"]);
    first.delivered();
    second.delivered();
}

#[test]
fn without_a_key_too_a_partition_gets_one_record_until_one_is_acknowledged() {
    let mut rig = Rig::new(&[("t", 4)]);
    let batches = (0..50).map(|offset| {
        let (mut batch, fate) = batch("t", "", &["a", "b"]);
        batch.offset = offset;
        (batch, fate)
    });
    let fates: Vec<_> = batches
        .map(|(batch, fate)| {
            rig.shipper.push(batch, rig.now);
            fate
        })
        .collect();
    rig.run();
    assert_eq!(rig.broker.held(), 4);
    rig.judge_all(|_| Ok(()));
    fates.iter().for_each(Fate::delivered);
}
