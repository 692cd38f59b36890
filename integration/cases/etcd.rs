//! Entries from etcd, beside those of the settings file.

use std::fs;

use super::control::ok;
use super::fixture::Fixture;
use crate::harness::case::cases;
use crate::harness::etcd::Etcd;
use crate::harness::eventually::{eventually, when};
use crate::harness::kafka;
use crate::harness::service::Service;

cases![
    etcd_entries_come_change_and_go_live,
    etcd_entries_outlast_an_outage_and_a_restart_in_it,
    etcd_values_that_are_not_valid_leave_the_last_good_ones,
    etcd_by_tls_and_password,
];

/// A host with an entry `file` of its own and more from etcd.
struct Remote {
    fixture: Fixture,
    etcd: Etcd,
}

impl Remote {
    fn new(name: &str, etcd: Etcd, more: &str) -> Remote {
        let fixture = Fixture::new(name);
        for dir in ["file", "one", "two"] {
            fs::create_dir(fixture.host.path(dir)).unwrap();
        }
        let head = fixture.host.head(&kafka::shared().address(), &fixture.topic);
        fixture.host.settings(&format!(
            "{head}[etcd]\nendpoints = \"{}\"\n{more}[[logs]]\nname = \"file\"\npath = \"file/*.log\"\n",
            etcd.endpoint()
        ));
        Remote { fixture, etcd }
    }

    /// An entry for a directory, as TOML.
    fn entry(&self, dir: &str) -> String {
        format!(
            "[[logs]]\nname = \"{dir}\"\npath = \"{}/*.log\"\n",
            self.fixture.host.path(dir).display()
        )
    }

    /// A new log in each of these directories ships.
    fn ship(&mut self, dirs: &[&str]) {
        for dir in dirs {
            self.fixture
                .log(&format!("{dir}/{}.log", kafka::unique("new")))
                .write(10);
        }
        self.fixture.caught_up();
    }

    /// What is written in a directory now ships only later, if at all.
    fn is_left(&mut self, dir: &str) {
        let name = format!("{dir}/{}.log", kafka::unique("left"));
        fs::write(self.fixture.host.path(name), "nobody ships this\n").unwrap();
        self.ship(&["file"]);
        let records = self.fixture.reader.everything();
        assert!(
            !records.iter().any(|record| record.text() == "nobody ships this"),
            "{dir}"
        );
    }

    fn start(&self) -> Service {
        self.fixture.host.start()
    }
}

fn etcd_entries_come_change_and_go_live() {
    let mut remote = Remote::new("etcd-live", Etcd::start(false), "");
    let service = remote.start();
    remote.ship(&["file"]);
    remote.etcd.put("/logcatch/a", &remote.entry("one"));
    let path = remote.fixture.host.path("two/*.log").display().to_string();
    remote
        .etcd
        .put("/logcatch/b", &format!("[{{\"name\": \"two\", \"path\": \"{path}\"}}]"));
    remote.etcd.put("/other/c", "not for us");
    remote.ship(&["file", "one", "two"]);
    let settings = remote.fixture.host.run(&["settings"]);
    assert!(settings.stdout.contains("state/etcd/b.json"), "{settings:?}");

    // The settings file wins, and the rest of etcd counts.
    remote
        .etcd
        .put("/logcatch/c", &remote.entry("one").replace("\"one\"", "\"file\""));
    service.wait_log("the entry `file` of");
    remote.ship(&["file", "one", "two"]);

    remote.etcd.run(&["del", "/logcatch/b"]);
    service.wait_log("etcd holds a value no more");
    service.wait_log("removed=1");
    remote.is_left("two");
    remote.ship(&["file", "one"]);
    service.stop();
}

fn etcd_entries_outlast_an_outage_and_a_restart_in_it() {
    let mut remote = Remote::new("etcd-away", Etcd::start(false), "");
    remote.etcd.put("/logcatch/one", &remote.entry("one"));
    let service = remote.start();
    remote.ship(&["file", "one"]);
    remote.etcd.kill();
    service.wait_log("cannot reach etcd");
    remote.ship(&["file", "one"]);
    service.stop();
    let service = remote.start();
    service.wait_log("cannot reach etcd");
    remote.ship(&["file", "one"]);
    let text = ok(&remote.fixture.host, &["status"]);
    assert!(
        text.contains("etcd is away, entries from it stay as they were: "),
        "{text}"
    );
    assert_eq!(service.log().matches("cannot reach etcd").count(), 1);
    remote.etcd.start_again();
    service.wait_log("etcd is reached again");
    eventually("status says nothing of etcd", || {
        let text = ok(&remote.fixture.host, &["status"]);
        when(!text.contains("etcd is away"), || text)
    });
    remote.etcd.put("/logcatch/two", &remote.entry("two"));
    remote.ship(&["file", "one", "two"]);
    remote.fixture.finish(service);
}

fn etcd_values_that_are_not_valid_leave_the_last_good_ones() {
    let mut remote = Remote::new("etcd-bad", Etcd::start(false), "");
    remote.etcd.put("/logcatch/one", &remote.entry("one"));
    let service = remote.start();
    remote.ship(&["file", "one"]);
    let bad = [
        "= =",
        "{\"logs\": 5}",
        "[[logs]]\npth = \"/x\"\n",
        "[kafka]\nbrokers = \"a:1\"\n",
    ];
    for (count, bad) in bad.into_iter().enumerate() {
        remote.etcd.put("/logcatch/one", bad);
        service.wait_log_count("etcd holds a value that is not valid", count + 1);
        remote.etcd.put("/logcatch/two", bad);
        service.wait_log_count("key=two", count + 1);
        remote.ship(&["file", "one"]);
    }
    assert!(
        service.log().contains("`logs[0].pth` is not a known key"),
        "{}",
        service.log()
    );
    service.stop();
    let service = remote.start();
    remote.ship(&["file", "one"]);
    remote.etcd.put("/logcatch/two", &remote.entry("two"));
    remote.ship(&["file", "one", "two"]);
    remote.fixture.finish(service);
}

fn etcd_by_tls_and_password() {
    const PASSWORD: &str = "etcd-secret-3xT";
    let mut etcd = Etcd::start(true);
    etcd.run(&["user", "add", &format!("root:{PASSWORD}")]);
    etcd.run(&["user", "grant-role", "root", "root"]);
    etcd.run(&["auth", "enable"]);
    etcd.user = Some(format!("root:{PASSWORD}"));
    let more = format!(
        "ca = \"{}\"\nuser = \"root\"\npassword = \"${{file:etcd-password}}\"\n",
        etcd.ca()
    );
    let mut remote = Remote::new("etcd-secure", etcd, &more);
    let password = remote.fixture.host.path("etcd-password");
    fs::write(&password, "wrong").unwrap();
    remote.etcd.put("/logcatch/one", &remote.entry("one"));
    let service = remote.start();
    service.wait_log("cannot reach etcd");
    assert!(service.log().contains("authentication failed"), "{}", service.log());
    remote.ship(&["file"]);
    fs::write(&password, PASSWORD).unwrap();
    remote.ship(&["file", "one"]);
    for command in [&["settings"][..], &["settings", "--json"], &["plan"], &["status"]] {
        let output = remote.fixture.host.run(command);
        assert!(!format!("{output:?}").contains(PASSWORD), "{command:?}");
    }
    assert!(!service.log().contains(PASSWORD));
    remote.fixture.finish(service);
}
