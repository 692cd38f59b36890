//! Exactly once: what the service does before its positions are read back, and how the mode changes while it runs.

use std::fs;

use rustix::process::Signal;

use super::control::{fails, ok};
use super::exactly_once::{SHORT, hasty_broker};
use super::exactly_once_kills::{end, fixture, until_more, writing};
use super::fixture::Fixture;
use super::web;
use crate::harness::case::cases;
use crate::harness::eventually::{eventually, when};
use crate::harness::http::Page;
use crate::harness::kafka::{self, Broker, free_port, unique};
use crate::harness::service::Host;
use crate::harness::size::sized;

cases![
    while_kafka_is_away_at_the_start_everything_answers_and_reloads_count,
    the_broker_is_corrected_while_positions_are_waited_for,
    a_start_that_cannot_commit_says_why_until_it_can,
    a_stop_while_positions_are_waited_for_ends_at_once_with_success,
    the_mode_changes_while_it_runs_both_ways_and_nothing_is_lost_or_repeated,
    killed_while_the_mode_changes_nothing_is_lost,
    a_change_of_the_mode_that_cannot_be_is_refused_and_nothing_changes,
    a_change_of_the_mode_that_kafka_does_not_let_drain_is_refused_and_nothing_changes,
    a_change_to_exactly_once_without_the_rights_is_refused_and_nothing_changes,
    a_change_of_the_mode_with_properties_that_make_no_producer_stops_nothing,
    a_start_in_the_other_mode_ends_the_transaction_that_a_killed_one_left_open,
    the_mode_may_be_left_while_positions_are_waited_for,
    a_check_says_whether_positions_can_be_kept,
    a_check_leaves_a_running_service_alone,
];

/// What `status` says first.
fn verdict(host: &Host) -> String {
    let said = ok(host, &["status"]);
    said.lines().next().unwrap_or_default().to_owned()
}

fn wait_verdict(host: &Host, text: &str) {
    eventually(&format!("the verdict has `{text}`"), || {
        // It may not have begun to answer.
        let status = host.run(&["status"]);
        when(status.stdout.contains(text), || format!("{status:?}"))
    });
}

pub fn positions_topic(host: &mut Host) -> String {
    let keys = host.set_kafka_keys();
    let (_, topic) = keys.trim().rsplit_once(" = ").unwrap();
    topic.trim_matches('"').to_owned()
}

fn while_kafka_is_away_at_the_start_everything_answers_and_reloads_count() {
    let broker = kafka::private("away-at-the-start");
    let mut fixture = fixture(&broker, "opening", "");
    let topic = positions_topic(&mut fixture.host);
    web::with_page(&fixture.host, web::ANY);
    fs::create_dir_all(fixture.host.path("more")).unwrap();
    let mut logs = ["logs/app.log", "more/other.log"].map(|name| fixture.log(name));
    logs.iter_mut().for_each(|log| log.write(500));
    broker.stop();

    let mut managed = fixture.host.start_managed(&[]);
    let page = Page::of(&managed.service);
    let waits = format!("not shipping yet: waits for its positions in `{topic}`: ");
    wait_verdict(&fixture.host, &waits);
    assert!(page.text("/").contains("not shipping yet: waits for its positions in "));
    page.text("/health/live");
    page.text("/metrics");
    let ready = page.get("/health/ready");
    assert_eq!(ready.status, 503, "{ready:?}");
    assert!(ready.body.contains("positions are not open yet"), "{ready:?}");
    let why = page.json("/api/v1/status")["positions"]["waits_for"].to_string();
    assert!(why.contains(&topic), "{why}");
    for order in [&["restart", "logs/app.log"][..], &["positions", "list"]] {
        let said = fails(&fixture.host, order, 1);
        assert!(
            said.contains("cannot do that yet: the service waits for its positions"),
            "{said}"
        );
    }

    let settings = fs::read_to_string(fixture.host.settings_path()).unwrap();
    let more = "[[logs]]\nname = \"more\"\npath = \"more/*.log\"\n";
    fixture.host.settings(&format!("{settings}{more}nonsense = 1\n"));
    fails(&fixture.host, &["reload"], 78);
    assert!(managed.told().iter().all(|told| !told.contains("ships by")));
    fixture.host.settings(&format!("{settings}{more}"));
    assert!(ok(&fixture.host, &["reload"]).contains("in force"));
    managed.service.signal(Signal::HUP);
    managed
        .service
        .wait_log("settings were read again and say what is in force");
    assert!(managed.told().iter().all(|told| !told.contains("READY=1")));
    assert!(verdict(&fixture.host).starts_with(&waits));

    broker.start_again();
    managed.until("READY=1");
    fixture.caught_up();
    eventually("the service is ready", || {
        let ready = page.get("/health/ready");
        when(ready.status == 200, || format!("{ready:?}"))
    });
    logs.iter_mut().for_each(|log| log.write(500));
    fixture.finish(managed.service);
}

fn the_broker_is_corrected_while_positions_are_waited_for() {
    let broker = kafka::shared();
    let fixture = fixture(broker, "corrected", "");
    let good = fs::read_to_string(fixture.host.settings_path()).unwrap();
    let nobody = format!("127.0.0.1:{}", free_port());
    fixture.host.settings(&good.replace(&broker.address(), &nobody));
    let mut log = fixture.log("logs/app.log");
    log.write(500);
    let mut managed = fixture.host.start_managed(&[]);
    wait_verdict(&fixture.host, "waits for its positions");
    fixture.host.settings(&good);
    managed.until("READY=1");
    log.write(500);
    fixture.finish(managed.service);
}

fn a_start_that_cannot_commit_says_why_until_it_can() {
    let broker = kafka::private_with_rights("no-commit");
    let mut fixture = fixture(&broker, "no-commit", "");
    let topic = positions_topic(&mut fixture.host);
    web::with_page(&fixture.host, web::ANY);
    let good = fs::read_to_string(fixture.host.settings_path()).unwrap();
    let too_long = "[kafka.properties]\n\"transaction.timeout.ms\" = \"86400000\"\n";
    fixture.host.settings(&format!("{good}{too_long}"));
    broker.create_topic(&topic, 1, &[("cleanup.policy", "compact")]);
    allow(&broker, ["--topic", &topic], &["Read", "Describe", "DescribeConfigs"]);
    let mut log = fixture.log("logs/app.log");
    log.write(500);
    let mut managed = fixture.host.start_managed(&[]);
    wait_verdict(&fixture.host, "Transaction timeout is larger than the maximum");
    fixture.host.settings(&good);
    wait_verdict(
        &fixture.host,
        &format!("positions in `{topic}`: Kafka does not take them: "),
    );
    let page = Page::of(&managed.service);
    assert_eq!(page.metric("logcatch_positions_waiting"), 1.0);
    assert!(managed.told().iter().all(|told| !told.contains("READY=1")));
    allow(&broker, ["--topic", &topic], &["Write"]);
    managed.until("READY=1");
    fixture.caught_up();
    assert!(!verdict(&fixture.host).contains("positions"));
    eventually("nothing is waited for", || {
        let waiting = page.metric("logcatch_positions_waiting");
        when(waiting == 0.0, || waiting.to_string())
    });
    log.write(500);
    fixture.finish(managed.service);
}

fn a_stop_while_positions_are_waited_for_ends_at_once_with_success() {
    let mut host = Host::new("stopped-opening");
    host.exactly_once(&unique("stopped-opening"));
    let head = host.head(&format!("127.0.0.1:{}", free_port()), "t");
    host.settings(&format!("{head}[[logs]]\npath = \"logs/*.log\"\n"));
    let mut managed = host.start_managed(&[]);
    wait_verdict(&host, "waits for its positions");
    managed.service.signal(Signal::TERM);
    managed.until("STOPPING=1");
    assert!(managed.told().iter().all(|told| !told.contains("READY=1")));
    let log = managed.service.stop();
    assert!(log.contains("stopped before positions were read back"), "{log}");
}

/// Settings of the host with exactly-once and without.
fn both(fixture: &mut Fixture) -> [String; 2] {
    let exactly_once = fs::read_to_string(fixture.host.settings_path()).unwrap();
    let keys = fixture.host.set_kafka_keys();
    [exactly_once.replace(keys, ""), exactly_once]
}

fn the_mode_changes_while_it_runs_both_ways_and_nothing_is_lost_or_repeated() {
    let mut fixture = fixture(kafka::shared(), "live-modes", "");
    let [at_least_once, exactly_once] = both(&mut fixture);
    let modes = [&at_least_once, &exactly_once];
    fixture.host.settings(modes[0]);
    let service = fixture.host.start();
    let writers = writing(&fixture, &["a", "b", "c"]);
    for mode in (1..=5).map(|change| modes[change % 2]) {
        until_more(&mut fixture, 300);
        fixture.host.settings(mode);
        assert!(ok(&fixture.host, &["reload"]).contains("in force"));
    }
    until_more(&mut fixture, 300);
    writers.into_iter().for_each(|writer| drop(writer.stop()));
    fixture.caught_up();
    service.stop();
    // In the mode that was left last positions are nowhere else.
    fs::remove_dir_all(fixture.host.path("state")).unwrap();
    let mut log = fixture.log("logs/d.log");
    log.write(100);
    let service = fixture.host.start();
    fixture.finish(service);
}

/// Reloads until the change is not refused any more, and lines arrive.
fn until_changed(fixture: &mut Fixture) {
    eventually("the mode changes", || {
        let reload = fixture.host.run(&["reload"]);
        when(reload.code == Some(0), || format!("{reload:?}"))
    });
    until_more(fixture, 100);
}

fn killed_while_the_mode_changes_nothing_is_lost() {
    /// What two writers append in the second before a kill, and some.
    const REPEATED: usize = 20_000;
    let rounds = sized(6, 60);
    // Whatever a killed one left open ends soon.
    let broker = hasty_broker("killed-changing");
    let mut fixture = fixture(&broker, "killed-changing", SHORT);
    let modes = both(&mut fixture);
    let writers = writing(&fixture, &["a", "b"]);
    for round in 0..rounds {
        let (old, new) = (&modes[round % 2], &modes[(round + 1) % 2]);
        fixture.host.settings(old);
        let service = fixture.host.start();
        until_more(&mut fixture, 200);
        fixture.host.settings(new);
        service.wait_log("the delivery mode changes");
        if round % 3 == 1 {
            service.wait_log_count("watcher started", 3);
        }
        service.kill();
    }
    let service = fixture.host.start();
    writers.into_iter().for_each(|writer| drop(writer.stop()));
    fixture.caught_up();
    service.stop();
    fixture.verdict().assert_only_duplicates(rounds * REPEATED);
}

fn a_change_of_the_mode_that_cannot_be_is_refused_and_nothing_changes() {
    let broker = kafka::shared();
    let mut fixture = fixture(broker, "no-change", "");
    let topic = positions_topic(&mut fixture.host);
    broker.create_topic(&topic, 1, &[("cleanup.policy", "delete")]);
    let [at_least_once, exactly_once] = both(&mut fixture);
    fixture.host.settings(&at_least_once);
    let service = fixture.host.start();
    let writers = writing(&fixture, &["a"]);
    until_more(&mut fixture, 100);
    fixture.host.settings(&exactly_once);
    let said = fails(&fixture.host, &["reload"], 78);
    assert!(
        said.contains("cannot change `kafka.delivery` now: ") && said.contains("cleanup.policy is `delete`"),
        "{said}"
    );
    until_more(&mut fixture, 100);
    let too_long = "[kafka.properties]\n\"transaction.timeout.ms\" = \"86400000\"\n";
    fixture.host.settings(&format!("{exactly_once}{too_long}"));
    fails(&fixture.host, &["reload"], 78);
    broker.alter_topic(&topic, &[("cleanup.policy", "compact")]);
    // Kafka takes a moment to tell the new policy.
    eventually("a transaction that may last for a day is refused", || {
        let said = fails(&fixture.host, &["reload"], 78);
        when(
            said.contains("`transaction.timeout.ms` is more than the brokers allow"),
            || said,
        )
    });
    fixture.host.settings(&exactly_once);
    let check = ok(&fixture.host, &["check", "--broker"]);
    assert!(check.contains("is not tried, for a service runs here"), "{check}");
    until_changed(&mut fixture);
    end(fixture, writers, service);
}

fn a_change_of_the_mode_that_kafka_does_not_let_drain_is_refused_and_nothing_changes() {
    let broker = kafka::private("undrained");
    let limits = "[limits]\nshutdown_timeout = \"1s\"\n";
    let mut fixture = fixture(&broker, "undrained", limits);
    let [at_least_once, exactly_once] = both(&mut fixture);
    let service = fixture.host.start();
    let mut log = fixture.log("logs/app.log");
    log.write(500);
    fixture.caught_up();
    broker.pause();
    log.write(500);
    eventually("lines are on their way", || {
        let status = super::control::json(&fixture.host, &["status"]);
        let on_their_way = status["files"][0]["in_flight_bytes"].as_u64();
        when(on_their_way > Some(0), || status.to_string())
    });
    fixture.host.settings(&at_least_once);
    let said = fails(&fixture.host, &["reload"], 78);
    assert!(
        said.contains("cannot change `kafka.delivery` now: what is on its way to Kafka is not acknowledged: ")
            && said.contains(&format!(" for topic `{}`", fixture.topic)),
        "{said}"
    );
    broker.resume();
    log.write(500);
    fixture.caught_up();
    // Tried again when the file is touched, or by an order.
    assert!(ok(&fixture.host, &["reload"]).contains("in force"));
    log.write(500);
    fixture.caught_up();
    fixture.host.settings(&exactly_once);
    assert!(ok(&fixture.host, &["reload"]).contains("in force"));
    log.write(500);
    fixture.finish(service);
}

fn the_mode_may_be_left_while_positions_are_waited_for() {
    let broker = kafka::private("left-opening");
    let mut fixture = fixture(&broker, "left-opening", "");
    let [at_least_once, _] = both(&mut fixture);
    let mut log = fixture.log("logs/app.log");
    log.write(500);
    let service = fixture.host.start();
    fixture.caught_up();
    service.stop();
    log.write(500);
    broker.stop();
    let mut managed = fixture.host.start_managed(&[]);
    wait_verdict(&fixture.host, "waits for its positions");
    fixture.host.settings(&at_least_once);
    assert!(ok(&fixture.host, &["reload"]).contains("in force"));
    managed.until("READY=1");
    broker.start_again();
    log.write(500);
    fixture.finish(managed.service);
}

fn transactional_id(host: &Host) -> String {
    let keys = host.set_kafka_keys().lines();
    let instance = keys.filter_map(|line| line.strip_prefix("instance = \"")).next();
    format!("logcatch-{}", instance.unwrap().trim_matches('"'))
}

/// With a rule for a resource, what no rule allows is forbidden.
pub fn allow(broker: &Broker, resource: [&str; 2], operations: &[&str]) {
    let operations = operations.iter().flat_map(|operation| ["--operation", operation]);
    let words = ["--add", "--allow-principal", "User:ANONYMOUS"]
        .into_iter()
        .chain(resource);
    broker.acl(&words.chain(operations).collect::<Vec<_>>());
}

fn a_change_to_exactly_once_without_the_rights_is_refused_and_nothing_changes() {
    let broker = kafka::private_with_rights("no-rights");
    let mut fixture = fixture(&broker, "no-rights", "");
    let topic = positions_topic(&mut fixture.host);
    let [at_least_once, exactly_once] = both(&mut fixture);
    broker.create_topic(&topic, 1, &[("cleanup.policy", "compact")]);
    let id = transactional_id(&fixture.host);
    allow(&broker, ["--transactional-id", &id], &["Describe"]);
    let no_id = format!("this user may not use the transactional id `{id}`");
    // Rules take a moment to be known.
    eventually("the rule counts", || {
        let check = fixture.host.run(&["check", "--broker"]);
        when(check.stdout.contains(&no_id), || format!("{check:?}"))
    });
    fixture.host.settings(&at_least_once);
    let service = fixture.host.start();
    let writers = writing(&fixture, &["a"]);
    until_more(&mut fixture, 100);
    fixture.host.settings(&exactly_once);
    let said = fails(&fixture.host, &["reload"], 78);
    assert!(
        said.contains("cannot change `kafka.delivery` now: ") && said.contains(&no_id),
        "{said}"
    );
    until_more(&mut fixture, 100);
    // In this order: what is forbidden is so before the rest is allowed.
    allow(&broker, ["--topic", &topic], &["Read", "Describe", "DescribeConfigs"]);
    allow(&broker, ["--transactional-id", &id], &["Write"]);
    let no_topic = format!("the topic for positions, `{topic}`: this user may not write to it");
    eventually("the topic is refused", || {
        let said = fails(&fixture.host, &["reload"], 78);
        when(said.contains(&no_topic), || said)
    });
    until_more(&mut fixture, 100);
    let log = service.log();
    assert!(!log.contains("the delivery mode changes"), "{log}");
    allow(&broker, ["--topic", &topic], &["Write"]);
    until_changed(&mut fixture);
    end(fixture, writers, service);
}

fn a_change_of_the_mode_with_properties_that_make_no_producer_stops_nothing() {
    let mut fixture = fixture(kafka::shared(), "no-producer", "");
    let modes = both(&mut fixture);
    let service = fixture.host.start();
    let writers = writing(&fixture, &["a"]);
    for (changes, mode) in modes.iter().enumerate() {
        until_more(&mut fixture, 100);
        // Each is good by itself.
        let together = "reconnect.backoff.max.ms = 100\nreconnect.backoff.ms = 5000\n";
        fixture.host.settings(&format!("{mode}[kafka.properties]\n{together}"));
        let said = fails(&fixture.host, &["reload"], 78);
        assert!(said.contains("cannot change `kafka.delivery` now: "), "{said}");
        assert!(said.contains("`reconnect.backoff.max.ms` must be"), "{said}");
        let log = service.log();
        assert_eq!(log.matches("the delivery mode changes").count(), changes, "{log}");
        until_more(&mut fixture, 100);
        fixture.host.settings(mode);
        assert!(ok(&fixture.host, &["reload"]).contains("in force"));
    }
    end(fixture, writers, service);
}

fn a_start_in_the_other_mode_ends_the_transaction_that_a_killed_one_left_open() {
    // Longer than any condition is waited for.
    const LONG: &str = "[kafka.properties]\n\"transaction.timeout.ms\" = \"900000\"\n";
    let broker = kafka::private("left-open");
    let mut fixture = fixture(&broker, "left-open", LONG);
    let [at_least_once, _] = both(&mut fixture);
    let mut log = fixture.log("logs/app.log");
    log.write(100);
    let service = fixture.host.start();
    fixture.caught_up();
    fs::write(fixture.host.path("faults/kill-commit"), "").unwrap();
    log.write(100);
    eventually("the service is killed before it commits", || {
        when(service.is_zombie(), || service.log())
    });
    drop(service);
    fixture.host.settings(&at_least_once);
    let service = fixture.host.start();
    log.write(100);
    // Readers of what is committed would wait at the open transaction.
    fixture.caught_up();
    service.stop();
    // What was committed last may come again, as it may after any crash in this mode.
    fixture.verdict().assert_only_duplicates(200);
}

fn a_check_says_whether_positions_can_be_kept() {
    let broker = kafka::private_with_rights("check");
    let mut fixture = fixture(&broker, "check", "");
    let topic = positions_topic(&mut fixture.host);
    let check = || fixture.host.run(&["check", "--broker"]);
    let passes = |text: &str| {
        eventually(&format!("the check passes with `{text}`"), || {
            let check = check();
            let is_fine = check.code == Some(0) && check.stdout.contains(text);
            when(is_fine, || format!("{check:?}"))
        });
    };
    let is_refused = |text: &str, help: &str| {
        eventually(&format!("the check fails with `{text}`"), || {
            let check = check();
            let is_said = check.stdout.contains(text) && check.stderr.contains(text) && check.stderr.contains(help);
            when(check.code == Some(1) && is_said, || format!("{check:?}"))
        });
    };
    let missing = format!("positions in topic `{topic}`: it does not exist, and logcatch may make it, and `logcatch-");
    passes(&missing);
    // Nothing was made: it is still missing.
    passes(&missing);
    broker.create_topic(&topic, 1, &[("cleanup.policy", "delete")]);
    is_refused(
        "its cleanup.policy is `delete`, not `compact`",
        "kafka-configs.sh --alter",
    );
    broker.alter_topic(&topic, &[("cleanup.policy", "compact")]);
    passes(&format!("positions in topic `{topic}`: it exists, and `logcatch-"));

    allow(&broker, ["--topic", &topic], &["Read", "Describe", "DescribeConfigs"]);
    is_refused("this user may not write to it", "--operation Write");
    allow(&broker, ["--topic", &topic], &["Write"]);
    passes("it exists");
    let id = transactional_id(&fixture.host);
    allow(&broker, ["--transactional-id", &id], &["Describe"]);
    is_refused(
        &format!("this user may not use the transactional id `{id}`"),
        &format!("--transactional-id {id}"),
    );
}

fn a_check_leaves_a_running_service_alone() {
    let mut fixture = fixture(kafka::shared(), "check-runs", "");
    let service = fixture.host.start();
    let writers = writing(&fixture, &["a"]);
    until_more(&mut fixture, 100);
    let said = ok(&fixture.host, &["check", "--broker"]);
    let other = format!(
        "is not tried, the logcatch on `test-host` with pid {} may be using it",
        service.pid()
    );
    assert!(said.contains(&other), "{said}");
    until_more(&mut fixture, 100);
    let log = service.log();
    assert!(!log.contains("the Kafka producer failed"), "{log}");
    end(fixture, writers, service);
}
