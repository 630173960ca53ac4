//! What operators see: how the state of the engines becomes metrics, `/status` and reports.

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::gateway::breaker::{self, Reason};
use crate::gateway::snapshot::{Lane, Live};
use crate::server::Open;
use crate::server::ops::Sources;
use crate::services::breakers::{BreakerMode, BreakerReport, BreakerState, BreakersService};
use crate::services::health::HealthService;
use crate::services::upstreams::FileFaults;
use crate::telemetry::metrics::{BreakerReading, Listener, Metrics, Readings, UpstreamReading};

/// The counts of open connections, one for each listener.
pub(super) struct OpenConnections {
    pub(super) proxy: Open,
    /// None where the control plane shares the data plane's listener.
    pub(super) api: Option<Open>,
}

impl OpenConnections {
    fn read(&self) -> Vec<(Listener, usize)> {
        let api = self.api.as_ref().map(|open| (Listener::Api, open.count()));
        std::iter::once((Listener::Proxy, self.proxy.count())).chain(api).collect()
    }
}

/// What the ops port asks for.
pub(super) fn ops_sources(
    metrics: &Arc<Metrics>,
    gateway: &Arc<Gateway>,
    open: OpenConnections,
    faults: &FileFaults,
) -> Sources {
    let runtime = tokio::runtime::Handle::current();
    let (metrics, scraped) = (Arc::clone(metrics), Arc::clone(gateway));
    let (gateway, faults) = (Arc::clone(gateway), faults.clone());
    Sources {
        metrics: Box::new(move |format| {
            let mut readings = read(&scraped);
            readings.connections = open.read();
            readings.runtime = Some(runtime.metrics());
            metrics.render(format, &readings)
        }),
        status: Box::new(move || status(&gateway, &faults)),
    }
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
    reading.breakers = live
        .lanes_with_own_breaker()
        .map(|lane| BreakerReading {
            operation: lane.operation.clone().unwrap_or_default(),
            state: lane.breaker.view().state.into(),
        })
        .collect();
    reading
}

fn status(gateway: &Gateway, faults: &FileFaults) -> Value {
    let snapshot = gateway.snapshot();
    let mut upstreams: Vec<&Arc<Live>> = snapshot.all().collect();
    upstreams.sort_by(|a, b| a.upstream.name.cmp(&b.upstream.name));
    let upstreams: Vec<Value> = upstreams.into_iter().map(|live| upstream_status(live)).collect();
    json!({
        "version": crate::VERSION,
        "gitRevision": crate::REVISION,
        "snapshot": {
            "revision": snapshot.revision,
            "ageSeconds": snapshot.applied.map(|applied| applied.elapsed().as_secs()),
        },
        "upstreamFileFaults": faults.lines(),
        "upstreams": upstreams,
    })
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
    json!({
        "name": live.upstream.name,
        "owner": live.upstream.owner,
        "source": live.upstream.origin,
        "breakers": breakers,
        "connections": { "open": connections.open, "idle": connections.idle, "dialled": connections.dialled },
    })
}

/// The API's view of health.
pub(super) fn health(gateway: &Arc<Gateway>) -> HealthService {
    let gateway = Arc::clone(gateway);
    HealthService::new(move || gateway.snapshot().revision)
}

/// The API's view of the breakers.
pub(super) fn breakers(gateway: &Arc<Gateway>) -> BreakersService {
    let gateway = Arc::clone(gateway);
    BreakersService::new(move || {
        let snapshot = gateway.snapshot();
        let reports = |live: &Arc<Live>| {
            live.lanes_with_own_breaker().map(|lane| report(&live.upstream.name, lane)).collect::<Vec<_>>()
        };
        snapshot.all().flat_map(reports).collect()
    })
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
    }
}
