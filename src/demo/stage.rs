//! Everything that takes part, and what can be done to it.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::DemoError;
use super::broker::Broker;
use super::checker::Checker;
use super::line::Log;
use super::script::Fault;
use super::service::{Change, Service};
use super::settings::{Guest, SettingsFile};
use super::writer::Writers;

/// How long the broker's leaving is put off until no request is under way.
const QUIET: Duration = Duration::from_secs(2);

/// The same rotation by hand comes no sooner than this again: a key that is held repeats.
const BETWEEN_ROTATIONS: Duration = Duration::from_millis(300);

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The demo, about what it does.
    Demo,
    /// The service, on its standard error.
    Service,
}

/// The parts. Fields are dropped in this order: the service first, the directory last.
pub struct Stage {
    /// The child process.
    pub service: Service,
    /// The reader.
    pub checker: Checker,
    /// The programs that write.
    pub writers: Writers,
    /// The service's settings.
    pub settings: SettingsFile,
    /// The broker in this process.
    pub broker: Broker,
    /// Whether the visitor's own log is shipped, too.
    pub guest: bool,
    /// How often the service was killed.
    pub kills: u32,
    /// How often it ended by itself.
    pub deaths: u32,
    /// How it ended when it was asked to.
    pub ended: Option<ExitStatus>,
    said: Vec<(Who, String)>,
    /// Faults that cannot be caused yet.
    waiting: Vec<Fault>,
    /// What had arrived when the service was started last.
    arrived_before: u64,
    /// The broker shall leave as soon as all is quiet, at this time at the latest.
    leave_by: Option<Instant>,
    rotated: Option<(Fault, Instant)>,
    directory: TempDir,
}

impl Stage {
    /// Sets everything up and starts the service.
    pub fn set(guest: Option<&Guest>, now: Instant) -> Result<Self, DemoError> {
        let directory = tempfile::Builder::new()
            .prefix("logcatch-demo-")
            .tempdir()
            .map_err(DemoError::Directory)?;
        let logs = directory.path().join("logs");
        std::fs::create_dir(&logs).map_err(DemoError::Directory)?;
        let mut service = Service::prepare(
            &SettingsFile::path_in(directory.path()),
            &directory.path().join("service.log"),
        )?;
        let broker = Broker::start()?;
        let checker = Checker::start(&broker.address())?;
        let settings = SettingsFile::create(directory.path(), &logs, &broker.address(), guest).map_err(|source| {
            DemoError::Settings {
                path: directory.path().to_owned(),
                source,
            }
        })?;
        let writers = Writers::start(&logs, now).map_err(DemoError::Writers)?;
        service.start()?;
        Ok(Self {
            service,
            checker,
            writers,
            settings,
            broker,
            guest: guest.is_some(),
            kills: 0,
            deaths: 0,
            ended: None,
            said: Vec::new(),
            waiting: Vec::new(),
            arrived_before: 0,
            leave_by: None,
            rotated: None,
            directory,
        })
    }

    /// Causes a fault, unless it is already there, as soon as the service can be held to its promises about it.
    pub fn cause(&mut self, fault: Fault) {
        if !self.waiting.contains(&fault) {
            self.waiting.push(fault);
        }
    }

    /// Lets time pass: writes, brings back what is away, listens.
    pub fn tick(&mut self, now: Instant) -> Result<(), DemoError> {
        self.writers.tick(now).map_err(DemoError::Writers)?;
        for fault in std::mem::take(&mut self.waiting) {
            match self.may_be(fault) {
                true => self.make(fault, now)?,
                false => self.waiting.push(fault),
            }
        }
        if let Some(by) = self.leave_by
            && (now >= by || self.in_flight() == 0)
        {
            self.leave_by = None;
            self.broker.leave(now)?;
            self.writers.go_on();
            self.say("the broker goes away for 4 s; the writers write on");
        }
        self.heal(now, Some(now))
    }

    /// Ends every fault at once and stops the writers for good.
    pub fn calm(&mut self, now: Instant) -> Result<(), DemoError> {
        self.writers.pause();
        self.waiting.clear();
        self.leave_by = None;
        self.heal(now, None)
    }

    /// What was said since the last call.
    pub fn said(&mut self) -> Vec<(Who, String)> {
        std::mem::take(&mut self.said)
    }

    /// The demo says something.
    pub fn say(&mut self, text: impl Into<String>) {
        self.said.push((Who::Demo, text.into()));
    }

    /// Lines that were written and have not arrived.
    pub fn in_flight(&self) -> u64 {
        self.checker.tally().absent(self.writers.written())
    }

    /// Reads the rest and takes everything down but the directory, which is removed when what is returned is dropped.
    pub fn strike(self) -> (super::tally::Tally, TempDir) {
        (self.checker.finish(), self.directory)
    }

    /// Where everything is.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
    /// Files that were rotated away before the service saw their path for the first time are never read, and with broken
    /// settings it does not start: both are as they should be, and both would look like faults here.
    fn may_be(&self, fault: Fault) -> bool {
        match fault {
            Fault::Kill | Fault::Broker => true,
            Fault::Rotate | Fault::CopyTruncate => {
                let tally = self.checker.tally();
                Log::ALL.into_iter().all(|log| tally.arrived_of(log) > 0)
            }
            Fault::Typo => {
                let tally = self.checker.tally();
                self.service.pid().is_some() && tally.arrived() + tally.twice > self.arrived_before
            }
        }
    }

    fn make(&mut self, fault: Fault, now: Instant) -> Result<(), DemoError> {
        match fault {
            Fault::Kill => self.kill(now)?,
            Fault::Broker if self.leave_by.is_none() && !self.broker.is_away() => {
                self.writers.pause();
                self.leave_by = Some(now + QUIET);
            }
            Fault::Rotate if self.may_rotate(fault, now) => {
                self.writers.rotate(now).map_err(DemoError::Writers)?;
                self.say("web.log and jobs.log are renamed and made anew; for 3 s, jobs also writes to its old file");
            }
            Fault::CopyTruncate if self.may_rotate(fault, now) => {
                self.writers.copy_and_truncate().map_err(DemoError::Writers)?;
                self.say("audit.log is copied to audit.log.1 and truncated");
            }
            Fault::Typo if !self.settings.is_spoiled() => {
                self.say("a typo in the settings: `topc` for `topic`");
                self.settings.spoil(now).map_err(|source| self.settings_error(source))?;
            }
            Fault::Broker | Fault::Rotate | Fault::CopyTruncate | Fault::Typo => {}
        }
        Ok(())
    }

    fn kill(&mut self, now: Instant) -> Result<(), DemoError> {
        if let Some(pid) = self.service.pid() {
            self.service.kill(now)?;
            self.kills += 1;
            self.say(format!("kill -9 {pid}; the writers write on"));
        }
        Ok(())
    }

    /// Ends the faults whose time is over at `until`, or all of them if it is `None`.
    fn heal(&mut self, now: Instant, until: Option<Instant>) -> Result<(), DemoError> {
        if self.broker.come_back(until)? {
            self.say("the broker is back");
        }
        if self
            .settings
            .mend(until)
            .map_err(|source| self.settings_error(source))?
        {
            self.say("the typo is mended");
        }
        self.watch(now)
    }

    /// Listens to the service and starts it again if it should run.
    pub fn watch(&mut self, now: Instant) -> Result<(), DemoError> {
        let changes = self.service.tick(now, !self.settings.is_spoiled())?;
        let messages = self.service.messages();
        self.said
            .extend(messages.into_iter().map(|message| (Who::Service, message)));
        for change in changes {
            match change {
                Change::Started(pid) => {
                    let tally = self.checker.tally();
                    self.arrived_before = tally.arrived() + tally.twice;
                    self.say(format!("the service is started, pid {pid}"));
                }
                Change::Ended(status) => self.ended = Some(status),
                Change::Killed => {
                    self.kills += 1;
                    self.say("somebody killed the service with kill -9");
                }
                Change::Stopped => self.say("somebody asked the service to end, and it did"),
                Change::Died(status) => {
                    self.deaths += 1;
                    self.say(format!("the service ended by itself: {status}"));
                }
            }
        }
        Ok(())
    }

    fn may_rotate(&mut self, how: Fault, now: Instant) -> bool {
        let too_soon = |&(last, at): &(Fault, Instant)| last == how && now - at < BETWEEN_ROTATIONS;
        let may = !self.rotated.as_ref().is_some_and(too_soon);
        if may {
            self.rotated = Some((how, now));
        }
        may
    }

    fn settings_error(&self, source: std::io::Error) -> DemoError {
        DemoError::Settings {
            path: PathBuf::from(self.settings.path()),
            source,
        }
    }
}
