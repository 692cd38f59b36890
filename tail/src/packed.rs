//! Trees without room in them: there may be tens of thousands of entries, and in each leaf whose keys came in their order half
//! of the room is empty.

use std::collections::BTreeMap;

/// Lays a tree out anew.
pub fn pack<K: Ord, V>(map: &mut BTreeMap<K, V>) {
    *map = std::mem::take(map).into_iter().collect();
}
