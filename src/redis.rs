//! Redis: what replicas share while it answers. Nothing here is waited for longer than a call can afford.
//!
//! [`Redis::call`](crate::redis::Redis::call) and [`Redis::script`](crate::redis::Redis::script) are all that the engines
//! need. Every question has a limit of its own; a breaker in front of them keeps a Redis in trouble from costing each call its limit; the connections come back by
//! themselves. A process starts and serves with Redis away.

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fred::clients::{Client, WithOptions};
use fred::interfaces::ClientLike as _;
use fred::types::config::Options;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::telemetry::metrics::{RedisMetrics, RedisQuestion};

/// Where Redis is.
mod address;
/// What one call may wait for it.
mod allowance;
/// The breaker in front of it.
mod breaker;
/// The connections, kept up.
mod connections;
/// What can go wrong.
mod error;
/// Is it there?
mod presence;
/// Scripts, sent once.
mod script;

pub use address::{Address, is_prefix};
pub use allowance::Allowance;
pub use error::RedisError;
pub use presence::Away;
pub use script::Script;

use breaker::Breaker;
use presence::Presence;

/// Longest wait for one answer where no call waits for it.
pub const USUAL_LIMIT: Duration = Duration::from_millis(25);
/// Longest wait of one call for all its answers together: its [`Allowance`].
pub const CALL_LIMIT: Duration = Duration::from_millis(10);
/// Longest wait for one answer where a stale copy could do instead.
pub const SHORT_LIMIT: Duration = Duration::from_millis(5);
/// Longest a blocking read of the log asks Redis to wait for news.
pub const LONGEST_BLOCK: Duration = Duration::from_secs(1);

/// A client as [`Redis::call`] hands it out: it tries once, and never waits for a connection.
pub type Asker = WithOptions<Client>;

/// The connection to Redis, cheap to clone.
#[derive(Clone)]
pub struct Redis {
    inner: Arc<Inner>,
}

struct Inner {
    prefix: String,
    /// Values, limits, leases: short questions, many at once on one connection.
    data: Client,
    /// Reads of the invalidation log, which block their connection.
    reader: Client,
    /// Appends to the invalidation log: they must not queue behind values.
    publisher: Client,
    breaker: Breaker,
    presence: Arc<Presence>,
    failed: AtomicU64,
    metrics: Arc<RedisMetrics>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Redis {
    /// Begins to connect, and goes on for as long as the process lives or until [`close`](Self::close).
    pub fn connect(address: &Address, prefix: &str) -> Self {
        let [data, reader, publisher] =
            [connections::quick(address), connections::blocking(address), connections::quick(address)];
        let presence = Arc::new(Presence::new());
        let inner = Arc::new(Inner {
            prefix: prefix.to_owned(),
            breaker: Breaker::new(Arc::clone(&presence)),
            presence,
            failed: AtomicU64::new(0),
            metrics: Arc::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            data,
            reader,
            publisher,
        });
        for client in [&inner.data, &inner.reader, &inner.publisher] {
            inner.tasks.spawn(connections::keep(client.clone(), inner.stop.clone()));
        }
        let redis = Self { inner };
        redis.inner.tasks.spawn(presence::watch_over(redis.clone()));
        redis
    }

    /// Asks Redis, within `limit`.
    ///
    /// # Errors
    /// [`RedisError::is_down`] tells a Redis that did not answer from one that refused.
    pub async fn call<T, Asked>(
        &self,
        limit: Duration,
        ask: impl FnOnce(Asker) -> Asked,
    ) -> Result<T, RedisError>
    where
        Asked: Future<Output = Result<T, fred::error::Error>>,
    {
        self.ask(&self.inner.data, limit, ask).await
    }

    /// Runs a script that appends to the log, on a connection where it waits behind no value.
    pub async fn append<T>(
        &self,
        limit: Duration,
        script: &Script,
        keys: Vec<String>,
        arguments: Vec<fred::types::Value>,
    ) -> Result<T, RedisError>
    where
        T: fred::types::FromValue,
    {
        self.ask(&self.inner.publisher, limit, |client| script.run(client, keys, arguments)).await
    }

    /// Asks on the connection that may block, for at most [`LONGEST_BLOCK`] and `beyond`. The breaker is not asked and
    /// learns nothing: waiting long for news is no trouble.
    pub async fn wait_for<T, Asked>(
        &self,
        beyond: Duration,
        ask: impl FnOnce(Asker) -> Asked,
    ) -> Result<T, RedisError>
    where
        Asked: Future<Output = Result<T, fred::error::Error>>,
    {
        let client = &self.inner.reader;
        if !client.is_connected() {
            return Err(RedisError::Away);
        }
        within(LONGEST_BLOCK + beyond, client, ask).await
    }

    /// Runs a script, sending its text only where Redis does not know it yet. All `keys` share a slot.
    pub async fn script<T>(
        &self,
        limit: Duration,
        script: &Script,
        keys: Vec<String>,
        arguments: Vec<fred::types::Value>,
    ) -> Result<T, RedisError>
    where
        T: fred::types::FromValue,
    {
        self.call(limit, |client| script.run(client, keys, arguments)).await
    }

    /// A key: `{prefix:slot}:part`, or `{prefix:slot}` where `part` is empty. Keys of one `slot` lie on one node of a
    /// cluster, so that a script may touch them together.
    pub fn key(&self, slot: impl Display, part: &str) -> String {
        let prefix = &self.inner.prefix;
        if part.is_empty() { format!("{{{prefix}:{slot}}}") } else { format!("{{{prefix}:{slot}}}:{part}") }
    }

    /// It answers, as far as is known.
    pub fn is_up(&self) -> bool {
        self.inner.presence.is_up()
    }

    /// Since when it does not answer, and why; `None` while it does.
    pub fn away(&self) -> Option<Away> {
        self.inner.presence.away()
    }

    /// Tells when it comes and goes.
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.inner.presence.watch()
    }

    /// Questions it did not answer since the start, those that were not asked included.
    pub fn failed(&self) -> u64 {
        self.inner.failed.load(Ordering::Relaxed)
    }

    /// How it was found so far, for whoever shows it.
    pub fn metrics(&self) -> Arc<RedisMetrics> {
        Arc::clone(&self.inner.metrics)
    }

    /// The breaker lets no question through.
    pub fn breaker_is_open(&self) -> bool {
        self.inner.presence.is_silent()
    }

    /// Says goodbye and lets no more questions through.
    pub async fn close(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        for client in [&self.inner.data, &self.inner.reader, &self.inner.publisher] {
            // Whoever does not take a goodbye within this time is left.
            let _ = timeout(Duration::from_millis(250), client.quit()).await;
        }
        let _ = timeout(Duration::from_secs(1), self.inner.tasks.wait()).await;
    }

    async fn ask<T, Asked>(
        &self,
        client: &Client,
        limit: Duration,
        ask: impl FnOnce(Asker) -> Asked,
    ) -> Result<T, RedisError>
    where
        Asked: Future<Output = Result<T, fred::error::Error>>,
    {
        let began = Instant::now();
        let asked = self.ask_past_the_breaker(client, limit, ask).await;
        self.inner.metrics.ended(ended(&asked), began.elapsed());
        if asked.as_ref().is_err_and(RedisError::is_down) {
            self.inner.failed.fetch_add(1, Ordering::Relaxed);
        }
        asked
    }

    async fn ask_past_the_breaker<T, Asked>(
        &self,
        client: &Client,
        limit: Duration,
        ask: impl FnOnce(Asker) -> Asked,
    ) -> Result<T, RedisError>
    where
        Asked: Future<Output = Result<T, fred::error::Error>>,
    {
        if !client.is_connected() || !self.inner.breaker.lets_through() {
            return Err(RedisError::Away);
        }
        let asked = Instant::now();
        let answered = within(limit, client, ask).await;
        self.inner.breaker.learn(asked, &answered);
        answered
    }
}

fn ended<T>(asked: &Result<T, RedisError>) -> RedisQuestion {
    match asked {
        Ok(_) | Err(RedisError::Refused(_)) => RedisQuestion::Answered,
        Err(RedisError::Slow(_)) => RedisQuestion::Slow,
        Err(RedisError::Broken(_) | RedisError::Unfit(_)) => RedisQuestion::Failed,
        Err(RedisError::Away) => RedisQuestion::NotAsked,
    }
}

/// Both clocks are needed: ours bounds the caller's wait, fred's drops a command that nobody waits for any more.
async fn within<T, Asked>(
    limit: Duration,
    client: &Client,
    ask: impl FnOnce(Asker) -> Asked,
) -> Result<T, RedisError>
where
    Asked: Future<Output = Result<T, fred::error::Error>>,
{
    let once = Options { max_attempts: Some(1), timeout: Some(limit), fail_fast: true, ..Options::default() };
    match timeout(limit, ask(client.with_options(&once))).await {
        Ok(answered) => answered.map_err(|error| RedisError::of(error, limit)),
        Err(_) => Err(RedisError::Slow(limit)),
    }
}

impl std::fmt::Debug for Redis {
    /// The connections know the password, so they do not show.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("Redis");
        shown.field("prefix", &self.inner.prefix).field("up", &self.is_up()).finish_non_exhaustive()
    }
}
