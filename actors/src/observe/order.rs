//! What the rows of files are sorted by.

use std::cmp::Ordering;

use super::report::FileRow;

/// The greatest is first, except for paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// State, then lag.
    #[default]
    Worst,
    /// Bytes to ship.
    Lag,
    /// For how long the oldest of them waits.
    Age,
    /// Bytes a second.
    Rate,
    /// Starts of the watcher after the first.
    Restarts,
    /// By alphabet.
    Path,
}

impl Order {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Worst,
        Self::Lag,
        Self::Age,
        Self::Rate,
        Self::Restarts,
        Self::Path,
    ];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Worst => "worst",
            Self::Lag => "lag",
            Self::Age => "age",
            Self::Rate => "rate",
            Self::Restarts => "restarts",
            Self::Path => "path",
        }
    }

    /// The next one, round and round.
    #[must_use]
    pub fn next(self) -> Self {
        let place = Self::ALL.iter().position(|one| *one == self).unwrap_or(0);
        Self::ALL.get(place + 1).copied().unwrap_or_default()
    }

    /// Which of two rows is first.
    #[must_use]
    pub fn compare(self, a: &FileRow, b: &FileRow) -> Ordering {
        let age = || b.lag_seconds.total_cmp(&a.lag_seconds);
        let lag = || age().then(b.lag_bytes.cmp(&a.lag_bytes));
        let ordered = match self {
            Self::Worst => b.state.cmp(&a.state).then_with(lag),
            Self::Lag => b.lag_bytes.cmp(&a.lag_bytes).then_with(age),
            Self::Age => lag(),
            Self::Rate => b.bytes_per_second.total_cmp(&a.bytes_per_second),
            Self::Restarts => b.restarts.cmp(&a.restarts),
            Self::Path => Ordering::Equal,
        };
        ordered.then_with(|| (&a.path, &a.log).cmp(&(&b.path, &b.log)))
    }
}
