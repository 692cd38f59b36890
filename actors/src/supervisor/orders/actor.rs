//! Orders as messages to the SupervisorActor. A watcher that gets one rests until all that it handed over is settled, so that
//! nothing is sent twice, and then begins anew.

use std::sync::Arc;
use std::time::Instant;

use actix::prelude::*;

use logcatch_tail::Moved;

use super::{Change, Changed, OrderError, change};
use crate::observe::{Activity, Key};
use crate::supervisor::actor::{SETTLE_POLL, SupervisorActor};
use crate::tail::actor::Rest;

/// Start a watcher anew, from its saved position. Answered when it begins.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), OrderError>")]
pub struct Restart(pub Key);

/// Change the position of a path, with its watcher stopped meanwhile, if it has one. Answered when that is on disk.
#[derive(Debug, Message)]
#[rtype(result = "Result<Changed, OrderError>")]
pub struct ChangePosition {
    /// The entry and the path.
    pub key: Key,
    /// What to do.
    pub change: Change,
}

type Answer<T> = ResponseActFuture<SupervisorActor, Result<T, OrderError>>;

impl SupervisorActor {
    /// Lets a watcher rest; answers when all that it handed over is settled. None: there is no such watcher.
    fn rest(&mut self, key: &Key) -> Option<impl Future<Output = ()> + 'static> {
        let tail = self.tails.get_mut(key)?;
        tail.resting = true;
        tail.gauge.restarts(Activity::Restarting, Instant::now());
        let address = tail.address.clone();
        let positions = Arc::clone(&self.common.world.positions);
        let (log, path) = key.clone();
        Some(async move {
            // One that is gone hands nothing over either.
            let _ = address.send(Rest).await;
            while !positions.of(&log, &path).iter().all(|stream| stream.is_at_rest()) {
                actix_rt::time::sleep(SETTLE_POLL).await;
            }
        })
    }

    fn incarnation(&self, key: &Key) -> Option<u64> {
        self.tails.get(key).map(|tail| tail.incarnation)
    }
}

impl Handler<Restart> for SupervisorActor {
    type Result = Answer<()>;

    fn handle(&mut self, Restart(key): Restart, _: &mut Context<Self>) -> Self::Result {
        if self.draining {
            return Box::pin(fut::ready(Err(OrderError::Stopping)));
        }
        let incarnation = self.incarnation(&key);
        let (Some(incarnation), Some(rested)) = (incarnation, self.rest(&key)) else {
            return Box::pin(fut::ready(Err(OrderError::Gone(key.1.to_path_buf()))));
        };
        log::info!(log:% = key.0, path:% = key.1.display(); "watcher is restarted by an operator");
        Box::pin(rested.into_actor(self).map(move |(), actor, ctx| {
            if actor.incarnation(&key) != Some(incarnation) {
                return Err(OrderError::Gone(key.1.to_path_buf()));
            }
            actor.begin_again(key, incarnation, ctx);
            Ok(())
        }))
    }
}

impl Handler<ChangePosition> for SupervisorActor {
    type Result = Answer<Changed>;

    fn handle(&mut self, order: ChangePosition, _: &mut Context<Self>) -> Self::Result {
        if self.draining {
            return Box::pin(fut::ready(Err(OrderError::Stopping)));
        }
        let ChangePosition { key, change: wanted } = order;
        let incarnation = self.incarnation(&key);
        let rested = self.rest(&key);
        let positions = Arc::clone(&self.common.world.positions);
        let (log, path) = key.clone();
        let changed = async move {
            if let Some(rested) = rested {
                rested.await;
            }
            let changed = actix_rt::task::spawn_blocking(move || change(&positions, &log, &path, wanted)).await;
            changed
                .map_err(|error| OrderError::Broken(error.to_string()))?
                .map_err(OrderError::from)
        };
        Box::pin(changed.into_actor(self).map(move |changed, actor, ctx| {
            let (log, path) = (&key.0, key.1.display());
            match &changed {
                Ok(Changed::Moved(Moved { from, to, size, .. })) => {
                    log::info!(log, path:%, from, to, size; "position was moved by an operator");
                }
                Ok(Changed::Forgotten(forgotten)) => {
                    log::info!(log, path:%, forgotten; "positions were forgotten by an operator");
                }
                Err(_) => {}
            }
            if let Some(incarnation) = incarnation {
                actor.begin_again(key, incarnation, ctx);
            }
            changed
        }))
    }
}
