//! Work that may block, on threads of its own.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

/// Runs `work` on a thread that nobody waits for: unlike a pool's, it keeps no runtime from ending. Errands are
/// rare: a question about a topic, a dead letter, a producer that comes or goes.
pub(super) fn detach<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> oneshot::Receiver<T> {
    let (done, result) = oneshot::channel();
    let run = move || {
        // The one who asked may be gone.
        let _ = done.send(work());
    };
    let run = Arc::new(Mutex::new(Some(run)));
    let taken = {
        let run = Arc::clone(&run);
        move || run_once(&run)
    };
    let started = std::thread::Builder::new().name("kafka-errand".into()).spawn(taken);
    if let Err(error) = started {
        // Late rather than never: a question that is not asked holds its topic for ever.
        log::warn!(cause:% = error; "cannot start a thread, the Kafka side waits for what it would have done");
        run_once(&run);
    }
    result
}

fn run_once(slot: &Mutex<Option<impl FnOnce()>>) {
    let run = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(run) = run {
        run();
    }
}
