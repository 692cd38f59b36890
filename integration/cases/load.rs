//! Too much at once: busy files beside slow ones, a slow Kafka, a full disk.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::fixture::Fixture;
use super::rotation::SMALL_BITES;
use crate::harness::case::{self, cases};
use crate::harness::eventually::{eventually, when};
use crate::harness::guard;
use crate::harness::kafka::{self, Broker};
use crate::harness::process;
use crate::harness::service::Host;
use crate::harness::size::sized;
use crate::harness::writers::{Background, LogFile, installed};

cases![
    b3_slow_files_beside_an_endlessly_busy_one_ship_soon,
    b4_a_slow_kafka_during_rotation_and_deletion_loses_nothing_in_bounded_memory,
    b5_a_full_disk_under_the_state_is_said_and_recovers_without_loss,
];

fn b3_slow_files_beside_an_endlessly_busy_one_ship_soon() {
    /// Far more than one step of the busy file takes, and far less than its backlog.
    const PROMISED: Duration = Duration::from_secs(5);
    let mut fixture = Fixture::with("busy", SMALL_BITES);
    let mut busy = fixture.log("logs/busy.log");
    busy.write(200_000);
    let mut slow: Vec<LogFile> = (0..50)
        .map(|number| fixture.log(&format!("logs/slow-{number}.log")))
        .collect();
    let service = fixture.host.start();
    fixture.reader.until_count(1);
    let writer = Background::repeat(busy, |busy| busy.write(500));
    for _ in 0..5 {
        let lines: Vec<String> = slow.iter_mut().map(|log| log.lines(1, "")).collect();
        let start = Instant::now();
        for (log, line) in slow.iter_mut().zip(&lines) {
            log.write_raw(format!("{line}\n").as_bytes());
        }
        let mut missing: Vec<&str> = lines.iter().map(String::as_str).collect();
        let mut seen = fixture.reader.records().len();
        eventually("the slow files' lines arrive", || {
            fixture.reader.take(Duration::from_millis(20));
            for record in &fixture.reader.records()[seen..] {
                missing.retain(|line| record.value.as_deref() != Some(line.as_bytes()));
            }
            seen = fixture.reader.records().len();
            when(missing.is_empty(), || format!("{} are missing", missing.len()))
        });
        assert!(start.elapsed() < PROMISED, "{:?}", start.elapsed());
    }
    drop(writer.stop());
    fixture.finish(service);
}

/// How fast a broker takes what a client of this name sends, in bytes a second.
fn throttle(broker: &Broker, client: &str, rate: Option<u32>) {
    let change = match rate {
        Some(rate) => ["--add-config".to_owned(), format!("producer_byte_rate={rate}")],
        None => ["--delete-config".to_owned(), "producer_byte_rate".to_owned()],
    };
    let address = broker.address();
    let entity = ["--entity-type", "clients", "--entity-name", client];
    let change = ["--alter", &change[0], &change[1]];
    let arguments = [&["--bootstrap-server", &address][..], &change, &entity].concat();
    broker.tool("kafka.admin.ConfigCommand", &arguments);
}

/// For two minutes; usually for ten seconds.
fn b4_a_slow_kafka_during_rotation_and_deletion_loses_nothing_in_bounded_memory() {
    const GENERATIONS: usize = 8;
    let lines = sized(10_000, 20_000);
    const PROMISED: u64 = 100_000_000;
    let slow_for = sized(Duration::from_secs(10), Duration::from_secs(120));
    let broker = kafka::shared();
    let client = kafka::unique("slow");
    throttle(broker, &client, Some(10_000));
    let entry = format!("{SMALL_BITES}\n[kafka.properties]\n\"client.id\" = \"{client}\"");
    let mut fixture = Fixture::with("slow", &entry);
    let mut log = fixture.log("logs/app.log");
    let service = fixture.host.start();
    let before = process::bytes_read(service.pid());
    let mut written = 0;
    for generation in 0..GENERATIONS {
        log.write(lines);
        written += fs::metadata(log.path()).unwrap().len();
        // A reader that never saw a file cannot have read it.
        service.wait_open(log.path());
        if generation % 2 == 0 {
            drop(log.delete());
        } else {
            drop(log.rename_to(&fixture.host.path("logs/app.log.1")));
        }
    }
    log.write(lines);
    sleep(slow_for);
    let read = process::bytes_read(service.pid()) - before;
    assert!(read < written / 2, "reading goes on: {read} bytes of {written}");
    throttle(broker, &client, None);
    fixture.caught_up();
    let peak = service.peak_memory();
    assert!(peak < PROMISED, "{peak} bytes resident");
    fixture.finish(service);
}

/// A small file system of its own at one directory, which goes with the process that holds it.
pub struct SmallDisk {
    holder: Child,
    directory: PathBuf,
}

impl SmallDisk {
    /// Mounts it; skips the test where that is not allowed.
    pub fn mount(directory: PathBuf, size: &str) -> SmallDisk {
        const HOLD: &str = "mount -t tmpfs -o size=$1 tmpfs \"$2\" && echo mounted && read -r _";
        fs::create_dir_all(&directory).unwrap();
        let mut command = guard::command("unshare");
        command.args(["--mount", "sh", "-c", HOLD, "sh", size]).arg(&directory);
        let started = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut holder) = started else {
            case::skip("unshare is not installed, which makes a small disk here");
        };
        let mut said = String::new();
        let output = holder.stdout.as_mut().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut said).unwrap();
        let disk = SmallDisk { holder, directory };
        if said != "mounted\n" || !installed("nsenter") {
            case::skip("file systems cannot be mounted here");
        }
        disk
    }

    /// The host whose processes see it.
    pub fn seen_by(&self, host: Host) -> Host {
        let namespace = format!("--mount=/proc/{}/ns/mnt", self.holder.id());
        host.run_by(&["nsenter", &namespace])
    }

    /// A path on it, for who does not see it under its own name.
    fn path(&self, name: &str) -> PathBuf {
        let directory = self.directory.strip_prefix("/").unwrap();
        PathBuf::from(format!("/proc/{}/root", self.holder.id()))
            .join(directory)
            .join(name)
    }

    /// Takes all the room that is left.
    pub fn fill(&self) {
        let mut file = File::create(self.path("filler")).unwrap();
        let error = (0..1_000_000).find_map(|_| file.write_all(&[0; 512]).err());
        assert_eq!(error.unwrap().kind(), std::io::ErrorKind::StorageFull);
    }

    pub fn free(&self) {
        fs::remove_file(self.path("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

fn b5_a_full_disk_under_the_state_is_said_and_recovers_without_loss() {
    let mut fixture = Fixture::new("full");
    let disk = SmallDisk::mount(fixture.host.path("state"), "8m");
    fixture.host = disk.seen_by(fixture.host);
    let mut log = fixture.log("logs/app.log");
    log.write(100);
    let service = fixture.host.start();
    fixture.caught_up();
    disk.fill();
    // New files need room for their positions; the one that has its position goes on.
    let mut logs: Vec<LogFile> = (0..500)
        .map(|number| fixture.log(&format!("logs/{number}.log")))
        .collect();
    logs.iter_mut().for_each(|log| log.write(3));
    service.wait_log("cannot save positions");
    log.write(100);
    fixture.reader.until_count(200);
    disk.free();
    service.wait_log("positions are saved again");
    fixture.caught_up();
    service.stop();
    logs.iter_mut().for_each(|log| log.write(3));
    let service = fixture.host.start();
    fixture.finish(service);
}
