//! Exactly once, whatever is killed: a reader of what is committed sees every line once, whole and in order.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::fixture::Fixture;
use crate::harness::case::cases;
use crate::harness::eventually::{eventually, when};
use crate::harness::kafka::{self, Broker, unique};
use crate::harness::service::{Host, Service};
use crate::harness::size::sized;
use crate::harness::writers::{Background, LogFile};

cases![
    lines_ship_once_across_drained_stops,
    p8_killed_at_random_moments_with_exactly_once_nothing_is_lost_or_repeated,
    killed_at_each_step_of_a_transaction_and_without_its_disk,
    kafka_killed_under_load_loses_and_repeats_nothing,
    kafka_and_the_service_killed_together_go_on_soon_and_repeat_nothing,
];

/// A step of a transaction comes within this, if it comes.
const STEP: Duration = Duration::from_millis(500);

/// Where a fault kills the service, in the order of a transaction.
const STEPS: [&str; 5] = ["batch", "positions", "commit", "committing", "committed"];

/// Settings and environment of a host with exactly-once.
pub fn fixture(broker: &Broker, name: &str, entry: &str) -> Fixture {
    let mut fixture = Fixture::on(broker, name, entry);
    // Nothing else of the host was used yet.
    fixture.host = Host::new(name).with_env("LOGCATCH_FAULT_DIR", "faults");
    fs::create_dir_all(fixture.host.path("faults")).unwrap();
    fixture.host.exactly_once(&unique(name));
    fixture.host.ship_logs(broker, &fixture.topic, entry);
    fixture
}

pub fn writing(fixture: &Fixture, names: &[&str]) -> Vec<Background<LogFile>> {
    let log = |name: &&str| {
        let log = fixture.log(&format!("logs/{name}.log"));
        Background::repeat(log, |log| {
            log.write(20);
            sleep(Duration::from_millis(5));
        })
    };
    names.iter().map(log).collect()
}

/// Waits until some more records are committed.
pub fn until_more(fixture: &mut Fixture, count: usize) {
    let arrived = fixture.reader.records().len();
    fixture
        .reader
        .until("lines arrive", |records| records.len() > arrived + count);
}

pub fn end(mut fixture: Fixture, writers: Vec<Background<LogFile>>, service: Service) {
    writers.into_iter().for_each(|writer| drop(writer.stop()));
    fixture.caught_up();
    service.stop();
    fixture.verdict().assert_clean();
}

fn lines_ship_once_across_drained_stops() {
    let mut fixture = fixture(kafka::shared(), "once", "");
    let mut log = fixture.log("logs/app.log");
    log.write(1000);
    for _ in 0..3 {
        let service = fixture.host.start();
        log.write(1000);
        fixture.caught_up();
        log.write(10);
        service.stop();
        log.write(10);
    }
    let service = fixture.host.start();
    fixture.finish(service);
}

fn p8_killed_at_random_moments_with_exactly_once_nothing_is_lost_or_repeated() {
    let kills = sized(10, 100);
    let mut fixture = fixture(kafka::shared(), "killed-once", "");
    let writers = writing(&fixture, &["a", "b", "c"]);
    for kill in 0..kills {
        let service = fixture.host.start();
        until_more(&mut fixture, 20 + kill * 7 % 100);
        service.kill();
        if kill % 5 == 4 {
            fs::remove_dir_all(fixture.host.path("state")).unwrap();
        }
    }
    let service = fixture.host.start();
    end(fixture, writers, service);
}

fn killed_at_each_step_of_a_transaction_and_without_its_disk() {
    let mut fixture = fixture(kafka::shared(), "steps", "");
    let writers = writing(&fixture, &["a", "b"]);
    for round in 0..sized(2, 20) {
        for step in STEPS {
            let service = fixture.host.start();
            until_more(&mut fixture, 50);
            fs::write(fixture.host.path(format!("faults/kill-{step}")), "").unwrap();
            eventually(&format!("the service is killed at `{step}`"), || {
                when(service.is_zombie(), || process_log(&service))
            });
            drop(service);
            if round % 2 == 1 {
                fs::remove_dir_all(fixture.host.path("state")).unwrap();
            }
        }
    }
    let service = fixture.host.start();
    end(fixture, writers, service);
}

fn process_log(service: &Service) -> String {
    crate::harness::process::tail(&service.log(), 5)
}

fn kafka_killed_under_load_loses_and_repeats_nothing() {
    let broker = kafka::private("once-bounced");
    let mut fixture = fixture(&broker, "once-bounced", "");
    let service = fixture.host.start();
    let writers = writing(&fixture, &["a", "b"]);
    for _ in 0..sized(3, 20) {
        until_more(&mut fixture, 500);
        broker.kill();
        broker.start_again();
    }
    until_more(&mut fixture, 500);
    end(fixture, writers, service);
}

/// Kafka ends while it writes of a transaction, and again as soon as it is back; a start that waits longer for positions than Kafka
/// takes to come back fails this by its deadline.
fn kafka_and_the_service_killed_together_go_on_soon_and_repeat_nothing() {
    let broker = kafka::private("once-together");
    let mut fixture = fixture(&broker, "once-together", "");
    let writers = writing(&fixture, &["a", "b"]);
    let mut service = fixture.host.start();
    for round in 0..sized(2, 60) {
        until_more(&mut fixture, 50);
        let fault = fixture.host.path(format!("faults/kill-{}", STEPS[round % STEPS.len()]));
        fs::write(&fault, "").unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                sleep(Duration::from_millis(round as u64 * 37 % 300));
                broker.kill();
            });
            let start = Instant::now();
            while !service.is_zombie() && start.elapsed() < STEP {
                sleep(Duration::from_millis(2));
            }
        });
        // The step does not come once Kafka is away.
        let _ = fs::remove_file(fault);
        service.kill();
        service = fixture.host.launch(fixture.host.command(&["run"]));
        broker.start_again();
        sleep(Duration::from_millis(round as u64 * 271 % 1500));
        broker.kill();
        broker.start_again();
    }
    until_more(&mut fixture, 50);
    end(fixture, writers, service);
}
