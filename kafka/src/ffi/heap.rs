//! The C library's heap, which Rust's allocations and librdkafka's come from.

/// All threads share one arena. By default each of a dozen has its own, in which what was free stays: 9 to 14 MB with 10,000
/// files; with two it is 1 to 2 MB more than with one, at the same cost of CPU. Each thread keeps small blocks at hand, so that
/// few of its allocations wait for another's.
#[cfg(target_env = "gnu")]
const ARENAS: libc::c_int = 1;

/// Keeps the memory of the whole process together; to be called before it has threads. Only glibc needs that.
pub fn gather_heap() {
    // SAFETY: it takes two numbers, and may be called at any time.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, ARENAS);
    }
}

/// Gives pages that are free back to the system. Who allocates meanwhile may have to wait: for quiet moments.
pub fn give_back_heap() {
    // SAFETY: it takes a number, changes nothing that is in use, and may be called at any time by any thread.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
