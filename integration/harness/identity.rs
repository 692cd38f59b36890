//! An identity provider: gives tokens for client credentials over HTTPS, signed as Kafka can verify.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use openssl::ssl::{SslAcceptor, SslMethod};

use super::pki::{self, Signed};

/// Who may have a token, and by which secret.
pub const CLIENT: &str = "logcatch-client";
pub const SECRET: &str = "client-secret-Kj2m/+x9:4";
/// How long a token holds; seconds. Clients ask anew before it ends.
pub const LIFETIME: u64 = 10;

/// How every token begins: its header.
pub const TOKEN_START: &str = "eyJhbGciOiJSUzI1NiIs";

/// What a client that knows the secret says of itself (RFC 6749, section 2.3.1: each encoded as in a form, then joined).
pub fn credentials() -> String {
    let secret = SECRET
        .replace('/', "%2F")
        .replace('+', "%2B")
        .replace(':', "%3A")
        .replace('-', "%2D");
    BASE64_STANDARD.encode(format!("{}:{secret}", CLIENT.replace('-', "%2D")))
}

/// Where keys are that verify tokens, and the key that signs them.
pub struct Keys {
    pub jwks: PathBuf,
    key: PKey<Private>,
}

impl Keys {
    pub fn new(dir: &Path) -> Keys {
        let key = pki::key();
        let rsa = key.rsa().unwrap();
        let (n, e) = (
            BASE64_URL_SAFE_NO_PAD.encode(rsa.n().to_vec()),
            BASE64_URL_SAFE_NO_PAD.encode(rsa.e().to_vec()),
        );
        let jwks = dir.join("jwks.json");
        let text = format!(
            "{{\"keys\":[{{\"kty\":\"RSA\",\"alg\":\"RS256\",\"use\":\"sig\",\"kid\":\"1\",\"n\":\"{n}\",\"e\":\"{e}\"}}]}}"
        );
        std::fs::write(&jwks, text).unwrap();
        Keys { jwks, key }
    }

    fn token(&self) -> String {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let until = now + LIFETIME;
        let header = "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"1\"}";
        let claims = format!(
            "{{\"sub\":\"{CLIENT}\",\"iss\":\"tests\",\"aud\":\"kafka\",\"scope\":\"write\",\"iat\":{now},\"exp\":{until}}}"
        );
        let signed = [header, &claims]
            .map(|part| BASE64_URL_SAFE_NO_PAD.encode(part))
            .join(".");
        let mut signer = Signer::new(MessageDigest::sha256(), &self.key).unwrap();
        let signature = signer.sign_oneshot_to_vec(signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}

/// A provider on a port of its own, until the end of the process.
pub struct Provider {
    address: String,
    given: Arc<AtomicUsize>,
}

impl Provider {
    pub fn start(keys: Arc<Keys>, identity: &Signed) -> Provider {
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
        acceptor.set_private_key(&identity.key).unwrap();
        acceptor.set_certificate(&identity.certificate).unwrap();
        let acceptor = acceptor.build();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let provider = Provider {
            address: listener.local_addr().unwrap().to_string(),
            given: Arc::default(),
        };
        let given = Arc::clone(&provider.given);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // One that does not trust our certificate hangs up.
                let _ = stream.map(|stream| answer(&acceptor, stream, &keys, &given));
            }
        });
        provider
    }

    /// The token endpoint.
    pub fn url(&self) -> String {
        format!("https://{}/token", self.address)
    }

    /// How many tokens it has given.
    pub fn given(&self) -> usize {
        self.given.load(Ordering::Relaxed)
    }
}

fn answer(acceptor: &SslAcceptor, stream: TcpStream, keys: &Keys, given: &AtomicUsize) -> Option<()> {
    stream.set_read_timeout(Some(std::time::Duration::from_secs(5))).ok()?;
    let mut stream = acceptor.accept(stream).ok()?;
    let mut request = Vec::new();
    let mut part = [0; 4096];
    // The form is short: it is there when `grant_type` is.
    while !String::from_utf8_lossy(&request).contains("grant_type=client_credentials") {
        let count = stream.read(&mut part).ok().filter(|count| *count > 0)?;
        request.extend_from_slice(&part[..count]);
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let is_known = request.contains(&format!("Basic {}", credentials()));
    let (status, body) = if is_known && request.contains("scope=write") {
        given.fetch_add(1, Ordering::Relaxed);
        let token = keys.token();
        let body = format!("{{\"access_token\":\"{token}\",\"token_type\":\"Bearer\",\"expires_in\":{LIFETIME}}}");
        ("200 OK", body)
    } else {
        let body = "{\"error\":\"invalid_client\",\"error_description\":\"wrong secret\"}";
        ("401 Unauthorized", body.to_owned())
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).ok()?;
    stream.shutdown().ok()?;
    Some(())
}
