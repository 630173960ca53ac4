//! `concurrency`: how many calls at once.

use std::time::Duration;

use crate::models::decode::quantity::MILLISECOND;
use crate::models::decode::{Fields, Object};
use crate::models::policy::Concurrency;

/// The fields of the block.
pub(super) const FIELDS: Fields = Fields {
    known: &["limit", "queue", "queueTimeout", "perCaller"],
    unbuilt: &[("adaptive", "give a fixed `limit`")],
};

const QUEUE_TIMEOUT: Duration = Duration::from_millis(100);
const LONGEST_QUEUE_TIMEOUT: Duration = Duration::from_secs(60);

/// Reads the block.
pub(super) fn read(block: &Object) -> Concurrency {
    let seats = |name, least: u32, default: usize| {
        let count = block.read(name, |place| place.count(least..=65_536));
        count.and_then(|count| usize::try_from(count).ok()).unwrap_or(default)
    };
    let queue_timeout =
        block.read("queueTimeout", |place| place.duration(MILLISECOND..=LONGEST_QUEUE_TIMEOUT));
    Concurrency {
        limit: seats("limit", 1, 256),
        queue: seats("queue", 0, 256),
        queue_timeout: queue_timeout.unwrap_or(QUEUE_TIMEOUT),
        per_caller: seats("perCaller", 1, 64),
    }
}
