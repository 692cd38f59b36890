//! `${NAME}`, `${NAME:-default}` and `${file:PATH}` in texts.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::cause;

/// Looks up an environment variable.
pub type Environment<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// A text without substitutions, and what it was made from.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Expanded {
    pub(crate) text: String,
    pub(crate) variables: Vec<String>,
    pub(crate) files: Vec<PathBuf>,
}

/// What is wrong with a substitution; follows the name of a key.
#[derive(Debug, Error)]
pub(crate) enum ExpandError {
    #[error("needs the environment variable `{0}`, which is not set")]
    Unset(String),
    #[error("holds a `${{` that is never closed")]
    Open,
    #[error("names the environment variable `{0}`, which is no name of letters, digits and `_`")]
    Name(String),
    #[error("needs the file `{}`, which cannot be read: {}", path.display(), cause::chain(cause))]
    File { path: PathBuf, cause: io::Error },
}

// === impl ExpandError ===

impl ExpandError {
    pub(crate) fn help(&self) -> String {
        match self {
            Self::Unset(name) => format!("set it, or give a default as in `${{{name}:-default}}`"),
            Self::File { cause, .. } => cause::named_file_help(cause.kind()).to_owned(),
            Self::Open | Self::Name(_) => {
                "write `${NAME}`, `${NAME:-default}` or `${file:PATH}`; `$${` is a `${` itself".to_owned()
            }
        }
    }
}

/// Replaces what `text` asks for. Files are relative to `directory`; each that is asked for is added to `asked`,
/// readable or not.
pub(crate) fn expand(
    text: &str,
    env: &Environment<'_>,
    directory: &Path,
    asked: &mut BTreeSet<PathBuf>,
) -> Result<Expanded, ExpandError> {
    let mut expanded = Expanded::default();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, found) = rest.split_at(at);
        let found = &found[2..];
        if let Some(before) = before.strip_suffix('$') {
            expanded.text.extend([before, "${"]);
            rest = found;
            continue;
        }
        let (inside, after) = found.split_once('}').ok_or(ExpandError::Open)?;
        expanded.text.push_str(before);
        if let Some(path) = inside.strip_prefix("file:") {
            let path = directory.join(path);
            asked.insert(path.clone());
            expanded.text.push_str(&read_secret(&path)?);
            expanded.files.push(path);
        } else {
            let (name, default) = match inside.split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (inside, None),
            };
            expanded.text.push_str(&variable(name, default, env)?);
            expanded.variables.push(name.to_owned());
        }
        rest = after;
    }
    expanded.text.push_str(rest);
    Ok(expanded)
}

/// As in shells, a default also stands for an empty value.
fn variable(name: &str, default: Option<&str>, env: &Environment<'_>) -> Result<String, ExpandError> {
    let starts_well = !name.starts_with(|char: char| char.is_ascii_digit());
    if name.is_empty() || !starts_well || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(ExpandError::Name(name.to_owned()));
    }
    match (env(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(ExpandError::Unset(name.to_owned())),
    }
}

fn read_secret(path: &Path) -> Result<String, ExpandError> {
    let mut text = fs::read_to_string(path).map_err(|cause| ExpandError::File {
        path: path.to_owned(),
        cause,
    })?;
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("web-1".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    fn expanded(text: &str) -> Result<String, String> {
        expand(text, &env, Path::new("/nowhere"), &mut BTreeSet::new())
            .map(|expanded| expanded.text)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn variables_and_defaults_are_put_in() {
        let cases = [
            ("plain $ {x} $x", "plain $ {x} $x"),
            ("${HOST}", "web-1"),
            ("a-${HOST}-${HOST}.b", "a-web-1-web-1.b"),
            ("${EMPTY}", ""),
            ("${EMPTY:-x}", "x"),
            ("${NONE:-}", ""),
            ("${NONE:-a:-b}", "a:-b"),
            ("$${HOST}", "${HOST}"),
            ("$$${HOST}", "$${HOST}"),
            ("$${HOST} ${HOST}", "${HOST} web-1"),
        ];
        for (text, expected) in cases {
            assert_eq!(expanded(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn errors_name_what_is_missing() {
        let cases = [
            ("${NONE}", "needs the environment variable `NONE`, which is not set"),
            ("${HOST", "holds a `${` that is never closed"),
            (
                "${}",
                "names the environment variable ``, which is no name of letters, digits and `_`",
            ),
            (
                "${1A}",
                "names the environment variable `1A`, which is no name of letters, digits and `_`",
            ),
            (
                "${A-b}",
                "names the environment variable `A-b`, which is no name of letters, digits and `_`",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(expanded(text).unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn a_file_gives_its_text_without_the_last_newline() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("secret"), "a\nb\n\n").unwrap();
        let mut asked = BTreeSet::new();
        let expanded = expand("<${file:secret}>", &env, dir.path(), &mut asked).unwrap();
        assert_eq!(expanded.text, "<a\nb\n>");
        assert_eq!(expanded.files, [dir.path().join("secret")]);

        let missing = expand("${file:/no/such}", &env, dir.path(), &mut asked)
            .unwrap_err()
            .to_string();
        assert!(
            missing.starts_with("needs the file `/no/such`, which cannot be read: No such file"),
            "{missing}"
        );
        assert_eq!(asked.len(), 2);
    }
}
