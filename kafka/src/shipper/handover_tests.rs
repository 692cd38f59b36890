//! Promises that hold while one producer takes over from another.

use std::sync::Arc;
use std::time::Duration;

use crate::batch::Target;
use crate::error::Code;
use crate::fake::{Rig, to};
use crate::partition::partition;

fn lines(count: usize) -> Vec<String> {
    (0..count).map(|n| n.to_string()).collect()
}

fn refs(lines: &[String]) -> Vec<&str> {
    lines.iter().map(String::as_str).collect()
}

#[test]
fn a_fatal_error_sends_everything_unacknowledged_again_in_order() {
    let mut rig = Rig::new(&[("t", 1)]);
    rig.broker.cluster().batch_records = 10;
    let lines = lines(100);
    let fates: Vec<_> = lines.chunks(20).map(|chunk| rig.push("t", "k", &refs(chunk))).collect();
    rig.run();
    let mut requests = 0;
    rig.broker.judge(|_| {
        requests += 1;
        if requests > 3 {
            Err(Code::OUT_OF_ORDER_SEQUENCE)
        } else {
            Ok(())
        }
    });
    rig.broker.fail_client();
    rig.judge_all(|_| Ok(()));
    assert_eq!(rig.broker.values("t"), lines);
    for fate in fates {
        fate.delivered();
    }
    assert_eq!(rig.shipper.snapshot().rebuilds, 1);
    assert_eq!(rig.broker.cluster().built, [None]);
}

#[test]
fn producers_that_fail_one_after_the_other_are_built_ever_more_rarely() {
    let mut rig = Rig::new(&[("t", 1)]);
    rig.push("t", "k", &["a"]);
    let start = rig.now;
    for _ in 0..6 {
        rig.run();
        rig.broker.fail_client();
        rig.run();
        while rig.broker.held() == 0 {
            rig.pass();
        }
    }
    assert_eq!(rig.shipper.snapshot().rebuilds, 6);
    assert!(
        rig.now - start >= Duration::from_secs(1 + 2 + 4 + 8),
        "{:?}",
        rig.now - start
    );
}

#[test]
fn new_options_take_over_without_loss() {
    let mut rig = Rig::new(&[("t", 1)]);
    rig.prove("t", "k");
    let lines = lines(100);
    let (first, second) = lines.split_at(60);
    let a = rig.push("t", "k", &refs(first));
    rig.run();
    let (next, options) = rig.other_options();
    rig.shipper.replace(next, options, rig.now);
    let b = rig.push("t", "k", &refs(second));
    rig.run();
    assert_eq!(rig.broker.held(), 60, "the old one is drained, nothing more goes to it");
    rig.judge_all(|_| Ok(()));
    assert_eq!(rig.broker.values("t"), lines);
    a.delivered();
    b.delivered();
}

#[test]
fn new_options_do_not_wait_for_an_old_cluster_that_does_not_answer() {
    let mut rig = Rig::new(&[("t", 1)]);
    let lines = lines(100);
    let fate = rig.push("t", "k", &refs(&lines));
    rig.run();
    let next = rig.new_outlet();
    rig.shipper.replace(next, crate::Options::default(), rig.now);
    rig.run();
    let before = rig.now;
    while rig.shipper.snapshot().unsettled_batches > 0 {
        rig.pass();
        let purged = rig.broker.cluster().purges > 0;
        if purged {
            rig.broker.accept();
        }
        rig.run();
    }
    assert!(rig.now - before <= Duration::from_secs(10));
    assert_eq!(rig.broker.values("t"), lines);
    fate.delivered();
}

#[test]
fn what_a_producer_never_gives_back_is_sent_again() {
    let mut rig = Rig::new(&[("t", 1)]);
    rig.broker.cluster().batch_records = 10;
    let lines = lines(30);
    let fate = rig.push("t", "k", &refs(&lines));
    rig.run();
    rig.broker.cluster().keeps_when_purged = true;
    rig.broker.fail_client();
    rig.run();
    rig.broker.forget_held();
    rig.pass();
    rig.judge_all(|_| Ok(()));
    assert_eq!(rig.broker.values("t"), lines);
    fate.delivered();
}

#[test]
fn what_was_being_sent_again_and_is_never_given_back_keeps_its_order() {
    let mut rig = Rig::new(&[("t", 2)]);
    rig.prove("t", "k");
    let lines = lines(30);
    let fates: Vec<_> = lines.chunks(10).map(|chunk| rig.push("t", "k", &refs(chunk))).collect();
    rig.run();
    rig.broker.judge(|_| Err(Code::NOT_ENOUGH_REPLICAS));
    rig.run();
    rig.pass();
    assert_eq!(rig.broker.held(), 1, "the others wait to be sent again");
    rig.broker.cluster().keeps_when_purged = true;
    rig.broker.fail_client();
    rig.run();
    rig.broker.forget_held();
    // Another cluster may have fewer.
    rig.broker.cluster().topics.insert("t".into(), 1);
    while rig.broker.held() == 0 {
        rig.pass();
    }
    rig.judge_all(|_| Ok(()));
    assert_eq!(rig.broker.values("t"), lines);
    for fate in fates {
        fate.delivered();
    }
}

#[test]
fn closing_drops_tickets_untold() {
    let mut rig = Rig::new(&[("t", 1)]);
    let sent = rig.push("t", "k", &["a"]);
    rig.run();
    let waiting = rig.push("missing", "k", &["b"]);
    rig.run();
    let Rig { shipper, .. } = rig;
    shipper.close().run();
    assert_eq!(sent.told(), [None]);
    assert_eq!(waiting.told(), [None]);
}

#[test]
fn batches_stay_under_a_limit_that_may_be_read() {
    let mut rig = Rig::new(&[("t", 1)]);
    rig.broker.cluster().limits.insert("t".into(), 20_000);
    rig.shipper.lanes().lane("t");
    rig.run();
    assert_eq!(rig.broker.cluster().built, [Some(20_000)]);
    let fate = rig.push("t", "k", &["a"]);
    rig.judge_all(|_| Ok(()));
    fate.delivered();
    assert_eq!(rig.broker.cluster().built, [Some(20_000)], "once");
}

#[test]
fn a_producer_made_of_old_options_never_takes_over_from_one_made_of_new_ones() {
    let mut rig = Rig::new(&[("t", 1)]);
    rig.prove("t", "k");
    rig.broker.fail_client();
    rig.shipper.turn(rig.now);
    let building = rig.shipper.take_errands(rig.now);
    assert_eq!(building.len(), 1, "it takes its time");
    let (next, options) = rig.other_options();
    rig.shipper.replace(next, options, rig.now);
    rig.run();
    assert_eq!(rig.shipper.outlet.made_of, ["b:1"]);

    for errand in building {
        rig.shipper.done(errand.run(), rig.now);
    }
    rig.run();
    let fate = rig.push("t", "k", &["a"]);
    rig.judge_all(|_| Ok(()));
    fate.delivered();
    assert_eq!(rig.shipper.outlet.made_of, ["b:1"]);

    // And a later failure is mended with the new ones.
    rig.broker.fail_client();
    rig.run();
    while rig.shipper.next_wake().is_some() {
        rig.pass();
    }
    assert_eq!(rig.shipper.outlet.made_of, ["b:1"]);
    assert_eq!(rig.broker.cluster().built.len(), 2);
}

#[test]
fn a_smaller_limit_of_the_old_cluster_asks_for_no_producer_of_the_new_one() {
    let mut rig = Rig::new(&[("t", 1)]);
    rig.prove("t", "k");
    let fate = rig.push("t", "k", &["a"]);
    rig.run();
    rig.shipper.handover.keep_batches_under(20_000, rig.now);
    let (next, options) = rig.other_options();
    rig.shipper.replace(next, options, rig.now);
    rig.shipper.handover.keep_batches_under(10_000, rig.now);
    rig.judge_all(|_| Ok(()));
    fate.delivered();
    assert_eq!(rig.shipper.outlet.made_of, ["b:1"]);
    assert_eq!(
        rig.shipper.handover.batch_bytes(),
        crate::Options::default().batch_bytes()
    );
}

#[test]
fn what_the_old_cluster_answers_is_nothing_to_the_new_one() {
    let mut rig = Rig::new(&[("t", 3)]);
    rig.broker.cluster().limits.insert("t".into(), 20_000);
    rig.broker.cluster().away = true;
    let fate = rig.push("t", "k", &["a"]);
    rig.shipper.turn(rig.now);
    let old: Vec<_> = rig.shipper.take_errands(rig.now);
    assert_eq!(old.len(), 1, "the question is under way");
    let answers: Vec<_> = old.into_iter().map(|errand| errand.run()).collect();

    rig.broker.cluster().away = false;
    rig.broker.cluster().topics.insert("t".into(), 1);
    rig.broker.cluster().limits.clear();
    let (next, options) = rig.other_options();
    rig.shipper.replace(next, options, rig.now);
    rig.run();
    assert_eq!(rig.broker.held(), 1, "the new one is asked at once");
    for answer in answers {
        rig.shipper.done(answer, rig.now);
    }
    rig.run();
    assert_eq!(rig.shipper.snapshot().connected, Some(true));
    rig.judge_all(|_| Ok(()));
    fate.delivered();
}

#[test]
fn partitions_and_limits_of_the_old_cluster_are_not_taken_for_those_of_the_new_one() {
    let mut rig = Rig::new(&[("t", 4000)]);
    rig.broker.cluster().limits.insert("t".into(), 20_000);
    let target = Arc::new(Target::new("t".into(), *b"k", None));
    rig.shipper.lanes().lane("t");
    rig.shipper.turn(rig.now);
    let mut late = Vec::new();
    for errand in rig.shipper.take_errands(rig.now) {
        late.push(errand.run());
    }
    rig.broker.cluster().topics.insert("t".into(), 2);
    let (next, options) = rig.other_options();
    rig.shipper.replace(next, options, rig.now);
    rig.shipper.turn(rig.now);
    for answer in late {
        rig.shipper.done(answer, rig.now);
    }
    rig.broker.cluster().limits.clear();
    let (batch, fate) = to(&target, &["a"]);
    rig.shipper.push(batch, rig.now);
    rig.judge_all(|_| Ok(()));
    fate.delivered();
    assert_eq!(target.partition(), Some(partition(b"k", 2)));
    assert_eq!(rig.broker.cluster().built, [], "no smaller batches");
}
