//! `[kafka]`: brokers, topics and the properties of librdkafka.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::path::Path;

use super::credentials;
use crate::given::{Table, Text};
use crate::problem::Problem;
use crate::reader::Report;
use crate::settings::{Delivery, ExactlyOnce, KafkaSettings};
use crate::template::{Placeholder, Template};
use crate::topic;

/// What the promises rest on: a name, or the beginning of one before a `*`; why it is not free; what to do instead.
const REFUSED: &[(&str, &str, &str)] = &[
    (
        "bootstrap.servers",
        "is the same as `kafka.brokers`",
        "give `kafka.brokers`",
    ),
    (
        "metadata.broker.list",
        "is the same as `kafka.brokers`",
        "give `kafka.brokers`",
    ),
    ("acks", ALL_ACKS, REMOVE),
    ("request.required.acks", ALL_ACKS, REMOVE),
    ("retries", NO_RETRY_LIMIT, REMOVE),
    ("message.send.max.retries", NO_RETRY_LIMIT, REMOVE),
    (
        "enable.idempotence",
        "is always on: without it retries repeat and reorder lines",
        REMOVE,
    ),
    (
        "enable.gapless.guarantee",
        "is fixed: a refused record goes to the dead letters, its neighbours arrive",
        REMOVE,
    ),
    (
        "max.in.flight*",
        "is fixed: more requests in flight would reorder lines",
        REMOVE,
    ),
    ("delivery.timeout.ms", NO_TIMEOUT, REMOVE),
    ("message.timeout.ms", NO_TIMEOUT, REMOVE),
    (
        "transactional.id",
        "follows from `kafka.delivery` and `kafka.instance`",
        REMOVE,
    ),
    (
        "allow.auto.create.topics",
        "is always off: logcatch creates no topics",
        REMOVE,
    ),
    (
        "partitioner",
        "is always \"murmur2_random\": the same key goes to the same partition as with Kafka's own clients",
        REMOVE,
    ),
    (
        "sasl.kerberos.*",
        "is not built in",
        "log in by SCRAM, OAUTHBEARER or a client certificate",
    ),
    ("sasl.oauthbearer.assertion.*", CREDENTIALS_ONLY, CREDENTIALS),
    ("sasl.oauthbearer.metadata.*", CREDENTIALS_ONLY, CREDENTIALS),
    ("queuing.strategy", NO_EFFECT, REMOVE),
    ("delivery.report.only.error", NO_EFFECT, REMOVE),
    ("enabled_events", NO_EFFECT, REMOVE),
    ("log.queue", NO_EFFECT, REMOVE),
    ("statistics.interval.ms", NO_EFFECT, REMOVE),
    ("test.mock.*", "is for tests of librdkafka", REMOVE),
    (
        "queue.buffering.max.ms",
        "is the older name of `linger.ms`",
        "give `linger.ms`",
    ),
    (
        "queue.buffering.*",
        "follows from `limits.in_flight`",
        "give `limits.in_flight`",
    ),
];
const ALL_ACKS: &str = "is always \"all\": a position is saved only when every replica in sync has its lines";
const NO_RETRY_LIMIT: &str = "has no limit here: lines wait for Kafka as long as it takes";
const NO_TIMEOUT: &str = "has no limit here: a timeout would drop lines";
const NO_EFFECT: &str = "is about the insides of the producer";
const CREDENTIALS_ONLY: &str = "is for grants that are not built in: tokens are fetched with client credentials";
const CREDENTIALS: &str = "give `sasl.oauthbearer.client.id` and `sasl.oauthbearer.client.secret`";
const REMOVE: &str = "remove the property";

pub(super) fn settings(table: &Table, directory: &Path, report: &mut Report) -> KafkaSettings {
    let given: BTreeMap<&str, &Text> = table.map("properties").collect();
    let mut properties = BTreeMap::new();
    for (name, text) in &given {
        match refusal(name, text) {
            None => {
                properties.insert((*name).to_owned(), text.value.clone());
            }
            Some(problem) => report.problems.push(problem),
        }
    }
    say_unprotected(&properties, &given, report);
    let files = credentials::take(&mut properties, &given, directory, report);
    let is_hidden = |(name, text): &(&&str, &&Text)| text.is_hidden() || is_secret_property(name);
    KafkaSettings {
        hidden: given
            .iter()
            .filter(is_hidden)
            .map(|(name, _)| (*name).to_owned())
            .collect(),
        properties,
        files,
        brokers: brokers(table, report),
        topic: table.text("topic").and_then(|text| topic(text, report)),
        delivery: delivery(table, report),
    }
}

/// A transactional id is this and the instance.
const INSTANCE_MAX: usize = 200;

fn delivery(table: &Table, report: &mut Report) -> Delivery {
    let positions_topic = positions_topic(table, report);
    let instance = table.text("instance");
    if let Some(text) = instance
        && (text.value.len() > INSTANCE_MAX || text.value.chars().any(char::is_control))
    {
        let problem = format!("must be at most {INSTANCE_MAX} bytes without control characters");
        report.problems.push(text.spot.problem(problem));
    }
    if table.word("delivery") != "exactly-once" {
        return Delivery::AtLeastOnce;
    }
    let Some(instance) = instance else {
        let problem = table
            .spot_of("delivery")
            .problem("needs `kafka.instance` with \"exactly-once\"");
        report
            .problems
            .push(problem.help("give this service a name that no other has and that it keeps, such as the host's"));
        return Delivery::AtLeastOnce;
    };
    Delivery::ExactlyOnce(ExactlyOnce {
        instance: instance.value.clone(),
        positions_topic,
    })
}

fn positions_topic(table: &Table, report: &mut Report) -> String {
    let Some(text) = table.text("positions_topic") else {
        return String::new();
    };
    let Some(template) = topic(text, report) else {
        return String::new();
    };
    let literal = template.literal().map(str::to_owned);
    if literal.is_none() {
        let problem = text.spot.problem("cannot hold placeholders");
        report
            .problems
            .push(problem.help("all positions of a service are in one topic"));
    }
    literal.unwrap_or_default()
}

/// Whether the value of a property of librdkafka is never shown.
pub(crate) fn is_secret_property(name: &str) -> bool {
    const SECRETS: [&str; 5] = [
        "ssl.key.pem",
        "ssl_key",
        "sasl.oauthbearer.config",
        "sasl.oauthbearer.assertion.jwt",
        "sasl.jaas.config",
    ];
    /// One that is misspelt is as secret. More alike than any two of librdkafka's properties of which one is a secret.
    const ALIKE: f64 = 0.85;
    const OFTEN_TYPED: [&str; 4] = [
        "sasl.password",
        "ssl.key.password",
        "ssl.keystore.password",
        "sasl.oauthbearer.client.secret",
    ];
    let is_like = |secret: &&str| strsim::normalized_damerau_levenshtein(name, secret) >= ALIKE;
    let parts = ["password", "secret", "private.key", "passphrase", "token"];
    SECRETS.contains(&name)
        || OFTEN_TYPED.iter().any(is_like)
        // Where tokens are fetched is no secret.
        || parts.iter().any(|part| name.contains(part)) && !name.ends_with("url") && !name.ends_with(".file")
}

/// Properties by which TLS does not say whom one talks to, and the values that do it (those of librdkafka's CONFIGURATION.md).
const UNPROTECTED: [(&str, &[&str]); 2] = [
    ("enable.ssl.certificate.verification", &["false", "f", "0"]),
    ("ssl.endpoint.identification.algorithm", &["none"]),
];

/// Wanted at times, and forgotten: so it is said at each start.
fn say_unprotected(properties: &BTreeMap<String, String>, given: &BTreeMap<&str, &Text>, report: &mut Report) {
    let protocol = properties.get("security.protocol").map(|value| value.to_lowercase());
    if !protocol.is_some_and(|protocol| protocol.contains("ssl")) {
        return;
    }
    for (name, values) in UNPROTECTED {
        let is_off = properties
            .get(name)
            .is_some_and(|value| values.contains(&value.to_lowercase().as_str()));
        if let Some(text) = given.get(name).filter(|_| is_off) {
            let problem = text.spot.problem(
                "lets anybody answer as Kafka, who then reads lines and passwords; \
                 name the CA by `ssl.ca.location`, and brokers as their certificates do, instead",
            );
            report.notices.push(problem.to_string());
        }
    }
}

fn refusal(name: &str, text: &Text) -> Option<Problem> {
    let (_, reason, help) = REFUSED.iter().find(|(refused, ..)| match refused.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == *refused,
    })?;
    Some(text.spot.problem(format!("cannot be set: it {reason}")).help(*help))
}

fn brokers(table: &Table, report: &mut Report) -> Vec<String> {
    let given = table.texts("brokers");
    let mut brokers = Vec::new();
    for text in given {
        for broker in text.value.split(',').map(str::trim) {
            match broker_fault(broker) {
                None => brokers.push(broker.to_owned()),
                Some(fault) => {
                    let shown = if text.is_hidden() {
                        text.shown()
                    } else {
                        format!("\"{broker}\"")
                    };
                    let problem = text.spot.problem(format!("must be host:port, not {shown}: {fault}"));
                    report
                        .problems
                        .push(problem.help("write brokers as \"kafka-1:9092\" or \"[::1]:9092\""));
                }
            }
        }
    }
    if given.is_empty() && table.given("brokers").is_some() {
        report
            .problems
            .push(table.spot_of("brokers").problem("must name at least one broker"));
    }
    brokers
}

fn broker_fault(broker: &str) -> Option<&'static str> {
    let (host, port) = match broker.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            None => return Some("the `[` is never closed"),
            Some((address, _)) if address.parse::<Ipv6Addr>().is_err() => {
                return Some("what the brackets hold is no IPv6 address");
            }
            Some((_, "")) => return Some("the port is missing"),
            Some((address, rest)) => (address, rest.strip_prefix(':')?),
        },
        None if broker.contains("://") => return Some("a broker has no scheme; set `security.protocol` instead"),
        None if broker.parse::<Ipv6Addr>().is_ok() => return Some("an IPv6 address must be in brackets"),
        None => match broker.rsplit_once(':') {
            None => return Some("the port is missing"),
            Some(parts) => parts,
        },
    };
    let of_host = |char: char| char.is_alphanumeric() || matches!(char, '.' | '-' | '_' | ':');
    if host.is_empty() {
        Some("the host is missing")
    } else if !host.chars().all(of_host) || !broker.starts_with('[') && host.contains(':') {
        Some("this is no host name")
    } else if !port.bytes().all(|byte| byte.is_ascii_digit()) || !matches!(port.parse::<u16>(), Ok(1..)) {
        Some("the port must be a number from 1 to 65535")
    } else {
        None
    }
}

/// Reads a topic, which is a template that begins with a literal.
pub(super) fn topic(text: &Text, report: &mut Report) -> Option<Template> {
    let problem = match Template::parse(&text.value) {
        Err(error) => template_problem(text, &error.to_string()),
        Ok(template) => match topic::template_fault(&template) {
            Some(_) if text.is_hidden() => text.spot.problem(format!("must be a topic name, not {}", text.shown())),
            Some(fault) => text
                .spot
                .problem(format!("must be a topic name, not {}: {fault}", text.shown())),
            None => return Some(template),
        },
    };
    report.problems.push(problem);
    None
}

pub(super) fn template_problem(text: &Text, message: &str) -> Problem {
    let message = if text.is_hidden() { "is no template" } else { message };
    text.spot.problem(message).help(format!(
        "the placeholders are {}; `{{{{` and `}}}}` are the braces themselves",
        Placeholder::NAMES
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_are_host_and_port() {
        for good in [
            "kafka-1:9092",
            "10.0.0.1:1",
            "[::1]:9092",
            "a_b.example:65535",
            "bücher.example:9092",
        ] {
            assert_eq!(broker_fault(good), None, "{good}");
        }
        let bad = [
            ("kafka-1", "the port is missing"),
            ("[::1]", "the port is missing"),
            (":9092", "the host is missing"),
            ("", "the port is missing"),
            ("a:", "the port must be a number from 1 to 65535"),
            ("a:0", "the port must be a number from 1 to 65535"),
            ("a:65536", "the port must be a number from 1 to 65535"),
            ("a:+1", "the port must be a number from 1 to 65535"),
            ("::1", "an IPv6 address must be in brackets"),
            ("a:b:1", "this is no host name"),
            ("[a]:1", "what the brackets hold is no IPv6 address"),
            ("[::1:9092", "the `[` is never closed"),
            (
                "SSL://a:9092",
                "a broker has no scheme; set `security.protocol` instead",
            ),
            ("a b:1", "this is no host name"),
        ];
        for (broker, fault) in bad {
            assert_eq!(broker_fault(broker), Some(fault), "{broker}");
        }
    }

    #[test]
    fn tls_that_does_not_check_the_broker_is_told_and_allowed() {
        let notices = |properties: &str| {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("f.toml");
            let text = format!(
                "[kafka]\nbrokers = \"a:1\"\ntopic = \"t\"\n[kafka.properties]\n{properties}\n[[logs]]\npath = \"/l\"\n"
            );
            std::fs::write(&path, text).unwrap();
            crate::load(&path, &|_| None).unwrap().notices
        };
        let tls = "security.protocol = \"SASL_SSL\"\n";
        let off = notices(&format!("{tls}enable.ssl.certificate.verification = false"));
        assert_eq!(off.len(), 1, "{off:?}");
        assert!(
            off[0].contains(":6: `kafka.properties.enable.ssl.certificate.verification` lets anybody answer as Kafka"),
            "{off:?}"
        );
        let unnamed = format!("{tls}ssl.endpoint.identification.algorithm = \"none\"");
        assert_eq!(notices(&unnamed).len(), 1);
        let none: [String; 0] = [];
        assert_eq!(
            notices(&format!("{tls}enable.ssl.certificate.verification = true")),
            none
        );
        assert_eq!(notices("enable.ssl.certificate.verification = false"), none);
    }

    #[test]
    fn secrets_are_known_by_name() {
        for secret in [
            "sasl.password",
            "ssl.key.password",
            "ssl.keystore.password",
            "ssl.key.pem",
            "sasl.oauthbearer.client.secret",
            "sasl.oauthbearer.config",
            "sasl.oauthbearer.assertion.private.key.pem",
            "sasl.pasword",
            "sasl.oauthbearer.client.sekret",
        ] {
            assert!(is_secret_property(secret), "{secret}");
        }
        for open in [
            "sasl.username",
            "security.protocol",
            "ssl.ca.location",
            "ssl.key.location",
            "ssl.keystore.location",
            "sasl.oauthbearer.client.id",
            "sasl.oauthbearer.token.endpoint.url",
        ] {
            assert!(!is_secret_property(open), "{open}");
        }
    }
}
