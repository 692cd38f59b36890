//! Why a broker's certificate is not accepted. librdkafka's own error says that it is not, and no more.

use std::borrow::Cow;
use std::ffi::{c_char, c_int, c_long, c_void};

use rdkafka::bindings as c;

/// Under this name librdkafka logs what [`explain`] writes, before the error of the connection.
pub(super) const FACILITY: &str = "SSLCERTVRFY";

unsafe extern "C" {
    // Of OpenSSL, which librdkafka is linked with. Gives out constants.
    fn X509_verify_cert_error_string(error: c_long) -> *const c_char;
}

/// Has librdkafka say why.
///
/// # Safety
/// The configuration is alive and no client has it yet.
pub(super) unsafe fn tell_why(configuration: *mut c::rd_kafka_conf_t) {
    // SAFETY: as promised; the function is there as long as the program.
    unsafe { c::rd_kafka_conf_set_ssl_cert_verify_cb(configuration, Some(explain)) };
}

/// Accepts what OpenSSL accepted. Called on librdkafka's threads: nothing in it can panic.
unsafe extern "C" fn explain(
    _client: *mut c::rd_kafka_t,
    _broker: *const c_char,
    _broker_id: i32,
    verdict: *mut c_int,
    _depth: c_int,
    _certificate: *const c_char,
    _size: usize,
    why: *mut c_char,
    why_size: usize,
    _opaque: *mut c_void,
) -> c_int {
    // SAFETY: librdkafka gives a verdict, and a buffer of that size. The text is a constant that ends with a zero;
    // it is copied up to there or to one before the buffer's end, and a zero put behind it.
    unsafe {
        if *verdict == 0 {
            return 1;
        }
        let text = X509_verify_cert_error_string(c_long::from(*verdict));
        let mut length = 0;
        while !text.is_null() && length + 1 < why_size && *text.add(length) != 0 {
            *why.add(length) = *text.add(length);
            length += 1;
        }
        if why_size > 0 {
            *why.add(length) = 0;
        }
        0
    }
}

/// The text of a connection's error with the reason that was logged for it before: `verdict` is
/// `[thrd:B]: B: Certificate (subject=S, issuer=I) verification callback failed: REASON`, the text begins with "B: ".
pub(super) fn with_verdict<'a>(text: &'a str, verdict: &str) -> Cow<'a, str> {
    const BEFORE: &str = " verification callback failed: ";
    let Some((broker, _)) = text
        .split_once(": ")
        .filter(|_| text.contains("certificate verify failed"))
    else {
        return Cow::Borrowed(text);
    };
    match verdict.split_once(BEFORE) {
        Some((certificate, reason)) if certificate.contains(&format!(" {broker}: ")) => {
            let subject = certificate
                .split_once(": Certificate ")
                .map_or("", |(_, subject)| subject);
            Cow::Owned(format!(
                "{broker}: the broker's certificate {subject} is not accepted: {reason}"
            ))
        }
        _ => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_gets_the_reason_that_was_logged_for_its_broker() {
        let text = "ssl://b:1/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: (after 4ms)";
        let verdict = "[thrd:ssl://b:1/bootstrap]: ssl://b:1/bootstrap: Certificate (subject=/CN=b, issuer=/CN=ca) \
                       verification callback failed: certificate has expired";
        assert_eq!(
            with_verdict(text, verdict),
            "ssl://b:1/bootstrap: the broker's certificate (subject=/CN=b, issuer=/CN=ca) is not accepted: certificate has expired"
        );
        assert_eq!(with_verdict(text, &verdict.replace("b:1", "c:1")), text);
        assert_eq!(
            with_verdict("ssl://b:1/bootstrap: Disconnected", verdict),
            "ssl://b:1/bootstrap: Disconnected"
        );
    }

    #[test]
    fn what_openssl_accepted_is_accepted_and_else_the_reason_is_written() {
        let mut why = [1; 8];
        let mut ask = |mut verdict: c_int| {
            let (none, text) = (std::ptr::null_mut(), std::ptr::null());
            // SAFETY: a verdict and a buffer, as librdkafka gives them; the others are not used.
            unsafe {
                explain(
                    none,
                    text,
                    0,
                    &raw mut verdict,
                    0,
                    text,
                    0,
                    why.as_mut_ptr(),
                    why.len(),
                    none.cast(),
                )
            }
        };
        assert_eq!(ask(0), 1);
        assert_eq!(ask(10), 0, "X509_V_ERR_CERT_HAS_EXPIRED");
        assert_eq!(why.map(|byte| byte as u8), *b"certifi\0");
    }
}
