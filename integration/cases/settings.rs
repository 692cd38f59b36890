//! Settings that change while the service runs.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;

use super::fixture::Fixture;
use crate::harness::case::cases;
use crate::harness::kafka;
use crate::harness::reader::Reader;
use crate::harness::service::Service;

cases![
    c1_an_added_entry_starts_and_the_others_go_on,
    c1_a_removed_entry_stops_and_comes_back_where_it_was,
    c1_a_changed_topic_takes_what_follows,
    c2_bad_settings_change_nothing_and_the_next_good_ones_apply,
    c3_settings_written_in_place_in_two_halves_deleted_and_restored,
    c3_sighup_applies_the_file,
    c4_another_broker_takes_over_without_loss,
];

impl Fixture {
    /// Settings with an entry for each of these directories.
    fn ship_dirs(&self, dirs: &[&str]) -> String {
        let entry = |dir: &&str| format!("[[logs]]\nname = \"{dir}\"\npath = \"{dir}/*.log\"\n");
        let entries: String = dirs.iter().map(entry).collect();
        dirs.iter()
            .for_each(|dir| fs::create_dir_all(self.host.path(dir)).unwrap());
        self.host.head(&kafka::shared().address(), &self.topic) + &entries
    }
}

/// How often settings were refused so far, by what the service says.
fn wait_refused(service: &Service, count: usize) {
    service.wait_log_count("settings refused", count);
}

fn c1_an_added_entry_starts_and_the_others_go_on() {
    let mut fixture = Fixture::new("add");
    fixture.host.settings(&fixture.ship_dirs(&["one"]));
    let mut one = fixture.log("one/app.log");
    one.write(100);
    let service = fixture.host.start();
    fixture.caught_up();
    fixture.host.settings(&fixture.ship_dirs(&["zero", "one", "two"]));
    one.write(100);
    fixture.log("zero/app.log").write(100);
    fixture.log("two/app.log").write(100);
    fixture.finish(service);
}

fn c1_a_removed_entry_stops_and_comes_back_where_it_was() {
    let mut fixture = Fixture::new("remove");
    fixture.host.settings(&fixture.ship_dirs(&["one", "two"]));
    let mut one = fixture.log("one/app.log");
    let mut two = fixture.log("two/app.log");
    one.write(100);
    two.write(100);
    let service = fixture.host.start();
    fixture.caught_up();
    fixture.host.settings(&fixture.ship_dirs(&["two", "three"]));
    // When the third entry ships, the first is stopped: all changes of a file apply together.
    fixture.log("three/app.log").write(10);
    fixture.caught_up();
    let before = fixture.reader.everything().len();
    let lines = one.lines(100, "\n");
    one.write_raw(lines.as_bytes());
    let marker = two.lines(1, "");
    two.write_raw(format!("{marker}\n").as_bytes());
    fixture.reader.until("the marker", |records| {
        records.iter().any(|record| record.text() == marker)
    });
    assert_eq!(
        fixture.reader.everything().len(),
        before + 1,
        "a removed entry ships nothing"
    );
    fixture.host.settings(&fixture.ship_dirs(&["one", "two", "three"]));
    fixture.finish(service);
}

fn c1_a_changed_topic_takes_what_follows() {
    let broker = kafka::shared();
    let mut fixture = Fixture::new("retarget");
    let mut log = fixture.log("logs/app.log");
    log.write(100);
    let service = fixture.host.start();
    fixture.caught_up();
    let other = broker.topic("retargeted", 4);
    fixture.host.ship_logs(broker, &other, "");
    let mut reader = Reader::new(broker, &other);
    // Until the settings apply, lines still go to the old topic.
    while reader.records().is_empty() {
        log.write(1);
        reader.take(Duration::from_millis(50));
    }
    log.write(100);
    let written = fixture.oracle.written();
    let old = fixture.reader.everything().to_vec();
    reader.until_count(written - old.len());
    service.stop();
    assert_eq!(fixture.reader.everything().len(), old.len());
    // One file after the other: the partition numbers of two topics mean nothing to each other.
    let mut all = old;
    let partition = all[0].partition;
    all.extend(reader.everything().iter().cloned().map(|mut record| {
        record.partition = partition;
        record
    }));
    fixture.oracle.judge(&all).assert_clean();
}

fn c2_bad_settings_change_nothing_and_the_next_good_ones_apply() {
    let mut fixture = Fixture::new("bad");
    let good = fixture.ship_dirs(&["one"]);
    fixture.host.settings(&good);
    fs::create_dir(fixture.host.path("two")).unwrap();
    let mut one = fixture.log("one/app.log");
    let mut two = fixture.log("two/app.log");
    let service = fixture.host.start();
    let bad = [
        "this is = = no toml",
        &good.replace("brokers", "brokrs"),
        &good.replace("path = \"one/*.log\"", "path = 5"),
        &good.replace("one/*.log", "one/[*.log"),
        &(good.clone() + "[limits]\nin_flight = \"12 parsecs\"\n"),
        &(good.clone() + "[[logs]]\nname = \"one\"\npath = \"two/*.log\"\n"),
    ];
    for (count, text) in bad.into_iter().enumerate() {
        fixture.host.settings(text);
        wait_refused(&service, count + 1);
        one.write(10);
        fixture.caught_up();
    }
    two.write(10);
    fixture.host.settings(&fixture.ship_dirs(&["one", "two"]));
    fixture.finish(service);
}

fn c3_settings_written_in_place_in_two_halves_deleted_and_restored() {
    let mut fixture = Fixture::new("in-place");
    let one = fixture.ship_dirs(&["one"]);
    let two = fixture.ship_dirs(&["one", "two"]);
    let three = fixture.ship_dirs(&["one", "two", "three"]);
    fixture.host.settings(&one);
    let mut logs = ["one/app.log", "two/app.log", "three/app.log"].map(|name| fixture.log(name));
    let service = fixture.host.start();
    let path = fixture.host.settings_path().to_owned();

    fs::write(&path, &two).unwrap();
    logs[1].write(10);
    fixture.caught_up();

    fs::remove_file(&path).unwrap();
    logs[0].write(10);
    fixture.caught_up();

    // The first half by itself may be refused or not: what counts is what the whole says.
    let (first, rest) = three.split_at(three.len() - 20);
    fs::write(&path, first).unwrap();
    logs[0].write(10);
    fixture.caught_up();
    fs::write(&path, first.to_owned() + rest).unwrap();
    logs[2].write(10);
    fixture.caught_up();
    fixture.finish(service);
}

fn c3_sighup_applies_the_file() {
    let mut fixture = Fixture::new("hangup");
    fixture.host.settings(&fixture.ship_dirs(&["one"]));
    let service = fixture.host.start();
    for _ in 0..3 {
        service.signal(Signal::HUP);
        fixture.chance_in("one");
    }
    fixture.host.settings(&fixture.ship_dirs(&["one", "two"]));
    service.signal(Signal::HUP);
    fixture.chance_in("two");
    fixture.finish(service);
}

impl Fixture {
    /// A new log in a directory ships.
    fn chance_in(&mut self, dir: &str) {
        self.log(&format!("{dir}/{}.log", kafka::unique("new"))).write(10);
        self.caught_up();
    }
}

fn c4_another_broker_takes_over_without_loss() {
    let fixture = Fixture::new("broker-change");
    let mut log = fixture.log("logs/app.log");
    log.write(1000);
    let nobody = format!("127.0.0.1:{}", kafka::free_port());
    let head = fixture.host.head(&nobody, &fixture.topic);
    fixture
        .host
        .settings(&format!("{head}[[logs]]\npath = \"logs/*.log\"\n"));
    let service = fixture.host.start();
    service.wait_log("cannot reach Kafka");
    fixture.host.ship_logs(kafka::shared(), &fixture.topic, "");
    log.write(1000);
    fixture.finish(service);
}
