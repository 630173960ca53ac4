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
            join_all(jobs.drain(..).map(|job| self.write(fleet, job))).await;
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
        }
    }

    /// The next write of the queue, as it would go to Redis.
    #[cfg(test)]
    pub(in crate::cache) fn next_write(&self) -> Option<(u128, Bytes)> {
        let job = self.fleet.as_ref()?.queue.try_lock().ok()?.try_recv().ok()?;
        self.encoded(&job).map(|bytes| (job.hash, bytes))
    }
}

/// Stores a value and gives back the lease under which it was fetched, if there was one.
async fn set(fleet: &Fleet, job: &Job, bytes: Bytes) -> Written {
    let (value, lease) = (fleet.key(job.hash, "v"), fleet.key(job.hash, "l"));
    let life = Some(Expiration::PX(job.life.as_millis().try_into().unwrap_or(i64::MAX)));
    let stored = fleet.redis.call(WRITE_LIMIT, async |client| {
        client.set::<(), _, _>(value, bytes, life, None, false).await?;
        client.del::<(), _>(lease).await
    });
    if stored.await.is_ok() { Written::Stored } else { Written::Failed }
}
