//! Kafka lets nobody in without TLS or a login.

use std::fs;

use super::control::ok;
use super::fixture::Fixture;
use crate::harness::case::cases;
use crate::harness::eventually::{eventually, when};
use crate::harness::identity;
use crate::harness::pki::{EXPIRED, VALID};
use crate::harness::secure::{Door, PLAIN, SCRAM, USER, secure};
use crate::harness::service::Service;

cases![
    k9_tls_with_the_certificate_of_the_ca_as_a_file_or_as_text,
    k9_an_unknown_ca_is_told_and_mended_by_a_reload,
    k9_an_expired_certificate_of_the_broker_is_told_and_mended_by_a_new_one,
    k9_a_certificate_for_another_host_is_told_and_mended_by_a_reload,
    k9_a_client_certificate_is_wanted_has_expired_and_is_renewed_in_place,
    k9_every_mechanism_logs_in_with_secrets_from_environment_and_file,
    k9_a_wrong_password_is_told_and_mended_without_loss,
    k9_a_password_rotates_under_load,
    k9_tokens_are_fetched_renewed_and_refused,
    k9_positions_are_read_back_with_a_password_and_with_tokens,
];

/// A host whose logs are shipped to the secured broker, and the books of it.
pub struct Safe {
    pub fixture: Fixture,
}

impl Safe {
    pub fn new(name: &str) -> Safe {
        let fixture = Fixture::on(&secure().broker, name, "");
        fixture.host.settings("");
        Safe { fixture }
    }

    /// Settings that go through a door with these properties.
    pub fn text(&self, door: Door, properties: &[(&str, &str)]) -> String {
        let head = self.fixture.host.head(&secure().address(door), &self.fixture.topic);
        let properties: String = properties
            .iter()
            .map(|(name, value)| format!("\"{name}\" = '''{value}'''\n"))
            .collect();
        format!(
            "{head}[kafka.properties]\n\"reconnect.backoff.ms\" = 50\n\"reconnect.backoff.max.ms\" = 200\n{properties}[[logs]]\npath = \"logs/*.log\"\n"
        )
    }

    pub fn settings(&self, door: Door, properties: &[(&str, &str)]) {
        self.fixture.host.settings(&self.text(door, properties));
    }

    /// A file on the host.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.fixture.host.path(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Starts with settings that do not work: the log and the status say why, and `check --broker` what to do.
    fn start_refused(&self, reason: &str, cause: &str, help: &str) -> Service {
        self.fixture.log("logs/app.log").write(100);
        let service = self.fixture.host.start();
        self.is_refused(&service, reason, cause, help);
        service
    }

    fn is_refused(&self, service: &Service, reason: &str, cause: &str, help: &str) {
        service.wait_log(cause);
        service.wait_log(help);
        eventually(&format!("the status says {reason}"), || {
            let status = self.fixture.host.run(&["status", "--json"]).stdout;
            let word = format!("\"reason\":\"{reason}\"");
            let status = status.replace(": ", ":");
            when(status.contains(&word) && status.contains("\"blocked\""), || status)
        });
        let check = self.fixture.host.run(&["check", "--broker"]);
        assert_eq!(check.code, Some(1), "{check:?}");
        assert!(check.stderr.contains(cause) && check.stderr.contains(help), "{check:?}");
    }

    /// The settings in force let lines through: everything arrives once, and `check --broker` finds the topic.
    fn finish(mut self, service: Service) {
        self.fixture.caught_up();
        let check = self.fixture.host.run(&["check", "--broker"]);
        assert_eq!(check.code, Some(0), "{check:?}");
        self.fixture.log("logs/more.log").write(100);
        self.fixture.finish(service);
    }
}

/// What every TLS door needs.
pub fn tls() -> [(&'static str, &'static str); 2] {
    [
        ("security.protocol", "SSL"),
        ("ssl.ca.location", secure().ca().display().to_string().leak()),
    ]
}

fn k9_tls_with_the_certificate_of_the_ca_as_a_file_or_as_text() {
    let mut safe = Safe::new("tls");
    safe.settings(Door::Tls, &tls());
    safe.fixture.log("logs/app.log").write(1000);
    let service = safe.fixture.host.start();
    safe.fixture.caught_up();
    let as_text = [
        ("security.protocol", "ssl"),
        ("ssl.ca.pem", &*format!("${{file:{}}}", secure().ca().display())),
    ];
    safe.settings(Door::Tls, &as_text);
    service.wait_log("new Kafka settings take over");
    safe.finish(service);
}

fn k9_an_unknown_ca_is_told_and_mended_by_a_reload() {
    let safe = Safe::new("unknown-ca");
    safe.settings(Door::Tls, &[("security.protocol", "ssl")]);
    let service = safe.start_refused("kafka-tls-failed", "local issuer certificate", "ssl.ca.location");
    safe.settings(Door::Tls, &tls());
    safe.finish(service);
}

fn k9_an_expired_certificate_of_the_broker_is_told_and_mended_by_a_new_one() {
    let safe = Safe::new("expired");
    safe.settings(Door::Expired, &tls());
    let service = safe.start_refused(
        "kafka-tls-failed",
        "certificate has expired",
        "renew the broker's certificate",
    );
    secure().renew_expired();
    safe.finish(service);
}

fn k9_a_certificate_for_another_host_is_told_and_mended_by_a_reload() {
    let safe = Safe::new("stranger");
    safe.settings(Door::Stranger, &tls());
    let service = safe.start_refused("kafka-tls-failed", "IP address mismatch", "advertised.listeners");
    safe.settings(Door::Tls, &tls());
    safe.finish(service);
}

fn k9_a_client_certificate_is_wanted_has_expired_and_is_renewed_in_place() {
    let safe = Safe::new("mutual");
    safe.settings(Door::Mutual, &tls());
    let service = safe.start_refused("kafka-tls-failed", "alert", "ssl.certificate.location");
    let expired = secure().authority.client("web-1", EXPIRED);
    safe.file("client.key", &expired.key_pem());
    safe.file("client.pem", &expired.certificate_pem());
    // Relative paths are relative to the settings file.
    let mut properties = tls().to_vec();
    properties.extend([
        ("ssl.certificate.location", "client.pem"),
        ("ssl.key.location", "client.key"),
    ]);
    safe.settings(Door::Mutual, &properties);
    service.wait_log_count("new Kafka settings take over", 1);
    service.wait_log_count("no TLS connection to Kafka", 2);
    // One after the other: in between they do not fit together, which changes nothing.
    let renewed = secure().authority.client("web-1", VALID);
    safe.file("client.pem", &renewed.certificate_pem());
    safe.file("client.key", &renewed.key_pem());
    safe.finish(service);
}

fn k9_every_mechanism_logs_in_with_secrets_from_environment_and_file() {
    let mut safe = Safe::new("mechanisms");
    safe.fixture.host = safe.fixture.host.with_value("SCRAM_PASSWORD", SCRAM);
    safe.file("plain", &format!("{PLAIN}\n"));
    let with = |mechanism: &'static str, password: &'static str| {
        let [_, ca] = tls();
        [
            ca,
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanisms", mechanism),
            ("sasl.username", USER),
            ("sasl.password", password),
        ]
    };
    safe.settings(Door::Login, &with("PLAIN", "${file:plain}"));
    let mut log = safe.fixture.log("logs/app.log");
    log.write(100);
    let service = safe.fixture.host.start();
    safe.fixture.caught_up();
    for (count, mechanism) in ["SCRAM-SHA-256", "SCRAM-SHA-512"].into_iter().enumerate() {
        safe.settings(Door::Login, &with(mechanism, "${SCRAM_PASSWORD}"));
        service.wait_log_count("new Kafka settings take over", count + 1);
        log.write(100);
        safe.fixture.caught_up();
    }
    safe.finish(service);
}

/// SCRAM for a user of the test's own, with the password in a file.
fn scram(user: &'static str) -> [(&'static str, &'static str); 5] {
    let [_, ca] = tls();
    [
        ca,
        ("security.protocol", "sasl_ssl"),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("sasl.username", user),
        ("sasl.password", "${file:password}"),
    ]
}

fn k9_a_wrong_password_is_told_and_mended_without_loss() {
    let mut safe = Safe::new("password");
    safe.file("password", SCRAM);
    safe.settings(Door::Login, &scram(USER));
    let mut log = safe.fixture.log("logs/app.log");
    log.write(1000);
    let service = safe.fixture.host.start();
    safe.fixture.caught_up();
    safe.file("password", "a-wrong-one");
    service.wait_log("new Kafka settings take over");
    log.write(1000);
    safe.is_refused(
        &service,
        "kafka-login-refused",
        "alice by SCRAM-SHA-512",
        "sasl.password",
    );
    assert!(service.log().contains("invalid credentials"), "{}", service.log());
    log.write(1000);
    safe.file("password", SCRAM);
    safe.finish(service);
}

fn k9_a_password_rotates_under_load() {
    let mut safe = Safe::new("rotates");
    secure().set_password("rotating", "first-password-1");
    safe.file("password", "first-password-1");
    safe.settings(Door::Login, &scram("rotating"));
    let log = safe.fixture.log("logs/app.log");
    let service = safe.fixture.host.start();
    let writer = crate::harness::writers::Background::repeat(log, |log| {
        log.write(20);
        std::thread::sleep(std::time::Duration::from_millis(10));
    });
    safe.fixture.reader.until_count(500);
    secure().set_password("rotating", "second-password-2");
    safe.file("password", "second-password-2\n");
    service.wait_log("new Kafka settings take over");
    let arrived = safe.fixture.reader.records().len();
    safe.fixture.reader.until_count(arrived + 2000);
    drop(writer.stop());
    assert!(!service.log().contains("refuses the login"), "{}", service.log());
    safe.finish(service);
}

/// A token for the secret in a file.
fn bearer() -> [(&'static str, &'static str); 9] {
    let url = secure().provider.url().leak();
    let [_, ca] = tls();
    [
        ca,
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanisms", "OAUTHBEARER"),
        ("sasl.oauthbearer.method", "oidc"),
        ("sasl.oauthbearer.client.id", identity::CLIENT),
        ("sasl.oauthbearer.client.secret", "${file:secret}"),
        ("sasl.oauthbearer.scope", "write"),
        ("sasl.oauthbearer.token.endpoint.url", &*url),
        ("https.ca.location", ca.1),
    ]
}

fn k9_tokens_are_fetched_renewed_and_refused() {
    let mut safe = Safe::new("tokens");
    let bearer = bearer();
    safe.file("secret", "not-the-secret");
    safe.settings(Door::Bearer, &bearer);
    let service = safe.start_refused(
        "kafka-login-refused",
        "401 Unauthorized invalid_client: wrong secret",
        "token endpoint",
    );
    service.wait_log("no token to log in to Kafka with: lines stay in their files");
    safe.file("secret", identity::SECRET);
    safe.fixture.caught_up();
    // The broker ends a session with its token: lines flow on only with the next ones.
    let given = secure().provider.given();
    let mut log = safe.fixture.log("logs/other.log");
    eventually("tokens are renewed", || {
        log.write(1);
        when(secure().provider.given() >= given + 2, || "not yet".to_owned())
    });
    log.write(100);
    safe.finish(service);
}

fn k9_positions_are_read_back_with_a_password_and_with_tokens() {
    let mut safe = Safe::new("positions");
    safe.fixture.host.exactly_once("safe");
    safe.file("password", SCRAM);
    safe.file("secret", identity::SECRET);
    let mut log = safe.fixture.log("logs/app.log");
    for (door, properties) in [(Door::Login, &scram(USER)[..]), (Door::Bearer, &bearer()[..])] {
        safe.settings(door, properties);
        // It tries a transaction.
        ok(&safe.fixture.host, &["check", "--broker"]);
        let service = safe.fixture.host.start();
        log.write(100);
        safe.fixture.caught_up();
        service.stop();
    }
    // What was read back is where it goes on: nothing comes twice.
    let service = safe.fixture.host.start();
    safe.finish(service);
}
