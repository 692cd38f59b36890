//! The KafkaActor: receives batches, delegates to a [`Shipper`], sends nothing but settlements.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use actix::fut::{ActorFuture, ActorFutureExt, WrapFuture};
use actix::{
    Actor, Addr, Arbiter, ArbiterHandle, AsyncContext, Context, Handler, Message, MessageResult, ResponseFuture,
    SpawnHandle,
};
use logcatch_kafka::{
    Answer, Batch, Builder, DeadLetters, Errand, Lanes, Options, Producer, Shipper, StartError, Stats, Wake,
};
use logcatch_settings::Settings;
use thiserror::Error;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::oneshot;

use super::errand::detach;
use super::positions::TopicPositions;
use super::side::{Made, Side};
use super::unsettled::Unsettled;

/// How long a drained producer may take to end before its drain is answered: milliseconds, unless its threads hang.
const RETIRE: Duration = Duration::from_millis(500);

/// How often to look for reports where the reactor takes no further descriptor.
const LOOK: Duration = Duration::from_millis(50);

/// Ships batches to Kafka, on an arbiter of its own.
pub struct KafkaActor {
    /// None after a drain.
    shipper: Option<Shipper>,
    wake: Arc<Wake>,
    builder: Builder<Producer>,
    /// Which shipper: what an earlier one asked for does not concern its successor.
    era: u64,
    /// Of a service, whose delivery mode may change.
    side: Option<Arc<Side>>,
    /// Where positions are kept in Kafka.
    log: Option<Arc<TopicPositions>>,
    timer: Option<(Instant, SpawnHandle)>,
    drain: Option<DrainUnderWay>,
}

/// A batch for Kafka. Its ticket is told when all its records are accounted for, and dropped untold if they never
/// will be.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ShipBatch(pub Batch);

/// Waits for what is on its way and ends the producer; answers how many batches are not settled, which are dropped.
#[derive(Message)]
#[rtype(result = "usize")]
pub struct DrainKafka {
    /// Nothing is waited for beyond.
    pub deadline: Instant,
}

/// Replaces the producer by one made of these. What is on its way is drained or sent again; an error leaves
/// everything as it is.
#[derive(Message)]
#[rtype(result = "Result<(), StartError>")]
pub struct Reconfigure(pub Options);

/// Ships by the delivery mode of these settings from now on, when what is on its way is settled. No watcher hands anything over
/// meanwhile. An error leaves everything as it was.
#[derive(Message)]
#[rtype(result = "Result<(), ChangeError>")]
pub struct ChangeDelivery {
    /// They make the new producer, too.
    pub settings: Arc<Settings>,
    /// Nothing is waited for beyond.
    pub deadline: Instant,
}

/// Why the delivery mode stays as it was.
#[derive(Debug, Error)]
pub enum ChangeError {
    /// Kafka does not acknowledge what is on its way.
    #[error("what is on its way to Kafka is not acknowledged: {0}")]
    NotDrained(Unsettled),
    /// There is no producer for it.
    #[error(transparent)]
    Start(#[from] StartError),
    /// There is no need for one any more.
    #[error("the service ends")]
    Ending,
}

/// Gives back what is left of these files, entry and file id, if all of it waits for topics that are missing or forbidden; answers
/// how many batches that are. Nobody reads these files.
#[derive(Message)]
#[rtype(result = "usize")]
pub struct GiveBack(pub HashSet<(Arc<str>, String)>);

/// Asks for the counters.
#[derive(Message)]
#[rtype(result = "Stats")]
pub struct GetStats;

struct DrainUnderWay {
    deadline: Instant,
    answer: oneshot::Sender<Unsettled>,
    /// The producer ends with it.
    ends: bool,
}

/// Turns the actor when the bell rings.
struct Bell(Receiver);

impl KafkaActor {
    /// Starts it on a new arbiter; connects in the background.
    ///
    /// # Errors
    /// The options make no producer.
    pub fn start(options: Options, letters: Arc<dyn DeadLetters>) -> Result<(Addr<Self>, Lanes), StartError> {
        Self::start_on(&Arbiter::new().handle(), options, letters)
    }

    /// [`KafkaActor::start`] on an arbiter that whoever calls this ends.
    ///
    /// # Errors
    /// The options make no producer.
    pub fn start_on(
        arbiter: &ArbiterHandle,
        options: Options,
        letters: Arc<dyn DeadLetters>,
    ) -> Result<(Addr<Self>, Lanes), StartError> {
        let wake = Arc::new(Wake::new()?);
        let builder: Builder<Producer> = {
            let wake = Arc::clone(&wake);
            Arc::new(move |options: &Options, batch_bytes| Producer::new(options, batch_bytes, Arc::clone(&wake)))
        };
        let (producer, now) = (builder(&options, None)?, Instant::now());
        let bell = Arc::clone(&wake);
        let made = Made {
            shipper: Shipper::new(producer, options, Arc::clone(&builder), letters, bell, now),
            builder,
            log: None,
        };
        Ok(Self::start_made(arbiter, made, wake, None))
    }

    /// Starts that of a service, by the delivery mode of its settings, which may change later. Ships nothing before `side` says
    /// that positions are open.
    ///
    /// # Errors
    /// The options make no producer.
    pub fn start_service(settings: &Settings, side: Side) -> Result<(Addr<Self>, Lanes), StartError> {
        let wake = Arc::new(Wake::new()?);
        let made = side.make(settings, &wake, None)?;
        Ok(Self::start_made(&Arbiter::new().handle(), made, wake, Some(side)))
    }

    fn start_made(arbiter: &ArbiterHandle, made: Made, wake: Arc<Wake>, side: Option<Side>) -> (Addr<Self>, Lanes) {
        let lanes = made.shipper.lanes();
        let actor = Self {
            shipper: Some(made.shipper),
            wake,
            builder: made.builder,
            era: 0,
            side: side.map(Arc::new),
            log: made.log,
            timer: None,
            drain: None,
        };
        (Self::start_in_arbiter(arbiter, |_| actor), lanes)
    }

    /// Lets the shipper do what there is to do, and sees to it that it is called again.
    fn turn(&mut self, ctx: &mut Context<Self>) {
        let Some(shipper) = &mut self.shipper else { return };
        #[cfg(debug_assertions)]
        if crate::fault::is_kafka_fatal() {
            shipper.fail_fatally();
        }
        let now = Instant::now();
        shipper.turn(now);
        for errand in shipper.take_errands(now) {
            let era = self.era;
            let done = detach(move || run(errand))
                .into_actor(self)
                .map(move |answer, this, ctx| {
                    let Ok(answer) = answer else { return };
                    match &mut this.shipper {
                        Some(shipper) if era == this.era => {
                            shipper.done(answer, Instant::now());
                            this.turn(ctx);
                        }
                        // It may hold a producer, whose end blocks.
                        _ => drop(detach(move || drop(answer))),
                    }
                });
            ctx.spawn(done);
        }
        self.end_drain(now, ctx);
        self.set_timer(now, ctx);
    }

    fn set_timer(&mut self, now: Instant, ctx: &mut Context<Self>) {
        let drain = self.drain.as_ref().map(|drain| drain.deadline);
        let due = self
            .shipper
            .as_ref()
            .and_then(Shipper::next_wake)
            .into_iter()
            .chain(drain)
            .min();
        let Some(due) = due else { return };
        match self.timer {
            // One that is too early only looks in vain, once.
            Some((at, _)) if at <= due => return,
            Some((_, timer)) => {
                ctx.cancel_future(timer);
            }
            None => {}
        }
        let timer = ctx.run_later(due.saturating_duration_since(now), |this, ctx| {
            this.timer = None;
            this.turn(ctx);
        });
        self.timer = Some((due, timer));
    }

    /// Answers a drain when all is settled or its time is up.
    fn end_drain(&mut self, now: Instant, ctx: &mut Context<Self>) {
        let Some(shipper) = self.shipper.as_ref().filter(|_| self.drain.is_some()) else {
            return;
        };
        let batches = shipper.unsettled();
        let Some(drain) = self.drain.take_if(|drain| batches == 0 || drain.deadline <= now) else {
            return;
        };
        let left = Unsettled {
            batches,
            topics: shipper.unsettled_topics(),
        };
        if !drain.ends {
            // Nobody may be waiting any more.
            let _ = drain.answer.send(left);
            return;
        }
        let Some(shipper) = self.shipper.take() else { return };
        let errand = shipper.close();
        let ended = detach(move || errand.run());
        let answer = async move {
            // Whether it has ended by then changes nothing for the answer.
            let _ = tokio::time::timeout(RETIRE, ended).await;
            // Nobody may be waiting any more.
            let _ = drain.answer.send(left);
        };
        ctx.spawn(answer.into_actor(self));
    }
}

/// Runs an errand, between the faults that tests want.
fn run(errand: Errand<Producer>) -> Answer<Producer> {
    #[cfg(debug_assertions)]
    if errand.commits() {
        crate::fault::kill("commit");
        crate::fault::kill_soon("committing");
        let answer = errand.run();
        crate::fault::kill("committed");
        return answer;
    }
    errand.run()
}

impl Actor for KafkaActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        match self.wake.reader().and_then(Receiver::from_owned_fd) {
            Ok(bell) => {
                ctx.spawn(Bell(bell));
            }
            Err(error) => {
                log::error!(cause:% = error; "cannot be woken by Kafka's acknowledgements, looks for them instead");
                ctx.run_interval(LOOK, Self::turn);
            }
        }
        self.turn(ctx);
    }
}

impl ActorFuture<KafkaActor> for Bell {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        actor: &mut KafkaActor,
        ctx: &mut Context<KafkaActor>,
        task: &mut std::task::Context<'_>,
    ) -> Poll<()> {
        /// Turns before messages and timers have a chance again.
        const TURNS: u32 = 4;
        for _ in 0..TURNS {
            match self.0.poll_read_ready(task) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => {
                    // Empty first and look then, so that no ring is missed.
                    let mut rings = [0; 64];
                    while self.0.try_read(&mut rings).is_ok() {}
                    actor.turn(ctx);
                }
                // The reactor is gone, and with it all there is to do.
                Poll::Ready(Err(_)) => return Poll::Ready(()),
            }
        }
        task.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Handler<ShipBatch> for KafkaActor {
    type Result = ();

    fn handle(&mut self, ShipBatch(batch): ShipBatch, ctx: &mut Context<Self>) {
        #[cfg(debug_assertions)]
        crate::fault::kill("batch");
        // After a drain the ticket is dropped untold: the lines will be read again.
        if let Some(shipper) = &mut self.shipper {
            shipper.push(batch, Instant::now());
            self.turn(ctx);
        }
    }
}

impl Handler<DrainKafka> for KafkaActor {
    type Result = ResponseFuture<usize>;

    fn handle(&mut self, DrainKafka { deadline }: DrainKafka, ctx: &mut Context<Self>) -> Self::Result {
        let (answer, result) = oneshot::channel();
        if let Some(shipper) = &mut self.shipper {
            shipper.hurry(true);
            self.drain = Some(DrainUnderWay {
                deadline,
                answer,
                ends: true,
            });
            self.turn(ctx);
        }
        // Without an answer there is nothing left: drained before.
        Box::pin(async move { result.await.map_or(0, |left| left.batches) })
    }
}

impl Handler<Reconfigure> for KafkaActor {
    type Result = actix::ResponseActFuture<Self, Result<(), StartError>>;

    fn handle(&mut self, Reconfigure(options): Reconfigure, _ctx: &mut Context<Self>) -> Self::Result {
        let builder = Arc::clone(&self.builder);
        let built = detach(move || (builder(&options, None), options));
        Box::pin(built.into_actor(self).map(|built, this, ctx| {
            let Ok((producer, options)) = built else { return Ok(()) };
            let producer = producer.inspect_err(|error| {
                log::error!(cause:% = error; "cannot use the new Kafka settings, the old ones stay in force");
            })?;
            let Some(shipper) = &mut this.shipper else {
                return Ok(());
            };
            log::info!(brokers = options.broker_list(); "new Kafka settings take over");
            shipper.replace(producer, options, Instant::now());
            this.turn(ctx);
            Ok(())
        }))
    }
}

impl KafkaActor {
    /// Waits until nothing is on its way; gives what still is. No answer: the service ends.
    fn settle(&mut self, deadline: Instant, ctx: &mut Context<Self>) -> oneshot::Receiver<Unsettled> {
        let (answer, settled) = oneshot::channel();
        // Nothing was shipped before positions are open.
        if self.side.as_ref().is_some_and(|side| side.is_opening()) {
            let _ = answer.send(Unsettled::default());
        } else if let Some(shipper) = &mut self.shipper
            && self.drain.is_none()
        {
            shipper.hurry(true);
            self.drain = Some(DrainUnderWay {
                deadline,
                answer,
                ends: false,
            });
            self.turn(ctx);
        }
        settled
    }

    /// Others ship from now on.
    fn succeed(&mut self, made: Made, ctx: &mut Context<Self>) -> Result<(), ChangeError> {
        let Some(former) = self.shipper.take() else {
            drop(detach(move || drop(made)));
            return Err(ChangeError::Ending);
        };
        let (shipper, end) = made.shipper.succeed(former);
        drop(detach(move || end.run()));
        self.shipper = Some(shipper);
        (self.builder, self.log) = (made.builder, made.log);
        self.era += 1;
        self.turn(ctx);
        Ok(())
    }
}

impl Handler<ChangeDelivery> for KafkaActor {
    type Result = actix::ResponseActFuture<Self, Result<(), ChangeError>>;

    fn handle(&mut self, change: ChangeDelivery, ctx: &mut Context<Self>) -> Self::Result {
        let ChangeDelivery { settings, deadline } = change;
        let settled = self.settle(deadline, ctx).into_actor(self);
        Box::pin(settled.then(move |left, this, _| {
            let former = this.log.clone();
            let made = match (left, this.side.clone(), &mut this.shipper) {
                (Ok(Unsettled { batches: 0, .. }), Some(side), Some(_)) => {
                    let wake = Arc::clone(&this.wake);
                    Ok(detach(move || {
                        if former.is_none() {
                            side.count_from_now();
                        }
                        side.make(&settings, &wake, former.as_deref())
                    }))
                }
                (Ok(left), Some(_), Some(_)) => Err(ChangeError::NotDrained(left)),
                _ => Err(ChangeError::Ending),
            };
            let made = async move { made?.await.map_err(|_| ChangeError::Ending)?.map_err(ChangeError::from) };
            made.into_actor(this).map(|made, this, ctx| {
                let changed = made.and_then(|made| this.succeed(made, ctx));
                // It goes on as it was, unless the service ends.
                if changed.is_err()
                    && this.drain.is_none()
                    && let Some(shipper) = &mut this.shipper
                {
                    shipper.hurry(false);
                }
                changed
            })
        }))
    }
}

impl Handler<GiveBack> for KafkaActor {
    type Result = usize;

    fn handle(&mut self, GiveBack(files): GiveBack, ctx: &mut Context<Self>) -> usize {
        let given = self.shipper.as_mut().map_or(0, |shipper| shipper.give_back(&files));
        // Some drain may have waited for just these.
        self.turn(ctx);
        given
    }
}

impl Handler<GetStats> for KafkaActor {
    type Result = MessageResult<GetStats>;

    fn handle(&mut self, _: GetStats, _ctx: &mut Context<Self>) -> Self::Result {
        MessageResult(self.shipper.as_ref().map(Shipper::snapshot).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
