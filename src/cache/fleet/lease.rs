//! Who fetches what several replicas lack: one of them, while the others wait a little for what it brings.
//!
//! A lease keeps nobody from anything: it saves the upstream requests, and no answer is judged by it. So it may be lost,
//! late or given back twice.

use std::time::Duration;

use fred::interfaces::KeysInterface as _;
use fred::types::{Expiration, SetOptions};
use futures_util::future::join;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::super::HttpCache;
use super::super::counts::Leased;
use super::super::key::{Key, RequestView};
use super::{Fleet, Job};
use crate::redis::{Allowance, CALL_LIMIT, RedisError};

/// How long it holds, unless it is given back: the longest that others wait.
const LEASE: Duration = Duration::from_secs(5);
/// Longest wait for one where no call waits.
const BEHIND: Duration = Duration::from_millis(100);
/// Longest wait for the word whether another replica's is given back; the call waits anyway.
const ASK_LIMIT: Duration = Duration::from_millis(50);
/// How often that is asked: at first, and later on.
const ASK_EVERY: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(50));

/// The right to fetch what is stored under a key, for the fleet. Dropped, it is given back once all that was written
/// before is in Redis.
#[derive(Debug)]
pub struct Lease {
    hash: u128,
    until: Instant,
    jobs: mpsc::Sender<Job>,
}

/// Who has the lease.
#[derive(Debug)]
pub enum Claim {
    /// This replica.
    Ours(Lease),
    /// Another one.
    Theirs,
    /// Redis does not say.
    Unknown,
}

/// Who is to fetch.
#[derive(Debug)]
pub enum Turn {
    /// This replica, with the lease.
    Ours(Lease),
    /// This replica, without: Redis cannot say who else might, or another one had its time and has brought nothing.
    Unshared,
    /// Nobody any more: there is something in memory now that was not there before.
    Brought,
}

impl HttpCache {
    /// The right to refresh what is stored under a key. For nobody's call.
    pub async fn lease(&self, key: &Key) -> Claim {
        match &self.fleet {
            Some(fleet) => fleet.lease(key.hash, BEHIND).await,
            None => Claim::Unknown,
        }
    }

    /// Whether to fetch what a look has not found. Where another replica is at it, this waits for it: for at most
    /// `patience`, and never once Redis is away.
    pub async fn take_turn(
        &self,
        request: &RequestView<'_>,
        key: &Key,
        patience: Duration,
        allowance: &Allowance,
    ) -> Turn {
        let Some(fleet) = self.reachable().filter(|_| !allowance.left().is_zero()) else {
            return Turn::Unshared;
        };
        let until = Instant::now() + patience.min(LEASE);
        // Looked up once more behind it: who had the lease before has written what it fetched.
        let asking = |limit| join(fleet.lease(key.hash, limit), self.brings(fleet, request, key, limit));
        match allowance.spend(CALL_LIMIT, asking).await {
            (_, true) => return Turn::Brought,
            (Claim::Ours(lease), false) => return Turn::Ours(lease),
            (Claim::Unknown, false) => return Turn::Unshared,
            (Claim::Theirs, false) => {}
        }
        fleet.wait_for_release(key.hash, until).await;
        let brought = allowance.spend(CALL_LIMIT, |limit| self.brings(fleet, request, key, limit)).await;
        if brought { Turn::Brought } else { Turn::Unshared }
    }

    async fn brings(&self, fleet: &Fleet, request: &RequestView<'_>, key: &Key, limit: Duration) -> bool {
        if self.reachable().is_none() {
            return false;
        }
        // What is missed again is not worth counting again.
        match self.look(fleet, request, key, limit).await {
            Ok((looked, true)) => {
                fleet.counts.looked(looked);
                true
            }
            Ok((_, false)) | Err(_) => false,
        }
    }
}

impl Fleet {
    async fn lease(&self, hash: u128, limit: Duration) -> Claim {
        let (key, until) = (self.key(hash, "l"), Instant::now() + LEASE);
        let expires = Some(Expiration::PX(LEASE.as_millis() as i64));
        let taken = self.redis.call(limit, async |client| {
            client.set::<Option<String>, _, _>(key, "1", expires, Some(SetOptions::NX), false).await
        });
        let taken = taken.await;
        self.counts.leased(match taken {
            Ok(Some(_)) => Leased::Taken,
            Ok(None) => Leased::Elsewhere,
            Err(_) => Leased::Unknown,
        });
        match taken {
            // It may have been given late: then nobody else would give it back.
            Ok(Some(_)) | Err(RedisError::Slow(_)) => {
                Claim::Ours(Lease { hash, until, jobs: self.jobs.clone() })
            }
            // Redis answers nothing where another one has it.
            Ok(None) => Claim::Theirs,
            Err(_) => Claim::Unknown,
        }
    }

    /// Waits until nobody has it, or Redis does not say, or the time is over.
    async fn wait_for_release(&self, hash: u128, until: Instant) {
        let (mut pause, longest) = ASK_EVERY;
        loop {
            sleep_until((Instant::now() + pause).min(until)).await;
            let key = self.key(hash, "l");
            if Instant::now() >= until
                || !matches!(
                    self.redis.call(ASK_LIMIT, async |client| client.exists::<u32, _>(key).await).await,
                    Ok(1)
                )
            {
                return;
            }
            pause = (pause * 2).min(longest);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Past its time it may be another replica's.
        if Instant::now() < self.until {
            // With no room in the queue it ends by itself.
            let _ = self.jobs.try_send(Job::release(self.hash));
        }
    }
}
