//! Buffers of full reads, used again: given back to the heap, each would leave a gap that small things settle in.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::generation::STEP;
use crate::identity::GUARD_LEN;

/// Bytes that a full read takes: a step, and those before the position.
const ROOM: usize = STEP + GUARD_LEN;

/// So many wait at most, 2 MiB: in full flow one comes back about as often as one is wanted.
const MOST: usize = 8;

/// Buffers that wait for their next use. They hold what lines were in them until then.
#[derive(Debug)]
pub struct Spares {
    waiting: Mutex<Vec<Vec<u8>>>,
    most: AtomicUsize,
}

impl Default for Spares {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            most: AtomicUsize::new(MOST),
        }
    }
}

impl Spares {
    /// An empty buffer for a read of `length` bytes, with room for it if that is a full one.
    pub(crate) fn take(&self, length: usize) -> Vec<u8> {
        if !(STEP..=ROOM).contains(&length) {
            return Vec::new();
        }
        let spare = self.lock().pop();
        spare.unwrap_or_else(|| Vec::with_capacity(ROOM))
    }

    /// So many bytes come back at once, and 2 MiB wait at least: what the heap gets of that it gives back to the system,
    /// and whoever allocates next, be it librdkafka for its requests, waits for new pages.
    pub fn expect(&self, bytes: u64) {
        let buffers = usize::try_from(bytes).unwrap_or(usize::MAX) / STEP;
        self.most.store(buffers.max(MOST), Ordering::Relaxed);
    }

    /// Takes back the buffer of a full read; any other goes.
    pub fn give_back(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() != ROOM {
            return;
        }
        buffer.clear();
        let mut waiting = self.lock();
        if waiting.len() < self.most.load(Ordering::Relaxed) {
            waiting.push(buffer);
        }
    }

    /// Lets go of all: nothing is read any more.
    pub fn clear(&self) {
        *self.lock() = Vec::new();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        // A list of empty buffers is always whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_read_gets_a_buffer_that_was_given_back_and_others_get_none() {
        let spares = Spares::default();
        let mut first = spares.take(ROOM);
        first.extend_from_slice(b"line");
        let place = first.as_ptr();
        spares.give_back(first);
        assert_eq!(spares.take(STEP - 1).capacity(), 0);
        let again = spares.take(STEP);
        assert!(again.is_empty() && again.capacity() == ROOM);
        assert_eq!(again.as_ptr(), place);
    }

    #[test]
    fn few_wait_and_none_of_another_size() {
        let spares = Spares::default();
        spares.give_back(Vec::with_capacity(ROOM / 2));
        assert!(spares.lock().is_empty());
        for _ in 0..=MOST {
            spares.give_back(Vec::with_capacity(ROOM));
        }
        assert_eq!(spares.lock().len(), MOST);
        spares.expect((STEP * 2 * MOST) as u64);
        for _ in 0..=MOST {
            spares.give_back(Vec::with_capacity(ROOM));
        }
        assert_eq!(spares.lock().len(), 2 * MOST, "as many as come back at once");
        spares.clear();
        assert!(spares.lock().is_empty());
    }
}
