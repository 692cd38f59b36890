//! One component of a pattern, and what it matches.

use regex::bytes::Regex;

use super::DotNames;
use super::parse::{Fault, GlobError, Kind, Part};

/// One component.
#[derive(Clone)]
pub(super) enum Step {
    Name(Vec<u8>),
    Wild {
        regex: Regex,
        starts_with_dot: bool,
        /// What every match ends with: most names are told from it alone.
        ending: Vec<u8>,
        /// Whether that is all there is beside a `*`.
        is_ending: bool,
    },
    Deep,
}

impl Step {
    pub(super) fn new(part: Part, pattern: &str) -> Result<Self, GlobError> {
        // Whatever stands before it, what follows the last special character is meant literally.
        let special = |letter: char| matches!(letter, '*' | '?' | '[' | ']' | '{' | '}' | '\\');
        let ending = part.text.rsplit(special).next().unwrap_or_default();
        let is_ending = part.text.strip_prefix('*') == Some(ending);
        let ending = ending.as_bytes().to_vec();
        Ok(match part.kind {
            Kind::Name(name) => Self::Name(name),
            Kind::Deep => Self::Deep,
            Kind::Wild { regex, starts_with_dot } => {
                // What the parser builds always compiles, except when it is huge.
                let regex = Regex::new(&regex).map_err(|_| GlobError::new(pattern, Fault::TooBig))?;
                Self::Wild {
                    regex,
                    starts_with_dot,
                    ending,
                    is_ending,
                }
            }
        })
    }

    /// Whether this step matches one component; what its wildcards matched is added to `found`.
    pub(super) fn matches(&self, name: &[u8], dot_names: DotNames, found: &mut Option<&mut Vec<String>>) -> bool {
        match self {
            Self::Name(own) => own == name,
            Self::Deep => true,
            Self::Wild {
                regex,
                starts_with_dot,
                ending,
                is_ending,
            } => {
                if name.starts_with(b".") && !starts_with_dot && dot_names == DotNames::OnlyIfAsked {
                    return false;
                }
                if !name.ends_with(ending) {
                    return false;
                }
                let Some(found) = found else {
                    return *is_ending || regex.is_match(name);
                };
                let Some(captures) = regex.captures(name) else {
                    return false;
                };
                let wildcards = captures.iter().skip(1).flatten();
                found.extend(wildcards.map(|part| String::from_utf8_lossy(part.as_bytes()).into_owned()));
                true
            }
        }
    }
}
