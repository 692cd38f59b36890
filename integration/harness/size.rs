//! How long the long tests are.

/// `usual`, or `long` where `LOGCATCH_LONG` is set: the full size of a case that would take minutes.
pub fn sized<T>(usual: T, long: T) -> T {
    if std::env::var_os("LOGCATCH_LONG").is_some() {
        long
    } else {
        usual
    }
}
