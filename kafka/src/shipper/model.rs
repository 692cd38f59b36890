//! Whatever happens in whatever order: every line is accounted for once, and files keep their order.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use crate::batch::{Source, Target};
use crate::error::Code;
use crate::fake::{Fate, Item, Rig, to};
use crate::options::Options;

const TOPICS: [&str; 2] = ["t0", "t1"];

#[derive(Clone, Debug)]
enum Act {
    /// Lines of a file; a true one will be refused for itself.
    Push(usize, usize, Vec<bool>),
    /// So many requests are accepted, the others of what is held fail with this: for all partitions, or for one, and
    /// nothing is heard of the others.
    Judge(usize, i32, Option<i32>),
    /// The shipper runs for some seconds.
    Pass(u64),
    Turn,
    FailClient,
    NewOptions,
    KafkaAway(bool),
    /// Or made anew with so many partitions.
    TopicGone(usize, Option<u32>),
    GraveFull(bool),
    /// Nobody wants a file any more; when it is given back, somebody does again.
    GiveBack(usize),
}

fn acts(bad: bool) -> impl Strategy<Value = Vec<Act>> {
    let lines = prop::collection::vec(
        if bad {
            prop::bool::weighted(0.1).boxed()
        } else {
            Just(false).boxed()
        },
        0..40,
    );
    let code = prop::sample::select(vec![
        Code::NOT_ENOUGH_REPLICAS.0,
        Code::TOPIC_AUTHORIZATION_FAILED.0,
        Code::UNKNOWN_TOPIC_OR_PARTITION.0,
        Code::INVALID_TIMESTAMP.0,
        Code::PURGE_QUEUE.0,
        12345,
    ]);
    let act = prop_oneof![
        8 => (0..TOPICS.len(), 0..3_usize, lines).prop_map(|(topic, file, lines)| Act::Push(topic, file, lines)),
        8 => (0..6_usize, code, prop::option::of(0..3_i32)).prop_map(|(accepted, code, only)| Act::Judge(accepted, code, only)),
        4 => (0..15_u64).prop_map(Act::Pass),
        2 => Just(Act::Turn),
        1 => Just(Act::FailClient),
        1 => Just(Act::NewOptions),
        1 => any::<bool>().prop_map(Act::KafkaAway),
        1 => (0..TOPICS.len(), prop::option::of(1..4_u32)).prop_map(|(topic, made)| Act::TopicGone(topic, made)),
        1 => any::<bool>().prop_map(Act::GraveFull),
        2 => (0..3_usize).prop_map(Act::GiveBack),
    ];
    prop::collection::vec(act, 1..60)
}

/// A batch with a line that is refused for itself is refused.
fn of_itself(batch: &[Item]) -> Result<(), Code> {
    if batch.iter().any(|item| item.value.contains("bad")) {
        Err(Code::MESSAGE_TOO_LARGE)
    } else {
        Ok(())
    }
}

/// A batch as whoever read it remembers it.
struct Pushed {
    topic: usize,
    file: usize,
    lines: Vec<String>,
    fate: Fate,
}

struct Model {
    rig: Rig,
    targets: HashMap<(usize, usize), Arc<Target>>,
    sent: HashMap<(usize, usize), Vec<String>>,
    /// In the order in which they were read.
    batches: Vec<Pushed>,
    /// How often a line was read again.
    again: HashMap<String, usize>,
}

impl Model {
    fn new(batch_records: usize, capacity: u32, limit: u64) -> Self {
        let rig = Rig::new(&[("t0", 3), ("t1", 1)]);
        rig.broker.cluster().batch_records = batch_records;
        rig.broker.cluster().capacity = capacity;
        // Small enough that a partition's share of the client's queue counts.
        rig.broker.cluster().limits.insert("t0".into(), limit);
        Self {
            rig,
            targets: HashMap::new(),
            sent: HashMap::new(),
            batches: Vec::new(),
            again: HashMap::new(),
        }
    }

    fn push(&mut self, topic: usize, file: usize, lines: Vec<String>) {
        let key = format!("file {file}");
        let target = self
            .targets
            .entry((topic, file))
            .or_insert_with(|| Arc::new(Target::new(TOPICS[topic].into(), key.as_bytes(), None)));
        let (mut batch, fate) = to(target, &lines.iter().map(String::as_str).collect::<Vec<_>>());
        batch.source = Arc::new(Source {
            file_id: key,
            ..(*batch.source).clone()
        });
        self.rig.shipper.push(batch, self.rig.now);
        self.batches.push(Pushed {
            topic,
            file,
            lines,
            fate,
        });
    }

    /// All that is left of a file is given back, or nothing. Whoever reads it again begins with the first batch that is not
    /// settled, where the file's position is.
    fn give_back(&mut self, file: usize) {
        let files = HashSet::from([("log".into(), format!("file {file}"))]);
        let given = self.rig.shipper.give_back(&files);
        let is_back = |batch: &Pushed| batch.fate.told() == [None];
        assert_eq!(self.batches.iter().filter(|batch| is_back(batch)).count(), given);
        if given == 0 {
            return;
        }
        let mut mine = self.batches.iter().filter(|batch| batch.file == file);
        assert!(
            mine.all(|batch| !batch.fate.told().is_empty()),
            "nothing is left that could be settled behind what was given back"
        );
        let (mut others, mut unread) = (Vec::new(), Vec::new());
        for batch in std::mem::take(&mut self.batches) {
            let is_unread = batch.file == file && (is_back(&batch) || !unread.is_empty());
            if is_unread { &mut unread } else { &mut others }.push(batch);
        }
        self.batches = others;
        for Pushed { topic, lines, .. } in unread {
            for line in &lines {
                *self.again.entry(line.clone()).or_default() += 1;
            }
            self.push(topic, file, lines);
        }
    }

    /// What may have come again only as often as it was read again, each as it came first.
    fn once(&self, lines: Vec<String>) -> Vec<String> {
        let mut seen: HashMap<String, usize> = HashMap::new();
        let is_new = |line: &String| {
            let times = seen.entry(line.clone()).or_default();
            *times += 1;
            let again = self.again.get(line).copied().unwrap_or_default();
            assert!(
                *times <= 1 + again,
                "`{line}` came {times} times and was read again {again} times"
            );
            *times == 1
        };
        lines.into_iter().filter(is_new).collect()
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Push(topic, file, bad) => {
                let sent = self.sent.entry((topic, file)).or_default();
                let lines: Vec<String> = (0..)
                    .zip(bad)
                    .map(|(n, bad)| format!("{topic}/{file}/{}{}", sent.len() + n, if bad { " bad" } else { "" }))
                    .collect();
                sent.extend(lines.iter().cloned());
                self.push(topic, file, lines);
            }
            Act::Judge(accepted, code, only) => {
                // A topic that refuses goes on to refuse all that is under way.
                let mut left: HashMap<String, usize> = HashMap::new();
                let is_chosen = |item: &Item| only.is_none() || item.partition == only;
                self.rig.broker.judge_those(is_chosen, |batch| {
                    let left = left.entry(batch[0].topic.clone()).or_insert(accepted);
                    if *left == 0 {
                        return Err(Code(code));
                    }
                    *left -= 1;
                    of_itself(batch)
                });
                self.rig.run();
            }
            Act::Pass(seconds) => {
                self.rig.now += Duration::from_secs(seconds);
                self.rig.run();
            }
            Act::Turn => self.rig.shipper.turn(self.rig.now),
            Act::FailClient => self.rig.broker.fail_client(),
            Act::NewOptions => {
                let outlet = self.rig.new_outlet();
                self.rig.shipper.replace(outlet, Options::default(), self.rig.now);
            }
            Act::KafkaAway(away) => self.rig.broker.cluster().away = away,
            Act::TopicGone(topic, None) => {
                self.rig.broker.cluster().topics.remove(TOPICS[topic]);
            }
            Act::TopicGone(topic, Some(partitions)) => {
                self.rig
                    .broker
                    .cluster()
                    .topics
                    .insert(TOPICS[topic].into(), partitions);
            }
            Act::GiveBack(file) => self.give_back(file),
            Act::GraveFull(full) => self.rig.grave.make_room(if full { 0 } else { 1000 }),
        }
    }

    fn check_timer(&mut self) {
        self.rig.run();
        let hot = self.rig.shipper.next_wake().filter(|at| *at <= self.rig.now);
        assert_eq!(hot, None, "what is due is done");
    }

    /// All troubles end; everything must too.
    fn heal(&mut self) {
        self.rig.broker.cluster().away = false;
        for topic in TOPICS {
            self.rig.broker.cluster().topics.entry(topic.into()).or_insert(3);
        }
        self.rig.grave.make_room(10_000);
        for _ in 0..10_000 {
            self.rig.run();
            self.rig.broker.judge(of_itself);
            self.rig.run();
            if self.rig.shipper.unsettled() == 0 {
                return;
            }
            if self.rig.broker.held() == 0
                && let Some(at) = self.rig.shipper.next_wake()
            {
                self.rig.now = self.rig.now.max(at);
            }
        }
        panic!("{} batches are never settled", self.rig.shipper.unsettled());
    }

    fn check(&self, order: bool) {
        let mut dead = 0;
        for batch in &self.batches {
            dead += batch.fate.dead().len();
        }
        let mut arrived: HashMap<String, Vec<String>> = HashMap::new();
        for item in &self.rig.broker.cluster().log {
            let (file, _) = item.value.rsplit_once('/').unwrap();
            arrived.entry(file.to_owned()).or_default().push(item.value.clone());
        }
        let mut all_bad = Vec::new();
        for ((topic, file), sent) in &self.sent {
            let (bad, good): (Vec<_>, Vec<_>) = sent.iter().cloned().partition(|line| line.contains("bad"));
            all_bad.extend(bad);
            let arrived = arrived.remove(&format!("{topic}/{file}")).unwrap_or_default();
            let mut arrived = self.once(arrived);
            let mut good = good;
            if !order {
                arrived.sort();
                good.sort();
            }
            assert_eq!(arrived, good);
        }
        assert!(arrived.is_empty());
        let mut graves = self.once(self.rig.grave.lines());
        graves.sort();
        all_bad.sort();
        assert_eq!(dead, all_bad.len());
        assert_eq!(graves, all_bad);
        assert_eq!(self.rig.shipper.snapshot().in_flight_records, 0);
    }
}

proptest! {
    #[test]
    fn every_line_arrives_once_and_in_order(acts in acts(false), batch in 1..20_usize, capacity in 8..200_u32, limit in 1_u64..4_000) {
        let mut model = Model::new(batch, capacity, limit);
        for act in acts {
            model.act(act);
            model.check_timer();
        }
        model.heal();
        model.check(true);
    }

    #[test]
    fn every_line_arrives_once_or_is_a_dead_letter(acts in acts(true), batch in 1..20_usize, capacity in 8..200_u32, limit in 1_u64..4_000) {
        let mut model = Model::new(batch, capacity, limit);
        for act in acts {
            model.act(act);
            model.check_timer();
        }
        model.heal();
        model.check(false);
    }
}
