//! What of the positions is to go into the next transaction, where they are kept in Kafka beside the lines.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::position::{StreamKey, StreamRecord};
use crate::stream::Stream;

type Callback = Box<dyn FnOnce() + Send>;

/// Changes since the last transaction. What a transaction takes is kept until its end.
pub struct Outbox {
    queue: Mutex<Queue>,
    /// Called when there is something new.
    bell: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct Queue {
    waiting: Changes,
    taken: Changes,
    /// What of each file was taken.
    posted: Vec<(Arc<Stream>, Option<StreamRecord>)>,
    /// Since when something waits.
    since: Option<Instant>,
    ended: bool,
}

#[derive(Default)]
struct Changes {
    streams: Vec<Arc<Stream>>,
    forgotten: Vec<StreamKey>,
    entries: Vec<String>,
    /// Called once everything queued before them is committed.
    callbacks: Vec<Callback>,
}

/// A change to write.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly all of them are files")]
pub enum Post {
    /// The position of a file; none: it is forgotten.
    File(StreamKey, Option<StreamRecord>),
    /// An entry was applied.
    Entry(String),
}

/// What waits for a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// Nothing.
    Nothing,
    /// Changes, since then; nobody waits for them.
    Changes(Instant),
    /// Somebody waits until what changed is committed.
    Urgent,
}

impl Outbox {
    /// An empty one; `bell` is called when there is something new.
    #[must_use]
    pub fn new(bell: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            queue: Mutex::default(),
            bell: Box::new(bell),
        }
    }

    /// A file's position changed.
    pub(crate) fn push(&self, stream: &Arc<Stream>) {
        if stream.posted.load(Ordering::Acquire) {
            return;
        }
        let _ = self.change(|waiting| {
            // Under the lock that `take` holds: who sees it set may rely on the next transaction to take it.
            if !stream.posted.swap(true, Ordering::AcqRel) {
                waiting.streams.push(Arc::clone(stream));
            }
        });
    }

    /// A file is known to the topic and not here.
    pub(crate) fn forget(&self, key: StreamKey) {
        let _ = self.change(|waiting| waiting.forgotten.push(key));
    }

    pub(crate) fn push_entry(&self, name: String) {
        let _ = self.change(|waiting| waiting.entries.push(name));
    }

    pub(crate) fn when_committed(&self, callback: Callback) {
        let _ = self.change(|waiting| waiting.callbacks.push(callback));
    }

    /// False when nothing more is committed.
    fn change(&self, change: impl FnOnce(&mut Changes)) -> bool {
        {
            let mut queue = self.lock();
            if queue.ended {
                return false;
            }
            change(&mut queue.waiting);
            queue.since.get_or_insert_with(Instant::now);
        }
        (self.bell)();
        true
    }

    /// What waits; what was taken does not.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        let queue = self.lock();
        match queue.since {
            _ if !queue.waiting.callbacks.is_empty() => Waiting::Urgent,
            Some(since) => Waiting::Changes(since),
            None => Waiting::Nothing,
        }
    }

    /// Whether nothing is on its way either.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let queue = self.lock();
        queue.since.is_none() && queue.taken.is_empty()
    }

    /// Takes all that waits into the transaction under way. A position that was pledged is the one pledged.
    pub fn take(&self) -> Vec<Post> {
        let mut queue = self.lock();
        let queue = &mut *queue;
        queue.since = None;
        let taken = std::mem::take(&mut queue.waiting);
        let mut posts = Vec::with_capacity(taken.streams.len() + taken.entries.len());
        posts.extend(taken.forgotten.iter().map(|key| Post::File(key.clone(), None)));
        for stream in &taken.streams {
            // Before the record is read: a change after that lists it again.
            stream.posted.store(false, Ordering::Release);
            let record = stream.to_post();
            posts.push(Post::File(stream.key(), record.clone()));
            queue.posted.push((Arc::clone(stream), record));
        }
        posts.extend(taken.entries.iter().cloned().map(Post::Entry));
        queue.taken.append(taken);
        posts
    }

    /// The transaction is committed, and its batches are settled.
    pub fn committed(&self) {
        let (taken, posted) = {
            let mut queue = self.lock();
            (std::mem::take(&mut queue.taken), std::mem::take(&mut queue.posted))
        };
        for (stream, posted) in posted {
            stream.unpledge();
            if !is_posted(stream.to_post().as_ref(), posted.as_ref()) {
                // Forgotten with its last batch, moved on by bytes that made no record, or changed after it was pledged.
                self.push(&stream);
            }
        }
        taken.callbacks.into_iter().for_each(|callback| callback());
    }

    /// It is not: what it took waits for the next one.
    pub fn aborted(&self) {
        // One lock throughout: what `end` gave back is not posted again.
        let mut queue = self.lock();
        queue.posted.clear();
        let mut taken = std::mem::take(&mut queue.taken);
        if taken.is_empty() {
            return;
        }
        taken.streams.retain(|stream| {
            stream.unpledge();
            !stream.posted.swap(true, Ordering::AcqRel)
        });
        let newer = std::mem::replace(&mut queue.waiting, taken);
        queue.waiting.append(newer);
        queue.since.get_or_insert_with(Instant::now);
    }

    /// Nothing more is committed: who waits is not called, and another outbox may have the files.
    pub fn end(&self) {
        let left = {
            let mut queue = self.lock();
            queue.ended = true;
            queue.since = None;
            queue.posted.clear();
            [std::mem::take(&mut queue.waiting), std::mem::take(&mut queue.taken)]
        };
        for stream in left.iter().flat_map(|changes| &changes.streams) {
            stream.unpledge();
            stream.posted.store(false, Ordering::Release);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A panic elsewhere leaves lists that are whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether what is known now is what was written. What a file looks like is written with its next position.
fn is_posted(now: Option<&StreamRecord>, posted: Option<&StreamRecord>) -> bool {
    let (Some(now), Some(posted)) = (now, posted) else {
        return now.is_none() && posted.is_none();
    };
    let seen = StreamRecord {
        head: now.head,
        size: now.size,
        modified: now.modified,
        ..posted.clone()
    };
    *now == seen
}

impl Changes {
    fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.forgotten.is_empty() && self.entries.is_empty() && self.callbacks.is_empty()
    }

    fn append(&mut self, newer: Self) {
        self.streams.extend(newer.streams);
        self.forgotten.extend(newer.forgotten);
        self.entries.extend(newer.entries);
        self.callbacks.extend(newer.callbacks);
    }
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox").finish_non_exhaustive()
    }
}
