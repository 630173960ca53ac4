//! Which replicas live: each says so every second through Redis, and is forgotten when it does not for a while.
//!
//! What was known last counts for as long as Redis is away: whoever divides by it must not take more just because it
//! hears nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::redis::{Redis, Script, USUAL_LIMIT};

/// How often a replica says that it lives.
const EVERY: Duration = Duration::from_secs(1);
/// After how long without a word Redis forgets it.
const LIFE: Duration = Duration::from_secs(3);
/// Answers in a row without it after which we do: a Redis that starts empty hears of us one by one.
const MISSES: u8 = 3;

/// The names of all that live, by Redis's own clock. Without a name it only asks.
static ANNOUNCE: Script = Script::new(
    "local time = redis.call('TIME')
     local now = time[1] * 1000 + math.floor(time[2] / 1000)
     redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
     redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
     redis.call('PEXPIRE', KEYS[1], ARGV[2])
     return redis.call('ZRANGE', KEYS[1], 0, -1)",
);

static LEAVE: Script = Script::new("return redis.call('ZREM', KEYS[1], ARGV[1])");

/// This replica and those it knows of, cheap to clone.
#[derive(Debug, Clone)]
pub struct Replicas {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    id: String,
    redis: Option<Redis>,
    /// Every replica heard of, with the answers since that did not name it.
    known: Mutex<BTreeMap<String, u8>>,
    live: AtomicU32,
}

impl Replicas {
    /// This one, which shares what it knows through `redis`. Until it has heard of others it counts itself alone.
    pub fn new(redis: Option<Redis>) -> Self {
        let id = format!("{}-{:08x}", host(), fastrand::u32(..));
        let known = Mutex::new(BTreeMap::from([(id.clone(), 0)]));
        Self { inner: Arc::new(Inner { id, redis, known, live: AtomicU32::new(1) }) }
    }

    /// The name of this replica, another one after each start.
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    /// How many live, this one included; while Redis is away as many as lived last.
    pub fn live(&self) -> u32 {
        self.inner.live.load(Relaxed)
    }

    /// Their names, in order.
    pub fn names(&self) -> Vec<String> {
        self.inner.known.lock().keys().cloned().collect()
    }

    /// Says every second that this replica lives, until `stop`.
    pub async fn keep_announcing(self, stop: CancellationToken) {
        let Some(redis) = &self.inner.redis else { return };
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! { () = stop.cancelled() => return, _ = ticks.tick() => {} }
            let arguments = vec![self.id().into(), (LIFE.as_millis() as i64).into()];
            // Where it does not answer, what is known stays.
            if let Ok(names) = redis.script(USUAL_LIMIT, &ANNOUNCE, vec![key(redis)], arguments).await {
                self.heard_of(names);
            }
        }
    }

    /// Says goodbye, once nothing is announced any more.
    pub async fn leave(&self) {
        if let Some(redis) = &self.inner.redis {
            // Unheard, the others forget it a little later.
            let _ = redis.script::<u32>(USUAL_LIMIT, &LEAVE, vec![key(redis)], vec![self.id().into()]).await;
        }
    }

    fn heard_of(&self, names: Vec<String>) {
        let mut known = self.inner.known.lock();
        for misses in known.values_mut() {
            *misses = misses.saturating_add(1);
        }
        for name in names {
            known.insert(name, 0);
        }
        known.retain(|name, misses| *misses < MISSES || name == self.id());
        self.inner.live.store(known.len() as u32, Relaxed);
    }
}

fn key(redis: &Redis) -> String {
    redis.key("replicas", "")
}

/// On Kubernetes the name of the pod.
fn host() -> String {
    let named = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let named = named.trim();
    if named.is_empty() { "levee".to_owned() } else { named.to_owned() }
}

#[cfg(test)]
impl Replicas {
    /// One that has heard of so many.
    pub(crate) fn pretending(live: u32) -> Self {
        let replicas = Self::new(None);
        replicas.heard_of((1..live).map(|number| format!("other-{number}")).collect());
        replicas
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(replicas: &Replicas, names: &[&str]) -> u32 {
        replicas.heard_of(names.iter().map(|name| (*name).to_owned()).collect());
        replicas.live()
    }

    #[test]
    fn it_counts_itself_and_whom_it_hears_of() {
        let replicas = Replicas::new(None);
        assert_eq!(replicas.live(), 1);
        let own = replicas.id().to_owned();
        assert_eq!(heard(&replicas, &[&own, "a", "b"]), 3);
        assert_eq!(replicas.names().len(), 3);
        assert_eq!(heard(&replicas, &["a", "b"]), 3, "it lives, whatever Redis says");
    }

    #[test]
    fn one_that_is_missing_is_forgotten_after_three_answers() {
        let replicas = Replicas::new(None);
        heard(&replicas, &["a", "b"]);
        assert_eq!(heard(&replicas, &["a"]), 3);
        assert_eq!(heard(&replicas, &[]), 3, "a Redis that lost all hears of us one by one");
        assert_eq!(heard(&replicas, &["a"]), 2);
    }
}
