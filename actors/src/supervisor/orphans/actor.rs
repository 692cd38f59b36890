//! What the SupervisorActor does for positions without a watcher.

use std::time::Instant;

use logcatch_tail::sweep_orphans;

use crate::supervisor::actor::SupervisorActor;

impl SupervisorActor {
    /// Now and then looks for the files of positions that no watcher has, off the arbiters.
    pub(in crate::supervisor) fn look_after_orphans(&mut self) {
        let Some(elapsed) = self.orphanage.take_due(Instant::now()) else {
            return;
        };
        let mut streams = self.common.world.positions.all();
        streams.retain(|stream| {
            let record = stream.record();
            let key = (record.log, record.path);
            !self.tails.contains_key(&key) && !self.stopping.contains_key(&key)
        });
        // Nothing waits for it.
        drop(actix_rt::task::spawn_blocking(move || sweep_orphans(&streams, elapsed)));
    }
}
