//! Every metric of the process: plain atomics behind handles that are resolved once, rendered at each scrape.
//!
//! What a component knows about itself (seats taken, breaker states) is not counted a second time here: it
//! comes in as `Readings` when somebody scrapes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{Method, StatusCode};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;

use crate::error::ProblemType;

mod callers;
mod collect;
mod control;
mod counts;
mod exemplars;
mod exposition;
mod families;
mod issuers;
mod labels;
mod problems;
mod readings;
mod redis;
mod upstream;
mod upstreams;

pub use exposition::Format;
pub use issuers::IssuerFetch;
pub use labels::{
    AttemptResult, AuthFailure, BreakerState, CacheResult, FallbackCause, FallbackStep, ForcedMode, Listener,
    Outcome, PreviousStop, ProbeLease, QuotaAsk, QuotaResult, RateLimit, RetryReason, SpanLoss,
    TransitionReason,
};
pub use readings::{
    BreakerReading, CacheReading, ConnectionsReading, FleetCacheReading, IssuerReading, KubernetesReading,
    PoolReading, QuotaReading, Readings, RedisReading, UpstreamReading,
};
pub use redis::{RedisMetrics, RedisQuestion};
pub use upstream::{BreakerMetrics, UpstreamMetrics};

use self::control::ControlPlane;
use self::counts::Counts;
use self::issuers::Issuers;
use self::problems::Problems;
use self::upstreams::Upstreams;

/// All metrics of one process.
#[derive(Debug)]
pub struct Metrics {
    version: String,
    revision: String,
    upstreams: Upstreams,
    control: ControlPlane,
    issuers: Issuers,
    strangers: Problems,
    snapshot_revision: AtomicU64,
    snapshot_applied_ms: AtomicU64,
    files_valid: AtomicBool,
    file_errors: AtomicU64,
    file_loads: AtomicU64,
    draining: AtomicBool,
    probe_leases: Counts<ProbeLease>,
    spans_exported: AtomicU64,
    spans_dropped: Counts<SpanLoss>,
    process: ProcessCollector,
}

impl Metrics {
    /// `version` and git `revision` become the labels of `levee_build_info`.
    pub fn new(version: &str, revision: &str) -> Self {
        Self {
            version: version.to_owned(),
            revision: revision.to_owned(),
            upstreams: Upstreams::default(),
            control: ControlPlane::default(),
            issuers: Issuers::default(),
            strangers: Problems::default(),
            snapshot_revision: AtomicU64::new(0),
            snapshot_applied_ms: AtomicU64::new(0),
            files_valid: AtomicBool::new(true),
            file_errors: AtomicU64::new(0),
            file_loads: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            probe_leases: Counts::default(),
            spans_exported: AtomicU64::new(0),
            spans_dropped: Counts::default(),
            process: ProcessCollector::for_self(),
        }
    }

    /// The handles of an upstream, the same ones for as long as it is registered. All its series exist, at zero,
    /// from here on. Above 1,000 upstreams the newcomers share the label `_other`.
    pub fn upstream(&self, name: &str) -> Arc<UpstreamMetrics> {
        self.upstreams.register(name)
    }

    /// Removes the series of an upstream that is no longer registered; handles still held go on counting unseen.
    pub fn forget(&self, name: &str) {
        self.upstreams.forget(name);
    }

    /// A snapshot took effect now.
    pub fn snapshot_applied(&self, revision: u64) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.snapshot_revision.store(revision, Relaxed);
        self.snapshot_applied_ms.store(now.as_millis() as u64, Relaxed);
    }

    /// The watched upstream files are all valid, and what they say took effect.
    pub fn upstream_files_accepted(&self) {
        self.files_valid.store(true, Relaxed);
        self.file_loads.fetch_add(1, Relaxed);
    }

    /// A watched upstream file turned bad; the last good version stays in force.
    pub fn upstream_files_refused(&self) {
        self.files_valid.store(false, Relaxed);
        self.file_errors.fetch_add(1, Relaxed);
    }

    /// A request of the data plane was told this before it became a call.
    pub fn refused_before_a_call(&self, problem: ProblemType) {
        self.strangers.add(problem);
    }

    /// The process began to drain.
    pub fn draining(&self) {
        self.draining.store(true, Relaxed);
    }

    /// One answered request of the control plane. `route` is the template it matched, `None` when none did.
    pub fn http_request(&self, method: &Method, route: Option<&str>, status: StatusCode, took: Duration) {
        self.control.record(method, route, status, took);
    }

    /// A request of the control plane was refused because this limit was reached.
    pub fn rate_limited(&self, limit: RateLimit) {
        self.control.limited.add(limit);
    }

    /// Somebody's credential, login or refresh was refused.
    pub fn auth_failure(&self, reason: AuthFailure) {
        self.control.auth_failures.add(reason);
    }

    /// This replica asked for the fleet's lease for probes.
    pub fn probe_lease(&self, result: ProbeLease) {
        self.probe_leases.add(result);
    }

    /// The collector took this many spans.
    pub fn spans_exported(&self, count: u64) {
        self.spans_exported.fetch_add(count, Relaxed);
    }

    /// This many spans never reached the collector.
    pub fn spans_dropped(&self, reason: SpanLoss, count: u64) {
        self.spans_dropped.add_many(reason, count);
    }

    /// An issuer of tokens was asked for its keys.
    pub fn issuer_fetch(&self, issuer: &'static str, result: IssuerFetch) {
        self.issuers.fetched(issuer, result);
    }

    /// Everything as one document, `readings` being the state of the components at this moment.
    pub fn render(&self, format: Format, readings: &Readings) -> String {
        let families = self.gather(readings);
        match format {
            Format::Prometheus => exposition::prometheus(&families),
            Format::OpenMetrics => exposition::open_metrics(&families, &self.upstreams.exemplars()),
        }
    }

    fn gather(&self, readings: &Readings) -> Vec<MetricFamily> {
        let mut gathered = collect::service(self, readings);
        gathered.extend(self.upstreams.collect(&readings.upstreams, &self.strangers));
        gathered.extend(self.control.collect());
        gathered.extend(self.issuers.collect(&readings.issuers));
        gathered.extend(readings.redis.iter().flat_map(|redis| redis.counted.collect(redis.breaker_open)));
        gathered.extend(prometheus::core::Collector::collect(&self.process));
        gathered.retain(|family| !family.get_metric().is_empty());
        gathered
    }
}

#[cfg(test)]
mod tests;
