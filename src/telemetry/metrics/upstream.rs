//! The handles of one upstream: what the call path records into, at a few relaxed atomics an event.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use http::Method;
use parking_lot::Mutex;

use super::callers::Callers;
use super::counts::{Counts, Durations};
use super::exemplars::Exemplars;
use super::labels::{
    AnsweredBy, AttemptResult, BreakerState, CacheResult, FallbackCause, FallbackStep, Label, MethodLabel,
    Outcome, QuotaAsk, QuotaResult, RetryReason, TransitionReason,
};
use super::problems::Problems;
use crate::error::ProblemType;
use crate::telemetry::traces::TraceName;

/// The counters of one upstream.
#[derive(Debug, Default)]
pub struct UpstreamMetrics {
    pub(super) calls: Counts<(MethodLabel, Outcome)>,
    pub(super) call_durations: [Durations; AnsweredBy::COUNT],
    pub(super) call_exemplars: [Exemplars; AnsweredBy::COUNT],
    pub(super) attempts: Counts<AttemptResult>,
    pub(super) attempt_durations: Durations,
    pub(super) retries: Counts<RetryReason>,
    pub(super) fallbacks: Counts<(FallbackStep, FallbackCause)>,
    pub(super) cache: Counts<CacheResult>,
    pub(super) problems: Problems,
    pub(super) quota: Counts<QuotaResult>,
    pub(super) quota_asks: Counts<QuotaAsk>,
    pub(super) callers: Callers,
    breakers: Mutex<BTreeMap<String, Weak<BreakerMetrics>>>,
}

impl UpstreamMetrics {
    /// A call ended; `took` is the time to its response headers, `trace` the one it is recorded in.
    pub fn call(&self, method: &Method, outcome: Outcome, took: Duration, trace: Option<TraceName>) {
        self.calls.add((method.into(), outcome));
        let answered_by = outcome.answered_by().index();
        self.call_durations[answered_by].record(took);
        if let Some(trace) = trace {
            self.call_exemplars[answered_by].note(trace, took);
        }
    }

    /// Levee itself answered a call, with this.
    pub fn problem(&self, problem: ProblemType) {
        self.problems.add(problem);
    }

    /// A call of the caller that `key` tells apart arrived; `name` is asked for at its first.
    pub fn caller(&self, key: u64, name: impl FnOnce() -> String) {
        self.callers.add(key, name);
    }

    /// An attempt ended; `took` is the time to its response headers.
    pub fn attempt(&self, result: AttemptResult, took: Duration) {
        self.attempts.add(result);
        self.attempt_durations.record(took);
    }

    /// Another attempt is being made.
    pub fn retry(&self, reason: RetryReason) {
        self.retries.add(reason);
    }

    /// A fallback step answered.
    pub fn fallback(&self, step: FallbackStep, cause: FallbackCause) {
        self.fallbacks.add((step, cause));
    }

    /// The cache did this for a call.
    pub fn cache(&self, result: CacheResult) {
        self.cache.add(result);
    }

    /// An attempt asked the quota.
    pub fn quota(&self, result: QuotaResult) {
        self.quota.add(result);
    }

    /// Redis was asked for tokens of the quota.
    pub fn quota_ask(&self, result: QuotaAsk) {
        self.quota_asks.add(result);
    }

    /// The counters of one breaker, for as long as somebody holds them: a breaker keeps its handle, and its series
    /// go with it. `operation` is empty for the upstream's own breaker.
    pub fn breaker(&self, operation: &str) -> Arc<BreakerMetrics> {
        let mut breakers = self.breakers.lock();
        if let Some(known) = breakers.get(operation).and_then(Weak::upgrade) {
            return known;
        }
        breakers.retain(|_, breaker| breaker.strong_count() > 0);
        let breaker = Arc::new(BreakerMetrics::default());
        breakers.insert(operation.to_owned(), Arc::downgrade(&breaker));
        breaker
    }

    pub(super) fn live_breakers(&self) -> Vec<(String, Arc<BreakerMetrics>)> {
        let breakers = self.breakers.lock();
        breakers.iter().filter_map(|(name, breaker)| Some((name.clone(), breaker.upgrade()?))).collect()
    }
}

/// The counters of one breaker.
#[derive(Debug, Default)]
pub struct BreakerMetrics {
    pub(super) transitions: Counts<(BreakerState, TransitionReason)>,
}

impl BreakerMetrics {
    /// It changed its state.
    pub fn transition(&self, to: BreakerState, reason: TransitionReason) {
        self.transitions.add((to, reason));
    }
}
