//! What lanes know of their topics: questions, answers, and what an operator is told of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::errand::{Errand, Task, is_silence};
use crate::error::Code;
use crate::lane::{Lane, Phase};
use crate::lanes::{LaneState, Trouble};
use crate::outlet::Outlet;
use crate::shipper::{Shipper, enqueue};

/// While nobody answers, a topic is asked for again after this; the question itself waits for a connection.
const SILENCE: Duration = Duration::from_secs(1);

impl<O: Outlet> Shipper<O> {
    /// Asks for the topics of lanes that are to know more.
    pub(crate) fn ask(&mut self, now: Instant) {
        let due = |lane: &Lane| (lane.refresh || matches!(lane.phase, Phase::Asking(at) if at <= now)) && !lane.asking;
        let mut topics = Vec::new();
        for lane in self.lanes.iter_mut().flatten().filter(|lane| due(lane)) {
            lane.asking = true;
            topics.push(Arc::from(lane.door.topic()));
        }
        if topics.is_empty() && self.asking == 0 && self.connection.probe_due(now) {
            // Any topic will do: what is wanted is an answer.
            topics.extend(
                self.lanes
                    .iter()
                    .flatten()
                    .take(1)
                    .map(|lane| Arc::from(lane.door.topic())),
            );
        }
        if !topics.is_empty() {
            self.asking += 1;
            self.errands.push(Errand(Task::Ask {
                era: self.handover.era(),
                topics,
                inquirer: self.outlet.inquirer(),
            }));
        }
    }

    pub(crate) fn answered(&mut self, topic: &str, answer: Result<u32, Code>, now: Instant) {
        match answer {
            Err(code) if is_silence(code) => self.connection.down(now),
            _ => self.connection.up(now),
        }
        let Some(&id) = self.by_topic.get(topic) else { return };
        let Some(lane) = self.lanes.get_mut(id as usize).and_then(Option::as_mut) else {
            return;
        };
        lane.asking = false;
        lane.refresh = false;
        lane.asked_at = now;
        match answer {
            Ok(partitions) => {
                let is_learned = lane.learn_partitions(partitions, &mut self.parcels);
                if !matches!(lane.phase, Phase::Asking(_)) {
                    // Some that had none may have a partition.
                    return enqueue(&mut self.ready, lane, id);
                }
                if !is_learned {
                    // What is out in those that are gone comes back.
                    lane.phase = Phase::Asking(now + SILENCE);
                    return;
                }
                if lane.handle.is_none() {
                    match self.outlet.topic(topic) {
                        Ok(handle) => lane.handle = Some(handle),
                        Err(code) => return hold(lane, code, true, now),
                    }
                    let inquirer = self.outlet.inquirer();
                    self.errands.push(Errand(Task::Limit {
                        era: self.handover.era(),
                        topic: Arc::from(topic),
                        inquirer,
                    }));
                }
                // With nothing to send, that it exists has to do as a proof.
                let waits = self.transaction.is_some() && lane.door.in_flight() > 0;
                lane.probing &= lane.has_work() || waits;
                lane.open(now);
                if !lane.probing {
                    lane.flows(now);
                }
                enqueue(&mut self.ready, lane, id);
            }
            Err(_) if !matches!(lane.phase, Phase::Asking(_)) => {}
            Err(code) if is_silence(code) => lane.phase = Phase::Asking(now + SILENCE),
            Err(code) => hold(lane, code, true, now),
        }
    }
}

impl Lane {
    /// The topic takes records.
    pub(crate) fn flows(&mut self, now: Instant) {
        self.progress = now;
        self.backoff.reset();
        let was_closed = std::mem::take(&mut self.probing) | std::mem::take(&mut self.stalled);
        if let Some(lasted) = self.complaint.clear(now) {
            log::info!(topic = self.door.topic(), seconds = lasted.as_secs(); "topic takes records again");
        }
        if was_closed && self.phase == Phase::Open {
            self.door.set(LaneState::Open);
        }
    }
}

/// The topic takes nothing for now.
pub(crate) fn hold(lane: &mut Lane, code: Code, ask: bool, now: Instant) {
    let topic = lane.door.topic();
    let mut kind = code.0;
    let (reason, help) = match code {
        Code::UNKNOWN_TOPIC | Code::UNKNOWN_TOPIC_OR_PARTITION | Code::UNKNOWN_TOPIC_ID => (
            {
                kind = Code::UNKNOWN_TOPIC_OR_PARTITION.0;
                Arc::from("topic does not exist")
            },
            format!("create it (kafka-topics.sh --create --topic {topic}): logcatch creates none"),
        ),
        Code::TOPIC_AUTHORIZATION_FAILED => (
            Arc::from("no right to write to the topic"),
            format!("grant Write and Describe on topic {topic} to the user logcatch connects as"),
        ),
        Code::INVALID_TIMESTAMP => (
            Arc::from("the clock is out of the topic's bounds"),
            "set this host's clock".to_owned(),
        ),
        code => (
            Arc::from(format!("{}: {code}", code.name())),
            "nothing is lost: lines wait in their files".to_owned(),
        ),
    };
    if lane.complaint.raise(kind, Duration::ZERO, now) {
        log::warn!(topic, reason:%, help = help.as_str(); "Kafka takes nothing for this topic, its files wait");
    }
    let why = match code {
        Code::UNKNOWN_TOPIC | Code::UNKNOWN_TOPIC_OR_PARTITION | Code::UNKNOWN_TOPIC_ID => Trouble::Missing,
        Code::TOPIC_AUTHORIZATION_FAILED => Trouble::Forbidden,
        Code::INVALID_TIMESTAMP => Trouble::Clock,
        _ => Trouble::Other,
    };
    lane.probing = true;
    lane.distrust();
    lane.door.set(LaneState::Held { why, reason });
    lane.phase = Phase::Held(now + lane.backoff.pause(), ask);
}
