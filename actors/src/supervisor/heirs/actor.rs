//! What the SupervisorActor does for entries that take over positions.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use actix::prelude::*;
use logcatch_settings::Settings;
use logcatch_tail::StreamRecord;

use super::{Legacy, are_others, ships};
use crate::observe::Key;
use crate::supervisor::actor::SupervisorActor;
use crate::tail::actor::Retarget;

impl SupervisorActor {
    /// An entry is another one under its name.
    pub(in crate::supervisor) fn retarget(&mut self, name: &str, ctx: &mut Context<Self>) {
        let Some(entry) = self.entry(name) else { return };
        // What it does not ship any more goes nowhere by its new settings.
        let mut watched = self.watched.remove(name).unwrap_or_default();
        let is_gone = |path: &&Arc<Path>| !ships(&self.entries, &entry, path);
        let gone: Vec<_> = watched.keys().filter(is_gone).cloned().collect();
        for path in gone {
            watched.remove(&path);
            self.stop_tail(name, &path, ctx);
        }
        self.watched.insert(name.to_owned(), watched);
        for (_, tail) in self.tails.iter().filter(|(gauge, _)| *gauge.key().0 == *name) {
            tail.address.do_send(Retarget(Arc::clone(&entry)));
        }
    }

    /// Finds the heirs of what these settings, which are about to be in force, leave without an entry.
    pub(in crate::supervisor) fn find_heirs_by(&mut self, settings: &Settings) {
        let are_same = self
            .settings
            .as_ref()
            .is_some_and(|before| !are_others(before, settings));
        // Else they are found when the gate opens.
        if self.gate.is_open() && !are_same {
            self.find_heirs();
        }
    }

    /// Finds the heirs by the entries as they are now. Positions go to the first entry that ships their path and has none of it.
    pub(in crate::supervisor) fn find_heirs(&mut self) {
        let entries = &self.entries;
        let by_name: HashMap<&str, _> = entries.iter().map(|entry| (entry.name.as_str(), entry)).collect();
        let is_shipped = |log: &str, path: &Path| by_name.get(log).is_some_and(|entry| ships(entries, entry, path));
        let legacies = &mut self.heirs.legacies;
        legacies.retain(|(log, path), legacy| matches!(legacy, Legacy::Given) && is_shipped(log, path));
        let positions = &self.common.world.positions;
        let mut left: HashMap<Key, Vec<StreamRecord>> = HashMap::new();
        for stream in positions.all() {
            let record = stream.record();
            if is_shipped(&record.log, &record.path) {
                continue;
            }
            let heir = entries.iter().find(|entry| {
                let key = (positions.name(&entry.name), Arc::clone(&record.path));
                ships(entries, entry, &record.path)
                    && !self.tails.contains_key(&key)
                    && positions.of(&entry.name, &record.path).is_empty()
            });
            if let Some(heir) = heir {
                let key = (positions.name(&heir.name), Arc::clone(&record.path));
                left.entry(key).or_default().push(record);
            }
        }
        for (key, records) in left {
            // Of several that had it the one that looked at the file last.
            let last = records
                .iter()
                .max_by_key(|record| (record.modified, Reverse(record.mark.offset)));
            let Some(from) = last.map(|record| Arc::clone(&record.log)) else {
                continue;
            };
            for record in records.iter().filter(|record| record.log == from) {
                let log = Arc::clone(&key.0);
                self.common
                    .world
                    .claims
                    .reserve(&StreamRecord { log, ..record.clone() });
            }
            self.heirs.legacies.insert(key, Legacy::With(from));
        }
        self.inherit();
    }

    /// What nobody reads any more, and of which nothing is on its way, is taken over.
    pub(in crate::supervisor) fn inherit(&mut self) {
        let positions = &self.common.world.positions;
        for ((to, path), legacy) in &mut self.heirs.legacies {
            let Legacy::With(from) = legacy else { continue };
            let key = (Arc::clone(from), Arc::clone(path));
            let is_read = self.tails.contains_key(&key) || self.stopping.contains_key(&key);
            if is_read || !positions.of(from, path).iter().all(|stream| stream.is_at_rest()) {
                continue;
            }
            log::info!(log:% = to, path:% = path.display(), from:%; "position taken over from another entry");
            positions.give(path, from, to);
            *legacy = Legacy::Given;
        }
    }
}
