//! The process between the demo and the service.
//!
//! It is started before the broker exists, and starts the service from then on, for two reasons. The connections that
//! the in-process broker accepts stay open in whatever the demo starts later (they are accepted without `CLOEXEC`):
//! taking the broker away would close nothing, and its clients would wait for an answer for ever. And its standard
//! input ends when the demo ends, however that comes about: then it kills the service and ends, too.

use std::io::{self, BufRead as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// How often it looks whether the service still runs.
const LOOK: Duration = Duration::from_millis(10);

/// What the demo asks for, a line each on standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Start the service.
    Start,
    /// Kill it with SIGKILL.
    Kill,
    /// Ask it to end with SIGTERM.
    Terminate,
}

/// What the keeper answers, a line each on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// The service was started and has this process id.
    Started(u32),
    /// It has ended.
    Ended(ExitStatus),
}

impl Order {
    const ALL: [Self; 3] = [Self::Start, Self::Kill, Self::Terminate];

    /// Its line, with the line end.
    pub fn line(self) -> &'static str {
        match self {
            Self::Start => "start\n",
            Self::Kill => "kill\n",
            Self::Terminate => "terminate\n",
        }
    }
}

impl Report {
    fn line(self) -> String {
        match self {
            Self::Started(pid) => format!("started {pid}\n"),
            Self::Ended(status) => format!("ended {}\n", status.into_raw()),
        }
    }

    /// Reads a line back.
    pub fn parse(line: &str) -> Option<Self> {
        match line.trim_end().split_once(' ')? {
            ("started", pid) => Some(Self::Started(pid.parse().ok()?)),
            ("ended", status) => Some(Self::Ended(ExitStatus::from_raw(status.parse().ok()?))),
            _ => None,
        }
    }
}

/// Follows orders until there are no more. The service writes its messages to the same standard error.
pub fn keep(config: &Path) -> io::Result<()> {
    let (send, orders) = mpsc::channel();
    thread::Builder::new().name("orders".into()).spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            let order = Order::ALL.into_iter().find(|order| order.line().trim_end() == line);
            if order.is_some_and(|order| send.send(order).is_err()) {
                return;
            }
        }
    })?;
    let mut service: Option<Child> = None;
    let outcome = loop {
        let done = match (orders.recv_timeout(LOOK), &mut service) {
            (Ok(Order::Start), None) => start(config).map(|child| service = Some(child)),
            (Ok(Order::Kill), Some(service)) => service.kill(),
            (Ok(Order::Terminate), Some(service)) => {
                kill_process(Pid::from_child(service), Signal::TERM).map_err(io::Error::from)
            }
            (Ok(_), _) | (Err(RecvTimeoutError::Timeout), _) => Ok(()),
            (Err(RecvTimeoutError::Disconnected), _) => break Ok(()),
        };
        if let Err(error) = done.and_then(|()| look(&mut service)) {
            break Err(error);
        }
    };
    if let Some(mut service) = service {
        service.kill().and_then(|()| service.wait())?;
    }
    outcome
}

fn start(config: &Path) -> io::Result<Child> {
    let service = Command::new(std::env::current_exe()?)
        .arg("run")
        .arg("--config")
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    report(Report::Started(service.id()))?;
    Ok(service)
}

fn look(service: &mut Option<Child>) -> io::Result<()> {
    let Some(child) = service else { return Ok(()) };
    if let Some(status) = child.try_wait()? {
        *service = None;
        report(Report::Ended(status))?;
    }
    Ok(())
}

fn report(report: Report) -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(report.line().as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_back_as_it_was_written() {
        for report in [
            Report::Started(4711),
            Report::Ended(ExitStatus::from_raw(9)),
            Report::Ended(ExitStatus::from_raw(78 << 8)),
        ] {
            assert_eq!(Report::parse(&report.line()), Some(report));
        }
        assert_eq!(Report::parse("ended"), None);
    }
}
