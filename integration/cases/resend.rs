//! Dead letters that the running service sends again.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::control::{fails, json, ok, wait_watched};
use super::dead_letters::{SMALL, letters, list, noise, resend};
use super::fixture::{Fixture, caught_up};
use super::status::wait_state;
use super::supervision::assert_nothing_left;
use crate::harness::case::cases;
use crate::harness::eventually::{DEADLINE, eventually, when};
use crate::harness::kafka;
use crate::harness::oracle::Oracle;
use crate::harness::process;
use crate::harness::reader::Reader;
use crate::harness::service::{Host, Service};
use crate::harness::writers::{Background, LogFile};

cases![
    two_resends_at_once_are_refused_and_a_hung_kafka_is_waited_for,
    k6_the_running_service_sends_letters_again_and_keeps_what_is_refused_meanwhile,
    a_resend_makes_room_and_a_blocked_file_goes_on_by_itself,
    a_kill_of_the_service_in_the_midst_of_a_resend_loses_no_letter,
    a_stop_in_the_midst_of_a_resend_repeats_nothing,
    a_client_that_goes_ends_its_resend_and_nothing_comes_twice,
    resends_leave_nothing_behind_in_the_service,
    a_list_of_many_parts_is_whole_and_its_reader_may_go,
];

/// A resend that goes on beside the test.
fn begin(host: &Host) -> Child {
    let mut command = host.command(&["dead-letters", "resend"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

fn wait_end(mut child: Child) -> Option<i32> {
    eventually("the command ends", || {
        let ended = child.try_wait().unwrap();
        ended.map(|status| status.code()).ok_or_else(|| "it runs".to_owned())
    })
}

/// A line above the limit of [`SMALL`].
fn write_noise(log: &mut LogFile, seed: u64) {
    log.write_raw(format!("{}\n", noise(seed)).as_bytes());
}

fn wait_letters(host: &Host, count: usize) {
    eventually(&format!("{count} letters are kept"), || {
        let kept = list(host).len();
        when(kept == count, || format!("{kept} are"))
    });
}

fn k6_the_running_service_sends_letters_again_and_keeps_what_is_refused_meanwhile() {
    let broker = kafka::shared();
    let (small, large) = (broker.topic_with("small", 4, SMALL), broker.topic("large", 4));
    let host = Host::new("again");
    host.ship_logs(broker, &small, "name = \"app\"");
    let oracle = Arc::new(Oracle::default());
    let mut log = LogFile::open(&oracle, &host, "logs/app.log");
    let mut other = LogFile::open(&oracle, &host, "logs/other.log");
    for seed in 0..3 {
        log.write(10);
        write_noise(&mut log, seed);
        write_noise(&mut other, 100 + seed);
    }
    let service = host.start();
    wait_letters(&host, 6);

    let refused = resend(&host, &[]);
    assert_eq!(
        (refused.code, refused.stdout.as_str()),
        (Some(1), "sent 0, refused again 6, left 6\n")
    );
    assert!(refused.stderr.contains("MSG_SIZE_TOO_LARGE"), "{refused:?}");
    assert_eq!(list(&host).len(), 6, "what is refused again is kept, and once");

    // More is refused while letters go to another topic.
    let writer = Background::repeat((log, 3), |(log, seed)| {
        log.write(10);
        write_noise(log, *seed);
        *seed += 1;
        sleep(Duration::from_millis(5));
    });
    let path = host.path("logs/app.log").display().to_string();
    let (mut sent, mut rounds) = (0, 0);
    while rounds < 10 || sent < 20 {
        // `host.run` has its working directory on the host.
        let said = json(
            &host,
            &["dead-letters", "resend", "--path", "logs/app.log", "--topic", &large],
        );
        assert_eq!((&said["refused"], &said["left"]), (&json!(0), &json!(0)), "{said}");
        sent += said["sent"].as_u64().unwrap();
        rounds += 1;
    }
    let (log, written) = writer.stop();
    let mut reader = Reader::new(broker, &small);
    caught_up(&oracle, &mut reader);
    eventually("all that was refused was sent again", || {
        let said = ok(&host, &["dead-letters", "resend", "--path", &path, "--topic", &large]);
        let left = list(&host).iter().filter(|letter| letter["path"] == *path).count();
        when(left == 0 && said == "sent 0, refused again 0, left 0\n", || said)
    });
    let others = list(&host);
    assert_eq!(others.len(), 3, "those of the other file were not meant");
    broker.alter_topic(&small, &[]);
    eventually("the topic takes the others", || {
        let output = resend(&host, &["--log", "app"]);
        when(output.code == Some(0), || format!("{output:?}"))
    });
    assert_eq!(list(&host), Vec::<Value>::new());
    drop(log);
    service.stop();

    let mut large = Reader::new(broker, &large);
    let arrived: Vec<String> = large.everything().iter().map(|record| record.text()).collect();
    assert_eq!(arrived.len() as u64, written, "each once");
    let expected: BTreeSet<String> = (0..written).map(noise).collect();
    assert_eq!(arrived.into_iter().collect::<BTreeSet<_>>(), expected);
    let (lines, noises): (Vec<_>, Vec<_>) = reader
        .everything()
        .iter()
        .cloned()
        .partition(|record| record.text().len() < 20_000);
    oracle.judge(&lines).assert_clean();
    let noises: Vec<_> = noises.iter().map(|record| record.text()).collect();
    assert_eq!(noises, [100, 101, 102].map(noise), "in their order, with their key");
}

fn a_resend_makes_room_and_a_blocked_file_goes_on_by_itself() {
    let broker = kafka::shared();
    let topic = broker.topic_with("room", 1, SMALL);
    let host = Host::new("room");
    host.settings(&format!(
        "{}dead_letters = \"100kB\"\n[[logs]]\nname = \"app\"\npath = \"logs/*.log\"\n",
        host.head(&broker.address(), &topic)
    ));
    let oracle = Arc::new(Oracle::default());
    let mut log = LogFile::open(&oracle, &host, "logs/app.log");
    for seed in 0..3 {
        log.write(10);
        write_noise(&mut log, seed);
    }
    log.write(10);
    let service = host.start();
    wait_state(&host, log.path(), "blocked", Some("dead-letters-full"));
    assert_eq!(list(&host).len(), 1, "there is room for one of three");
    // Nobody can use the settings file meanwhile.
    let good = fs::read_to_string(host.settings_path()).unwrap();
    host.settings(&good.replace("[[logs]]", "[[logs]"));
    service.wait_log("settings refused");
    broker.alter_topic(&topic, &[]);
    eventually("one is sent", || {
        let output = host.run(&["dead-letters", "resend", "--state", "state"]);
        when(output.stdout.starts_with("sent 1,"), || format!("{output:?}"))
    });
    // There is room for another one now, and the lines after it.
    let mut reader = Reader::new(broker, &topic);
    let is_noise = |text: &str| text.len() > 20_000;
    for sent in 2..=3 {
        eventually("the next one is kept and sent", || {
            let output = host.run(&["dead-letters", "resend", "--state", "state"]);
            when(output.stdout.starts_with("sent 1,"), || format!("{output:?}"))
        });
        reader.until("it arrives", |records| {
            records.iter().filter(|record| is_noise(&record.text())).count() == sent
        });
    }
    reader.until_count(43);
    wait_state(&host, log.path(), "idle", None);
    service.stop();
    let records = reader.everything();
    let lines: Vec<_> = records
        .iter()
        .filter(|record| !is_noise(&record.text()))
        .cloned()
        .collect();
    oracle.judge(&lines).assert_clean();
    assert_eq!(records.len(), 43);
}

/// A host with 20,000 letters in two files, its service, and a resend under way that is caught in its midst.
struct Midst {
    host: Host,
    oracle: Arc<Oracle>,
    reader: Reader,
}

/// Letters of one of the two files.
const A_FILE: usize = 10_000;

impl Midst {
    fn new(name: &str) -> Midst {
        let broker = kafka::shared();
        let topic = broker.topic(name, 4);
        let host = Host::new(name);
        host.ship_logs(broker, &topic, "");
        let oracle = Arc::new(Oracle::default());
        letters(&host, &oracle, &topic, &["a", "b"], A_FILE);
        Midst {
            reader: Reader::new(broker, &topic),
            host,
            oracle,
        }
    }

    /// Begins a resend and returns it when it has sent so many more.
    fn resend(&mut self, more: usize) -> Child {
        let client = begin(&self.host);
        let records = self.reader.everything().len();
        self.reader.until_count(records + more);
        client
    }

    /// Sends the rest; all must be there then.
    fn finish(mut self, service: Service, repeated: usize) {
        ok(&self.host, &["dead-letters", "resend"]);
        assert_eq!(list(&self.host), Vec::<Value>::new());
        service.stop();
        let verdict = self.oracle.judge(self.reader.everything());
        verdict.assert_only_duplicates(repeated);
    }
}

fn a_kill_of_the_service_in_the_midst_of_a_resend_loses_no_letter() {
    let mut midst = Midst::new("killed-service");
    let mut kills = 0;
    for more in [1, 4_000, 9_000] {
        let service = midst.host.start();
        let client = midst.resend(more);
        service.kill();
        kills += usize::from(wait_end(client) == Some(1));
    }
    assert!(kills > 0, "each had ended before the kill");
    let service = midst.host.start();
    midst.finish(service, kills * A_FILE);
}

fn a_stop_in_the_midst_of_a_resend_repeats_nothing() {
    let mut midst = Midst::new("stopped-service");
    let mut service = midst.host.start();
    let client = midst.resend(1_000);
    service.signal(Signal::TERM);
    assert_eq!(service.wait().code(), Some(0));
    assert_eq!(wait_end(client), Some(1), "not all were tried");
    assert!(!list(&midst.host).is_empty());
    let service = midst.host.start();
    midst.finish(service, 0);
}

fn a_client_that_goes_ends_its_resend_and_nothing_comes_twice() {
    let mut midst = Midst::new("client-gone");
    let service = midst.host.start();
    let mut client = midst.resend(1);
    client.kill().unwrap();
    client.wait().unwrap();
    service.wait_log("dead letters were sent again");
    midst.finish(service, 0);
}

fn two_resends_at_once_are_refused_and_a_hung_kafka_is_waited_for() {
    let broker = kafka::private("resend-hung");
    let topic = broker.topic("hung", 4);
    let host = Host::new("hung");
    host.ship_logs(&broker, &topic, "");
    let oracle = Arc::new(Oracle::default());
    letters(&host, &oracle, &topic, &["a"], 100);
    let service = host.start();
    broker.pause();
    let mut first = UnixStream::connect(host.path("state/control.sock")).unwrap();
    first.set_read_timeout(Some(DEADLINE)).unwrap();
    first
        .write_all(b"{\"command\":\"dead-letters-resend\",\"meant\":{},\"topic\":null}\n")
        .unwrap();
    let mut said = BufReader::new(first).lines().map(|line| line.unwrap());
    let progress = said.next().unwrap();
    assert!(progress.starts_with("{\"resending\":{\"sent\":0"), "{progress}");
    let second = fails(&host, &["dead-letters", "resend"], 1);
    assert!(second.contains("others are on their way already"), "{second}");
    assert_eq!(list(&host).len(), 100, "they are listed meanwhile, and kept");
    broker.resume();
    let end = said.find(|line| !line.contains("resending")).unwrap();
    assert!(end.starts_with("{\"resent\":{\"sent\":100,"), "{end}");
    assert_eq!(resend(&host, &[]).stdout, "sent 0, refused again 0, left 0\n");
    service.stop();
    oracle.judge(Reader::new(&broker, &topic).everything()).assert_clean();
}

fn resends_leave_nothing_behind_in_the_service() {
    let fixture = Fixture::new("resends");
    let missing = kafka::unique("missing");
    let oracle = Arc::new(Oracle::default());
    letters(&fixture.host, &oracle, &missing, &["a"], 10);
    let service = fixture.host.start();
    let round = || {
        let said = fails_with(&fixture.host);
        assert!(said.contains("topic does not exist"), "{said}");
        service.resources()
    };
    let before = round();
    for _ in 0..3 {
        round();
    }
    eventually("its threads and handles are gone", || {
        let now = service.resources();
        let is_so = now.threads <= before.threads && now.handles <= before.handles;
        when(is_so, || format!("before {before:?}, now {now:?}"))
    });
    assert_nothing_left(before, &service);
    fixture.finish(service);
}

/// What a resend says that leaves letters.
fn fails_with(host: &Host) -> String {
    let output = resend(host, &[]);
    assert_eq!(output.code, Some(1), "{output:?}");
    output.stderr
}

fn a_list_of_many_parts_is_whole_and_its_reader_may_go() {
    let fixture = Fixture::new("parts");
    let oracle = Arc::new(Oracle::default());
    letters(&fixture.host, &oracle, &fixture.topic, &["a", "b"], 5_000);
    let service = fixture.host.start();
    wait_watched(&fixture.host, 2);
    let files = ["00000001", "00000002"].map(|number| {
        let text = fs::read_to_string(fixture.host.path(format!("state/dead-letters/letters-{number}.jsonl")));
        let text = text.unwrap();
        // All but the line that a crash has torn.
        text[..=text.rfind('\n').unwrap()].to_owned()
    });
    assert_eq!(ok(&fixture.host, &["dead-letters", "list", "--json"]), files.concat());
    let rows = ok(&fixture.host, &["dead-letters", "list", "--log", "b"]);
    assert_eq!(rows.lines().count(), 1 + 5_000);
    // A reader that has seen enough: the service is soon rid of it.
    let before = service.resources();
    for _ in 0..40 {
        let mut child = fixture
            .host
            .command(&["dead-letters", "list", "--json"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        assert_eq!(wait_end(child), Some(0));
    }
    eventually("no connection is left", || {
        let now = process::resources(rustix::process::Pid::from_raw(service.pid().try_into().unwrap()).unwrap());
        let handles = now.unwrap().handles;
        when(handles <= before.handles, || {
            format!("{handles}, before {}", before.handles)
        })
    });
    service.stop();
}
