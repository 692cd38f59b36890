//! What the SupervisorActor does before positions are open, and to change the delivery mode: all watchers stop, what they handed over
//! settles, another producer takes over with the positions, and they start again from there.

use std::sync::Arc;
use std::time::Instant;

use actix::prelude::*;
use logcatch_settings::{Delivery, Settings};
use tokio::sync::watch;

use super::Gate;
use crate::kafka::{ChangeDelivery, Standing, may_change};
use crate::observe::Opening;
use crate::supervisor::actor::SupervisorActor;
use crate::supervisor::watchdog::actor::stop;

type Answer<T> = ResponseActFuture<SupervisorActor, T>;

impl SupervisorActor {
    /// No watcher runs before this says that positions are open.
    #[must_use]
    pub fn when_open(mut self, standing: watch::Receiver<Standing>) -> Self {
        self.gate = Gate::shut_until(standing);
        self
    }

    /// Opens the gate when positions are open.
    pub(in crate::supervisor) fn open_in_time(&mut self, ctx: &mut Context<Self>) {
        let Some(mut standing) = self.gate.standing.clone().filter(|_| !self.gate.is_open()) else {
            return;
        };
        let times = self.gate.times;
        let opened = async move { standing.wait_for(|standing| *standing == Standing::Ours).await.is_ok() };
        ctx.spawn(opened.into_actor(self).map(move |is_open, actor, ctx| {
            if is_open && actor.gate.times == times {
                actor.open(ctx);
            }
        }));
    }

    fn open(&mut self, ctx: &mut Context<Self>) {
        self.gate.is_shut = false;
        self.common.board.set_opening(None);
        for entry in self.entries.clone() {
            self.take_up(&entry);
        }
        self.find_heirs();
        self.look(ctx);
    }

    /// Says what is waited for, by these settings.
    pub(in crate::supervisor) fn say_opening(&self, settings: &Settings) {
        if let Delivery::ExactlyOnce(exactly_once) = &settings.kafka.delivery
            && !self.gate.is_open()
        {
            let opening = Opening::Positions(exactly_once.positions_topic.clone());
            self.common.board.set_opening(Some(opening));
        }
    }

    /// Puts settings with another delivery mode into force. What can be known before is found out before: until then
    /// nothing stops.
    pub(in crate::supervisor) fn change_delivery(&mut self, settings: Arc<Settings>) -> Answer<Result<(), String>> {
        let deadline = Instant::now() + settings.limits.shutdown_timeout;
        let (wanted, positions) = (Arc::clone(&settings), Arc::clone(&self.common.world.positions));
        let tried = actix_rt::task::spawn_blocking(move || may_change(&wanted, &positions, deadline));
        let refused = |why: String| Err(format!("cannot change `kafka.delivery` now: {why}"));
        Box::pin(tried.into_actor(self).then(move |tried, actor, ctx| -> Answer<_> {
            if let Err(why) = tried.unwrap_or_else(|error| Err(error.to_string())) {
                return Box::pin(fut::ready(refused(why)));
            }
            if actor.draining {
                return Box::pin(fut::ready(refused("the service ends".to_owned())));
            }
            log::info!("the delivery mode changes: watchers stop, and what is on its way is waited for");
            let deadline = Instant::now() + settings.limits.shutdown_timeout;
            let (stopped, kafka) = (actor.shut(ctx), actor.kafka.clone());
            let wanted = Arc::clone(&settings);
            let changed = async move {
                stopped.await;
                let change = ChangeDelivery {
                    settings: wanted,
                    deadline,
                };
                kafka.send(change).await
            };
            Box::pin(changed.into_actor(actor).map(move |changed, actor, ctx| {
                let changed = match changed {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(error)) => refused(error.to_string()),
                    Err(error) => refused(error.to_string()),
                };
                if changed.is_ok() {
                    actor.apply(settings, ctx);
                } else if let Some(before) = actor.settings.clone() {
                    actor.say_opening(&before);
                }
                actor.open_in_time(ctx);
                changed
            }))
        }))
    }

    /// Stops all watchers; none starts before the gate opens. Ends when none hands over anything any more.
    fn shut(&mut self, ctx: &mut Context<Self>) -> impl Future<Output = ()> + 'static {
        self.gate.shut();
        self.common.board.set_opening(Some(Opening::Change));
        let keys: Vec<_> = self.tails.keys().map(|gauge| gauge.key().clone()).collect();
        for (log, path) in keys {
            self.stop_tail(&log, &path, ctx);
        }
        self.watched.clear();
        self.first = Default::default();
        let stopping = self.stopping.values();
        let stopping = stopping.filter_map(|(address, pulse)| Some(stop(address.upgrade()?, Arc::clone(pulse))));
        let stopping: Vec<_> = stopping.map(actix_rt::spawn).collect();
        async move {
            for stopped in stopping {
                let _ = stopped.await;
            }
        }
    }
}
