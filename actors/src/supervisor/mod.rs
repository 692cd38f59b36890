//! The supervisor of all watchers: what the settings mean on this disk, who watches what, and what restarts when.

pub(crate) mod actor;
mod backoff;
mod blind;
mod complaints;
mod delivery;
pub(crate) mod disk;
mod entries;
mod factory;
mod first;
mod heirs;
mod leaving;
mod looks;
mod orders;
mod orphans;
mod overlaps;
mod remote;
mod thrift;
mod watchdog;

pub use actor::{ApplySettings, Drain, SupervisorActor};
pub use orders::{Change, ChangePosition, Changed, OrderError, Restart, change};
