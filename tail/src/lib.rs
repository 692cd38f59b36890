//! Reading log files: discovery, identity, rotation, framing, positions.
//!
//! The crate knows no actors, no Kafka and no runtime; nothing here waits. [`Watcher`] reads one path and hands out
//! [`Batch`]es; [`Positions`] remembers what of them is acknowledged.

mod account;
mod claims;
mod copies;
mod discovery;
mod frame;
mod generation;
mod glob;
mod identity;
mod lease;
mod ledger;
mod orphans;
mod position;
mod positions;
mod resume;
mod siblings;
mod store;
mod stream;
mod turnover;
mod watcher;

pub use account::{Account, Balance, Skip};
pub use claims::Claims;
pub use discovery::{Sweep, sweep};
pub use frame::{Framed, Framer, Tail};
pub use generation::STEP;
pub use glob::{Exclude, GlobError, PathGlob};
pub use identity::{GUARD_LEN, Guard, HEAD_LEN, Head, Inode, Stat};
pub use lease::Lease;
pub use ledger::Ledger;
pub use orphans::sweep_orphans;
pub use position::{FileId, Life, Mark, Placement, StreamKey, StreamRecord};
pub use positions::Positions;
pub use siblings::live_names;
pub use store::{Changes, Contents, StateLock, Store, StoreError};
pub use stream::{Settled, Stream};
pub use watcher::{Batch, Condition, QUIET, Todo, WatchError, WatchSpec, Watcher, World};
