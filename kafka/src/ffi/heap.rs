//! The C library's heap, which Rust's allocations and librdkafka's come from.

/// Threads share this many arenas. By default each of a dozen threads has its own, in which what was free stays: 9 to 14 MB with
/// 10,000 files, and with two 1 to 2 MB. One is enough, since each thread keeps small blocks at hand.
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
