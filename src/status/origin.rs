//! Where reports come from: the control socket of a service on this host, or the status page of any.

use std::path::PathBuf;
use std::time::Duration;

use logcatch_actors::Report;
use logcatch_settings::cause::chain;
use thiserror::Error;

use crate::control::client::Client;
use crate::control::{Named, Request, offline, reported};
use crate::error::Failure;

/// The page answers within milliseconds; one that says nothing for so long hangs.
const SILENCE: Duration = Duration::from_secs(20);
/// The longest answer: 100,000 files of a kilobyte each, and room.
const LONGEST: u64 = 256 * 1024 * 1024;

/// Gives reports.
pub enum Origin {
    /// Through the control socket.
    Socket {
        /// The state directory.
        state: PathBuf,
        /// Which files.
        request: Request,
        /// The conversation, while there is one.
        client: Option<Client>,
    },
    /// Through the status page.
    Page {
        /// The address of its report.
        url: String,
        /// Which files.
        of: Option<Named>,
        /// The client.
        agent: Box<ureq::Agent>,
    },
}

/// A page that gives no report.
#[derive(Debug, Error)]
#[error("cannot read `{url}`: {cause}")]
struct PageError {
    url: String,
    cause: String,
}

/// Without the client's own words around an error of the system, and without that one's number.
fn cause_of(error: ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => chain(&error),
        error => chain(&error),
    }
}

impl Origin {
    /// The service of a state directory.
    pub fn socket(state: PathBuf, of: Option<Named>) -> Self {
        Self::Socket {
            state,
            request: Request::Status { of },
            client: None,
        }
    }

    /// The service whose page is at `url`.
    pub fn page(url: &str, of: Option<Named>) -> Self {
        let config = ureq::Agent::config_builder().timeout_global(Some(SILENCE));
        // The page sends nobody elsewhere; what stands before it might, to https, for which this client is not built.
        let config = config.max_redirects(0).build();
        Self::Page {
            url: format!("{}/api/v1/status", url.trim_end_matches('/')),
            of,
            agent: Box::new(config.into()),
        }
    }

    /// The report as it is now.
    pub fn report(&mut self) -> Result<Report, Failure> {
        match self {
            Self::Socket { state, request, client } => {
                let mut known = match client.take() {
                    Some(known) => known,
                    None => Client::connect(state)?,
                };
                let report = reported(known.ask(request)?)?;
                *client = Some(known);
                Ok(report)
            }
            Self::Page { url, of, agent } => {
                let failed = |cause| PageError {
                    url: url.clone(),
                    cause,
                };
                let help = "name the service's page, as its web.listen has it: http://127.0.0.1:5642 (plain http: for another host take a tunnel)";
                let mut report = agent
                    .get(url.as_str())
                    .call()
                    .and_then(|mut answer| answer.body_mut().with_config().limit(LONGEST).read_to_vec())
                    .map_err(|error| Failure::new(failed(cause_of(error))).help(help))
                    .and_then(|body| {
                        let read: Result<Report, _> = serde_json::from_slice(&body);
                        read.map_err(|error| {
                            let cause = format!("this is no report of logcatch ({error})");
                            Failure::new(failed(cause)).help(help)
                        })
                    })?;
                if let Some(of) = of {
                    offline::narrow(&mut report, of)?;
                }
                Ok(report)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn failure_of(address: &str) -> String {
        Origin::page(&format!("http://{address}"), None)
            .report()
            .unwrap_err()
            .sentence()
    }

    /// To https the client would panic: it is built without.
    #[test]
    fn a_page_that_sends_elsewhere_is_not_followed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let location = format!("https://{address}/");
        let page = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            let answer =
                format!("HTTP/1.1 301 Moved\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).unwrap();
            // One that follows is heard, and closed.
            listener.set_nonblocking(true).unwrap();
            listener
        });
        let said = failure_of(&address);
        assert!(said.contains("this is no report of logcatch"), "{said}");
        assert!(page.join().unwrap().accept().is_err(), "it was followed");
    }

    #[test]
    fn a_page_without_a_report_says_what_was_read_and_why_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let page = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let said = failure_of(&address);
        let url = format!("http://{address}/api/v1/status");
        let start = format!("cannot read `{url}`: this is no report of logcatch (expected value at");
        assert!(said.starts_with(&start), "{said}");
        page.join().unwrap();
        // Nobody listens there any more.
        assert_eq!(failure_of(&address), format!("cannot read `{url}`: Connection refused"));
    }
}
