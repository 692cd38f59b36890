//! Whether a service could keep its positions in Kafka: for an operator who checks settings.

use logcatch_kafka::{Options, PositionsTopic, Unfit, look_at_positions, try_transaction};
use logcatch_settings::ExactlyOnce;
use logcatch_tail::{Owner, TopicWriter};

use super::positions::contents;

/// What is known of the place for positions; it may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PositionsPlace {
    /// Whether the topic exists. Else a service makes it.
    pub exists: bool,
    /// Who used the instance last.
    pub owner: Option<Owner>,
    /// Whether a transaction was tried: not while a service may use the instance, which that would fence.
    pub tried: bool,
}

/// Looks whether positions may be kept there by a service on `host`; `runs`: one runs there now. Blocks for seconds.
///
/// # Errors
/// Why not.
pub fn check_positions(
    options: &Options,
    exactly_once: &ExactlyOnce,
    host: &str,
    runs: bool,
) -> Result<PositionsPlace, Unfit> {
    let ExactlyOnce {
        instance,
        positions_topic,
    } = exactly_once;
    let found = match look_at_positions(options, positions_topic, &TopicWriter::prefix(instance))? {
        PositionsTopic::MayBeMade => None,
        PositionsTopic::Exists(mut found) => {
            let records = std::mem::take(&mut found.records);
            let contents = contents(instance, records).map_err(|error| Unfit::Other(error.to_string()))?;
            Some(contents)
        }
    };
    let owner = found.as_ref().and_then(|contents| contents.owner.clone());
    let (owner, partition) = owner.map_or((None, 0), |(owner, partition)| (Some(owner), partition));
    // One that runs here may use it before any record says so: until its first transaction.
    let tried = !runs && owner.as_ref().is_none_or(|owner| owner.host == host);
    if tried {
        let place = found.is_some().then_some((positions_topic.as_str(), partition));
        try_transaction(options, &exactly_once.transactional_id(), place)?;
    }
    Ok(PositionsPlace {
        exists: found.is_some(),
        owner,
        tried,
    })
}
