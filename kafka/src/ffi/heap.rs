//! The C library's heap, which Rust's allocations and librdkafka's come from.

/// Threads share this many arenas. By default each of a dozen threads has its own, in which what was free stays: 9 to 14 MB with
/// 10,000 files. Two are enough for those that allocate much, since each thread keeps small blocks at hand.
#[cfg(target_env = "gnu")]
const ARENAS: libc::c_int = 2;

/// Keeps the memory of the whole process together; to be called before it has threads. Only glibc needs that.
pub fn gather_heap() {
    // SAFETY: it takes two numbers, and may be called at any time.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, ARENAS);
    }
}
