//! From the text of a pattern to its components.

use std::fmt::Write as _;

use thiserror::Error;

/// `*`: bytes, not characters, so that names which are not UTF-8 match.
const ANY_RUN: &str = "(?s-u:.*)";
/// `?`: one character, or one byte of a name that is not UTF-8.
const ANY_ONE: &str = r"(?s:.|(?-u:[\x80-\xff]))";

/// A pattern that means nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("cannot use the pattern `{pattern}`: {fault}")]
pub struct GlobError {
    /// The pattern as it was written.
    pub pattern: String,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a pattern. Places count characters from 1.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    #[error("it is empty")]
    Empty,
    #[error("it names a directory; `{0}*` would match the files in it")]
    Directory(String),
    #[error("the `[` at character {0} is never closed; `\\[` is the character itself")]
    OpenSet(usize),
    #[error("the set at character {0} holds a `/`, which no name contains")]
    SlashInSet(usize),
    #[error("the range `{range}` at character {at} runs backwards")]
    BackwardRange { at: usize, range: String },
    #[error("the `{{` at character {0} is never closed; `\\{{` is the character itself")]
    OpenBraces(usize),
    #[error("the `}}` at character {0} was never opened; `\\}}` is the character itself")]
    StrayBrace(usize),
    #[error("the `{{}}` at character {0} holds no alternatives: they are separated by commas, as in `{{a,b}}`")]
    NoAlternatives(usize),
    #[error("the `{{}}` at character {0} holds a `/`: give a list of paths instead")]
    SlashInBraces(usize),
    #[error(
        "the `**` at character {0} is only part of a name: it must stand alone between slashes, as in `/a/**/*.log`"
    )]
    PartialDeep(usize),
    #[error("the `**` at character {0} follows another, which already crosses all directories")]
    RepeatedDeep(usize),
    #[error("the `..` at character {0} follows a wildcard, so its directory is not known")]
    ParentOfWildcard(usize),
    #[error("the `\\` at character {0} has nothing to escape")]
    NothingEscaped(usize),
    #[error("it is relative to a directory whose path holds `..`")]
    Base,
    #[error("it is too long")]
    TooBig,
}

/// One component: its text in normal form, and what it means.
pub(super) struct Part {
    pub(super) text: String,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Name(Vec<u8>),
    Wild { regex: String, starts_with_dot: bool },
    Deep,
}

struct Parser<'a> {
    pattern: &'a str,
    chars: Vec<char>,
    at: usize,
}

/// What a run of characters means: as a name while no wildcard was met, and as a regex.
#[derive(Default)]
struct Run {
    name: String,
    regex: String,
    wild: bool,
    starts_with_dot: bool,
}

/// Adds the components of `pattern` to those of the directory it is relative to.
pub(super) fn parse_into(parts: &mut Vec<Part>, pattern: &str) -> Result<(), GlobError> {
    let mut parser = Parser::new(pattern)?;
    while parser.at < parser.chars.len() {
        let start = parser.at;
        let part = parser.component(true)?;
        match part.text.as_str() {
            "" | "." => {}
            ".." => match parts.pop() {
                None => {}
                Some(last) if last.as_name().is_some() => {}
                Some(_) => return Err(parser.error(Fault::ParentOfWildcard(start + 1))),
            },
            "**" if parts.last().is_some_and(|last| last.text == "**") => {
                return Err(parser.error(Fault::RepeatedDeep(start + 1)));
            }
            _ => parts.push(part),
        }
        parser.at += 1; // the slash
    }
    // The text is judged, not the last component: `a/..` and `a/` both name directories.
    let last = pattern.rsplit('/').next().unwrap_or_default();
    if parts.is_empty() || matches!(last, "" | "." | "..") {
        return Err(parser.error(Fault::Directory(format!("{}/", pattern.trim_end_matches('/')))));
    }
    Ok(())
}

/// Reads a pattern that has no slashes.
pub(super) fn parse_file_name(pattern: &str) -> Result<Part, GlobError> {
    Parser::new(pattern)?.component(false)
}

// === impl Parser ===

impl<'a> Parser<'a> {
    fn new(pattern: &'a str) -> Result<Self, GlobError> {
        if pattern.is_empty() {
            return Err(GlobError::new(pattern, Fault::Empty));
        }
        Ok(Self {
            pattern,
            chars: pattern.chars().collect(),
            at: 0,
        })
    }

    fn component(&mut self, deep: bool) -> Result<Part, GlobError> {
        let start = self.at;
        let end = |chars: &[char], at: usize| matches!(chars.get(at), None | Some('/'));
        if deep && self.chars[start..].starts_with(&['*', '*']) && end(&self.chars, start + 2) {
            self.at += 2;
            return Ok(Part {
                text: "**".into(),
                kind: Kind::Deep,
            });
        }
        let run = self.run(false)?;
        if !run.wild {
            return Ok(Part::name(run.name.as_bytes()));
        }
        let regex = format!(r"\A{}\z", run.regex);
        let kind = Kind::Wild {
            regex,
            starts_with_dot: run.starts_with_dot,
        };
        Ok(Part {
            text: self.chars[start..self.at].iter().collect(),
            kind,
        })
    }

    /// Reads to the end of the component, or of the alternative when `nested` in braces. Only wildcards outside of
    /// braces are captured, so that their number does not depend on the alternative taken.
    fn run(&mut self, nested: bool) -> Result<Run, GlobError> {
        let mut run = Run::default();
        while let Some(&char) = self.chars.get(self.at) {
            let place = self.at + 1;
            match char {
                '/' if nested => return Err(self.error(Fault::SlashInBraces(place))),
                '/' => break,
                ',' | '}' if nested => break,
                '}' => return Err(self.error(Fault::StrayBrace(place))),
                '*' if self.chars.get(self.at + 1) == Some(&'*') => return Err(self.error(Fault::PartialDeep(place))),
                '*' => run.push_wildcard(ANY_RUN, nested),
                '?' => run.push_wildcard(ANY_ONE, nested),
                '[' => run.push_wildcard(&self.set()?, nested),
                '{' => {
                    let (regex, starts_with_dot) = self.alternatives()?;
                    run.starts_with_dot |= run.is_empty() && starts_with_dot;
                    run.push_wildcard(&regex, nested);
                }
                '\\' => {
                    let escaped = self.escaped()?;
                    run.push_char(escaped);
                }
                char => run.push_char(char),
            }
            self.at += 1;
        }
        Ok(run)
    }

    /// Reads `{a,b}` from its opening brace up to its closing one.
    fn alternatives(&mut self) -> Result<(String, bool), GlobError> {
        let place = self.at + 1;
        let mut runs = Vec::new();
        loop {
            self.at += 1;
            runs.push(self.run(true)?);
            match self.chars.get(self.at) {
                Some(',') => {}
                Some(_) if runs.len() > 1 => break,
                Some(_) => return Err(self.error(Fault::NoAlternatives(place))),
                None => return Err(self.error(Fault::OpenBraces(place))),
            }
        }
        let regexes = runs.iter().map(|run| run.regex.as_str()).collect::<Vec<_>>();
        Ok((
            format!("(?:{})", regexes.join("|")),
            runs.iter().any(|run| run.starts_with_dot),
        ))
    }

    /// Reads `[...]` from its opening bracket up to its closing one.
    fn set(&mut self) -> Result<String, GlobError> {
        let place = self.at + 1;
        let mut regex = String::from("[");
        if matches!(self.chars.get(self.at + 1), Some('!' | '^')) {
            self.at += 1;
            regex.push('^');
        }
        let first = self.at + 1;
        loop {
            self.at += 1;
            match self.chars.get(self.at) {
                None => return Err(self.error(Fault::OpenSet(place))),
                // As in shells, a `]` that comes first is a member.
                Some(']') if self.at > first => break,
                Some(_) => {}
            }
            let from = self.member(place)?;
            let ranged = self.chars.get(self.at + 1) == Some(&'-')
                && self.chars.get(self.at + 2).is_some_and(|char| *char != ']');
            let to = if ranged {
                self.at += 2;
                self.member(place)?
            } else {
                from
            };
            if from > to {
                let range = format!("{from}-{to}");
                return Err(self.error(Fault::BackwardRange { at: place, range }));
            }
            let _ = write!(regex, r"\x{{{:x}}}-\x{{{:x}}}", u32::from(from), u32::from(to));
        }
        regex.push(']');
        Ok(regex)
    }

    fn member(&mut self, set: usize) -> Result<char, GlobError> {
        match self.chars.get(self.at) {
            None => Err(self.error(Fault::OpenSet(set))),
            Some('/') => Err(self.error(Fault::SlashInSet(set))),
            Some('\\') => self.escaped(),
            Some(&char) => Ok(char),
        }
    }

    /// Moves from a backslash onto the character it makes literal.
    fn escaped(&mut self) -> Result<char, GlobError> {
        let place = self.at + 1;
        self.at += 1;
        match self.chars.get(self.at) {
            Some(&char) if char != '/' => Ok(char),
            _ => Err(self.error(Fault::NothingEscaped(place))),
        }
    }

    fn error(&self, fault: Fault) -> GlobError {
        GlobError::new(self.pattern, fault)
    }
}

// === impl Run ===

impl Run {
    fn is_empty(&self) -> bool {
        self.regex.is_empty()
    }

    fn push_char(&mut self, char: char) {
        self.starts_with_dot |= self.is_empty() && char == '.';
        self.name.push(char);
        self.regex.push_str(&regex::escape(char.encode_utf8(&mut [0; 4])));
    }

    fn push_wildcard(&mut self, regex: &str, nested: bool) {
        self.wild = true;
        let open = if nested { "(?:" } else { "(" };
        self.regex.extend([open, regex, ")"]);
    }
}

// === impl Part ===

impl Part {
    /// A component that is taken literally.
    pub(super) fn name(name: &[u8]) -> Self {
        let mut text = String::new();
        for char in String::from_utf8_lossy(name).chars() {
            if matches!(char, '*' | '?' | '[' | ']' | '{' | '}' | '\\') {
                text.push('\\');
            }
            text.push(char);
        }
        Self {
            text,
            kind: Kind::Name(name.to_vec()),
        }
    }

    pub(super) fn as_name(&self) -> Option<&[u8]> {
        match &self.kind {
            Kind::Name(name) => Some(name),
            Kind::Wild { .. } | Kind::Deep => None,
        }
    }
}

// === impl GlobError ===

impl GlobError {
    pub(super) fn new(pattern: &str, fault: Fault) -> Self {
        Self {
            pattern: pattern.to_owned(),
            fault,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Exclude, PathGlob};
    use super::*;

    #[test]
    fn errors_say_what_is_wrong_and_where() {
        let cases = [
            ("", Fault::Empty),
            ("/var/log/", Fault::Directory("/var/log/".into())),
            ("/var/log/.", Fault::Directory("/var/log/./".into())),
            ("/", Fault::Directory("/".into())),
            ("/l/[a", Fault::OpenSet(4)),
            ("/l/[]", Fault::OpenSet(4)),
            ("/l/[a-", Fault::OpenSet(4)),
            ("/l/[a/b]", Fault::SlashInSet(4)),
            (
                "/l/x[z-a]",
                Fault::BackwardRange {
                    at: 5,
                    range: "z-a".into(),
                },
            ),
            ("/l/{a,b", Fault::OpenBraces(4)),
            ("/l/{a,{b,c}", Fault::OpenBraces(4)),
            ("/l/a}", Fault::StrayBrace(5)),
            ("/l/{name}.log", Fault::NoAlternatives(4)),
            ("/l/{a/b,c}", Fault::SlashInBraces(6)),
            ("/l/**.log", Fault::PartialDeep(4)),
            ("/l/ä**/b", Fault::PartialDeep(5)),
            ("/l/***/b", Fault::PartialDeep(4)),
            ("/l/**/**/a", Fault::RepeatedDeep(7)),
            ("/l/*/../a", Fault::ParentOfWildcard(6)),
            ("/l/a\\", Fault::NothingEscaped(5)),
            ("/l/\\/b", Fault::NothingEscaped(4)),
        ];
        for (pattern, fault) in cases {
            let error = PathGlob::parse(pattern, Path::new("/")).unwrap_err();
            assert_eq!(error, GlobError::new(pattern, fault), "{pattern}");
        }
        assert_eq!(
            Exclude::parse("**", Path::new("/")).unwrap_err().fault,
            Fault::PartialDeep(1)
        );
    }

    #[test]
    fn messages_read_as_sentences() {
        let message = PathGlob::parse("/l/[a", Path::new("/")).unwrap_err().to_string();
        let expected =
            "cannot use the pattern `/l/[a`: the `[` at character 4 is never closed; `\\[` is the character itself";
        assert_eq!(message, expected);
    }
}
