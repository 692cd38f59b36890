//! Settings with what librdkafka says of its properties.

use std::path::Path;

use logcatch_kafka::{UnfitProperty, known_properties, unfit_properties};
use logcatch_settings::{Environment, KafkaSettings, Loaded, PropertyFault, Refused, load_with, nearest};

/// Who wants to know more.
const SEE: &str = "librdkafka's CONFIGURATION.md lists names and values";

/// Reads settings as [`logcatch_settings::load`] does. What librdkafka does not take of `[kafka.properties]` is reported with all
/// the rest.
///
/// # Errors
/// What is wrong, all of it.
pub fn load(path: &Path, env: &Environment<'_>) -> Result<Loaded, Refused> {
    load_with(path, env, &faults)
}

fn faults(kafka: &KafkaSettings) -> Vec<PropertyFault> {
    let unfit = unfit_properties(&super::options_of(kafka)).into_iter();
    let faults = unfit.map(|unfit| match unfit {
        UnfitProperty::Unknown { property } => PropertyFault {
            help: match nearest(&property, known_properties().iter().map(String::as_str)) {
                Some(name) => format!("did you mean `{name}`? {SEE}"),
                None => SEE.to_owned(),
            },
            message: "is not known to librdkafka".to_owned(),
            property,
        },
        UnfitProperty::Value { property, allowed } => PropertyFault {
            message: "has a value that librdkafka does not take".to_owned(),
            help: match allowed {
                Some(allowed) => format!("allowed: {allowed}"),
                None => SEE.to_owned(),
            },
            property,
        },
    });
    faults.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_wrong_with_settings_and_properties_is_said_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f.toml");
        let text = "[kafka]\nbrokers = [\"a:1\"]\ntopic = \"t\"\n[kafka.properties]\ncompression.codec = \"none-such\"\n\
                    ligner.ms = 5\nacks = 1\nlinger.ms = \"abc\"\nsasl.password = \"x\"\n[[logs]]\npath = 5\n";
        std::fs::write(&path, text).unwrap();
        let refused = load(&path, &|_| None).unwrap_err().to_string();
        assert!(refused.contains("5 problems"), "{refused}");
        let property = |line: usize, rest: &str| format!("f.toml:{line}: `kafka.properties.{rest}");
        for said in [
            property(
                5,
                "compression.codec` has a value that librdkafka does not take\n    help: allowed: none, gzip, snappy, lz4, zstd",
            ),
            property(
                6,
                "ligner.ms` is not known to librdkafka\n    help: did you mean `linger.ms`?",
            ),
            property(7, "acks` cannot be set"),
            property(
                8,
                "linger.ms` has a value that librdkafka does not take\n    help: allowed: 0 .. 900000",
            ),
            "f.toml:11: `logs[0].path` must be".to_owned(),
        ] {
            assert!(refused.contains(&said), "{said}\nin\n{refused}");
        }
        assert!(!refused.contains("abc"), "{refused}");
    }
}
