//! The memory level: a bounded store of answers and markers, weighed in bytes.
//!
//! `quick_cache` refuses in silence what is heavier than 97 % of one of its shards, so shards are few enough to
//! hold four of the largest objects each, and heavier ones are refused here. It knows no expiry: times are in the
//! values, judged by whoever reads, and swept now and then.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};
use tokio::time::Instant;

use super::entry::{Entry, SLOT_OVERHEAD};
use super::vary::{MOST_VARIANTS, Variants};

/// The object size shards are made for, bytes: the policy's default `maxObject`.
const USUAL_LARGEST: u64 = 1024 * 1024;

/// Few, because a shard must hold four of the largest objects: 8 MiB of the default 128 MiB.
const MOST_SHARDS: u64 = 4;

/// What a key can lead to.
#[derive(Clone, Debug)]
pub(super) enum Stored {
    /// An answer.
    Entry(Arc<Entry>),
    /// The way to answers that `Vary` tells apart.
    Variants(Arc<Variants>),
    /// The knowledge that answers cannot be stored.
    HitForMiss(Arc<HitForMiss>),
}

/// Until when it is taken for granted that a key's answers cannot be stored.
#[derive(Debug)]
pub(super) struct HitForMiss {
    pub(super) text: Arc<[u8]>,
    pub(super) until: Instant,
}

impl Stored {
    fn text(&self) -> &[u8] {
        match self {
            Self::Entry(entry) => &entry.key.text,
            Self::Variants(variants) => &variants.text,
            Self::HitForMiss(marker) => &marker.text,
        }
    }
}

/// The store.
pub(super) struct Memory {
    slots: Cache<u128, Stored, ByBytes, BuildHasherDefault<TakeHash>, Displacing>,
    evicted: AtomicU64,
    collisions: AtomicU64,
}

impl Memory {
    /// Holds at most `capacity` bytes.
    pub(super) fn new(capacity: u64) -> Self {
        let most = (capacity / (4 * USUAL_LARGEST)).clamp(1, MOST_SHARDS);
        let shards = 1 << most.ilog2();
        let options = OptionsBuilder::new()
            .shards(shards)
            .estimated_items_capacity((capacity / 4096).clamp(1024, 1 << 20) as usize)
            // Shards round their part up.
            .weight_capacity(capacity - capacity % shards as u64)
            .build()
            .expect("both capacities are given");
        let slots = Cache::with_options(options, ByBytes, BuildHasherDefault::default(), Displacing);
        Self { slots, evicted: AtomicU64::new(0), collisions: AtomicU64::new(0) }
    }

    /// What is stored under exactly this key text.
    pub(super) fn get(&self, hash: u128, text: &[u8]) -> Option<Stored> {
        let stored = self.slots.get(&hash)?;
        if stored.text() == text {
            return Some(stored);
        }
        self.collisions.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// Puts or replaces; false when it is too heavy.
    pub(super) fn put(&self, hash: u128, stored: Stored) -> bool {
        let fits = ByBytes.weight(&hash, &stored) <= self.largest();
        if fits {
            // Dropped once the shard's lock is released.
            let mut displaced = Vec::new();
            self.slots.insert_with_lifecycle(hash, stored, &mut displaced);
            // What stood under the same hash was replaced, not pushed out.
            let pushed_out = displaced.iter().filter(|(displaced, _)| *displaced != hash).count();
            self.evicted.fetch_add(pushed_out as u64, Ordering::Relaxed);
        }
        fits
    }

    /// Forgets what is stored under a hash.
    pub(super) fn remove(&self, hash: u128) {
        self.slots.remove(&hash);
    }

    /// Forgets an answer unless another one has taken its place.
    pub(super) fn remove_entry(&self, entry: &Arc<Entry>) {
        self.slots.remove_if(
            &entry.key.hash,
            |stored| matches!(stored, Stored::Entry(held) if Arc::ptr_eq(held, entry)),
        );
    }

    /// The heaviest that is stored, bytes.
    pub(super) fn largest(&self) -> u64 {
        self.slots.shard_capacity() / 4
    }

    /// Forgets answers that are of no use any more, and markers that lead nowhere.
    pub(super) fn sweep(&self, now: Instant, is_useful: impl Fn(&Entry) -> bool) {
        self.slots.retain(|_, stored| match stored {
            Stored::Entry(entry) => is_useful(entry),
            Stored::HitForMiss(marker) => marker.until > now,
            Stored::Variants(_) => true,
        });
        // Asked without a shard's lock held: a variant may be in any shard.
        let emptied: Vec<u128> = self
            .slots
            .iter()
            .filter(|(_, stored)| self.leads_nowhere(stored))
            .map(|(hash, _)| hash)
            .collect();
        for hash in emptied {
            self.slots.remove_if(&hash, |stored| matches!(stored, Stored::Variants(_)));
        }
    }

    /// Shows every answer.
    pub(super) fn each(&self, mut look: impl FnMut(&Entry)) {
        for (_, stored) in self.slots.iter() {
            if let Stored::Entry(entry) = stored {
                look(&entry);
            }
        }
    }

    /// Most weight it holds, bytes.
    pub(super) fn capacity(&self) -> u64 {
        self.slots.capacity()
    }

    /// Weight held, bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.slots.weight()
    }

    /// Answers and markers held.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Pushed out for lack of room so far.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// Lookups that met another key's answer under the same hash so far.
    pub(super) fn collisions(&self) -> u64 {
        self.collisions.load(Ordering::Relaxed)
    }

    /// A value in the second level turned out to be another key's.
    pub(super) fn collided(&self) {
        self.collisions.fetch_add(1, Ordering::Relaxed);
    }

    fn leads_nowhere(&self, stored: &Stored) -> bool {
        let Stored::Variants(variants) = stored else { return false };
        !variants.all().iter().any(|hash| self.slots.contains_key(hash))
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<u128, Stored> for ByBytes {
    fn weight(&self, _: &u128, stored: &Stored) -> u64 {
        match stored {
            Stored::Entry(entry) => entry.weight(),
            Stored::Variants(variants) => {
                let names = variants.names.len() * size_of::<http::HeaderName>();
                let fixed = size_of::<Variants>() + MOST_VARIANTS * size_of::<u128>() + SLOT_OVERHEAD;
                (fixed + variants.text.len() + names) as u64
            }
            Stored::HitForMiss(marker) => {
                (size_of::<HitForMiss>() + SLOT_OVERHEAD + marker.text.len()) as u64
            }
        }
    }
}

/// Hands what an insertion displaced to whoever inserts.
#[derive(Clone)]
struct Displacing;

impl Lifecycle<u128, Stored> for Displacing {
    type RequestState = Vec<(u128, Stored)>;

    fn on_evict(&self, displaced: &mut Self::RequestState, hash: u128, stored: Stored) {
        displaced.push((hash, stored));
    }
}

/// Keys are hashes with a secret already.
#[derive(Default)]
struct TakeHash(u64);

impl Hasher for TakeHash {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests;
