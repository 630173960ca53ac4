//! Writes to the second level, behind everybody's back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fred::interfaces::KeysInterface as _;
use fred::types::Expiration;
use futures_util::future::join_all;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::HttpCache;
use super::super::counts::Written;
use super::super::purges::Validity;
use super::super::value;
use super::{Fleet, Job, What};

/// Writes under way at once.
const AT_ONCE: usize = 32;
/// Longest wait for one.
const WRITE_LIMIT: Duration = Duration::from_millis(250);

impl HttpCache {
    /// Writes what is queued until stopped; what is queued then is still written, for the others' sake.
    pub(super) async fn keep_writing(self: Arc<Self>, stop: CancellationToken) {
        let Some(fleet) = &self.fleet else { return };
        let mut queue = fleet.queue.lock().await;
        let mut jobs = Vec::with_capacity(AT_ONCE);
        loop {
            tokio::select! {
                biased;
                count = queue.recv_many(&mut jobs, AT_ONCE) => if count == 0 { return },
                () = stop.cancelled() => return,
            }
            let (releases, writes): (Vec<_>, Vec<_>) = jobs.drain(..).partition(Job::is_release);
            join_all(writes.into_iter().map(|job| self.write(fleet, job))).await;
            // A lease comes behind what was fetched under it: whoever sees that it is gone finds the answer.
            join_all(releases.into_iter().map(|job| release(fleet, job.hash))).await;
        }
    }

    async fn write(&self, fleet: &Fleet, job: Job) {
        if let Some(bytes) = self.encoded(&job) {
            fleet.counts.wrote(set(fleet, &job, bytes).await);
        }
        fleet.held.fetch_sub(job.weight, Ordering::Relaxed);
    }

    /// Judged once more: there may have been a purge while it waited.
    fn encoded(&self, job: &Job) -> Option<Bytes> {
        match &job.what {
            What::Answer(entry) if self.purges.judge(entry) != Validity::Valid => None,
            What::Answer(entry) => {
                let proof = self.keyer.proof(&entry.key.text);
                value::of_entry(entry, &proof, Instant::now(), SystemTime::now())
            }
            What::Marker(marker) => Some(marker.clone()),
            What::Release => None,
        }
    }

    /// The next write of the queue, as it would go to Redis.
    #[cfg(test)]
    pub(in crate::cache) fn next_write(&self) -> Option<(u128, Bytes)> {
        let job = self.fleet.as_ref()?.queue.try_lock().ok()?.try_recv().ok()?;
        self.encoded(&job).map(|bytes| (job.hash, bytes))
    }
}

async fn set(fleet: &Fleet, job: &Job, bytes: Bytes) -> Written {
    let value = fleet.key(job.hash, "v");
    let life = Some(Expiration::PX(job.life.as_millis().try_into().unwrap_or(i64::MAX)));
    let stored = fleet
        .redis
        .call(WRITE_LIMIT, async |client| client.set::<(), _, _>(value, bytes, life, None, false).await);
    if stored.await.is_ok() { Written::Stored } else { Written::Failed }
}

async fn release(fleet: &Fleet, hash: u128) {
    let lease = fleet.key(hash, "l");
    // Where Redis does not take it, it ends by itself.
    let _ = fleet.redis.call(WRITE_LIMIT, async |client| client.del::<(), _>(lease).await).await;
}
