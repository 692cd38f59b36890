//! `rotated`: where the rotated generations of a path are found.

use std::path::{Path, PathBuf};

use logcatch_tail::{GlobError, PathGlob, Rotated};

use crate::template::{Template, Values};

/// Stands for the names that rotation gives beside the path.
pub(crate) const AUTO: &str = "auto";
/// What a pattern would take for more than itself.
const SPECIAL: &[char] = &['*', '?', '[', ']', '{', '}', ',', '\\'];

/// Where the rotated generations of the paths of an entry are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotatedFiles {
    /// Beside the path, under the names that rotation gives.
    pub beside: bool,
    /// Patterns, once the placeholders of a path are put in, each with the directory that a relative one begins in.
    pub patterns: Vec<(Template, PathBuf)>,
}

impl RotatedFiles {
    /// Where those of one path are.
    pub fn of(&self, values: &Values<'_>) -> Rotated {
        let patterns = self.patterns.iter();
        Rotated {
            beside: self.beside,
            // What was a pattern when the settings were read is one, whatever text is put in.
            globs: patterns
                .filter_map(|(pattern, directory)| glob(pattern, values, directory).ok())
                .collect(),
        }
    }
}

/// The pattern for one path, whose own special characters are literal.
pub(crate) fn glob(pattern: &Template, values: &Values<'_>, directory: &Path) -> Result<PathGlob, GlobError> {
    let wildcards: Vec<String> = values.wildcards.iter().map(|text| literal(text)).collect();
    let values = Values {
        host: &literal(values.host),
        name: &literal(values.name),
        path: &literal(values.path),
        file: &literal(values.file),
        wildcards: &wildcards,
        namespace: &literal(values.namespace),
        pod: &literal(values.pod),
        container: &literal(values.container),
    };
    PathGlob::parse(&pattern.render(&values), directory)
}

fn literal(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if SPECIAL.contains(&character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_stands_for_itself() {
        let values = Values {
            name: "a{b}",
            path: "/l/[x]*.log",
            file: "[x]*.log",
            ..Values::default()
        };
        for (pattern, path, expected) in [
            ("/old/{file}.*", "/old/[x]*.log.1", true),
            ("/old/{file}.*", "/old/xyz.log.1", false),
            ("{path}.*", "/l/[x]*.log.2.gz", true),
            ("old/{name}/{file}-{{1,2}}", "/etc/old/a{b}/[x]*.log-2", true),
        ] {
            let pattern = Template::parse(pattern).unwrap();
            let glob = glob(&pattern, &values, Path::new("/etc")).unwrap();
            assert_eq!(glob.is_match(Path::new(path)), expected, "{glob} on {path}");
        }
    }
}
