//! The right of watchers to speak for their paths. It is taken from those that stopped answering, so that nothing they do
//! when they wake counts: others read their files by then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Held by the watchers of one thread, for as long as that thread answers.
#[derive(Debug, Clone, Default)]
pub struct Lease(Arc<AtomicBool>);

impl Lease {
    /// Whether it was taken away, for good.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn revoke(&self) {
        self.0.store(true, Ordering::Release);
    }
}
