//! What operators see: how the state of the engines becomes metrics, `/status` and reports.

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use serde_json::{Value, json};

use super::kubernetes;
use crate::controller;
use crate::fleet::Replicas;
use crate::gateway::Gateway;
use crate::gateway::breaker::{self, Reason};
use crate::gateway::quota::{Quota, Standing};
use crate::gateway::snapshot::{Lane, Live};
use crate::redis::Redis;
use crate::repositories::{self, Store};
use crate::server::OpenConnections;
use crate::server::ops::Sources;
use crate::services::breakers::{BreakerMode, BreakerReport, BreakerState, BreakersService};
use crate::services::health::HealthService;
use crate::services::publication::{Publisher, Source};
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
    pub(super) kubernetes: Option<Arc<controller::Standing>>,
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
        let mut readings = read(&self.gateway);
        readings.connections =
            self.connections.iter().map(|(listener, open)| (*listener, open.count())).collect();
        readings.replicas = self.replicas.live();
        readings.runtime = Some(runtime.metrics());
        let database = self.publisher().is_some_and(|publisher| publisher.away().is_none());
        readings.dependencies = vec![("database", database)];
        readings.dependencies.extend(self.redis.as_ref().map(|redis| ("redis", redis.is_up())));
        if let Some(standing) = &self.kubernetes {
            let (up, reading) = kubernetes::reading(standing);
            readings.dependencies.push(("kubernetes", up));
            readings.kubernetes = Some(reading);
        }
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

fn read(gateway: &Gateway) -> Readings {
    let snapshot = gateway.snapshot();
    Readings {
        cache_bytes: gateway.cache().stats().bytes,
        upstreams: snapshot.all().map(|live| read_upstream(live)).collect(),
        ..Readings::default()
    }
}

fn read_upstream(live: &Live) -> UpstreamReading {
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
        .map(|lane| BreakerReading {
            operation: lane.operation.clone().unwrap_or_default(),
            state: lane.breaker.view().state.into(),
        })
        .collect();
    reading
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
            "wholeOnDisk": publisher.is_some_and(Publisher::kept_all),
            "fromDisk": publisher.is_some_and(|publisher| publisher.published().from_disk),
        },
        "database": database_status(publisher),
        "replica": observed.replicas.id(),
        "replicas": observed.replicas.names(),
        "redis": observed.redis.as_ref().map(redis_status),
        "kubernetes": observed.kubernetes.as_ref().map(|standing| kubernetes::status(standing, publisher)),
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
    let of_api = now.merged.entries.iter().filter(|(_, entry)| entry.source == Source::Api);
    let faulty = of_api.filter(|(_, entry)| !entry.faults.is_empty());
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

/// The API's view of the breakers.
pub(super) fn breakers(gateway: &Arc<Gateway>, store: &Store, publisher: &Arc<Publisher>) -> BreakersService {
    BreakersService::new(store.clone(), Arc::clone(publisher), breaker_reports(gateway))
}

/// Every breaker of this process as it stands when asked.
pub(super) fn breaker_reports(
    gateway: &Arc<Gateway>,
) -> impl Fn() -> Vec<BreakerReport> + Send + Sync + use<> {
    let gateway = Arc::clone(gateway);
    move || {
        let snapshot = gateway.snapshot();
        let reports = |live: &Arc<Live>| {
            live.lanes_with_own_breaker().map(|lane| report(&live.upstream.name, lane)).collect::<Vec<_>>()
        };
        snapshot.all().flat_map(reports).collect()
    }
}

fn report(upstream: &str, lane: &Lane) -> BreakerReport {
    let view = lane.breaker.view();
    let stood = view.since.elapsed();
    BreakerReport {
        upstream: upstream.to_owned(),
        operation: lane.operation.clone(),
        mode: match view.mode {
            breaker::Mode::Auto => BreakerMode::Auto,
            breaker::Mode::ForcedOpen => BreakerMode::ForcedOpen,
            breaker::Mode::ForcedClosed => BreakerMode::ForcedClosed,
            breaker::Mode::MetricsOnly => BreakerMode::MetricsOnly,
        },
        state: match view.state {
            breaker::State::Closed => BreakerState::Closed,
            breaker::State::Open | breaker::State::ForcedOpen => BreakerState::Open,
            breaker::State::HalfOpen => BreakerState::HalfOpen,
        },
        since: SystemTime::now().checked_sub(stood).unwrap_or(SystemTime::UNIX_EPOCH),
        reason: (view.reason != Reason::Start).then(|| view.reason.as_str().to_owned()),
        retry_after_seconds: view.open_remaining.map(|after| after.as_millis().div_ceil(1000).max(1) as u64),
        failure_rate: view.failure_rate,
        calls: view.calls,
        failures: view.failures,
        slow: view.slow,
        forced: None,
    }
}
