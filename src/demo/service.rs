//! The service under test: a real process, so that its faults are real.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::DemoError;
use super::keeper::{Order, Report};

/// How long it stays down after it was killed: long enough to be seen.
const DOWN: Duration = Duration::from_secs(1);

/// So much of a message of the service is kept, in characters.
const LONGEST_MESSAGE: usize = 2000;

/// The service, alive or about to be started again.
pub struct Service {
    keeper: Child,
    orders: Option<ChildStdin>,
    heard: Receiver<Heard>,
    messages: Vec<String>,
    log: File,
    pid: Option<u32>,
    start_at: Option<Instant>,
    /// It was asked to end in some way, and has not yet.
    expected: bool,
}

/// What happened to the service.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    /// It runs, with this process id.
    Started(u32),
    /// It ended as it was asked to.
    Ended(ExitStatus),
    /// Somebody else than the demo killed it with SIGKILL.
    Killed,
    /// Somebody else asked it to end, and it did.
    Stopped,
    /// It ended, though nobody asked it to.
    Died(ExitStatus),
}

enum Heard {
    Message(String),
    Report(Report),
    KeeperGone,
}

impl Service {
    /// Gets ready to start a service with the settings file `config`; its messages are also written to `log`.
    ///
    /// Must come before the broker (see the keeper).
    pub fn prepare(config: &Path, log: &Path) -> Result<Self, DemoError> {
        let program = std::env::current_exe().map_err(DemoError::Service)?;
        let mut keeper = Command::new(program)
            .args(["demo", "--keep"])
            .arg(config)
            // What is set for the visitor's own service is not meant for this one.
            .env_remove("RUST_LOG")
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C is for the demo, which ends the service in its own time.
            .process_group(0)
            .spawn()
            .map_err(DemoError::Service)?;
        let (send, heard) = mpsc::channel();
        if let Some(stderr) = keeper.stderr.take() {
            listen(stderr, send.clone(), |line| Some(Heard::Message(line)), None)?;
        }
        if let Some(stdout) = keeper.stdout.take() {
            listen(
                stdout,
                send,
                |line| Report::parse(&line).map(Heard::Report),
                Some(Heard::KeeperGone),
            )?;
        }
        let orders = keeper.stdin.take();
        let log = File::create(log).map_err(DemoError::Service)?;
        Ok(Self {
            keeper,
            orders,
            heard,
            messages: Vec::new(),
            log,
            pid: None,
            start_at: None,
            expected: false,
        })
    }

    /// Starts it.
    pub fn start(&mut self) -> Result<(), DemoError> {
        self.expected = false;
        self.order(Order::Start)
    }

    /// Its process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// `kill -9`; it is started again after a moment.
    pub fn kill(&mut self, now: Instant) -> Result<(), DemoError> {
        self.pid = None;
        self.expected = true;
        self.start_at = Some(now + DOWN);
        self.order(Order::Kill)
    }

    /// Asks it to end as a service manager does, by SIGTERM.
    pub fn terminate(&mut self) -> Result<(), DemoError> {
        self.expected = true;
        self.order(Order::Terminate)
    }

    /// What it said since the last call.
    pub fn messages(&mut self) -> Vec<String> {
        std::mem::take(&mut self.messages)
    }

    /// Starts it again when its time has come, if it may, and tells what happened to it since the last call.
    pub fn tick(&mut self, now: Instant, may_start: bool) -> Result<Vec<Change>, DemoError> {
        if self
            .start_at
            .take_if(|start_at| may_start && now >= *start_at)
            .is_some()
        {
            self.start()?;
        }
        let mut changes = Vec::new();
        while let Ok(heard) = self.heard.try_recv() {
            match heard {
                Heard::Message(message) => {
                    // The copy is for looking into a failure; without it the demo is as good.
                    let _ = writeln!(self.log, "{message}");
                    self.messages.push(message);
                }
                Heard::Report(Report::Started(pid)) => {
                    self.pid = Some(pid);
                    changes.push(Change::Started(pid));
                }
                Heard::Report(Report::Ended(status)) => changes.push(self.ended(status, now)),
                Heard::KeeperGone => return Err(DemoError::KeeperGone),
            }
        }
        Ok(changes)
    }

    fn ended(&mut self, status: ExitStatus, now: Instant) -> Change {
        self.pid = None;
        if self.expected {
            return Change::Ended(status);
        }
        self.start_at = Some(now + DOWN);
        if status.success() {
            Change::Stopped
        } else if status.signal() == Some(Signal::KILL.as_raw()) {
            Change::Killed
        } else {
            Change::Died(status)
        }
    }

    fn order(&mut self, order: Order) -> Result<(), DemoError> {
        let Some(orders) = &mut self.orders else { return Ok(()) };
        orders.write_all(order.line().as_bytes()).map_err(DemoError::Service)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Without orders the keeper kills the service and ends.
        self.orders = None;
        let _ = self.keeper.wait();
    }
}

fn listen(
    from: impl Read + Send + 'static,
    to: Sender<Heard>,
    hear: impl Fn(String) -> Option<Heard> + Send + 'static,
    end: Option<Heard>,
) -> Result<(), DemoError> {
    let run = move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
            let text: String = String::from_utf8_lossy(&line)
                .trim_end()
                .chars()
                .take(LONGEST_MESSAGE)
                .collect();
            line.clear();
            if let Some(heard) = hear(text)
                && to.send(heard).is_err()
            {
                return;
            }
        }
        // Nobody listens any more if the demo has ended as well.
        let _ = end.map(|end| to.send(end));
    };
    thread::Builder::new()
        .name("listener".into())
        .spawn(run)
        .map_err(DemoError::Thread)?;
    Ok(())
}
