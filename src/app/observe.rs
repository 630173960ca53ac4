//! What operators see: how the state of the engines becomes metrics, `/status` and reports.

use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use crate::fleet::Replicas;
use crate::gateway::Gateway;
use crate::gateway::breaker::State;
use crate::gateway::peers::{PeerState, Peers};
use crate::gateway::quota::{Quota, Standing};
use crate::gateway::snapshot::{Lane, Live};
use crate::redis::Redis;
use crate::repositories;
use crate::server::OpenConnections;
use crate::server::ops::Sources;
use crate::services::health::HealthService;
use crate::services::publication::Publisher;
use crate::services::upstreams::FileFaults;
use crate::telemetry::metrics::{
    BreakerReading, Listener, Metrics, PoolReading, QuotaReading, Readings, UpstreamReading,
};

/// The publisher, once there is one: the ops port answers before that.
pub(super) type Publishing = Arc<OnceLock<Arc<Publisher>>>;

/// What the ops port looks at.
pub(super) struct Observed {
    pub(super) metrics: Arc<Metrics>,
    pub(super) gateway: Arc<Gateway>,
    pub(super) connections: Vec<(Listener, OpenConnections)>,
    pub(super) faults: FileFaults,
    pub(super) publishing: Publishing,
    pub(super) redis: Option<Redis>,
    pub(super) peers: Arc<Peers>,
    pub(super) replicas: Replicas,
}

/// What the ops port asks for.
pub(super) fn ops_sources(observed: Observed) -> Sources {
    let runtime = tokio::runtime::Handle::current();
    let observed = Arc::new(observed);
    let asked = Arc::clone(&observed);
    Sources {
        metrics: Box::new(move |format| observed.metrics.render(format, &observed.readings(&runtime))),
        status: Box::new(move || status(&asked)),
    }
}

impl Observed {
    fn publisher(&self) -> Option<&Publisher> {
        self.publishing.get().map(Arc::as_ref)
    }

    fn readings(&self, runtime: &tokio::runtime::Handle) -> Readings {
        let mut readings = read(&self.gateway, &self.peers);
        readings.connections =
            self.connections.iter().map(|(listener, open)| (*listener, open.count())).collect();
        readings.replicas = self.replicas.live();
        readings.runtime = Some(runtime.metrics());
        let database = self.publisher().is_some_and(|publisher| publisher.away().is_none());
        readings.dependencies = vec![("database", database)];
        readings.dependencies.extend(self.redis.as_ref().map(|redis| ("redis", redis.is_up())));
        readings.pools = self.publisher().map_or_else(Vec::new, pools);
        readings
    }
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

fn read(gateway: &Gateway, peers: &Peers) -> Readings {
    let snapshot = gateway.snapshot();
    Readings {
        cache_bytes: gateway.cache().stats().bytes,
        upstreams: snapshot.all().map(|live| read_upstream(live, peers)).collect(),
        ..Readings::default()
    }
}

fn read_upstream(live: &Live, peers: &Peers) -> UpstreamReading {
    let mut reading = UpstreamReading { name: live.upstream.name.clone(), ..UpstreamReading::default() };
    for lane in live.lanes_with_own_seats() {
        reading.in_flight += lane.bulkhead.in_flight();
        reading.queued += lane.bulkhead.waiting();
        reading.limit += lane.bulkhead.limit();
    }
    reading.retry_budget = live.lanes_with_own_budget().map(|lane| lane.budget.remaining()).sum();
    reading.credentials_attached = live.credentials.state().map(|state| state.is_ok());
    reading.quotas = live.lanes_with_own_quota().map(|(lane, quota)| read_quota(lane, quota)).collect();
    reading.breakers = live
        .lanes_with_own_breaker()
        .map(|lane| {
            let (operation, state) = (lane.operation.as_deref(), lane.breaker.view().state);
            BreakerReading {
                operation: operation.unwrap_or_default().to_owned(),
                state: state.into(),
                open_on: usize::from(matches!(state, State::Open | State::ForcedOpen))
                    + open_elsewhere(peers, &live.upstream.name, operation),
            }
        })
        .collect();
    reading
}

fn open_elsewhere(peers: &Peers, upstream: &str, operation: Option<&str>) -> usize {
    let others = peers.others(upstream, operation);
    let states = others.iter().filter_map(|peer| peer.note.as_ref()).map(|note| note.state);
    states.filter(|state| matches!(state, PeerState::Open | PeerState::ForcedOpen)).count()
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

fn status(observed: &Observed) -> Value {
    let publisher = observed.publisher();
    let snapshot = observed.gateway.snapshot();
    let mut upstreams: Vec<&Arc<Live>> = snapshot.all().collect();
    upstreams.sort_by(|a, b| a.upstream.name.cmp(&b.upstream.name));
    let upstreams: Vec<Value> = upstreams.into_iter().map(|live| upstream_status(live)).collect();
    json!({
        "version": crate::VERSION,
        "gitRevision": crate::REVISION,
        "snapshot": {
            "revision": snapshot.revision,
            "ageSeconds": snapshot.applied.map(|applied| applied.elapsed().as_secs()),
            "onDisk": publisher.and_then(Publisher::kept),
            "fromDisk": publisher.is_some_and(|publisher| publisher.published().from_disk),
        },
        "database": database_status(publisher),
        "replica": observed.replicas.id(),
        "replicas": observed.replicas.names(),
        "redis": observed.redis.as_ref().map(redis_status),
        "upstreamFileFaults": observed.faults.lines(),
        "storedUpstreamFaults": publisher.map(stored_faults).unwrap_or_default(),
        "upstreams": upstreams,
    })
}

fn database_status(publisher: Option<&Publisher>) -> Value {
    match publisher.map(Publisher::away) {
        None => json!({ "up": false, "reason": "not asked yet, or it does not answer" }),
        Some(None) => json!({ "up": true }),
        Some(Some(away)) => {
            json!({ "up": false, "reason": away.reason, "forSeconds": away.since.elapsed().as_secs() })
        }
    }
}

/// `null` in `/status` where no Redis was named.
fn redis_status(redis: &Redis) -> Value {
    match redis.away() {
        None => json!({ "up": true }),
        Some(away) => {
            json!({ "up": false, "reason": away.reason, "forSeconds": away.since.elapsed().as_secs() })
        }
    }
}

/// What is wrong with upstreams of the API; those that calls cannot find are said to be left out.
fn stored_faults(publisher: &Publisher) -> Vec<Value> {
    let now = publisher.published();
    let faulty = now.merged.entries.iter().filter(|(_, entry)| !entry.faults.is_empty());
    faulty
        .map(|(name, entry)| {
            let lines = entry.faults.iter().map(|fault| format!("{}: {}", fault.pointer, fault.detail));
            json!({
                "upstream": name,
                "leftOut": !entry.in_force,
                "revision": entry.registration.as_ref().map(|registration| registration.revision),
                "faults": lines.collect::<Vec<_>>(),
            })
        })
        .collect()
}

fn upstream_status(live: &Live) -> Value {
    let connections = live.transport.connections();
    let breakers: Vec<Value> = live
        .lanes_with_own_breaker()
        .map(|lane| {
            let view = lane.breaker.view();
            json!({ "operation": lane.operation, "state": view.state.as_str(), "mode": view.mode.as_str() })
        })
        .collect();
    let quotas: Vec<Value> = live
        .lanes_with_own_quota()
        .map(|(lane, quota)| {
            json!({
                "operation": lane.operation,
                "tokens": quota.standing().as_str(),
                "remaining": quota.remaining(),
                "waiting": quota.waiting(),
                "pausedForSeconds": quota.paused_for().as_secs_f64().ceil() as u64,
            })
        })
        .collect();
    json!({
        "name": live.upstream.name,
        "owner": live.upstream.owner,
        "source": live.upstream.origin,
        "breakers": breakers,
        "quotas": quotas,
        "credentials": live.credentials.state().map(|state| state.err().unwrap_or("attached")),
        "connections": { "open": connections.open, "idle": connections.idle, "dialled": connections.dialled },
    })
}

/// The API's view of health.
pub(super) fn health(gateway: &Arc<Gateway>) -> HealthService {
    let gateway = Arc::clone(gateway);
    HealthService::new(move || gateway.snapshot().revision)
}
