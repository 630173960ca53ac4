//! What the circuit breakers of this process are doing, for people and tools to read, and forcing them.
//!
//! A forced mode is stored, so that every replica has it; each applies it to its own breaker.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use time::OffsetDateTime;

use super::authority::demand;
use super::publication::Publisher;
use crate::error::Failure;
use crate::models::principal::{Actor, Principal, Role};
use crate::models::registration::{BreakerOverride, ForcedMode};
use crate::repositories::Store;

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
    /// What a person decided, while that counts.
    pub forced: Option<Forced>,
    /// How each replica that is heard of stands to it, this one first; empty in lists, and without Redis.
    pub replicas: Vec<ReplicaReport>,
}

/// One replica's breaker.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplicaReport {
    /// What the others know it by.
    pub replica: String,
    /// It is the one that answers.
    pub answers: bool,
    /// Who decides there.
    pub mode: BreakerMode,
    /// Where it stands.
    pub state: BreakerState,
    /// Since when; unknown of another's that plainly passes calls.
    pub since: Option<SystemTime>,
    /// Why it stands there; none while nothing has happened yet.
    pub reason: Option<String>,
}

/// A person's decision on a breaker.
#[derive(Debug, Clone, PartialEq)]
pub struct Forced {
    /// Why, in their words.
    pub reason: String,
    /// Until when; `None`: until it is taken back.
    pub expires: Option<OffsetDateTime>,
    /// Since when.
    pub since: OffsetDateTime,
    /// Who, as the audit list names them.
    pub by: String,
}

impl From<&BreakerOverride> for Forced {
    fn from(forced: &BreakerOverride) -> Self {
        Self {
            reason: forced.reason.clone(),
            expires: forced.expires,
            since: forced.set,
            by: forced.set_by.clone(),
        }
    }
}

/// What a person decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The mode; `Auto` gives the breaker back to the policy.
    pub mode: BreakerMode,
    /// Why.
    pub reason: String,
    /// For how long; `None`: until it is taken back.
    pub lasts: Option<Duration>,
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

/// Reads the breakers of this process, and forces those of every replica.
#[derive(Clone)]
pub struct BreakersService {
    store: Store,
    publisher: Arc<Publisher>,
    source: Arc<dyn Fn() -> Vec<BreakerReport> + Send + Sync>,
    replicas: Arc<Replicas>,
}

/// How each replica stands to one breaker.
type Replicas = dyn Fn(&BreakerReport) -> Vec<ReplicaReport> + Send + Sync;

impl BreakersService {
    /// `source` reports every breaker, in any order and without what a person decided; `replicas` how each replica stands
    /// to one. Neither may block.
    pub fn new(
        store: Store,
        publisher: Arc<Publisher>,
        source: impl Fn() -> Vec<BreakerReport> + Send + Sync + 'static,
        replicas: impl Fn(&BreakerReport) -> Vec<ReplicaReport> + Send + Sync + 'static,
    ) -> Self {
        Self { store, publisher, source: Arc::new(source), replicas: Arc::new(replicas) }
    }

    /// At most `limit` breakers that come after `after`.
    pub fn list(
        &self,
        principal: &Principal,
        after: Option<&BreakerKey>,
        limit: usize,
    ) -> Result<BreakerPage, Failure> {
        demand(principal, Role::Viewer)?;
        let mut page = page((self.source)(), after, limit);
        let published = self.publisher.published();
        for report in &mut page.items {
            report.forced = in_force(&published.stored.overrides, report);
        }
        Ok(page)
    }

    /// One breaker; not found when the upstream or operation has none of its own.
    pub fn get(&self, principal: &Principal, key: &BreakerKey) -> Result<BreakerReport, Failure> {
        demand(principal, Role::Viewer)?;
        let mut report =
            (self.source)().into_iter().find(|report| report.key() == *key).ok_or_else(|| unknown(key))?;
        report.forced = in_force(&self.publisher.published().stored.overrides, &report);
        report.replicas = (self.replicas)(&report);
        Ok(report)
    }

    /// Forces a breaker, or gives it back. The breaker after that, as this replica sees it.
    pub async fn decide(
        &self,
        principal: &Principal,
        actor: Actor,
        key: BreakerKey,
        decision: Decision,
    ) -> Result<BreakerReport, Failure> {
        demand(principal, Role::Operator)?;
        self.get(principal, &key)?;
        let BreakerKey { upstream, operation } = key.clone();
        let Decision { mode, reason, lasts } = decision;
        let revision = match forced_mode(mode) {
            None => self.store.clear_override(upstream, operation, reason, actor).await?.revision,
            Some(mode) => {
                let (set, set_by) = (OffsetDateTime::now_utc(), actor.subject.clone());
                let expires = lasts.map(|lasts| set + lasts);
                let forced = BreakerOverride { upstream, operation, mode, reason, expires, set, set_by };
                self.store.put_override(forced, actor).await?.revision
            }
        };
        self.publisher.reached(revision).await;
        self.get(principal, &key)
    }
}

/// A breaker that appears or goes between two pages moves no other one across the border, because the border is a key
/// and not a count.
fn page(mut items: Vec<BreakerReport>, after: Option<&BreakerKey>, limit: usize) -> BreakerPage {
    items.retain(|report| after.is_none_or(|after| report.key() > *after));
    items.sort_by_cached_key(BreakerReport::key);
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(BreakerReport::key);
    BreakerPage { items, next }
}

/// What was decided on this breaker, unless its time is over: nothing is stored when that happens.
fn in_force(overrides: &[BreakerOverride], report: &BreakerReport) -> Option<Forced> {
    let now = OffsetDateTime::now_utc();
    overrides
        .iter()
        .find(|forced| forced.upstream == report.upstream && forced.operation == report.operation)
        .filter(|forced| forced.expires.is_none_or(|expires| expires > now))
        .map(Forced::from)
}

fn forced_mode(mode: BreakerMode) -> Option<ForcedMode> {
    match mode {
        BreakerMode::Auto => None,
        BreakerMode::ForcedOpen => Some(ForcedMode::Open),
        BreakerMode::ForcedClosed => Some(ForcedMode::Closed),
        BreakerMode::MetricsOnly => Some(ForcedMode::MetricsOnly),
    }
}

fn unknown(key: &BreakerKey) -> Failure {
    match &key.operation {
        None => Failure::not_found(format!("There is no upstream \"{}\".", key.upstream)),
        Some(operation) => Failure::not_found(format!(
            "Upstream \"{}\" has no operation \"{operation}\" with a breaker of its own.",
            key.upstream
        )),
    }
}

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;
