//! Stage 4: answers from memory, and what comes of a request that memory cannot answer.
//!
//! Access and policy were applied before looking. What may be shared is fetched in a flight of its own; what may not
//! is fetched in the caller's task, because a hop between tasks costs more than the whole policy.

use std::sync::Arc;
use std::time::Duration;

use http::{StatusCode, header};
use tokio::time::Instant;

use super::Gateway;
use super::answer::{Answer, AnswerBody, AnsweredBy, Trouble, Why};
use super::call::Call;
use super::coalescing::{Search, refresh_behind, together};
use super::failure::{Failure, FailureKind};
use super::fetch::{self, Fetched};
use super::outgoing::Conditions;
use super::pipeline::{Failed, reach};
use super::rewrite;
use super::upload::CallBody;
use crate::cache::{CacheStatus, Forward, Hit, Key, Lookup, Partition, RequestView};
use crate::models::policy::FallbackStep;
use crate::telemetry::metrics::{CacheResult, Outcome};

/// What memory has for a call.
pub(super) fn look_up(gateway: &Gateway, call: &Call, body: &CallBody) -> Lookup {
    let lookup = gateway.cache.lookup(&view(call, body.is_empty()), &call.lane.policy.cache, Instant::now());
    let result = result_of(&lookup);
    call.live.metrics.cache(result);
    call.trace.cache(&call.live.upstream.name, result);
    lookup
}

/// Answers with what is fresh in memory.
pub(super) fn fresh(gateway: &Arc<Gateway>, call: &Arc<Call>, hit: &Hit) -> Answer {
    if gateway.cache.is_due(hit, Instant::now()) {
        refresh_behind(gateway, call, hit);
    }
    from_memory(call, hit, CacheStatus::hit(hit.ttl()).detail("memory"))
}

/// Answers from memory where it may, else from the upstream.
pub(super) async fn answer(
    gateway: &Arc<Gateway>,
    call: &Arc<Call>,
    body: &mut CallBody,
    lookup: Lookup,
) -> Result<Answer, Failed> {
    let forward = lookup.forward().unwrap_or(Forward::Bypass);
    // What is rare is boxed: a future moves whole at every level above.
    match lookup {
        Lookup::Fresh(hit) => Ok(fresh(gateway, call, &hit)),
        Lookup::Bypass(_) => {
            let reached = reach(gateway, call, body, Conditions::Caller).await?;
            Ok(fetch::pass_on(call, reached, CacheStatus::forward(forward)))
        }
        Lookup::OnlyIfCached => Err(only_if_cached()),
        // Nothing will be stored, most likely, so the conditions worth asking with are the caller's own.
        Lookup::HitForMiss(_) if asks_conditionally(call) => Box::pin(direct(gateway, call, forward)).await,
        Lookup::HitForMiss(key) => Box::pin(alone(gateway, call, key, None, forward)).await,
        Lookup::Reload { key, hit } => Box::pin(alone(gateway, call, key, hit, forward)).await,
        Lookup::Miss(key) => Box::pin(together(gateway, call, key, None, forward, Search::Fleet)).await,
        Lookup::MustRevalidate(hit) => {
            Box::pin(together(gateway, call, hit.key(), Some(hit), forward, Search::Fleet)).await
        }
        Lookup::Stale { hit, while_revalidate: true, .. } => {
            refresh_behind(gateway, call, &hit);
            Ok(from_memory(call, &hit, CacheStatus::hit(hit.ttl()).detail("stale")))
        }
        Lookup::Stale { hit, if_error, .. } => {
            let result =
                Box::pin(together(gateway, call, hit.key(), Some(hit.clone()), forward, Search::Fleet)).await;
            if if_error.is_zero() { result } else { or_stale(call, result, &hit) }
        }
    }
}

/// The policy's `stale` fallback: a stored answer at most `max_age` past its freshness, in place of the upstream's
/// own where that had a `status`. None for a request with a body: what is stored answers the one without.
pub(super) fn stale(
    gateway: &Gateway,
    call: &Call,
    no_body: bool,
    max_age: Duration,
    status: Option<StatusCode>,
) -> Option<Answer> {
    let policy = &call.lane.policy.cache;
    let hit = gateway.cache.stale_for(&view(call, no_body), policy, max_age, Instant::now())?;
    let forward = CacheStatus::forward(Forward::Stale);
    let forward = match status {
        Some(status) => forward.forward_status(status),
        None => forward,
    };
    Some(from_memory(call, &hit, forward.detail("stale")))
}

/// The request as the cache sees it.
pub(super) fn view(call: &Call, no_body: bool) -> RequestView<'_> {
    let url = &call.live.upstream.url;
    RequestView {
        method: &call.method,
        headers: &call.headers,
        https: url.https,
        host: &url.host,
        port: url.port,
        path: call.target.path(),
        query: call.target.query(),
        operation: &call.lane.cache_name,
        partition: partition(call),
        has_body: !no_body,
    }
}

/// Every principal, and any credential of the caller for the upstream, makes a partition of its own, unless the policy
/// shares one copy among all. Where Levee adds the credential, its answers are the principal's in the same way.
fn partition(call: &Call) -> Partition {
    let credentials = [header::AUTHORIZATION, header::COOKIE];
    let foreign = credentials.iter().any(|name| call.headers.contains_key(name));
    if call.lane.policy.cache.shared || !(foreign || call.principal.is_some()) {
        return Partition::Shared;
    }
    let seed = call.caller.partition_seed;
    let whose = call.principal.as_ref().map(|principal| principal.id);
    if let (Some(id), false) = (whose, foreign) {
        return Partition::Private(xxhash_rust::xxh3::xxh3_128_with_seed(id.as_bytes(), seed));
    }
    let mut digest = xxhash_rust::xxh3::Xxh3::with_seed(seed);
    if let Some(id) = whose {
        digest.update(id.as_bytes());
    }
    for name in &credentials {
        for value in call.headers.get_all(name) {
            digest.update(&value.len().to_ne_bytes());
            digest.update(value.as_bytes());
        }
        digest.update(&[0]);
    }
    Partition::Private(digest.digest128())
}

/// Fetches for this caller only: nobody would gain by waiting, or nobody may share what it asks for.
async fn alone(
    gateway: &Arc<Gateway>,
    call: &Arc<Call>,
    key: Key,
    hit: Option<Hit>,
    forward: Forward,
) -> Result<Answer, Failed> {
    match fetch::fetch(gateway, call, &key, hit.as_ref()).await? {
        Fetched::Confirmed(entry, attempts) => {
            match gateway.cache.share(&entry, &view(call, true), &key, Instant::now()) {
                Some(hit) => Ok(confirmed(call, &hit, attempts)),
                None => direct(gateway, call, forward).await,
            }
        }
        Fetched::Storable(storable) => {
            let (answer, copy) = storable.streaming(call, forward);
            gateway.tasks.spawn(fetch::keep(Arc::clone(gateway), key, copy));
            Ok(answer)
        }
        Fetched::Passing(reached, _) => Ok(fetch::pass_on(call, reached, CacheStatus::forward(forward))),
    }
}

fn asks_conditionally(call: &Call) -> bool {
    [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE].iter().any(|name| call.headers.contains_key(name))
}

pub(super) async fn direct(gateway: &Gateway, call: &Call, forward: Forward) -> Result<Answer, Failed> {
    let reached = reach(gateway, call, &mut CallBody::empty(), Conditions::Caller).await?;
    Ok(fetch::pass_on(call, reached, CacheStatus::forward(forward)))
}

/// The response's own `stale-if-error` (RFC 5861 section 4).
pub(super) fn or_stale(call: &Call, result: Result<Answer, Failed>, hit: &Hit) -> Result<Answer, Failed> {
    let (trouble, attempts, status) = match &result {
        Ok(answer) if answer.why.by == AnsweredBy::Upstream && answer.status.is_server_error() => {
            let status = CacheStatus::forward(Forward::Stale).forward_status(answer.status);
            (Trouble::Status(answer.status), answer.why.attempts, status)
        }
        Err(failed) if failed.failure.cause().is_some() => {
            (Trouble::Error(failed.failure.token), failed.attempts, CacheStatus::forward(Forward::Stale))
        }
        _ => return result,
    };
    call.live.metrics.cache(CacheResult::Stale);
    let mut answer = from_memory(call, hit, status.detail("stale"));
    answer.why.attempts = attempts;
    answer.why.trouble = Some(trouble);
    Ok(answer)
}

pub(super) fn from_memory(call: &Call, hit: &Hit, status: CacheStatus) -> Answer {
    let mut headers = hit.headers();
    rewrite::rewrite_response(&mut headers, &call.live.upstream.url, &call.live.upstream.name);
    let why = Why { by: AnsweredBy::Cache, cache: Some(status), ..Why::default() };
    Answer {
        status: hit.status(),
        headers,
        body: AnswerBody::Whole(hit.body()),
        why,
        outcome: Outcome::Cache,
        problem: None,
    }
}

/// A stored answer that the upstream has just confirmed.
pub(super) fn confirmed(call: &Call, hit: &Hit, attempts: u32) -> Answer {
    call.live.metrics.cache(CacheResult::Revalidated);
    let status = CacheStatus::forward(Forward::Stale).forward_status(StatusCode::NOT_MODIFIED).stored();
    let mut answer = from_memory(call, hit, status);
    answer.why.attempts = attempts;
    answer
}

/// How long past freshness the policy's `stale` fallback may use a copy.
pub(super) fn stale_fallback(call: &Call) -> Duration {
    let ages = call.lane.policy.fallback.steps.iter().map(|step| match step {
        FallbackStep::Stale { max_age } => *max_age,
        _ => Duration::ZERO,
    });
    ages.max().unwrap_or_default()
}

fn result_of(lookup: &Lookup) -> CacheResult {
    match lookup {
        Lookup::Bypass(_) => CacheResult::Bypass,
        Lookup::Fresh(hit) if hit.status().is_client_error() => CacheResult::Negative,
        Lookup::Fresh(_) => CacheResult::Hit,
        Lookup::Stale { while_revalidate: true, .. } => CacheResult::Stale,
        Lookup::HitForMiss(_) => CacheResult::HitForMiss,
        Lookup::Stale { .. }
        | Lookup::MustRevalidate(_)
        | Lookup::Reload { .. }
        | Lookup::Miss(_)
        | Lookup::OnlyIfCached => CacheResult::Miss,
    }
}

fn only_if_cached() -> Failed {
    let detail = "The request said only-if-cached, and nothing stored can answer it.";
    Failure::new(FailureKind::OnlyIfCached, "http_request_denied", detail).into()
}
