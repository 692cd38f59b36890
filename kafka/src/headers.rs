//! Headers of records.

/// Bytes that a header takes besides its name and value, at most: two lengths as varints.
const HEADER_COST: usize = 4;

/// What all records of a file carry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// Names and values that are always the same.
    pub fixed: Vec<(String, Vec<u8>)>,
    /// The name of one whose value is the file offset of the record's first byte, in decimal.
    pub offset: Option<String>,
}

/// The headers of one record.
#[derive(Clone, Copy, Debug)]
pub struct RecordHeaders<'a> {
    /// What all records of its file carry.
    pub all: Option<&'a Headers>,
    /// The file offset of its first byte.
    pub offset: u64,
    /// The value of `logcatch.part`, if it is a part of a split line.
    pub part: Option<&'a str>,
}

/// Which part of a split line a record is.
pub(crate) const PART: &str = "logcatch.part";

// === impl Headers ===

impl Headers {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.fixed.is_empty() && self.offset.is_none()
    }

    /// Bytes that they add to a record, at most.
    pub(crate) fn size(&self) -> u64 {
        let digits = u64::MAX.to_string().len();
        let offset = self.offset.iter().map(|name| name.len() + digits + HEADER_COST);
        let fixed = self
            .fixed
            .iter()
            .map(|(name, value)| name.len() + value.len() + HEADER_COST);
        fixed.chain(offset).sum::<usize>() as u64
    }
}

// === impl RecordHeaders ===

impl RecordHeaders<'_> {
    /// Calls `add` with each name and value.
    pub fn for_each(&self, mut add: impl FnMut(&str, &[u8])) {
        if let Some(all) = self.all {
            for (name, value) in &all.fixed {
                add(name, value);
            }
            if let Some(name) = &all.offset {
                add(name, self.offset.to_string().as_bytes());
            }
        }
        if let Some(part) = self.part {
            add(PART, part.as_bytes());
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        let all = self
            .all
            .map_or(0, |all| all.fixed.len() + usize::from(all.offset.is_some()));
        all + usize::from(self.part.is_some())
    }
}
