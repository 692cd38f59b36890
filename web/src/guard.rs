//! What holds for every answer and every request: headers that keep a page from being misused, and names by which this host
//! may be called. A page of another site could else reach a page on loopback through a name of its own (DNS rebinding).

use std::net::IpAddr;

use actix_web::Error;
use actix_web::HttpResponse;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;

/// Whether the page is on loopback only.
#[derive(Debug, Clone, Copy)]
pub struct OnLoopback(pub bool);

/// Only what the service itself serves is loaded, and nobody shows the page inside another one.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Goes around every request.
pub async fn guard<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let on_loopback = request.app_data::<Data<OnLoopback>>().is_none_or(|guard| guard.0);
    let mut response = if on_loopback && !is_ours(request.headers().get(header::HOST)) {
        let refused = HttpResponse::Forbidden()
            .content_type("text/plain; charset=utf-8")
            .body("cannot answer: on loopback this host is called localhost, 127.0.0.1 or [::1]\n");
        request.into_response(refused).map_into_right_body()
    } else {
        next.call(request).await?.map_into_left_body()
    };
    protect(response.headers_mut());
    Ok(response)
}

fn protect(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// A client without the header is no browser.
fn is_ours(host: Option<&HeaderValue>) -> bool {
    let Some(host) = host else { return true };
    host.to_str().is_ok_and(|host| is_loopback(host.trim()))
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((inside, _)) => inside,
        None => host.split(':').next().unwrap_or(host),
    };
    match name.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => name.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_loopback_are_ours() {
        for good in [
            "localhost",
            "LOCALHOST:5642",
            "127.0.0.1:5642",
            "127.1.2.3",
            "[::1]:80",
            "[::1]",
        ] {
            assert!(is_loopback(good), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "localhost.evil.example:80",
            "127.0.0.1.evil.example",
            "10.0.0.1:80",
            "[::2]",
        ] {
            assert!(!is_loopback(bad), "{bad}");
        }
        assert!(is_ours(None));
    }
}
