//! What one shipment cost.

use std::fs;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::harness::process::pid;

/// The cost of one shipment.
#[derive(Clone, Copy)]
pub struct Measured {
    /// From the start of the process until Kafka holds every line.
    pub wall: Duration,
    /// Lines a second, from the moment Kafka holds the first ones.
    pub flow: f64,
    /// User and system time of the whole process, its end included.
    pub cpu: Duration,
    /// The highest resident size, in bytes.
    pub peak: u64,
}

/// Whether a child ended, and not well.
pub fn has_failed(child: &Child) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    let ended = waitid(WaitId::Pid(pid(child)), options).expect("ask for a child");
    ended.is_some_and(|status| status.exit_status() != Some(0))
}

/// Waits for a child's end and says what CPU time it used: read while it is a zombie, when nothing is missing any more.
pub fn wait_with_cpu(child: &mut Child) -> (ExitStatus, Duration) {
    let pid = pid(child);
    waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).expect("wait for a child");
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("read the state of a zombie");
    // The second field is the name in parentheses and may hold blanks; 14 and 15 are utime and stime (proc_pid_stat(5)).
    let fields: Vec<&str> = stat.rsplit_once(')').expect("the name").1.split_whitespace().collect();
    let ticks: u64 = [fields[11], fields[12]]
        .iter()
        .map(|field| field.parse::<u64>().expect("a number of ticks"))
        .sum();
    let cpu = Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second());
    (child.wait().expect("wait for a child"), cpu)
}
