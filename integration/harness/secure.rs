//! A Kafka that lets nobody in without TLS or a login: one broker with a listener for each case.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::guard;
use super::identity::{Keys, Provider};
use super::kafka::{Broker, More, SMALL, free_port, unique};
use super::pki::{Authority, EXPIRED, Signed, VALID};

/// The user of SASL, and the passwords by mechanism: each its own, so that none is mistaken for another.
pub const USER: &str = "alice";
pub const PLAIN: &str = "plain-secret-8dK2";
pub const SCRAM: &str = "scram-secret-4fQ9";

/// A listener of the broker, by what is special about it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// TLS.
    Tls,
    /// TLS, and clients need a certificate.
    Mutual,
    /// TLS with a certificate that has expired.
    Expired,
    /// TLS with a certificate for another host.
    Stranger,
    /// TLS, then PLAIN or SCRAM.
    Login,
    /// TLS, then OAUTHBEARER.
    Bearer,
}

const DOORS: [(Door, &str, &str); 6] = [
    (Door::Tls, "TLS", "SSL"),
    (Door::Mutual, "MUTUAL", "SSL"),
    (Door::Expired, "EXPIRED", "SSL"),
    (Door::Stranger, "STRANGER", "SSL"),
    (Door::Login, "LOGIN", "SASL_SSL"),
    (Door::Bearer, "BEARER", "SASL_SSL"),
];

/// The broker, its keys and the identity provider it trusts. It has a plain listener, too, for tests to look.
pub struct Secure {
    pub broker: Broker,
    pub authority: Authority,
    pub provider: Provider,
    dir: PathBuf,
    ports: [u16; DOORS.len()],
}

const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

static SECURE: OnceLock<Secure> = OnceLock::new();

/// The one of all tests.
pub fn secure() -> &'static Secure {
    SECURE.get_or_init(Secure::start)
}

/// Ends it, if any test started it.
pub fn end() {
    if let Some(secure) = SECURE.get() {
        secure.broker.kill();
    }
}

impl Secure {
    fn start() -> Secure {
        let dir = guard::run_dir().join(unique("secure"));
        std::fs::create_dir(&dir).unwrap();
        let authority = Authority::new("test ca");
        let keys = Arc::new(Keys::new(&dir));
        let ports = DOORS.map(|_| free_port());
        let jwks = format!("file://{}", keys.jwks.display());
        let allowed = format!("-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={jwks}");
        let java_options = SMALL
            .iter()
            .copied()
            .chain([&*allowed.leak()])
            .collect::<Vec<_>>()
            .leak();
        std::fs::write(dir.join("ca.pem"), authority.pem()).unwrap();
        let format = ["SCRAM-SHA-256", "SCRAM-SHA-512"].into_iter().flat_map(|mechanism| {
            [
                "--add-scram".to_owned(),
                format!("{mechanism}=[name={USER},password={SCRAM}]"),
            ]
        });
        let listeners = DOORS.iter().zip(ports);
        let more = More {
            properties: properties(&dir, &authority, &jwks),
            listeners: listeners
                .map(|((_, name, _), port)| format!(",{name}://127.0.0.1:{port}"))
                .collect(),
            protocols: DOORS
                .iter()
                .map(|(_, name, protocol)| format!(",{name}:{protocol}"))
                .collect(),
            format: format.collect(),
        };
        let provider = Provider::start(keys, &authority.server(&NAMES, VALID));
        Secure {
            broker: Broker::start_with("secure", java_options, &more),
            authority,
            provider,
            dir,
            ports,
        }
    }

    /// What clients connect to.
    pub fn address(&self, door: Door) -> String {
        let place = DOORS.iter().position(|(one, ..)| *one == door).unwrap();
        format!("127.0.0.1:{}", self.ports[place])
    }

    /// The certificate of the CA that signed the broker's.
    pub fn ca(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// Gives the listener whose certificate has expired another one, as an operator renews it.
    pub fn renew_expired(&self) {
        let renewed = self
            .authority
            .server(&NAMES, VALID)
            .write(&self.dir.join("renewed.pem"));
        let change = format!("listener.name.expired.ssl.keystore.location={}", renewed.display());
        self.configure(&[
            "--entity-type",
            "brokers",
            "--entity-name",
            "1",
            "--alter",
            "--add-config",
            &change,
        ]);
    }

    /// Gives a user of SCRAM another password.
    pub fn set_password(&self, user: &str, password: &str) {
        let change = format!("SCRAM-SHA-512=[password={password}]");
        self.configure(&[
            "--entity-type",
            "users",
            "--entity-name",
            user,
            "--alter",
            "--add-config",
            &change,
        ]);
    }

    fn configure(&self, arguments: &[&str]) {
        let address = self.broker.address();
        let all: Vec<&str> = ["--bootstrap-server", &address]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        self.broker.tool("kafka.admin.ConfigCommand", &all);
    }
}

fn properties(dir: &Path, authority: &Authority, jwks: &str) -> String {
    let store = |name: &str, signed: Signed| signed.write(&dir.join(name)).display().to_string();
    let good = store("good.pem", authority.server(&NAMES, VALID));
    let expired = store("expired.pem", authority.server(&NAMES, EXPIRED));
    let stranger = store("stranger.pem", authority.server(&["kafka.example"], VALID));
    let ca = dir.join("ca.pem").display().to_string();
    format!(
        "ssl.keystore.type=PEM\nssl.keystore.location={good}\nssl.truststore.type=PEM\nssl.truststore.location={ca}\n\
         listener.name.mutual.ssl.client.auth=required\n\
         listener.name.expired.ssl.keystore.type=PEM\nlistener.name.expired.ssl.keystore.location={expired}\n\
         listener.name.stranger.ssl.keystore.type=PEM\nlistener.name.stranger.ssl.keystore.location={stranger}\n\
         listener.name.login.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512\n\
         listener.name.login.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
         user_{USER}=\"{PLAIN}\";\n\
         listener.name.login.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;\n\
         listener.name.login.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;\n\
         listener.name.bearer.sasl.enabled.mechanisms=OAUTHBEARER\n\
         listener.name.bearer.oauthbearer.connections.max.reauth.ms=3600000\n\
         listener.name.bearer.oauthbearer.sasl.jaas.config=\
         org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;\n\
         listener.name.bearer.oauthbearer.sasl.server.callback.handler.class=\
         org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler\n\
         listener.name.bearer.sasl.oauthbearer.jwks.endpoint.url={jwks}\n\
         sasl.oauthbearer.jwks.endpoint.url={jwks}\n\
         sasl.oauthbearer.expected.audience=kafka\nsasl.oauthbearer.expected.issuer=tests\n"
    )
}
