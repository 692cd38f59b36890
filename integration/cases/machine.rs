//! The unit in `deploy/` under a real systemd.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::sync::Arc;

use super::fixture::caught_up;
use crate::harness::case::{self, cases};
use crate::harness::eventually::{eventually, when};
use crate::harness::kafka::{self, Broker};
use crate::harness::machine::Machine;
use crate::harness::oracle::Oracle;
use crate::harness::reader::Reader;
use crate::harness::service::HOST;
use crate::harness::writers::LogFile;

cases![
    the_unit_is_started_reloaded_restarted_and_stopped_by_systemd,
    systemd_restarts_what_hangs,
    systemd_leaves_alone_what_is_refused_or_is_there_twice,
    a_start_on_the_settings_of_before_is_activating_until_the_file_is_good,
];

/// A machine with the service as its package installs it, and a log that only the group adm may read.
pub struct Installed {
    pub machine: Machine,
    topic: String,
    oracle: Arc<Oracle>,
    reader: Reader,
    pub log: LogFile,
}

/// Where it logs.
const LOG: &str = "/var/log/app/app.log";

const SETTINGS: &str = "/etc/logcatch/logcatch.toml";

impl Installed {
    /// By hand: unit, user and binary.
    fn new(name: &str) -> Installed {
        let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
        let binary = Path::new(env!("CARGO_BIN_EXE_logcatch"));
        let sysusers = deploy.join("logcatch.sysusers");
        let machine = Machine::boot(
            name,
            &[(binary, "/usr/bin/logcatch"), (&sysusers, "/etc/logcatch.sysusers")],
        );
        machine.ok(&["systemd-sysusers", "/etc/logcatch.sysusers"]);
        let unit = fs::read_to_string(deploy.join("logcatch.service")).unwrap();
        machine.write("/run/units/logcatch.service", &unit);
        Installed::on(machine, kafka::shared(), name)
    }

    /// On a machine where it is installed.
    pub fn on(machine: Machine, broker: &Broker, name: &str) -> Installed {
        // There is no journal.
        machine.write(
            "/run/units/logcatch.service.d/test.conf",
            "[Service]\nStandardOutput=append:/var/log/service.txt\nStandardError=append:/var/log/service.txt\n",
        );
        let topic = broker.topic(name, 4);
        let oracle = Arc::new(Oracle::default());
        oracle.key(LOG, format!("{HOST}:{LOG}"));
        machine.write(LOG, "");
        let log = LogFile::at(&oracle, machine.path(LOG), LOG);
        machine.ok(&["chgrp", "-R", "adm", "/var/log/app"]);
        machine.ok(&["chmod", "0750", "/var/log/app"]);
        machine.ok(&["chmod", "0640", LOG]);
        let installed = Installed {
            reader: Reader::new(broker, &topic),
            machine,
            topic,
            oracle,
            log,
        };
        installed.settings("");
        installed
    }

    /// Another log there.
    pub fn open(&self, path: &str) -> LogFile {
        self.oracle.key(path, format!("{HOST}:{path}"));
        LogFile::at(&self.oracle, self.machine.path(path), path)
    }

    /// Writes the settings file, with more at its end.
    pub fn settings(&self, more: &str) {
        let (address, topic) = (kafka::shared().address(), &self.topic);
        self.machine.write(
            SETTINGS,
            &format!(
                "host = \"{HOST}\"\ninclude = [\"conf.d/*.toml\"]\n[kafka]\nbrokers = [\"{address}\"]\ntopic = \"{topic}\"\n\
                 [[logs]]\nname = \"app\"\npath = \"/var/log/app/*.log\"\n{more}"
            ),
        );
    }

    fn drop_in(&self, text: &str) {
        self.machine.write("/run/units/logcatch.service.d/more.conf", text);
        self.machine.ok(&["systemctl", "daemon-reload"]);
    }

    pub fn systemctl(&self, verb: &str) -> String {
        let output = self.machine.run(&["systemctl", verb, "logcatch"]);
        assert_eq!(output.code, Some(0), "{verb}: {output:?}\n{}", self.said());
        output.stdout
    }

    fn fails(&self, verb: &str) {
        let output = self.machine.run(&["systemctl", verb, "logcatch"]);
        assert_eq!(output.code, Some(1), "{verb}: {output:?}\n{}", self.said());
    }

    /// What the service said.
    fn said(&self) -> String {
        fs::read_to_string(self.machine.path("/var/log/service.txt")).unwrap_or_default()
    }

    /// A property of the unit.
    pub fn property(&self, name: &str) -> String {
        let value = self
            .machine
            .ok(&["systemctl", "show", "--value", "-p", name, "logcatch"]);
        value.trim().to_owned()
    }

    fn wait(&self, name: &str, value: &str) {
        eventually(&format!("{name} of the unit is {value}"), || {
            let is = self.property(name);
            when(is == value, || format!("{is}\n{}", self.said()))
        });
    }

    pub fn caught_up(&mut self) {
        caught_up(&self.oracle, &mut self.reader);
    }

    /// Stops the service; each line must have arrived, and at most so many twice.
    pub fn finish(mut self, repeated: usize) {
        self.caught_up();
        self.systemctl("stop");
        assert_eq!(self.property("ActiveState"), "inactive");
        assert_eq!(self.property("ExecMainStatus"), "0", "{}", self.said());
        self.judge(repeated);
    }

    /// Each line must have arrived, and at most so many twice.
    pub fn judge(&mut self, repeated: usize) {
        let verdict = self.oracle.judge(self.reader.everything());
        verdict.assert_only_duplicates(repeated);
    }
}

fn the_unit_is_started_reloaded_restarted_and_stopped_by_systemd() {
    let mut installed = Installed::new("unit");
    installed.log.write(100);
    installed.systemctl("start");
    // Started is ready: settings apply, positions are open, the state is where the unit says.
    assert_eq!(installed.property("ActiveState"), "active");
    assert!(installed.property("StatusText").starts_with("entries: 1"));
    let owner = installed
        .machine
        .ok(&["stat", "-c", "%U %a", "/var/lib/logcatch/positions.redb"]);
    assert_eq!(owner, "logcatch 640\n");
    installed.caught_up();
    assert!(installed.machine.ok(&["logcatch", "status"]).contains(LOG));

    installed.settings("max_line = \"1KiB\"\n");
    installed.systemctl("reload");
    installed.settings("no_such_key = 1\n");
    installed.fails("reload");
    assert_eq!(
        installed.property("ActiveState"),
        "active",
        "a refused reload ends nothing"
    );
    installed.settings("");
    installed.systemctl("reload");
    installed.log.write(100);
    installed.caught_up();

    let before = installed.property("MainPID");
    installed.machine.ok(&["kill", "-9", &before]);
    installed.wait("NRestarts", "1");
    installed.wait("ActiveState", "active");
    assert_ne!(installed.property("MainPID"), before);
    installed.log.write(100);
    // What was acknowledged since the last save comes twice: at most all that was written before the kill.
    installed.finish(200);
}

fn systemd_restarts_what_hangs() {
    if !cfg!(debug_assertions) {
        case::skip("fault points are in debug builds only");
    }
    let mut installed = Installed::new("watchdog");
    installed.drop_in("[Service]\nWatchdogSec=2s\nEnvironment=LOGCATCH_FAULT_DIR=/run/faults\n");
    installed.machine.write("/run/faults/none", "");
    installed.log.write(10);
    installed.systemctl("start");
    installed.caught_up();
    let hang = "/run/faults/hang-kafka";
    installed.machine.write(hang, "");
    eventually("it is restarted", || {
        let restarts = installed.property("NRestarts");
        when(restarts != "0", || restarts)
    });
    installed.machine.ok(&["rm", hang]);
    installed.wait("ActiveState", "active");
    installed.log.write(10);
    installed.finish(10);
}

/// A service that somebody runs by hand.
fn by_hand(installed: &Installed) -> Child {
    let words = ["setpriv", "--reuid=logcatch", "--regid=logcatch", "--groups=adm"];
    let words = [
        &words[..],
        &["env", "STATE_DIRECTORY=/var/lib/logcatch", "logcatch", "run"],
    ]
    .concat();
    let mut command = installed.machine.command(&words);
    command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    command.spawn().unwrap()
}

fn systemd_leaves_alone_what_is_refused_or_is_there_twice() {
    let mut installed = Installed::new("refused");
    installed.log.write(10);
    let refused = |installed: &Installed, status: &str| {
        installed.wait("ActiveState", "failed");
        assert_eq!(installed.property("ExecMainStatus"), status, "{}", installed.said());
        assert_eq!(installed.property("NRestarts"), "0");
    };
    installed.settings("no_such_key = 1\n");
    installed.fails("start");
    refused(&installed, "78");

    installed.settings("");
    installed.systemctl("start");
    installed.caught_up();
    installed.systemctl("stop");
    let mut other = by_hand(&installed);
    eventually("the other one answers", || {
        let output = installed.machine.run(&["logcatch", "status"]);
        when(output.code == Some(0), || format!("{output:?}"))
    });
    installed.fails("start");
    refused(&installed, "3");
    // It outlives the program that entered the machine for it.
    installed.machine.ok(&["pkill", "-TERM", "-u", "logcatch"]);
    other.wait().unwrap();
    installed.systemctl("start");
    installed.log.write(10);
    installed.finish(0);
}

fn a_start_on_the_settings_of_before_is_activating_until_the_file_is_good() {
    let mut installed = Installed::new("before");
    installed.log.write(10);
    installed.systemctl("start");
    installed.caught_up();
    installed.systemctl("stop");
    installed.settings("no_such_key = 1\n");
    installed.machine.ok(&["systemctl", "start", "--no-block", "logcatch"]);
    installed.log.write(10);
    installed.caught_up();
    assert_eq!(installed.property("ActiveState"), "activating");
    eventually("the status says why it is not ready", || {
        let text = installed.property("StatusText");
        when(text.starts_with("not ready: the settings are refused"), || text)
    });
    installed.settings("");
    installed.wait("ActiveState", "active");
    installed.log.write(10);
    installed.finish(0);
}
