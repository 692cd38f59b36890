//! Lines and positions go together, whatever comes between.

mod giving_back;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use proptest::prelude::*;

use crate::error::Code;
use crate::fake::transactions::{FakeLog, batch_of, rig};
use crate::fake::{Fate, Item, Rig};
use crate::transact::OpenError;

struct Case {
    rig: Rig,
    log: FakeLog,
    passed: HashMap<String, u32>,
}

impl Case {
    fn new(topics: &[(&str, u32)]) -> Self {
        let (mut rig, log) = rig(topics, 1 << 20);
        rig.run();
        Self {
            rig,
            log,
            passed: HashMap::new(),
        }
    }

    fn push(&mut self, topic: &str, file: &str, lines: &[&str]) -> Fate {
        let passed = self.passed.entry(file.to_owned()).or_default();
        *passed += u32::try_from(lines.len()).unwrap();
        let (batch, fate) = batch_of(&self.log, topic, file, lines, *passed);
        self.rig.shipper.push(batch, self.rig.now);
        self.rig.run();
        fate
    }

    /// Judges all that comes, until nothing does for some seconds.
    fn settle_with(&mut self, mut verdict: impl FnMut(&[Item]) -> Result<(), Code>) {
        for _ in 0..2000 {
            self.rig.broker.judge(&mut verdict);
            self.rig.run();
            if self.rig.broker.held() > 0 {
                continue;
            }
            match self.rig.shipper.next_wake() {
                Some(at) if self.rig.shipper.unsettled() > 0 => self.rig.now = self.rig.now.max(at),
                _ => break,
            }
            self.rig.run();
        }
    }

    fn settle(&mut self) {
        self.settle_with(|_| Ok(()));
    }

    fn position(&self, file: &str) -> u32 {
        self.rig
            .broker
            .positions()
            .get(file)
            .map_or(0, |at| at.parse().unwrap())
    }
}

#[test]
fn lines_are_settled_when_they_are_committed_with_their_position() {
    let mut case = Case::new(&[("t", 1)]);
    let first = case.push("t", "f", &["1", "2"]);
    case.rig.broker.accept();
    case.rig.run();
    case.rig.broker.accept();
    case.rig.run();
    assert!(first.told().is_empty(), "acknowledged, not committed");
    case.settle();
    first.delivered();
    assert_eq!(case.rig.broker.committed("t"), ["1", "2"]);
    assert_eq!(case.position("f"), 2);
    assert_eq!(case.rig.broker.cluster().transactions.commits, 1);
}

#[test]
fn an_idle_shipper_commits_nothing() {
    let mut case = Case::new(&[("t", 1)]);
    assert_eq!(case.rig.shipper.next_wake(), None);
    case.log.book().due = Some(case.rig.now + Duration::from_secs(1));
    case.rig.run();
    case.rig.pass();
    case.settle();
    assert_eq!(
        case.rig.broker.cluster().transactions.commits,
        1,
        "what changed besides lines"
    );
    assert_eq!(case.rig.shipper.next_wake(), None);
}

#[test]
fn what_comes_while_one_commits_is_in_the_next() {
    let mut case = Case::new(&[("t", 1)]);
    let first = case.push("t", "f", &["1"]);
    case.rig.broker.accept();
    case.rig.run();
    case.rig.pass();
    assert!(case.rig.broker.held() > 0, "its position");
    let second = case.push("t", "f", &["2"]);
    assert!(case.rig.broker.values("t").len() < 2);
    case.settle();
    first.delivered();
    second.delivered();
    assert_eq!(case.rig.broker.committed("t"), ["1", "2"]);
    assert_eq!(case.rig.broker.cluster().transactions.commits, 2);
}

#[test]
fn a_transaction_that_fails_is_aborted_and_comes_again() {
    let mut case = Case::new(&[("t", 1)]);
    let fate = case.push("t", "f", &["1", "2", "3"]);
    case.rig.broker.accept();
    case.rig.run();
    let mut once = true;
    case.settle_with(|_| {
        if std::mem::take(&mut once) {
            Err(Code::NOT_ENOUGH_REPLICAS)
        } else {
            Ok(())
        }
    });
    fate.delivered();
    assert_eq!(case.rig.broker.committed("t"), ["1", "2", "3"]);
    assert!(case.rig.broker.cluster().transactions.aborts > 0);
}

#[test]
fn a_record_that_is_refused_alone_is_a_dead_letter_and_its_neighbours_arrive_in_order() {
    let mut case = Case::new(&[("t", 1)]);
    let lines: Vec<String> = (0..50)
        .map(|n| format!("{n}{}", if n == 33 { " bad" } else { "" }))
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let other = case.push("t", "g", &["g"]);
    let fate = case.push("t", "f", &lines);
    case.settle_with(|batch| {
        let is_bad = |item: &Item| item.value.contains("bad");
        if batch.iter().any(is_bad) {
            Err(Code::MESSAGE_TOO_LARGE)
        } else {
            Ok(())
        }
    });
    assert_eq!(fate.dead(), [33]);
    other.delivered();
    assert_eq!(case.rig.grave.lines(), ["33 bad"]);
    let mut good = lines.clone();
    good.remove(33);
    good.insert(0, "g");
    assert_eq!(case.rig.broker.committed("t"), good);
    assert_eq!(case.position("f"), 50);
}

#[test]
fn a_dead_letter_that_cannot_be_kept_holds_only_its_own_file() {
    let mut case = Case::new(&[("t", 1)]);
    case.rig.grave.make_room(0);
    let refuse = |batch: &[Item]| {
        if batch.iter().any(|item| item.value.contains("bad")) {
            Err(Code::MESSAGE_TOO_LARGE)
        } else {
            Ok(())
        }
    };
    let bad = case.push("t", "f", &["1", "bad"]);
    let later = case.push("t", "f", &["2"]);
    let other = case.push("t", "g", &["3"]);
    for _ in 0..60 {
        case.rig.broker.judge(refuse);
        case.rig.run();
        case.rig.now += Duration::from_millis(200);
        case.rig.run();
    }
    other.delivered();
    assert!(bad.told().is_empty() && later.told().is_empty());
    assert_eq!(case.position("f"), 0);
    case.rig.grave.make_room(10);
    case.settle_with(refuse);
    assert_eq!(bad.dead(), [1]);
    later.delivered();
    assert_eq!(case.rig.broker.committed("t"), ["3", "1", "2"]);
}

#[test]
fn a_commit_that_was_never_answered_is_looked_up() {
    for (took_effect, lose_at_abort) in [(true, false), (false, false), (true, true), (false, true)] {
        let mut case = Case::new(&[("t", 1)]);
        let fate = case.push("t", "f", &["1", "2"]);
        case.rig.broker.cluster().transactions.lose_commit = Some(took_effect);
        case.rig.broker.cluster().transactions.lose_at_abort = lose_at_abort;
        let next = case.push("t", "f", &["3"]);
        case.settle();
        fate.delivered();
        next.delivered();
        assert_eq!(case.rig.broker.committed("t"), ["1", "2", "3"], "{took_effect}");
        assert_eq!(case.position("f"), 3);
        assert_eq!(
            case.log.book().opened,
            3,
            "at the start, before others are fenced, and then"
        );
    }
}

#[test]
fn what_hides_who_took_over_is_not_waited_for_when_it_may_be_our_own() {
    let mut case = Case::new(&[("t", 1)]);
    let fate = case.push("t", "f", &["1"]);
    case.rig.broker.cluster().transactions.lose_commit = Some(false);
    case.rig.broker.cluster().transactions.hides = true;
    case.settle();
    fate.delivered();
    assert!(!case.rig.broker.cluster().transactions.hides);
    assert!(case.log.book().opened > 3, "it was looked for before");
}

#[test]
fn a_missing_topic_holds_only_its_own_files() {
    let mut case = Case::new(&[("t", 1)]);
    let held = case.push("none", "f", &["1"]);
    let other = case.push("t", "g", &["2"]);
    for _ in 0..10 {
        case.rig.broker.accept();
        case.rig.run();
        case.rig.now += Duration::from_millis(200);
        case.rig.run();
    }
    other.delivered();
    assert!(held.told().is_empty());
    // Its next lines go elsewhere now: they must not pass it.
    let behind = case.push("t", "f", &["3"]);
    case.rig.broker.accept();
    case.rig.run();
    assert!(!case.rig.broker.values("t").contains(&"3".to_owned()));
    case.rig.broker.cluster().topics.insert("none".into(), 1);
    case.settle();
    held.delivered();
    behind.delivered();
    assert_eq!(case.position("f"), 2);
}

#[test]
fn a_topic_that_accepts_nothing_is_left_out_and_the_others_are_committed() {
    let mut case = Case::new(&[("dead", 1), ("t", 1)]);
    let stuck = case.push("dead", "f", &["1"]);
    let mut others = Vec::new();
    for n in 0..100 {
        others.push(case.push("t", "g", &[&n.to_string()]));
        case.rig.broker.judge_some(|item| item.topic != "dead");
        case.rig.run();
        case.rig.now += Duration::from_millis(200);
        case.rig.run();
    }
    others.iter().take(80).for_each(Fate::delivered);
    assert!(stuck.told().is_empty());
    case.settle();
    stuck.delivered();
    others.iter().for_each(Fate::delivered);
}

#[test]
fn nothing_is_shipped_before_positions_are_read_back_nor_once_another_has_taken_over() {
    let (mut rig, log) = rig(&[("t", 1)], 1 << 20);
    log.book().closed = Some(OpenError::Later("not yet".into()));
    rig.run();
    let (batch, fate) = batch_of(&log, "t", "f", &["1"], 1);
    rig.shipper.push(batch, rig.now);
    rig.run();
    rig.pass();
    assert_eq!(rig.broker.held(), 0);
    log.book().closed = None;
    rig.pass();
    assert!(rig.broker.held() > 0);
    log.book().closed = Some(OpenError::Never);
    rig.broker.fail_client();
    rig.run();
    for _ in 0..20 {
        rig.now += Duration::from_secs(5);
        rig.run();
    }
    assert_eq!(rig.broker.held(), 0);
    assert!(fate.told().is_empty());
}

const TOPICS: [&str; 2] = ["t0", "t1"];

#[derive(Clone, Debug)]
enum Act {
    /// Lines of a file to a topic; a true one will be refused for itself.
    Push(usize, usize, Vec<bool>),
    /// So many requests are accepted, the others fail with this.
    Judge(usize, i32),
    /// So many milliseconds pass.
    Pass(u64),
    FailClient,
    LoseCommit(bool),
    NewClient,
    KafkaAway(bool),
    TopicGone(usize, bool),
    GraveFull(bool),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let code = prop::sample::select(vec![
        Code::NOT_ENOUGH_REPLICAS.0,
        Code::TOPIC_AUTHORIZATION_FAILED.0,
        Code::UNKNOWN_TOPIC_OR_PARTITION.0,
        Code::OUT_OF_ORDER_SEQUENCE.0,
        Code::PURGE_QUEUE.0,
        12345,
    ]);
    let act = prop_oneof![
        8 => (0..TOPICS.len(), 0..3_usize, prop::collection::vec(prop::bool::weighted(0.05), 0..40))
            .prop_map(|(topic, file, lines)| Act::Push(topic, file, lines)),
        8 => (0..6_usize, code).prop_map(|(accepted, code)| Act::Judge(accepted, code)),
        6 => (0..400_u64).prop_map(Act::Pass),
        1 => (3000..9000_u64).prop_map(Act::Pass),
        1 => Just(Act::FailClient),
        1 => any::<bool>().prop_map(Act::LoseCommit),
        1 => Just(Act::NewClient),
        1 => any::<bool>().prop_map(Act::KafkaAway),
        1 => (0..TOPICS.len(), any::<bool>()).prop_map(|(topic, gone)| Act::TopicGone(topic, gone)),
        1 => any::<bool>().prop_map(Act::GraveFull),
    ];
    prop::collection::vec(act, 1..60)
}

fn of_itself(batch: &[Item]) -> Result<(), Code> {
    if batch.iter().any(|item| item.value.contains("bad")) {
        Err(Code::MESSAGE_TOO_LARGE)
    } else {
        Ok(())
    }
}

/// Files change their topics, and everything goes wrong: what is committed are always the lines that the committed position
/// passes, once and in order.
struct Model {
    case: Case,
    sent: BTreeMap<String, Vec<String>>,
    fates: Vec<Fate>,
}

impl Model {
    fn new(batch_records: usize, capacity: u32, bytes: u64) -> Self {
        let (rig, log) = rig(&[("t0", 3), ("t1", 1)], bytes);
        rig.broker.cluster().batch_records = batch_records;
        rig.broker.cluster().capacity = capacity;
        Self {
            case: Case {
                rig,
                log,
                passed: HashMap::new(),
            },
            sent: BTreeMap::new(),
            fates: Vec::new(),
        }
    }

    fn act(&mut self, act: Act) {
        let rig = &mut self.case.rig;
        match act {
            Act::Push(topic, file, bad) => {
                let name = format!("file {file}");
                let sent = self.sent.entry(name.clone()).or_default();
                let lines: Vec<String> = (0..)
                    .zip(bad)
                    .map(|(n, bad)| format!("{name}/{}{}", sent.len() + n, if bad { " bad" } else { "" }))
                    .collect();
                sent.extend(lines.clone());
                // What has no records is never handed over.
                if !lines.is_empty() {
                    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
                    let fate = self.case.push(TOPICS[topic], &name, &lines);
                    self.fates.push(fate);
                }
            }
            Act::Judge(accepted, code) => {
                let mut left = accepted;
                rig.broker.judge(|batch| {
                    if left == 0 {
                        return Err(Code(code));
                    }
                    left -= 1;
                    of_itself(batch)
                });
            }
            Act::Pass(millis) => rig.now += Duration::from_millis(millis),
            Act::FailClient => rig.broker.fail_client(),
            Act::LoseCommit(took_effect) => rig.broker.cluster().transactions.lose_commit = Some(took_effect),
            Act::NewClient => {
                let outlet = rig.new_outlet();
                rig.shipper.replace(outlet, crate::options::Options::default(), rig.now);
            }
            Act::KafkaAway(away) => rig.broker.cluster().away = away,
            Act::TopicGone(topic, gone) => {
                let mut cluster = rig.broker.cluster();
                if gone {
                    cluster.topics.remove(TOPICS[topic]);
                } else {
                    cluster.topics.insert(TOPICS[topic].into(), 3);
                }
            }
            Act::GraveFull(full) => rig.grave.make_room(if full { 0 } else { 1000 }),
        }
        self.case.rig.run();
    }

    fn check(&self) {
        let broker = &self.case.rig.broker;
        let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for topic in TOPICS {
            for value in broker.committed(topic) {
                let (file, _) = value.split_once('/').unwrap();
                lines.entry(file.to_owned()).or_default().push(value.clone());
            }
        }
        for (file, sent) in &self.sent {
            let passed = self.case.position(file) as usize;
            let good = sent.iter().take(passed).filter(|line| !line.contains("bad"));
            let mut good: Vec<String> = good.cloned().collect();
            let mut arrived = lines.remove(file).unwrap_or_default();
            // Across topics there is no order.
            good.sort();
            arrived.sort();
            assert_eq!(arrived, good, "what is committed is what its position passes");
        }
        for topic in TOPICS {
            let mut last: HashMap<String, u64> = HashMap::new();
            for value in broker.committed(topic) {
                let (file, number) = value.split_once('/').unwrap();
                let number: u64 = number.parse().unwrap();
                let before = last.insert(file.to_owned(), number);
                assert!(before.is_none_or(|before| before < number), "{value} after {before:?}");
            }
        }
    }

    fn heal(&mut self) {
        let rig = &mut self.case.rig;
        rig.broker.cluster().away = false;
        rig.broker.cluster().transactions.lose_commit = None;
        for topic in TOPICS {
            rig.broker.cluster().topics.entry(topic.into()).or_insert(3);
        }
        rig.grave.make_room(10_000);
        for _ in 0..20_000 {
            rig.run();
            rig.broker.judge(of_itself);
            rig.run();
            if rig.shipper.unsettled() == 0 {
                return;
            }
            if rig.broker.held() == 0
                && let Some(at) = rig.shipper.next_wake()
            {
                rig.now = rig.now.max(at);
            }
        }
        panic!("{} batches are never settled", self.case.rig.shipper.unsettled());
    }

    /// Nothing is wrong any more: all is settled, and every position is at its end.
    fn heal_and_settle(&mut self) {
        self.heal();
        self.check();
        self.fates.iter().for_each(|fate| drop(fate.outcome()));
        for (file, sent) in &self.sent {
            assert_eq!(self.case.position(file) as usize, sent.len());
        }
    }
}

proptest! {
    #[test]
    fn what_is_committed_is_what_its_position_passes(
        acts in acts(), batch in 1..20_usize, capacity in 8..200_u32, bytes in 1_u64..4_000,
    ) {
        let mut model = Model::new(batch, capacity, bytes);
        for act in acts {
            model.act(act);
            model.check();
            let now = model.case.rig.now;
            let hot = model.case.rig.shipper.next_wake().filter(|at| *at <= now);
            prop_assert_eq!(hot, None, "what is due is done");
        }
        model.heal_and_settle();
    }
}
