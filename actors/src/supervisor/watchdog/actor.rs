//! What the SupervisorActor does when a thread hangs.

use std::sync::Arc;
use std::time::Instant;

use actix::prelude::*;

use crate::observe::{Key, NOT_ANSWERING};
use crate::supervisor::actor::SupervisorActor;
use crate::tail::actor::{Stop, TailActor};
use crate::tail::{Pulse, Stuck};

impl SupervisorActor {
    /// Gives up the threads that hang; their watchers go on elsewhere, from their positions. Gives up a look that hangs.
    pub(in crate::supervisor) fn watch_over(&mut self, ctx: &mut Context<Self>) {
        for (pulse, stuck) in self.crew.give_up(Instant::now()) {
            self.move_off(&pulse, stuck, ctx);
        }
        if let Some(log) = self.blind.give_up(Instant::now()) {
            log::error!(log, help = "look at the disks or network file systems that its paths are on";
                "looking for files does not return; this entry is left out until it does");
            self.looks.given_up();
            self.look(ctx);
        }
        if self.blind.is_any_left_out() {
            // Those of its files that can be read are read; nothing else tells of their growth.
            let unseen = self
                .tails
                .iter()
                .filter(|(gauge, _)| self.blind.is_left_out(&gauge.key().0));
            unseen.for_each(|(_, tail)| tail.route.ring(false));
        }
    }

    fn move_off(&mut self, pulse: &Arc<Pulse>, stuck: Stuck, ctx: &mut Context<Self>) {
        let here = self.tails.iter().filter(|(_, tail)| Arc::ptr_eq(&tail.pulse, pulse));
        let here: Vec<_> = here.map(|(gauge, _)| gauge.key().clone()).collect();
        let ending = self.stopping.iter().filter(|(_, (_, other))| Arc::ptr_eq(other, pulse));
        let taken: Vec<_> = here.iter().chain(ending.map(|(key, _)| key)).cloned().collect();
        self.common.world.positions.revoke(pulse.lease(), &taken);
        let mut culprit = None;
        for key in here {
            let Some(tail) = self.tails.get_mut(&key) else { continue };
            let hung = tail.incarnation == stuck.whose;
            // One that rests already begins again on another thread.
            if tail.resting {
                if hung {
                    self.crew.set_apart(&key.1, pulse);
                }
                continue;
            }
            // What the old one says when it wakes is then known as stale.
            self.spawned += 1;
            tail.incarnation = self.spawned as u64;
            if hung {
                self.crew.set_apart(&key.1, pulse);
                culprit = Some(key);
            } else {
                // Not its fault: no rest.
                tail.resting = true;
                let incarnation = tail.incarnation;
                ctx.notify(BeginAgain { key, incarnation });
            }
        }
        log::error!(seconds = stuck.how_long.as_secs(), moved = taken.len(), given_up_threads = self.crew.stuck(),
            help = "look at the disk or network file system of the watcher named next";
            "a watcher does not answer; its thread is given up and the other watchers of it go on elsewhere");
        if let Some(key) = culprit {
            self.down(key, NOT_ANSWERING, ctx);
        }
    }
}

/// A watcher that was taken off its thread starts on another.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::supervisor) struct BeginAgain {
    key: Key,
    incarnation: u64,
}

impl Handler<BeginAgain> for SupervisorActor {
    type Result = ();

    fn handle(&mut self, BeginAgain { key, incarnation }: BeginAgain, ctx: &mut Context<Self>) {
        self.begin_again(key, incarnation, ctx);
    }
}

/// Stops a watcher; returns when it hands nothing over any more, because it said so or because it was given up.
pub(in crate::supervisor) async fn stop(address: Addr<TailActor>, pulse: Arc<Pulse>) {
    tokio::select! {
        // One that is gone hands nothing over either.
        _ = address.send(Stop) => {}
        () = pulse.given_up() => {}
    }
}
