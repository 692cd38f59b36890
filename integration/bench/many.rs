//! What files cost by being many.

use std::fs::File;
use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::json;

use super::farm::{Farm, raise_handles, until};
use super::figures::{Percentiles, rounded, say};
use super::harness::kafka::Broker;
use super::harness::process;
use super::harness::service::Service;
use super::input::line;
use super::latency::Reader;
use super::megabytes;

/// Late lines whose latency is looked at after the files were idle.
const LATE: usize = 50;
/// How long the service is left alone before it counts as idle: one look at the disk and one save lie behind it.
const SETTLE: Duration = Duration::from_secs(15);

fn handles(service: &Service) -> usize {
    service.resources().handles
}

/// Nobody writes; then somebody does.
pub fn idle(broker: &Broker, files: usize, seconds: u64) {
    let farm = Farm::new(broker, files);
    let start = Instant::now();
    let service = farm.host.start();
    farm.caught_up();
    let first = start.elapsed();
    sleep(SETTLE);
    let used = Farm::used(&service, seconds);
    let (topic, partitions) = farm.topic();
    let reader = Reader::at_end(broker, topic, partitions);
    let mut late = Vec::new();
    for number in 0..LATE {
        let path = farm.file(number * 7919 % farm.len());
        let mut file = File::options().append(true).open(path).unwrap();
        let (text, start) = (line(u32::try_from(number).unwrap()), Instant::now());
        file.write_all(text.as_bytes()).unwrap();
        reader.next();
        late.push(start.elapsed());
    }
    let late = Percentiles::of(late);
    let resources = service.resources();
    let figures = json!({
        "files": files, "cpu_percent": rounded(used.percent()), "seconds": seconds,
        "first_sight_seconds": rounded(first.as_secs_f64()),
        "peak_mb": megabytes(service.peak_memory()), "memory_mb": megabytes(resources.memory),
        "handles": resources.handles, "late_p50_ms": late.at(50), "late_p99_ms": late.at(99),
    });
    say("idle", figures);
    service.stop();
}

/// The same number of lines a second over few files and many, written one by one.
pub fn busy(broker: &Broker, files: usize, seconds: u64) {
    raise_handles();
    let rate = u32::try_from(files).unwrap();
    for files in [files / 100, files / 10, files] {
        let mut farm = Farm::new(broker, files);
        let mut open: Vec<File> = (0..files)
            .map(|number| File::options().append(true).open(farm.file(number)).unwrap())
            .collect();
        let service = farm.host.start();
        farm.caught_up();
        let (before, start) = (process::cpu(service.pid()), Instant::now());
        let total = rate * u32::try_from(seconds).unwrap();
        for number in 0..total {
            let due = start + Duration::from_secs(1) * number / rate;
            if number % 16 == 0 {
                sleep(due.saturating_duration_since(Instant::now()));
            }
            let file = usize::try_from(number).unwrap() % files;
            open[file].write_all(line(number).as_bytes()).unwrap();
        }
        let written = start.elapsed();
        farm.wrote(total);
        farm.caught_up();
        let cpu = process::cpu(service.pid()) - before;
        let figures = json!({
            "files": files, "lines_per_second": rounded(f64::from(total) / written.as_secs_f64()),
            "behind_seconds": rounded((start.elapsed() - written).as_secs_f64()),
            "cpu_us_per_line": rounded(cpu.as_secs_f64() * 1e6 / f64::from(total)),
            "cpu_percent": rounded(cpu.as_secs_f64() / start.elapsed().as_secs_f64() * 100.0),
            "peak_mb": megabytes(service.peak_memory()),
        });
        say("busy", figures);
        service.stop();
    }
}

/// A start when every file has a saved position, and when each has a rotated generation, too.
pub fn start(broker: &Broker, files: usize) {
    let mut farm = Farm::new(broker, files);
    let service = farm.host.start();
    farm.caught_up();
    service.stop();
    start_again(&farm, 0);
    // A generation that is known by its position beside the live file.
    let service = farm.host.start();
    until("all files are open", || handles(&service) >= files);
    farm.rotate();
    farm.line_each();
    farm.caught_up();
    service.stop();
    start_again(&farm, 1);
    let service = farm.host.start();
    until("all files are open", || handles(&service) >= files);
    farm.line_each();
    farm.caught_up();
    service.stop();
}

/// Until every live file is open at its position, which is after it was looked for.
fn start_again(farm: &Farm, rotated: u32) {
    let start = Instant::now();
    let service = farm.host.start();
    let ready = start.elapsed();
    until("all files are open", || handles(&service) >= farm.len());
    let open = start.elapsed();
    let cpu = process::cpu(service.pid());
    let figures = json!({
        "files": farm.len(), "rotated_each": rotated, "ready_seconds": rounded(ready.as_secs_f64()),
        "resumed_seconds": rounded(open.as_secs_f64()), "cpu_seconds": rounded(cpu.as_secs_f64()),
        "peak_mb": megabytes(service.peak_memory()),
    });
    say("start", figures);
    service.stop();
}

/// More files than handles.
pub fn matched(broker: &Broker, files: usize, seconds: u64) {
    let mut farm = Farm::new(broker, files);
    let start = Instant::now();
    let service = farm.host.start();
    farm.caught_up();
    let first = start.elapsed();
    let first_cpu = process::cpu(service.pid());
    sleep(SETTLE);
    let used = Farm::used(&service, seconds);
    let (start, before) = (Instant::now(), process::cpu(service.pid()));
    farm.line_each();
    farm.caught_up();
    let each = start.elapsed();
    let each_cpu = process::cpu(service.pid()) - before;
    let resources = service.resources();
    let peak = service.peak_memory();
    service.stop();
    let start = Instant::now();
    let again = farm.host.start();
    farm.line_each();
    farm.caught_up();
    let figures = json!({
        "files": files, "first_sight_seconds": rounded(first.as_secs_f64()),
        "first_sight_cpu_seconds": rounded(first_cpu.as_secs_f64()), "idle_cpu_percent": rounded(used.percent()),
        "line_each_seconds": rounded(each.as_secs_f64()), "line_each_cpu_seconds": rounded(each_cpu.as_secs_f64()),
        "peak_mb": megabytes(peak), "memory_mb": megabytes(resources.memory), "handles": resources.handles,
        "start_again_with_a_line_each_seconds": rounded(start.elapsed().as_secs_f64()),
    });
    say("matched", figures);
    again.stop();
}
