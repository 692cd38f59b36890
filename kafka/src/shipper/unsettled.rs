//! What is not settled yet.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::outlet::Outlet;
use crate::shipper::Shipper;

impl<O: Outlet> Shipper<O> {
    /// The topics of batches that are not settled, each once, in the order of their names.
    pub fn unsettled_topics(&self) -> Vec<Arc<str>> {
        let lanes: BTreeSet<_> = self.parcels.iter().map(|parcel| parcel.lane).collect();
        let topics = self.by_topic.iter().filter(|(_, lane)| lanes.contains(lane));
        let topics: BTreeSet<_> = topics.map(|(topic, _)| Arc::clone(topic)).collect();
        topics.into_iter().collect()
    }
}
