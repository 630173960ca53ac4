//! The cache: what may be answered without asking the upstream (RFC 9111, 5861, 9211, 9213), the memory it lies in, and
//! what replicas share of it.
//!
//! Pure logic and a store; all that waits for Redis is in `fleet`. The gateway asks `HttpCache::lookup` first; on anything
//! but a fresh hit it fetches (with `set_conditions` on the request), then `HttpCache::admit`s the response by its
//! headers and `HttpCache::insert`s it once the body is whole, or `HttpCache::freshen`es the stored one by a
//! 304. Whether an answer is still valid is judged when it is read, never when it is written.
//!
//! `HttpCache::get_or_load` keeps values of our own in the same places, under the same purges.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, header};
use tokio::time::Instant;

mod directives;
mod targeted;

mod fingerprint;
mod freshness;
mod storable;

mod key;
mod vary;

mod conditional;
mod entry;
mod hit;
mod lookup;

mod capacity;
mod memory;

mod early;
mod outdated;
mod position;
mod purge;
mod purges;
mod purging;
mod tags;

mod counts;
mod fleet;
mod log;
mod runway;
mod sharing;
mod value;
mod values;

mod status;

pub use capacity::default_capacity;
pub use conditional::{is_not_modified, set_conditions};
pub use counts::{FleetReading, Looked, Written};
pub use entry::Entry;
pub use fleet::{Claim, Lease, Turn};
pub use freshness::ExchangeTimes;
pub use hit::Hit;
pub use key::{Key, Partition, RequestView};
pub use log::LogReading;
pub use lookup::{Bypass, Lookup};
pub use purge::{Purge, Scope, Strength};
pub use runway::median;
pub use status::{CacheStatus, Forward};
pub use storable::{Refusal, ResponseHead, StoreRules};
pub use values::{Level, ValueKey};

use crate::redis::Redis;
use counts::PurgesMade;
use fleet::Fleet;
use key::Keyer;
use memory::{HitForMiss, Memory, Stored};
use position::Origin;
use purges::{Purges, Validity};
use storable::Terms;
use tags::Tags;
use values::Loads;
use vary::Variants;

/// How long it is taken for granted that what could not be stored cannot be stored.
const HIT_FOR_MISS: Duration = Duration::from_secs(120);

/// The HTTP cache of this process.
pub struct HttpCache {
    keyer: Keyer,
    memory: Memory,
    purges: Purges,
    purges_made: PurgesMade,
    fleet: Option<Fleet>,
    loads: Loads,
}

/// What the cache holds and has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Weight held, bytes.
    pub bytes: u64,
    /// Most weight it may hold, bytes.
    pub capacity: u64,
    /// Answers and markers held.
    pub entries: usize,
    /// Pushed out for lack of room since the start.
    pub evicted: u64,
    /// Two keys under one hash, answered as a miss, since the start.
    pub collisions: u64,
}

/// The decision to store a response, made at its headers; needs the body.
#[derive(Debug)]
pub struct Plan {
    entry: Entry,
    largest_body: u64,
}

impl Plan {
    /// Bytes of body after which to give up storing and [`HttpCache::mark_hit_for_miss`].
    pub fn largest_body(&self) -> u64 {
        self.largest_body
    }
}

impl HttpCache {
    /// A cache of at most so many bytes, of this process alone; none with 0.
    pub fn new(capacity: u64) -> Self {
        let mut secret = [0; 32];
        secret.fill_with(|| fastrand::u8(..));
        Self::shared(capacity, &secret, None)
    }

    /// The same with the second level in Redis, if there is one. Replicas with one secret share it.
    pub fn shared(capacity: u64, secret: &[u8; 32], redis: Option<Redis>) -> Self {
        Self {
            keyer: Keyer::new(secret),
            memory: Memory::new(capacity),
            purges: Purges::new(),
            purges_made: PurgesMade::default(),
            fleet: redis.map(Fleet::new),
            loads: Loads::default(),
        }
    }

    /// The seed to hash what tells callers apart: as secret as the keys, and the same for all who share them.
    pub fn partition_seed(&self) -> u64 {
        self.keyer.partition_seed()
    }

    /// Decides, at its headers, whether the answer to a request with this key may be stored.
    ///
    /// # Errors
    /// Why not; after a [`Refusal::is_lasting`] one, [`HttpCache::mark_hit_for_miss`].
    pub fn admit(
        &self,
        request: &RequestView<'_>,
        key: &Key,
        head: &ResponseHead<'_>,
        rules: &StoreRules<'_>,
    ) -> Result<Plan, Refusal> {
        let (terms, names) = storable::judge(request, head, rules)?;
        let largest_body = rules.cache.max_object.min(self.memory.largest());
        if content_length(head.headers).is_some_and(|length| length > largest_body) {
            return Err(Refusal::TooLarge);
        }
        let names = match self.stored_at_primary(key) {
            Some(Stored::Variants(variants)) => vary::union(&names, &variants.names),
            _ => names,
        };
        let key = self.keyer.reselect(key, &names, request.headers);
        let tags = self.tags(request, &key, head.headers, rules).ok_or(Refusal::Tags)?;
        Ok(Plan { entry: Entry::new(key, names, head, terms, tags), largest_body })
    }

    /// Stores an admitted answer with its whole body. What is returned can be [`HttpCache::share`]d even where it
    /// turns out too heavy to store.
    pub fn insert(&self, plan: Plan, body: &[Bytes]) -> Arc<Entry> {
        let entry = Arc::new(plan.entry.with_body(entry::packed_body(body)));
        self.place(&entry);
        self.spread(&entry);
        entry
    }

    /// Brings a stored answer up to date by the upstream's 304 (RFC 9111 section 4.3.4).
    ///
    /// `None`: the 304 is not about this answer; ask again without conditions. Where the 304 forbids storing, the
    /// answer returned [is spent](Entry::is_spent): good for the call at hand, and forgotten.
    pub fn freshen(
        &self,
        request: &RequestView<'_>,
        hit: &Hit,
        not_modified: &ResponseHead<'_>,
        rules: &StoreRules<'_>,
    ) -> Option<Arc<Entry>> {
        let old = &hit.entry;
        if !conditional::confirms(&old.headers, not_modified.headers) {
            return None;
        }
        let headers = conditional::updated(&old.headers, not_modified.headers);
        let head = ResponseHead { status: old.status, headers: &headers, times: not_modified.times };
        let judged = storable::judge(request, &head, rules);
        let tags = self.tags(request, &old.key, &headers, rules);
        let stays = judged.is_ok() && tags.is_some();
        let (terms, names) = judged.unwrap_or_else(|_| (Terms::spent(rules.cache), Vec::new()));
        let names = vary::union(&names, &old.names);
        let key = self.keyer.reselect(&hit.key(), &names, request.headers);
        let tags = tags.unwrap_or_else(|| old.tags.clone());
        let terms = if stays { terms } else { Terms::spent(rules.cache) };
        let entry = Arc::new(Entry::new(key, names, &head, terms, tags).with_body(old.body.clone()));
        if stays {
            self.place(&entry);
            self.spread(&entry);
        } else {
            self.memory.remove_entry(old);
        }
        Some(entry)
    }

    /// The answer of a flight for one who waited for it under `key` (its own, from its own lookup), the leader
    /// included. `None`: `Vary` tells the two requests apart, or the answer's exchange began before a purge that
    /// this request came after; ask for itself.
    pub fn share(
        &self,
        entry: &Arc<Entry>,
        request: &RequestView<'_>,
        key: &Key,
        now: Instant,
    ) -> Option<Hit> {
        let selected = self.keyer.reselect(key, &entry.names, request.headers) == entry.key;
        let joined_first = matches!(entry.origin, Origin::Here(theirs) if key.began.number <= theirs.number);
        let current = joined_first || self.purges.judge(entry) == Validity::Valid;
        let ours = key.began;
        (selected && current).then(|| Hit::new(Arc::clone(entry), request, ours, now))
    }

    /// Remembers for a while that the answers under this key cannot be stored, so that nobody waits for them.
    pub fn mark_hit_for_miss(&self, key: &Key, now: Instant) {
        if !matches!(self.memory.get(key.hash, &key.text), Some(Stored::Variants(_))) {
            let marker = HitForMiss { text: Arc::clone(&key.text), until: now + HIT_FOR_MISS };
            self.memory.put(key.hash, Stored::HitForMiss(Arc::new(marker)));
            if let Some(fleet) = &self.fleet {
                let marker = value::of_hit_for_miss(&self.keyer.proof(&key.text));
                fleet.write_marker(key.hash, marker, HIT_FOR_MISS);
            }
        }
    }

    /// Forgets what is past all its windows, or purged; worth doing once a minute.
    pub fn sweep(&self, now: Instant) {
        self.memory.sweep(now, |entry| {
            entry.age(now) < entry.terms.keep && self.purges.judge(entry) != Validity::Gone
        });
    }

    /// What it holds and has seen.
    pub fn stats(&self) -> Stats {
        Stats {
            bytes: self.memory.bytes(),
            capacity: self.memory.capacity(),
            entries: self.memory.len(),
            evicted: self.memory.evicted(),
            collisions: self.memory.collisions(),
        }
    }

    fn tags(
        &self,
        request: &RequestView<'_>,
        key: &Key,
        headers: &HeaderMap,
        rules: &StoreRules<'_>,
    ) -> Option<Tags> {
        let named = tags::named(&self.keyer, request.upstream(), headers, &rules.cache.tags)?;
        Some(Tags { path: key.uri, upstream: self.keyer.upstream(request.upstream()), named })
    }

    /// Puts an answer where a lookup finds it: in the resource's own place, or behind its marker.
    fn place(&self, entry: &Arc<Entry>) {
        let stored = Stored::Entry(Arc::clone(entry));
        if entry.names.is_empty() {
            self.memory.put(entry.key.hash, stored);
            return;
        }
        let variants = self.variants(entry);
        if self.memory.put(entry.key.hash, stored)
            && let Some(oldest) = variants.add(entry.key.hash)
        {
            self.memory.remove(oldest);
        }
    }

    /// The marker an answer belongs behind; one that selects by other headers makes way, and its answers with it.
    fn variants(&self, entry: &Entry) -> Arc<Variants> {
        let before = match self.stored_at_primary(&entry.key) {
            Some(Stored::Variants(variants)) if variants.names == entry.names => return variants,
            Some(Stored::Variants(variants)) => variants.all(),
            _ => Vec::new(),
        };
        for hash in before {
            self.memory.remove(hash);
        }
        let variants = Arc::new(Variants::new(entry.key.primary_text(), entry.names.clone()));
        let hash = self.keyer.hash(entry.key.primary_text());
        self.memory.put(hash, Stored::Variants(Arc::clone(&variants)));
        variants
    }

    fn stored_at_primary(&self, key: &Key) -> Option<Stored> {
        self.memory.get(self.keyer.hash(key.primary_text()), key.primary_text())
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod fixtures;

#[cfg(test)]
mod tests;
