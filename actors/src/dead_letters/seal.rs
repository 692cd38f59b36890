//! A running service's dead letters on their way again: those that are there are sealed, so that nobody adds to their files.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::segments::{LettersError, Segment, Segments};
use super::store::DeadLetterStore;

/// Why letters are not sent again now.
#[derive(Debug, Error)]
pub enum SealError {
    /// One at a time.
    #[error("cannot send dead letters again: others are on their way already")]
    Busy,
    /// It comes too late.
    #[error("cannot send dead letters again: the service stops")]
    Ending,
    /// Their files cannot be read.
    #[error(transparent)]
    Letters(#[from] LettersError),
}

/// The letters that were there at a moment, in files that nobody adds to. There is one of these at a time.
pub struct Sealed {
    store: Arc<DeadLetterStore>,
    files: Vec<Segment>,
    _claimed: OwnedSemaphorePermit,
}

/// The right to send letters again.
#[derive(Debug)]
pub(super) struct Claim {
    free: Arc<Semaphore>,
    ending: AtomicBool,
}

impl Sealed {
    pub(super) fn new(store: Arc<DeadLetterStore>, files: Vec<Segment>, claimed: OwnedSemaphorePermit) -> Self {
        Self {
            store,
            files,
            _claimed: claimed,
        }
    }

    /// The files, oldest first.
    #[must_use]
    pub fn files(&self) -> &[Segment] {
        &self.files
    }

    /// All files of the state directory, sealed or not.
    #[must_use]
    pub fn segments(&self) -> &Segments {
        self.store.segments()
    }

    /// Whether the service stops: what is not yet on its way should stay where it is.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.store.is_ending()
    }
}

impl Drop for Sealed {
    fn drop(&mut self) {
        // What was taken out has made room.
        self.store.look();
    }
}

// === impl Claim ===

impl Default for Claim {
    fn default() -> Self {
        Self {
            free: Arc::new(Semaphore::new(1)),
            ending: AtomicBool::new(false),
        }
    }
}

impl Claim {
    pub(super) fn take(&self) -> Result<OwnedSemaphorePermit, SealError> {
        if self.is_ending() {
            return Err(SealError::Ending);
        }
        Arc::clone(&self.free).try_acquire_owned().map_err(|_| SealError::Busy)
    }

    pub(super) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    pub(super) async fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
        // Never closed, so that this waits for whoever has it.
        let _ = self.free.acquire().await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use logcatch_kafka::{DeadLetters, Letter, Source};

    use super::*;

    fn bury(store: &DeadLetterStore, line: &str) {
        let source = Source {
            log: "nginx".into(),
            path: std::path::Path::new("/x").into(),
            file_id: "f".into(),
        };
        let letter = Letter::new(Arc::new(source), "web".into(), 0, "refused".into(), line.into());
        store.bury(&[letter]).unwrap();
    }

    fn kept(store: &DeadLetterStore) -> Vec<String> {
        let files = store.segments().list().unwrap();
        let lines = files.iter().flat_map(|file| file.lines().unwrap());
        lines
            .map(|line| String::from_utf8(line.unwrap().letter.unwrap().line()).unwrap())
            .collect()
    }

    #[test]
    fn what_comes_while_letters_are_sealed_is_in_another_file_and_stays() {
        let state = tempfile::tempdir().unwrap();
        let store = Arc::new(DeadLetterStore::new(state.path(), u64::MAX));
        bury(&store, "a");
        bury(&store, "b");
        let sealed = store.seal().unwrap();
        assert!(matches!(store.seal(), Err(SealError::Busy)));
        bury(&store, "c");
        let [file] = sealed.files() else {
            panic!("{:?}", sealed.files())
        };
        sealed.segments().take_out(file, &BTreeSet::from([0, 1])).unwrap();
        bury(&store, "d");
        drop(sealed);
        assert_eq!(kept(&store), ["c", "d"]);
        let bytes: u64 = store.segments().list().unwrap().iter().map(|file| file.bytes).sum();
        assert_eq!(store.stored(), bytes, "the room that was made is known");
        // All gone: no number comes back that may be sealed.
        let sealed = store.seal().unwrap();
        for file in sealed.files() {
            sealed.segments().take_out(file, &BTreeSet::from([0, 1])).unwrap();
        }
        bury(&store, "e");
        assert_eq!(store.segments().list().unwrap()[0].number, 3);
    }

    #[tokio::test]
    async fn an_end_waits_for_what_is_under_way_and_nothing_begins_after_it() {
        let state = tempfile::tempdir().unwrap();
        let store = Arc::new(DeadLetterStore::new(state.path(), u64::MAX));
        let sealed = store.seal().unwrap();
        let end = store.end_resend();
        tokio::pin!(end);
        assert!(tokio::time::timeout(Duration::ZERO, &mut end).await.is_err());
        assert!(sealed.is_ending());
        drop(sealed);
        end.await;
        assert!(matches!(store.seal(), Err(SealError::Ending)));
    }
}
