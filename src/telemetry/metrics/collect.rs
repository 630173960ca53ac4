//! Puts counters and readings under their families.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use prometheus::proto::MetricFamily;

use super::Metrics;
use super::families as family;
use super::families::{Family, Samples};
use super::labels::{AnsweredBy, BreakerState, Label};
use super::readings::{QuotaReading, Readings, UpstreamReading};
use super::upstream::UpstreamMetrics;

/// What stands for the process as a whole.
pub(super) fn service(metrics: &Metrics, readings: &Readings) -> Vec<MetricFamily> {
    let mut build = family::BUILD_INFO.open();
    build.gauge(&[&metrics.version, &metrics.revision], 1.0);
    let mut file_errors = family::FILE_ERRORS.open();
    file_errors.count(&[], metrics.file_errors.load(Relaxed));
    let mut file_loads = family::FILE_LOADS.open();
    file_loads.count(&[], metrics.file_loads.load(Relaxed));
    let mut probe_leases = family::PROBE_LEASES.open();
    probe_leases.counts(&[], &metrics.probe_leases);
    let mut spans_exported = family::SPANS_EXPORTED.open();
    spans_exported.count(&[], metrics.spans_exported.load(Relaxed));
    let mut spans_dropped = family::SPANS_DROPPED.open();
    spans_dropped.counts(&[], &metrics.spans_dropped);
    let mut dependencies = family::DEPENDENCY_UP.open();
    for (dependency, up) in &readings.dependencies {
        dependencies.gauge(&[dependency], f64::from(u8::from(*up)));
    }
    let mut pools = family::POOL_CONNECTIONS.open();
    for pool in &readings.pools {
        for (state, count) in [("in_use", pool.in_use), ("idle", pool.idle), ("limit", pool.limit)] {
            pools.gauge(&[pool.name, state], f64::from(count));
        }
    }
    let mut connections = family::CONNECTIONS.open();
    for (listener, open) in &readings.connections {
        connections.gauge(&[listener.text()], *open as f64);
    }
    let mut families = vec![
        build.close(),
        file_errors.close(),
        file_loads.close(),
        probe_leases.close(),
        spans_exported.close(),
        spans_dropped.close(),
        dependencies.close(),
        pools.close(),
        connections.close(),
    ];
    families.extend([
        single(&family::REPLICAS, f64::from(readings.replicas)),
        single(&family::CACHE_BYTES, readings.cache_bytes as f64),
        single(&family::SNAPSHOT_REVISION, metrics.snapshot_revision.load(Relaxed) as f64),
        single(&family::SNAPSHOT_APPLIED, metrics.snapshot_applied_ms.load(Relaxed) as f64 / 1e3),
        single(&family::FILES_VALID, f64::from(u8::from(metrics.files_valid.load(Relaxed)))),
        single(&family::DRAINING, f64::from(u8::from(metrics.draining.load(Relaxed)))),
    ]);
    if let Some(runtime) = &readings.runtime {
        families.extend([
            single(&family::TOKIO_WORKERS, runtime.num_workers() as f64),
            single(&family::TOKIO_ALIVE_TASKS, runtime.num_alive_tasks() as f64),
            single(&family::TOKIO_GLOBAL_QUEUE_DEPTH, runtime.global_queue_depth() as f64),
        ]);
    }
    families
}

/// What calls recorded, per upstream.
pub(super) fn counted(upstreams: &BTreeMap<String, Arc<UpstreamMetrics>>) -> Vec<MetricFamily> {
    let each = |family: &'static Family, add: fn(&mut Samples, &str, &UpstreamMetrics)| {
        let mut samples = family.open();
        for (name, upstream) in upstreams {
            add(&mut samples, name, upstream);
        }
        samples.close()
    };
    vec![
        each(&family::CALLS, |to, name, it| to.counts(&[name], &it.calls)),
        each(&family::CALLER_CALLS, |to, name, it| it.callers.collect(to, name)),
        each(&family::CALL_DURATION, |to, name, it| {
            for (index, durations) in it.call_durations.iter().enumerate() {
                to.durations(&[name, AnsweredBy::at(index).text()], durations);
            }
        }),
        each(&family::ATTEMPTS, |to, name, it| to.counts(&[name], &it.attempts)),
        each(&family::ATTEMPT_DURATION, |to, name, it| to.durations(&[name], &it.attempt_durations)),
        each(&family::RETRIES, |to, name, it| to.counts(&[name], &it.retries)),
        each(&family::FALLBACKS, |to, name, it| to.counts(&[name], &it.fallbacks)),
        each(&family::CACHE_REQUESTS, |to, name, it| to.counts(&[name], &it.cache)),
        each(&family::QUOTA_TAKES, |to, name, it| to.counts(&[name], &it.quota)),
        each(&family::QUOTA_ASKS, |to, name, it| to.counts(&[name], &it.quota_asks)),
        each(&family::BREAKER_TRANSITIONS, transitions),
    ]
}

/// What the components say, per upstream.
pub(super) fn read(upstreams: &[UpstreamReading]) -> Vec<MetricFamily> {
    let each = |family: &'static Family, value: fn(&UpstreamReading) -> f64| {
        let mut samples = family.open();
        for it in upstreams {
            samples.gauge(&[&it.name], value(it));
        }
        samples.close()
    };
    vec![
        each(&family::RETRY_BUDGET, |it| it.retry_budget),
        each(&family::INFLIGHT, |it| it.in_flight as f64),
        each(&family::QUEUE_DEPTH, |it| it.queued as f64),
        each(&family::CONCURRENCY_LIMIT, |it| it.limit as f64),
        quotas(&family::QUOTA_REMAINING, upstreams, |it| it.remaining as f64),
        quotas(&family::QUOTA_WAITING, upstreams, |it| it.waiting as f64),
        quotas(&family::QUOTA_DEGRADED, upstreams, |it| f64::from(u8::from(it.degraded))),
        quotas(&family::QUOTA_PAUSE, upstreams, |it| it.paused_for.as_secs_f64()),
        credentials(upstreams),
        breaker_states(upstreams),
        open_in_the_fleet(upstreams),
    ]
}

fn single(family: &'static Family, value: f64) -> MetricFamily {
    let mut samples = family.open();
    samples.gauge(&[], value);
    samples.close()
}

fn transitions(samples: &mut Samples, name: &str, upstream: &UpstreamMetrics) {
    for (operation, breaker) in upstream.live_breakers() {
        for ((to, reason), count) in breaker.transitions.read() {
            if count > 0 || reason.leads_to(to) {
                samples.count(&[name, &operation, to.text(), reason.text()], count);
            }
        }
    }
}

fn quotas(
    family: &'static Family,
    upstreams: &[UpstreamReading],
    value: fn(&QuotaReading) -> f64,
) -> MetricFamily {
    let mut samples = family.open();
    for upstream in upstreams {
        for quota in &upstream.quotas {
            samples.gauge(&[&upstream.name, &quota.operation], value(quota));
        }
    }
    samples.close()
}

fn credentials(upstreams: &[UpstreamReading]) -> MetricFamily {
    let mut samples = family::CREDENTIALS_ATTACHED.open();
    for upstream in upstreams {
        if let Some(attached) = upstream.credentials_attached {
            samples.gauge(&[&upstream.name], f64::from(u8::from(attached)));
        }
    }
    samples.close()
}

fn open_in_the_fleet(upstreams: &[UpstreamReading]) -> MetricFamily {
    let mut samples = family::OPEN_REPLICAS.open();
    for upstream in upstreams {
        for breaker in &upstream.breakers {
            samples.gauge(&[&upstream.name, &breaker.operation], breaker.open_on as f64);
        }
    }
    samples.close()
}

fn breaker_states(upstreams: &[UpstreamReading]) -> MetricFamily {
    let mut samples = family::BREAKER_STATE.open();
    for upstream in upstreams {
        for breaker in &upstream.breakers {
            for state in (0..BreakerState::COUNT).map(BreakerState::at) {
                let value = f64::from(u8::from(state == breaker.state));
                samples.gauge(&[&upstream.name, &breaker.operation, state.text()], value);
            }
        }
    }
    samples.close()
}
