//! The watcher of one log path: plain state in `driver`, its actor in `actor`, what its batches owe in `ticket`.

pub(crate) mod actor;
mod driver;
mod ticket;

pub use driver::{Common, TailSpec};
