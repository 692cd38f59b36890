//! What waits at the gate for a topic that takes nothing is given back, whatever comes between.

use std::collections::HashSet;

use super::*;

impl Model {
    /// Nobody wants a file any more; if it is given back, somebody does again, for this topic. Returns whether it was.
    fn give_back(&mut self, file: usize, topic: usize) -> bool {
        let name = format!("file {file}");
        let files = HashSet::from([("log".into(), name.clone())]);
        let given = self.case.rig.shipper.give_back(&files);
        let back = self.fates.iter().filter(|fate| fate.told() == [None]).count();
        assert_eq!(back, given);
        if given == 0 {
            return false;
        }
        self.fates.retain(|fate| fate.told() != [None]);
        // Whoever reads it now begins at its position. Were a later batch left behind, its commit would pass what this one sends.
        let at = self.case.position(&name);
        self.case.passed.insert(name.clone(), at);
        let lines = self.sent[&name][at as usize..].to_vec();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        self.fates.push(self.case.push(TOPICS[topic], &name, &lines));
        true
    }
}

#[test]
fn what_waits_at_the_gate_is_given_back_and_what_is_in_a_transaction_is_not() {
    let mut case = Case::new(&[("t", 1)]);
    let waits = [case.push("gone", "f", &["1"]), case.push("gone", "f", &["2"])];
    let other = case.push("gone", "other", &["3"]);
    let goes = case.push("t", "g", &["4"]);
    let files = |name: &str| HashSet::from([("log".into(), name.to_owned())]);
    assert_eq!(case.rig.shipper.give_back(&files("g")), 0, "its topic takes it");
    assert_eq!(case.rig.shipper.give_back(&files("f")), 2);
    assert!(waits.iter().all(|fate| fate.told() == [None]));
    let again = case.push("t", "f", &["1", "2"]);
    case.settle();
    again.delivered();
    goes.delivered();
    assert_eq!(case.rig.broker.committed("t"), ["4", "1", "2"]);
    assert!(other.told().is_empty(), "somebody wants it");
    case.rig.broker.cluster().topics.insert("gone".into(), 1);
    case.settle();
    other.delivered();
    assert_eq!(case.rig.broker.committed("gone"), ["3"]);
}

#[test]
fn what_may_be_committed_is_not_given_back() {
    let mut case = Case::new(&[("t", 1)]);
    let fate = case.push("t", "f", &["1", "2"]);
    case.rig.broker.cluster().transactions.lose_commit = Some(true);
    let files = HashSet::from([("log".into(), "f".to_owned())]);
    while fate.told().is_empty() {
        case.rig.broker.accept();
        case.rig.run();
        if case.rig.broker.values("t").len() == 2 {
            // Nobody asks for it before there is a new client.
            case.rig.broker.cluster().topics.remove("t");
        }
        assert_eq!(case.rig.shipper.give_back(&files), 0);
        if case.rig.broker.held() == 0 {
            case.rig.pass();
        }
    }
    fate.delivered();
    assert_eq!(case.position("f"), 2);
}

proptest! {
    #[test]
    fn what_is_given_back_is_committed_once_by_who_reads_it_again(
        acts in acts(), asked in prop::collection::vec(prop::option::of((0..3_usize, 0..TOPICS.len())), 60),
        batch in 1..20_usize, capacity in 8..200_u32, bytes in 1_u64..4_000,
    ) {
        let mut model = Model::new(batch, capacity, bytes);
        for (act, asked) in acts.into_iter().zip(asked) {
            model.act(act);
            if let Some((file, topic)) = asked {
                model.give_back(file, topic);
            }
            model.check();
        }
        model.heal_and_settle();
    }
}
