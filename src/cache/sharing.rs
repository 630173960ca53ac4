//! What a process shares with others, and what it refreshes on whose behalf.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::counts::FleetReading;
use super::entry::Entry;
use super::fleet::Fleet;
use super::hit::Hit;
use super::memory::Stored;
use super::{HttpCache, log, value};

/// How much longer than its use a value lies in Redis, and the longest it does.
const LEFTOVER: Duration = Duration::from_secs(60);
const LONGEST_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Between two tries to refresh one answer that another replica may be refreshing.
const REFRESH_PAUSE: Duration = Duration::from_millis(250);

impl HttpCache {
    /// Whether a fresh answer should be asked for again behind the caller's back: it nears its end, or purges may have
    /// been missed since it came.
    pub fn is_due(&self, hit: &Hit, now: Instant) -> bool {
        let blind = self.fleet.as_ref().is_some_and(|fleet| fleet.log.is_blind());
        hit.entry.is_due(now)
            || (blind && now.saturating_duration_since(hit.entry.received) > log::BLIND_AFTER)
    }

    /// Whether what a hit was made of is still what is stored under its key.
    pub fn holds(&self, hit: &Hit) -> bool {
        let key = &hit.entry.key;
        matches!(self.memory.get(key.hash, &key.text), Some(Stored::Entry(held)) if Arc::ptr_eq(&held, &hit.entry))
    }

    /// Whether to try a refresh of what a hit was made of. Where another replica may be at it, not on every hit.
    pub fn tries_refresh(&self, hit: &Hit, now: Instant) -> bool {
        self.fleet.is_none() || hit.entry.try_refresh(REFRESH_PAUSE, now)
    }

    /// What there is to see of what the fleet shares; `None` where it shares nothing.
    pub fn fleet_reading(&self) -> Option<FleetReading> {
        self.fleet.as_ref().map(Fleet::reading)
    }

    /// Lets other replicas have an answer, and the way to it.
    pub(super) fn spread(&self, entry: &Arc<Entry>) {
        let Some(fleet) = &self.fleet else { return };
        let left = entry.terms.keep.saturating_sub(entry.age(Instant::now()));
        let life = (left + LEFTOVER).min(LONGEST_LIFE);
        if left.is_zero() {
            return;
        }
        if !entry.names.is_empty() {
            let proof = self.keyer.proof(entry.key.primary_text());
            if let Some(marker) = value::of_variants(&entry.names, &proof) {
                fleet.write_marker(self.keyer.hash(entry.key.primary_text()), marker, life);
            }
        }
        fleet.write_answer(Arc::clone(entry), life);
    }
}
