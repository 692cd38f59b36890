//! Questions to brokers, on a producer's connections.

use std::ffi::{CString, c_int};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings as c;
use rdkafka::error::KafkaError;

use super::{
    Event, Queue, Shared, rd_kafka_ConfigResource_error, rd_kafka_event_error, rd_kafka_oauthbearer_set_token_failure,
    set_token, text, topic_name,
};
use crate::error::Code;
use crate::options::Secrets;
use crate::outlet::Inquire;

/// Asks brokers for things on a producer's connections. Keeps the client alive.
pub struct Inquirer {
    pub(super) shared: Arc<Shared>,
    pub(super) secrets: Secrets,
}

/// How a topic is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) partitions: u32,
    /// The fewest that a partition has.
    pub(crate) replicas: u32,
}

impl Inquire for Inquirer {
    fn partitions(&self, topic: &str, timeout: Duration) -> Result<u32, Code> {
        self.layout(topic, timeout).map(|layout| layout.partitions)
    }

    fn max_message_bytes(&self, topic: &str, timeout: Duration) -> Option<u64> {
        let settings = self.topic_settings(topic, timeout).ok()?;
        let (_, value) = settings.iter().find(|(name, _)| name == "max.message.bytes")?;
        value.parse().ok()
    }

    fn renew_token(&self) {
        if let Some(tokens) = &self.shared.tokens {
            let renewed = tokens
                .fetch()
                .map_err(|error| error.to_string())
                .and_then(|token| set_token(&self.shared.client, &token, &tokens.extensions));
            if let Err(cause) = renewed {
                self.set_no_token(&cause);
            }
        }
    }
}

impl Inquirer {
    /// There is no token. The client reports it, and asks again after ten seconds.
    fn set_no_token(&self, cause: &str) {
        let cause = CString::new(cause.replace('\0', "?")).unwrap_or_default();
        // SAFETY: the client is alive and the text is copied.
        unsafe { rd_kafka_oauthbearer_set_token_failure(self.shared.client.native_ptr(), cause.as_ptr()) };
    }

    /// Partitions and replicas. Creates no topic: `allow.auto.create.topics` is off.
    pub(crate) fn layout(&self, topic: &str, timeout: Duration) -> Result<Layout, Code> {
        // Refused here: rdkafka's wrapper panics on a name that cannot be one.
        topic_name(topic)?;
        let code = |error: KafkaError| {
            error
                .rdkafka_error_code()
                .map_or(Code::TRANSPORT, |code| Code(code as i32))
        };
        let metadata = self.shared.client.fetch_metadata(Some(topic), timeout).map_err(code)?;
        let found = metadata
            .topics()
            .iter()
            .find(|found| found.name() == topic)
            .ok_or(Code::UNKNOWN_TOPIC)?;
        if let Some(error) = found.error() {
            return Err(Code(error as i32));
        }
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let replicas = found
            .partitions()
            .iter()
            .map(|partition| count(partition.replicas().len()));
        // A topic that is being created has no partitions yet.
        let replicas = replicas.min().ok_or(Code::LEADER_NOT_AVAILABLE)?;
        Ok(Layout {
            partitions: count(found.partitions().len()),
            replicas,
        })
    }

    /// A topic's settings by name, as far as they may be seen.
    pub(crate) fn topic_settings(&self, topic: &str, timeout: Duration) -> Result<Vec<(String, String)>, Code> {
        let name = topic_name(topic)?;
        let client = self.shared.client.native_ptr();
        let millis = c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX);
        // SAFETY: the client is alive. What is created here is destroyed here; the call copies what it is given;
        // the result and all it leads to live as long as the event, and are copied before that ends.
        unsafe {
            let queue = NonNull::new(c::rd_kafka_queue_new(client))
                .map(Queue)
                .ok_or(Code::INVALID_ARGUMENT)?;
            let options =
                c::rd_kafka_AdminOptions_new(client, c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
            c::rd_kafka_AdminOptions_set_request_timeout(options, millis, ptr::null_mut(), 0);
            let of_topic = c::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
            let mut resource = c::rd_kafka_ConfigResource_new(of_topic, name.as_ptr());
            c::rd_kafka_DescribeConfigs(client, &raw mut resource, 1, options, queue.0.as_ptr());
            c::rd_kafka_ConfigResource_destroy(resource);
            c::rd_kafka_AdminOptions_destroy(options);
            let event = c::rd_kafka_queue_poll(queue.0.as_ptr(), millis);
            let event = NonNull::new(event).map(Event).ok_or(Code::TIMED_OUT)?;
            read_settings(&event)
        }
    }
}

/// # Safety
/// The event is alive.
unsafe fn read_settings(event: &Event) -> Result<Vec<(String, String)>, Code> {
    // SAFETY: the arrays have the lengths that are given with them and live as long as the event.
    unsafe {
        let error = Code(rd_kafka_event_error(event.0.as_ptr()));
        if error != Code::NONE {
            return Err(error);
        }
        let result = c::rd_kafka_event_DescribeConfigs_result(event.0.as_ptr());
        if result.is_null() {
            return Err(Code::INVALID_ARGUMENT);
        }
        let mut count = 0;
        let resources = c::rd_kafka_DescribeConfigs_result_resources(result, &raw mut count);
        if resources.is_null() || count == 0 {
            return Err(Code::INVALID_ARGUMENT);
        }
        let resource = *resources;
        let error = Code(rd_kafka_ConfigResource_error(resource));
        if error != Code::NONE {
            return Err(error);
        }
        let entries = c::rd_kafka_ConfigResource_configs(resource, &raw mut count);
        if entries.is_null() {
            return Ok(Vec::new());
        }
        let entries = std::slice::from_raw_parts(entries, count);
        Ok(entries
            .iter()
            .map(|entry| {
                (
                    text(c::rd_kafka_ConfigEntry_name(*entry)),
                    text(c::rd_kafka_ConfigEntry_value(*entry)),
                )
            })
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect())
    }
}
