//! Looks into the second level: inside a flight, once for all who wait.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::super::counts::Looked;
use super::super::entry::Entry;
use super::super::key::{Key, RequestView};
use super::super::memory::{HitForMiss, Stored};
use super::super::purges::Validity;
use super::super::value::{self, Answer, Damage, Value};
use super::super::{HIT_FOR_MISS, HttpCache};
use super::Fleet;

/// Ages that differ by less are of one answer: they were reckoned by different clocks.
const SAME_AGE: Duration = Duration::from_millis(50);

impl HttpCache {
    /// Brings what other replicas have for this key into memory, within `limit`. Whether there is now
    /// something in memory that was not there before: look it up.
    pub async fn recall(&self, request: &RequestView<'_>, key: &Key, limit: Duration) -> bool {
        let Some(fleet) = self.reachable() else {
            if let Some(fleet) = &self.fleet {
                fleet.counts.looked(Looked::Skipped);
            }
            return false;
        };
        let (looked, brought) = match self.look(fleet, request, key, limit).await {
            Ok(answer) => answer,
            Err(looked) => (looked, false),
        };
        fleet.counts.looked(looked);
        brought
    }

    /// The second level, where it may be read now.
    pub(in crate::cache) fn reachable(&self) -> Option<&Fleet> {
        self.fleet.as_ref().filter(|fleet| fleet.log.is_in_step() && fleet.redis.is_up())
    }

    /// What was found, and whether it is more than memory had.
    pub(super) async fn look(
        &self,
        fleet: &Fleet,
        request: &RequestView<'_>,
        key: &Key,
        limit: Duration,
    ) -> Result<(Looked, bool), Looked> {
        let (mut key, deadline) = (key.clone(), Instant::now() + limit);
        // At most from a resource to one of its variants.
        for _ in 0..2 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Looked::Failed);
            }
            match self.read(fleet, &key, left).await? {
                Value::Answer(answer) if self.is_selected(&answer, request, &key) => {
                    return self.take_in(*answer, key, request.upstream());
                }
                Value::Variants(names) if !key.is_variant() => {
                    key = self.keyer.reselect(&key, &names, request.headers);
                }
                Value::HitForMiss => {
                    self.believe_hit_for_miss(&key);
                    return Ok((Looked::Miss, true));
                }
                _ => return Err(Looked::Miss),
            }
        }
        Err(Looked::Miss)
    }

    /// The value of a key.
    pub(in crate::cache) async fn read(
        &self,
        fleet: &Fleet,
        key: &Key,
        limit: Duration,
    ) -> Result<Value, Looked> {
        let bytes = fleet.get(key.hash, limit).await.map_err(|_| Looked::Failed)?.ok_or(Looked::Miss)?;
        let proof = self.keyer.proof(&key.text);
        value::read(&bytes, &proof, self.memory.largest(), SystemTime::now()).map_err(|damage| {
            tracing::debug!(?key, ?damage, "a value in Redis is of no use");
            if damage == Damage::Foreign {
                self.memory.collided();
            }
            Looked::Damaged
        })
    }

    /// An answer that stands in a resource's own place answers every selection.
    fn is_selected(&self, answer: &Answer, request: &RequestView<'_>, key: &Key) -> bool {
        self.keyer.reselect(key, answer.names(), request.headers) == *key
    }

    /// Judges an answer and, where it is more than memory has, keeps it.
    pub(in crate::cache) fn take_in(
        &self,
        answer: Answer,
        key: Key,
        upstream: &str,
    ) -> Result<(Looked, bool), Looked> {
        // The count is read first: what comes after it is seen in the entry's next judgement.
        let began = self.purges.moment();
        let now = Instant::now();
        let upstream = self.keyer.upstream(upstream);
        let entry = answer.into_entry(Key { began, ..key }, upstream, began.number, now);
        let looked = match self.purges.judge_anew(&entry) {
            Validity::Gone => return Err(Looked::Outdated),
            Validity::Stale(_) => Looked::Stale,
            Validity::Valid => Looked::Hit,
        };
        let brings = self.brings_more(&entry, looked == Looked::Hit, now);
        if brings {
            self.place(&Arc::new(entry));
        }
        Ok((looked, brings))
    }

    /// Whether it is more than the copy at hand, which may be the very same or come from a faster flight of our own.
    fn brings_more(&self, entry: &Entry, is_valid: bool, now: Instant) -> bool {
        match self.memory.get(entry.key.hash, &entry.key.text) {
            Some(Stored::Entry(held)) => {
                let held_is_valid = self.purges.judge(&held) == Validity::Valid;
                let younger = entry.age(now) + SAME_AGE < held.age(now);
                if is_valid == held_is_valid { younger } else { is_valid }
            }
            _ => true,
        }
    }

    fn believe_hit_for_miss(&self, key: &Key) {
        let until = Instant::now() + HIT_FOR_MISS;
        let marker = HitForMiss { text: Arc::clone(&key.text), until };
        self.memory.put(key.hash, Stored::HitForMiss(Arc::new(marker)));
    }
}
