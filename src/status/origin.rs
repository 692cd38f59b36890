//! Where reports come from: the control socket of a service on this host, or the status page of any.

use std::path::PathBuf;
use std::time::Duration;

use logcatch_actors::Report;
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
#[error("cannot read `{url}`")]
struct PageError {
    url: String,
    #[source]
    cause: ureq::Error,
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
        let with_scheme = if url.contains("://") {
            url.to_owned()
        } else {
            format!("http://{url}")
        };
        let config = ureq::Agent::config_builder().timeout_global(Some(SILENCE)).build();
        Self::Page {
            url: format!("{}/api/v1/status", with_scheme.trim_end_matches('/')),
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
                    .map_err(|cause| Failure::new(failed(cause)).help(help))
                    .and_then(|body| {
                        let read: Result<Report, _> = serde_json::from_slice(&body);
                        read.map_err(|error| Failure::new(error).place(url.clone()).help(help))
                    })?;
                if let Some(of) = of {
                    offline::narrow(&mut report, of)?;
                }
                Ok(report)
            }
        }
    }
}
