//! Texts with placeholders for what is known about a file.

use std::fmt;

use thiserror::Error;

/// A text with placeholders such as `{host}`, as in `key` and `topic`. `{{` and `}}` stand for the braces themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    text: String,
    pieces: Vec<Piece>,
}

/// What a placeholder stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placeholder {
    /// `{host}`: the setting `host`.
    Host,
    /// `{name}`: the name of the entry.
    Name,
    /// `{path}`: the whole path of the file.
    Path,
    /// `{file}`: the file name.
    File,
    /// `{1}`, `{2}`, ...: what a wildcard of the entry's path matched, counted from 1.
    Wildcard(usize),
    /// `{namespace}`: of the container's pod.
    Namespace,
    /// `{pod}`: the pod's name.
    Pod,
    /// `{container}`: the container's name.
    Container,
}

/// What is known about one file.
#[derive(Debug, Clone, Copy, Default)]
pub struct Values<'a> {
    /// The host's name.
    pub host: &'a str,
    /// The entry's name.
    pub name: &'a str,
    /// The whole path.
    pub path: &'a str,
    /// The file name.
    pub file: &'a str,
    /// What each wildcard of the pattern matched, in order.
    pub wildcards: &'a [String],
    /// The pod's namespace, for containers.
    pub namespace: &'a str,
    /// The pod's name, for containers.
    pub pod: &'a str,
    /// The container's name, for containers.
    pub container: &'a str,
}

/// What is wrong with a template; follows the name of a key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// A brace that opens no placeholder.
    #[error("holds a `{{` that is never closed")]
    Open,
    /// A brace that closes no placeholder.
    #[error("holds a `}}` that closes nothing")]
    Stray,
    /// A placeholder that stands for nothing.
    #[error("holds the unknown placeholder `{{{0}}}`")]
    Unknown(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Placeholder(Placeholder),
}

// === impl Template ===

impl Template {
    /// Reads a template; any text without braces is one.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let found = &rest[at..];
            if let Some(after) = found.strip_prefix("{{") {
                literal.push('{');
                rest = after;
            } else if let Some(after) = found.strip_prefix("}}") {
                literal.push('}');
                rest = after;
            } else if let Some(opened) = found.strip_prefix('{') {
                let (name, after) = opened.split_once('}').ok_or(TemplateError::Open)?;
                let placeholder = Placeholder::parse(name).ok_or_else(|| TemplateError::Unknown(name.to_owned()))?;
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                }
                pieces.push(Piece::Placeholder(placeholder));
                rest = after;
            } else {
                return Err(TemplateError::Stray);
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Self {
            text: text.to_owned(),
            pieces,
        })
    }

    /// The template as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text itself, if there are no placeholders.
    pub fn literal(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The text before the first placeholder.
    pub fn prefix(&self) -> &str {
        match self.pieces.first() {
            Some(Piece::Literal(text)) => text,
            _ => "",
        }
    }

    /// The text between the placeholders, piece by piece.
    pub(crate) fn literals(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Literal(text) => Some(text.as_str()),
            Piece::Placeholder(_) => None,
        })
    }

    /// The placeholders, in order, with repetitions.
    pub fn placeholders(&self) -> impl Iterator<Item = Placeholder> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Placeholder(placeholder) => Some(*placeholder),
            Piece::Literal(_) => None,
        })
    }

    /// Puts `values` in. What is not known becomes nothing; the settings refuse such templates.
    pub fn render(&self, values: &Values<'_>) -> String {
        self.pieces
            .iter()
            .map(|piece| match piece {
                Piece::Literal(text) => text,
                Piece::Placeholder(placeholder) => values.of(*placeholder),
            })
            .collect()
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

// === impl Placeholder ===

impl Placeholder {
    /// All names, for messages.
    pub(crate) const NAMES: &str = "`{host}`, `{name}`, `{path}`, `{file}`, `{1}` for the first wildcard of `path`, and so on, for containers \
         `{namespace}`, `{pod}` and `{container}`";

    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "host" => Self::Host,
            "name" => Self::Name,
            "path" => Self::Path,
            "file" => Self::File,
            "namespace" => Self::Namespace,
            "pod" => Self::Pod,
            "container" => Self::Container,
            number => match number.parse() {
                Ok(number @ 1..) if !name.starts_with(['0', '+']) => Self::Wildcard(number),
                _ => return None,
            },
        })
    }
}

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("{host}"),
            Self::Name => f.write_str("{name}"),
            Self::Path => f.write_str("{path}"),
            Self::File => f.write_str("{file}"),
            Self::Wildcard(number) => write!(f, "{{{number}}}"),
            Self::Namespace => f.write_str("{namespace}"),
            Self::Pod => f.write_str("{pod}"),
            Self::Container => f.write_str("{container}"),
        }
    }
}

// === impl Values ===

impl<'a> Values<'a> {
    fn of(&self, placeholder: Placeholder) -> &'a str {
        match placeholder {
            Placeholder::Host => self.host,
            Placeholder::Name => self.name,
            Placeholder::Path => self.path,
            Placeholder::File => self.file,
            Placeholder::Wildcard(number) => self.wildcards.get(number - 1).map_or("", String::as_str),
            Placeholder::Namespace => self.namespace,
            Placeholder::Pod => self.pod,
            Placeholder::Container => self.container,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in() {
        let wildcards = ["web".to_owned(), "7".to_owned()];
        let values = Values {
            host: "h",
            name: "n",
            path: "/l/web-7.log",
            file: "web-7.log",
            wildcards: &wildcards,
            namespace: "ns",
            pod: "p",
            container: "c",
        };
        let cases = [
            ("", ""),
            ("plain", "plain"),
            ("{host}:{path}", "h:/l/web-7.log"),
            ("logs-{1}-{2}{2}", "logs-web-77"),
            ("{name}/{file}", "n/web-7.log"),
            ("{namespace}.{pod}.{container}", "ns.p.c"),
            ("{{{host}}}", "{h}"),
            ("{3}", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(Template::parse(text).unwrap().render(&values), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_template_is_refused() {
        let cases = [
            ("{host", TemplateError::Open),
            ("host}", TemplateError::Stray),
            ("{hosts}", TemplateError::Unknown("hosts".into())),
            ("{0}", TemplateError::Unknown("0".into())),
            ("{01}", TemplateError::Unknown("01".into())),
            ("{+1}", TemplateError::Unknown("+1".into())),
            ("{}", TemplateError::Unknown(String::new())),
        ];
        for (text, expected) in cases {
            assert_eq!(Template::parse(text).unwrap_err(), expected, "{text}");
        }
        assert_eq!(
            TemplateError::Unknown("x".into()).to_string(),
            "holds the unknown placeholder `{x}`"
        );
    }

    #[test]
    fn a_template_knows_its_parts() {
        let template = Template::parse("logs-{1}-{host}").unwrap();
        assert_eq!((template.prefix(), template.literal()), ("logs-", None));
        assert_eq!(
            template.placeholders().collect::<Vec<_>>(),
            [Placeholder::Wildcard(1), Placeholder::Host]
        );
        assert_eq!(Template::parse("a{{b").unwrap().literal(), Some("a{b"));
    }
}
