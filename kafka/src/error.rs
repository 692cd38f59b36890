//! What an error of librdkafka or of a broker means for the records it names.

use std::fmt;

use crate::ffi;

/// An error code: negative ones are librdkafka's own, the others are the broker's.
///
/// A plain number, because a newer broker may send one that no enum of ours lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub i32);

/// The three classes that are told apart in status and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorClass {
    /// Passes by itself or by an operator's doing: waited out, for ever.
    Retriable,
    /// Concerns the record itself (or the batch it was sent in): split, and at the last a dead letter.
    Record,
    /// The producer cannot go on: it is replaced, and all that is not acknowledged is sent again.
    Fatal,
}

/// What is done about a failed record: the classes, the retriable one by how long it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing is wrong with it nor with the topic: sent again at once.
    Again,
    /// The topic accepts nothing for now: sent again after a pause.
    Wait,
    /// As [`Verdict::Wait`], and what is known of the topic is asked anew first.
    Ask,
    /// Sent again in a smaller batch; refused alone, it is a dead letter.
    Record,
    /// The producer is replaced.
    Fatal,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal;)*) => {
        impl Code {
            $($(#[$doc])* pub const $name: Code = Code($number);)*

            /// Those that have a name here; others may come.
            pub const KNOWN: &[Code] = &[$(Code::$name),*];
        }
    };
}

codes! {
    /// No error.
    NONE = 0;
    /// The client is being destroyed.
    DESTROY = -197;
    /// A connection failed.
    TRANSPORT = -195;
    /// A host name cannot be resolved.
    RESOLVE = -193;
    /// The topic does not have this partition, as far as the client knows.
    UNKNOWN_PARTITION = -190;
    /// The topic does not exist, as far as the client knows.
    UNKNOWN_TOPIC = -188;
    /// No broker is connected.
    ALL_BROKERS_DOWN = -187;
    /// A range that does not lie in its buffer, or a name that cannot be one.
    INVALID_ARGUMENT = -186;
    /// A request got no answer in time.
    TIMED_OUT = -185;
    /// The client's queue is full.
    QUEUE_FULL = -184;
    /// TLS failed.
    SSL = -181;
    /// The credentials are not accepted.
    AUTHENTICATION = -169;
    /// The client is not in a state for that: its transaction is to be aborted.
    STATE = -172;
    /// Purged from the queue before it was sent.
    PURGE_QUEUE = -152;
    /// Purged while a request was under way.
    PURGE_INFLIGHT = -151;
    /// A fatal error of the client.
    FATAL = -150;
    /// The idempotent producer would leave a gap.
    GAPLESS_GUARANTEE = -148;
    /// Fenced by a newer producer.
    FENCED = -144;
    /// Another record of the same batch was invalid.
    INVALID_DIFFERENT_RECORD = -138;
    /// The topic or the partition does not exist.
    UNKNOWN_TOPIC_OR_PARTITION = 3;
    /// The size of a message is negative or beyond a hard limit.
    INVALID_MESSAGE_SIZE = 4;
    /// No leader at present.
    LEADER_NOT_AVAILABLE = 5;
    /// The batch is over the topic's `max.message.bytes`.
    MESSAGE_TOO_LARGE = 10;
    /// The topic's name is not allowed.
    TOPIC_EXCEPTION = 17;
    /// The batch is over the size of a segment.
    RECORD_LIST_TOO_LARGE = 18;
    /// Fewer replicas in sync than `min.insync.replicas`.
    NOT_ENOUGH_REPLICAS = 19;
    /// No right to write to the topic.
    TOPIC_AUTHORIZATION_FAILED = 29;
    /// No right to what the producer asks of the cluster.
    CLUSTER_AUTHORIZATION_FAILED = 31;
    /// The record's time is out of the topic's bounds.
    INVALID_TIMESTAMP = 32;
    /// A sequence number was skipped.
    OUT_OF_ORDER_SEQUENCE = 45;
    /// The producer's epoch is old.
    INVALID_PRODUCER_EPOCH = 47;
    /// The producer's id is not the one the broker knows.
    INVALID_PRODUCER_ID_MAPPING = 49;
    /// `transaction.timeout.ms` is above the brokers' `transaction.max.timeout.ms`.
    INVALID_TRANSACTION_TIMEOUT = 50;
    /// No right to the transactional id.
    TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53;
    /// The broker no longer knows the producer's id.
    UNKNOWN_PRODUCER_ID = 59;
    /// A record fails the broker's validation.
    INVALID_RECORD = 87;
    /// A newer producer has the same transactional id.
    PRODUCER_FENCED = 90;
    /// No topic with this id: deleted, and perhaps made anew under the same name.
    UNKNOWN_TOPIC_ID = 100;
}

impl Code {
    /// Another producer has the same transactional id, or the broker ended our transaction.
    pub(crate) fn is_fenced(self) -> bool {
        matches!(
            self,
            Code::FENCED | Code::PRODUCER_FENCED | Code::INVALID_PRODUCER_EPOCH
        )
    }

    /// The class this error counts under.
    pub fn class(self) -> ErrorClass {
        match self.verdict() {
            Verdict::Again | Verdict::Wait | Verdict::Ask => ErrorClass::Retriable,
            Verdict::Record => ErrorClass::Record,
            Verdict::Fatal => ErrorClass::Fatal,
        }
    }

    /// What is done about a record that came back with this error.
    pub(crate) fn verdict(self) -> Verdict {
        match self {
            // Ours or a neighbour's doing: the record was not even judged.
            Code::PURGE_QUEUE
            | Code::PURGE_INFLIGHT
            | Code::STATE
            | Code::DESTROY
            | Code::QUEUE_FULL
            | Code::INVALID_DIFFERENT_RECORD => Verdict::Again,

            // The topic is gone, was made anew with fewer partitions, or our rights to it have changed: what we know
            // of it is old. It comes back when an operator says so, and the log file keeps the lines until then.
            Code::UNKNOWN_TOPIC
            | Code::UNKNOWN_PARTITION
            | Code::UNKNOWN_TOPIC_OR_PARTITION
            | Code::UNKNOWN_TOPIC_ID
            | Code::TOPIC_EXCEPTION
            | Code::TOPIC_AUTHORIZATION_FAILED => Verdict::Ask,

            // The verdict names a batch. Alone, each of these is about the record: too big for the topic or for the
            // client, or refused by the broker's validation (no key in a compacted topic, for one).
            Code::INVALID_MESSAGE_SIZE
            | Code::MESSAGE_TOO_LARGE
            | Code::RECORD_LIST_TOO_LARGE
            | Code::INVALID_RECORD
            | Code::INVALID_ARGUMENT => Verdict::Record,

            // The idempotent producer lost track of its sequence, or may not have one: librdkafka refuses everything
            // from here on (or would reorder), and only a new producer id helps.
            Code::FATAL
            | Code::GAPLESS_GUARANTEE
            | Code::FENCED
            | Code::PRODUCER_FENCED
            | Code::OUT_OF_ORDER_SEQUENCE
            | Code::UNKNOWN_PRODUCER_ID
            | Code::INVALID_PRODUCER_ID_MAPPING => Verdict::Fatal,

            // Everything else is waited out, unknown codes of newer brokers included: a line is never given up for a
            // reason that we do not understand. Among them, on purpose: INVALID_TIMESTAMP (the clock is wrong, not
            // the line, and each sending takes the time anew), NOT_ENOUGH_REPLICAS, CLUSTER_AUTHORIZATION_FAILED
            // (rights come back), INVALID_PRODUCER_EPOCH (librdkafka bumps its epoch itself and goes on).
            _ => Verdict::Wait,
        }
    }

    /// The error's name in metrics and messages, as librdkafka spells it: `MSG_SIZE_TOO_LARGE`, `_TRANSPORT`.
    pub fn name(self) -> &'static str {
        ffi::error_name(self)
    }
}

impl ErrorClass {
    /// The name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            ErrorClass::Retriable => "retriable",
            ErrorClass::Record => "record",
            ErrorClass::Fatal => "fatal",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ffi::error_text(*self))
    }
}

impl std::error::Error for Code {}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::types::RDKafkaErrorCode;

    #[test]
    fn every_code_of_the_library_has_a_class_and_a_name() {
        for number in -199..=130 {
            let code = Code(number);
            code.class();
            assert!(!code.name().is_empty(), "{number}");
            assert!(!code.to_string().is_empty(), "{number}");
        }
    }

    #[test]
    fn a_code_that_no_list_knows_is_waited_out() {
        for number in [131, 999, i32::MAX, -1] {
            assert_eq!(Code(number).class(), ErrorClass::Retriable);
        }
    }

    #[test]
    fn only_what_concerns_a_record_makes_dead_letters() {
        let record: Vec<i32> = (-199..=130)
            .filter(|&number| Code(number).class() == ErrorClass::Record)
            .collect();
        assert_eq!(record, [-186, 4, 10, 18, 87]);
    }

    #[test]
    fn what_comes_back_by_itself_or_by_an_operator_is_retriable() {
        for code in [
            Code::UNKNOWN_TOPIC_OR_PARTITION,
            Code::UNKNOWN_TOPIC,
            Code::UNKNOWN_PARTITION,
            Code::TOPIC_AUTHORIZATION_FAILED,
            Code::CLUSTER_AUTHORIZATION_FAILED,
            Code::NOT_ENOUGH_REPLICAS,
            Code::INVALID_TIMESTAMP,
            Code::PURGE_QUEUE,
            Code::PURGE_INFLIGHT,
            Code::INVALID_PRODUCER_EPOCH,
            Code::TRANSPORT,
        ] {
            assert_eq!(code.class(), ErrorClass::Retriable, "{}", code.name());
        }
        for code in [Code::FATAL, Code::OUT_OF_ORDER_SEQUENCE, Code::UNKNOWN_PRODUCER_ID] {
            assert_eq!(code.class(), ErrorClass::Fatal, "{}", code.name());
        }
    }

    #[test]
    fn numbers_are_those_of_the_library() {
        for (code, theirs) in [
            (Code::DESTROY, RDKafkaErrorCode::BrokerDestroy),
            (Code::TRANSPORT, RDKafkaErrorCode::BrokerTransportFailure),
            (Code::RESOLVE, RDKafkaErrorCode::Resolve),
            (Code::UNKNOWN_PARTITION, RDKafkaErrorCode::UnknownPartition),
            (Code::UNKNOWN_TOPIC, RDKafkaErrorCode::UnknownTopic),
            (Code::ALL_BROKERS_DOWN, RDKafkaErrorCode::AllBrokersDown),
            (Code::QUEUE_FULL, RDKafkaErrorCode::QueueFull),
            (Code::PURGE_QUEUE, RDKafkaErrorCode::PurgeQueue),
            (Code::PURGE_INFLIGHT, RDKafkaErrorCode::PurgeInflight),
            (Code::FATAL, RDKafkaErrorCode::Fatal),
            (Code::FENCED, RDKafkaErrorCode::Fenced),
            (Code::MESSAGE_TOO_LARGE, RDKafkaErrorCode::MessageSizeTooLarge),
            (
                Code::TOPIC_AUTHORIZATION_FAILED,
                RDKafkaErrorCode::TopicAuthorizationFailed,
            ),
            (Code::INVALID_TIMESTAMP, RDKafkaErrorCode::InvalidTimestamp),
            (Code::OUT_OF_ORDER_SEQUENCE, RDKafkaErrorCode::OutOfOrderSequenceNumber),
            (Code::UNKNOWN_PRODUCER_ID, RDKafkaErrorCode::UnknownProducerId),
            (Code::INVALID_RECORD, RDKafkaErrorCode::InvalidRecord),
        ] {
            assert_eq!(code.0, theirs as i32, "{}", code.name());
        }
    }
}
