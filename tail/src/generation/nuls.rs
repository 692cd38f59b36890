//! NULs that are no data, or not yet.

use std::io;

use super::Generation;
use crate::frame::trailing_nuls;

impl Generation {
    /// How many NULs at the start of `data` are a hole: those that another byte is known to follow. None when that is
    /// not known yet.
    pub(super) fn hole_end(&mut self, data: &[u8], size: u64, unit: usize) -> io::Result<Option<usize>> {
        let nuls = data.iter().take_while(|byte| **byte == 0).count();
        if nuls < data.len() {
            // The first byte of a code unit can be NUL.
            return Ok(Some(nuls - nuls % unit));
        }
        let follows = self.source.find_data(self.next.offset + nuls as u64, size)?;
        Ok(follows.map(|follows| if follows { nuls } else { 0 }))
    }

    /// Whether the NULs at the end of `buffer` are content, because data follows in the file. None when that is not
    /// known yet.
    pub(super) fn data_follows(&mut self, buffer: &[u8], size: u64) -> io::Result<Option<bool>> {
        let end = self.next.offset + buffer.len() as u64 - u64::from(self.next.guard.len);
        if trailing_nuls(buffer) == 0 {
            return Ok(Some(true));
        }
        self.source.find_data(end, size)
    }
}
