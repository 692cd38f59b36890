//! Promises to each partition of a topic, whatever becomes of the others.

use std::time::Duration;

use crate::error::Code;
use crate::fake::Rig;

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
