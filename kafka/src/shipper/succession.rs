//! One shipper takes the place of another, which ships in another way.

use crate::errand::{Errand, Task};
use crate::outlet::Outlet;
use crate::shipper::Shipper;

impl<O: Outlet> Shipper<O> {
    /// Takes the place of `former`, of which nothing is on its way: readers find its lanes where that one had its own, and counters
    /// go on. Both ring the same bell. Gives the end of the former outlet, which may block.
    #[must_use]
    pub fn succeed(mut self, former: Self) -> (Self, Errand<O>) {
        // Lanes of the former one open never again; nobody reads for them any more.
        former.directory.clear();
        self.directory = former.directory;
        self.stats = former.stats;
        self.stats.positions_wait = None;
        self.wake().ring();
        (self, Errand(Task::Retire(former.outlet)))
    }
}
