//! Files that several entries match, and what then happens: for the log and for status.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use logcatch_settings::{LogEntry, how_often};
use logcatch_tail::Sweep;

/// Names a file, whatever paths it has.
type File = (u64, u64);

/// Which entries match which files, by their places in the settings.
#[derive(Debug, Default)]
pub struct Overlaps {
    first: HashMap<File, usize>,
    /// Of files that several entries match: those, and one path.
    several: HashMap<File, (PathBuf, Vec<usize>)>,
    /// Files that an entry without a name has.
    taken: HashMap<File, usize>,
}

impl Overlaps {
    /// Takes down what the entry at this place in the settings matches. Of files that an earlier entry without a name has, one
    /// without a name has none.
    pub fn take(&mut self, place: usize, entry: &LogEntry, swept: &mut Sweep) {
        swept.files.retain(|path, stat| {
            let file = (stat.inode.dev, stat.inode.ino);
            let first = *self.first.entry(file).or_insert(place);
            if first != place {
                let (_, places) = self.several.entry(file).or_insert_with(|| (path.clone(), vec![first]));
                if places.last() != Some(&place) {
                    places.push(place);
                }
            }
            entry.named || *self.taken.entry(file).or_insert(place) == place
        });
    }

    /// A sentence for each set of entries that match the same files.
    pub fn told(&self, entries: &[Arc<LogEntry>]) -> Vec<String> {
        let mut sets: BTreeMap<&[usize], (&Path, usize)> = BTreeMap::new();
        for (path, places) in self.several.values() {
            let (least, count) = sets.entry(places).or_insert((path, 0));
            *least = (*least).min(path);
            *count += 1;
        }
        let told = |(places, (path, count)): (&[usize], (&Path, usize))| {
            let of: Vec<_> = places.iter().filter_map(|place| entries.get(*place)).collect();
            let names: Vec<_> = of.iter().map(|entry| format!("`{}`", entry.name)).collect();
            let path = path.display();
            let (files, it) = match count {
                1 => (format!("`{path}` is matched"), "it ships"),
                _ => (format!("{count} files, `{path}` among them, are matched"), "each ships"),
            };
            let ships = how_often(of.iter().map(|entry| (entry.name.as_str(), entry.named)));
            format!("{files} by {}: {it} {ships}", names.join(", "))
        };
        sets.into_iter().map(told).collect()
    }
}
