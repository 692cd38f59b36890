//! What a producer is made of: our properties, the user's, and how neither gets into a message.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::io;

use rdkafka::ClientConfig;
use rdkafka::bindings::rd_kafka_conf_res_t as ConfigResult;
use rdkafka::error::KafkaError;

use crate::oidc;

/// Where Kafka is, and the user's own properties of librdkafka.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// `host:port` each.
    pub brokers: Vec<String>,
    /// Names of librdkafka with their values. None of [`RESERVED`].
    pub properties: Vec<(String, String)>,
    /// Names of properties whose values are in no message, besides those that are secret by their names.
    pub hidden: BTreeSet<String>,
    /// Stands for the contents of files that properties name: with other contents, other options.
    pub files: u64,
}

/// A producer that cannot be created. No message contains a property's value.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What the promises rest on is not the user's to change.
    #[error("cannot set the Kafka property `{property}`: logcatch sets it itself")]
    Reserved {
        /// Its name.
        property: String,
    },
    /// No such property.
    #[error("cannot set the Kafka property `{property}`: librdkafka does not know it")]
    Unknown {
        /// Its name.
        property: String,
    },
    /// The value is not allowed.
    #[error("cannot set the Kafka property `{property}`: librdkafka does not accept its value")]
    Value {
        /// Its name.
        property: String,
    },
    /// The properties do not go together, or a file they name cannot be used.
    #[error("cannot create a Kafka producer: {reason}")]
    Create {
        /// In librdkafka's words, values cut out.
        reason: String,
    },
    /// How to log in is not said completely.
    #[error("cannot log in to Kafka: {reason}")]
    Login {
        /// What is missing or cannot be used.
        reason: String,
    },
    /// No file descriptor left.
    #[error("cannot create the wake-up descriptor of the Kafka producer")]
    Wake(#[from] io::Error),
}

/// Properties that are ours, with all their names: the promises rest on them, or they would have no effect.
pub const RESERVED: [&str; 23] = [
    "bootstrap.servers",
    "metadata.broker.list",
    "acks",
    "request.required.acks",
    "enable.idempotence",
    "enable.gapless.guarantee",
    "retries",
    "message.send.max.retries",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "message.timeout.ms",
    "delivery.timeout.ms",
    "transactional.id",
    "allow.auto.create.topics",
    "partitioner",
    "queuing.strategy",
    "queue.buffering.max.messages",
    "queue.buffering.max.kbytes",
    "delivery.report.only.error",
    "enabled_events",
    "log.queue",
    "statistics.interval.ms",
    "test.mock.num.brokers",
];

/// Records that librdkafka holds at most. A queue this short stays in the processor's cache: 25 MB resident
/// instead of 170 MB for a million, at the same throughput.
pub(crate) const QUEUE_RECORDS: u32 = 50_000;

/// Ours, whatever the user says.
const FIXED: [(&str, &str); 7] = [
    ("acks", "all"),
    ("enable.idempotence", "true"),
    // For ever: the log file is the buffer, however long Kafka is away.
    ("message.timeout.ms", "0"),
    ("partitioner", "murmur2_random"),
    // logcatch creates no topics; without this a broker with `auto.create.topics.enable` would, at our asking.
    ("allow.auto.create.topics", "false"),
    ("queue.buffering.max.messages", "50000"),
    // Never the limit: bytes are bounded by what readers are allowed to have in flight.
    ("queue.buffering.max.kbytes", "2147483647"),
];

/// Ours unless the user sets them, under any of the names.
const DEFAULTS: [(&[&str], &str); 8] = [
    (&["client.id"], "logcatch"),
    (&["compression.type", "compression.codec"], "lz4"),
    (&["linger.ms", "queue.buffering.max.ms"], "20"),
    // A broker that returns is found within about a second; one that is away costs one connection attempt a second. The
    // library refuses a first pause above the longest, so whoever sets one of them sets both.
    (&["reconnect.backoff.max.ms", "reconnect.backoff.ms"], "1000"),
    (&["reconnect.backoff.ms", "reconnect.backoff.max.ms"], "500"),
    // A host that vanished without a word is noticed, also while nothing is sent.
    (&["socket.keepalive.enable"], "true"),
    // Brokers close idle connections every ten minutes: not worth a message.
    (&["log.connection.close"], "false"),
    // The system's certificates, wherever they are: the OpenSSL that is built in looks where there are none.
    (&["ssl.ca.location", "ssl.ca.pem"], "probe"),
];

/// Parts of the names of properties whose values never appear anywhere.
const SECRET: [&str; 8] = [
    "password",
    "secret",
    "token",
    "ssl.key",
    "key.pem",
    "oauthbearer.config",
    "jaas",
    "credential",
];

impl Options {
    /// The brokers as in a message.
    pub fn broker_list(&self) -> String {
        self.brokers.join(",")
    }

    /// The complete configuration. `batch_bytes` is the limit of one batch, if there is one to keep.
    pub(crate) fn config(&self, batch_bytes: Option<u64>) -> Result<ClientConfig, StartError> {
        let mut config = ClientConfig::new();
        for (name, value) in FIXED {
            config.set(name, value);
        }
        config.set("bootstrap.servers", self.broker_list());
        for (name, value) in self.defaults() {
            config.set(name, value);
        }
        if let Some(bytes) = batch_bytes {
            config.set("batch.size", bytes.to_string());
        }
        for (name, value) in &self.properties {
            if RESERVED.contains(&name.as_str()) {
                return Err(StartError::Reserved { property: name.clone() });
            }
            if name == "batch.size" && batch_bytes.is_some() {
                continue;
            }
            if oidc::OURS.contains(&name.as_str()) {
                continue;
            }
            config.set(name, value);
        }
        Ok(config)
    }

    /// As [`Options::config`], for transactions under this id.
    pub(crate) fn transactional(&self, batch_bytes: Option<u64>, id: &str) -> Result<ClientConfig, StartError> {
        let mut config = self.config(batch_bytes)?;
        config.set("transactional.id", id);
        Ok(config)
    }

    /// Those properties that are about connections, and our defaults of them: for a client that only reads.
    pub(crate) fn connection(&self) -> ClientConfig {
        const PARTS: [&str; 9] = [
            "security.",
            "sasl.",
            "ssl.",
            "enable.s",
            "socket.",
            "broker.",
            "https.",
            "client.",
            "reconnect.",
        ];
        let is_about_it = |name: &str| PARTS.iter().any(|part| name.starts_with(part)) && !oidc::OURS.contains(&name);
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.broker_list());
        for (name, value) in self.defaults().filter(|(name, _)| is_about_it(name)) {
            config.set(name, value);
        }
        for (name, value) in &self.properties {
            if is_about_it(name) {
                config.set(name, value);
            }
        }
        config
    }

    /// Ours that the user does not set.
    fn defaults(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let names = DEFAULTS
            .into_iter()
            .filter(|(names, _)| !names.iter().any(|name| self.property(name).is_some()));
        names.filter_map(|(names, value)| names.first().map(|name| (*name, value)))
    }

    /// The limit of one batch in bytes that the user or librdkafka sets.
    pub(crate) fn batch_bytes(&self) -> u64 {
        const LIBRARY_DEFAULT: u64 = 1_000_000;
        self.property("batch.size")
            .and_then(|value| value.parse().ok())
            .unwrap_or(LIBRARY_DEFAULT)
    }

    /// Hides the values of secret properties in texts.
    pub(crate) fn secrets(&self) -> Secrets {
        /// A shorter one that is hidden for where it comes from, such as a number, would take words out of every text.
        const SHORTEST: usize = 6;
        let by_name = |name: &str| {
            SECRET.iter().any(|part| name.contains(part)) && !name.ends_with("url") && !name.ends_with("location")
        };
        self.values(|name, value| by_name(name) || self.hidden.contains(name) && value.len() >= SHORTEST)
    }

    /// An error of rdkafka without the values that its texts contain.
    pub(crate) fn redact(&self, error: KafkaError) -> StartError {
        match error {
            KafkaError::ClientConfig(ConfigResult::RD_KAFKA_CONF_UNKNOWN, _, property, _) => {
                StartError::Unknown { property }
            }
            KafkaError::ClientConfig(_, _, property, _) => StartError::Value { property },
            KafkaError::ClientCreation(text) => StartError::Create {
                reason: self.values(|_, _| true).hide(&text).into(),
            },
            // Without a text of its own, hence without values.
            other => StartError::Create {
                reason: self.values(|_, _| true).hide(&other.to_string()).into(),
            },
        }
    }

    pub(crate) fn property(&self, name: &str) -> Option<&str> {
        self.properties
            .iter()
            .rev()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    fn values(&self, which: impl Fn(&str, &str) -> bool) -> Secrets {
        let mut values: Vec<_> = self
            .properties
            .iter()
            .filter(|(name, value)| which(name, value) && !value.is_empty())
            .map(|(_, value)| value.clone())
            .collect();
        // The longest first, so that no value that is part of another leaves the rest of it standing.
        values.sort_unstable_by_key(|value| std::cmp::Reverse(value.len()));
        Secrets { values }
    }
}

/// Values that must not be seen.
#[derive(Clone, Default)]
pub(crate) struct Secrets {
    values: Vec<String>,
}

impl Secrets {
    /// The text with `***` in their place.
    pub(crate) fn hide<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut hidden = Cow::Borrowed(text);
        for value in &self.values {
            if hidden.contains(value.as_str()) {
                hidden = Cow::Owned(hidden.replace(value.as_str(), "***"));
            }
        }
        hidden
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.properties.iter().map(|(name, _)| name).collect();
        f.debug_struct("Options")
            .field("brokers", &self.brokers)
            .field("properties", &names)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Producer, Wake};
    use std::sync::Arc;

    fn with(properties: &[(&str, &str)]) -> Options {
        let properties = properties
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        Options {
            brokers: vec!["localhost:1".into()],
            properties,
            ..Options::default()
        }
    }

    fn start(options: &Options) -> Result<Producer, StartError> {
        Producer::new(options, None, Arc::new(Wake::new()?))
    }

    #[test]
    fn the_promises_cannot_be_set_away() {
        for property in RESERVED {
            let error = start(&with(&[(property, "1")])).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("cannot set the Kafka property `{property}`: logcatch sets it itself")
            );
        }
    }

    #[test]
    fn a_bad_property_is_named_and_its_value_is_not() {
        for (property, value, message) in [
            (
                "linger.ms",
                "hunter2",
                "cannot set the Kafka property `linger.ms`: librdkafka does not accept its value",
            ),
            (
                "sasl.pasword",
                "hunter2",
                "cannot set the Kafka property `sasl.pasword`: librdkafka does not know it",
            ),
        ] {
            let error = start(&with(&[(property, value)])).unwrap_err();
            assert_eq!(error.to_string(), message);
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn what_the_library_says_of_a_bad_combination_contains_no_value() {
        let options = with(&[
            ("security.protocol", "ssl"),
            ("ssl.ca.location", "/nowhere/hunter2.pem"),
        ]);
        let error = start(&options).unwrap_err();
        assert!(matches!(error, StartError::Create { .. }), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn options_and_texts_hide_secrets() {
        let options = with(&[("sasl.password", "hunter2"), ("sasl.username", "bob")]);
        assert!(!format!("{options:?}").contains("hunter2"));
        assert_eq!(options.secrets().hide("bob says hunter2"), "bob says ***");
    }

    #[test]
    fn pauses_between_connection_attempts_may_be_set_alone() {
        for property in ["reconnect.backoff.ms", "reconnect.backoff.max.ms"] {
            for value in ["100", "5000"] {
                start(&with(&[(property, value)])).unwrap();
            }
        }
    }

    #[test]
    fn the_user_may_override_what_is_a_default_under_any_of_its_names() {
        let config = with(&[("compression.codec", "zstd"), ("client.id", "me")])
            .config(None)
            .unwrap();
        assert_eq!(config.get("compression.type"), None);
        assert_eq!(config.get("compression.codec"), Some("zstd"));
        assert_eq!(config.get("client.id"), Some("me"));
        assert_eq!(config.get("linger.ms"), Some("20"));
        assert_eq!(
            config.get("queue.buffering.max.messages"),
            Some(QUEUE_RECORDS.to_string().as_str())
        );
    }

    #[test]
    fn a_client_that_only_reads_connects_like_the_producer() {
        let config = with(&[
            ("client.id", "me"),
            ("sasl.mechanisms", "OAUTHBEARER"),
            ("sasl.oauthbearer.method", "oidc"),
            ("sasl.oauthbearer.client.secret", "hunter2"),
            ("linger.ms", "1"),
        ]);
        let config = config.connection();
        for (name, value) in [
            ("client.id", Some("me")),
            ("sasl.mechanisms", Some("OAUTHBEARER")),
            ("ssl.ca.location", Some("probe")),
            ("reconnect.backoff.max.ms", Some("1000")),
            ("socket.keepalive.enable", Some("true")),
            ("sasl.oauthbearer.method", None),
            ("sasl.oauthbearer.client.secret", None),
            ("linger.ms", None),
            ("compression.type", None),
        ] {
            assert_eq!(config.get(name), value, "{name}");
        }
        let own = with(&[("ssl.ca.pem", "x"), ("reconnect.backoff.ms", "5000")]).connection();
        assert_eq!(
            (own.get("ssl.ca.location"), own.get("reconnect.backoff.max.ms")),
            (None, None)
        );
        assert_eq!(own.get("reconnect.backoff.ms"), Some("5000"));
    }
}
