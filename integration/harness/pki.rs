//! Certificates and keys for tests: a CA, and what it signs.

use std::fs;
use std::path::{Path, PathBuf};

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{BasicConstraints, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Name, X509NameRef};

/// A key with its certificate.
#[derive(Clone)]
pub struct Signed {
    pub key: PKey<Private>,
    pub certificate: X509,
}

/// Seconds from now until a certificate's end; one of the past has expired.
const A_DAY: i64 = 24 * 3600;
pub const EXPIRED: i64 = -60;

/// A certificate authority.
pub struct Authority(Signed);

impl Authority {
    pub fn new(name: &str) -> Authority {
        Authority(make(name, &[], A_DAY, None))
    }

    /// A certificate for a server under these names, which may be addresses.
    pub fn server(&self, names: &[&str], ends_in: i64) -> Signed {
        make("kafka", names, ends_in, Some(&self.0))
    }

    /// A certificate for a client.
    pub fn client(&self, name: &str, ends_in: i64) -> Signed {
        make(name, &[], ends_in, Some(&self.0))
    }

    /// The CA's own certificate.
    pub fn pem(&self) -> String {
        text(self.0.certificate.to_pem().unwrap())
    }
}

impl Signed {
    pub fn certificate_pem(&self) -> String {
        text(self.certificate.to_pem().unwrap())
    }

    /// The key as PKCS #8, which Java wants.
    pub fn key_pem(&self) -> String {
        text(self.key.private_key_to_pem_pkcs8().unwrap())
    }

    /// Writes key and certificate into one file.
    pub fn write(&self, path: &Path) -> PathBuf {
        fs::write(path, self.key_pem() + &self.certificate_pem()).unwrap();
        path.to_owned()
    }
}

/// A new RSA key: one that tokens can be signed with, too.
pub fn key() -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap()
}

fn make(name: &str, names: &[&str], ends_in: i64, issuer: Option<&Signed>) -> Signed {
    let key = key();
    let subject = subject(name);
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let mut serial = BigNum::new().unwrap();
    serial.rand(128, MsbOption::MAYBE_ZERO, false).unwrap();
    builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&subject).unwrap();
    let of_issuer: &X509NameRef = issuer.map_or(&subject, |issuer| issuer.certificate.subject_name());
    builder.set_issuer_name(of_issuer).unwrap();
    builder.set_pubkey(&key).unwrap();
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    let time = |at: i64| Asn1Time::from_unix(at).unwrap();
    builder.set_not_before(&time(now - A_DAY)).unwrap();
    builder.set_not_after(&time(now + ends_in)).unwrap();
    if issuer.is_none() {
        builder
            .append_extension(BasicConstraints::new().critical().ca().build().unwrap())
            .unwrap();
        builder
            .append_extension(KeyUsage::new().key_cert_sign().crl_sign().build().unwrap())
            .unwrap();
    }
    if !names.is_empty() {
        let mut others = SubjectAlternativeName::new();
        for name in names {
            let is_address = name.parse::<std::net::IpAddr>().is_ok();
            if is_address {
                others.ip(name)
            } else {
                others.dns(name)
            };
        }
        let others = others.build(&builder.x509v3_context(None, None)).unwrap();
        builder.append_extension(others).unwrap();
    }
    builder
        .sign(issuer.map_or(&key, |issuer| &issuer.key), MessageDigest::sha256())
        .unwrap();
    Signed {
        key,
        certificate: builder.build(),
    }
}

/// A day without an end: what ends in the future.
pub const VALID: i64 = A_DAY;

fn subject(name: &str) -> X509Name {
    let mut builder = X509Name::builder().unwrap();
    builder.append_entry_by_text("CN", name).unwrap();
    builder.build()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}
