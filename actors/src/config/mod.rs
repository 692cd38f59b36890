//! The settings file while the service runs: who notices that it changed, and what then happens.

pub(crate) mod actor;
mod herald;
mod watch;

pub use actor::{ConfigActor, Reload};
pub use herald::Herald;
