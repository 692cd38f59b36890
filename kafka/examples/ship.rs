//! Ships a file once through the shipper alone, and says what it cost: what is left of the service without reading
//! cleverly, positions and actors.
//!
//! `cargo run --release -p logcatch-kafka --example ship -- BROKERS TOPIC FILE [PROPERTY=VALUE]...`
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::collections::VecDeque;
use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use logcatch_kafka::{
    Batch, BuryError, DeadLetters, Letter, Options, Outcome, Producer, Settle, Shipper, Source, Target, Wake,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Bytes read and not acknowledged.
const IN_FLIGHT: usize = 16 * 1024 * 1024;

/// Bytes of one read.
const READ: usize = 256 * 1024;

static HELD: LazyLock<AtomicUsize> = LazyLock::new(AtomicUsize::default);

struct Ticket(usize);

impl Settle for Ticket {
    fn settle(self: Box<Self>, _outcome: Outcome) {}
}

impl Drop for Ticket {
    fn drop(&mut self) {
        HELD.fetch_sub(self.0, Ordering::Relaxed);
    }
}

struct Nowhere;

impl DeadLetters for Nowhere {
    fn bury(&self, _letters: &[Letter]) -> Result<(), BuryError> {
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(brokers), Some(topic), Some(path)) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err("usage: ship BROKERS TOPIC FILE [PROPERTY=VALUE]...".into());
    };
    let mut file = File::open(&path)?;
    let wake = Arc::new(Wake::new()?);
    let build = {
        let wake = Arc::clone(&wake);
        move |options: &Options, batch_bytes| Producer::new(options, batch_bytes, Arc::clone(&wake))
    };
    let options = Options {
        brokers: vec![brokers],
        properties: arguments
            .filter_map(|text| text.split_once('=').map(|(name, value)| (name.into(), value.into())))
            .collect(),
        ..Options::default()
    };
    let producer = build(&options, None)?;
    let start = Instant::now();
    let mut shipper = Shipper::new(
        producer,
        options,
        Arc::new(build),
        Arc::new(Nowhere),
        Arc::clone(&wake),
        start,
    );
    let target = Arc::new(Target::new(topic.into(), path.clone().into_bytes(), None));
    let source = Arc::new(Source {
        log: "ship".into(),
        path: std::path::Path::new(&path).into(),
        file_id: String::new(),
    });
    let lane = shipper.lanes().lane(target.topic());

    let (answers, answered) = channel();
    let (mut rest, mut offset, mut lines, mut done) = (Vec::new(), 0_u64, 0, false);
    let mut waiting = VecDeque::new();
    loop {
        wake.clear();
        while !done && lane.is_open() && HELD.load(Ordering::Relaxed) < IN_FLIGHT {
            let (batch, next) = read(&mut file, &mut rest)?;
            done = next == 0;
            let records = records(&batch);
            lines += records.len();
            HELD.fetch_add(batch.capacity(), Ordering::Relaxed);
            let ticket = Box::new(Ticket(batch.capacity()));
            waiting.push_back(Batch {
                target: Arc::clone(&target),
                buffer: batch,
                records,
                parts: Vec::new(),
                extents: Vec::new(),
                headers: None,
                source: Arc::clone(&source),
                offset,
                ticket,
            });
            offset += next as u64;
        }
        let now = Instant::now();
        waiting.drain(..).for_each(|batch| shipper.push(batch, now));
        shipper.turn(now);
        for errand in shipper.take_errands(now) {
            let (answers, wake) = (answers.clone(), Arc::clone(&wake));
            std::thread::spawn(move || {
                let sent = answers.send(errand.run()).is_ok();
                wake.ring();
                sent
            });
        }
        answered.try_iter().for_each(|answer| shipper.done(answer, now));
        if done && shipper.unsettled() == 0 {
            break;
        }
        let wait = shipper
            .next_wake()
            .map_or(Duration::from_secs(1), |at| at.saturating_duration_since(now));
        let wait = Timespec {
            tv_sec: i64::try_from(wait.as_secs())?,
            tv_nsec: wait.subsec_nanos().into(),
        };
        poll(&mut [PollFd::new(&wake, PollFlags::IN)], Some(&wait))?;
    }
    let wall = start.elapsed();
    let (cpu, peak) = cost()?;
    println!(
        "{lines} lines, {} MB: {:.2} s, {cpu:.2} s of CPU, {:.3} us a line, peak {peak} kB",
        offset / 1_000_000,
        wall.as_secs_f64(),
        cpu * 1e6 / lines as f64
    );
    Ok(())
}

/// Whole lines, and how many bytes they are; the rest of the last one waits.
fn read(file: &mut File, rest: &mut Vec<u8>) -> Result<(Vec<u8>, usize), std::io::Error> {
    let mut buffer = Vec::with_capacity(READ);
    buffer.append(rest);
    let room = (READ - buffer.len()) as u64;
    file.take(room).read_to_end(&mut buffer)?;
    let whole = buffer
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |place| place + 1);
    rest.extend_from_slice(&buffer[whole..]);
    buffer.truncate(whole);
    Ok((buffer, whole))
}

fn records(buffer: &[u8]) -> Vec<std::ops::Range<u32>> {
    let mut records = Vec::with_capacity(READ / 100);
    let mut start = 0;
    for (end, _) in (0_u32..).zip(buffer).filter(|(_, byte)| **byte == b'\n') {
        records.push(start..end);
        start = end + 1;
    }
    records
}

/// CPU seconds and peak kilobytes of this process.
fn cost() -> Result<(f64, u64), Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|text| text.parse::<u64>().ok())
        .sum();
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap_or_default();
    let peak = peak.trim().trim_end_matches(" kB").parse()?;
    Ok((ticks as f64 / 100.0, peak))
}
