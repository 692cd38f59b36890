//! What librdkafka says of the user's properties, each by itself: so all that is wrong is known at once.

use rdkafka::ClientConfig;

use crate::ffi;
use crate::oidc;
use crate::options::{Options, RESERVED, StartError};

/// A property that librdkafka does not take. Holds no value of the user's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// It has no such property.
    Unknown {
        /// Its name.
        property: String,
    },
    /// The value is not allowed.
    Value {
        /// Its name.
        property: String,
        /// What is, in librdkafka's words: a range such as `0 .. 900000`, or words with commas.
        allowed: Option<String>,
    },
}

/// All properties that librdkafka does not take, in their order. What does not go together, or is wrong with a file, shows only
/// when a producer is made of them.
#[must_use]
pub fn unfit_properties(options: &Options) -> Vec<Unfit> {
    let is_theirs = |name: &str| !RESERVED.contains(&name) && !oidc::OURS.contains(&name);
    let theirs = options.properties.iter().filter(|(name, _)| is_theirs(name));
    let refused = theirs.filter_map(|(name, value)| {
        let alone = ClientConfig::from_iter([(name.clone(), value.clone())]);
        Some((name.clone(), alone.create_native_config().err()?))
    });
    let unfit = refused.map(|(property, error)| match options.redact(error) {
        StartError::Unknown { .. } => Unfit::Unknown { property },
        _ => Unfit::Value {
            allowed: allowed(&property),
            property,
        },
    });
    unfit.collect()
}

/// The names of all properties that a producer knows.
#[must_use]
pub fn known_properties() -> Vec<String> {
    let list = ffi::list_properties();
    let names = rows(&list).filter(|[_, scope, _]| *scope != CONSUMER);
    let names = names.map(|[name, ..]| name).filter(|name| !RESERVED.contains(name));
    names.map(str::to_owned).collect()
}

fn allowed(property: &str) -> Option<String> {
    let list = ffi::list_properties();
    let row = rows(&list).find(|[name, ..]| *name == property);
    row.map(|[.., allowed]| allowed.to_owned())
        .filter(|allowed| !allowed.is_empty())
}

/// Who a property is for.
const CONSUMER: &str = "C";
const PRODUCER: &str = "P";
const BOTH: &str = "*";

/// The name of each property, whom it is for, and what is allowed, as far as that can be listed.
fn rows(list: &str) -> impl Iterator<Item = [&str; 3]> {
    list.lines().filter_map(|line| {
        let mut columns = line.split(" | ").map(str::trim);
        let (name, scope, allowed) = (columns.next()?, columns.next()?, columns.next()?);
        [CONSUMER, PRODUCER, BOTH]
            .contains(&scope)
            .then_some([name, scope, allowed])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_wrong_is_known_at_once_and_what_is_allowed() {
        let properties = [
            ("bogus.prop", "x"),
            ("compression.type", "none-such"),
            ("linger.ms", "abc"),
            ("log.connection.close", "perhaps"),
            ("sasl.oauthbearer.method", "oidc"),
            ("socket.keepalive.enable", "true"),
        ];
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let options = Options {
            properties: properties.iter().map(own).collect(),
            ..Options::default()
        };
        let value = |property: &str, allowed: &str| Unfit::Value {
            property: property.to_owned(),
            allowed: Some(allowed.to_owned()),
        };
        let unknown = Unfit::Unknown {
            property: "bogus.prop".to_owned(),
        };
        assert_eq!(
            unfit_properties(&options),
            [
                unknown,
                value("compression.type", "none, gzip, snappy, lz4, zstd"),
                value("linger.ms", "0 .. 900000"),
                value("log.connection.close", "true, false"),
            ]
        );
    }

    #[test]
    fn what_may_be_meant_is_what_a_producer_knows_and_the_user_may_set() {
        let known = known_properties();
        for name in ["sasl.password", "linger.ms", "compression.codec", "request.timeout.ms"] {
            assert!(known.iter().any(|known| known == name), "{name}");
        }
        for name in ["group.id", "acks", "Property"] {
            assert!(known.iter().all(|known| known != name), "{name}");
        }
    }
}
