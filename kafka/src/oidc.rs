//! Tokens for OAUTHBEARER, fetched from an identity provider with client credentials (RFC 6749, section 4.4).
//!
//! librdkafka can do that by itself only where it is built with libcurl, which wants system packages. The properties are
//! its own; what it would do beyond client credentials is refused.

use std::fs;
use std::io::Read as _;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

use crate::options::{Options, Secrets, StartError};

/// Properties of librdkafka that are for us to follow, not for its build without libcurl.
pub(crate) const OURS: [&str; 11] = [
    METHOD,
    CLIENT_ID[0],
    CLIENT_ID[1],
    SECRET[0],
    SECRET[1],
    URL,
    GRANT,
    "sasl.oauthbearer.scope",
    "sasl.oauthbearer.extensions",
    CA_FILE,
    CA_PEM,
];

const METHOD: &str = "sasl.oauthbearer.method";
const CLIENT_ID: [&str; 2] = [
    "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.credentials.client.id",
];
const SECRET: [&str; 2] = [
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.client.credentials.client.secret",
];
const URL: &str = "sasl.oauthbearer.token.endpoint.url";
const GRANT: &str = "sasl.oauthbearer.grant.type";
const CA_FILE: &str = "https.ca.location";
const CA_PEM: &str = "https.ca.pem";

/// An identity provider that has not answered by then will not.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a token is taken to hold whose provider does not say: most give an hour, none less.
const LIFETIME: Duration = Duration::from_secs(300);

/// A token that holds longer is asked for anew all the same.
const LONGEST_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// A token is some kilobytes; what is longer is no answer for us. Bytes.
const ANSWER: u64 = 256 * 1024;

/// Where tokens come from.
pub(crate) struct TokenSource {
    agent: Agent,
    url: String,
    client_id: String,
    client_secret: String,
    scope: Option<String>,
    /// Name and value each: what the broker is told besides the token.
    pub(crate) extensions: Vec<(String, String)>,
    secrets: Secrets,
}

/// A token, and how long it holds.
pub(crate) struct Token {
    pub(crate) value: String,
    pub(crate) lifetime: Duration,
    /// Whose it is, for librdkafka's messages.
    pub(crate) client: String,
}

/// There is no token. No message contains a secret.
#[derive(Debug, thiserror::Error)]
#[error("cannot fetch a token from `{url}`: {cause}")]
pub(crate) struct TokenError {
    url: String,
    cause: String,
}

impl TokenSource {
    /// The source that the options name; none if they name none.
    pub(crate) fn of(options: &Options) -> Result<Option<Self>, StartError> {
        let is_bearer = options
            .mechanism()
            .is_some_and(|mechanism| mechanism.eq_ignore_ascii_case("OAUTHBEARER"));
        let refuse = |reason: &str| StartError::Login {
            reason: reason.to_owned(),
        };
        match options.property(METHOD) {
            Some("oidc") if is_bearer => {}
            Some("oidc" | "default") | None if !is_bearer => return Ok(None),
            _ if options.property("enable.sasl.oauthbearer.unsecure.jwt") == Some("true") => return Ok(None),
            _ => {
                return Err(refuse(
                    "OAUTHBEARER needs `sasl.oauthbearer.method` to be \"oidc\", and a token endpoint",
                ));
            }
        }
        if options
            .property(GRANT)
            .is_some_and(|grant| grant != "client_credentials")
        {
            return Err(refuse(
                "`sasl.oauthbearer.grant.type` can be \"client_credentials\" only",
            ));
        }
        let needed = |names: &[&str]| {
            let found = names.iter().find_map(|name| options.property(name));
            let missing = || {
                refuse(&format!(
                    "OAUTHBEARER needs `{}`",
                    names.first().copied().unwrap_or_default()
                ))
            };
            found.map(str::to_owned).ok_or_else(missing)
        };
        let extension = |pair: &str| {
            pair.split_once('=')
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        };
        let extensions = options.property("sasl.oauthbearer.extensions").unwrap_or_default();
        Ok(Some(Self {
            agent: agent(options)?,
            url: needed(&[URL])?,
            client_id: needed(&CLIENT_ID)?,
            client_secret: needed(&SECRET)?,
            scope: options.property("sasl.oauthbearer.scope").map(str::to_owned),
            extensions: extensions.split(',').filter_map(extension).collect(),
            secrets: options.secrets(),
        }))
    }

    /// Asks for a token. Blocks for ten seconds at most.
    pub(crate) fn fetch(&self) -> Result<Token, TokenError> {
        self.ask().map_err(|cause| TokenError {
            url: self.url.clone(),
            cause: self.secrets.hide(&cause).into_owned(),
        })
    }

    fn ask(&self) -> Result<Token, String> {
        // Encoded as in a form before they are joined (RFC 6749, section 2.3.1).
        let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        let credentials = format!("{}:{}", encoded(&self.client_id), encoded(&self.client_secret));
        let fields = [("grant_type", "client_credentials")]
            .into_iter()
            .chain(self.scope.as_deref().map(|scope| ("scope", scope)));
        let mut response = self
            .agent
            .post(&self.url)
            .header(
                "authorization",
                format!("Basic {}", BASE64_STANDARD.encode(credentials)),
            )
            .header("accept", "application/json")
            .send_form(fields)
            .map_err(|error| error.to_string())?;
        let status = response.status();
        let mut text = String::new();
        let mut body = response.body_mut().as_reader().take(ANSWER);
        body.read_to_string(&mut text).map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        let word = |name: &str| answer.get(name).and_then(Value::as_str);
        if !status.is_success() {
            let said: Vec<&str> = ["error", "error_description"].into_iter().filter_map(word).collect();
            return Err(format!("it answers {status} {}", said.join(": ")).trim_end().to_owned());
        }
        let token = word("access_token").ok_or("its answer holds no `access_token`")?;
        Ok(Token {
            value: token.to_owned(),
            lifetime: answer
                .get("expires_in")
                .and_then(Value::as_u64)
                .map_or(LIFETIME, Duration::from_secs)
                .min(LONGEST_LIFETIME),
            client: self.client_id.clone(),
        })
    }
}

fn agent(options: &Options) -> Result<Agent, StartError> {
    let roots = match (options.property(CA_PEM), options.property(CA_FILE)) {
        (Some(pem), _) => Some(certificates(CA_PEM, pem.as_bytes())?),
        (None, Some(path)) if path != "probe" => {
            let pem = fs::read(path).map_err(|error| StartError::Login {
                reason: format!("the file of `{CA_FILE}` cannot be read: {error}"),
            })?;
            Some(certificates(CA_FILE, &pem)?)
        }
        (None, _) => None,
    };
    let tls = TlsConfig::builder()
        .provider(TlsProvider::NativeTls)
        .root_certs(roots.map_or(RootCerts::PlatformVerifier, RootCerts::from))
        .build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        // The secret is for this endpoint alone.
        .max_redirects(0)
        .user_agent("logcatch")
        .build();
    Ok(config.into())
}

fn certificates(property: &str, pem: &[u8]) -> Result<Vec<Certificate<'static>>, StartError> {
    let found: Vec<_> = parse_pem(pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if found.is_empty() {
        return Err(StartError::Login {
            reason: format!("`{property}` holds no certificate in PEM format"),
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(properties: &[(&str, &str)]) -> Result<Option<TokenSource>, String> {
        let own = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        let options = Options {
            properties: properties.iter().map(own).collect(),
            ..Options::default()
        };
        TokenSource::of(&options).map_err(|error| error.to_string())
    }

    const WHOLE: [(&str, &str); 6] = [
        ("sasl.mechanism", "OAUTHBEARER"),
        (METHOD, "oidc"),
        (URL, "http://127.0.0.1:1/"),
        (CLIENT_ID[1], "me"),
        (SECRET[0], "hunter2"),
        ("sasl.oauthbearer.extensions", "a=1,b=2"),
    ];

    #[test]
    fn what_is_missing_is_named() {
        assert!(source(&[]).unwrap().is_none());
        assert!(
            source(&[("sasl.mechanism", "PLAIN"), (METHOD, "oidc")])
                .unwrap()
                .is_none()
        );
        let found = source(&WHOLE).unwrap().unwrap();
        assert_eq!(found.extensions.len(), 2);
        for missing in [1, 2, 3, 4] {
            let mut properties = WHOLE.to_vec();
            let (name, _) = properties.remove(missing);
            let error = source(&properties).err().unwrap();
            let part = name.replace("client.credentials.", "");
            assert!(
                error.starts_with("cannot log in to Kafka: ") && error.contains(&part),
                "{error}"
            );
        }
        let mut other = WHOLE.to_vec();
        other.push((GRANT, "urn:ietf:params:oauth:grant-type:jwt-bearer"));
        assert!(source(&other).err().unwrap().contains("client_credentials"));
        let unsecured = [
            ("sasl.mechanism", "OAUTHBEARER"),
            ("enable.sasl.oauthbearer.unsecure.jwt", "true"),
        ];
        assert!(source(&unsecured).unwrap().is_none());
    }

    #[test]
    fn a_provider_that_does_not_answer_is_named_and_the_secret_is_not() {
        let error = source(&WHOLE).unwrap().unwrap().fetch().err().unwrap().to_string();
        assert!(
            error.starts_with("cannot fetch a token from `http://127.0.0.1:1/`: "),
            "{error}"
        );
        assert!(!error.contains("hunter2"), "{error}");
    }
}
