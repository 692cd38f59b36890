//! The service through its many lives: started, killed, ended, frozen; and what it held and said.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::Signal;

use super::books::Books;
use super::timeline::{DOWN, FROZEN};
use crate::harness::eventually::eventually;
use crate::harness::process;
use crate::harness::service::{Host, Service};

/// A handle that the service opened only to look at a file is closed again by then.
const GLANCE: Duration = Duration::from_millis(30);

/// What it did in all its lives.
#[derive(Default)]
pub struct Figures {
    pub starts: u32,
    pub kills: usize,
    pub drained: usize,
    pub cut: usize,
    pub freezes: usize,
    pub peak_memory: u64,
    pub peak_handles: usize,
    /// Account lines that were found and add up.
    pub accounts: usize,
}

/// See the module.
pub struct Life<'a> {
    host: &'a Host,
    service: Option<Service>,
    ending: bool,
    frozen: bool,
    ready: bool,
    pub figures: Figures,
    /// It is to be killed next, and may kill itself before.
    is_doomed: bool,
    /// How often its state directory was deleted.
    pub state_lost: usize,
}

impl<'a> Life<'a> {
    /// It does not run yet.
    pub fn new(host: &'a Host) -> Life<'a> {
        Life {
            host,
            service: None,
            ending: false,
            frozen: false,
            ready: false,
            figures: Figures::default(),
            is_doomed: false,
            state_lost: 0,
        }
    }

    /// Starts it, after the end of the life before, and does not wait until it is up.
    pub fn start(&mut self, books: &mut Books) {
        if self.service.is_some() && !self.ending {
            return;
        }
        if self.service.is_some() {
            eventually("the service ends after SIGTERM", || {
                self.look(books);
                if self.service.is_none() {
                    Ok(())
                } else {
                    Err("it runs".to_owned())
                }
            });
        }
        self.service = Some(self.host.launch(self.host.command(&["run"])));
        self.figures.starts += 1;
        (self.ready, self.ending, self.frozen) = (false, false, false);
    }

    /// SIGKILL.
    pub fn kill(&mut self, books: &mut Books) {
        if !std::mem::take(&mut self.is_doomed) {
            self.look(books);
        }
        self.thawed(books);
        let Some(service) = self.service.take() else { return };
        service.kill();
        self.figures.kills += 1;
        books.timeline.set(DOWN);
        books.timeline.crash();
        books.run_ended(self.figures.starts);
    }

    /// Waits until it was killed by itself, or for so long.
    pub fn wait_killed(&mut self, patience: Duration) {
        self.is_doomed = true;
        let start = std::time::Instant::now();
        while self.service.as_ref().is_some_and(|service| !service.is_zombie()) && start.elapsed() < patience {
            sleep(Duration::from_millis(5));
        }
    }

    /// SIGTERM; the end comes later.
    pub fn terminate(&mut self, books: &mut Books) {
        if let Some(service) = self.service.as_ref().filter(|_| !self.ending) {
            service.signal(Signal::TERM);
            self.ending = true;
            books.timeline.set(DOWN);
        }
    }

    /// SIGSTOP.
    pub fn freeze(&mut self, books: &mut Books) {
        if let Some(service) = self.service.as_ref().filter(|_| !self.ending) {
            service.signal(Signal::STOP);
            self.frozen = true;
            self.figures.freezes += 1;
            books.timeline.set(FROZEN);
        }
    }

    /// SIGCONT.
    pub fn thaw(&mut self, books: &mut Books) {
        if self.frozen {
            self.service.iter().for_each(|service| service.signal(Signal::CONT));
            self.thawed(books);
        }
    }

    fn thawed(&mut self, books: &mut Books) {
        self.frozen = false;
        books.timeline.clear(FROZEN);
    }

    /// SIGHUP.
    pub fn hang_up(&self) {
        // Before it listens for the signal, it would end by it.
        if let Some(service) = self.service.as_ref().filter(|_| self.ready) {
            service.signal(Signal::HUP);
        }
    }

    /// Whether it runs, is up, and nothing keeps it from working.
    pub fn is_up(&self) -> bool {
        self.ready && !self.ending && !self.frozen && self.service.is_some()
    }

    /// Everything that its present life has said.
    pub fn log(&self) -> String {
        self.service.as_ref().map(Service::log).unwrap_or_default()
    }

    /// Sees what has become of it.
    pub fn look(&mut self, books: &mut Books) {
        let Some(service) = self.service.as_mut() else { return };
        if let Some(status) = service.try_end() {
            let log = service.log();
            assert!(
                self.ending,
                "the service ended by itself: {status}\n{}",
                process::tail(&log, 20)
            );
            // Before it listens for the signal, it ends by it.
            let is_early = !log.contains("logcatch starts") && status.signal() == Some(Signal::TERM.as_raw());
            assert!(
                is_early || status.success(),
                "the service did not end with success\n{}",
                process::tail(&log, 20)
            );
            if log.contains("drained: everything") {
                self.figures.drained += 1;
                self.figures.accounts += accounts(&log);
            } else {
                self.figures.cut += 1;
                books.timeline.crash();
            }
            books.run_ended(self.figures.starts);
            self.service = None;
            return;
        }
        if !self.ready && service.log().contains("logcatch starts") {
            self.ready = true;
            if !self.ending {
                books.timeline.clear(DOWN);
            }
        }
    }

    /// Takes down what it takes up now.
    pub fn measure(&mut self) {
        if let Some(service) = self.service.as_ref().filter(|_| self.is_up()) {
            let memory = service.peak_memory();
            self.figures.peak_memory = self.figures.peak_memory.max(memory);
            self.figures.peak_handles = self.figures.peak_handles.max(self.handles().len());
        }
    }

    /// The files in the host's log directories that it has open, as the kernel names them.
    pub fn handles(&self) -> Vec<String> {
        let mut open = Vec::new();
        self.each_handle(|path| {
            let Ok(name) = fs::read_link(path) else { return };
            let name = name.display().to_string();
            if ["logs", "side"]
                .iter()
                .any(|dir| name.starts_with(&self.host.path(dir).display().to_string()))
                && fs::metadata(path).is_ok_and(|meta| meta.is_file())
            {
                open.push(name);
            }
        });
        open
    }

    /// The life that has the file at this path open, and not only to glance at it.
    pub fn holder(&self, path: &Path) -> Option<u32> {
        let meta = fs::metadata(path).ok()?;
        let wanted = (meta.dev(), meta.ino());
        let open = || {
            let mut open = Vec::new();
            self.each_handle(|handle| {
                if fs::metadata(handle).is_ok_and(|meta| (meta.dev(), meta.ino()) == wanted) {
                    open.push(handle.to_owned());
                }
            });
            open
        };
        let before = open();
        if before.is_empty() {
            return None;
        }
        sleep(GLANCE);
        open()
            .iter()
            .any(|handle| before.contains(handle))
            .then_some(self.figures.starts)
    }

    fn each_handle(&self, mut visit: impl FnMut(&Path)) {
        let Some(service) = &self.service else { return };
        let handles = fs::read_dir(format!("/proc/{}/fd", service.pid()))
            .into_iter()
            .flatten();
        handles.flatten().for_each(|handle| visit(&handle.path()));
    }
}

/// Finds the account lines of a life that drained: of what was read, all is somewhere, and nothing in flight.
fn accounts(log: &str) -> usize {
    let lines = log.lines().filter(|line| line.contains("] account"));
    lines
        .map(|line| {
            let value = |name: &str| {
                let found = line
                    .split_whitespace()
                    .find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
                found.and_then(|value| value.parse::<u64>().ok()).unwrap_or(0)
            };
            let (read, in_flight) = (value("read"), value("in_flight"));
            let accounted = value("delivered") + value("skipped") + value("dead_lettered") + in_flight;
            assert_eq!((read, in_flight), (accounted, 0), "the accounts do not add up: {line}");
        })
        .count()
}
