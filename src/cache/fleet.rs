//! The part of the cache that replicas share: values in Redis, and the log of purges.
//!
//! Nobody waits for more than a few milliseconds here, and nothing here is needed: with Redis away each replica goes by
//! its memory, and says later what it has purged.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fred::interfaces::KeysInterface as _;
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::HttpCache;
use super::counts::{Counts, FleetReading, Written};
use super::entry::Entry;
use super::log::Log;
use crate::redis::{Redis, RedisError};

/// Reads the log.
mod follow;
/// Who fetches what several replicas miss.
mod lease;
/// Reads values.
mod recall;
/// What is said to Redis about the log.
mod scripts;
/// Appends to the log.
mod tell;
/// Writes values.
mod write;

pub use lease::{Claim, Lease, Turn};

/// Writes that wait; one more is dropped.
const MOST_JOBS: usize = 1024;
/// Bytes they may hold together.
const MOST_BYTES: u64 = 32 * 1024 * 1024;

/// The shared part.
pub(super) struct Fleet {
    pub(super) redis: Redis,
    pub(super) log: Log,
    pub(super) counts: Counts,
    jobs: mpsc::Sender<Job>,
    queue: Mutex<mpsc::Receiver<Job>>,
    /// Bytes that the jobs in the queue hold.
    held: AtomicU64,
}

/// A write to the second level.
pub(super) struct Job {
    hash: u128,
    what: What,
    /// For how long it is of use there.
    life: Duration,
    weight: u64,
}

enum What {
    Answer(Arc<Entry>),
    Marker(Bytes),
    /// Nothing: others may fetch what the lease was for.
    Release,
}

impl Job {
    /// Gives a lease back.
    fn release(hash: u128) -> Self {
        Self { hash, what: What::Release, life: Duration::ZERO, weight: 0 }
    }

    fn is_release(&self) -> bool {
        matches!(self.what, What::Release)
    }
}

impl Fleet {
    pub(super) fn new(redis: Redis) -> Self {
        let (jobs, queue) = mpsc::channel(MOST_JOBS);
        Self {
            redis,
            log: Log::new(),
            counts: Counts::default(),
            jobs,
            queue: Mutex::new(queue),
            held: AtomicU64::new(0),
        }
    }

    /// Queues the write of an answer.
    pub(super) fn write_answer(&self, entry: Arc<Entry>, life: Duration) {
        let weight = entry.weight();
        self.queue(Job { hash: entry.key.hash, what: What::Answer(entry), life, weight });
    }

    /// Queues the write of what stands in an answer's place.
    pub(super) fn write_marker(&self, hash: u128, marker: Bytes, life: Duration) {
        let weight = marker.len() as u64;
        self.queue(Job { hash, what: What::Marker(marker), life, weight });
    }

    /// What there is to see.
    pub(super) fn reading(&self) -> FleetReading {
        FleetReading {
            looks: self.counts.looks(),
            writes: self.counts.writes(),
            leases: self.counts.leases(),
            log: self.log.reading(),
        }
    }

    fn queue(&self, job: Job) {
        let weight = job.weight;
        let full = self.held.fetch_add(weight, Ordering::Relaxed) + weight > MOST_BYTES;
        if full || !self.log.is_in_step() || self.jobs.try_send(job).is_err() {
            self.held.fetch_sub(weight, Ordering::Relaxed);
            self.counts.wrote(Written::Dropped);
        }
    }

    /// Both keys of a value lie in one slot.
    fn key(&self, hash: u128, part: &str) -> String {
        self.redis.key(format_args!("{hash:032x}"), part)
    }

    async fn get(&self, hash: u128, limit: Duration) -> Result<Option<Bytes>, RedisError> {
        let key = self.key(hash, "v");
        self.redis.call(limit, async |client| client.get::<Option<Bytes>, _>(key).await).await
    }
}

impl HttpCache {
    /// Runs what the shared part needs: one task that writes, one that reads the log, one that appends to it.
    pub fn share_with_the_fleet(self: &Arc<Self>, tasks: &TaskTracker, stop: &CancellationToken) {
        if self.fleet.is_none() {
            return;
        }
        tasks.spawn(Arc::clone(self).keep_writing(stop.clone()));
        tasks.spawn(Arc::clone(self).follow_the_log(stop.clone()));
        tasks.spawn(Arc::clone(self).tell_the_log(stop.clone()));
    }
}
