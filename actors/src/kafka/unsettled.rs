//! What is still on its way to Kafka, in words.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// So many topics are named.
const NAMED: usize = 3;

/// Batches that are not settled, and where they go.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Unsettled {
    /// How many; positions that are to be written in a transaction are one.
    pub batches: usize,
    /// The topics of batches, each once.
    pub topics: BTreeSet<Arc<str>>,
}

impl fmt::Display for Unsettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.batches {
            1 => f.write_str("1 batch")?,
            batches => write!(f, "{batches} batches")?,
        }
        for (index, topic) in self.topics.iter().take(NAMED).enumerate() {
            let before = if index == 0 { " for topic" } else { "," };
            write!(f, "{before} `{topic}`")?;
        }
        match self.topics.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_names_three_topics_at_most() {
        let said = |batches, topics: &[&str]| {
            let topics = topics.iter().copied().map(Arc::from).collect();
            Unsettled { batches, topics }.to_string()
        };
        assert_eq!(said(1, &[]), "1 batch");
        assert_eq!(said(1, &["t"]), "1 batch for topic `t`");
        assert_eq!(said(9, &["a", "b", "c"]), "9 batches for topic `a`, `b`, `c`");
        assert_eq!(
            said(9, &["a", "b", "c", "d", "e"]),
            "9 batches for topic `a`, `b`, `c` and 2 more"
        );
    }
}
