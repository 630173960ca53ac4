//! What components say about themselves at the moment of a scrape.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::runtime::RuntimeMetrics;

use super::labels::{BreakerState, ForcedMode, Listener, PreviousStop};
use super::redis::RedisMetrics;

/// The state of the components, asked for at each scrape.
#[derive(Debug, Default)]
pub struct Readings {
    /// The cache.
    pub cache: CacheReading,
    /// What replicas share of the cache; `None` where they share nothing.
    pub fleet_cache: Option<FleetCacheReading>,
    /// Redis, where one is named.
    pub redis: Option<RedisReading>,
    /// Replicas that live.
    pub replicas: u32,
    /// Open connections of each listener that is up.
    pub connections: Vec<(Listener, usize)>,
    /// One for each upstream of the snapshot in force.
    pub upstreams: Vec<UpstreamReading>,
    /// What we stand on, and whether it answers: `database`; `redis` and `kubernetes` where there is one.
    pub dependencies: Vec<(&'static str, bool)>,
    /// The cluster, where one is watched.
    pub kubernetes: Option<KubernetesReading>,
    /// The pools of connections to the database.
    pub pools: Vec<PoolReading>,
    /// Other issuers whose tokens count.
    pub issuers: Vec<IssuerReading>,
    /// The main runtime's `Handle::metrics()`.
    pub runtime: Option<RuntimeMetrics>,
    /// Since when the main runtime has given no sign of life.
    pub silence: Duration,
    /// Upstreams of the API that calls cannot find, for what is wrong with them.
    pub left_out: usize,
    /// How the process before this one ended.
    pub previous_stop: Option<PreviousStop>,
}

/// The state of the cache.
#[derive(Debug, Clone, Copy, Default)]
pub struct CacheReading {
    /// Memory held by answers, bytes.
    pub bytes: u64,
    /// Most it may be.
    pub capacity: u64,
    /// Answers and markers held.
    pub entries: usize,
    /// Pushed out for lack of room since the start.
    pub evicted: u64,
    /// Purges made at this replica since the start, by what they were about.
    pub purges: [(&'static str, u64); 5],
}

/// Connections to one upstream.
#[derive(Debug, Clone, Copy, Default)]
pub struct ConnectionsReading {
    /// Open ones.
    pub open: usize,
    /// Those of them that nothing uses.
    pub idle: usize,
    /// Opened since the upstream was registered.
    pub dialled: u64,
}

/// The keys of one issuer.
#[derive(Debug, Clone, Copy)]
pub struct IssuerReading {
    /// What we call it.
    pub name: &'static str,
    /// How many there are.
    pub keys: usize,
    /// When they were fetched.
    pub fetched: Option<SystemTime>,
}

/// The second level of the cache and the log of purges.
#[derive(Debug, Clone, Default)]
pub struct FleetCacheReading {
    /// Looks since the start, by how they ended.
    pub looks: Vec<(&'static str, u64)>,
    /// Writes since the start, by how they ended.
    pub writes: Vec<(&'static str, u64)>,
    /// Asking for the right to fetch since the start, by how it ended.
    pub leases: Vec<(&'static str, u64)>,
    /// Entries of the log applied since the start.
    pub applied: u64,
    /// Times everything became stale.
    pub lost_track: u64,
    /// How late the last entry was applied, seconds.
    pub lag_seconds: f64,
    /// Time without contact, seconds.
    pub silent_seconds: f64,
    /// Silent for too long.
    pub blind: bool,
    /// Purges that wait.
    pub outbox: usize,
}

/// Redis.
#[derive(Debug, Clone)]
pub struct RedisReading {
    /// How it was found so far.
    pub counted: Arc<RedisMetrics>,
    /// The breaker in front of it lets no question through.
    pub breaker_open: bool,
}

/// The state of the controller.
#[derive(Debug, Clone, Copy)]
pub struct KubernetesReading {
    /// When the Kubernetes API last said anything on a watch, seconds of Unix time.
    pub last_event: f64,
    /// This replica leads.
    pub leading: bool,
}

/// The state of one pool of connections.
#[derive(Debug, Clone, Copy)]
pub struct PoolReading {
    /// Its name.
    pub name: &'static str,
    /// Connections in use.
    pub in_use: u32,
    /// Connections waiting to be used.
    pub idle: u32,
    /// Most there may be.
    pub limit: u32,
}

/// The state of one upstream; where operations have their own bulkhead or budget, the sum.
#[derive(Debug, Clone, Default)]
pub struct UpstreamReading {
    /// Its name.
    pub name: String,
    /// Whom its document names as responsible.
    pub owner: Option<String>,
    /// Attempts in flight.
    pub in_flight: usize,
    /// Attempts waiting for a seat.
    pub queued: usize,
    /// Attempts allowed in flight.
    pub limit: usize,
    /// Retries the budget would still allow.
    pub retry_budget: f64,
    /// Its connections.
    pub connections: ConnectionsReading,
    /// How much longer the kept answers could stand in; `None` where no policy of it falls back on them.
    pub stale_runway: Option<Duration>,
    /// Whether its calls get the stored credential; `None` where none is needed.
    pub credentials_attached: Option<bool>,
    /// Its own breaker and those of operations that have one.
    pub breakers: Vec<BreakerReading>,
    /// Its own quota and those of operations that have one.
    pub quotas: Vec<QuotaReading>,
}

/// The state of one quota.
#[derive(Debug, Clone)]
pub struct QuotaReading {
    /// The operation's name, empty for the upstream's own quota.
    pub operation: String,
    /// Tokens that could be taken at once.
    pub remaining: u64,
    /// Attempts waiting for one.
    pub waiting: usize,
    /// What is left of a pause the upstream asked for.
    pub paused_for: Duration,
    /// It is shared, and goes without Redis.
    pub degraded: bool,
}

/// The state of one breaker.
#[derive(Debug, Clone)]
pub struct BreakerReading {
    /// The operation's name, empty for the upstream's own breaker.
    pub operation: String,
    /// Where it stands.
    pub state: BreakerState,
    /// Replicas on which it is open, this one included.
    pub open_on: usize,
    /// What an operator made of it, while that counts.
    pub forced: Option<ForcedMode>,
}
