//! The records that Kafka refuses for themselves: kept in `entry`s, one JSON object a line, in the files of `segments`;
//! the service adds to them through `store`, an operator has them sent again through `resend`, from files under a `seal` while
//! the service runs.

mod entry;
mod resend;
mod seal;
mod segments;
mod store;
mod text;

pub use entry::DeadLetter;
pub use resend::{Refusals, Resend, Resent};
pub use seal::{SealError, Sealed};
pub use segments::{LettersError, Line, Segment, Segments};
pub use store::DeadLetterStore;
pub(crate) use text::utc;
