//! The compiled, immutable set of upstreams that calls read, with the engines that outlive each set.
//!
//! A new snapshot takes effect for new calls at once and disturbs none in flight: a call holds the [`Live`] it began
//! with. What has memory (breaker, connections, seats) is carried over wherever the settings that shaped it allow.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use tokio::time::Instant;

use super::breaker::Breaker;
use super::budget::Budget;
use super::bulkhead::{Bulkhead, CallerBulkhead};
use super::credentials::{Attached, Vault};
use super::quota::Quota;
use super::retry;
use super::transitions;
use super::transport::{self, Network, SetupFailure, Transport};
use crate::cache::HttpCache;
use crate::fleet::Fleet;
use crate::models::policy::{Operation, Policy, Segment, Upstream};
use crate::models::registration::SealedCredential;
use crate::telemetry::metrics::{Metrics, UpstreamMetrics};

/// Everything a call can be sent to.
#[derive(Default)]
pub struct Snapshot {
    /// The database's when this was compiled; a change of files alone does not raise it.
    pub revision: u64,
    /// When it took effect.
    pub applied: Option<Instant>,
    upstreams: Upstreams,
}

impl Snapshot {
    /// The upstream of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<Live>> {
        self.upstreams.get(name)
    }

    /// All upstreams, in no order.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Live>> {
        self.upstreams.values()
    }
}

/// An upstream that cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {reason}")]
pub struct Unbuilt {
    /// Which.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// One upstream at work.
pub struct Live {
    /// As registered.
    pub upstream: Upstream,
    /// Its connections.
    pub transport: Arc<Transport>,
    /// What proves to it who calls.
    pub credentials: Attached,
    /// What that was opened from.
    sealed: Option<SealedCredential>,
    /// Its metrics.
    pub metrics: Arc<UpstreamMetrics>,
    /// What calls run under: the upstream's own policy first, then its operations' in order.
    pub lanes: Vec<Arc<Lane>>,
}

/// A policy with the engines it runs on. Operations share the upstream's engines where they give no block of their own.
pub struct Lane {
    /// The operation, `None` for the upstream itself.
    pub operation: Option<String>,
    /// Upstream and operation, as the cache's keys have them.
    pub cache_name: String,
    /// The effective policy.
    pub policy: Policy,
    /// The effective attempt timeout for calls that may be repeated.
    pub attempt_timeout: Duration,
    /// Its circuit breaker.
    pub breaker: Arc<Breaker>,
    /// The upstream's seats.
    pub bulkhead: Arc<Bulkhead>,
    /// The callers' seats.
    pub callers: Arc<CallerBulkhead>,
    /// The retry budget.
    pub budget: Arc<Budget>,
    /// The quota, where there is one.
    pub quota: Option<Arc<Quota>>,
}

/// What every upstream is built with.
pub struct Surroundings {
    /// Where may be dialled, and what trusts whom.
    pub network: Arc<Network>,
    /// Where metrics live.
    pub metrics: Arc<Metrics>,
    /// What is shared with other replicas.
    pub fleet: Fleet,
    /// Where tokens are shared.
    pub cache: Arc<HttpCache>,
}

impl Snapshot {
    /// Compiles the next snapshot, keeping from `previous` what has not changed. Upstreams that name credentials get
    /// theirs out of `vault`, or are detached. An upstream that cannot be built (its certificates cannot be read) is an
    /// error naming it, and nothing takes effect: no living breaker is told of the new rules, nor do metrics keep what
    /// was to come.
    pub fn compile(
        revision: u64,
        upstreams: Vec<Upstream>,
        vault: &Vault<'_>,
        previous: &Self,
        around: &Surroundings,
    ) -> Result<Self, Unbuilt> {
        let (mut next, mut rebuilt) = (HashMap::with_capacity(upstreams.len()), Vec::new());
        for upstream in upstreams {
            let name = upstream.name.clone();
            let before = previous.get(&name);
            let sealed = vault.sealed(&name).filter(|_| upstream.credentials.is_some());
            let live = match before {
                Some(live) if live.upstream == upstream && live.sealed.as_ref() == sealed => Arc::clone(live),
                before => match Live::build(upstream, vault, before.map(Arc::as_ref), around) {
                    Ok(live) => {
                        let live = Arc::new(live);
                        rebuilt.push(Arc::clone(&live));
                        live
                    }
                    Err(unbuilt) => {
                        forget_missing(&next, &previous.upstreams, around);
                        return Err(unbuilt);
                    }
                },
            };
            next.insert(name, live);
        }
        for lane in rebuilt.iter().flat_map(|live| live.lanes_with_own_breaker()) {
            lane.breaker.reconfigure(&lane.policy.breaker);
        }
        forget_missing(&previous.upstreams, &next, around);
        Ok(Self { revision, applied: Some(Instant::now()), upstreams: next })
    }
}

type Upstreams = HashMap<String, Arc<Live>>;

/// Lets the metrics go of those in `some` that are not in `others`.
fn forget_missing(some: &Upstreams, others: &Upstreams, around: &Surroundings) {
    for name in some.keys().filter(|name| !others.contains_key(*name)) {
        around.metrics.forget(name);
    }
}

impl Live {
    fn build(
        upstream: Upstream,
        vault: &Vault<'_>,
        before: Option<&Self>,
        around: &Surroundings,
    ) -> Result<Self, Unbuilt> {
        let unbuilt =
            |error: SetupFailure| Unbuilt { name: upstream.name.clone(), reason: error.to_string() };
        let transport = match before {
            Some(live) if same_wire(&live.upstream, &upstream) => Arc::clone(&live.transport),
            _ => Transport::new(&around.network, wire_settings(&upstream)).map_err(unbuilt)?,
        };
        let sealed = vault.sealed(&upstream.name).filter(|_| upstream.credentials.is_some()).cloned();
        let credentials = match before {
            Some(live) if live.sealed == sealed && same_credentials(&live.upstream, &upstream) => {
                live.credentials.clone()
            }
            _ => Attached::open(&upstream, vault, &around.network, &around.cache).map_err(unbuilt)?,
        };
        if let Some(Err(why)) = credentials.state() {
            tracing::warn!(upstream = upstream.name, why, "calls are refused: no credential");
        }
        let metrics = around.metrics.upstream(&upstream.name);
        let root = Arc::new(Lane::build(&upstream, None, None, before, around));
        let mut lanes = vec![Arc::clone(&root)];
        for operation in &upstream.operations {
            lanes.push(Arc::new(Lane::build(&upstream, Some(operation), Some(&root), before, around)));
        }
        Ok(Self { upstream, transport, credentials, sealed, metrics, lanes })
    }

    /// Closes connections that idled too long before `now`.
    pub fn sweep(&self, now: Instant) {
        self.transport.sweep(now);
        self.credentials.sweep(now);
    }

    /// Lanes with a breaker of their own.
    pub fn lanes_with_own_breaker(&self) -> impl Iterator<Item = &Arc<Lane>> {
        self.lanes.iter().filter(|lane| self.owned(lane.operation.as_deref()).breaker)
    }

    /// Lanes with bulkheads of their own.
    pub fn lanes_with_own_seats(&self) -> impl Iterator<Item = &Arc<Lane>> {
        self.lanes.iter().filter(|lane| self.owned(lane.operation.as_deref()).concurrency)
    }

    /// Lanes with a retry budget of their own.
    pub fn lanes_with_own_budget(&self) -> impl Iterator<Item = &Arc<Lane>> {
        self.lanes.iter().filter(|lane| self.owned(lane.operation.as_deref()).retry)
    }

    /// Lanes with a quota of their own, and that quota.
    pub fn lanes_with_own_quota(&self) -> impl Iterator<Item = (&Arc<Lane>, &Arc<Quota>)> {
        let own = self.lanes.iter().filter(|lane| self.owned(lane.operation.as_deref()).quota);
        own.filter_map(|lane| Some((lane, lane.quota.as_ref()?)))
    }

    fn owned(&self, operation: Option<&str>) -> Owns {
        let Some(name) = operation else { return Owns::of(None) };
        let found = self.upstream.operations.iter().find(|operation| operation.name == name);
        found.map_or(Owns::NOTHING, |operation| Owns::of(Some(operation)))
    }

    /// The lane of the first operation that matches, else the upstream's own. `path` is below the upstream's `url`, raw.
    pub fn lane(&self, method: &Method, path: &str) -> &Arc<Lane> {
        let matched = self.upstream.operations.iter().position(|operation| {
            (operation.methods.is_empty() || operation.methods.contains(method))
                && matches_template(&operation.path.segments, path)
        });
        &self.lanes[matched.map_or(0, |at| at + 1)]
    }
}

impl Lane {
    fn build(
        upstream: &Upstream,
        operation: Option<&Operation>,
        root: Option<&Arc<Self>>,
        before: Option<&Live>,
        around: &Surroundings,
    ) -> Self {
        let policy = operation.map_or(&upstream.policy, |operation| &operation.policy);
        let name = operation.map(|operation| operation.name.as_str());
        let (owns, owned) = (Owns::of(operation), before.map_or(Owns::NOTHING, |live| live.owned(name)));
        let before = before.and_then(|live| live.lanes.iter().find(|lane| lane.operation.as_deref() == name));
        let shared = |own: bool| root.filter(|_| !own);
        let breaker = shared(owns.breaker).map_or_else(
            || {
                // Its new rules are for when the whole set is known to be good.
                let kept = before.filter(|_| owned.breaker).map(|lane| Arc::clone(&lane.breaker));
                kept.unwrap_or_else(|| {
                    Breaker::new(&policy.breaker, transitions::sink(&upstream.name, name, &around.metrics))
                })
            },
            |root| Arc::clone(&root.breaker),
        );
        let same_seats =
            before.filter(|lane| owned.concurrency && lane.policy.concurrency == policy.concurrency);
        let seats = shared(owns.concurrency).or(same_seats);
        let same_budget = before.filter(|lane| owned.retry && lane.policy.retry == policy.retry);
        let budget = shared(owns.retry).or(same_budget);
        let quota = match shared(owns.quota) {
            Some(root) => root.quota.clone(),
            None => own_quota(policy, before.filter(|_| owned.quota), (&upstream.name, name), around),
        };
        Self {
            operation: name.map(str::to_owned),
            cache_name: format!("{}/{}", upstream.name, name.unwrap_or_default()),
            policy: policy.clone(),
            attempt_timeout: attempt_timeout(policy),
            breaker,
            bulkhead: seats.map_or_else(
                || Arc::new(Bulkhead::new(&policy.concurrency)),
                |lane| Arc::clone(&lane.bulkhead),
            ),
            callers: seats.map_or_else(
                || Arc::new(CallerBulkhead::new(&policy.concurrency)),
                |lane| Arc::clone(&lane.callers),
            ),
            budget: budget.map_or_else(
                || Arc::new(Budget::new(&policy.retry, around.fleet.replicas.clone())),
                |lane| Arc::clone(&lane.budget),
            ),
            quota,
        }
    }

    /// One exchange's time, to its headers: a call that cannot be repeated may use all its time for it.
    pub fn attempt_limit(&self, method: &Method, headers: &http::HeaderMap) -> Duration {
        let retry = &self.policy.retry;
        match self.policy.timeout.attempt {
            None if retry.attempts == 1 || !retry::is_repeatable(retry, method, headers) => {
                self.policy.timeout.total
            }
            _ => self.attempt_timeout,
        }
    }
}

/// Which engines a lane has for itself; the others it shares with the upstream's own lane.
#[derive(Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each stands for one engine")]
struct Owns {
    breaker: bool,
    concurrency: bool,
    retry: bool,
    quota: bool,
}

impl Owns {
    const NOTHING: Self = Self { breaker: false, concurrency: false, retry: false, quota: false };
    const ALL: Self = Self { breaker: true, concurrency: true, retry: true, quota: true };

    fn of(operation: Option<&Operation>) -> Self {
        operation.map_or(Self::ALL, |operation| Self {
            breaker: operation.own_breaker,
            concurrency: operation.own_concurrency,
            retry: operation.own_retry,
            quota: operation.own_quota,
        })
    }
}

/// The quota of a lane that has its own; under the same settings the one it had.
fn own_quota(
    policy: &Policy,
    before: Option<&Arc<Lane>>,
    (upstream, operation): (&str, Option<&str>),
    around: &Surroundings,
) -> Option<Arc<Quota>> {
    let settings = policy.quota.as_ref()?;
    let before = before.and_then(|lane| Some((lane.quota.as_ref()?, lane.policy.quota.as_ref()?)));
    Some(match before {
        Some((quota, same)) if same == settings => Arc::clone(quota),
        before => {
            let metrics = around.metrics.upstream(upstream);
            let name = format!("{upstream}/{}", operation.unwrap_or_default());
            let before = before.map(|(quota, _)| quota.as_ref());
            Arc::new(Quota::new(settings, &name, &around.fleet, metrics, before))
        }
    })
}

fn attempt_timeout(policy: &Policy) -> Duration {
    policy.timeout.attempt.unwrap_or_else(|| policy.timeout.total.min(Duration::from_secs(10)))
}

fn same_wire(a: &Upstream, b: &Upstream) -> bool {
    a.url == b.url && a.tls == b.tls && a.allow_cidrs == b.allow_cidrs
}

/// Then a token at hand still counts.
fn same_credentials(a: &Upstream, b: &Upstream) -> bool {
    a.credentials == b.credentials && a.url.origin() == b.url.origin() && a.tls == b.tls
}

fn wire_settings(upstream: &Upstream) -> transport::Settings {
    transport::Settings {
        url: upstream.url.clone(),
        tls: upstream.tls.clone(),
        narrowed: upstream.allow_cidrs.clone(),
    }
}

/// Matches raw bytes: an encoded slash is part of its segment.
fn matches_template(template: &[Segment], path: &str) -> bool {
    if template.is_empty() {
        return path.is_empty() || path == "/";
    }
    let mut pieces = path.strip_prefix('/').unwrap_or(path).split('/');
    for segment in template {
        match (segment, pieces.next()) {
            (Segment::Rest, _) => return true,
            (Segment::Literal(literal), Some(piece)) if literal == piece => {}
            (Segment::Any, Some(piece)) if !piece.is_empty() => {}
            _ => return false,
        }
    }
    pieces.next().is_none()
}

#[cfg(test)]
mod tests;
