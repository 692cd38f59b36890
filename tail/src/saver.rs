//! What waits to be saved, and the thread that saves it: again and again until it works.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use crate::outbox::Outbox;
use crate::store::{Changes, Mode, Store};
use crate::stream::Stream;

/// After a failed save: often enough that a disk that has room again is used soon, rarely enough to cost nothing.
const RETRY: Duration = Duration::from_secs(1);
/// A save that keeps failing is said again after this long.
const SAY_AGAIN: Duration = Duration::from_secs(60);

type Callback = Box<dyn FnOnce() + Send>;

/// What waits to be saved.
#[derive(Debug)]
pub(crate) struct Dirty {
    queue: Mutex<Queue>,
    pub(crate) changed: Condvar,
    /// Where positions are kept in Kafka: the store then follows it.
    outbox: RwLock<Option<Arc<Outbox>>>,
}

#[derive(Default)]
pub(crate) struct Queue {
    streams: Vec<Arc<Stream>>,
    pub(crate) entries: Vec<String>,
    pub(crate) mode: Option<Mode>,
    /// Called once everything queued before them is on disk.
    pub(crate) callbacks: Vec<Callback>,
    pub(crate) interval: Duration,
    pub(crate) stop: bool,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue")
            .field("streams", &self.streams.len())
            .finish_non_exhaustive()
    }
}

impl Dirty {
    pub(crate) fn new(interval: Duration) -> Self {
        let queue = Queue {
            interval,
            ..Queue::default()
        };
        Self {
            queue: Mutex::new(queue),
            changed: Condvar::new(),
            outbox: RwLock::default(),
        }
    }

    pub(crate) fn push(&self, stream: &Arc<Stream>) {
        self.push_local(stream);
        self.post(stream);
    }

    /// For the next transaction only.
    pub(crate) fn post(&self, stream: &Arc<Stream>) {
        if let Some(outbox) = self.outbox() {
            outbox.push(stream);
        }
    }

    /// None where positions are kept in the store.
    pub(crate) fn outbox(&self) -> Option<Arc<Outbox>> {
        self.outbox.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes go there too from now on, or nowhere else. Gives where they went before.
    pub(crate) fn set_outbox(&self, outbox: Option<Arc<Outbox>>) -> Option<Arc<Outbox>> {
        std::mem::replace(
            &mut *self.outbox.write().unwrap_or_else(PoisonError::into_inner),
            outbox,
        )
    }

    /// For the store only.
    pub(crate) fn push_local(&self, stream: &Arc<Stream>) {
        if !stream.listed.swap(true, Ordering::AcqRel) {
            self.lock().streams.push(Arc::clone(stream));
            self.changed.notify_one();
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Figures about saving.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) saved_at: AtomicU64,
    pub(crate) errors: AtomicU64,
}

/// True when everything was saved in the end.
pub(crate) fn save_until_stopped(mut store: Store, dirty: &Dirty, figures: &Figures) -> bool {
    let mut last = Instant::now();
    let mut said: Option<Instant> = None;
    loop {
        let (streams, entries, mode, callbacks, stop) = {
            let mut queue = dirty.lock();
            loop {
                let due = (!queue.streams.is_empty() || !queue.entries.is_empty() || queue.mode.is_some())
                    .then(|| queue.interval.saturating_sub(last.elapsed()));
                if queue.stop || !queue.callbacks.is_empty() || due == Some(Duration::ZERO) {
                    break;
                }
                queue = match due {
                    Some(wait) => {
                        dirty
                            .changed
                            .wait_timeout(queue, wait)
                            .unwrap_or_else(PoisonError::into_inner)
                            .0
                    }
                    None => dirty.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
                };
            }
            let queue = &mut *queue;
            (
                std::mem::take(&mut queue.streams),
                std::mem::take(&mut queue.entries),
                queue.mode.take(),
                std::mem::take(&mut queue.callbacks),
                queue.stop,
            )
        };
        last = Instant::now();
        let mut changes = Changes {
            entries,
            mode,
            ..Changes::default()
        };
        for stream in &streams {
            // Before the record is read: a change after that lists it again.
            stream.take_listed();
            match stream.to_save() {
                Some(record) => changes.puts.push(record),
                None => changes.removes.push(stream.key()),
            }
        }
        let saved = if changes.is_empty() {
            if stop { store.check() } else { Ok(()) }
        } else {
            store.save(&changes)
        };
        match saved {
            Ok(()) => {
                if said.take().is_some() {
                    log::info!("positions are saved again");
                }
                let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
                figures.saved_at.store(now, Ordering::Relaxed);
                callbacks.into_iter().for_each(|callback| callback());
            }
            Err(error) => {
                figures.errors.fetch_add(1, Ordering::Relaxed);
                if said.is_none_or(|at| at.elapsed() >= SAY_AGAIN) {
                    said = Some(Instant::now());
                    let cause = std::error::Error::source(&error).map_or_else(String::new, ToString::to_string);
                    log::error!(cause:%, help = "free space or repair the disk; shipping goes on and a crash now repeats lines"; "{error}");
                }
                streams.iter().for_each(|stream| dirty.push_local(stream));
                let mut queue = dirty.lock();
                queue.entries.extend(changes.entries);
                queue.mode = queue.mode.take().or(changes.mode);
                queue.callbacks.splice(0..0, callbacks);
                if !stop {
                    drop(queue);
                    std::thread::sleep(RETRY);
                }
            }
        }
        if stop {
            return said.is_none();
        }
    }
}
