//! Positions decide when watchers may run: not before they are open, and not while the delivery mode changes.

pub(crate) mod actor;

use tokio::sync::watch;

use crate::kafka::Standing;

/// Whether watchers may run.
#[derive(Debug, Default)]
pub(super) struct Gate {
    is_shut: bool,
    /// How often it was shut: who waited for it before does not open it now.
    times: u64,
    /// Says when positions are open; none where they always are.
    standing: Option<watch::Receiver<Standing>>,
}

impl Gate {
    /// One that this opens.
    pub(super) fn shut_until(standing: watch::Receiver<Standing>) -> Self {
        let is_shut = *standing.borrow() != Standing::Ours;
        Self {
            is_shut,
            times: 0,
            standing: Some(standing),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        !self.is_shut
    }

    fn shut(&mut self) {
        self.is_shut = true;
        self.times += 1;
    }
}
