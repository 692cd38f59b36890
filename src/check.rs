//! `logcatch check`: are the settings good, and what would they ship?

mod broker;
mod positions;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::SystemTime;

use logcatch_actors::load;
use logcatch_actors::words::harmless;
use logcatch_settings::cause::chain;
use logcatch_settings::{LogEntry, Settings, Start, how_often};
use logcatch_tail::{Inode, sweep};
use serde::Serialize;

use crate::cli::{self, CheckArgs};
use crate::error::Failure;

/// Of more files only so many are listed; JSON has all.
const FILES_SHOWN: usize = 10;

/// What the settings mean on this host now.
#[derive(Debug, Serialize)]
struct Report {
    settings: String,
    entries: Vec<Entry>,
    overlaps: Vec<Overlap>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topics: Option<Vec<broker::Topic>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    positions: Option<positions::Positions>,
}

#[derive(Debug, Serialize)]
struct Entry {
    name: String,
    topic: String,
    /// What the files that are there go to.
    topics: BTreeSet<String>,
    paths: Vec<String>,
    files: Vec<File>,
    /// What a service with no positions would ship at first.
    bytes_at_first: u64,
    unreadable: Vec<Unreadable>,
    /// Files for which `topic` gives no name of a topic.
    untargeted: Vec<Unreadable>,
    #[serde(skip)]
    named: bool,
}

#[derive(Debug, Serialize)]
struct File {
    path: String,
    size: u64,
    #[serde(skip)]
    inode: Inode,
    /// `ignore_older` has it start at its end.
    #[serde(skip)]
    is_old: bool,
}

#[derive(Debug, Serialize)]
struct Unreadable {
    path: String,
    reason: String,
}

/// A file that several entries match, or one entry under several paths.
#[derive(Debug, Serialize)]
struct Overlap {
    paths: Vec<String>,
    entries: Vec<String>,
    consequence: String,
}

pub fn run(config: &Path, args: &CheckArgs) -> Result<(), Failure> {
    let loaded = load(config, &cli::environment)?;
    for notice in &loaded.notices {
        cli::note(notice);
    }
    broker::check_properties(&loaded.settings, config)?;
    let mut report = Report::new(config, &loaded.settings);
    let asked = args
        .broker
        .then(|| broker::ask(&loaded.settings, &report.entries))
        .transpose();
    let (topics, unreachable) = match asked {
        Ok(topics) => (topics, None),
        // What is known without Kafka is printed all the same.
        Err(failure) => (None, Some(failure)),
    };
    let unusable = topics.as_deref().and_then(broker::unusable);
    // Without an answer to the first question there is none to this one.
    let positions = topics.as_ref().and_then(|_| positions::ask(&loaded.settings));
    let homeless = positions.as_ref().and_then(positions::Positions::unusable);
    (report.topics, report.positions) = (topics, positions);
    if args.json {
        cli::print_json(&report)?;
    } else {
        cli::print(&report.to_text())?;
    }
    let waiting: usize = report.entries.iter().map(Entry::waiting).sum();
    if waiting > 0 {
        cli::note(&format!(
            "{waiting} of the paths cannot be read by this user, or not be shipped: see `cannot` above"
        ));
    }
    unreachable.or(unusable).or(homeless).map_or(Ok(()), Err)
}

// === impl Report ===

impl Report {
    fn new(config: &Path, settings: &Settings) -> Self {
        let entries = settings
            .logs
            .iter()
            .map(|log| Entry::new(log, &settings.host))
            .collect::<Vec<_>>();
        let overlaps = overlaps(&entries);
        Self {
            settings: config.display().to_string(),
            entries,
            overlaps,
            topics: None,
            positions: None,
        }
    }

    fn to_text(&self) -> String {
        let mut text = format!("the settings `{}` are good\n", self.settings);
        if self.entries.is_empty() {
            text.push_str("no entry yet: `include` may bring some\n");
        }
        for entry in &self.entries {
            text.push_str(&entry.to_text());
        }
        for overlap in &self.overlaps {
            let paths = harmless(&overlap.paths.join("` = `"));
            let entries = overlap.entries.join("`, `");
            text.push_str(&format!(
                "overlap: `{paths}` is matched by `{entries}`: {}\n",
                overlap.consequence
            ));
        }
        for topic in self.topics.iter().flatten() {
            text.push_str(&topic.to_text());
        }
        if let Some(positions) = &self.positions {
            text.push_str(&positions.to_text());
        }
        text
    }
}

// === impl Entry ===

impl Entry {
    fn new(log: &LogEntry, host: &str) -> Self {
        let found = sweep(&log.paths, &log.exclude_paths);
        let ignore_before = log.ignore_before(SystemTime::now());
        let file = |(path, stat): (&std::path::PathBuf, &logcatch_tail::Stat)| File {
            path: path.display().to_string(),
            size: stat.size,
            inode: stat.inode,
            is_old: ignore_before.is_some_and(|before| stat.modified < before),
        };
        let files = found.files.iter().map(file).collect::<Vec<_>>();
        let (mut topics, mut untargeted) = (BTreeSet::new(), Vec::new());
        topics.extend(log.topic.literal().map(str::to_owned));
        for path in found.files.keys() {
            match log.topic_of(host, path) {
                Ok(topic) => {
                    topics.insert(topic);
                }
                Err(illegal) => untargeted.push(Unreadable {
                    path: path.display().to_string(),
                    reason: illegal.to_string(),
                }),
            }
        }
        let unreadable = found
            .unreadable
            .iter()
            .map(|(path, error)| (path.as_path(), chain(error)));
        // That a name is found does not mean that its file can be opened.
        let closed = found
            .files
            .keys()
            .filter_map(|path| Some((path.as_path(), chain(&std::fs::File::open(path).err()?))));
        let unreadable = unreadable.chain(closed);
        Self {
            name: log.name.clone(),
            topic: log.topic.to_string(),
            topics,
            untargeted,
            paths: log.paths.iter().map(ToString::to_string).collect(),
            bytes_at_first: match log.start {
                // Links to one file are one file.
                Start::Beginning => {
                    let young = files.iter().filter(|file| !file.is_old);
                    let sizes = young.map(|file| ((file.inode.dev, file.inode.ino), file.size));
                    sizes.collect::<BTreeMap<_, _>>().values().sum()
                }
                Start::End => 0,
            },
            files,
            unreadable: unreadable
                .map(|(path, reason)| Unreadable {
                    path: path.display().to_string(),
                    reason,
                })
                .collect(),
            named: log.named,
        }
    }

    /// How many paths would wait for somebody.
    fn waiting(&self) -> usize {
        self.unreadable.len() + self.untargeted.len()
    }

    fn to_text(&self) -> String {
        let Self { name, topic, .. } = self;
        let files = match self.files.len() {
            0 => "no file yet".to_owned(),
            1 => "1 file".to_owned(),
            count => format!("{count} files"),
        };
        let bytes = human(self.bytes_at_first);
        let mut text = format!("\n`{name}` to topic `{topic}`: {files}, {bytes} to ship if none was shipped before\n");
        for path in self.paths.iter().filter(|path| *path != name) {
            text.push_str(&format!("  pattern {path}\n"));
        }
        for file in self.files.iter().take(FILES_SHOWN) {
            text.push_str(&format!("  {:>10}  {}\n", human(file.size), harmless(&file.path)));
        }
        if let Some(more) = self.files.len().checked_sub(FILES_SHOWN).filter(|more| *more > 0) {
            text.push_str(&format!("  and {more} more\n"));
        }
        if self.topics.iter().ne([topic]) && !self.topics.is_empty() {
            let topics = self.topics.iter().map(String::as_str).collect::<Vec<_>>();
            text.push_str(&format!("  topics {}\n", topics.join(", ")));
        }
        for Unreadable { path, reason } in &self.untargeted {
            text.push_str(&format!("  cannot ship `{}`: {reason}\n", harmless(path)));
        }
        for Unreadable { path, reason } in &self.unreadable {
            text.push_str(&format!("  cannot read `{}`: {reason}\n", harmless(path)));
        }
        text
    }
}

/// Files that are matched more than once, and what then happens.
fn overlaps(entries: &[Entry]) -> Vec<Overlap> {
    let mut found = BTreeMap::<_, Vec<(&Entry, &File)>>::new();
    for entry in entries {
        for file in &entry.files {
            found
                .entry((file.inode.dev, file.inode.ino))
                .or_default()
                .push((entry, file));
        }
    }
    let overlap = |matches: Vec<(&Entry, &File)>| {
        let (names, paths) = matches
            .iter()
            .map(|(entry, file)| (entry.name.clone(), file.path.clone()))
            .unzip();
        let (names, paths): (Vec<_>, Vec<_>) = (in_order(names), in_order(paths));
        let matching = matches.iter().map(|(entry, _)| (entry.name.as_str(), entry.named));
        let consequence = format!("it ships {}", how_often(matching));
        (matches.len() > 1).then_some(Overlap {
            paths,
            entries: names,
            consequence,
        })
    };
    found.into_values().filter_map(overlap).collect()
}

/// Drops repetitions and keeps the order.
fn in_order(mut texts: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    texts.retain(|text| seen.insert(text.clone()));
    texts
}

/// A size to read, not to calculate with.
fn human(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let mut amount = bytes as f64 / 1024.0;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    format!("{amount:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn report(dir: &Path, logs: &str) -> Report {
        let path = dir.join("f.toml");
        fs::write(&path, format!("[kafka]\nbrokers = \"a:1\"\ntopic = \"t\"\n{logs}")).unwrap();
        Report::new(&path, &load(&path, &|_| None).unwrap().settings)
    }

    #[test]
    fn files_bytes_and_overlaps_are_told_for_each_entry() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::write(root.join("a.log"), vec![b'x'; 2048]).unwrap();
        fs::write(root.join("b.log"), "bb\n").unwrap();
        symlink("b.log", root.join("c.log")).unwrap();
        let report = report(
            &root,
            "[[logs]]\npath = \"*.log\"\n[[logs]]\npath = [\"a.*\", \"none/*\"]\n[[logs]]\nname = \"n\"\npath = \"a.log\"\nstart = \"end\"\n",
        );
        let sizes = report
            .entries
            .iter()
            .map(|entry| (entry.files.len(), entry.bytes_at_first))
            .collect::<Vec<_>>();
        assert_eq!(sizes, [(3, 2051), (1, 2048), (1, 0)]);

        let text = report.to_text().replace(&format!("{}/", root.display()), "");
        let expected = "the settings `f.toml` are good

`*.log` to topic `t`: 3 files, 2.0 KiB to ship if none was shipped before
     2.0 KiB  a.log
         3 B  b.log
         3 B  c.log

`a.*` to topic `t`: 1 file, 2.0 KiB to ship if none was shipped before
  pattern none/*
     2.0 KiB  a.log

`n` to topic `t`: 1 file, 0 B to ship if none was shipped before
  pattern a.log
     2.0 KiB  a.log
";
        let (entries, overlaps) = text.split_at(expected.len());
        assert_eq!(entries, expected);
        let mut overlaps = overlaps.lines().collect::<Vec<_>>();
        overlaps.sort_unstable();
        assert_eq!(
            overlaps,
            [
                "overlap: `a.log` is matched by `*.log`, `a.*`, `n`: it ships 2 times, once for each name",
                "overlap: `b.log` = `c.log` is matched by `*.log`: it ships once",
            ]
        );
    }

    #[test]
    fn sizes_are_short() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (10 << 20, "10.0 MiB"),
            (5 << 40, "5.0 TiB"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(human(bytes), expected);
        }
    }
}
