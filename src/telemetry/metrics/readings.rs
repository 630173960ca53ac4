//! What components say about themselves at the moment of a scrape.

use std::time::Duration;

use tokio::runtime::RuntimeMetrics;

use super::labels::{BreakerState, Listener};

/// The state of the components, asked for at each scrape.
#[derive(Debug, Default)]
pub struct Readings {
    /// Memory held by cached answers, bytes.
    pub cache_bytes: u64,
    /// Replicas that live.
    pub replicas: u32,
    /// Open connections of each listener that is up.
    pub connections: Vec<(Listener, usize)>,
    /// One for each upstream of the snapshot in force.
    pub upstreams: Vec<UpstreamReading>,
    /// What we stand on, and whether it answers: `database`, and `redis` where one is named.
    pub dependencies: Vec<(&'static str, bool)>,
    /// The pools of connections to the database.
    pub pools: Vec<PoolReading>,
    /// The main runtime's `Handle::metrics()`.
    pub runtime: Option<RuntimeMetrics>,
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
    /// Attempts in flight.
    pub in_flight: usize,
    /// Attempts waiting for a seat.
    pub queued: usize,
    /// Attempts allowed in flight.
    pub limit: usize,
    /// Retries the budget would still allow.
    pub retry_budget: f64,
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
}
