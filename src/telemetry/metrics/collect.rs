//! Puts counters and readings under their families.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use prometheus::proto::MetricFamily;

use super::Metrics;
use super::families as family;
use super::families::{Family, Samples};
use super::labels::{AnsweredBy, BreakerState, ForcedMode, Label, PreviousStop};
use super::problems::{self, Problems};
use super::readings::{FleetCacheReading, QuotaReading, Readings, UpstreamReading};
use super::upstream::UpstreamMetrics;

/// What stands for the process as a whole.
pub(super) fn service(metrics: &Metrics, readings: &Readings) -> Vec<MetricFamily> {
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
        build_info(metrics),
        counter(&family::FILE_ERRORS, metrics.file_errors.load(Relaxed)),
        counter(&family::FILE_LOADS, metrics.file_loads.load(Relaxed)),
        counter(&family::SPANS_EXPORTED, metrics.spans_exported.load(Relaxed)),
        probe_leases(metrics),
        spans_dropped.close(),
        dependencies.close(),
        pools.close(),
        connections.close(),
    ];
    families.extend([
        single(&family::REPLICAS, f64::from(readings.replicas)),
        single(&family::CACHE_BYTES, readings.cache.bytes as f64),
        single(&family::CACHE_CAPACITY, readings.cache.capacity as f64),
        single(&family::CACHE_ENTRIES, readings.cache.entries as f64),
        counter(&family::CACHE_EVICTIONS, readings.cache.evicted),
        words(&family::CACHE_PURGES, &readings.cache.purges),
        single(&family::UPSTREAMS_LEFT_OUT, readings.left_out as f64),
        single(&family::RUNTIME_SILENCE, readings.silence.as_secs_f64()),
        previous_stop(readings.previous_stop.unwrap_or(PreviousStop::Unknown)),
        single(&family::SNAPSHOT_REVISION, metrics.snapshot_revision.load(Relaxed) as f64),
        single(&family::SNAPSHOT_APPLIED, metrics.snapshot_applied_ms.load(Relaxed) as f64 / 1e3),
        single(&family::FILES_VALID, f64::from(u8::from(metrics.files_valid.load(Relaxed)))),
        single(&family::DRAINING, f64::from(u8::from(metrics.draining.load(Relaxed)))),
    ]);
    if let Some(fleet) = &readings.fleet_cache {
        families.extend(fleet_cache(fleet));
    }
    if let Some(kubernetes) = &readings.kubernetes {
        families.extend([
            single(&family::LEADER, f64::from(u8::from(kubernetes.leading))),
            single(&family::WATCH_LAST_EVENT, kubernetes.last_event),
        ]);
    }
    if let Some(runtime) = &readings.runtime {
        families.extend([
            single(&family::TOKIO_WORKERS, runtime.num_workers() as f64),
            single(&family::TOKIO_ALIVE_TASKS, runtime.num_alive_tasks() as f64),
            single(&family::TOKIO_GLOBAL_QUEUE_DEPTH, runtime.global_queue_depth() as f64),
        ]);
    }
    families
}

/// What calls recorded, per upstream; `strangers` never became calls.
pub(super) fn counted(
    upstreams: &BTreeMap<String, Arc<UpstreamMetrics>>,
    strangers: &Problems,
) -> Vec<MetricFamily> {
    let each = |family: &'static Family, add: fn(&mut Samples, &str, &UpstreamMetrics)| {
        let mut samples = family.open();
        for (name, upstream) in upstreams {
            add(&mut samples, name, upstream);
        }
        samples.close()
    };
    let mut problems = family::PROBLEMS.open();
    problems::of_strangers(&mut problems, strangers);
    for (name, upstream) in upstreams {
        problems::of_calls(&mut problems, name, &upstream.problems);
    }
    vec![
        problems.close(),
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
        owners(upstreams),
        connections(upstreams),
        dials(upstreams),
        where_known(&family::STALE_RUNWAY, upstreams, |it| Some(it.stale_runway?.as_secs_f64())),
        where_known(&family::CREDENTIALS_ATTACHED, upstreams, |it| {
            Some(f64::from(u8::from(it.credentials_attached?)))
        }),
        breaker_states(upstreams),
        breakers_forced(upstreams),
        open_in_the_fleet(upstreams),
    ]
}

fn fleet_cache(fleet: &FleetCacheReading) -> [MetricFamily; 9] {
    let (mut applied, mut lost) = (family::CACHE_LOG_APPLIED.open(), family::CACHE_LOG_LOST.open());
    applied.count(&[], fleet.applied);
    lost.count(&[], fleet.lost_track);
    [
        words(&family::CACHE_FLEET_LOOKS, &fleet.looks),
        words(&family::CACHE_FLEET_WRITES, &fleet.writes),
        words(&family::CACHE_LEASES, &fleet.leases),
        applied.close(),
        lost.close(),
        single(&family::CACHE_LOG_LAG, fleet.lag_seconds),
        single(&family::CACHE_LOG_SILENT, fleet.silent_seconds),
        single(&family::CACHE_LOG_BLIND, f64::from(u8::from(fleet.blind))),
        single(&family::CACHE_LOG_OUTBOX, fleet.outbox as f64),
    ]
}

/// A count for each word of one label.
fn words(family: &'static Family, counts: &[(&str, u64)]) -> MetricFamily {
    let mut samples = family.open();
    for (word, count) in counts {
        samples.count(&[word], *count);
    }
    samples.close()
}

fn single(family: &'static Family, value: f64) -> MetricFamily {
    let mut samples = family.open();
    samples.gauge(&[], value);
    samples.close()
}

fn counter(family: &'static Family, value: u64) -> MetricFamily {
    let mut samples = family.open();
    samples.count(&[], value);
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

fn where_known(
    family: &'static Family,
    upstreams: &[UpstreamReading],
    value: fn(&UpstreamReading) -> Option<f64>,
) -> MetricFamily {
    let mut samples = family.open();
    for upstream in upstreams {
        if let Some(value) = value(upstream) {
            samples.gauge(&[&upstream.name], value);
        }
    }
    samples.close()
}

fn owners(upstreams: &[UpstreamReading]) -> MetricFamily {
    let mut samples = family::UPSTREAM_INFO.open();
    for upstream in upstreams {
        samples.gauge(&[&upstream.name, upstream.owner.as_deref().unwrap_or_default()], 1.0);
    }
    samples.close()
}

fn connections(upstreams: &[UpstreamReading]) -> MetricFamily {
    let mut samples = family::UPSTREAM_CONNECTIONS.open();
    for upstream in upstreams {
        let connections = upstream.connections;
        for (state, count) in [("open", connections.open), ("idle", connections.idle)] {
            samples.gauge(&[&upstream.name, state], count as f64);
        }
    }
    samples.close()
}

fn dials(upstreams: &[UpstreamReading]) -> MetricFamily {
    let mut samples = family::UPSTREAM_DIALS.open();
    for upstream in upstreams {
        samples.count(&[&upstream.name], upstream.connections.dialled);
    }
    samples.close()
}

fn build_info(metrics: &Metrics) -> MetricFamily {
    let mut samples = family::BUILD_INFO.open();
    samples.gauge(&[&metrics.version, &metrics.revision], 1.0);
    samples.close()
}

fn probe_leases(metrics: &Metrics) -> MetricFamily {
    let mut samples = family::PROBE_LEASES.open();
    samples.counts(&[], &metrics.probe_leases);
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

fn breakers_forced(upstreams: &[UpstreamReading]) -> MetricFamily {
    let mut samples = family::BREAKER_FORCED.open();
    for upstream in upstreams {
        for breaker in &upstream.breakers {
            for mode in (0..ForcedMode::COUNT).map(ForcedMode::at) {
                let value = f64::from(u8::from(Some(mode) == breaker.forced));
                samples.gauge(&[&upstream.name, &breaker.operation, mode.text()], value);
            }
        }
    }
    samples.close()
}

fn previous_stop(how: PreviousStop) -> MetricFamily {
    let mut samples = family::PREVIOUS_STOP.open();
    for known in (0..PreviousStop::COUNT).map(PreviousStop::at) {
        samples.gauge(&[known.text()], f64::from(u8::from(known == how)));
    }
    samples.close()
}
