//! Transactions of the producer. Each call may block: off the arbiters, while another thread takes the reports.

use std::ffi::{c_char, c_int};
use std::ptr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rdkafka::bindings as c;

use super::{Inquirer, Producer, opaque, raw, rd_kafka_producev, text};
use crate::error::Code;
use crate::outlet::TopicId;
use crate::transact::{Cure, POSITIONS, PositionRecord, Transact, TransactError};

// As in the bindings, but with a number in place of an enum.
unsafe extern "C" {
    fn rd_kafka_flush(client: *mut c::rd_kafka_t, timeout: c_int) -> c_int;
    fn rd_kafka_error_code(error: *const c::rd_kafka_error_t) -> c_int;
    fn rd_kafka_error_string(error: *const c::rd_kafka_error_t) -> *const c_char;
}

impl Transact for Inquirer {
    fn init(&self, timeout: Duration) -> Result<(), TransactError> {
        // SAFETY: the client is alive; the error is ours.
        unsafe { self.read(c::rd_kafka_init_transactions(self.native(), millis(timeout))) }
    }

    fn begin(&self) -> Result<(), TransactError> {
        self.shared.failed.store(false, Ordering::Release);
        // SAFETY: as above.
        unsafe { self.read(c::rd_kafka_begin_transaction(self.native())) }
    }

    /// Not all that makes a record come back makes the library refuse the commit, so that is seen to here. Reports are
    /// counted when they are taken, and then nothing is left to wait for: with anything under way, a commit would wait for
    /// requests that linger.
    fn commit(&self, timeout: Duration) -> Result<(), TransactError> {
        // SAFETY: the client is alive.
        let flushed = Code(unsafe { rd_kafka_flush(self.native(), millis(timeout)) });
        let (text, cure) = match flushed {
            Code::NONE if !self.shared.failed.load(Ordering::Acquire) => ("", Cure::Unknown),
            Code::NONE => ("a record came back", Cure::Abort),
            _ => ("not everything is acknowledged yet", Cure::Again),
        };
        if !text.is_empty() {
            return Err(TransactError {
                code: if cure == Cure::Abort { Code::STATE } else { flushed },
                text: text.to_owned(),
                cure,
            });
        }
        // SAFETY: as above.
        unsafe { self.read(c::rd_kafka_commit_transaction(self.native(), millis(timeout))) }
    }

    /// The library says it to whoever begins another one too early, which changes nothing.
    fn why(&self) -> Option<Code> {
        // SAFETY: as above.
        let begun = unsafe { self.read(c::rd_kafka_begin_transaction(self.native())) };
        begun
            .err()
            .filter(|error| error.cure == Cure::Abort)
            .map(|error| error.code)
    }

    fn abort(&self, timeout: Duration) -> Result<(), TransactError> {
        // SAFETY: as above.
        unsafe { self.read(c::rd_kafka_abort_transaction(self.native(), millis(timeout))) }
    }
}

impl Inquirer {
    fn native(&self) -> *mut c::rd_kafka_t {
        self.shared.client.native_ptr()
    }

    /// # Safety
    /// Null, or an error that nobody else has.
    unsafe fn read(&self, error: *mut c::rd_kafka_error_t) -> Result<(), TransactError> {
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: the error is alive until it is destroyed; its text is copied before.
        unsafe {
            let read = TransactError {
                code: Code(rd_kafka_error_code(error)),
                text: self.secrets.hide(text(rd_kafka_error_string(error))).into_owned(),
                cure: if c::rd_kafka_error_is_fatal(error) != 0 {
                    Cure::NewClient
                } else if c::rd_kafka_error_txn_requires_abort(error) != 0 {
                    Cure::Abort
                } else if c::rd_kafka_error_is_retriable(error) != 0 {
                    Cure::Again
                } else {
                    Cure::Unknown
                },
            };
            c::rd_kafka_error_destroy(error);
            Err(read)
        }
    }
}

impl Producer {
    /// Hands a position over; it is reported under [`POSITIONS`]. False: the queue is full.
    pub(super) fn produce_position(
        &mut self,
        topic: TopicId,
        partition: i32,
        record: &PositionRecord,
    ) -> Result<bool, Code> {
        let Some(topic) = self.handle(topic) else {
            return Err(Code::INVALID_ARGUMENT);
        };
        let (key, key_len) = raw(&record.key);
        // Null makes a tombstone.
        let (value, value_len) = record.value.as_deref().map_or((ptr::null_mut(), 0), raw);
        // SAFETY: client and topic are alive. Each tag is followed by the arguments it asks for; the list ends with
        // END. F_COPY: key and value are copied.
        let error = unsafe {
            rd_kafka_producev(
                self.shared.client.native_ptr(),
                c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_RKT,
                topic,
                c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_PARTITION,
                partition,
                c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_MSGFLAGS,
                c::RD_KAFKA_MSG_F_COPY,
                c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_VALUE,
                value,
                value_len,
                c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_KEY,
                key,
                key_len,
                c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_OPAQUE,
                opaque(POSITIONS, 0),
                c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_END,
            )
        };
        match Code(error) {
            Code::NONE => {
                self.outstanding += 1;
                Ok(true)
            }
            Code::QUEUE_FULL => Ok(false),
            code => Err(code),
        }
    }
}

fn millis(time: Duration) -> c_int {
    c_int::try_from(time.as_millis()).unwrap_or(c_int::MAX)
}
