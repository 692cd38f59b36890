//! librdkafka's producer: the only place with unsafe code.
//!
//! Delivery reports, errors and log lines are events that we take from the main queue, so no panic can cross, and no
//! thread of the library runs our code. Its threads only read the buffers that were lent to it. The one exception is
//! [`tls`], which tells why a certificate is not accepted and calls nothing that could panic.
//!
//! The safety of the hot path rests on one rule. Payloads are not copied: librdkafka points into a [`Loan`]'s
//! buffer until it reports the record or the client is destroyed. A loan is dropped only when all its records have
//! been reported; those of a dropped producer move to [`Shared::kept`], which is dropped after the client.
#![expect(
    unsafe_code,
    reason = "librdkafka is a C library, and its batch calls have no safe wrapper"
)]

mod heap;
mod inquirer;
mod producer;
mod properties;
mod tls;
mod token;
mod transaction;

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::offset_of;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::bindings as c;
use rdkafka::client::{Client, DefaultClientContext};

use crate::error::Code;
use crate::headers::RecordHeaders;
use crate::oidc::TokenSource;
use crate::outlet::ParcelId;
use crate::wake::Wake;

pub use heap::{gather_heap, give_back_heap};
pub use inquirer::Inquirer;
pub use producer::Producer;
pub(crate) use properties::list as list_properties;
pub(crate) use token::set_token;

/// The longest name of a topic that a broker takes.
const TOPIC_NAME_MAX: usize = 249;

/// `rd_kafka_message_t` with its error as a number: a broker may send one that the bindings' enum does not list,
/// and such an enum must not even exist.
#[repr(C)]
struct Message {
    error: c_int,
    topic: *mut c_void,
    partition: i32,
    payload: *mut c_void,
    len: usize,
    key: *mut c_void,
    key_len: usize,
    offset: i64,
    private: *mut c_void,
}

const _: () = assert!(size_of::<Message>() == size_of::<c::rd_kafka_message_t>());
const _: () = assert!(offset_of!(Message, payload) == offset_of!(c::rd_kafka_message_t, payload));
const _: () = assert!(offset_of!(Message, key_len) == offset_of!(c::rd_kafka_message_t, key_len));
const _: () = assert!(offset_of!(Message, private) == offset_of!(c::rd_kafka_message_t, _private));
// A parcel and an index fit into one opaque pointer.
const _: () = assert!(usize::BITS == 64);

/// As `rd_kafka_err_desc`, likewise.
#[repr(C)]
struct ErrorText {
    code: c_int,
    name: *const c_char,
    text: *const c_char,
}

// The same functions as in the bindings, but with numbers in place of enums.
unsafe extern "C" {
    fn rd_kafka_get_err_descs(texts: *mut *const ErrorText, count: *mut usize);
    fn rd_kafka_event_error(event: *mut c::rd_kafka_event_t) -> c_int;
    fn rd_kafka_last_error() -> c_int;
    fn rd_kafka_header_add(
        headers: *mut c::rd_kafka_headers_t,
        name: *const c_char,
        name_len: isize,
        value: *const c_void,
        value_len: isize,
    ) -> c_int;
    fn rd_kafka_producev(client: *mut c::rd_kafka_t, ...) -> c_int;
    fn rd_kafka_ConfigResource_error(resource: *const c::rd_kafka_ConfigResource_t) -> c_int;
    fn rd_kafka_oauthbearer_set_token(
        client: *mut c::rd_kafka_t,
        token: *const c_char,
        until_ms: i64,
        principal: *const c_char,
        extensions: *mut *const c_char,
        extension_count: usize,
        error: *mut c_char,
        error_size: usize,
    ) -> c_int;
    fn rd_kafka_oauthbearer_set_token_failure(client: *mut c::rd_kafka_t, error: *const c_char) -> c_int;
}

/// Fields are dropped in this order: the client ends its threads, then nothing points into the buffers.
struct Shared {
    client: Client<DefaultClientContext>,
    tokens: Option<TokenSource>,
    kept: Mutex<Vec<Arc<Vec<u8>>>>,
    /// A record came back since the transaction began.
    failed: AtomicBool,
    _wake: Arc<Wake>,
}

#[derive(Default)]
struct Loan {
    buffer: Option<Arc<Vec<u8>>>,
    outstanding: u32,
    released: bool,
}

struct Topic(NonNull<c::rd_kafka_topic_t>);
struct Queue(NonNull<c::rd_kafka_queue_t>);
struct Event(NonNull<c::rd_kafka_event_t>);
/// Of a record that is not handed over yet.
struct HeaderList(NonNull<c::rd_kafka_headers_t>);

impl Message {
    const fn empty() -> Self {
        Self {
            error: 0,
            topic: ptr::null_mut(),
            partition: 0,
            payload: ptr::null_mut(),
            len: 0,
            key: ptr::null_mut(),
            key_len: 0,
            offset: 0,
            private: ptr::null_mut(),
        }
    }
}

impl Loan {
    fn drop_if_done(&mut self) {
        if self.released && self.outstanding == 0 {
            self.buffer = None;
        }
    }
}

impl Shared {
    /// Keeps a buffer until the client is gone.
    fn keep(&self, buffer: Option<Arc<Vec<u8>>>) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).extend(buffer);
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: the handle is ours alone, and its client is alive: see the order of fields in `Producer`.
        unsafe { c::rd_kafka_topic_destroy(self.0.as_ptr()) }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: the reference is ours alone, and its client is alive.
        unsafe { c::rd_kafka_queue_destroy(self.0.as_ptr()) }
    }
}

impl HeaderList {
    /// None when a header is too long to be one.
    fn new(headers: &RecordHeaders<'_>) -> Option<Self> {
        // SAFETY: the call allocates; the number only says for how many.
        let list = NonNull::new(unsafe { c::rd_kafka_headers_new(headers.count()) }).map(Self)?;
        let mut is_whole = true;
        headers.for_each(|name, value| {
            let lengths = (isize::try_from(name.len()), isize::try_from(value.len()));
            let (Ok(name_len), Ok(value_len)) = lengths else {
                is_whole = false;
                return;
            };
            // SAFETY: the list is ours; name and value are copied, by the lengths given.
            let error = unsafe {
                rd_kafka_header_add(
                    list.0.as_ptr(),
                    name.as_ptr().cast(),
                    name_len,
                    value.as_ptr().cast(),
                    value_len,
                )
            };
            is_whole &= error == Code::NONE.0;
        });
        is_whole.then_some(list)
    }
}

impl Drop for HeaderList {
    fn drop(&mut self) {
        // SAFETY: the list is ours alone: a record that takes it is followed by `mem::forget`.
        unsafe { c::rd_kafka_headers_destroy(self.0.as_ptr()) }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: the event is ours alone since it was polled. Its messages go with it.
        unsafe { c::rd_kafka_event_destroy(self.0.as_ptr()) }
    }
}

/// The name of an error, `_FAIL` and the like; `UNKNOWN` if the library lists none.
pub(crate) fn error_name(code: Code) -> &'static str {
    describe(code).map_or("UNKNOWN", |(name, _)| name)
}

/// What an error means, in the library's words.
pub(crate) fn error_text(code: Code) -> &'static str {
    describe(code).map_or("an error that librdkafka does not know", |(_, text)| text)
}

fn describe(code: Code) -> Option<(&'static str, &'static str)> {
    let (mut texts, mut count) = (ptr::null(), 0);
    // SAFETY: gives out a table of constants of the length it says. Its texts are constants or null.
    unsafe {
        rd_kafka_get_err_descs(&raw mut texts, &raw mut count);
        let texts: &'static [ErrorText] = std::slice::from_raw_parts(texts, count);
        let found = texts
            .iter()
            .find(|text| text.code == code.0 && !text.name.is_null() && !text.text.is_null())?;
        Some((
            CStr::from_ptr(found.name).to_str().ok()?,
            CStr::from_ptr(found.text).to_str().ok()?,
        ))
    }
}

/// A name that a topic can have.
fn topic_name(name: &str) -> Result<CString, Code> {
    if name.is_empty() || name.len() > TOPIC_NAME_MAX {
        return Err(Code::TOPIC_EXCEPTION);
    }
    CString::new(name).map_err(|_| Code::TOPIC_EXCEPTION)
}

/// A slice as C takes it. Never null, an empty one neither: null would make a tombstone of an empty value.
fn raw(bytes: &[u8]) -> (*mut c_void, usize) {
    (bytes.as_ptr().cast_mut().cast(), bytes.len())
}

/// A record's name in librdkafka: no pointer, so a report that should not be there can do no harm.
fn opaque(parcel: ParcelId, index: u32) -> *mut c_void {
    ptr::without_provenance_mut(((parcel as usize) << 32) | index as usize)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the halves are taken apart as they were put together"
)]
fn parcel_and_index(opaque: *mut c_void) -> (ParcelId, u32) {
    let both = opaque.addr();
    ((both >> 32) as u32, both as u32)
}

/// # Safety
/// Null, or a text that ends with NUL and lives for `'a`.
unsafe fn text<'a>(text: *const c_char) -> &'a str {
    if text.is_null() {
        return "";
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_str().unwrap_or("(not UTF-8)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_named_without_loss() {
        for (parcel, index) in [(0, 0), (1, 2), (u32::MAX, 7), (7, u32::MAX)] {
            assert_eq!(parcel_and_index(opaque(parcel, index)), (parcel, index));
        }
    }

    #[test]
    fn an_empty_value_is_not_null() {
        assert!(!raw(&[]).0.is_null());
        assert!(!raw(&[1_u8, 2][2..]).0.is_null());
    }

    #[test]
    fn names_that_no_topic_has_are_refused_here() {
        for name in ["", "a\0b", &"x".repeat(250)] {
            assert_eq!(topic_name(name), Err(Code::TOPIC_EXCEPTION));
        }
        assert!(topic_name(&"x".repeat(249)).is_ok());
    }
}
