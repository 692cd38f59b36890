//! Other services that ship files to Kafka, from the settings beside this file: their defaults, except for what
//! makes them comparable (every line from the beginning, acknowledged by all replicas, lz4, idempotent).

use std::fs;
use std::path::Path;
use std::process::Command;

use super::catch_up::compare;
use super::contender::Contender;
use super::harness::guard;
use super::harness::kafka::Broker;
use super::harness::service::Host;
use super::input::Input;

/// One of them.
#[derive(PartialEq, Eq)]
pub struct Peer {
    /// Its name in the table.
    pub name: &'static str,
    /// What is run, if it is installed.
    pub program: &'static str,
    settings: &'static str,
    /// The ending of the settings file, by which some know its format.
    ending: &'static str,
    /// `@SETTINGS@` and `@STATE@` are replaced.
    arguments: &'static [&'static str],
}

static PEERS: [Peer; 6] = [
    Peer {
        name: "rsyslog",
        program: "rsyslogd",
        settings: include_str!("peers/rsyslog.conf"),
        ending: "conf",
        arguments: &["-n", "-f", "@SETTINGS@", "-i", "@STATE@/pid"],
    },
    Peer {
        name: "syslog-ng",
        program: "syslog-ng",
        settings: include_str!("peers/syslog-ng.conf"),
        ending: "conf",
        arguments: &[
            "-F",
            "-f",
            "@SETTINGS@",
            "-R",
            "@STATE@/persist",
            "-p",
            "@STATE@/pid",
            "-c",
            "@STATE@/ctl",
        ],
    },
    Peer {
        name: "Fluent Bit",
        program: "fluent-bit",
        settings: include_str!("peers/fluent-bit.yaml"),
        ending: "yaml",
        arguments: &["-q", "-c", "@SETTINGS@"],
    },
    Peer {
        name: "Vector",
        program: "vector",
        settings: include_str!("peers/vector.toml"),
        ending: "toml",
        arguments: &["-q", "-c", "@SETTINGS@"],
    },
    Peer {
        name: "Filebeat",
        program: "filebeat",
        settings: include_str!("peers/filebeat.yml"),
        ending: "yml",
        arguments: &["-c", "@SETTINGS@", "--strict.perms=false"],
    },
    Peer {
        name: "OpenTelemetry collector",
        program: "otelcol-contrib",
        settings: include_str!("peers/otelcol.yaml"),
        ending: "yaml",
        arguments: &["--config", "@SETTINGS@"],
    },
];

impl Peer {
    /// Ready to be started on a host of its own, to ship what `pattern` matches.
    pub fn command(&self, host: &Host, broker: &str, topic: &str, pattern: &Path) -> Command {
        let state = host.path("peer");
        fs::create_dir_all(&state).unwrap();
        let settings = state.join("settings").with_extension(self.ending);
        let filled = |text: &str| {
            text.replace("@BROKER@", broker)
                .replace("@TOPIC@", topic)
                .replace("@PATTERN@", &pattern.display().to_string())
                .replace("@DIRECTORY@", &pattern.parent().unwrap().display().to_string())
                .replace("@SETTINGS@", &settings.display().to_string())
                .replace("@STATE@", &state.display().to_string())
        };
        fs::write(&settings, filled(self.settings)).unwrap();
        let mut command = guard::command(self.program);
        command.args(self.arguments.iter().map(|argument| filled(argument)));
        command
    }
}

/// One big file to one partition, by all that are installed.
pub fn measure(broker: &Broker, lines: u32, runs: u32) {
    let mut all = vec![Contender::Bare, Contender::Logcatch, Contender::Kcat];
    all.extend(PEERS.iter().map(Contender::Peer));
    compare("peers", broker, &all, 1, &Input::one(lines), runs);
}
