//! What the kernel knows about a process.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

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

/// Bytes that a process has read so far, from files and pipes; all there is when it is gone.
pub fn bytes_read(pid: u32) -> u64 {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let rchar = io.lines().find_map(|line| line.strip_prefix("rchar: "));
    rchar.map_or(u64::MAX, |bytes| bytes.parse().unwrap())
}

/// Processor time that a process has used so far.
pub fn cpu(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // After the name, which may hold anything: the 14th and 15th field of all, user and system.
    let fields = stat.rsplit_once(") ").unwrap().1.split(' ').skip(11).take(2);
    let ticks: u64 = fields.map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_secs(ticks) / u32::try_from(rustix::param::clock_ticks_per_second()).unwrap()
}

/// Whether a process has the file open that is at this path now.
pub fn has_open(pid: u32, path: &Path) -> bool {
    let Ok(wanted) = fs::metadata(path) else { return false };
    let links = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let mut files = links.filter_map(|link| fs::metadata(link.path()).ok());
    files.any(|file| (file.dev(), file.ino()) == (wanted.dev(), wanted.ino()))
}

/// Watches that a process has asked the kernel for.
pub fn watches(pid: u32) -> usize {
    let infos = fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap().flatten();
    let texts = infos.filter_map(|info| fs::read_to_string(info.path()).ok());
    texts.map(|text| text.matches("inotify wd:").count()).sum()
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
