//! Names that a topic can have.

use thiserror::Error;

use crate::template::Template;

/// Kafka's limit (`org.apache.kafka.common.internals.Topic`).
const MAX_LENGTH: usize = 249;

/// What a template gives for a file, when that is no name of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{topic}` cannot be a topic: {why}")]
pub struct IllegalTopic {
    /// The text.
    pub topic: String,
    why: String,
}

/// A name that Kafka allows.
///
/// # Errors
/// It is none.
pub fn checked(topic: String) -> Result<String, IllegalTopic> {
    match fault(&topic) {
        Some(why) => Err(IllegalTopic { topic, why }),
        None => Ok(topic),
    }
}

/// What speaks against a name, by Kafka's own rules.
pub(crate) fn fault(name: &str) -> Option<String> {
    match name {
        "" => Some("it is empty".to_owned()),
        "." | ".." => Some("Kafka does not allow it".to_owned()),
        _ if name.len() > MAX_LENGTH => Some(format!("it is longer than {MAX_LENGTH} characters")),
        _ => char_fault(name),
    }
}

/// What speaks against a template whatever is put in.
pub(crate) fn template_fault(template: &Template) -> Option<String> {
    if let Some(fault) = template.literals().find_map(char_fault) {
        return Some(fault);
    }
    match template.literal() {
        Some(name) => fault(name),
        None if template.prefix().is_empty() => Some("a template starts with a literal, as in \"logs-{1}\"".to_owned()),
        None if template.literals().map(str::len).sum::<usize>() > MAX_LENGTH => {
            Some(format!("it is longer than {MAX_LENGTH} characters"))
        }
        None => None,
    }
}

fn char_fault(text: &str) -> Option<String> {
    let bad = |char: &char| !(char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-'));
    let char = text.chars().find(bad)?;
    let shown = char.escape_debug();
    Some(format!(
        "`{shown}` is none of the characters a-z, A-Z, 0-9, `.`, `_` and `-`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_follow_the_rules_of_kafka() {
        let longest = "x".repeat(MAX_LENGTH);
        let too_long = format!("{longest}x");
        for good in ["logcatchsys", "a.b_c-D9", longest.as_str(), "...", "-"] {
            assert_eq!(checked(good.to_owned()).as_deref(), Ok(good));
        }
        for bad in ["", ".", "..", "a b", "a/b", "ä", "a\n", &too_long] {
            assert!(fault(bad).is_some(), "{bad}");
        }
        assert_eq!(
            checked("a\u{1b}b".to_owned())
                .unwrap_err()
                .to_string()
                .replace("a\u{1b}b", "_"),
            "`_` cannot be a topic: `\\u{1b}` is none of the characters a-z, A-Z, 0-9, `.`, `_` and `-`"
        );
        let of_template = |text: &str| template_fault(&Template::parse(text).unwrap());
        for good in ["logs-{1}", "a{host}.{file}"] {
            assert_eq!(of_template(good), None, "{good}");
        }
        for bad in ["{1}-logs", "a {1}", "..", &format!("{longest}{{1}}x")] {
            assert!(of_template(bad).is_some(), "{bad}");
        }
    }
}
