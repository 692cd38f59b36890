//! The world: does one step of the plan after the other, and waits for what is owed when the plan says so.

use std::collections::BTreeMap;
use std::fs;
use std::thread::Scope;
use std::time::{Duration, Instant};

use super::books::Books;
use super::journal::Journal;
use super::life::Life;
use super::outage::Outages;
use super::plan::{Action, Outage, SIDE_LOGS, Step, Touch};
use super::rotator::{Kind, Rotator};
use super::timeline::NO_SIDE;
use super::writer::Log;
use crate::harness::eventually::eventually;
use crate::harness::kafka::Broker;
use crate::harness::reader::Reader;
use crate::harness::service::Host;

/// How often the world looks at the service while it waits.
const LOOK: Duration = Duration::from_millis(20);

/// A reader that sees nothing for so long, though something is owed, may be to blame itself.
const STUCK: Duration = Duration::from_secs(15);

/// A step of a transaction comes within this, if it comes.
const KILL_PATIENCE: Duration = Duration::from_millis(500);

/// How often the service is measured.
const MEASURE: Duration = Duration::from_millis(500);

/// Where the logs are and where they go.
pub struct Place<'a> {
    /// Nothing may come again.
    pub exactly_once: bool,
    pub host: &'a Host,
    pub broker: &'a Broker,
    pub topic: &'a str,
}

/// Settings that the plan changes.
#[derive(Clone, Copy)]
struct Knobs {
    number: u32,
    side: bool,
}

/// How often what was done.
#[derive(Default)]
pub struct Counts {
    pub rotations: BTreeMap<&'static str, usize>,
    pub late_lines: usize,
    pub half_lines: usize,
    pub outages: BTreeMap<&'static str, usize>,
    pub settings: usize,
    pub calms: usize,
    /// Files of the logs that the service has open when all is read and it has started anew.
    pub handles_in_the_end: usize,
}

/// See the module.
pub struct World<'scope, 'env> {
    place: &'env Place<'env>,
    pub books: Books,
    pub life: Life<'env>,
    pub journal: Journal,
    pub counts: Counts,
    pub reader: Reader,
    outages: Outages<'scope, 'env>,
    logs: Vec<Log>,
    knobs: Knobs,
    /// How long what is owed may take once everything is mended.
    patience: Duration,
    /// It took longer.
    pub in_vain: bool,
    measured: Instant,
}

impl<'scope, 'env> World<'scope, 'env> {
    /// A world with so many logs, each with a line that has arrived: the service knows them all.
    pub fn new(scope: &'scope Scope<'scope, 'env>, place: &'env Place<'env>, logs: usize, patience: Duration) -> Self {
        let mut books = Books::new();
        books.exactly_once = place.exactly_once;
        fs::create_dir_all(place.host.path("side")).expect("make a directory");
        let main = logs.saturating_sub(SIDE_LOGS).max(1);
        let logs = (0..logs)
            .map(|index| {
                let name = if index < main {
                    format!("logs/app{index}.log")
                } else {
                    format!("side/app{index}.log")
                };
                books.key(&name, place.host.key(&name));
                Log::new(&name, place.host.path(&name), &mut books)
            })
            .collect();
        let mut world = World {
            place,
            books,
            life: Life::new(place.host),
            journal: Journal::default(),
            counts: Counts::default(),
            reader: Reader::new(place.broker, place.topic),
            outages: Outages::new(scope, place.broker),
            logs,
            knobs: Knobs { number: 0, side: true },
            patience,
            in_vain: false,
            measured: Instant::now(),
        };
        world.settings();
        world.life.start(&mut world.books);
        for log in &mut world.logs {
            log.write(&mut world.books, 1, false);
        }
        world.calm();
        world
    }

    /// Does one step.
    pub fn step(&mut self, step: Step) {
        self.idle(Duration::from_millis(step.pause));
        self.books.step = self.journal.note(step.action);
        match step.action {
            Action::Write { log, lines, singly } => self.logs[log].write(&mut self.books, lines, singly),
            Action::Late { log, lines } => {
                if self.logs[log].write_late(&mut self.books, lines) {
                    self.counts.late_lines += lines;
                }
            }
            Action::Half { log } => {
                self.logs[log].write_half(&mut self.books);
                self.counts.half_lines += 1;
            }
            Action::Rotate { log, kind } => self.rotate(log, kind),
            Action::Kill if self.place.exactly_once => self.kill_in_transaction(),
            Action::Kill => self.life.kill(&mut self.books),
            Action::Terminate => self.life.terminate(&mut self.books),
            Action::Start => {
                self.finish_lines();
                self.settings();
                self.life.start(&mut self.books);
            }
            Action::Freeze => self.life.freeze(&mut self.books),
            Action::Thaw => self.life.thaw(&mut self.books),
            Action::Kafka { outage, millis } => {
                self.finish_lines();
                self.outages.begin(outage, millis, &mut self.books);
                let name = match outage {
                    Outage::Killed => "killed",
                    Outage::Paused => "paused",
                    Outage::Restarted => "restarted",
                };
                *self.counts.outages.entry(name).or_default() += 1;
            }
            Action::Settings(touch) => self.touch(touch),
            Action::Calm => self.calm(),
        }
        self.look();
    }

    /// Kills at a step of a transaction, one after the other, or at any moment; the state directory may go, too.
    fn kill_in_transaction(&mut self) {
        const STEPS: [Option<&str>; 6] = [
            None,
            Some("batch"),
            Some("positions"),
            Some("commit"),
            Some("committing"),
            Some("committed"),
        ];
        let kills = self.life.figures.kills;
        if let Some(step) = STEPS[kills % STEPS.len()] {
            let fault = self.place.host.path(format!("faults/kill-{step}"));
            fs::write(&fault, "").expect("make a fault");
            // It does not come where nothing is shipped now.
            self.life.wait_killed(KILL_PATIENCE);
            let _ = fs::remove_file(fault);
        }
        self.life.kill(&mut self.books);
        if kills % 3 == 2 {
            self.life.state_lost += 1;
            let _ = fs::remove_dir_all(self.place.host.path("state"));
        }
    }

    fn rotate(&mut self, log: usize, kind: Kind) {
        let mut rotator = Rotator {
            host: self.place.host,
            books: &mut self.books,
            life: &self.life,
        };
        rotator.rotate(&mut self.logs[log], kind);
        *self.counts.rotations.entry(kind.name()).or_default() += 1;
    }

    /// Nothing happens for a while; what arrives is taken.
    fn idle(&mut self, pause: Duration) {
        let start = Instant::now();
        loop {
            let left = pause.saturating_sub(start.elapsed());
            self.reader.take(left.min(LOOK));
            if left.is_zero() {
                return;
            }
        }
    }

    fn look(&mut self) {
        self.life.look(&mut self.books);
        self.outages.look(&mut self.books);
        if self.measured.elapsed() >= MEASURE {
            self.measured = Instant::now();
            self.life.measure();
        }
    }

    /// Before anything that takes long: a service that waits for the rest of a line in a rotated file gives up after 5 s.
    fn finish_lines(&mut self) {
        self.logs.iter_mut().for_each(Log::finish);
    }

    fn settings(&self) {
        let Knobs { number, side } = self.knobs;
        let pick = |choices: [&'static str; 3]| choices[number as usize % 3];
        let (interval, in_flight, line) = (
            pick(["1s", "200ms", "500ms"]),
            pick(["16MiB", "2MiB", "4MiB"]),
            pick(["900KiB", "64KiB", "256KiB"]),
        );
        let entry = |name| format!("[[logs]]\nname = \"{name}\"\npath = \"{name}/*.log\"\nmax_line = \"{line}\"\n");
        let side = if side { entry("side") } else { String::new() };
        self.place.host.settings(&format!(
            "{}checkpoint_interval = \"{interval}\"\n[limits]\nin_flight = \"{in_flight}\"\nshutdown_timeout = \"5s\"\n{}{side}",
            self.place.host.head(&self.place.broker.address(), self.place.topic),
            entry("logs"),
        ));
    }

    fn touch(&mut self, touch: Touch) {
        self.counts.settings += 1;
        match touch {
            Touch::Same => self.settings(),
            Touch::Limits => {
                self.knobs.number += 1;
                self.settings();
            }
            // One that is just starting would refuse to, and rightly.
            Touch::Broken if !self.life.is_up() => self.settings(),
            Touch::Broken => {
                self.place.host.settings("kafka = nonsense\n");
                self.idle(Duration::from_millis(300));
                self.settings();
            }
            Touch::Hangup => {
                self.settings();
                self.life.hang_up();
            }
            Touch::SideOff => {
                self.knobs.side = false;
                self.books.timeline.set(NO_SIDE);
                self.settings();
                self.await_applied();
                self.books.side_ended();
            }
            Touch::SideOn => {
                self.knobs.side = true;
                self.settings();
                self.await_applied();
                self.books.timeline.clear(NO_SIDE);
            }
        }
    }

    /// Waits until a running service has taken the settings over: what it has open must be known.
    fn await_applied(&mut self) {
        self.finish_lines();
        if !self.life.is_up() {
            return;
        }
        let count = |life: &Life<'_>| life.log().matches("settings are applied").count();
        let before = count(&self.life);
        // They are the same where the service started with them already, and then nothing is applied.
        let start = Instant::now();
        while count(&self.life) == before && start.elapsed() < Duration::from_secs(2) {
            self.idle(LOOK);
        }
    }

    /// Mends everything and waits for all that is owed.
    pub fn calm(&mut self) {
        if self.in_vain {
            return;
        }
        self.finish_lines();
        if !self.knobs.side {
            self.touch(Touch::SideOn);
        }
        self.outages.end(&mut self.books);
        self.life.thaw(&mut self.books);
        self.life.start(&mut self.books);
        self.counts.calms += 1;
        self.await_owed();
        self.check_handles();
    }

    fn await_owed(&mut self) {
        let start = Instant::now();
        let (mut arrived, mut since) = (0, start);
        loop {
            self.idle(LOOK);
            self.look();
            self.books.take_down(self.reader.records());
            // The judge names what is missing in the end.
            let missing = self.books.missing();
            if self.life.is_up() && missing.is_none() {
                return;
            }
            if self.reader.records().len() > arrived {
                (arrived, since) = (self.reader.records().len(), Instant::now());
            } else if since.elapsed() > STUCK {
                self.reader.renew();
                since = Instant::now();
            }
            if start.elapsed() > self.patience {
                self.in_vain = true;
                return;
            }
        }
    }

    /// No file is open twice, but for a glance.
    fn check_handles(&self) {
        eventually("no file is open twice", || {
            let mut names = self.life.handles();
            names.retain(|name| !name.ends_with(" (deleted)"));
            names.sort();
            let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
            twice.map_or(Ok(()), |pair| Err(pair[0].clone()))
        });
    }

    /// Ends the service as an operator does: everything has arrived, so it must say that it drained.
    pub fn end(&mut self) {
        self.calm();
        if self.in_vain {
            return;
        }
        let drained = self.life.figures.drained;
        self.life.terminate(&mut self.books);
        eventually("the service drains", || {
            self.life.look(&mut self.books);
            if self.life.figures.drained > drained {
                Ok(())
            } else {
                Err(self.life.log())
            }
        });
    }

    /// After a start with everything read, only what the globs find is open.
    pub fn settle(&mut self) {
        self.life.start(&mut self.books);
        let logs = self.logs.len();
        self.counts.handles_in_the_end = eventually("only the present files are open", || {
            self.life.look(&mut self.books);
            let handles = self.life.handles();
            let is_settled = handles.len() >= logs && handles.iter().all(|name| name.ends_with(".log"));
            if self.life.is_up() && is_settled {
                Ok(handles.len())
            } else {
                Err(format!("{handles:?}"))
            }
        });
    }

    /// The number of a log.
    pub fn log_of(&self, name: &str) -> Option<usize> {
        self.logs.iter().position(|log| &*log.name == name)
    }
}
