//! One producer takes over from another: new settings, a fatal error, a smaller limit of batches.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::errand::{Builder, Era, Errand, Task};
use crate::error::Code;
use crate::lanes::{LaneState, Trouble};
use crate::options::{Options, StartError};
use crate::outlet::Outlet;
use crate::pace::{Backoff, Complaint};
use crate::redo::Failure;
use crate::shipper::Shipper;

/// What is wanted of outlets, and how far it is.
pub(crate) struct Handover<O: Outlet> {
    builder: Builder<O>,
    stage: Stage<O>,
    /// An outlet is to be built then.
    build_at: Option<Instant>,
    building: bool,
    backoff: Backoff,
    complaint: Complaint,
    /// True from a fatal error until something is acknowledged.
    troubled: bool,
    /// The smallest limit of one batch, in bytes, that a topic is known to have.
    batch_bytes: u64,
    /// So many producers had their turn before the one there is.
    era: Era,
}

enum Stage<O: Outlet> {
    /// One outlet, which is fed.
    Steady,
    /// The next one waits until the first has reported all. When time is up: purges it, or gives up the next one.
    Draining { next: Next<O>, until: Instant, purge: bool },
    /// The first is giving back what it has; the next one may still be built.
    Purging { next: Option<Next<O>>, until: Instant },
}

struct Next<O> {
    outlet: O,
    options: Option<Options>,
}

/// How long what is out may take to be acknowledged before it is taken back.
const DRAIN: Duration = Duration::from_secs(5);

/// How long an outlet may take to give back what it has. What it has not by then counts as not sent.
const PURGE: Duration = Duration::from_secs(3);

/// The smallest limit of a batch that makes sense.
const BATCH_BYTES_MIN: u64 = 1024;

/// When batches could not be made smaller because some topic accepts nothing, it is tried again after this.
const RETRY: Duration = Duration::from_secs(60);

impl<O: Outlet> Handover<O> {
    pub(crate) fn new(builder: Builder<O>, batch_bytes: u64) -> Self {
        Self {
            builder,
            stage: Stage::Steady,
            build_at: None,
            building: false,
            backoff: Backoff::default(),
            complaint: Complaint::default(),
            troubled: false,
            batch_bytes,
            era: 0,
        }
    }

    /// Which producer there is.
    pub(crate) fn era(&self) -> Era {
        self.era
    }

    /// True while nothing may be handed over.
    pub(crate) fn holds(&self) -> bool {
        !matches!(self.stage, Stage::Steady)
    }

    /// True while the outlet gives back what it has, because it failed or its time is up.
    pub(crate) fn is_purging(&self) -> bool {
        matches!(self.stage, Stage::Purging { .. })
    }

    /// Something was acknowledged: the outlet works.
    pub(crate) fn proven(&mut self) {
        self.backoff.reset();
        if self.troubled {
            self.troubled = false;
            self.complaint = Complaint::default();
        }
    }

    /// The limit of one batch in bytes.
    pub(crate) fn batch_bytes(&self) -> u64 {
        self.batch_bytes
    }

    /// A topic takes no batches over `bytes`.
    pub(crate) fn keep_batches_under(&mut self, bytes: u64, now: Instant) {
        let bytes = bytes.max(BATCH_BYTES_MIN);
        if bytes < self.batch_bytes {
            self.batch_bytes = bytes;
            if self.build_at.is_none() {
                self.build_at = Some(now);
            }
        }
    }

    pub(crate) fn errand(&mut self, options: &Options, is_silent: impl Fn() -> bool, now: Instant) -> Option<Task<O>> {
        if self.building || self.build_at.is_none_or(|at| at > now) {
            return None;
        }
        if !self.holds() && is_silent() {
            // Nothing is broken, and draining would stop all topics for a partition that accepts nothing.
            self.build_at = Some(now + RETRY);
            return None;
        }
        self.build_at = None;
        self.building = true;
        let batch_bytes = self.limit(options);
        Some(Task::Build {
            options: options.clone(),
            batch_bytes,
            builder: self.builder.clone(),
        })
    }

    pub(crate) fn wake_at(&self) -> Option<Instant> {
        let until = match &self.stage {
            Stage::Steady => None,
            Stage::Draining { until, .. } | Stage::Purging { until, next: Some(_) } => Some(*until),
            Stage::Purging { next: None, .. } => None,
        };
        until.into_iter().chain(self.build_at.filter(|_| !self.building)).min()
    }

    /// The limit to give to a new outlet, if it is not what the options say anyway.
    fn limit(&self, options: &Options) -> Option<u64> {
        (self.batch_bytes < options.batch_bytes()).then_some(self.batch_bytes)
    }
}

impl<O: Outlet> Shipper<O> {
    /// Replaces the producer by one made of other options. What the old one has is drained for some seconds, what
    /// it still has then is sent again through the new one: nothing is lost, and only that may arrive twice.
    pub fn replace(&mut self, outlet: O, options: Options, now: Instant) {
        // What is still to be built would be made of the old options.
        self.handover.build_at = None;
        let next = Next {
            outlet,
            options: Some(options),
        };
        let stage = std::mem::replace(&mut self.handover.stage, Stage::Steady);
        self.handover.stage = match stage {
            Stage::Steady => Stage::Draining {
                next,
                until: now + DRAIN,
                purge: true,
            },
            Stage::Draining {
                next: unused, until, ..
            } => {
                self.errands.push(Errand(Task::Retire(unused.outlet)));
                Stage::Draining {
                    next,
                    until,
                    purge: true,
                }
            }
            Stage::Purging { next: unused, until } => {
                self.errands
                    .extend(unused.map(|unused| Errand(Task::Retire(unused.outlet))));
                Stage::Purging {
                    next: Some(next),
                    until,
                }
            }
        };
        self.wake().ring();
    }

    /// The producer takes nothing any more: takes back what it has and asks for a new one.
    pub(crate) fn fatal(&mut self, code: Code, text: &str, now: Instant) {
        if matches!(self.handover.stage, Stage::Purging { .. }) {
            return;
        }
        let text = if text.is_empty() {
            code.to_string()
        } else {
            text.to_owned()
        };
        self.handover.troubled = true;
        if self.handover.complaint.raise(code.0, Duration::ZERO, now) {
            log::warn!(
                code = code.name(), cause = text.as_str(), records = self.outlet.outstanding();
                "the Kafka producer failed for good, a new one sends again what is not acknowledged"
            );
        }
        let reason = Arc::from(format!("the producer failed: {text}"));
        for lane in self.lanes.iter_mut().flatten() {
            lane.probing = true;
            lane.door.set(LaneState::Held {
                why: Trouble::Other,
                reason: Arc::clone(&reason),
            });
        }
        if let Some(txn) = self.transaction.as_mut().filter(|_| code.is_fenced()) {
            txn.is_fenced_by_another(now);
        }
        self.stats.rebuilds += 1;
        self.outlet.purge();
        let stage = std::mem::replace(&mut self.handover.stage, Stage::Steady);
        let next = match stage {
            Stage::Draining { next, .. } => Some(next),
            Stage::Steady | Stage::Purging { .. } => None,
        };
        if next.is_none() {
            self.handover.build_at = Some(now + self.handover.backoff.pause_unless_first());
        }
        self.handover.stage = Stage::Purging {
            next,
            until: now + PURGE,
        };
    }

    /// A producer was built, or could not be.
    pub(crate) fn built(&mut self, options: &Options, outlet: Result<O, StartError>, now: Instant) {
        self.handover.building = false;
        if *options != self.options {
            // Others are in force since. Whoever needs a producer asks for one made of those.
            self.errands
                .extend(outlet.ok().map(|unused| Errand(Task::Retire(unused))));
            return;
        }
        let outlet = match outlet {
            Ok(outlet) => outlet,
            Err(error) => {
                log::error!(cause = error.to_string().as_str(); "cannot build a new Kafka producer, trying again");
                self.handover.build_at = Some(now + self.handover.backoff.pause());
                return;
            }
        };
        let next = Next { outlet, options: None };
        match &mut self.handover.stage {
            Stage::Purging { next: none @ None, .. } => *none = Some(next),
            // Another one is on its way, made of newer options.
            Stage::Purging { .. } | Stage::Draining { .. } => self.errands.push(Errand(Task::Retire(next.outlet))),
            Stage::Steady => {
                self.handover.stage = Stage::Draining {
                    next,
                    until: now + DRAIN,
                    purge: false,
                };
            }
        }
    }

    /// Moves a handover on.
    pub(crate) fn hand_over(&mut self, now: Instant) {
        let drained = self.outlet.outstanding() == 0 && (self.handover.is_purging() || self.is_between_transactions());
        // What a broker that does not answer has will not be acknowledged.
        let down = self.connection.is_down();
        let stage = std::mem::replace(&mut self.handover.stage, Stage::Steady);
        self.handover.stage = match stage {
            Stage::Draining { next, .. } if drained => return self.switch(next, now),
            Stage::Draining {
                next,
                until,
                purge: true,
            } if down || until <= now => {
                self.outlet.purge();
                Stage::Purging {
                    next: Some(next),
                    until: now + PURGE,
                }
            }
            Stage::Draining {
                next,
                until,
                purge: false,
            } if until <= now => {
                self.handover.build_at = Some(now + RETRY);
                self.errands.push(Errand(Task::Retire(next.outlet)));
                Stage::Steady
            }
            Stage::Purging {
                next: Some(next),
                until,
            } if drained || until <= now => return self.switch(next, now),
            other => other,
        };
    }

    /// The next producer is the producer.
    fn switch(&mut self, next: Next<O>, now: Instant) {
        let old = std::mem::replace(&mut self.outlet, next.outlet);
        self.errands.push(Errand(Task::Retire(old)));
        self.handover.era += 1;
        self.asking = 0;
        if let Some(options) = next.options {
            // Limits that were learned belong to the old cluster.
            self.handover.batch_bytes = options.batch_bytes();
            self.handover.build_at = None;
            self.connection = Connection::new(&options, now);
            self.options = options;
        }
        if self.transaction.is_some() {
            self.restart_transaction(now);
        } else {
            self.take_back(now);
        }
        self.ready.clear();
        self.capped.clear();
        self.wake().ring();
    }

    /// What the last producer had and did not report is sent again.
    fn take_back(&mut self, now: Instant) {
        let mut unreported: Vec<Vec<Failure>> = self.lanes.iter().map(|_| Vec::new()).collect();
        for (id, parcel) in self.parcels.iter_mut() {
            parcel.lent = false;
            if parcel.flying == 0 {
                continue;
            }
            let Some((lane, unreported)) = (self.lanes.get(parcel.lane as usize).and_then(Option::as_ref))
                .zip(unreported.get_mut(parcel.lane as usize))
            else {
                continue;
            };
            // Which of its records are acknowledged is not known one by one: all that were handed over go again.
            let mut known: Vec<u32> = lane.to_redo(id).chain(self.burials.waiting(id)).collect();
            known.sort_unstable();
            let again = (0..parcel.next).filter(|index| known.binary_search(index).is_err() && !parcel.is_dead(*index));
            let code = Code::PURGE_INFLIGHT;
            unreported.extend(again.map(|index| Failure {
                parcel: id,
                index,
                code,
                refusal: 0,
                alone: false,
            }));
            parcel.flying = 0;
            parcel.left = parcel.alive();
        }
        let mut letters = Vec::new();
        for (lane, unreported) in self.lanes.iter_mut().zip(unreported) {
            let Some(lane) = lane else { continue };
            letters.extend(lane.restart(unreported, &self.parcels, now));
        }
        for failure in letters {
            self.letter(failure);
        }
    }
}
