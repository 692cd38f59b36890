//! What we ask of etcd, by its JSON gateway (etcd 3.4 or newer): a client for its gRPC would need `protoc` to build.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use logcatch_settings::EtcdSettings;
use serde_json::{Value, json};
use thiserror::Error;
use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

/// A server that has not answered by then will not.
const PATIENCE: Duration = Duration::from_secs(10);
/// A watch without news is begun anew after this: so long a connection that died silently can keep a change from us.
const QUIET: Duration = Duration::from_secs(60);
/// Entries for a host are some kilobytes; what is longer is not for us. Bytes.
const ANSWER: u64 = 16 << 20;

/// What went wrong with etcd.
#[derive(Debug, Error)]
pub enum EtcdError {
    #[error("{0}")]
    Request(#[from] ureq::Error),
    #[error("it answers {status}: {text}")]
    Refused { status: u16, text: String },
    #[error("its answer is not understood: {0}")]
    Answer(String),
    #[error("the certificates in `{path}` cannot be read: {cause}")]
    Certificates { path: String, cause: String },
}

/// A key and its value.
pub type Pair = (String, Vec<u8>);

/// A server of etcd.
pub struct Client<'a> {
    etcd: &'a EtcdSettings,
    endpoint: &'a str,
    agent: Agent,
}

impl<'a> Client<'a> {
    pub fn new(etcd: &'a EtcdSettings, endpoint: &'a str) -> Result<Self, EtcdError> {
        let roots = match &etcd.ca {
            None => RootCerts::PlatformVerifier,
            Some(path) => {
                let fail = |cause: String| EtcdError::Certificates {
                    path: path.display().to_string(),
                    cause,
                };
                let pem = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
                let certificates: Vec<Certificate<'static>> = parse_pem(&pem)
                    .filter_map(|item| match item {
                        Ok(PemItem::Certificate(certificate)) => Some(certificate),
                        _ => None,
                    })
                    .collect();
                if certificates.is_empty() {
                    return Err(fail("it holds none".to_owned()));
                }
                certificates.into()
            }
        };
        let tls = TlsConfig::builder()
            .provider(TlsProvider::NativeTls)
            .root_certs(roots)
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .timeout_connect(Some(PATIENCE))
            .timeout_send_request(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_recv_body(Some(QUIET))
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent("logcatch")
            .build();
        Ok(Self {
            etcd,
            endpoint,
            agent: config.into(),
        })
    }

    /// All keys under the prefix, without it, with their values; and the revision at which it was so.
    pub fn values(&self) -> Result<(u64, Vec<Pair>), EtcdError> {
        let answer = self.ask("kv/range", &self.range())?;
        let revision = answer["header"]["revision"].as_str().and_then(|text| text.parse().ok());
        let revision = revision.ok_or_else(|| EtcdError::Answer("it has no revision".to_owned()))?;
        let bytes = |value: &Value| {
            BASE64_STANDARD
                .decode(value.as_str().unwrap_or_default())
                .unwrap_or_default()
        };
        let pairs = answer["kvs"].as_array().map(Vec::as_slice).unwrap_or_default().iter();
        let pairs = pairs.map(|pair| {
            let key = String::from_utf8_lossy(&bytes(&pair["key"])).into_owned();
            let name = key.strip_prefix(&self.etcd.prefix).unwrap_or(&key).to_owned();
            (name, bytes(&pair["value"]))
        });
        Ok((revision, pairs.collect()))
    }

    /// Returns when something under the prefix may have changed since `revision`, at the latest after a minute.
    pub fn wait_for_change(&self, revision: u64) -> Result<(), EtcdError> {
        let mut request = self.range();
        request["start_revision"] = json!(revision.to_string());
        let body = self.post("watch", &json!({ "create_request": request }))?;
        // The first line says that the watch is there. What ends it is looked into by asking anew.
        for line in BufReader::new(body.into_reader()).lines() {
            match line {
                Ok(line)
                    if line.contains("\"events\"") || line.contains("\"canceled\"") || line.contains("\"error\"") =>
                {
                    break;
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::TimedOut => break,
                Err(error) => return Err(ureq::Error::from(error).into()),
            }
        }
        Ok(())
    }

    fn range(&self) -> Value {
        let prefix = self.etcd.prefix.as_bytes();
        // What follows all that begins with the prefix: no key has a byte 0xff there, prefixes are texts.
        let mut end = prefix.to_vec();
        if let Some(last) = end.last_mut() {
            *last = last.saturating_add(1);
        }
        json!({ "key": BASE64_STANDARD.encode(prefix), "range_end": BASE64_STANDARD.encode(end) })
    }

    fn ask(&self, what: &str, request: &Value) -> Result<Value, EtcdError> {
        read(self.post(what, request)?)
    }

    fn post(&self, what: &str, request: &Value) -> Result<ureq::Body, EtcdError> {
        let mut call = self.agent.post(format!("{}/v3/{what}", self.endpoint));
        if let Some(token) = self.token()? {
            call = call.header("authorization", token);
        }
        accepted(call.send(request.to_string())?)
    }

    /// Logs in, each time: tokens end after minutes, and asking is rare.
    fn token(&self) -> Result<Option<String>, EtcdError> {
        let Some(user) = &self.etcd.user else { return Ok(None) };
        let password = self.etcd.password.as_deref().unwrap_or_default();
        let request = json!({ "name": user, "password": password });
        let call = self.agent.post(format!("{}/v3/auth/authenticate", self.endpoint));
        let answer = read(accepted(call.send(request.to_string())?)?)?;
        let token = answer["token"].as_str();
        token.map_or_else(
            || Err(EtcdError::Answer("it has no token".to_owned())),
            |token| Ok(Some(token.to_owned())),
        )
    }
}

fn accepted(response: ureq::http::Response<ureq::Body>) -> Result<ureq::Body, EtcdError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response.into_body());
    }
    let answer = read(response.into_body()).unwrap_or_default();
    let text = answer["error"].as_str().unwrap_or_default().to_owned();
    Err(EtcdError::Refused {
        status: status.as_u16(),
        text,
    })
}

fn read(body: ureq::Body) -> Result<Value, EtcdError> {
    let mut text = Vec::new();
    body.into_reader()
        .take(ANSWER)
        .read_to_end(&mut text)
        .map_err(ureq::Error::from)?;
    serde_json::from_slice(&text).map_err(|error| EtcdError::Answer(error.to_string()))
}
