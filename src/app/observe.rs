//! What operators see: how the state of the engines becomes metrics and reports.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

use super::kubernetes;
use super::status;
use crate::cache::{self, FleetReading};
use crate::controller;
use crate::fleet::Replicas;
use crate::gateway::Gateway;
use crate::gateway::breaker::{Mode, State};
use crate::gateway::peers::Peers;
use crate::gateway::quota::{Quota, Standing};
use crate::gateway::snapshot::{Lane, Live, Snapshot};
use crate::models::policy::FallbackStep;
use crate::redis::Redis;
use crate::repositories;
use crate::server::OpenConnections;
use crate::server::ops::{Health, Sources};
use crate::services::health::HealthService;
use crate::services::issuers::IssuerKeys;
use crate::services::publication::Publisher;
use crate::services::upstreams::FileFaults;
use crate::telemetry::metrics::{
    BreakerReading, CacheReading, ConnectionsReading, FleetCacheReading, ForcedMode, IssuerReading, Listener,
    Metrics, PoolReading, PreviousStop, QuotaReading, Readings, RedisReading, UpstreamReading,
};

/// The publisher, once there is one: the ops port answers before that.
pub(super) type Publishing = Arc<OnceLock<Arc<Publisher>>>;

/// Whose state is shown.
pub(super) struct Observed {
    pub(super) metrics: Arc<Metrics>,
    pub(super) gateway: Arc<Gateway>,
    pub(super) health: Arc<Health>,
    pub(super) connections: Vec<(Listener, OpenConnections)>,
    pub(super) faults: FileFaults,
    pub(super) publishing: Publishing,
    pub(super) redis: Option<Redis>,
    pub(super) peers: Arc<Peers>,
    pub(super) issuers: Vec<Arc<IssuerKeys>>,
    pub(super) kubernetes: Option<Arc<controller::Standing>>,
    pub(super) replicas: Replicas,
    pub(super) previous_stop: PreviousStop,
}

impl Observed {
    /// The publisher, once there is one.
    pub(super) fn publisher(&self) -> Option<&Publisher> {
        self.publishing.get().map(Arc::as_ref)
    }
}

/// What the ops port asks for.
pub(super) fn ops_sources(observed: Observed) -> Sources {
    let runtime = tokio::runtime::Handle::current();
    let observed = Arc::new(observed);
    let asked = Arc::clone(&observed);
    Sources {
        metrics: Box::new(move |format| {
            let mut readings = read(&observed);
            readings.runtime = Some(runtime.metrics());
            observed.metrics.render(format, &readings)
        }),
        status: Box::new(move || status::status(&asked)),
    }
}

fn read(observed: &Observed) -> Readings {
    let snapshot = observed.gateway.snapshot();
    let cache = observed.gateway.cache().stats();
    let publisher = observed.publisher();
    let mut runways = runways(&observed.gateway, &snapshot);
    let database = publisher.is_some_and(|publisher| publisher.away().is_none());
    let mut dependencies = vec![("database", database)];
    dependencies.extend(observed.redis.as_ref().map(|redis| ("redis", redis.is_up())));
    let watching = observed.kubernetes.as_ref().map(|standing| kubernetes::reading(standing));
    dependencies.extend(watching.map(|(up, _)| ("kubernetes", up)));
    Readings {
        cache: CacheReading {
            bytes: cache.bytes,
            capacity: cache.capacity,
            entries: cache.entries,
            evicted: cache.evicted,
            purges: observed.gateway.cache().purges_made(),
        },
        connections: observed.connections.iter().map(|(listener, open)| (*listener, open.count())).collect(),
        fleet_cache: observed.gateway.cache().fleet_reading().as_ref().map(read_fleet),
        redis: observed.redis.as_ref().map(read_redis),
        upstreams: snapshot.all().map(|live| read_upstream(live, &observed.peers, &mut runways)).collect(),
        replicas: observed.replicas.live(),
        dependencies,
        issuers: observed.issuers.iter().map(|keys| read_issuer(keys)).collect(),
        kubernetes: watching.map(|(_, reading)| reading),
        pools: publisher.map_or_else(Vec::new, pools),
        runtime: None,
        silence: observed.health.silence(),
        left_out: publisher.map_or(0, |publisher| publisher.published().merged.left_out().count()),
        previous_stop: Some(observed.previous_stop),
    }
}

fn read_redis(redis: &Redis) -> RedisReading {
    RedisReading { counted: redis.metrics(), breaker_open: redis.breaker_is_open() }
}

fn read_issuer(keys: &IssuerKeys) -> IssuerReading {
    let report = keys.report();
    IssuerReading { name: report.name, keys: report.keys, fetched: report.fetched }
}

fn pools(publisher: &Publisher) -> Vec<PoolReading> {
    let read = |pool: repositories::PoolReading| PoolReading {
        name: pool.pool,
        in_use: pool.in_use,
        idle: pool.idle,
        limit: pool.limit,
    };
    publisher.pools().into_iter().map(read).collect()
}

/// What stored answers have left, by operation.
type Runways = HashMap<String, Vec<Duration>>;

fn runways(gateway: &Gateway, snapshot: &Snapshot) -> Runways {
    let lanes = snapshot.all().flat_map(|live| &live.lanes);
    let ages: HashMap<&str, Duration> =
        lanes.filter_map(|lane| Some((lane.cache_name.as_str(), stale_fallback(lane)?))).collect();
    if ages.is_empty() {
        return Runways::new();
    }
    gateway.cache().runways(Instant::now(), |operation| ages.get(operation).copied())
}

fn read_fleet(fleet: &FleetReading) -> FleetCacheReading {
    FleetCacheReading {
        looks: fleet.looks.iter().map(|(how, count)| (how.word(), *count)).collect(),
        writes: fleet.writes.iter().map(|(how, count)| (how.word(), *count)).collect(),
        leases: fleet.leases.iter().map(|(how, count)| (how.word(), *count)).collect(),
        applied: fleet.log.applied,
        lost_track: fleet.log.lost_track,
        lag_seconds: fleet.log.lag_seconds,
        silent_seconds: fleet.log.silent_seconds,
        blind: fleet.log.blind,
        outbox: fleet.log.outbox,
    }
}

/// `maxAge` of its `stale` fallback.
fn stale_fallback(lane: &Arc<Lane>) -> Option<Duration> {
    lane.policy.fallback.steps.iter().find_map(|step| match step {
        FallbackStep::Stale { max_age } => Some(*max_age),
        _ => None,
    })
}

fn read_upstream(live: &Live, peers: &Peers, runways: &mut Runways) -> UpstreamReading {
    let connections = live.transport.connections();
    let mut reading = UpstreamReading {
        name: live.upstream.name.clone(),
        owner: live.upstream.owner.clone(),
        connections: ConnectionsReading {
            open: connections.open,
            idle: connections.idle,
            dialled: connections.dialled,
        },
        ..UpstreamReading::default()
    };
    for lane in live.lanes_with_own_seats() {
        reading.in_flight += lane.bulkhead.in_flight();
        reading.queued += lane.bulkhead.waiting();
        reading.limit += lane.bulkhead.limit();
    }
    reading.retry_budget = live.lanes_with_own_budget().map(|lane| lane.budget.remaining()).sum();
    reading.credentials_attached = live.credentials.state().map(|state| state.is_ok());
    reading.quotas = live.lanes_with_own_quota().map(|(lane, quota)| read_quota(lane, quota)).collect();
    reading.breakers = live.lanes_with_own_breaker().map(|lane| read_breaker(live, lane, peers)).collect();
    let mut falling_back = live.lanes.iter().filter(|lane| stale_fallback(lane).is_some()).peekable();
    reading.stale_runway = falling_back.peek().is_some().then(|| {
        let left = falling_back.filter_map(|lane| runways.remove(&lane.cache_name)).flatten();
        cache::median(left.collect())
    });
    reading
}

fn read_breaker(live: &Live, lane: &Lane, peers: &Peers) -> BreakerReading {
    let view = lane.breaker.view();
    // The policy can say `metrics_only`, too; a note is an operator's.
    let forced = view.note.is_some().then_some(match view.mode {
        Mode::Auto => None,
        Mode::ForcedOpen => Some(ForcedMode::Open),
        Mode::ForcedClosed => Some(ForcedMode::Closed),
        Mode::MetricsOnly => Some(ForcedMode::MetricsOnly),
    });
    BreakerReading {
        operation: lane.operation.clone().unwrap_or_default(),
        state: view.state.into(),
        forced: forced.flatten(),
        open_on: usize::from(matches!(view.state, State::Open | State::ForcedOpen))
            + peers.open_elsewhere(&live.upstream.name, lane.operation.as_deref()),
    }
}

fn read_quota(lane: &Lane, quota: &Quota) -> QuotaReading {
    QuotaReading {
        operation: lane.operation.clone().unwrap_or_default(),
        remaining: quota.remaining(),
        waiting: quota.waiting(),
        paused_for: quota.paused_for(),
        degraded: !matches!(quota.standing(), Standing::Replica | Standing::Fleet),
    }
}

/// The API's view of health.
pub(super) fn health(gateway: &Arc<Gateway>) -> HealthService {
    let gateway = Arc::clone(gateway);
    HealthService::new(move || gateway.snapshot().revision)
}
