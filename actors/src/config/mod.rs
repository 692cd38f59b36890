//! The settings file while the service runs: who notices that it changed, and what then happens.

pub(crate) mod actor;
mod watch;

pub use actor::{ConfigActor, Reload};
