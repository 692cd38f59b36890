//! Reading log files: discovery, identity, rotation, framing, positions.
//!
//! The crate knows no actors, no Kafka and no runtime; nothing here waits. [`Watcher`] reads one path and hands out
//! [`Batch`]es; [`Positions`] remembers what of them is acknowledged.

mod account;
mod archive;
mod batch;
mod charset;
mod claims;
mod compose;
mod copied;
mod copies;
mod discovery;
mod edit;
mod envelope;
mod explain;
mod file;
mod frame;
mod generation;
mod glob;
mod handles;
mod identity;
mod inspect;
mod json;
mod lag;
mod lease;
mod ledger;
mod olds;
mod orphans;
mod parked;
mod position;
mod positions;
mod resume;
mod saver;
mod shape;
mod siblings;
mod source;
mod store;
mod stream;
mod turnover;
mod turns;
mod unseen;
mod watcher;
mod wrong;

pub use account::{Account, Balance, Skip};
pub use batch::Batch;
pub use charset::Charset;
pub use claims::Claims;
pub use discovery::{Sweep, sweep};
pub use edit::{EditError, Moved, Place};
pub use envelope::Origin;
pub use frame::{Framed, Framer, Tail};
pub use generation::STEP;
pub use glob::{Exclude, GlobError, PathGlob};
pub use handles::{HOLD, Handles, Seat, Wake, open_files};
pub use identity::{GUARD_LEN, Guard, HEAD_LEN, Head, Inode, Stat};
pub use lag::{LagClock, Seen};
pub use lease::Lease;
pub use ledger::{Done, Ledger};
pub use orphans::sweep_orphans;
pub use position::{Archived, FileId, Life, Mark, Placement, StreamKey, StreamRecord};
pub use positions::Positions;
pub use shape::Shape;
pub use siblings::{Rotated, live_names};
pub use store::{Changes, Contents, StateLock, Store, StoreError};
pub use stream::{Settled, Stream};
pub use watcher::{Condition, QUIET, Todo, WatchError, WatchSpec, Watcher, World};
