//! The settings file of the demo's service: written once, then the visitor's to edit.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io};

use super::broker::TOPIC;
use super::line::Log;
use super::writer::Writers;

/// The name, and so the key, of the visitor's own log. With three logs and 16 partitions it happens to have a partition
/// of its own, which a test holds.
pub const GUEST: &str = "yours";

/// From this size on the visitor's own log is shipped from its end: the broker would keep no more of it anyway.
const LARGE: u64 = 64 << 20;

/// How long the typo stays.
const TYPO: Duration = Duration::from_secs(3);

/// An unknown key in the last log's entry, close to one that exists.
const TYPO_LINE: &str = "topc = \"a typo of the demo\"\n";

/// The file.
pub struct SettingsFile {
    path: PathBuf,
    /// What the demo wrote last.
    content: String,
    typo_until: Option<Instant>,
}

/// The visitor's own log.
pub struct Guest {
    /// Its absolute path.
    pub path: String,
    /// Whether it is so large that only what is appended is shipped.
    pub from_end: bool,
}

impl Guest {
    /// Looks at the log that the visitor named.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = fs::metadata(path)?;
        if !file.is_file() {
            return Err(io::Error::other("not a file"));
        }
        fs::File::open(path)?;
        // The last component stays as it is: if it is a link, the service shall follow where it leads.
        let name = path.file_name().ok_or_else(|| io::Error::other("no file name"))?;
        let directory = fs::canonicalize(std::path::absolute(path)?.parent().unwrap_or(path))?;
        let path = directory.join(name).into_os_string().into_string();
        let path = path.map_err(|_| io::Error::other("its name is not UTF-8, which a settings file is"))?;
        Ok(Self {
            path,
            from_end: file.len() >= LARGE,
        })
    }
}

impl SettingsFile {
    /// Writes it in `directory`, for the logs in `logs`.
    pub fn create(directory: &Path, logs: &Path, brokers: &str, guest: Option<&Guest>) -> io::Result<Self> {
        let path = Self::path_in(directory);
        let state = directory.join("state");
        let mut content = format!(
            "# The settings of the service in this demo. Edit and save: they apply while it runs.\n\
             # A mistake changes nothing: the service says what is wrong and goes on as before.\n\
             \n\
             [kafka]\nbrokers = [{}]\ntopic = {}\n\n[state]\ndirectory = {}\n\n[web]\nlisten = \"\"\n",
            quoted(brokers),
            quoted(TOPIC),
            quoted(&state.to_string_lossy()),
        );
        for log in Log::ALL {
            entry(
                &mut content,
                log.name(),
                &Writers::path(logs, log).to_string_lossy(),
                false,
            );
        }
        if let Some(guest) = guest {
            entry(&mut content, GUEST, &literal(&guest.path), guest.from_end);
        }
        let mut file = Self {
            path,
            content: String::new(),
            typo_until: None,
        };
        file.write(content)?;
        Ok(file)
    }

    /// Where it is going to be.
    pub fn path_in(directory: &Path) -> PathBuf {
        directory.join("logcatch.toml")
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts a typo into the file, as it is now; [`SettingsFile::mend`] takes it out after a few seconds.
    pub fn spoil(&mut self, now: Instant) -> io::Result<()> {
        let mut content = fs::read_to_string(&self.path)?;
        if !content.ends_with('\n') {
            content.push('\n');
        }
        content.push_str(TYPO_LINE);
        self.typo_until = Some(now + TYPO);
        self.write(content)
    }

    /// Takes the typo out when its time is over, or at once if `now` is `None`; what the visitor edited meanwhile
    /// stays. True if it was taken out.
    pub fn mend(&mut self, now: Option<Instant>) -> io::Result<bool> {
        if self.typo_until.is_none_or(|until| now.is_some_and(|now| now < until)) {
            return Ok(false);
        }
        self.typo_until = None;
        let content = fs::read_to_string(&self.path)?.replacen(TYPO_LINE, "", 1);
        self.write(content)?;
        Ok(true)
    }

    /// Whether the typo is in the file.
    pub fn is_spoiled(&self) -> bool {
        self.typo_until.is_some()
    }

    /// Whether the visitor has edited it.
    pub fn is_edited(&self) -> bool {
        fs::read_to_string(&self.path).map_or(true, |content| content != self.content)
    }

    /// Replaces the file in one step, as a careful editor does, so that no half of it is read.
    fn write(&mut self, content: String) -> io::Result<()> {
        let next = self.path.with_extension("toml.next");
        fs::write(&next, &content)?;
        fs::rename(&next, &self.path)?;
        self.content = content;
        Ok(())
    }
}

fn entry(content: &mut String, name: &str, path: &str, from_end: bool) {
    // Writing to a string does not fail.
    let _ = write!(
        content,
        "\n[[logs]]\nname = {}\npath = {}\nkey = \"{{name}}\"\n",
        quoted(name),
        quoted(path)
    );
    if from_end {
        content.push_str("start = \"end\"\n");
    }
}

/// A TOML string whose value is `text`, and in which `${` is no variable.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for char in text.replace("${", "$${").chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            _ if char.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(char));
            }
            _ => quoted.push(char),
        }
    }
    quoted.push('"');
    quoted
}

/// A glob that matches this path only.
fn literal(path: &str) -> String {
    path.chars().fold(String::new(), |mut glob, char| {
        if matches!(char, '*' | '?' | '[' | ']' | '{' | '}' | '\\') {
            glob.push('\\');
        }
        glob.push(char);
        glob
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(directory: &Path) -> SettingsFile {
        SettingsFile::create(directory, directory, "127.0.0.1:9092", None).unwrap()
    }

    #[test]
    fn a_typo_is_taken_out_and_the_visitors_edit_stays() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = file(directory.path());
        let original = fs::read_to_string(file.path()).unwrap();
        let now = Instant::now();
        file.spoil(now).unwrap();
        assert!(file.is_spoiled() && !file.is_edited());
        let spoiled = fs::read_to_string(file.path()).unwrap();
        assert_ne!(spoiled, original);
        fs::write(file.path(), format!("# mine\n{spoiled}")).unwrap();
        assert!(file.is_edited());
        assert!(!file.mend(Some(now)).unwrap());
        assert!(file.mend(Some(now + TYPO)).unwrap());
        assert_eq!(fs::read_to_string(file.path()).unwrap(), format!("# mine\n{original}"));
        assert!(!file.mend(None).unwrap());
    }

    #[test]
    fn strings_are_quoted_and_globs_are_literal() {
        assert_eq!(quoted("/a \"b\"/${c}\\d\n"), r#""/a \"b\"/$${c}\\d\u000A""#);
        assert_eq!(literal("/var/log/a[1]*.log"), r"/var/log/a\[1\]\*.log");
    }
}
