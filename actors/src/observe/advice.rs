//! What somebody can do about a file that does not ship.

use super::report::Reason;

impl Reason {
    /// What to do; none where it passes by itself or nothing is wrong.
    #[must_use]
    pub fn advice(self) -> Option<&'static str> {
        Some(match self {
            Self::TopicMissing => "create the topic, or correct `topic` in the settings",
            Self::TopicIllegal => {
                "correct the entry's `topic`, or exclude the path: what it gives for this path cannot be the name of a topic"
            }
            Self::KafkaLoginRefused => {
                "correct login and password under [kafka.properties], or make the user known to Kafka"
            }
            Self::KafkaTlsFailed => {
                "correct certificates and `security.protocol` under [kafka.properties], or renew the brokers' certificates"
            }
            Self::TopicForbidden => "give the service's Kafka user the right to write to the topic",
            Self::ClockWrong => "set this host's clock: Kafka refuses its timestamps",
            Self::DeadLettersFull => {
                "send dead letters again (`logcatch dead-letters resend`) or raise `state.dead_letters`"
            }
            Self::PositionsNotSaved => "make room on the disk of `state.directory`, or make it writable",
            Self::Permission => "give the service's user the right to read the file, and to search its directories",
            Self::Unreadable => "look at the disk or the mount: the system's answer is beside the reason",
            Self::NotAFile => "exclude the path in the settings, or move what is there",
            Self::WatcherFailed => "it is started again by itself; if it goes on, the service's log says why",
            Self::NotAnswering => "look at the disk or the network file system of the file",
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_somebody_says_what_to_do() {
        for reason in [
            Reason::KafkaLoginRefused,
            Reason::KafkaTlsFailed,
            Reason::TopicMissing,
            Reason::TopicIllegal,
            Reason::TopicForbidden,
            Reason::ClockWrong,
            Reason::DeadLettersFull,
            Reason::PositionsNotSaved,
            Reason::Permission,
            Reason::Unreadable,
            Reason::NotAFile,
            Reason::WatcherFailed,
        ] {
            assert!(reason.advice().is_some(), "{reason}");
        }
        assert_eq!(Reason::KafkaAway.advice(), None);
    }
}
