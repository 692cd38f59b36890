//! What an operator sees of a running service over HTTP: a page, a JSON API, metrics and health. Nothing here changes
//! anything: it looks at the service through [`Service`], and never at an actor.

mod api;
mod events;
mod guard;
mod history;
mod metrics;
mod observatory;
mod page;
mod query;
mod server;
mod service;

pub use metrics::{FAMILIES, Family};
pub use observatory::{Observatory, PACE};
pub use server::{ListenError, Listening, listen};
pub use service::{EntryFigures, Looking, Service, Snapshot};
