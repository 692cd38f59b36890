//! The SupervisorActor: owns the factory of the watchers, keeps one per path, restarts those that fail.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use actix::{WeakAddr, prelude::*};
use logcatch_settings::{LogEntry, Settings, Start, changes_delivery, diff, needs_restart};
use logcatch_tail::{open_files, pack};

use super::backoff::Backoff;
use super::blind::Blind;
use super::complaints::Complaints;
use super::delivery::Gate;
use super::disk::{Disk, Route, Routes};
use super::entries::{Findings, MANY, Watched, compare};
use super::first::FirstLooks;
use super::heirs::{Heirs, ships};
use super::leaving::Leaving;
use super::looks::Looks;
use super::orphans::Orphanage;
use super::thrift::Thrift;
use super::watchdog::Crew;
use super::watchdog::actor::stop;
use crate::kafka::{KafkaActor, Reconfigure};
use crate::observe::{ByKey, Gauge, Key};
use crate::tail::actor::{News, Notice, Peers, TailActor};
use crate::tail::{Common, Pulse, TailSpec};

/// A missed notification costs this long, not lines.
const RECONCILE: Duration = Duration::from_secs(10);
/// Where there are no notifications, and the pace of the supervisor's own clock.
const TICK: Duration = Duration::from_secs(1);
/// While batches of a failed watcher are in flight, its successor waits.
pub(super) const SETTLE_POLL: Duration = Duration::from_millis(200);

/// Settings to be in force from now on. The answer says why not, and then nothing has changed.
#[derive(Message)]
#[rtype(result = "Result<(), String>")]
pub struct ApplySettings(pub Arc<Settings>);

/// Stop reading. Answered when no watcher will hand anything over any more.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Drain;

/// Files may have come or gone.
#[derive(Message)]
#[rtype(result = "()")]
struct DiskChanged;

/// One watcher, as its supervisor knows it.
pub(super) struct Tail {
    /// The only one that stays: each clone takes 0.1 KB, a weak one a word.
    pub(super) address: Addr<TailActor>,
    /// Of the thread it runs on.
    pub(super) pulse: Arc<Pulse>,
    pub(super) route: Arc<Route>,
    pub(super) incarnation: u64,
    pub(super) backoff: Backoff,
    /// It failed, or was told to rest, and waits for its next start.
    pub(super) resting: bool,
    /// Orders under way, each of which rests on nothing being read: the last one lets it begin.
    pub(super) orders: u32,
    /// Its first look is still to be taken, and starts at the end of what is there.
    pub(super) from_end: bool,
    pub(super) gauge: Arc<Gauge>,
}

/// The supervisor of all watchers.
pub struct SupervisorActor {
    pub(super) common: Common,
    /// The same as the watchers of each thread have it.
    pub(super) commons: Vec<(Weak<Pulse>, Arc<Common>)>,
    pub(super) kafka: Addr<KafkaActor>,
    pub(super) peers: Option<Arc<Peers>>,
    pub(super) settings: Option<Arc<Settings>>,
    /// Those of the settings, shared with the watchers and with each look.
    pub(super) entries: Vec<Arc<LogEntry>>,
    pub(super) crew: Crew,
    pub(super) tails: BTreeMap<ByKey, Tail>,
    /// Watchers that are being stopped: none other of their path starts before they have let go.
    pub(super) stopping: HashMap<Key, (WeakAddr<TailActor>, Arc<Pulse>)>,
    /// Per entry, the paths that are watched and how their file looked last.
    pub(super) watched: HashMap<String, Watched>,
    pub(super) first: FirstLooks,
    pub(super) heirs: Heirs,
    pub(super) leaving: Leaving,
    pub(super) routes: Arc<Routes>,
    /// None while a look has it.
    disk: Option<Disk>,
    /// Some entry must be looked at each second.
    is_polled: bool,
    pub(super) looks: Looks,
    pub(super) blind: Blind,
    pub(super) spawned: usize,
    complaints: Complaints,
    thrift: Thrift,
    pub(super) orphanage: Orphanage,
    pub(super) draining: bool,
    /// No watcher runs while it is shut.
    pub(super) gate: Gate,
}

impl SupervisorActor {
    /// A supervisor without settings, for positions that are open.
    #[must_use]
    pub fn new(common: Common, kafka: Addr<KafkaActor>) -> Self {
        Self {
            common,
            commons: Vec::new(),
            kafka,
            peers: None,
            settings: None,
            entries: Vec::new(),
            crew: Crew::default(),
            tails: BTreeMap::new(),
            stopping: HashMap::new(),
            watched: HashMap::new(),
            first: FirstLooks::default(),
            heirs: Heirs::default(),
            leaving: Leaving::default(),
            routes: Arc::default(),
            disk: None,
            is_polled: false,
            looks: Looks::default(),
            blind: Blind::default(),
            spawned: 0,
            complaints: Complaints::default(),
            thrift: Thrift::default(),
            orphanage: Orphanage::default(),
            draining: false,
            gate: Gate::default(),
        }
    }

    pub(super) fn entry(&self, name: &str) -> Option<Arc<LogEntry>> {
        self.entries.iter().find(|entry| entry.name == name).cloned()
    }

    /// Puts settings into force that nothing speaks against, entry by entry: what did not change is not touched.
    pub(super) fn apply(&mut self, settings: Arc<Settings>, ctx: &mut Context<Self>) {
        self.entries = settings.logs.iter().cloned().map(Arc::new).collect();
        let added: Vec<String> = match self.settings.clone() {
            None => settings.logs.iter().map(|entry| entry.name.clone()).collect(),
            Some(before) => {
                let diff = diff(&before, &settings);
                for name in &diff.removed {
                    self.stop_entry(name, ctx);
                }
                for changed in &diff.changed {
                    self.retarget(&changed.name, ctx);
                }
                log::info!(
                    added = diff.added.len(), removed = diff.removed.len(), changed = diff.changed.len(),
                    unchanged = diff.unchanged.len();
                    "settings are applied"
                );
                diff.added
            }
        };
        // The others are taken up when the gate opens.
        let is_open = self.gate.is_open();
        for name in added.iter().filter(|_| is_open) {
            if let Some(entry) = self.entry(name) {
                self.take_up(&entry);
            }
        }
        self.find_heirs_by(&settings);
        self.common
            .budget
            .resize(settings.limits.in_flight, settings.limits.in_flight_of_one);
        let world = &self.common.world;
        world.handles.set_limit(open_files(settings.limits.open_files));
        world.positions.set_interval(settings.state.checkpoint_interval);
        world.spares.expect(settings.settled_at_once());
        self.common.board.applied(Arc::clone(&settings));
        self.say_opening(&settings);
        self.settings = Some(settings);
        self.look(ctx);
    }

    /// A new entry: what is known of its files is reserved for the watchers that will have them.
    pub(super) fn take_up(&mut self, entry: &LogEntry) {
        let positions = &self.common.world.positions;
        for stream in positions.all() {
            let record = stream.record();
            if *record.log == *entry.name && entry.means(&record.path) {
                self.common.world.claims.reserve(&record);
            }
        }
        self.watched.entry(entry.name.clone()).or_default();
        self.first
            .begin(&entry.name, positions.is_first_application(&entry.name));
    }

    fn stop_entry(&mut self, name: &str, ctx: &mut Context<Self>) {
        let paths: Vec<_> = self.watched.remove(name).unwrap_or_default().into_keys().collect();
        for path in paths {
            self.stop_tail(name, &path, ctx);
        }
        self.first.forget(name);
        self.complaints.forget(name);
    }

    pub(super) fn stop_tail(&mut self, log: &str, path: &Path, ctx: &mut Context<Self>) {
        let key: Key = (log.into(), path.into());
        self.first.taken(log, path);
        let Some(tail) = self.tails.remove(&key) else { return };
        self.common.board.remove(&key);
        log::info!(log, path:% = path.display(); "watcher stopped");
        self.routes.remove(path, &tail.route);
        let (address, pulse) = (tail.address.downgrade(), Arc::clone(&tail.pulse));
        self.stopping.insert(key.clone(), (address, pulse));
        let (stopped, leaves) = (stop(tail.address, tail.pulse), !self.is_shipped(log, path));
        ctx.spawn(stopped.into_actor(self).map(move |_, actor, ctx| {
            actor.common.world.claims.release_all(&key.0, &key.1);
            actor.stopping.remove(&key);
            actor.has_ended(key, leaves);
            actor.look_soon(ctx);
        }));
    }

    /// Looks at the disk, off the arbiters.
    pub(super) fn look(&mut self, ctx: &mut Context<Self>) {
        if self.draining || !self.gate.is_open() || self.settings.is_none() || !self.looks.begin() {
            return;
        }
        let began = Instant::now();
        let (entries, progress) = self.blind.begin(&self.entries, began);
        let mine = Arc::clone(&progress);
        let mut disk = self.disk.take();
        let looked = actix_rt::task::spawn_blocking(move || {
            let findings = Findings::look(&entries, &mine);
            // Watched before files are opened: what happens in between is then not missed.
            let is_news = disk.as_mut().is_some_and(|disk| disk.watch(&findings.directories()));
            (findings, disk, is_news)
        });
        ctx.spawn(looked.into_actor(self).map(move |looked, actor, ctx| {
            let findings = looked.map(|(findings, disk, is_news)| {
                if !actor.draining {
                    actor.disk = actor.disk.take().or(disk);
                }
                if is_news {
                    actor.looks.want();
                }
                findings
            });
            if !actor.blind.ended(&progress) {
                return actor.look_soon(ctx);
            }
            actor.looks.ended(began, Instant::now());
            match findings {
                Ok(findings) => actor.found(&findings, ctx),
                Err(error) => log::error!(cause:% = error; "looking for files failed; trying again"),
            }
            if actor.looks.is_wanted() {
                actor.look_soon(ctx);
            }
        }));
    }

    fn look_soon(&mut self, ctx: &mut Context<Self>) {
        if let Some(wait) = self.looks.schedule() {
            ctx.run_later(wait, |actor, ctx| {
                actor.looks.due();
                actor.look(ctx);
            });
        }
    }

    fn found(&mut self, findings: &Findings, ctx: &mut Context<Self>) {
        if self.draining || !self.gate.is_open() {
            return;
        }
        self.is_polled = findings.is_polled;
        self.inherit();
        let mut unsettled = HashSet::new();
        for (entry, swept) in &findings.entries {
            // Settings may have changed while the disk was looked at: nothing starts by the old ones.
            if self.entry(&entry.name).is_some_and(|current| current != *entry) {
                self.looks.want();
                continue;
            }
            let Some(watched) = self.watched.get_mut(&entry.name) else {
                continue;
            };
            let log: Arc<str> = self.common.world.positions.name(&entry.name);
            let is_fresh = self.first.take_fresh(&entry.name);
            let mut remembered = if is_fresh {
                self.common.world.positions.paths(&entry.name)
            } else {
                Vec::new()
            };
            remembered.extend(self.heirs.paths(&entry.name));
            let positions = &self.common.world.positions;
            let shared = |path: &Path| positions.path(&entry.name, path);
            let is_ours = |path: &Path| ships(&self.entries, entry, path);
            let changes = compare(is_ours, watched, (&swept.files, &remembered), shared);
            let is_first = is_fresh && self.first.is_first(&entry.name);
            for path in changes.gone {
                self.stop_tail(&entry.name, &path, ctx);
            }
            let size = |path: &Path| swept.files.get(path).map_or(0, |stat| stat.size);
            for path in changes.changed {
                let size = size(&path);
                if let Some(tail) = self.tails.get(&(Arc::clone(&log), path)) {
                    tail.gauge.on_disk(size);
                    tail.route.ring(true);
                }
            }
            if is_first {
                self.first.expect(&entry.name, changes.new.iter().map(Arc::clone));
            }
            let are_many = changes.new.len() >= MANY;
            for path in changes.new {
                let streams = self.common.world.positions.of(&entry.name, &path);
                let key = (Arc::clone(&log), Arc::clone(&path));
                let is_stopping = self.stopping.contains_key(&key) || self.leaving.is_asked(&key);
                let is_at_rest = !self.heirs.is_awaited(&key) && streams.iter().all(|stream| stream.is_at_rest());
                if is_stopping || !is_at_rest {
                    if !is_at_rest {
                        // It has a position, so `start` says nothing of it, and the entry does not wait for it.
                        self.first.taken(&entry.name, &path);
                        unsettled.insert(key);
                    }
                    // Its predecessor has not let go of it: the next look takes it up.
                    if let Some(watched) = self.watched.get_mut(&entry.name) {
                        watched.remove(&path);
                    }
                    self.looks.want();
                    continue;
                }
                let from_end = is_first && entry.start == Start::End;
                let gauge = Arc::new(Gauge::new((Arc::clone(&log), path)));
                gauge.on_disk(size(&gauge.key().1));
                self.heirs.begun(gauge.key());
                self.spawn(
                    TailSpec {
                        entry: Arc::clone(entry),
                        from_end,
                        gauge,
                    },
                    ctx,
                );
            }
            if are_many {
                pack(&mut self.tails);
                self.common.board.pack();
                self.routes.pack();
            }
            for (path, real) in &swept.links {
                if let Some(tail) = self.tails.get(&(Arc::clone(&log), path.as_path().into())) {
                    self.routes.add_link(real, &tail.route);
                }
            }
            self.first.say_applied(&entry.name, &self.common.world.positions);
        }
        self.common.board.note("overlaps", findings.overlaps.clone());
        self.complaints.say(findings, |log| self.watched.contains_key(log));
        self.complaints.say_unsettled(&unsettled, Instant::now());
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        let positions = &self.common.world.positions;
        let (errors, saved_at) = (positions.save_errors(), positions.saved_at());
        self.common.board.look_at_saves(errors, saved_at);
        self.common.world.handles.tick(Instant::now());
        self.common.world.listings.tick(Instant::now());
        if self.thrift.is_time(self.common.budget.used() > 0, Instant::now()) {
            self.common.world.spares.clear();
            self.common.world.pack();
            actix_rt::task::spawn_blocking(logcatch_kafka::give_back_heap);
        }
        self.watch_over(ctx);
        self.see_off(ctx);
        if self.gate.is_open() {
            self.look_after_orphans();
        }
        // While a look has it, or hangs with it, nothing new is watched.
        let must_poll = self.is_polled || self.disk.as_ref().is_none_or(Disk::must_poll);
        let pause = if must_poll { TICK } else { RECONCILE };
        if self.looks.is_overdue(pause, must_poll, Instant::now()) {
            self.look(ctx);
        }
    }
}

impl Actor for SupervisorActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let myself = ctx.address().downgrade();
        self.disk = Some(Disk::new(Arc::clone(&self.routes), move || {
            if let Some(myself) = myself.upgrade() {
                myself.do_send(DiskChanged);
            }
        }));
        ctx.run_interval(TICK, Self::tick);
        self.open_in_time(ctx);
    }
}

impl Handler<ApplySettings> for SupervisorActor {
    type Result = ResponseActFuture<Self, Result<(), String>>;

    fn handle(&mut self, ApplySettings(settings): ApplySettings, ctx: &mut Context<Self>) -> Self::Result {
        let Some(before) = &self.settings else {
            self.apply(settings, ctx);
            return Box::pin(fut::ready(Ok(())));
        };
        if let Some(why) = needs_restart(before, &settings).into_iter().next() {
            return Box::pin(fut::ready(Err(why)));
        }
        if changes_delivery(before, &settings) {
            return self.change_delivery(settings);
        }
        if crate::kafka::options(before) == crate::kafka::options(&settings) {
            self.apply(settings, ctx);
            return Box::pin(fut::ready(Ok(())));
        }
        // A producer that cannot be made refuses all the rest.
        let replaced = self.kafka.send(Reconfigure(crate::kafka::options(&settings)));
        Box::pin(replaced.into_actor(self).map(|replaced, actor, ctx| {
            replaced
                .map_err(|error| error.to_string())?
                .map_err(|error| error.to_string())?;
            actor.apply(settings, ctx);
            Ok(())
        }))
    }
}

impl Handler<DiskChanged> for SupervisorActor {
    type Result = ();

    fn handle(&mut self, _: DiskChanged, ctx: &mut Context<Self>) {
        self.look_soon(ctx);
    }
}

impl Handler<Notice> for SupervisorActor {
    type Result = ();

    fn handle(&mut self, notice: Notice, ctx: &mut Context<Self>) {
        let key = notice.key;
        if self.draining
            || self
                .tails
                .get(&key)
                .is_none_or(|tail| tail.incarnation != notice.incarnation)
        {
            return;
        }
        match notice.news {
            News::Ready => {
                self.first.taken(&key.0, &key.1);
                if let Some(tail) = self.tails.get_mut(&key) {
                    tail.from_end = false;
                }
                self.first.say_applied(&key.0, &self.common.world.positions);
            }
            News::Empty => {
                // A file that came meanwhile is found by the look that follows: none is taken here, where it could hang.
                self.stop_tail(&key.0, &key.1, ctx);
                if let Some(watched) = self.watched.get_mut(&*key.0) {
                    watched.remove(&key.1);
                }
            }
            News::Down(reason) => self.down(key, &reason, ctx),
        }
    }
}

impl Handler<Drain> for SupervisorActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, _: &mut Context<Self>) -> Self::Result {
        self.draining = true;
        self.disk = None;
        let tails = std::mem::take(&mut self.tails).into_values();
        // Those that a change of settings is just stopping may still hand something over, too.
        let stopping = self.stopping.values();
        let stopping = stopping.filter_map(|(address, pulse)| Some((address.upgrade()?, Arc::clone(pulse))));
        let tails: Vec<_> = tails.map(|tail| (tail.address, tail.pulse)).chain(stopping).collect();
        Box::pin(async move {
            let stopped = tails
                .into_iter()
                .map(|(address, pulse)| actix_rt::spawn(stop(address, pulse)));
            for stopped in stopped.collect::<Vec<_>>() {
                let _ = stopped.await;
            }
        })
    }
}
