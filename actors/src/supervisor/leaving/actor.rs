//! What the SupervisorActor does for what is left of entries that are gone.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use actix::prelude::*;
use logcatch_tail::Stream;

use super::{PATIENCE, STALE};
use crate::kafka::GiveBack;
use crate::observe::Key;
use crate::supervisor::actor::SupervisorActor;
use crate::supervisor::heirs::ships;

impl SupervisorActor {
    /// Whether the entry of this name is in force, and ships this path.
    pub(in crate::supervisor) fn is_shipped(&self, log: &str, path: &Path) -> bool {
        let entry = self.entry(log);
        entry.is_some_and(|entry| ships(&self.entries, &entry, path))
    }

    /// A watcher has ended; `leaves`, if nobody means its path any more.
    pub(in crate::supervisor) fn has_ended(&mut self, key: Key, leaves: bool) {
        if leaves {
            self.leaving.keys.insert(key);
        }
    }

    /// Now and then has given back what waits, of what nobody means any more, for a topic that takes nothing.
    pub(in crate::supervisor) fn see_off(&mut self, ctx: &mut Context<Self>) {
        if self.leaving.is_busy || self.draining {
            return;
        }
        self.account_for_leavers();
        if self.leaving.keys.is_empty() || !self.common.lanes.has_any_that_needs_somebody() {
            return;
        }
        let mut streams: Vec<_> = self.leaving.keys.iter().flat_map(|key| self.streams(key)).collect();
        streams.retain(|stream| !stream.is_at_rest());
        self.leaving.is_busy = true;
        let began = Instant::now();
        let looked = actix_rt::task::spawn_blocking(move || {
            let is_there = |stream: &Arc<Stream>| stream.is_still_there();
            streams.into_iter().partition::<Vec<_>, _>(is_there)
        });
        let given = looked.into_actor(self).then(move |looked, actor, _| {
            let (found, missing) = looked.unwrap_or_default();
            actor.say_missing(&missing, Instant::now());
            let files = if began.elapsed() < STALE {
                actor.ask_for(&found)
            } else {
                HashSet::new()
            };
            let kafka = actor.kafka.clone();
            let given = async move {
                if files.is_empty() {
                    return 0;
                }
                kafka.send(GiveBack(files)).await.unwrap_or_default()
            };
            given.into_actor(actor)
        });
        ctx.spawn(given.map(|batches, actor, _| {
            actor.leaving.is_busy = false;
            actor.leaving.asked.clear();
            actor.account_for_leavers();
            if batches > 0 {
                log::info!(batches; "lines that waited for a topic are given back: no entry means their files any more");
            }
        }));
    }

    /// Those of which no watcher began meanwhile; none does before the answer.
    fn ask_for(&mut self, found: &[Arc<Stream>]) -> HashSet<(Arc<str>, String)> {
        let mut files = HashSet::new();
        for stream in found {
            let record = stream.record();
            let key = (Arc::clone(&record.log), Arc::clone(&record.path));
            // Another path's watcher may read it, where the file was renamed.
            let owner = self.common.world.claims.owner(&record.log, record.inode);
            if self.leaving.keys.contains(&key) && owner.is_none_or(|owner| *owner == *record.path) {
                self.leaving.asked.insert(key);
                files.insert((record.log, record.id.to_string()));
            }
        }
        files
    }

    /// Says, once, which files keep lines waiting for long that nobody could read again.
    fn say_missing(&mut self, missing: &[Arc<Stream>], now: Instant) {
        for stream in missing {
            let record = stream.record();
            let (since, is_said) = self.leaving.missing.entry(record.id).or_insert((now, false));
            if !*is_said && now.saturating_duration_since(*since) >= PATIENCE {
                *is_said = true;
                log::warn!(log = record.log, path:% = record.path.display(),
                    help = "let the topic take them: they are lost if the service stops before";
                    "lines that cannot be read again wait for their topic, and no entry means their file");
            }
        }
    }

    /// What is not on its way any more is not in flight, and its path has left.
    fn account_for_leavers(&mut self) {
        let positions = &self.common.world.positions;
        self.leaving.keys.retain(|(log, path)| {
            let streams = positions.of(log, path);
            let is_at_rest = streams.iter().all(|stream| stream.is_at_rest());
            if is_at_rest {
                streams.iter().for_each(|stream| stream.forget_given_back());
            }
            !is_at_rest
        });
        if self.leaving.keys.is_empty() {
            self.leaving.missing = HashMap::new();
        }
    }

    fn streams(&self, (log, path): &Key) -> Vec<Arc<Stream>> {
        self.common.world.positions.of(log, path)
    }
}
