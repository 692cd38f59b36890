//! The watcher of one log path: plain state in `driver`, its actor in `actor`, what its batches owe in `ticket`,
//! what its thread is at in `pulse`.

pub(crate) mod actor;
mod driver;
mod origin;
mod pulse;
mod ticket;

pub use driver::{Common, TailSpec};
pub use origin::{headers_of, shape_of};
pub(crate) use pulse::{Pulse, Stuck};
