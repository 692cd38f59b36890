//! What a watcher's figures and conditions mean: its state, and why it is in it.

use std::io::ErrorKind;
use std::time::Instant;

use logcatch_kafka::{LaneState, Trouble};
use logcatch_settings::cause::words;
use logcatch_tail::Condition;

use super::{Activity, HANGS, Known, Published, Surroundings};
use crate::observe::report::{FileRow, Reason, State};

impl Published {
    pub(super) fn judge(
        &self,
        row: &FileRow,
        around: Surroundings,
        now: Instant,
    ) -> (State, Option<Reason>, Option<String>) {
        use State::{Blocked, Failed, Waiting};
        let is_dead_letter_kept_out = |file: &Known| file.target.as_ref().is_some_and(|target| target.is_blocked());
        if let Activity::Failed(why) = &self.activity {
            return (Failed, Some(Reason::WatcherFailed), Some(why.clone()));
        }
        if self
            .step
            .is_some_and(|since| now.saturating_duration_since(since) > HANGS)
        {
            return (Waiting, Some(Reason::NotAnswering), None);
        }
        match &self.condition {
            Condition::NotAFile => return (Blocked, Some(Reason::NotAFile), None),
            Condition::Refused { kind, cause } => {
                return (Blocked, Some(refusal(*kind)), Some(words(cause).to_owned()));
            }
            _ => {}
        }
        match self.activity {
            Activity::Starting => return (Waiting, Some(Reason::Starting), None),
            Activity::Restarting => return (Waiting, Some(Reason::Restarting), None),
            Activity::Saving if around.saves_fail => return (Blocked, Some(Reason::PositionsNotSaved), None),
            Activity::Saving => return (Waiting, Some(Reason::SavingPosition), None),
            _ => {}
        }
        if self.files.iter().any(is_dead_letter_kept_out) {
            return (Blocked, Some(Reason::DeadLettersFull), None);
        }
        let is_held = matches!(self.activity, Activity::Lane | Activity::Room) || row.in_flight_bytes > 0;
        if is_held && let Some((state, reason, detail)) = self.topic_trouble(around) {
            return (state, Some(reason), detail);
        }
        match self.activity {
            Activity::Budget => (Waiting, Some(Reason::MemoryLimit), None),
            Activity::Room => (Waiting, Some(Reason::TopicShare), None),
            Activity::Settling => (Waiting, Some(Reason::Acknowledgement), None),
            Activity::Paced => (Waiting, Some(Reason::RateLimit), None),
            _ if row.in_flight_bytes > 0 => (State::Reading, None, None),
            Activity::Reading | Activity::Lane => (State::Reading, None, None),
            _ if self.waits_for_handle => (Waiting, Some(Reason::HandleLimit), None),
            _ => self.at_rest(row),
        }
    }

    /// Nothing is to be done: why not.
    fn at_rest(&self, row: &FileRow) -> (State, Option<Reason>, Option<String>) {
        let other = |path: &std::path::Path| Some(path.display().to_string());
        let (reason, detail) = match &self.condition {
            Condition::SharedWith(path) => (Some(Reason::SharedWithAnotherPath), other(path)),
            Condition::CopyOf(path) => (Some(Reason::CopyOfAnotherPath), other(path)),
            _ if row.lag_bytes > 0 && !self.files.is_empty() => (Some(Reason::UnfinishedLine), None),
            Condition::Absent => (Some(Reason::NoFile), None),
            _ => (None, None),
        };
        (State::Idle, reason, detail)
    }

    /// Why the topic takes nothing, if it does not.
    fn topic_trouble(&self, around: Surroundings) -> Option<(State, Reason, Option<String>)> {
        let lane = self.lane.as_ref()?;
        let (state, reason, detail) = match lane.state() {
            // As it was when a broker answered last.
            LaneState::Open if around.kafka == Some(false) => (State::Waiting, Reason::KafkaAway, None),
            LaneState::Open => return None,
            LaneState::Asking => (State::Waiting, Reason::AskingForTopic, None),
            LaneState::Held { why, reason } => {
                let (state, word) = match why {
                    Trouble::Missing => (State::Blocked, Reason::TopicMissing),
                    Trouble::Forbidden => (State::Blocked, Reason::TopicForbidden),
                    Trouble::Illegal => return Some((State::Blocked, Reason::TopicIllegal, Some(reason.to_string()))),
                    Trouble::Clock => (State::Blocked, Reason::ClockWrong),
                    Trouble::Silent => (State::Waiting, Reason::TopicSilent),
                    Trouble::Other => (State::Waiting, Reason::TopicHeld),
                };
                (state, word, Some(format!("{}: {reason}", lane.topic())))
            }
        };
        // While nobody answers, what is said of the topic is old.
        let is_away = around.kafka == Some(false) && state == State::Waiting;
        Some(match around.refusal {
            _ if !is_away => (state, reason, detail),
            None => (State::Waiting, Reason::KafkaAway, None),
            Some(refusal) => (State::Blocked, Reason::of(refusal), None),
        })
    }
}

/// The word for what the system answered.
fn refusal(kind: ErrorKind) -> Reason {
    match kind {
        ErrorKind::PermissionDenied => Reason::Permission,
        _ => Reason::Unreadable,
    }
}
