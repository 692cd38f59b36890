//! Whether Kafka is reached, said once when it is not and once when it is again.

use std::time::{Duration, Instant};

use crate::error::Code;
use crate::options::Options;
use crate::pace::Complaint;
use crate::security::Refusal;

/// The connection to the cluster as a whole.
#[derive(Debug)]
pub(crate) struct Connection {
    brokers: String,
    /// Who logs in.
    login: Option<String>,
    connected: Option<bool>,
    /// Since when it is so.
    since: Option<Instant>,
    cause: String,
    /// What was refused last, and when.
    refused: Option<(Refusal, Instant)>,
    complaint: Complaint,
    /// Of a broker that refuses while others answer.
    of_one: Complaint,
    probe_at: Instant,
}

impl Connection {
    /// A disconnection that ends within this time is not worth a word: brokers close idle connections, and the
    /// cause is reported after the fact.
    const GRACE: Duration = Duration::from_secs(2);

    /// While it is down, a question this often shows when it is up again.
    const PROBE: Duration = Duration::from_secs(2);

    /// librdkafka repeats what it says of a connection every 30 s at least: what it has not said again is over.
    const STALE: Duration = Duration::from_secs(120);

    pub(crate) fn new(options: &Options, now: Instant) -> Self {
        Self {
            brokers: options.broker_list(),
            login: options.login(),
            connected: None,
            since: None,
            cause: String::new(),
            refused: None,
            complaint: Complaint::default(),
            of_one: Complaint::default(),
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

    /// Why it is not reached, if it is because one side does not let the other in.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.refused.filter(|_| self.is_down()).map(|(refusal, _)| refusal)
    }

    /// True while it is not.
    pub(crate) fn is_down(&self) -> bool {
        self.connected == Some(false)
    }

    /// Something was said about a connection.
    pub(crate) fn trouble(&mut self, code: Code, text: &str, now: Instant) {
        if let Some(refusal) = Refusal::of(code, text) {
            self.refused = Some((refusal, now));
            // Said by the next tick, which knows whether others answer.
            self.of_one.note(code.0, Self::GRACE, now);
            text.clone_into(&mut self.cause);
        } else if code == Code::ALL_BROKERS_DOWN {
            self.down(now);
        } else if self.refused.is_none() {
            // What follows from a refusal says less than it.
            text.clone_into(&mut self.cause);
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
        self.refused = None;
        self.of_one = Complaint::default();
        let brokers = self.brokers.as_str();
        if let Some(lasted) = self.complaint.clear(now) {
            log::info!(brokers, seconds = lasted.as_secs(); "connected to Kafka again");
        } else if first {
            log::info!(brokers; "connected to Kafka");
        }
    }

    /// Says what is due.
    pub(crate) fn tick(&mut self, now: Instant) {
        if self.refused.is_some_and(|(_, at)| at + Self::STALE <= now) {
            self.refused = None;
            self.of_one = Complaint::default();
        }
        if let Some((refusal, _)) = self.refused {
            let is_due = if self.is_down() {
                self.of_one = Complaint::default();
                self.complaint.raise(refusal as i32, Self::GRACE, now)
            } else {
                self.of_one.due(now)
            };
            if is_due {
                let outcome = if self.is_down() {
                    ": lines stay in their files"
                } else {
                    ""
                };
                log::error!(
                    brokers = self.brokers.as_str(), login = self.login.as_deref().unwrap_or("nobody"),
                    cause = self.cause.as_str(), help = refusal.help(&self.cause);
                    "{}{outcome}", refusal.phrase(&self.cause)
                );
            }
            return;
        }
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
        let of_one = self.of_one.due_at();
        if !self.is_down() {
            return of_one;
        }
        let probe = (!asking).then_some(self.probe_at);
        self.complaint.due_at().into_iter().chain(probe).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(now: Instant) -> Connection {
        Connection::new(&Options::default(), now)
    }

    #[test]
    fn a_refusal_is_the_cause_until_a_broker_answers() {
        let start = Instant::now();
        let mut connection = connection(start);
        connection.trouble(Code::AUTHENTICATION, "b1: invalid credentials", start);
        connection.trouble(Code::TRANSPORT, "b1: disconnected", start);
        assert_eq!(connection.refusal(), None, "not known to be down");
        connection.trouble(Code::ALL_BROKERS_DOWN, "1/1 brokers are down", start);
        assert_eq!(connection.refusal(), Some(Refusal::Login));
        assert_eq!(connection.cause().as_deref(), Some("b1: invalid credentials"));
        connection.up(start);
        assert_eq!((connection.refusal(), connection.cause()), (None, None));
    }

    #[test]
    fn a_refusal_that_is_not_repeated_is_over() {
        let start = Instant::now();
        let mut connection = connection(start);
        connection.trouble(Code::SSL, "b1: verify failed", start);
        connection.down(start);
        assert_eq!(connection.refusal(), Some(Refusal::Tls));
        let later = start + Connection::STALE;
        connection.tick(later);
        assert_eq!(connection.refusal(), None);
        connection.trouble(Code::TRANSPORT, "b1: refused", later);
        assert_eq!(connection.cause().as_deref(), Some("b1: refused"));
    }

    #[test]
    fn a_broker_that_refuses_while_others_answer_asks_for_a_wake_up_and_no_more() {
        let start = Instant::now();
        let mut connection = connection(start);
        connection.up(start);
        connection.trouble(Code::SSL, "b2: verify failed", start);
        assert_eq!(connection.wake_at(false), Some(start + Connection::GRACE));
        connection.tick(start + Connection::GRACE);
        assert!(connection.wake_at(false) > Some(start + Connection::GRACE));
        assert_eq!(connection.refusal(), None);
        connection.tick(start + Connection::STALE);
        assert_eq!(connection.wake_at(false), None);
    }

    #[test]
    fn a_broker_that_refused_before_the_first_one_answered_asks_for_no_wake_up_that_has_passed() {
        let start = Instant::now();
        let mut connection = connection(start);
        connection.trouble(Code::SSL, "b1: verify failed", start);
        connection.up(start);
        let later = start + Connection::GRACE;
        connection.tick(later);
        assert!(connection.wake_at(false).is_none_or(|at| at > later));
    }

    #[test]
    fn what_a_broker_repeats_is_left_to_be_said() {
        let start = Instant::now();
        let mut connection = connection(start);
        connection.up(start);
        for seconds in [0, 30] {
            connection.trouble(Code::SSL, "b2: verify failed", start + Duration::from_secs(seconds));
        }
        let due = connection.wake_at(false);
        assert_eq!(due, Some(start + Connection::GRACE), "not said yet");
        connection.tick(start + Duration::from_secs(30));
        assert!(connection.wake_at(false) > due, "said");
    }
}
