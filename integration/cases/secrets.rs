//! No output holds a secret: not the log at its most talkative, no command's, no error's.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::security::{Safe, tls};
use crate::harness::case::cases;
use crate::harness::identity;
use crate::harness::pki::VALID;
use crate::harness::secure::{Door, PLAIN, SCRAM, USER, secure};
use crate::harness::service::{Host, Output};

cases![
    k9_no_output_holds_a_password,
    k9_no_output_holds_a_key_a_client_secret_or_a_token,
    k9_no_error_about_settings_holds_a_secret,
];

/// Every command that says something of the settings or the service.
const COMMANDS: [&[&str]; 14] = [
    &["settings"],
    &["settings", "--json"],
    &["check"],
    &["check", "--json"],
    &["check", "--broker"],
    &["check", "--broker", "--json"],
    &["plan"],
    &["plan", "--json"],
    &["reload"],
    &["status"],
    &["status", "--json"],
    &["positions", "list"],
    &["dead-letters", "list"],
    &["preview", "logs/app.log"],
];

/// Fails with the line, the secret taken out of it, when a text holds one.
fn assert_without(secrets: &[&str], source: &str, text: &str) {
    for (number, secret) in secrets.iter().enumerate() {
        if let Some(line) = text.lines().find(|line| line.contains(secret)) {
            panic!("secret {number} is in {source}: {}", line.replace(secret, "<SECRET>"));
        }
    }
}

fn assert_output_without(secrets: &[&str], source: &str, output: &Output) {
    assert_without(secrets, source, &output.stdout);
    assert_without(secrets, source, &output.stderr);
}

fn assert_commands_without(secrets: &[&str], host: &Host) {
    for command in COMMANDS {
        assert_output_without(secrets, &format!("{command:?}"), &host.run(command));
    }
}

/// All files below a directory.
fn assert_files_without(secrets: &[&str], dir: &Path) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            assert_files_without(secrets, &entry.path());
        } else if kind.is_file() {
            let text = fs::read(entry.path()).unwrap();
            assert_without(
                secrets,
                &entry.path().display().to_string(),
                &String::from_utf8_lossy(&text),
            );
        }
    }
}

/// What was kept of the settings is for the service's user alone, and was kept as it stood in the file.
fn assert_last_good_is_private(host: &Host, put_in: &[&str]) {
    let kept = host.path("state/last-good");
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o700);
    for file in fs::read_dir(&kept).unwrap().flatten() {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
    }
    assert_files_without(put_in, &host.path("state"));
}

/// Everything is said: by us, by the crates we use, by librdkafka of its logins.
fn talkative(mut safe: Safe) -> Safe {
    safe.fixture.host = safe.fixture.host.with_value("RUST_LOG", "trace");
    safe
}

const DEBUG: (&str, &str) = ("debug", "broker,security,protocol,conf,feature,metadata,topic");

fn k9_no_output_holds_a_password() {
    let mut safe = talkative(Safe::new("passwords"));
    safe.fixture.host = safe.fixture.host.with_value("PASSWORD", SCRAM);
    safe.file("password", PLAIN);
    let [_, ca] = tls();
    let with = |mechanism: &'static str, password: &'static str| {
        let login = [
            ("sasl.mechanisms", mechanism),
            ("sasl.username", USER),
            ("sasl.password", password),
        ];
        let always = [DEBUG, ca, ("security.protocol", "SASL_SSL")];
        always.into_iter().chain(login).collect::<Vec<_>>()
    };
    let secrets = [SCRAM, PLAIN, "a-wrong-one-7"];
    let mut log = safe.fixture.log("logs/app.log");
    log.write(10);
    safe.settings(Door::Login, &with("SCRAM-SHA-256", "${PASSWORD}"));
    let service = safe.fixture.host.start();
    safe.fixture.caught_up();
    assert_commands_without(&secrets, &safe.fixture.host);
    // Typed into the settings, from a file, and a wrong one.
    let others = [
        ("SCRAM-SHA-512", SCRAM),
        ("PLAIN", "${file:password}"),
        ("PLAIN", "a-wrong-one-7"),
    ];
    for (count, (mechanism, password)) in others.into_iter().enumerate() {
        safe.settings(Door::Login, &with(mechanism, password));
        service.wait_log_count("new Kafka settings take over", count + 1);
        log.write(10);
        if password != "a-wrong-one-7" {
            safe.fixture.caught_up();
            assert_commands_without(&secrets, &safe.fixture.host);
        }
    }
    service.wait_log("Kafka refuses the login");
    assert_commands_without(&secrets, &safe.fixture.host);
    safe.settings(Door::Login, &with("PLAIN", "${file:password}"));
    safe.fixture.caught_up();
    let said = service.stop();
    assert!(said.contains("librdkafka"), "librdkafka is not heard");
    assert_without(&secrets, "the log", &said);
    assert_last_good_is_private(&safe.fixture.host, &secrets);
    safe.fixture.verdict().assert_clean();
}

fn k9_no_output_holds_a_key_a_client_secret_or_a_token() {
    let mut safe = talkative(Safe::new("tokens-unseen"));
    let client = secure().authority.client("web-1", VALID);
    let key = client.key_pem();
    let of_key = key.lines().nth(5).unwrap().to_owned();
    safe.file("client.key", &key);
    safe.file("client.pem", &client.certificate_pem());
    let url = secure().provider.url();
    let [_, ca] = tls();
    let bearer = [
        DEBUG,
        ca,
        ("security.protocol", "SASL_SSL"),
        ("ssl.key.pem", "${file:client.key}"),
        ("ssl.certificate.pem", "${file:client.pem}"),
        ("sasl.mechanisms", "OAUTHBEARER"),
        ("sasl.oauthbearer.method", "oidc"),
        ("sasl.oauthbearer.client.id", identity::CLIENT),
        ("sasl.oauthbearer.client.secret", identity::SECRET),
        ("sasl.oauthbearer.scope", "write"),
        ("sasl.oauthbearer.token.endpoint.url", &url),
        ("https.ca.location", ca.1),
    ];
    safe.settings(Door::Bearer, &bearer);
    safe.fixture.log("logs/app.log").write(10);
    let service = safe.fixture.host.start();
    safe.fixture.caught_up();
    let basic = identity::credentials();
    let secrets = [of_key.as_str(), identity::SECRET, &basic, identity::TOKEN_START];
    assert_commands_without(&secrets, &safe.fixture.host);
    let said = service.stop();
    assert!(said.contains("ureq"), "the HTTP client is not heard");
    assert_without(&secrets, "the log", &said);
    assert_last_good_is_private(&safe.fixture.host, &[&of_key, identity::TOKEN_START]);
    safe.fixture.verdict().assert_clean();
}

/// The secret typed, or put in, where it does not belong or is written wrongly.
fn k9_no_error_about_settings_holds_a_secret() {
    const SECRET: &str = "hunter2[secret";
    let mut safe = Safe::new("errors");
    safe.fixture.host = safe.fixture.host.with_value("SECRET", SECRET);
    safe.file("secret", SECRET);
    let good = safe.text(Door::Tls, &tls());
    let property = |line: &str| good.replace("[kafka.properties]\n", &format!("[kafka.properties]\n{line}\n"));
    let entry = |line: &str| format!("{good}{line}\n");
    let typed = [
        property(&format!("\"sasl.password\" = \"{SECRET}")),
        property(&format!("\"sasl.password\" = {SECRET}")),
        property(&format!("\"sasl.password\" = [\"{SECRET}\"]")),
        property(&format!(
            "\"ssl.key.pem\" = \"{SECRET}\"\n\"ssl.certificate.pem\" = \"x\""
        )),
        property(&format!("\"sasl.pasword\" = \"{SECRET}\"")),
        property(&format!("\"sasl.oauthbearer.client.sekret\" = \"{SECRET}\"")),
    ];
    let put_in = ["${SECRET}", "${file:secret}"].into_iter().flat_map(|secret| {
        [
            property(&format!("\"linger.ms\" = \"{secret}\"")),
            property(&format!(
                "\"sasl.mechanisms\" = \"{secret}\"\n\"security.protocol\" = \"{secret}\""
            )),
            property(&format!("\"acks\" = \"{secret}\"")),
            property(&format!("\"ssl.crl.location\" = \"{secret}\"")),
            property(&format!("\"debug\" = \"{secret}\"")),
            good.replace("brokers = [", &format!("brokers = [\"{secret}\", ")),
            good.replace("host = ", &format!("log = {{ level = \"{secret}\" }}\nhost = ")),
            entry(&format!("topic = \"{secret}\"")),
            entry(&format!("key = \"{{{secret}}}\"")),
            entry(&format!("start = \"{secret}\"")),
            entry(&format!("max_line = \"{secret}\"")),
            entry(&format!("exclude_paths = \"{secret}\"")),
            entry(&format!("ignore_older = \"{secret}\"")),
            entry(&format!("rotated = \"{secret}{{\"")),
        ]
    });
    safe.fixture.log("logs/app.log").write(10);
    safe.fixture.host.settings(&good);
    let service = safe.fixture.host.start();
    safe.fixture.caught_up();
    for text in typed.into_iter().chain(put_in) {
        safe.fixture.host.settings(&text);
        let shown = text.replace(SECRET, "<SECRET>");
        for command in [
            &["check"][..],
            &["check", "--json"],
            &["reload"],
            &["plan"],
            &["settings"],
            &["status"],
        ] {
            let output = safe.fixture.host.run(command);
            assert_output_without(&[SECRET], &format!("{command:?} of {shown}"), &output);
            if command == ["check"] {
                assert_eq!(output.code, Some(78), "{shown}\n{output:?}");
            }
        }
    }
    for (name, text) in [
        (
            "f.yaml",
            format!("kafka:\n  brokers: a:1\n  topic: t\n  properties:\n    sasl.password: \"{SECRET}\n"),
        ),
        (
            "f.yaml",
            format!("kafka:\n  properties: {{ sasl.password: [{SECRET}] }}\n"),
        ),
        (
            "f.json",
            format!("{{\"kafka\":{{\"properties\":{{\"sasl.password\":\"{SECRET}"),
        ),
        (
            "f.json",
            format!("{{\"kafka\":{{\"properties\":{{\"sasl.password\":\"{SECRET}\" oops"),
        ),
    ] {
        let path = safe.file(name, &text);
        let output = safe.fixture.host.run(&["check", "--config", &path]);
        assert_eq!(output.code, Some(78), "{name}\n{output:?}");
        assert_output_without(&[SECRET], name, &output);
    }
    safe.fixture.host.settings(&good);
    safe.fixture.log("logs/more.log").write(10);
    safe.fixture.caught_up();
    let said = service.stop();
    assert_without(&[SECRET], "the log", &said);
    safe.fixture.verdict().assert_clean();
}
