//! Why Kafka and we do not come together though it answers: the login, or TLS.

use crate::error::Code;
use crate::options::Options;

/// What Kafka refuses us, or we refuse it. None of it passes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The credentials are not accepted, or there is no token.
    Login,
    /// No TLS connection: one side does not accept the other's certificate.
    Tls,
}

/// Words of OpenSSL and librdkafka about a failed TLS connection, and what to do then. The first that fits counts.
const TLS_HELP: [(&[&str], &str); 5] = [
    (
        &["hostname mismatch", "IP address mismatch"],
        "the broker's certificate is for other names: name brokers in `kafka.brokers`, and on the broker in \
         `advertised.listeners`, as the certificate does, or have it made anew",
    ),
    // Also in an alert: then it is our certificate that has expired.
    (
        &["alert certificate expired"],
        "renew the client's certificate, `ssl.certificate.location`; it is read again when the file changes",
    ),
    (
        &["has expired", "not yet valid"],
        "renew the broker's certificate, or set this host's clock",
    ),
    (
        &[
            "self-signed certificate",
            "self signed certificate",
            "local issuer certificate",
            "verify failed",
        ],
        "name the certificate of the CA that signed the broker's as `ssl.ca.location` or `ssl.ca.pem`",
    ),
    (
        &["alert", "client SSL authentication", "certificate required"],
        "Kafka wants a client certificate that it trusts: `ssl.certificate.location` and `ssl.key.location`",
    ),
];

/// librdkafka's words for a token that could not be had.
const NO_TOKEN: &str = "Failed to acquire SASL OAUTHBEARER token";

impl Refusal {
    /// What an error of a connection means; `text` is librdkafka's.
    pub(crate) fn of(code: Code, text: &str) -> Option<Self> {
        match code {
            Code::AUTHENTICATION => Some(Self::Login),
            Code::SSL => Some(Self::Tls),
            // With TLS 1.3 a broker that does not accept our certificate says so when it reads, after the handshake.
            Code::TRANSPORT if text.contains("SSL routines") && text.contains(" alert ") => Some(Self::Tls),
            _ => None,
        }
    }

    /// The phrase of the log.
    pub(crate) fn phrase(self, cause: &str) -> &'static str {
        match self {
            Self::Login if cause.contains(NO_TOKEN) => "no token to log in to Kafka with",
            Self::Login => "Kafka refuses the login",
            Self::Tls => "no TLS connection to Kafka",
        }
    }

    /// What an operator can do, by what was said of it.
    pub fn help(self, cause: &str) -> &'static str {
        match self {
            Self::Login if cause.contains(NO_TOKEN) => {
                "check `sasl.oauthbearer.*` under [kafka.properties], and that the token endpoint can be reached from here"
            }
            Self::Login => {
                "correct `sasl.username` and `sasl.password` under [kafka.properties], or the user's credentials in Kafka; \
                 no restart is needed"
            }
            Self::Tls => TLS_HELP
                .iter()
                .find(|(words, _)| words.iter().any(|word| cause.contains(word)))
                .map_or(
                    "check the `ssl.*` properties under [kafka.properties] and the broker's listener",
                    |(_, help)| help,
                ),
        }
    }
}

impl Options {
    /// Who logs in, as in a message: "bob by SCRAM-SHA-512"; none where nobody does.
    pub fn login(&self) -> Option<String> {
        let protocol = self.property("security.protocol").unwrap_or_default().to_lowercase();
        if !protocol.starts_with("sasl") {
            let has_certificate = [
                "ssl.certificate.location",
                "ssl.certificate.pem",
                "ssl.keystore.location",
            ]
            .iter()
            .any(|name| self.property(name).is_some());
            return (protocol == "ssl" && has_certificate).then(|| "the client certificate".to_owned());
        }
        let mechanism = self.mechanism().unwrap_or("GSSAPI");
        let names: &[&str] = if mechanism.eq_ignore_ascii_case("OAUTHBEARER") {
            &[
                "sasl.oauthbearer.client.id",
                "sasl.oauthbearer.client.credentials.client.id",
            ]
        } else {
            &["sasl.username"]
        };
        let user = names.iter().find_map(|name| Some((*name, self.property(name)?)));
        let user = user.map_or(
            "nobody",
            |(name, value)| if self.hidden.contains(name) { "***" } else { value },
        );
        Some(format!("{user} by {mechanism}"))
    }

    /// The SASL mechanism, if one is given.
    pub(crate) fn mechanism(&self) -> Option<&str> {
        self.property("sasl.mechanisms")
            .or_else(|| self.property("sasl.mechanism"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(properties: &[(&str, &str)]) -> Options {
        let own = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        Options {
            properties: properties.iter().map(own).collect(),
            hidden: ["sasl.username".to_owned()].into(),
            ..Options::default()
        }
    }

    #[test]
    fn who_logs_in_is_told_unless_it_is_hidden() {
        assert_eq!(options(&[]).login(), None);
        let scram = [
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.username", "bob"),
        ];
        assert_eq!(options(&scram).login().as_deref(), Some("*** by SCRAM-SHA-512"));
        let plain = Options {
            hidden: Default::default(),
            ..options(&scram)
        };
        assert_eq!(plain.login().as_deref(), Some("bob by SCRAM-SHA-512"));
        let mutual = [("security.protocol", "ssl"), ("ssl.certificate.pem", "x")];
        assert_eq!(options(&mutual).login().as_deref(), Some("the client certificate"));
    }

    #[test]
    fn an_alert_after_the_handshake_is_no_lost_connection() {
        let text = "ssl://b:1/bootstrap: Receive failed: error:0A000412:SSL routines::ssl/tls alert bad certificate: SSL alert number 42";
        assert_eq!(Refusal::of(Code::TRANSPORT, text), Some(Refusal::Tls));
        assert_eq!(Refusal::of(Code::TRANSPORT, "Disconnected"), None);
    }

    #[test]
    fn what_to_do_follows_from_the_cause() {
        for (cause, word) in [
            ("certificate verify failed: hostname mismatch", "advertised.listeners"),
            (
                "certificate verify failed: certificate has expired",
                "renew the broker's",
            ),
            (
                "certificate verify failed: self-signed certificate in certificate chain",
                "ssl.ca.location",
            ),
            ("sslv3 alert certificate expired", "renew the client's"),
            ("tlsv13 alert certificate required", "ssl.certificate.location"),
            ("wrong version number", "listener"),
        ] {
            assert!(
                Refusal::Tls.help(cause).contains(word),
                "{cause}: {}",
                Refusal::Tls.help(cause)
            );
        }
        assert!(
            Refusal::Login
                .help("Failed to acquire SASL OAUTHBEARER token: cannot fetch a token")
                .contains("endpoint")
        );
        assert!(Refusal::Login.help("invalid credentials").contains("sasl.password"));
    }
}
