//! What the kernel knows about a process.

use std::fs;
use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};

/// The process id of a child, as rustix takes it.
pub fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

/// Sends a signal to a child that has not been waited for.
pub fn signal(child: &Child, signal: Signal) {
    kill_process(pid(child), signal).expect("send a signal to a child");
}

/// The highest resident size a living process has had, in bytes; `None` when it is gone.
pub fn peak_memory(pid: Pid) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// What a process holds.
#[derive(Clone, Copy, Debug)]
pub struct Resources {
    pub handles: usize,
    pub threads: usize,
    /// Resident bytes.
    pub memory: u64,
}

/// What a living process holds now; `None` when it is gone.
pub fn resources(pid: Pid) -> Option<Resources> {
    let count = |what: &str| Some(fs::read_dir(format!("/proc/{pid}/{what}")).ok()?.count());
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    Some(Resources {
        handles: count("fd")?,
        threads: count("task")?,
        memory: line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024,
    })
}

/// The last `lines` lines of a text.
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    let skipped = all.len().saturating_sub(lines);
    let mut tail = if skipped > 0 {
        format!("({skipped} lines before)\n")
    } else {
        String::new()
    };
    tail.push_str(&all[skipped..].join("\n"));
    tail
}
