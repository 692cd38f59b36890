//! Patterns that name log files: which paths they match, and what each wildcard stood for.

mod parse;
mod step;

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use parse::Part;
pub use parse::{Fault, GlobError};
use step::Step;

/// A validated, absolute pattern of paths.
///
/// | pattern | matches |
/// |---|---|
/// | `*` | any number of characters of one component |
/// | `?` | one character |
/// | `[a-z]`, `[!a]`, `[^a]` | one character of, or not of, the set |
/// | `{a,b}` | one of the alternatives, which may hold wildcards but no `/` |
/// | `**` as a whole component | any number of directories, none included; at the end every file below |
/// | `\x` | the character x itself |
///
/// A name that starts with a dot is matched only by a component that starts with a dot itself (or with a `{}` of which
/// an alternative does), as in shells; `**` does not enter such directories.
#[derive(Clone)]
pub struct PathGlob {
    text: String,
    steps: Vec<Step>,
    base: PathBuf,
    literal: Option<PathBuf>,
    dot_names: DotNames,
}

/// A validated pattern of paths that are left out. Unlike in [`PathGlob`], wildcards match leading dots too: an
/// exclusion that misses a hidden file would ship what nobody wanted.
#[derive(Clone)]
pub struct Exclude {
    text: String,
    scope: Scope,
}

#[derive(Clone)]
enum Scope {
    FileName(Step),
    Path(PathGlob),
}

/// Whether wildcards match names that start with a dot.
#[derive(Clone, Copy, PartialEq)]
enum DotNames {
    Matched,
    OnlyIfAsked,
}

// === impl PathGlob ===

impl PathGlob {
    /// Reads `pattern`; a relative one is taken from `base`, an absolute path without `..` in which nothing is a
    /// wildcard. Repeated slashes and `.` are dropped, `..` is resolved in the text, without a look at links.
    pub fn parse(pattern: &str, base: &Path) -> Result<Self, GlobError> {
        Self::build(pattern, base, DotNames::OnlyIfAsked)
    }

    fn build(pattern: &str, base: &Path, dot_names: DotNames) -> Result<Self, GlobError> {
        let mut parts = Vec::new();
        if !pattern.starts_with('/') {
            parts.extend(
                names(base)
                    .ok_or_else(|| GlobError::new(pattern, Fault::Base))?
                    .into_iter()
                    .map(Part::name),
            );
        }
        parse::parse_into(&mut parts, pattern)?;

        let text = parts.iter().map(|part| format!("/{}", part.text)).collect();
        let plain = parts.iter().map_while(Part::as_name).collect::<Vec<_>>();
        let whole = plain.len() == parts.len();
        let path = |names: &[&[u8]]| {
            names
                .iter()
                .fold(PathBuf::from("/"), |path, name| path.join(OsStr::from_bytes(name)))
        };
        let literal = whole.then(|| path(&plain));
        let base = path(if whole {
            &plain[..plain.len().saturating_sub(1)]
        } else {
            &plain
        });
        let steps = parts
            .into_iter()
            .map(|part| Step::new(part, pattern))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            text,
            steps,
            base,
            literal,
            dot_names,
        })
    }

    /// The pattern, absolute and normalised.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The one path this pattern names, if it has no wildcard.
    pub fn literal(&self) -> Option<&Path> {
        self.literal.as_deref()
    }

    /// The deepest directory above everything this pattern matches.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// How many wildcards this pattern has; a `{}` counts as one.
    pub fn wildcards(&self) -> usize {
        let of_step = |step: &Step| match step {
            Step::Name(_) => 0,
            Step::Deep => 1,
            // The first group is the whole match.
            Step::Wild { regex, .. } => regex.captures_len() - 1,
        };
        self.steps.iter().map(of_step).sum()
    }

    /// What each wildcard matched, in the order of the pattern; a `{}` counts as one wildcard. `None`: no match.
    /// Bytes that are not UTF-8 appear as U+FFFD.
    pub fn captures(&self, path: &Path) -> Option<Vec<String>> {
        let mut found = Vec::new();
        self.walk(&self.steps, &names(path)?, &mut Some(&mut found))
            .then_some(found)
    }

    /// Whether this pattern matches `path`, which is absolute and without `.` and `..`.
    pub fn is_match(&self, path: &Path) -> bool {
        names(path).is_some_and(|names| self.walk(&self.steps, &names, &mut None))
    }

    /// Whether a match can lie below the directory `dir`, at any depth.
    pub fn may_descend(&self, dir: &Path) -> bool {
        names(dir).is_some_and(|names| self.reaches_below(&self.steps, &names))
    }

    /// What wildcards matched is put into `found`, if that is wanted: it costs ten times as much as to know that they do.
    fn walk(&self, steps: &[Step], names: &[&[u8]], found: &mut Option<&mut Vec<String>>) -> bool {
        let Some((step, rest)) = steps.split_first() else {
            return names.is_empty();
        };
        if !matches!(step, Step::Deep) {
            return names.split_first().is_some_and(|(name, others)| {
                step.matches(name, self.dot_names, found) && self.walk(rest, others, found)
            });
        }
        // At the end of a pattern `**` stands for the file too, so it takes at least one name.
        let least = usize::from(rest.is_empty());
        let most = names.iter().take_while(|name| self.may_cross(name)).count();
        let before = found.as_ref().map_or(0, |found| found.len());
        (least..=most).any(|count| {
            let (crossed, others) = names.split_at(count);
            if let Some(found) = found {
                found.truncate(before);
                found.push(String::from_utf8_lossy(&crossed.join(&b'/')).into_owned());
            }
            self.walk(rest, others, found)
        })
    }

    fn reaches_below(&self, steps: &[Step], names: &[&[u8]]) -> bool {
        match (steps.split_first(), names.split_first()) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some((Step::Deep, rest)), Some((name, others))) => {
                self.reaches_below(rest, names) || self.may_cross(name) && self.reaches_below(steps, others)
            }
            (Some((step, rest)), Some((name, others))) => {
                step.matches(name, self.dot_names, &mut None) && self.reaches_below(rest, others)
            }
        }
    }

    fn may_cross(&self, name: &[u8]) -> bool {
        self.dot_names == DotNames::Matched || !name.starts_with(b".")
    }
}

impl PartialEq for PathGlob {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for PathGlob {}

impl fmt::Debug for PathGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PathGlob({:?})", self.text)
    }
}

impl fmt::Display for PathGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

// === impl Exclude ===

impl Exclude {
    /// Reads `pattern`: without a `/` it is matched against file names, else against whole paths, a relative one
    /// taken from `base`.
    pub fn parse(pattern: &str, base: &Path) -> Result<Self, GlobError> {
        if pattern.contains('/') {
            let glob = PathGlob::build(pattern, base, DotNames::Matched)?;
            return Ok(Self {
                text: glob.text.clone(),
                scope: Scope::Path(glob),
            });
        }
        let step = Step::new(parse::parse_file_name(pattern)?, pattern)?;
        Ok(Self {
            text: pattern.to_owned(),
            scope: Scope::FileName(step),
        })
    }

    /// The pattern; one of paths is absolute and normalised.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether `path` is left out.
    pub fn matches(&self, path: &Path) -> bool {
        match &self.scope {
            Scope::Path(glob) => glob.is_match(path),
            Scope::FileName(step) => path
                .file_name()
                .is_some_and(|name| step.matches(name.as_bytes(), DotNames::Matched, &mut None)),
        }
    }
}

impl PartialEq for Exclude {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Exclude {}

impl fmt::Debug for Exclude {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exclude({:?})", self.text)
    }
}

/// The components of an absolute path, or `None` where `..` makes it ambiguous.
fn names(path: &Path) -> Option<Vec<&[u8]>> {
    path.components()
        .filter(|component| *component != Component::RootDir)
        .map(|component| match component {
            Component::Normal(name) => Some(name.as_bytes()),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glob(pattern: &str) -> PathGlob {
        PathGlob::parse(pattern, Path::new("/etc/logcatch")).unwrap()
    }

    /// Each path, and what the wildcards matched (`None`: no match).
    fn check(pattern: &str, cases: &[(&str, Option<&[&str]>)]) {
        let glob = glob(pattern);
        for (path, expected) in cases {
            let expected = expected.map(|parts| parts.iter().map(ToString::to_string).collect::<Vec<_>>());
            assert_eq!(glob.captures(Path::new(path)), expected, "`{pattern}` on `{path}`");
            assert_eq!(glob.is_match(Path::new(path)), expected.is_some());
            assert!(expected.is_none_or(|parts| parts.len() == glob.wildcards()));
        }
    }

    #[test]
    fn a_star_stays_in_its_component() {
        check(
            "/var/log/*/app-*.log",
            &[
                ("/var/log/web/app-1.log", Some(&["web", "1"])),
                ("/var/log/web/app-.log", Some(&["web", ""])),
                ("/var/log/app-1.log", None),
                ("/var/log/a/b/app-1.log", None),
                ("/var/log/web/app-1.log.gz", None),
                ("/var/log/web/app-1.log/x", None),
            ],
        );
    }

    #[test]
    fn question_marks_sets_and_alternatives_match_one_thing_each() {
        check(
            "/l/?[a-c][!0-9]{x,yy,z*}.log",
            &[
                ("/l/1b-x.log", Some(&["1", "b", "-", "x"])),
                ("/l/äc_yy.log", Some(&["ä", "c", "_", "yy"])),
                ("/l/1azzoo.log", Some(&["1", "a", "z", "zoo"])),
                ("/l/1b5x.log", None),
                ("/l/1d-x.log", None),
                ("/l/1b-y.log", None),
            ],
        );
        check(
            "/l/[]-]a",
            &[("/l/]a", Some(&["]"])), ("/l/-a", Some(&["-"])), ("/l/xa", None)],
        );
        check(
            "/l/[^a]",
            &[("/l/b", Some(&["b"])), ("/l/a", None), ("/l/^", Some(&["^"]))],
        );
        check(
            "/l/{a,{b,c}d}",
            &[("/l/cd", Some(&["cd"])), ("/l/a", Some(&["a"])), ("/l/d", None)],
        );
    }

    #[test]
    fn two_stars_cross_directories() {
        check(
            "/srv/**/*.log",
            &[
                ("/srv/a.log", Some(&["", "a"])),
                ("/srv/x/y/a.log", Some(&["x/y", "a"])),
                ("/srv/x/.git/a.log", None),
                ("/srv", None),
            ],
        );
        check(
            "/srv/**",
            &[("/srv/x/y", Some(&["x/y"])), ("/srv", None), ("/srv/.x", None)],
        );
        check(
            "/a/**/b/**/c",
            &[("/a/x/b/y/b/c", Some(&["x", "y/b"])), ("/a/b/c", Some(&["", ""]))],
        );
    }

    #[test]
    fn hidden_names_are_matched_only_when_asked_for() {
        check("/l/*", &[("/l/a", Some(&["a"])), ("/l/.a", None)]);
        check("/l/*.log", &[("/l/.log", None), ("/l/.a.log", None)]);
        check("/l/[.]a", &[("/l/.a", None)]);
        check("/l/.*", &[("/l/.a", Some(&["a"]))]);
        check("/l/{.a,b}", &[("/l/.a", Some(&[".a"]))]);
        check("/l/.a", &[("/l/.a", Some(&[]))]);
    }

    #[test]
    fn escapes_and_special_characters_of_regexes_are_literal() {
        check(r"/l/a\*b.(c)+", &[("/l/a*b.(c)+", Some(&[])), ("/l/axb.(c)+", None)]);
        check(r"/l/\[x\]*", &[("/l/[x]1", Some(&["1"]))]);
        check(
            r"/l/[\]&&~]?",
            &[("/l/]&", Some(&["]", "&"])), ("/l/~~", Some(&["~", "~"]))],
        );
        check(
            r"/l/{a\,b,c\}}",
            &[("/l/a,b", Some(&["a,b"])), ("/l/c}", Some(&["c}"]))],
        );
    }

    #[test]
    fn names_that_are_not_utf8_match() {
        let path = Path::new(OsStr::from_bytes(b"/l/\xff\xfe-1.log"));
        assert_eq!(
            glob("/l/*-?.log").captures(path),
            Some(vec!["\u{fffd}\u{fffd}".into(), "1".into()])
        );
        assert!(glob("/l/??-1.log").is_match(path));
    }

    #[test]
    fn patterns_are_made_absolute_and_normal() {
        let cases = [
            ("/a//b/./*.log", "/a/b/*.log", "/a/b", None),
            ("logs/*.log", "/etc/logcatch/logs/*.log", "/etc/logcatch/logs", None),
            ("../x/./y.log", "/etc/x/y.log", "/etc/x", Some("/etc/x/y.log")),
            ("/*.log", "/*.log", "/", None),
            (r"/a/\*.log", r"/a/\*.log", "/a", Some("/a/*.log")),
            ("/a/**/x/y.log", "/a/**/x/y.log", "/a", None),
            ("/../a/b", "/a/b", "/a", Some("/a/b")),
        ];
        for (pattern, text, base, literal) in cases {
            let glob = glob(pattern);
            assert_eq!((glob.as_str(), glob.base()), (text, Path::new(base)), "{pattern}");
            assert_eq!(glob.literal(), literal.map(Path::new), "{pattern}");
            assert_eq!(glob, PathGlob::parse(text, Path::new("/other")).unwrap());
        }
        let odd = PathGlob::parse("*.log", Path::new("/srv/[a]*")).unwrap();
        assert_eq!(
            (odd.as_str(), odd.base()),
            (r"/srv/\[a\]\*/*.log", Path::new("/srv/[a]*"))
        );
    }

    #[test]
    fn a_walk_knows_where_matches_can_lie() {
        let cases: [(&str, &[&str], &[&str]); 3] = [
            (
                "/var/log/*/x.log",
                &["/", "/var", "/var/log", "/var/log/a"],
                &["/var/log/a/b", "/etc", "/var/log/.a"],
            ),
            ("/var/**/x.log", &["/var", "/var/a/b/c"], &["/v", "/var/.a/b"]),
            ("/var/log/x.log", &["/var/log"], &["/var/log/x.log", "/var/lib"]),
        ];
        for (pattern, yes, no) in cases {
            for dir in yes {
                assert!(glob(pattern).may_descend(Path::new(dir)), "`{pattern}` below `{dir}`");
            }
            for dir in no {
                assert!(!glob(pattern).may_descend(Path::new(dir)), "`{pattern}` below `{dir}`");
            }
        }
    }

    #[test]
    fn exclusions_match_names_or_paths_and_hidden_files() {
        let cases: [(&str, &[&str], &[&str]); 4] = [
            ("*.gz", &["/a/b.gz", "/c/.d.gz"], &["/a/b.gz.log", "/a.gz/b"]),
            ("debug.log", &["/a/debug.log"], &["/a/debug.log.1"]),
            ("/var/log/private/**", &["/var/log/private/a/.b"], &["/var/log/a"]),
            ("old/*", &["/etc/logcatch/old/a"], &["/old/a"]),
        ];
        for (pattern, yes, no) in cases {
            let exclude = Exclude::parse(pattern, Path::new("/etc/logcatch")).unwrap();
            assert!(yes.iter().all(|path| exclude.matches(Path::new(path))), "{pattern}");
            assert!(!no.iter().any(|path| exclude.matches(Path::new(path))), "{pattern}");
        }
    }
}
