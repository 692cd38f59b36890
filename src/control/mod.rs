//! The control socket of a running service: what is asked and answered there, by the service and by the commands.

pub mod args;
pub mod client;
mod desk;
mod letters;
mod plan;
mod protocol;
mod server;
mod socket;
mod targets;

use logcatch_actors::Report;

use crate::error::Failure;

pub use desk::{Desk, GLANCE};
pub use letters::{ResendError, resend};
pub use plan::{Plan, What};
pub use protocol::{Answer, Done, Meant, Named, PositionRow, Refused, Request};
pub use server::Server;

/// What commands do themselves on the store where no service runs.
pub mod offline {
    pub use super::desk::{edit_refused, keys_of, list, narrow, said};
    pub use super::targets::pick;
}

/// The report in an answer to [`Request::Status`].
pub fn reported(answer: Answer) -> Result<Report, Failure> {
    match answer {
        Answer::Status(report) => Ok(*report),
        other => Err(unexpected(&other)),
    }
}

/// An answer to another question.
pub fn unexpected(answer: &Answer) -> Failure {
    let kind = match answer {
        Answer::Status(_) => "a status",
        Answer::Plan(_) => "a plan",
        Answer::Positions(_) => "positions",
        Answer::Done(_) => "what was done",
        Answer::Letters(_) => "dead letters",
        Answer::Resending(_) | Answer::Resent(_) => "what became of dead letters",
        Answer::Refused(_) => "a refusal",
    };
    Failure::new(format!("cannot understand the service: it answered with {kind}"))
        .help("use the logcatch that runs as the service")
}
