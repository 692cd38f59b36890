//! Orders as messages to the SupervisorActor. A watcher that gets one rests until all that it handed over is settled, so that
//! nothing is sent twice, and then begins anew.

use std::sync::Arc;
use std::time::Instant;

use actix::prelude::*;

use logcatch_tail::Moved;

use super::{Change, Changed, OrderError, change};
use crate::observe::{Activity, Key};
use crate::supervisor::actor::{SETTLE_POLL, SupervisorActor};
use crate::tail::actor::{Rest, TailActor};

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

/// A watcher that rests for an order.
struct Rested(Addr<TailActor>);

impl SupervisorActor {
    /// Lets a watcher rest, and with it what would begin it meanwhile; the future ends when all that it handed over is settled.
    /// None: there is no such watcher.
    fn rest(&mut self, key: &Key) -> Option<(Rested, impl Future<Output = ()> + 'static)> {
        let tail = self.tails.get_mut(key)?;
        self.spawned += 1;
        tail.incarnation = self.spawned as u64;
        tail.resting = true;
        tail.orders += 1;
        tail.gauge.restarts(Activity::Restarting, Instant::now());
        let (address, pulse) = (tail.address.clone(), Arc::clone(&tail.pulse));
        let rest = Rest(tail.incarnation);
        let positions = Arc::clone(&self.common.world.positions);
        let (log, path) = key.clone();
        let rested = async move {
            tokio::select! {
                // One that is gone hands nothing over either.
                _ = address.send(rest) => {}
                () = pulse.given_up() => {}
            }
            while !positions.of(&log, &path).iter().all(|stream| stream.is_at_rest()) {
                actix_rt::time::sleep(SETTLE_POLL).await;
            }
            // What was taken from a watcher that does not answer can be changed again.
            positions.renew(&log, &path);
        };
        Some((Rested(tail.address.clone()), rested))
    }

    /// An order is carried out: with the last one its watcher begins. False: it was stopped meanwhile, or is another.
    fn wake(&mut self, key: Key, Rested(address): Rested, ctx: &mut Context<Self>) -> bool {
        let tail = self.tails.get_mut(&key);
        let Some(tail) = tail.filter(|tail| tail.address == address) else {
            return false;
        };
        tail.orders -= 1;
        if tail.orders == 0 {
            let incarnation = tail.incarnation;
            self.begin_again(key, incarnation, ctx);
        }
        true
    }
}

impl Handler<Restart> for SupervisorActor {
    type Result = Answer<()>;

    fn handle(&mut self, Restart(key): Restart, _: &mut Context<Self>) -> Self::Result {
        if self.draining {
            return Box::pin(fut::ready(Err(OrderError::Stopping)));
        }
        let Some((rested, at_rest)) = self.rest(&key) else {
            return Box::pin(fut::ready(Err(OrderError::Gone(key.1.to_path_buf()))));
        };
        log::info!(log:% = key.0, path:% = key.1.display(); "watcher is restarted by an operator");
        Box::pin(at_rest.into_actor(self).map(move |(), actor, ctx| {
            let path = Arc::clone(&key.1);
            let is_there = actor.wake(key, rested, ctx);
            is_there
                .then_some(())
                .ok_or_else(|| OrderError::Gone(path.to_path_buf()))
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
        let (rested, at_rest) = self.rest(&key).unzip();
        let positions = Arc::clone(&self.common.world.positions);
        let (log, path) = key.clone();
        let changed = async move {
            if let Some(at_rest) = at_rest {
                at_rest.await;
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
            if let Some(rested) = rested {
                actor.wake(key, rested, ctx);
            }
            changed
        }))
    }
}
