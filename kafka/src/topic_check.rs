//! Whether positions can be kept in a topic: for an operator who checks settings before they are used. Makes nothing, and what it writes
//! is aborted.

use std::sync::Arc;
use std::time::Instant;

use rdkafka::admin::AdminOptions;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::error::{Code, Verdict};
use crate::ffi::Producer;
use crate::options::{Options, StartError};
use crate::outlet::{Inquire, Outlet, Report};
use crate::topic::{Access, Found, PATIENCE, ReadError, new_topic, partitions, read_back, replicas, wait};
use crate::transact::{PositionRecord, Transact, TransactError};
use crate::wake::Wake;

/// A topic that positions may be kept in.
#[derive(Debug)]
pub enum PositionsTopic {
    /// It exists, is compacted as far as that may be seen, and can be read.
    Exists(Found),
    /// It does not exist, and a service makes it.
    MayBeMade,
}

/// Why positions cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// The topic does not exist.
    #[error("it does not exist and cannot be made: {0}")]
    NotMade(String),
    /// It may not be seen.
    #[error("this user may not see it")]
    NotSeen,
    /// It would lose positions, or cannot be read now.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Records may not be written to it.
    #[error("this user may not write to it: {0}")]
    NotWritten(Code),
    /// The transactional id may not be used.
    #[error("this user may not use the transactional id `{id}`: {text}")]
    Id {
        /// The id.
        id: String,
        /// What Kafka says.
        text: String,
    },
    /// A transaction of these settings would take longer than the brokers let it.
    #[error("`transaction.timeout.ms` is more than the brokers allow, by their `transaction.max.timeout.ms`: {0}")]
    LongTimeout(String),
    /// No transaction is possible now.
    #[error("the transaction coordinator does not serve `{id}` now: {text}")]
    Coordinator {
        /// The transactional id.
        id: String,
        /// What the client says.
        text: String,
    },
    /// Something else is in the way.
    #[error("{0}")]
    Other(String),
    /// The properties make no producer.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Looks at the topic for positions, and reads back what is committed of keys that begin with `prefix`. Blocks for some seconds.
///
/// # Errors
/// See [`Unfit`].
pub fn look_at_positions(options: &Options, topic: &str, prefix: &[u8]) -> Result<PositionsTopic, Unfit> {
    let access = Access::new(options).map_err(Unfit::Other)?;
    let consumer = access.consumer("read_uncommitted").map_err(Unfit::Other)?;
    match partitions(&consumer, topic) {
        Ok(Some(_)) => Ok(PositionsTopic::Exists(read_back(options, topic, prefix)?)),
        Ok(None) => {
            let new = new_topic(topic, replicas(&consumer).map_err(|error| unfit(&error))?);
            let only_asked = AdminOptions::new().request_timeout(Some(PATIENCE)).validate_only(true);
            let admin = access.admin().map_err(Unfit::Other)?;
            let made = wait(admin.create_topics([&new], &only_asked)).map_err(Unfit::Other)?;
            match made.map_err(|error| unfit(&error))?.into_iter().next() {
                Some(Err((_, code))) => Err(Unfit::NotMade(code.to_string())),
                _ => Ok(PositionsTopic::MayBeMade),
            }
        }
        Err(error) => Err(unfit(&error)),
    }
}

impl Unfit {
    /// Of a call about a transaction with this id.
    fn of(id: &str, TransactError { code, text, .. }: TransactError) -> Self {
        let id = id.to_owned();
        match code {
            Code::TRANSACTIONAL_ID_AUTHORIZATION_FAILED | Code::CLUSTER_AUTHORIZATION_FAILED => Self::Id { id, text },
            Code::INVALID_TRANSACTION_TIMEOUT => Self::LongTimeout(text),
            _ => Self::Coordinator { id, text },
        }
    }

    /// Whether it may be otherwise in a moment, though nobody does anything.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Read(ReadError::Later { .. }) | Self::Coordinator { .. } | Self::Other(_) => true,
            Self::NotWritten(code) => matches!(code.verdict(), Verdict::Again | Verdict::Wait),
            _ => false,
        }
    }
}

fn unfit(error: &KafkaError) -> Unfit {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::TopicAuthorizationFailed) => Unfit::NotSeen,
        Some(code) => Unfit::Other(code.to_string()),
        None => Unfit::Other(error.to_string()),
    }
}

/// Tries a transaction under this id, with a record to this partition of the topic if there is one, and aborts it. Fences whoever uses the
/// id, so nobody may. Blocks for some seconds.
///
/// # Errors
/// See [`Unfit`].
pub fn try_transaction(options: &Options, id: &str, place: Option<(&str, i32)>) -> Result<(), Unfit> {
    let wake = Arc::new(Wake::new().map_err(StartError::from)?);
    let mut producer = Producer::transactional(options, None, id, wake)?;
    let inquirer = producer.inquirer();
    inquirer.renew_token();
    let of_id = |error| Unfit::of(id, error);
    inquirer.init(PATIENCE).map_err(of_id)?;
    let Some((topic, partition)) = place else { return Ok(()) };
    inquirer.begin().map_err(of_id)?;
    let written = write(&mut producer, topic, partition);
    // What is not aborted here ends with its time: nobody reads it.
    let aborted = inquirer.abort(PATIENCE).map_err(of_id);
    written.and(aborted)
}

fn write(producer: &mut Producer, topic: &str, partition: i32) -> Result<(), Unfit> {
    let record = PositionRecord {
        key: b"[\"\",\"check\"]".to_vec(),
        value: None,
    };
    let topic = producer.topic(topic).map_err(Unfit::NotWritten)?;
    let taken = producer.send_position(topic, partition, &record);
    taken.map_err(Unfit::NotWritten)?;
    let (deadline, mut reports) = (Instant::now() + 2 * PATIENCE, Vec::new());
    while producer.outstanding() > 0 && Instant::now() < deadline {
        producer.reports(1, &mut reports);
        for report in reports.drain(..) {
            if let Report::Failed { code, .. } = report {
                // Records come back purged where the transaction fails as a whole, for whatever reason.
                return Err(Unfit::NotWritten(producer.inquirer().why().unwrap_or(code)));
            }
        }
        std::thread::sleep(PAUSE);
    }
    if producer.outstanding() == 0 {
        Ok(())
    } else {
        Err(Unfit::Other("a record to it is not acknowledged".to_owned()))
    }
}

/// Between two looks for the acknowledgement of one record.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transact::Cure;

    #[test]
    fn what_is_wrong_with_a_transaction_is_told_apart() {
        let said = |code| {
            let error = TransactError {
                code,
                text: "its words".to_owned(),
                cure: Cure::Unknown,
            };
            let unfit = Unfit::of("logcatch-i", error);
            (unfit.to_string(), unfit.may_pass())
        };
        let (id, may_pass) = said(Code(53));
        assert_eq!(id, "this user may not use the transactional id `logcatch-i`: its words");
        assert!(!may_pass);
        let (timeout, may_pass) = said(Code(50));
        assert!(
            timeout.starts_with("`transaction.timeout.ms` is more than "),
            "{timeout}"
        );
        assert!(!may_pass);
        let (away, may_pass) = said(Code::TIMED_OUT);
        assert_eq!(
            away,
            "the transaction coordinator does not serve `logcatch-i` now: its words"
        );
        assert!(may_pass);
    }

    #[test]
    fn numbers_are_those_of_the_library() {
        assert_eq!(
            (
                Code::TRANSACTIONAL_ID_AUTHORIZATION_FAILED.name(),
                Code::INVALID_TRANSACTION_TIMEOUT.name()
            ),
            ("TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "INVALID_TRANSACTION_TIMEOUT")
        );
    }
}
