//! The KafkaActor: receives batches, delegates to a [`Shipper`], sends nothing but settlements.

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
    Answer, Batch, Bounds, Builder, DeadLetters, Errand, Lanes, Options, Producer, Shipper, StartError, Stats, Wake,
};
use logcatch_settings::ExactlyOnce;
use logcatch_tail::Positions;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::oneshot;

use super::errand::detach;
use super::positions::TopicPositions;

/// How long a drained producer may take to end before its drain is answered: milliseconds, unless its threads hang.
const RETIRE: Duration = Duration::from_millis(500);

/// A transaction takes batches for so long.
const TRANSACTION: Duration = Duration::from_millis(100);

/// It takes so many bytes at most.
const TRANSACTION_BYTES: u64 = 16 << 20;

/// What may be in flight is enough for so many: while one commits, the next is read.
const TRANSACTIONS_IN_FLIGHT: u64 = 4;

/// How often to look for reports where the reactor takes no further descriptor.
const LOOK: Duration = Duration::from_millis(50);

/// Ships batches to Kafka, on an arbiter of its own.
pub struct KafkaActor {
    /// None after a drain.
    shipper: Option<Shipper>,
    wake: Arc<Wake>,
    builder: Builder<Producer>,
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

/// Asks for the counters.
#[derive(Message)]
#[rtype(result = "Stats")]
pub struct GetStats;

struct DrainUnderWay {
    deadline: Instant,
    answer: oneshot::Sender<usize>,
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
        let builder = {
            let wake = Arc::clone(&wake);
            move |options: &Options, batch_bytes| Producer::new(options, batch_bytes, Arc::clone(&wake))
        };
        Self::start_with(arbiter, options, letters, Arc::new(builder), wake, |shipper| shipper)
    }

    /// As [`KafkaActor::start`], with lines and positions in transactions, of `in_flight` bytes in flight. Ships nothing before
    /// positions are read back.
    ///
    /// # Errors
    /// As there.
    pub fn start_exactly_once(
        options: Options,
        letters: Arc<dyn DeadLetters>,
        exactly_once: &ExactlyOnce,
        host: &str,
        positions: Arc<Positions>,
        in_flight: u64,
    ) -> Result<(Addr<Self>, Lanes, Arc<TopicPositions>), StartError> {
        let wake = Arc::new(Wake::new()?);
        let log = TopicPositions::new(exactly_once, host, positions, Arc::clone(&wake));
        let log = Arc::new(log);
        let builder = {
            let (wake, id) = (Arc::clone(&wake), format!("logcatch-{}", exactly_once.instance));
            move |options: &Options, batch_bytes| Producer::transactional(options, batch_bytes, &id, Arc::clone(&wake))
        };
        let bounds = Bounds {
            interval: TRANSACTION,
            bytes: (in_flight / TRANSACTIONS_IN_FLIGHT).min(TRANSACTION_BYTES),
        };
        let in_transactions = {
            let log = Arc::clone(&log);
            move |shipper: Shipper| shipper.in_transactions(log, bounds, Instant::now())
        };
        let arbiter = Arbiter::new().handle();
        let (address, lanes) = Self::start_with(&arbiter, options, letters, Arc::new(builder), wake, in_transactions)?;
        Ok((address, lanes, log))
    }

    fn start_with(
        arbiter: &ArbiterHandle,
        options: Options,
        letters: Arc<dyn DeadLetters>,
        builder: Builder<Producer>,
        wake: Arc<Wake>,
        finish: impl FnOnce(Shipper) -> Shipper,
    ) -> Result<(Addr<Self>, Lanes), StartError> {
        let producer = builder(&options, None)?;
        let now = Instant::now();
        let shipper = Shipper::new(producer, options, Arc::clone(&builder), letters, Arc::clone(&wake), now);
        let shipper = finish(shipper);
        let lanes = shipper.lanes();
        let actor = Self {
            shipper: Some(shipper),
            wake,
            builder,
            timer: None,
            drain: None,
        };
        let address = Self::start_in_arbiter(arbiter, |_| actor);
        Ok((address, lanes))
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
            let done = detach(move || run(errand)).into_actor(self).map(|answer, this, ctx| {
                if let (Ok(answer), Some(shipper)) = (answer, &mut this.shipper) {
                    shipper.done(answer, Instant::now());
                    this.turn(ctx);
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
        let left = self.shipper.as_ref().map_or(0, Shipper::unsettled);
        let Some(drain) = self.drain.take_if(|drain| left == 0 || drain.deadline <= now) else {
            return;
        };
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
            shipper.hurry();
            self.drain = Some(DrainUnderWay { deadline, answer });
            self.turn(ctx);
        }
        // Without an answer there is nothing left: drained before.
        Box::pin(async move { result.await.unwrap_or(0) })
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

impl Handler<GetStats> for KafkaActor {
    type Result = MessageResult<GetStats>;

    fn handle(&mut self, _: GetStats, _ctx: &mut Context<Self>) -> Self::Result {
        MessageResult(self.shipper.as_ref().map(Shipper::snapshot).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
