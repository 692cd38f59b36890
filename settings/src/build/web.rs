//! `[web]`: the status page.

use std::net::Ipv6Addr;

use crate::given::{Given, Table};
use crate::reader::Report;
use crate::settings::WebSettings;

pub(super) fn settings(table: &Table, report: &mut Report) -> WebSettings {
    let listen = table.text("listen").filter(|text| !text.value.is_empty());
    if let Some(text) = listen.filter(|text| !is_address(&text.value)) {
        let problem = text.spot.problem("must be an address and a port, or empty for no page");
        report
            .problems
            .push(problem.help("write it as \"127.0.0.1:5642\", \"[::1]:5642\" or \"0.0.0.0:5642\""));
    }
    WebSettings {
        listen: listen.map(|text| text.value.clone()),
        file_metrics: matches!(table.given("file_metrics"), Some(Given::Flag(true))),
    }
}

fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let is_host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inside) => inside.parse::<Ipv6Addr>().is_ok(),
        None => {
            let of_name = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | '_');
            !host.is_empty() && host.chars().all(of_name)
        }
    };
    is_host && port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for good in [
            "127.0.0.1:5642",
            "localhost:0",
            "[::1]:80",
            "0.0.0.0:65535",
            "web-1.example:1",
        ] {
            assert!(is_address(good), "{good}");
        }
        for bad in [
            "127.0.0.1",
            ":80",
            "::1:80",
            "a:65536",
            "a:+1",
            "a:",
            "http://a:80",
            "a b:80",
            "[::1]",
        ] {
            assert!(!is_address(bad), "{bad}");
        }
    }
}
