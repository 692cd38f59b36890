//! The byte budget: what may be in memory between a file and Kafka, for all files together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// No file holds more than this part of the budget, so that one whose topic is slow leaves room for the others.
const SHARE: usize = 4;

/// A number of bytes that are lent out, first come, first served. What is read is paid for by a [`Permit`] that rides in the batch.
#[derive(Debug)]
pub struct Budget {
    semaphore: Arc<Semaphore>,
    total: AtomicUsize,
}

/// Bytes of the budget, given back when it is dropped.
#[derive(Debug)]
pub struct Permit {
    inner: OwnedSemaphorePermit,
}

impl Budget {
    /// A budget of `total` bytes.
    #[must_use]
    pub fn new(total: u64) -> Self {
        let total = clamp(total);
        Self {
            semaphore: Arc::new(Semaphore::new(total)),
            total: AtomicUsize::new(total),
        }
    }

    /// The limit in bytes.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    /// Bytes that are lent out now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.total().saturating_sub(self.semaphore.available_permits())
    }

    /// Bytes that are not lent out now.
    #[must_use]
    pub fn free(&self) -> usize {
        self.semaphore.available_permits()
    }

    /// What one file may hold.
    #[must_use]
    pub fn share(&self) -> usize {
        self.total() / SHARE
    }

    /// `bytes` now, or nothing.
    #[must_use]
    pub fn try_acquire(&self, bytes: usize) -> Option<Permit> {
        let semaphore = Arc::clone(&self.semaphore);
        semaphore
            .try_acquire_many_owned(self.price(bytes))
            .ok()
            .map(|inner| Permit { inner })
    }

    /// `bytes` as soon as they are free; those who ask first get them first. More than the whole budget is cut to it:
    /// a line longer than that must be read all the same.
    pub async fn acquire(&self, bytes: usize) -> Option<Permit> {
        let semaphore = Arc::clone(&self.semaphore);
        semaphore
            .acquire_many_owned(self.price(bytes))
            .await
            .ok()
            .map(|inner| Permit { inner })
    }

    /// Changes the limit. What is lent out beyond a smaller one is not lent again.
    pub fn resize(&self, total: u64) {
        let total = clamp(total);
        let before = self.total.swap(total, Ordering::Relaxed);
        if total >= before {
            self.semaphore.add_permits(total - before);
            return;
        }
        let surplus = before - total;
        let missing = surplus - self.semaphore.forget_permits(surplus);
        if missing > 0 {
            let semaphore = Arc::clone(&self.semaphore);
            tokio::spawn(async move {
                if let Ok(permit) = semaphore.acquire_many(u32::try_from(missing).unwrap_or(u32::MAX)).await {
                    permit.forget();
                }
            });
        }
    }

    fn price(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.total())).unwrap_or(u32::MAX)
    }
}

impl Permit {
    /// Gives back what is beyond `bytes`.
    pub fn cut(&mut self, bytes: usize) {
        let surplus = self.inner.num_permits().saturating_sub(bytes);
        drop(self.inner.split(surplus));
    }
}

fn clamp(total: u64) -> usize {
    // A permit counts in `u32`.
    usize::try_from(total).unwrap_or(usize::MAX).min(u32::MAX as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_limit_holds_and_can_be_changed_while_bytes_are_lent() {
        let budget = Budget::new(100);
        let mut permit = budget.acquire(80).await.unwrap();
        assert!(budget.try_acquire(30).is_none());
        permit.cut(50);
        assert_eq!(budget.used(), 50);
        let other = budget.try_acquire(30).unwrap();
        budget.resize(40);
        drop(permit);
        tokio::task::yield_now().await;
        assert!(budget.try_acquire(11).is_none());
        assert!(budget.try_acquire(10).is_some());
        budget.resize(200);
        drop(other);
        // More than all of it is all of it.
        assert!(budget.try_acquire(1000).is_some());
    }
}
