//! Whether Kafka is reached, said once when it is not and once when it is again.

use std::time::{Duration, Instant};

use crate::error::Code;
use crate::pace::Complaint;

/// The connection to the cluster as a whole.
#[derive(Debug)]
pub(crate) struct Connection {
    brokers: String,
    connected: Option<bool>,
    /// Since when it is so.
    since: Option<Instant>,
    cause: String,
    complaint: Complaint,
    probe_at: Instant,
}

impl Connection {
    /// A disconnection that ends within this time is not worth a word: brokers close idle connections, and the
    /// cause is reported after the fact.
    const GRACE: Duration = Duration::from_secs(2);

    /// While it is down, a question this often shows when it is up again.
    const PROBE: Duration = Duration::from_secs(2);

    pub(crate) fn new(brokers: String, now: Instant) -> Self {
        Self {
            brokers,
            connected: None,
            since: None,
            cause: String::new(),
            complaint: Complaint::default(),
            probe_at: now,
        }
    }

    /// True if Kafka is reached, none before it is known.
    pub(crate) fn connected(&self) -> Option<bool> {
        self.connected
    }

    /// Since when it is reached or not; none before it is known.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.since
    }

    /// What was said last, while it is not reached.
    pub(crate) fn cause(&self) -> Option<String> {
        (self.is_down() && !self.cause.is_empty()).then(|| self.cause.clone())
    }

    /// True while it is not.
    pub(crate) fn is_down(&self) -> bool {
        self.connected == Some(false)
    }

    /// Something was said about a connection.
    pub(crate) fn trouble(&mut self, code: Code, text: &str, now: Instant) {
        if code == Code::ALL_BROKERS_DOWN {
            self.down(now);
        } else {
            self.cause.clear();
            self.cause.push_str(text);
        }
    }

    /// Nobody answers.
    pub(crate) fn down(&mut self, now: Instant) {
        if !self.is_down() {
            self.connected = Some(false);
            self.since = Some(now);
            self.probe_at = now + Self::PROBE / 2;
        }
        self.tick(now);
    }

    /// A broker answered.
    pub(crate) fn up(&mut self, now: Instant) {
        if self.connected == Some(true) {
            return;
        }
        let first = self.connected.is_none();
        self.connected = Some(true);
        self.since = Some(now);
        self.cause.clear();
        let brokers = self.brokers.as_str();
        if let Some(lasted) = self.complaint.clear(now) {
            log::info!(brokers, seconds = lasted.as_secs(); "connected to Kafka again");
        } else if first {
            log::info!(brokers; "connected to Kafka");
        }
    }

    /// Says what is due.
    pub(crate) fn tick(&mut self, now: Instant) {
        if !self.is_down() {
            return;
        }
        if self.complaint.raise(Code::ALL_BROKERS_DOWN.0, Self::GRACE, now) {
            let cause = if self.cause.is_empty() {
                "no broker answers"
            } else {
                &self.cause
            };
            log::warn!(
                brokers = self.brokers.as_str(), cause,
                help = "nothing is lost: lines stay in their files and ship when Kafka answers";
                "cannot reach Kafka"
            );
        }
    }

    /// True if it is time for a question that shows whether it is up again.
    pub(crate) fn probe_due(&mut self, now: Instant) -> bool {
        let due = self.is_down() && self.probe_at <= now;
        if due {
            self.probe_at = now + Self::PROBE;
        }
        due
    }

    /// When it next wants [`Connection::tick`], or [`Connection::probe_due`] unless a question is under way already.
    pub(crate) fn wake_at(&self, asking: bool) -> Option<Instant> {
        if !self.is_down() {
            return None;
        }
        let probe = (!asking).then_some(self.probe_at);
        self.complaint.due_at().into_iter().chain(probe).min()
    }
}
