//! The TailActor: receives, delegates to its [`Driver`], sends batches to the KafkaActor.
//!
//! A step that fails or panics stops the context; actix's Supervisor starts it again with the same mailbox, and the
//! SupervisorActor then gives it a fresh driver. Nothing of the old state goes on but the address.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Instant;

use actix::WeakRecipient;
use actix::prelude::*;
use logcatch_settings::LogEntry;
use logcatch_tail::WatchError;

use super::driver::{Common, Driver, Next, TailSpec};
use super::pulse::Pulse;
use super::ticket::Told;
use crate::budget::Permit;
use crate::kafka::ShipBatch;
use crate::observe::{Activity, Key};
use crate::supervisor::disk::Route;

/// Something happened to the path or its directory.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Wake {
    /// Look for growth of rotated files, too.
    pub reconcile: bool,
}

/// A fresh start: from the positions reached.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Begin {
    /// Counts the incarnations of this watcher.
    pub incarnation: u64,
    /// What to watch.
    pub spec: TailSpec,
    /// What [`Wake`]s it: answered before each look.
    pub bell: Weak<Route>,
}

/// The entry changed in what needs no new watcher.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Retarget(pub Arc<LogEntry>);

/// Stop reading until the next [`Begin`], as this incarnation. Answered when nothing more will be handed over.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Rest(pub u64);

/// Stop reading, for good. Answered when nothing more will be handed over.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Stop;

/// What a watcher tells its supervisor.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Notice {
    /// The entry and the path.
    pub key: Key,
    /// Which incarnation says so: what an earlier one said last may arrive late.
    pub incarnation: u64,
    /// What it says.
    pub news: News,
}

/// The news in a [`Notice`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The first look was taken.
    Ready,
    /// There is no file and nothing to follow.
    Empty,
    /// It failed, for this reason, and needs a [`Begin`].
    Down(String),
}

/// A batch of this file was settled or given up.
#[derive(Message)]
#[rtype(result = "()")]
struct BatchDone;

/// Positions are on disk.
#[derive(Message)]
#[rtype(result = "()")]
struct Saved {
    incarnation: u64,
    order: u64,
}

/// What the actor waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// For a wake or its timer.
    Asleep,
    /// For its turn among the other watchers of the arbiter.
    Queued,
    /// For a batch to be settled.
    Settling,
    /// For positions to be on disk.
    Saving,
    /// For a lane or the budget.
    Waiting,
    /// For a [`Begin`].
    Down,
}

/// Whom watchers talk to. All share one: each address of its own is 0.1 KB.
pub struct Peers {
    /// Takes batches.
    pub kafka: Recipient<ShipBatch>,
    /// Hears how they are.
    pub supervisor: WeakRecipient<Notice>,
}

/// The watcher of one log path.
pub struct TailActor {
    common: Arc<Common>,
    peers: Arc<Peers>,
    spec: TailSpec,
    incarnation: u64,
    /// In a box: tokio gives each task whole pieces of 128 bytes, and the heap no room between them.
    driver: Option<Box<Driver>>,
    phase: Phase,
    /// What ends its sleep, or what waits for the lane of the topic.
    awaited: Option<SpawnHandle>,
    #[expect(clippy::box_collection, reason = "few fail: a word instead of two")]
    failure: Option<Box<String>>,
    ready_said: bool,
    stopping: bool,
    bell: Option<Weak<Route>>,
    pulse: Arc<Pulse>,
}

/// Bytes: with what actix and tokio need, a task of 512, and 128 more from the next one on.
const _: () = assert!(size_of::<TailActor>() <= 112);

impl TailActor {
    /// A watcher that waits for its [`Begin`].
    pub fn new(common: Arc<Common>, spec: TailSpec, peers: Arc<Peers>, pulse: Arc<Pulse>) -> Self {
        Self {
            common,
            peers,
            spec,
            incarnation: 0,
            driver: None,
            phase: Phase::Down,
            awaited: None,
            failure: None,
            ready_said: false,
            stopping: false,
            bell: None,
            pulse,
        }
    }

    /// A step when the other watchers of the arbiter had their turn. A message to itself would not do: actix handles all
    /// there are before it lets others run.
    fn queue(&mut self, ctx: &mut Context<Self>) {
        self.phase = Phase::Queued;
        self.awaited = None;
        let turn = tokio::task::yield_now().into_actor(self);
        ctx.spawn(turn.map(|(), actor, ctx| {
            if actor.phase == Phase::Queued {
                actor.step(ctx);
            }
        }));
    }

    fn step(&mut self, ctx: &mut Context<Self>) {
        if let Some(next) = self.guarded(ctx, "poll", |driver| driver.next(Instant::now())) {
            self.follow(next, ctx);
        }
    }

    fn follow(&mut self, next: Next, ctx: &mut Context<Self>) {
        self.say_ready();
        match next {
            Next::Sleep(until) => self.sleep(until, ctx),
            Next::Settle => self.phase = Phase::Settling,
            Next::Pause(until) => self.sleep(Some(until), ctx),
            Next::Lane(lane) => self.wait(async move { lane.opened().await }, ctx),
            Next::Room(lane) => self.wait(async move { lane.has_room().await }, ctx),
            Next::Save(order) => {
                self.phase = Phase::Saving;
                let (myself, incarnation) = (ctx.address().downgrade(), self.incarnation);
                self.common.world.positions.when_saved(move || {
                    if let Some(myself) = myself.upgrade() {
                        myself.do_send(Saved { incarnation, order });
                    }
                });
            }
            Next::Budget(cost) => match self.common.budget.try_acquire(cost) {
                Some(permit) => self.read(cost, permit, ctx),
                None => {
                    self.phase = Phase::Waiting;
                    self.spec.gauge.turn_to(Activity::Budget, Instant::now());
                    let budget = Arc::clone(&self.common.budget);
                    let acquired = async move { budget.acquire(cost).await };
                    ctx.spawn(acquired.into_actor(self).map(move |permit, actor, ctx| {
                        if let Some(permit) = permit {
                            actor.read(cost, permit, ctx);
                        }
                    }));
                }
            },
        }
    }

    /// Another step when the lane of the topic allows it.
    fn wait(&mut self, allowed: impl Future<Output = ()> + 'static, ctx: &mut Context<Self>) {
        self.phase = Phase::Waiting;
        let allowed = allowed.into_actor(self).map(|(), actor, ctx| actor.queue(ctx));
        self.awaited = Some(ctx.spawn(allowed));
    }

    fn read(&mut self, cost: usize, permit: Permit, ctx: &mut Context<Self>) {
        // Made for each batch: one for all would stay while there are none.
        let myself = ctx.address().downgrade();
        let told: Told = Box::new(move || {
            if let Some(myself) = myself.upgrade() {
                myself.do_send(BatchDone);
            }
        });
        let Some(batch) = self.guarded(ctx, "read", |driver| driver.read(Instant::now(), cost, permit, told)) else {
            return;
        };
        if let Some(batch) = batch {
            self.peers.kafka.do_send(ShipBatch(batch));
        }
        self.queue(ctx);
    }

    fn sleep(&mut self, until: Option<Instant>, ctx: &mut Context<Self>) {
        self.phase = Phase::Asleep;
        self.driver.iter_mut().for_each(|driver| driver.rest());
        if let Some(until) = until {
            let wait = until.saturating_duration_since(Instant::now());
            self.awaited = Some(ctx.run_later(wait, |actor, ctx| {
                if actor.phase == Phase::Asleep {
                    actor.queue(ctx);
                }
            }));
        } else if self.driver.as_deref().is_some_and(Driver::is_empty) {
            self.tell(News::Empty);
        }
    }

    /// A step before its time.
    fn rouse(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.awaited.take() {
            ctx.cancel_future(timer);
        }
        self.queue(ctx);
    }

    /// Runs a step of the driver. A failure or panic of it is this watcher's alone: the context stops and is restarted.
    fn guarded<T>(
        &mut self,
        ctx: &mut Context<Self>,
        name: &str,
        step: impl FnOnce(&mut Driver) -> Result<T, WatchError>,
    ) -> Option<T> {
        let driver = self.driver.as_deref_mut()?;
        let pulse = self.pulse.step(self.incarnation);
        let done = catch_unwind(AssertUnwindSafe(|| {
            faulty(name, &self.spec)?;
            step(driver)
        }));
        drop(pulse);
        let is_given_up = self.pulse.is_given_up();
        if is_given_up {
            // It took so long that another has the path by now.
            self.stopping = true;
            ctx.stop();
        }
        let reason = match done {
            // What was still allowed to be handed over must be: it is waited for.
            Ok(Ok(done)) => return Some(done),
            _ if is_given_up => return None,
            Ok(Err(error)) => format!("{error}: {}", error.source),
            Err(panic) => format!("panicked: {}", panic_text(panic.as_ref())),
        };
        self.failure = Some(Box::new(reason));
        ctx.stop();
        None
    }

    /// Files are closed, which may hang like any other step.
    fn end_driver(&mut self) {
        let _step = self.pulse.step(self.incarnation);
        let Some(_driver) = self.driver.take() else { return };
        #[cfg(debug_assertions)]
        crate::fault::hang_at("close", &self.spec.key().1);
    }

    /// It looks from now on: what happens then wakes it again.
    fn answer(&self) {
        if let Some(bell) = self.bell.as_ref().and_then(Weak::upgrade) {
            bell.answered();
        }
    }

    fn say_ready(&mut self) {
        if !self.ready_said && self.driver.as_deref().is_some_and(Driver::is_ready) {
            self.ready_said = true;
            self.tell(News::Ready);
        }
    }

    fn tell(&self, news: News) {
        if let Some(supervisor) = self.peers.supervisor.upgrade() {
            let notice = Notice {
                key: self.spec.key().clone(),
                incarnation: self.incarnation,
                news,
            };
            supervisor.do_send(notice);
        }
    }
}

impl Actor for TailActor {
    type Context = Context<Self>;
}

impl Drop for TailActor {
    /// A panic outside of a guarded step ends it, and actix tells nobody.
    fn drop(&mut self) {
        if !self.stopping {
            self.tell(News::Down("ended outside its step".to_owned()));
        }
    }
}

impl Supervised for TailActor {
    fn restarting(&mut self, _: &mut Context<Self>) {
        // State after a restart comes from the positions, never from old fields.
        self.end_driver();
        self.phase = Phase::Down;
        self.awaited = None;
        if !self.stopping {
            let reason = self
                .failure
                .take()
                .map_or_else(|| "stopped without a reason".to_owned(), |reason| *reason);
            self.tell(News::Down(reason));
        }
    }
}

impl Handler<Begin> for TailActor {
    type Result = ();

    fn handle(&mut self, begin: Begin, ctx: &mut Context<Self>) {
        if self.stopping {
            return;
        }
        self.incarnation = begin.incarnation;
        // The old one goes first: its claims must be free.
        self.end_driver();
        (self.spec, self.bell) = (begin.spec, Some(begin.bell));
        self.answer();
        self.ready_said = false;
        let myself = ctx.address().downgrade();
        let wake = Arc::new(move || {
            if let Some(myself) = myself.upgrade() {
                myself.do_send(Wake { reconcile: false });
            }
        });
        let driver = Driver::new(&self.spec, Arc::clone(&self.common), wake);
        self.driver = Some(Box::new(driver));
        self.queue(ctx);
    }
}

impl Handler<Wake> for TailActor {
    type Result = ();

    fn handle(&mut self, wake: Wake, ctx: &mut Context<Self>) {
        self.answer();
        #[cfg(debug_assertions)]
        crate::fault::panic_outside(&self.spec.key().1);
        let Some(driver) = self.driver.as_deref_mut() else {
            return;
        };
        driver.wake(wake.reconcile);
        match self.phase {
            Phase::Asleep => self.rouse(ctx),
            // Nothing can be read now, but a file that was rotated in must be opened before it is deleted.
            Phase::Settling | Phase::Saving | Phase::Waiting => {
                self.guarded(ctx, "poll", |driver| driver.look(Instant::now()));
            }
            Phase::Queued | Phase::Down => {}
        }
    }
}

impl Handler<BatchDone> for TailActor {
    type Result = ();

    fn handle(&mut self, _: BatchDone, ctx: &mut Context<Self>) {
        match (self.phase, self.driver.as_deref_mut()) {
            (Phase::Settling, _) => self.queue(ctx),
            (Phase::Asleep, Some(driver)) if driver.others_wait() => self.rouse(ctx),
            (Phase::Asleep, Some(driver)) => driver.rest(),
            _ => {}
        }
    }
}

impl Handler<Saved> for TailActor {
    type Result = ();

    fn handle(&mut self, Saved { incarnation, order }: Saved, ctx: &mut Context<Self>) {
        let Some(driver) = self.driver.as_deref_mut().filter(|_| incarnation == self.incarnation) else {
            return;
        };
        driver.saved(order);
        // Waiting for a lane or the budget goes on: those answer by themselves.
        if self.phase == Phase::Saving {
            self.queue(ctx);
        }
    }
}

impl Handler<Retarget> for TailActor {
    type Result = ();

    fn handle(&mut self, Retarget(entry): Retarget, ctx: &mut Context<Self>) {
        self.spec.entry = Arc::clone(&entry);
        if let Some(driver) = self.driver.as_deref_mut() {
            driver.retarget(entry);
            // The lane of the topic that was may never open.
            if self.phase == Phase::Waiting
                && let Some(waiting) = self.awaited.take()
            {
                ctx.cancel_future(waiting);
                self.queue(ctx);
            }
        }
    }
}

impl Handler<Rest> for TailActor {
    type Result = ();

    fn handle(&mut self, Rest(incarnation): Rest, ctx: &mut Context<Self>) {
        self.incarnation = incarnation;
        self.end_driver();
        self.phase = Phase::Down;
        if let Some(awaited) = self.awaited.take() {
            ctx.cancel_future(awaited);
        }
    }
}

impl Handler<Stop> for TailActor {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        self.stopping = true;
        self.end_driver();
        self.phase = Phase::Down;
        ctx.stop();
    }
}

/// A fault that a test wants.
#[cfg(debug_assertions)]
fn faulty(step: &str, spec: &TailSpec) -> Result<(), WatchError> {
    crate::fault::strike(step, &spec.key().1)
}

#[cfg(not(debug_assertions))]
fn faulty(_: &str, _: &TailSpec) -> Result<(), WatchError> {
    Ok(())
}

/// What a panic said.
fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without words")
}
