//! One run: a seed, a length, a world; in the end a verdict.

use std::env;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, SystemTime};

use super::plan::{Plan, Profile};
use super::report;
use super::world::{Place, World};
use crate::harness::kafka::Broker;
use crate::harness::oracle::Verdict;
use crate::harness::service::Host;
use crate::harness::{guard, kafka};

/// How long `cargo test` tortures, in planned seconds.
const SECONDS: u64 = 60;

/// With everything mended, what is owed must arrive within this. The service itself waits 5 s for late lines, retries what
/// failed after up to 60 s, and shares the machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// With exactly-once a start may have to wait for a transaction that is open in the positions topic: Kafka ends it after 60 s, looks
/// for such every 10 s, and so does the service.
const TRANSACTION: Duration = Duration::from_secs(80);

/// The resident size that the service stays under: what is in flight (16 MiB), librdkafka's buffers, and what a build
/// without optimisation needs.
const MEMORY: u64 = 160 << 20;

/// See the module.
pub struct Run {
    /// The command that does it again.
    pub again: String,
    pub seed: u64,
    /// How much planned time: the steps' own duration comes on top.
    pub length: Duration,
    /// How long what is owed may take once everything is mended.
    pub patience: Duration,
    /// A deliberately wrong behaviour of the service.
    pub wrong: Option<&'static str>,
    /// Every line exactly once: nothing may come again, and the state directory is deleted now and then.
    pub exactly_once: bool,
}

/// What a run has shown.
pub struct Outcome {
    pub verdict: Verdict,
    /// The figures.
    pub table: String,
    /// The stories of the first faults, and how to see them again.
    pub story: String,
}

impl Run {
    /// `LOGCATCH_TORTURE` seconds with `LOGCATCH_SEED`; else a minute with a seed of its own.
    pub fn from_environment() -> Run {
        let number = |name| {
            env::var(name)
                .ok()
                .map(|value: String| value.parse().expect("a number"))
        };
        let any = || {
            SystemTime::UNIX_EPOCH
                .elapsed()
                .map_or(1, |since| u64::from(since.subsec_micros()))
        };
        let (seed, seconds) = (
            number("LOGCATCH_SEED").unwrap_or_else(any),
            number("LOGCATCH_TORTURE").unwrap_or(SECONDS),
        );
        Run {
            again: format!(
                "LOGCATCH_TORTURE={seconds} LOGCATCH_SEED={seed} cargo test --test integration -- a_minute_of_torture"
            ),
            seed,
            length: Duration::from_secs(seconds),
            patience: PATIENCE,
            wrong: None,
            exactly_once: false,
        }
    }

    /// As [`Run::from_environment`], with exactly-once.
    pub fn exactly_once() -> Run {
        let run = Run::from_environment();
        let world =
            env::var("LOGCATCH_WORLD").map_or_else(|_| String::new(), |world| format!("LOGCATCH_WORLD={world} "));
        Run {
            again: format!("{world}{}_exactly_once", run.again),
            exactly_once: true,
            patience: PATIENCE + TRANSACTION,
            ..run
        }
    }

    /// Does it.
    pub fn go(&self, profile: Profile) -> Outcome {
        let properties = if self.exactly_once { kafka::PATIENT } else { "" };
        let private = (profile.outage > 0).then(|| kafka::private_with("torture", properties));
        let broker: &Broker = private.as_deref().unwrap_or_else(|| kafka::shared());
        // Stamped by the broker, so that a record's time says when it was acknowledged.
        let topic = broker.topic_with("torture", 4, &[("message.timestamp.type", "LogAppendTime")]);
        let host = Host::new("torture");
        let host = match self.wrong {
            Some(wrong) => host.with_value("LOGCATCH_WRONG", wrong),
            None => host,
        };
        let host = match env::var("LOGCATCH_TORTURE_LOG") {
            Ok(level) => host.with_value("RUST_LOG", &level),
            Err(_) => host,
        };
        let mut host = host.with_env("LOGCATCH_FAULT_DIR", "faults");
        if self.exactly_once {
            host.exactly_once(&kafka::unique("torture"));
            fs::create_dir_all(host.path("faults")).expect("make a directory");
        }
        let place = Place {
            exactly_once: self.exactly_once,
            host: &host,
            broker,
            topic: &topic,
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            thread::scope(|scope| self.play(scope, &place, profile))
        }));
        outcome.unwrap_or_else(|panic| {
            guard::keep();
            println!(
                "torture: failed; again: {}; kept: {}",
                self.again,
                host.path("").display()
            );
            std::panic::resume_unwind(panic)
        })
    }

    fn play<'scope, 'env>(
        &self,
        scope: &'scope thread::Scope<'scope, 'env>,
        place: &'env Place<'env>,
        profile: Profile,
    ) -> Outcome {
        let mut world = World::new(scope, place, profile.logs.len(), self.patience);
        let mut planned = Duration::ZERO;
        for step in Plan::new(self.seed, profile) {
            planned += Duration::from_millis(step.pause);
            if planned > self.length {
                break;
            }
            world.step(step);
            if world.in_vain {
                break;
            }
        }
        world.end();
        if !world.in_vain {
            world.settle();
            // Once more, so that whatever this last start repeats is in Kafka.
            world.end();
        }
        world.reader.renew();
        world.reader.everything();
        let verdict = world.books.judge(world.reader.records());
        let story = report::story(&world, &verdict);
        if self.wrong.is_none() {
            let peak = world.life.figures.peak_memory;
            assert!(peak <= MEMORY, "the service took {} MiB", peak >> 20);
        }
        Outcome {
            table: report::table(&world, &verdict),
            story: format!(
                "{story}again: {}\nkept: {}\n",
                self.again,
                place.host.path("").display()
            ),
            verdict,
        }
    }
}

impl Outcome {
    /// No fault at all.
    pub fn assert_clean(&self) {
        if !self.verdict.faults.is_empty() {
            guard::keep();
            panic!("{}{}", self.verdict, self.story);
        }
    }
}
