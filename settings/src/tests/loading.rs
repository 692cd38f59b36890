//! What good settings mean.

use std::path::Path;
use std::time::Duration;

use super::{Dir, env, good, settings, under};
use crate::{Change, Level, LogFormat, Row, Settings, Start, Watch, diff, state_directory};

const MINIMAL: &str = "[kafka]\nbrokers = \"a:9092\"\ntopic = \"t\"\n[[logs]]\npath = \"/l/*.log\"\n";

fn changed(from: &str, to: &str) -> Settings {
    assert!(MINIMAL.contains(from), "{from}");
    settings(&MINIMAL.replace(from, to))
}

#[test]
fn the_smallest_file_gets_all_defaults() {
    let settings = settings(MINIMAL);
    assert!(!settings.host.is_empty());
    assert_eq!(
        (settings.log.level, settings.log.format),
        (Level::Info, LogFormat::Text)
    );
    assert_eq!(settings.kafka.brokers, ["a:9092"]);
    assert!(settings.kafka.properties.is_empty());
    assert_eq!(settings.state.directory, Path::new("/var/lib/logcatch"));
    assert_eq!(settings.state.checkpoint_interval, Duration::from_secs(1));
    assert_eq!(settings.state.dead_letters, 256 << 20);
    assert_eq!(
        (settings.limits.in_flight, settings.limits.open_files),
        (16 << 20, None)
    );
    assert_eq!(settings.limits.shutdown_timeout, Duration::from_secs(20));
    assert_eq!(settings.web.listen.as_deref(), Some("127.0.0.1:5642"));
    let [log] = settings.logs.as_slice() else {
        panic!("{:?}", settings.logs)
    };
    assert_eq!((log.name.as_str(), log.named), ("/l/*.log", false));
    assert_eq!(log.paths[0].as_str(), "/l/*.log");
    assert!(log.excludes(Path::new("/l/a.gz")) && !log.excludes(Path::new("/l/a.log")));
    assert_eq!(
        (log.topic.as_str(), log.key.as_ref().unwrap().as_str()),
        ("t", "{host}:{path}")
    );
    assert_eq!(
        (log.start, log.watch, log.max_line),
        (Start::Beginning, Watch::Auto, 900 << 10)
    );
}

/// The example of the design in three notations.
#[test]
fn every_notation_means_the_same() {
    let toml = r#"
        host = "web-1"
        log = { level = "debug", format = "json" }
        [kafka]
        brokers = ["kafka-1:9092", "kafka-2:9092"]
        topic = "logcatchsys"
        delivery = "at-least-once"
        [kafka.properties]
        security.protocol = "SASL_SSL"
        "socket.keepalive.enable" = true
        linger.ms = 5
        [state]
        directory = "state"
        checkpoint_interval = "500ms"
        dead_letters = "1MB"
        [limits]
        in_flight = "32MiB"
        shutdown_timeout = "5s"
        [web]
        listen = ""
        file_metrics = false
        [[logs]]
        name = "nginx"
        path = ["nginx/*.log", "/srv//**/access-*.log"]
        exclude_paths = ["*.gz", "/srv/old/**"]
        topic = "nginx"
        key = "{host}:{1}"
        start = "end"
        input = "lines"
        encoding = "UTF-8"
        max_line = "1MiB"
        format = "raw"
        headers = false
        include_lines = []
        fields = {}
        rotated = "auto"
        watch = "poll"
        [[logs]]
        path = "/l/app"
        key = ""
    "#;
    let yaml = r#"
host: web-1
log: { level: debug, format: json }
kafka:
  brokers: "kafka-1:9092, kafka-2:9092"
  topic: logcatchsys
  delivery: at-least-once
  properties:
    security.protocol: SASL_SSL
    socket: { keepalive.enable: true }
    linger.ms: 5
state: { directory: state, checkpoint_interval: 500ms, dead_letters: 1MB }
limits: { in_flight: 32MiB, shutdown_timeout: 5s }
web: { listen: "" }
logs:
  - name: nginx
    path:
      - nginx/*.log
      - /srv//**/access-*.log
    exclude_paths: ["*.gz", /srv/old/**]
    topic: nginx
    key: "{host}:{1}"
    start: end
    max_line: 1MiB
    watch: poll
  - path: /l/app
    key: ""
"#;
    let json = r#"{
        "host": "web-1", "log": {"level": "debug", "format": "json"},
        "kafka": {"brokers": "kafka-1:9092,kafka-2:9092", "topic": "logcatchsys",
            "properties": {"security": {"protocol": "SASL_SSL"}, "socket.keepalive.enable": "true", "linger.ms": "5"}},
        "state": {"directory": "./state", "checkpoint_interval": "500ms", "dead_letters": "1000kB"},
        "limits": {"in_flight": "32MiB", "shutdown_timeout": "5000ms"}, "web": {"listen": ""},
        "logs": [{"name": "nginx", "path": ["nginx/*.log", "/srv/**/access-*.log"],
            "exclude_paths": ["*.gz", "/srv/old/**"], "topic": "nginx", "key": "{host}:{1}", "start": "end",
            "max_line": "1024KiB", "watch": "poll"},
            {"path": "/l/app", "key": ""}]
    }"#;
    let dir = Dir::new();
    dir.write("f.toml", toml);
    dir.write("f.yaml", yaml);
    dir.write("f.json", json);
    let [toml, yaml, json] = ["f.toml", "f.yaml", "f.json"].map(|name| dir.load(name).unwrap().settings);
    assert_eq!(toml, yaml);
    assert_eq!(toml, json);

    assert_eq!(toml.host, "web-1");
    assert_eq!(toml.kafka.brokers, ["kafka-1:9092", "kafka-2:9092"]);
    let properties = toml
        .kafka
        .properties
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>();
    assert_eq!(
        properties,
        [
            "linger.ms=5",
            "security.protocol=SASL_SSL",
            "socket.keepalive.enable=true"
        ]
    );
    assert_eq!(toml.state.directory, dir.path().join("state"));
    assert_eq!(toml.state.dead_letters, 1_000_000);
    let nginx = &toml.logs[0];
    assert_eq!(nginx.paths[0].as_str(), under(&dir.path(), "nginx/*.log"));
    assert_eq!(nginx.paths[1].as_str(), "/srv/**/access-*.log");
    assert_eq!(
        (nginx.start, nginx.watch, nginx.max_line),
        (Start::End, Watch::Poll, 1 << 20)
    );
    assert_eq!((toml.logs[1].name.as_str(), &toml.logs[1].key), ("/l/app", &None));
}

#[test]
fn values_come_from_the_environment_and_from_files() {
    let dir = Dir::new();
    dir.write("secrets/password", "hunter2\n");
    let text = "host = \"${NODE}\"\n[kafka]\nbrokers = \"${BROKERS:-a:9092,b:9092}\"\ntopic = \"$${x}\"\n\
                [kafka.properties]\nsasl.password = \"${file:secrets/password}\"\nsasl.username = \"u\"\n\
                [[logs]]\npath = \"/l/${NODE}/*\"\ntopic = \"t\"\n";
    dir.write("f.toml", &text.replace("$${x}", "t"));
    let loaded = dir.load("f.toml").unwrap();
    assert_eq!(loaded.settings.host, "node-7");
    assert_eq!(loaded.settings.kafka.brokers, ["a:9092", "b:9092"]);
    assert_eq!(loaded.settings.kafka.properties["sasl.password"], "hunter2");
    assert_eq!(loaded.settings.logs[0].paths[0].as_str(), "/l/node-7/*");
    assert!(loaded.sources.concerns(&dir.path().join("secrets/password")));
    assert!(!format!("{:?}", loaded.settings).contains("hunter2"));

    let rows = loaded.effective.iter().flat_map(|section| {
        let dir = &dir;
        let row = move |row: &Row| {
            dir.short(&format!(
                "{}.{} = {} ({})",
                section.name, row.key, row.value, row.origin
            ))
        };
        section.rows.iter().map(row)
    });
    let rows = rows.collect::<Vec<_>>();
    for expected in [
        ".host = \"***\" (f.toml:1, environment NODE)",
        "kafka.brokers = [\"***\"] (f.toml:3, environment BROKERS)",
        "kafka.delivery = \"at-least-once\" (default)",
        "kafka.properties.sasl.password = \"***\" (f.toml:6, file secrets/password)",
        "kafka.properties.sasl.username = \"u\" (f.toml:7)",
        "state.directory = \"/var/lib/logcatch\" (default)",
        "limits.in_flight = \"16MiB\" (default)",
        "logs[0].name = \"/l/node-7/*\" (default: the first path)",
        "logs[0].path = [\"***\"] (f.toml:9, environment NODE)",
        "logs[0].max_line = \"900KiB\" (default)",
    ] {
        assert!(rows.iter().any(|row| row == expected), "{expected}\n{rows:#?}");
    }
    assert!(!rows.join("\n").contains("hunter2"), "{rows:#?}");
}

#[test]
fn includes_bring_further_logs() {
    let dir = Dir::new();
    let path = dir.write(
        "f.toml",
        "include = \"*/*.toml\"\n[kafka]\nbrokers = \"a:1\"\ntopic = \"t\"\n",
    );
    let none = dir.load("f.toml").unwrap();
    assert!(none.settings.logs.is_empty());
    dir.write("conf.d/b.toml", "[[logs]]\npath = \"b.log\"\n");
    dir.write(
        "conf.d/a.toml",
        "[[logs]]\npath = \"/a.log\"\n[[logs]]\npath = \"/a2.log\"\n",
    );
    dir.write("conf.d/c.toml.off", "nonsense");
    let loaded = dir.load("f.toml").unwrap();
    let names = loaded
        .settings
        .logs
        .iter()
        .map(|log| log.name.clone())
        .collect::<Vec<_>>();
    assert_eq!(
        names,
        [
            "/a.log".to_owned(),
            "/a2.log".to_owned(),
            under(&dir.path(), "conf.d/b.log")
        ]
    );
    assert_eq!(loaded.sources.files.len(), 3);
    assert!(loaded.sources.concerns(&path) && loaded.sources.concerns(&dir.path().join("conf.d/new.toml")));
    assert!(!loaded.sources.concerns(&dir.path().join("conf.d/c.toml.off")));
    assert!(loaded.sources.directories().contains(&dir.path()));
}

#[test]
fn the_file_of_the_seed_system_is_translated_with_a_notice() {
    let dir = Dir::new();
    dir.write(
        "f.yaml",
        "collectLogs:\n  - logtopic: web\n    logpath: logs/web.log\n  - LogTopic: 42\n    logpath: /l/b.log\n    logsize: 5\n\
         kafkaconfig:\n  kafkaaddr: localhost:9092\netcd: {}\n",
    );
    let loaded = dir.load("f.yaml").unwrap();
    let logs = &loaded.settings.logs;
    assert_eq!(
        logs.iter().map(|log| log.name.as_str()).collect::<Vec<_>>(),
        ["web", "42"]
    );
    assert_eq!(logs[0].paths[0].as_str(), under(&dir.path(), "logs/web.log"));
    assert!(
        logs.iter()
            .all(|log| log.topic.as_str() == "logcatchsys" && log.start == Start::Beginning)
    );
    assert!(logs.iter().all(|log| log.key.as_ref().unwrap().as_str() == "{name}"));
    assert_eq!(loaded.settings.kafka.brokers, ["localhost:9092"]);
    assert_eq!(
        loaded.notices,
        [
            "the file is of the older form with `collectlogs`: lines go to topic `logcatchsys`, each log's `logtopic` is \
             its name and key",
            "these keys of the older form have no meaning here: `etcd`, `collectlogs[1].logsize`",
        ]
    );

    dir.write(
        "g.yaml",
        "collectlogs:\n  - logpath: /l/a\n  - logtopic: a\n    logpath: true\nkafkaconfig: {}\n",
    );
    let problems = super::problems_in(&dir, "g.yaml");
    assert_eq!(
        problems,
        [
            "g.yaml:2: `collectlogs[0].logtopic` is missing",
            "g.yaml:4: `collectlogs[1].logpath` must be a text that is not empty, not true",
            "g.yaml:5: `kafkaconfig.kafkaaddr` is missing",
        ]
    );
}

#[test]
fn the_state_directory_is_found_in_files_that_are_not_valid() {
    let dir = Dir::new();
    let systemd = |name: &str| (name == "STATE_DIRECTORY").then(|| "/run/a:/run/b".to_owned());
    let cases = [
        (
            "f.toml",
            "host = \"${NONE}\"\n[state]\ndirectory = \"s\"\n[kafka\n",
            under(&dir.path(), "s"),
        ),
        (
            "f.toml",
            "[state]\ndirectory = \"/s/${NODE}\"\nbad = 1",
            "/s/node-7".to_owned(),
        ),
        (
            "f.yaml",
            "state: {directory: /s, bad: 1}\nhost: ${NONE}",
            "/s".to_owned(),
        ),
        ("f.json", "{\"state\": {\"directory\": \"/s\"}}", "/s".to_owned()),
        ("f.toml", "[state]\n", "/var/lib/logcatch".to_owned()),
        ("f.yaml", "state:\n  directory: /s   # here\nlogs: [\n", "/s".to_owned()),
        (
            "f.json",
            "{\"state\": {\"directory\": \"/s/${NODE}\"},}",
            "/s/node-7".to_owned(),
        ),
    ];
    for (name, text, expected) in cases {
        let path = dir.write(name, text);
        assert_eq!(state_directory(&path, &env).unwrap(), Path::new(&expected), "{text}");
    }
    let path = dir.write("f.toml", "");
    assert_eq!(state_directory(&path, &systemd).unwrap(), Path::new("/run/a"));
    let path = dir.write("f.toml", "[state]\ndirectory = \"${NONE}\"");
    assert!(state_directory(&path, &env).is_err());
    assert!(state_directory(&dir.path().join("none.toml"), &env).is_err());
}

#[test]
fn a_difference_is_told_entry_by_entry() {
    let old = settings(MINIMAL);
    assert!(diff(&old, &settings(MINIMAL)).is_empty());
    let what = |new: &Settings| diff(&old, new).changed.first().map(|changed| changed.what.clone());

    let named = |name: &str| changed("path =", &format!("name = \"{name}\"\npath ="));
    let other = diff(&named("a"), &named("b"));
    assert_eq!(
        (other.added, other.removed),
        (vec!["b".to_owned()], vec!["a".to_owned()])
    );

    assert_eq!(what(&changed("\"t\"", "\"u\"")), Some(vec![Change::Topic]));
    assert!(!diff(&old, &changed("\"t\"", "\"u\"")).kafka);
    assert_eq!(
        what(&settings(&format!("{MINIMAL}key = \"x\""))),
        Some(vec![Change::Key])
    );
    assert_eq!(
        what(&settings(&format!("{MINIMAL}watch = \"poll\""))),
        Some(vec![Change::Other])
    );
    assert_eq!(
        what(&settings(&format!("{MINIMAL}exclude_paths = []\ntopic = \"x\""))),
        Some(vec![Change::Paths, Change::Topic])
    );
    assert_eq!(
        what(&settings(&format!("host = \"other\"\n{MINIMAL}"))),
        Some(vec![Change::Key])
    );

    let kafka = diff(&old, &changed("a:9092", "b:9092"));
    assert!(kafka.kafka && kafka.unchanged == ["/l/*.log"] && !kafka.is_empty());
    assert!(diff(&old, &changed("[kafka]", "[limits]\nin_flight = \"4MiB\"\n[kafka]")).limits);
    assert!(diff(&old, &changed("[kafka]", "[log]\nlevel = \"warn\"\n[kafka]")).log);
    assert!(diff(&old, &changed("[kafka]", "[state]\ndirectory = \"/x\"\n[kafka]")).state);
}

#[test]
fn good_settings_have_no_notices() {
    assert!(good(MINIMAL).notices.is_empty());
}
