//! What the circuit breakers of this process are doing, for people and tools to read.

use std::sync::Arc;
use std::time::SystemTime;

use crate::error::Failure;

/// Who decides whether a breaker admits calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerMode {
    /// The breaker, from what it sees.
    Auto,
    /// A person: nothing is admitted.
    ForcedOpen,
    /// A person: everything is admitted.
    ForcedClosed,
    /// Nobody: everything is admitted, and the breaker says what it would have done.
    MetricsOnly,
}

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls pass.
    Closed,
    /// Calls are refused.
    Open,
    /// A few probes pass to find out whether the upstream is back.
    HalfOpen,
}

/// One breaker at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct BreakerReport {
    /// The upstream it guards.
    pub upstream: String,
    /// The operation, where that one has a breaker of its own.
    pub operation: Option<String>,
    /// Who decides.
    pub mode: BreakerMode,
    /// Where it stands.
    pub state: BreakerState,
    /// Since when it has stood there.
    pub since: SystemTime,
    /// Why it stands there, for a person; none while nothing has happened yet.
    pub reason: Option<String>,
    /// Seconds until an open breaker lets the next probe through.
    pub retry_after_seconds: Option<u64>,
    /// Share of the window's calls that failed, 0.0 to 1.0.
    pub failure_rate: f64,
    /// Calls in the window.
    pub calls: u64,
    /// Those that failed.
    pub failures: u64,
    /// Those that were slow.
    pub slow: u64,
}

impl BreakerReport {
    /// What tells it from every other, and the order lists stand in.
    pub fn key(&self) -> BreakerKey {
        BreakerKey { upstream: self.upstream.clone(), operation: self.operation.clone() }
    }
}

/// Names one breaker. An upstream's own breaker comes before those of its operations.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BreakerKey {
    /// The upstream.
    pub upstream: String,
    /// The operation; none for the upstream's own breaker.
    pub operation: Option<String>,
}

/// A part of the list of breakers.
#[derive(Debug, Clone, PartialEq)]
pub struct BreakerPage {
    /// In the order of their keys.
    pub items: Vec<BreakerReport>,
    /// The last key of this page, when more follow.
    pub next: Option<BreakerKey>,
}

/// Reads the breakers of this process.
#[derive(Clone)]
pub struct BreakersService {
    source: Arc<dyn Fn() -> Vec<BreakerReport> + Send + Sync>,
}

impl BreakersService {
    /// `source` reports every breaker, in any order; it must not block.
    pub fn new(source: impl Fn() -> Vec<BreakerReport> + Send + Sync + 'static) -> Self {
        Self { source: Arc::new(source) }
    }

    /// At most `limit` breakers that come after `after`. A breaker that appears or goes between two pages moves no
    /// other one across the border, because the border is a key and not a count.
    pub fn list(&self, after: Option<&BreakerKey>, limit: usize) -> BreakerPage {
        let mut items = (self.source)();
        items.retain(|report| after.is_none_or(|after| report.key() > *after));
        items.sort_by_cached_key(BreakerReport::key);
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(BreakerReport::key);
        BreakerPage { items, next }
    }

    /// One breaker; not found when the upstream or operation has none of its own.
    pub fn get(&self, key: &BreakerKey) -> Result<BreakerReport, Failure> {
        (self.source)().into_iter().find(|report| report.key() == *key).ok_or_else(|| match &key.operation {
            None => Failure::not_found(format!("There is no upstream \"{}\".", key.upstream)),
            Some(operation) => Failure::not_found(format!(
                "Upstream \"{}\" has no operation \"{operation}\" with a breaker of its own.",
                key.upstream
            )),
        })
    }
}

#[cfg(test)]
mod tests;
