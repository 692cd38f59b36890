//! The producer's calls.

use std::ffi::c_int;
use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::bindings as c;
use rdkafka::client::{Client, DefaultClientContext};
use rdkafka::types::RDKafkaType;

use super::{
    Event, HeaderList, Inquirer, Loan, Message, Queue, Shared, Topic, opaque, parcel_and_index, raw,
    rd_kafka_event_error, rd_kafka_last_error, rd_kafka_producev, text, tls, topic_name,
};
use crate::error::Code;
use crate::headers::RecordHeaders;
use crate::oidc::TokenSource;
use crate::options::{Options, QUEUE_RECORDS, Secrets, StartError};
use crate::outlet::{Outlet, ParcelId, Report, Sent, Shipment, TopicId};
use crate::transact::PositionRecord;
use crate::wake::Wake;

/// Records a call of the batch function: enough that its fixed costs vanish, and its array stays in the cache.
const CHUNK: usize = 1024;

/// librdkafka's producer as an [`Outlet`]. Dropping it purges what it holds and may block: do it off the arbiters.
pub struct Producer {
    topics: Vec<Option<Topic>>,
    queue: Queue,
    loans: Vec<Loan>,
    messages: Box<[Message]>,
    pub(super) outstanding: u32,
    refusals: u64,
    secrets: Secrets,
    /// What was said last of a certificate that is not accepted.
    verdict: String,
    // Last: topics and queue must be destroyed before their client.
    pub(super) shared: Arc<Shared>,
}

// SAFETY: the handles are librdkafka's own, which may be used from any thread, one after the other or at once
// (INTRODUCTION.md, "Threads and callbacks"); `messages` holds pointers only while `send` runs.
unsafe impl Send for Producer {}

impl Producer {
    /// A producer that rings `wake` when there is something to report. Connects in the background.
    ///
    /// # Errors
    /// A property is ours, unknown or refused, or all together are.
    pub fn new(options: &Options, batch_bytes: Option<u64>, wake: Arc<Wake>) -> Result<Self, StartError> {
        Self::of(options, &options.config(batch_bytes)?, wake)
    }

    /// As [`Producer::new`], one for transactions under this id.
    ///
    /// # Errors
    /// As there.
    pub fn transactional(
        options: &Options,
        batch_bytes: Option<u64>,
        id: &str,
        wake: Arc<Wake>,
    ) -> Result<Self, StartError> {
        Self::of(options, &options.transactional(batch_bytes, id)?, wake)
    }

    fn of(options: &Options, config: &ClientConfig, wake: Arc<Wake>) -> Result<Self, StartError> {
        let native = config.create_native_config().map_err(|error| options.redact(error))?;
        let tokens = TokenSource::of(options)?;
        let mut events = c::RD_KAFKA_EVENT_DR | c::RD_KAFKA_EVENT_ERROR | c::RD_KAFKA_EVENT_LOG;
        if tokens.is_some() {
            events |= c::RD_KAFKA_EVENT_OAUTHBEARER_TOKEN_REFRESH;
        }
        // SAFETY: the configuration is alive; it is handed to the client below.
        unsafe {
            c::rd_kafka_conf_set_events(native.ptr(), events);
            tls::tell_why(native.ptr());
        }
        let client = Client::new(config, native, RDKafkaType::RD_KAFKA_PRODUCER, DefaultClientContext)
            .map_err(|error| options.redact(error))?;
        // SAFETY: the client is alive. The call only adds a reference to its main queue.
        let queue = NonNull::new(unsafe { c::rd_kafka_queue_get_main(client.native_ptr()) })
            .map(Queue)
            .ok_or_else(|| StartError::Create {
                reason: "it has no main queue".into(),
            })?;
        // SAFETY: the bytes are copied. The descriptor stays open as long as the client, which `Shared` sees to.
        unsafe {
            let ring = Wake::RING;
            c::rd_kafka_queue_io_event_enable(queue.0.as_ptr(), wake.writer(), ring.as_ptr().cast(), ring.len());
        }
        // Logged while it was created, before anyone listened.
        wake.ring();
        Ok(Self {
            topics: Vec::new(),
            queue,
            loans: Vec::new(),
            messages: (0..CHUNK).map(|_| Message::empty()).collect(),
            outstanding: 0,
            refusals: 0,
            secrets: options.secrets(),
            verdict: String::new(),
            shared: Arc::new(Shared {
                client,
                tokens,
                kept: Mutex::default(),
                failed: AtomicBool::new(false),
                _wake: wake,
            }),
        })
    }

    /// Makes librdkafka fail fatally, as after a lost sequence number: for tests of what then happens.
    #[cfg(debug_assertions)]
    pub fn fail_fatally(&self) {
        let code = c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
        // SAFETY: the client is alive and the text is copied.
        unsafe { c::rd_kafka_test_fatal_error(self.shared.client.native_ptr(), code, c"a test wanted it".as_ptr()) };
    }

    pub(super) fn handle(&self, topic: TopicId) -> Option<*mut c::rd_kafka_topic_t> {
        let topic = self.topics.get(usize::try_from(topic.0).ok()?)?;
        topic.as_ref().map(|topic| topic.0.as_ptr())
    }

    fn loan(&mut self, parcel: ParcelId) -> Option<&mut Loan> {
        self.loans.get_mut(usize::try_from(parcel).ok()?)
    }

    /// Points `messages` at the records picked; how many, up to the first that is not in the buffer.
    fn point(&mut self, shipment: &Shipment<'_>) -> usize {
        let loan = usize::try_from(shipment.parcel)
            .ok()
            .and_then(|parcel| self.loans.get(parcel));
        let Some(buffer) = loan.and_then(|loan| loan.buffer.as_deref()) else {
            return 0;
        };
        let (key, key_len) = raw(shipment.key);
        let key = if key_len == 0 { ptr::null_mut() } else { key };
        let mut filled = 0;
        for message in self.messages.iter_mut().take(shipment.picks.len()) {
            let Some(index) = shipment.picks.get(filled) else { break };
            let Some(record) = shipment.record(index, buffer) else {
                break;
            };
            (message.payload, message.len) = raw(record);
            (message.key, message.key_len) = (key, key_len);
            message.private = opaque(shipment.parcel, index);
            message.error = 0;
            filled += 1;
        }
        filled
    }

    /// A record with headers; the batch function knows none.
    fn send_with(
        &mut self,
        shipment: &Shipment<'_>,
        topic: *mut c::rd_kafka_topic_t,
        headers: &RecordHeaders<'_>,
    ) -> c_int {
        if self.point(shipment) == 0 {
            return Code::INVALID_ARGUMENT.0;
        }
        let (Some(message), Some(headers)) = (self.messages.first(), HeaderList::new(headers)) else {
            return Code::INVALID_ARGUMENT.0;
        };
        // SAFETY: client, topic and headers are alive. Each tag is followed by the arguments it asks for; the list ends with
        // END. The key is copied; the payload lies in a loan whose count goes up if the record is taken.
        let error = unsafe {
            rd_kafka_producev(
                self.shared.client.native_ptr(),
                c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_RKT,
                topic,
                c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_PARTITION,
                shipment.partition,
                c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_VALUE,
                message.payload,
                message.len,
                c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_KEY,
                message.key,
                message.key_len,
                c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_OPAQUE,
                message.private,
                c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_HEADERS,
                headers.0.as_ptr(),
                c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_END,
            )
        };
        if error == Code::NONE.0 {
            // The record has them now.
            std::mem::forget(headers);
        }
        error
    }

    /// Reads a delivery report: all records of one request, of one partition.
    fn read_delivery(&mut self, event: &Event, into: &mut Vec<Report>) -> u32 {
        // SAFETY: the event is alive; the call reads a number.
        let alone = unsafe { c::rd_kafka_event_message_count(event.0.as_ptr()) } == 1;
        self.refusals += 1;
        let refusal = self.refusals;
        let mut took = None;
        let mut first = true;
        let mut seen = 0;
        // Records of one parcel come in runs: counted down once a run, not once a record.
        let mut run: Option<(ParcelId, u32)> = None;
        loop {
            // SAFETY: the event is alive, and owns the message until it is destroyed.
            let message = unsafe { c::rd_kafka_event_message_next(event.0.as_ptr()) };
            // SAFETY: null, or a message of the event; `Message` has its layout.
            let Some(record) = (unsafe { message.cast::<Message>().as_ref() }) else {
                break;
            };
            seen += 1;
            let (parcel, index) = parcel_and_index(record.private);
            if record.error == 0 {
                match &mut run {
                    Some((of, records)) if *of == parcel => *records += 1,
                    _ => {
                        if std::mem::take(&mut first) {
                            // SAFETY: as above; the call reads a time.
                            let micros = unsafe { c::rd_kafka_message_latency(message) };
                            took = u64::try_from(micros).ok().map(Duration::from_micros);
                        }
                        self.end_run(run.replace((parcel, 1)), &mut took, into);
                    }
                }
            } else {
                // Before the event is destroyed, which a commit waits for.
                self.shared.failed.store(true, Ordering::Release);
                self.settle_loan(parcel, 1);
                into.push(Report::Failed {
                    parcel,
                    index,
                    code: Code(record.error),
                    refusal,
                    alone,
                });
            }
        }
        self.end_run(run, &mut took, into);
        self.outstanding = self.outstanding.saturating_sub(seen);
        seen
    }

    fn end_run(&mut self, run: Option<(ParcelId, u32)>, took: &mut Option<Duration>, into: &mut Vec<Report>) {
        if let Some((parcel, records)) = run {
            self.settle_loan(parcel, records);
            into.push(Report::Acked {
                parcel,
                records,
                took: took.take(),
            });
        }
    }

    /// Counts a loan's reported records down. Only here and in `release` a buffer is given up.
    fn settle_loan(&mut self, parcel: ParcelId, records: u32) {
        if let Some(loan) = self.loan(parcel) {
            loan.outstanding = loan.outstanding.saturating_sub(records);
            loan.drop_if_done();
        }
    }

    fn read_error(&self, event: &Event) -> Report {
        // SAFETY: the event is alive and an error event; its text lives as long as it.
        let (code, text, fatal) = unsafe {
            let text = text(c::rd_kafka_event_error_string(event.0.as_ptr()));
            let fatal = c::rd_kafka_event_error_is_fatal(event.0.as_ptr()) != 0;
            (Code(rd_kafka_event_error(event.0.as_ptr())), text, fatal)
        };
        let text = self
            .secrets
            .hide(tls::with_verdict(text.trim(), &self.verdict).as_ref())
            .into_owned();
        Report::Trouble { code, text, fatal }
    }

    /// Passes a line of librdkafka on. Levels are those of syslog; what it says of connections is repeated with
    /// each attempt, and said once by us.
    fn read_log(&mut self, event: &Event) {
        const ALERT: c_int = 2;
        const WARNING: c_int = 4;
        let (mut facility, mut line, mut level) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the event is alive; the texts it gives out live as long as it.
        let (facility, line) = unsafe {
            if c::rd_kafka_event_log(event.0.as_ptr(), &raw mut facility, &raw mut line, &raw mut level) != 0 {
                return;
            }
            (text(facility), text(line))
        };
        if facility == tls::FACILITY {
            line.clone_into(&mut self.verdict);
        }
        let level = match level {
            ..=ALERT => log::Level::Error,
            ..=WARNING if !matches!(facility, "FAIL" | "ERROR" | "REQTMOUT" | "TERMINATE" | tls::FACILITY) => {
                log::Level::Warn
            }
            _ => log::Level::Debug,
        };
        log::log!(target: "librdkafka", level, "{facility} {}", self.secrets.hide(line));
    }
}

impl Outlet for Producer {
    type Inquirer = Inquirer;

    fn topic(&mut self, name: &str) -> Result<TopicId, Code> {
        let name = topic_name(name)?;
        // SAFETY: the client is alive, the name is copied, no configuration is given.
        let topic = unsafe { c::rd_kafka_topic_new(self.shared.client.native_ptr(), name.as_ptr(), ptr::null_mut()) };
        // SAFETY: reads a number of this thread.
        let topic = NonNull::new(topic).ok_or_else(|| Code(unsafe { rd_kafka_last_error() }))?;
        let id = self
            .topics
            .iter()
            .position(Option::is_none)
            .unwrap_or(self.topics.len());
        let handle = Some(Topic(topic));
        match self.topics.get_mut(id) {
            Some(free) => *free = handle,
            None => self.topics.push(handle),
        }
        u32::try_from(id).map(TopicId).map_err(|_| Code::INVALID_ARGUMENT)
    }

    fn forget_topic(&mut self, topic: TopicId) {
        if let Some(known) = usize::try_from(topic.0).ok().and_then(|id| self.topics.get_mut(id)) {
            *known = None;
        }
    }

    fn lend(&mut self, parcel: ParcelId, buffer: &Arc<Vec<u8>>) {
        let Ok(place) = usize::try_from(parcel) else { return };
        if self.loans.len() <= place {
            self.loans.resize_with(place + 1, Loan::default);
        }
        if let Some(loan) = self.loans.get_mut(place) {
            if loan.outstanding > 0 {
                // Never asked for; but the buffer in use must not go before its records do.
                self.shared.keep(loan.buffer.take());
            }
            *loan = Loan {
                buffer: Some(Arc::clone(buffer)),
                outstanding: 0,
                released: false,
            };
        }
    }

    fn release(&mut self, parcel: ParcelId) {
        if let Some(loan) = self.loan(parcel) {
            loan.released = true;
            loan.drop_if_done();
        }
    }

    fn send(&mut self, shipment: &Shipment<'_>) -> Sent {
        let Some(topic) = self.handle(shipment.topic) else {
            return Sent::default();
        };
        if let Some(headers) = &shipment.headers {
            let error = self.send_with(shipment, topic, headers);
            return self.count_sent(shipment, &[error]);
        }
        let filled = self.point(shipment);
        if filled == 0 {
            return self.count_sent(shipment, &[Code::INVALID_ARGUMENT.0]);
        }
        let partition = shipment.partition;
        let count = c_int::try_from(filled).unwrap_or(c_int::MAX);
        // SAFETY: the topic is alive; the first `count` messages are filled in, and `Message` has the layout of
        // `rd_kafka_message_t`. Without F_COPY and F_FREE librdkafka points at the payloads, which lie in a loan
        // whose count goes up by what is taken before anything else can be reported; the key is copied.
        let taken = unsafe { c::rd_kafka_produce_batch(topic, partition, 0, self.messages.as_mut_ptr().cast(), count) };
        if taken == count {
            return self.count_taken(shipment.parcel, u32::try_from(taken).unwrap_or(0));
        }
        let errors: Vec<c_int> = self.messages.iter().take(filled).map(|message| message.error).collect();
        self.count_sent(shipment, &errors)
    }

    fn reports(&mut self, records: u32, into: &mut Vec<Report>) -> bool {
        let mut seen = 0;
        while seen < records {
            // SAFETY: the queue is alive; a timeout of 0 does not wait.
            let event = unsafe { c::rd_kafka_queue_poll(self.queue.0.as_ptr(), 0) };
            let Some(event) = NonNull::new(event).map(Event) else {
                return false;
            };
            // SAFETY: the event is alive.
            match unsafe { c::rd_kafka_event_type(event.0.as_ptr()) } {
                c::RD_KAFKA_EVENT_DR => seen += self.read_delivery(&event, into),
                c::RD_KAFKA_EVENT_ERROR => into.push(self.read_error(&event)),
                c::RD_KAFKA_EVENT_LOG => self.read_log(&event),
                c::RD_KAFKA_EVENT_OAUTHBEARER_TOKEN_REFRESH => into.push(Report::TokenWanted),
                _ => {}
            }
        }
        true
    }

    fn outstanding(&self) -> u32 {
        self.outstanding
    }

    fn capacity(&self) -> u32 {
        QUEUE_RECORDS
    }

    fn purge(&mut self) {
        let what = c::RD_KAFKA_PURGE_F_QUEUE | c::RD_KAFKA_PURGE_F_INFLIGHT | c::RD_KAFKA_PURGE_F_NON_BLOCKING;
        // SAFETY: the client is alive. What is purged is reported like anything else.
        unsafe { c::rd_kafka_purge(self.shared.client.native_ptr(), what) };
    }

    fn inquirer(&self) -> Inquirer {
        Inquirer {
            shared: Arc::clone(&self.shared),
            secrets: self.secrets.clone(),
        }
    }

    fn send_position(&mut self, topic: TopicId, partition: i32, record: &PositionRecord) -> Result<bool, Code> {
        self.produce_position(topic, partition, record)
    }
}

impl Producer {
    /// Accounts for a call by the errors of its messages.
    fn count_sent(&mut self, shipment: &Shipment<'_>, errors: &[c_int]) -> Sent {
        let mut sent = Sent::default();
        let mut taken = 0;
        for (index, error) in shipment.picks.iter().zip(errors.iter().map(|error| Code(*error))) {
            match error {
                Code::NONE => taken += 1,
                // From the first that found no room on, they are ours again.
                Code::QUEUE_FULL => break,
                code => sent.refused.push((index, code)),
            }
            sent.dealt += 1;
        }
        self.count_taken(shipment.parcel, taken);
        sent
    }

    fn count_taken(&mut self, parcel: ParcelId, taken: u32) -> Sent {
        self.outstanding += taken;
        if let Some(loan) = self.loan(parcel) {
            loan.outstanding += taken;
        }
        Sent {
            dealt: taken,
            refused: Vec::new(),
        }
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("outstanding", &self.outstanding)
            .finish_non_exhaustive()
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        // A question may keep the client alive for a while, and its threads may read until it is gone.
        for loan in self.loans.iter_mut().filter(|loan| loan.outstanding > 0) {
            self.shared.keep(loan.buffer.take());
        }
    }
}
