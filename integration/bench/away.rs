//! What the service takes while Kafka is away: the log file itself is the buffer.

use std::fs::File;
use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rdkafka::consumer::BaseConsumer;
use serde_json::json;

use super::contender::arrived;
use super::farm::until;
use super::figures::{rounded, say};
use super::harness::kafka::Broker;
use super::harness::process;
use super::harness::service::Host;
use super::input;
use super::megabytes;

/// Lines written in one go, and how often: 10,000 a second.
const BURST: u32 = 1000;
/// See [`BURST`].
const PAUSE: Duration = Duration::from_millis(100);

/// Kafka goes away in full flow, comes back after so many seconds, and gets every line.
pub fn measure(broker: &Broker, seconds: u64) {
    let topic = broker.topic("away", 1);
    let host = Host::new("away");
    host.ship_logs(broker, &topic, "");
    let mut log = File::create(host.path("logs/app.log")).unwrap();
    let watcher: BaseConsumer = broker.client().create().unwrap();
    let service = host.start();
    let mut written = 0;
    let mut write = || {
        let text: String = (written..written + BURST).map(input::line).collect();
        log.write_all(text.as_bytes()).unwrap();
        written += BURST;
        sleep(PAUSE);
        written
    };
    // In full flow.
    let mut lines = 0;
    while lines < 50 * BURST {
        lines = write();
    }
    broker.kill();
    let (before, start) = (process::cpu(service.pid()), Instant::now());
    let mut most = 0;
    while start.elapsed() < Duration::from_secs(seconds) {
        lines = write();
        most = most.max(service.resources().memory);
    }
    let cpu = process::cpu(service.pid()) - before;
    broker.start_again();
    until("every line arrives", || {
        arrived(&watcher, &topic, 1) >= i64::from(lines)
    });
    let figures = json!({
        "seconds": seconds, "lines_written_meanwhile_per_second": 10_000, "memory_mb": megabytes(most),
        "cpu_percent": rounded(cpu.as_secs_f64() / start.elapsed().as_secs_f64() * 100.0),
        "peak_after_mb": megabytes(service.peak_memory()),
        "twice": arrived(&watcher, &topic, 1) - i64::from(lines),
    });
    say("away", figures);
    service.stop();
}
