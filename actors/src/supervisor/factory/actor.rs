//! The factory of the SupervisorActor: starts watchers, and starts those again that failed.

use std::sync::Arc;
use std::time::Instant;

use actix::prelude::*;

use crate::observe::{Activity, ByKey, Key};
use crate::supervisor::actor::{SETTLE_POLL, SupervisorActor, Tail};
use crate::supervisor::backoff::Backoff;
use crate::supervisor::disk::Route;
use crate::tail::actor::{Begin, Peers, TailActor, Wake};
use crate::tail::{Common, Pulse, TailSpec};

impl SupervisorActor {
    /// Starts the watcher of a path.
    pub(in crate::supervisor) fn spawn(&mut self, spec: TailSpec, ctx: &mut Context<Self>) {
        let key = spec.key().clone();
        let post = self.crew.place(&key.1);
        self.spawned += 1;
        // What was taken from a watcher that does not answer is this one's now.
        self.common.world.positions.renew(&key.0, &key.1);
        self.leaving.is_back(&key);
        let address = Supervisor::start_in_arbiter(&post.arbiter, {
            let (common, spec) = (self.common_under(&post.pulse), spec.clone());
            let pulse = Arc::clone(&post.pulse);
            let peers = self.peers(ctx);
            move |_| TailActor::new(common, spec, peers, pulse)
        });
        let route = Route::new({
            let address = address.downgrade();
            move |reconcile| {
                if let Some(address) = address.upgrade() {
                    address.do_send(Wake { reconcile });
                }
            }
        });
        self.routes.add(&key.1, &route);
        log::info!(log:% = key.0, path:% = key.1.display(); "watcher started");
        let incarnation = self.spawned as u64;
        let gauge = Arc::clone(&spec.gauge);
        self.common.board.add(Arc::clone(&gauge));
        let from_end = spec.from_end;
        let bell = Arc::downgrade(&route);
        address.do_send(Begin {
            incarnation,
            spec,
            bell,
        });
        self.tails.insert(
            ByKey(Arc::clone(&gauge)),
            Tail {
                address,
                pulse: post.pulse,
                route,
                incarnation,
                backoff: Backoff::default(),
                resting: false,
                orders: 0,
                gauge,
                from_end,
            },
        );
    }

    fn peers(&mut self, ctx: &Context<Self>) -> Arc<Peers> {
        let made = self.peers.get_or_insert_with(|| {
            Arc::new(Peers {
                kafka: self.kafka.clone().recipient(),
                supervisor: ctx.address().downgrade().recipient(),
            })
        });
        Arc::clone(made)
    }

    /// What the watchers of a thread share: the world under its lease.
    fn common_under(&mut self, pulse: &Arc<Pulse>) -> Arc<Common> {
        self.commons.retain(|(of, _)| of.strong_count() > 0);
        let known = self.commons.iter().find(|(of, _)| of.as_ptr() == Arc::as_ptr(pulse));
        if let Some((_, common)) = known {
            return Arc::clone(common);
        }
        let mut world = (*self.common.world).clone();
        world.lease = pulse.lease().clone();
        let common = Arc::new(Common {
            world: Arc::new(world),
            ..self.common.clone()
        });
        self.commons.push((Arc::downgrade(pulse), Arc::clone(&common)));
        common
    }

    /// Starts a failed watcher again, once what its earlier incarnation handed over is settled.
    pub(in crate::supervisor) fn begin_again(&mut self, key: Key, incarnation: u64, ctx: &mut Context<Self>) {
        let entry = self.entry(&key.0);
        // Unless it was stopped meanwhile, or replaced by another.
        let tail = self
            .tails
            .get_mut(&key)
            .filter(|tail| tail.resting && tail.incarnation == incarnation);
        let (Some(tail), Some(entry)) = (tail, entry) else {
            return;
        };
        let streams = self.common.world.positions.of(&key.0, &key.1);
        if !streams.iter().all(|stream| stream.is_at_rest()) {
            ctx.run_later(SETTLE_POLL, move |actor, ctx| actor.begin_again(key, incarnation, ctx));
            return;
        }
        self.spawned += 1;
        tail.incarnation = self.spawned as u64;
        tail.resting = false;
        let spec = TailSpec {
            entry,
            from_end: tail.from_end,
            gauge: Arc::clone(&tail.gauge),
        };
        if tail.address.connected() && !tail.pulse.is_given_up() {
            tail.address.do_send(Begin {
                incarnation: tail.incarnation,
                spec,
                bell: Arc::downgrade(&tail.route),
            });
        } else {
            // It died outside its guarded step, and actix never restarts that one; or its thread hangs.
            self.routes.remove(&key.1, &tail.route);
            let backoff = std::mem::take(&mut tail.backoff);
            self.tails.remove(&key);
            self.spawn(spec, ctx);
            if let Some(tail) = self.tails.get_mut(&key) {
                tail.backoff = backoff;
            }
        }
    }

    /// A watcher failed: it rests, and begins again.
    pub(in crate::supervisor) fn down(&mut self, key: Key, reason: &str, ctx: &mut Context<Self>) {
        let Some(tail) = self.tails.get_mut(&key).filter(|tail| !tail.resting) else {
            return;
        };
        tail.resting = true;
        let incarnation = tail.incarnation;
        let wait = tail.backoff.failed(Instant::now());
        tail.gauge.restarts(Activity::Failed(reason.to_owned()), Instant::now());
        log::error!(log:% = key.0, path:% = key.1.display(), reason, wait_seconds = wait.as_secs();
            "watcher failed; it will be restarted from its position");
        ctx.run_later(wait, move |actor, ctx| actor.begin_again(key, incarnation, ctx));
    }
}
