//! Stage 5: one request upstream, or one look into the second level, for many who ask the same.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::Gateway;
use super::answer::{Answer, AnsweredBy};
use super::caching::{direct, from_memory, or_stale, view};
use super::call::Call;
use super::failure::{Failure, FailureKind};
use super::fetch::{self, Told};
use super::flight::{Landing, Part};
use super::pipeline::Failed;
use crate::cache::{CacheStatus, Forward, Hit, Key, Lookup};
use crate::telemetry::metrics::{CacheResult, Outcome};

/// Where a flight looks for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Search {
    /// At first in what other replicas have.
    Fleet,
    /// That was looked at. At first in what another replica is about to bring, if one is.
    Turn,
    /// At the upstream only.
    Upstream,
}

impl Search {
    /// Where to look when what was found does not answer; every step looks in fewer places.
    fn next(self) -> Self {
        match self {
            Self::Fleet => Self::Turn,
            Self::Turn | Self::Upstream => Self::Upstream,
        }
    }
}

/// Joins the flight of this key, or begins it.
pub(super) async fn together(
    gateway: &Arc<Gateway>,
    call: &Arc<Call>,
    key: Key,
    hit: Option<Hit>,
    forward: Forward,
    search: Search,
) -> Result<Answer, Failed> {
    match join(gateway, call, &key) {
        Part::Over(landing) => landed(gateway, call, &key, landing, forward, search).await,
        Part::Full => Err(waiting_room_full()),
        Part::Lead(lead) => {
            let (reply, told) = oneshot::channel();
            let (gate, lent) = (Arc::clone(gateway), Arc::clone(call));
            gateway.tasks.spawn(fetch::fly(gate, lent, lead, key, hit, Some((reply, forward)), search));
            match timeout_at(call.deadline.inner, told).await {
                Ok(Ok(Told::Answer(answer))) => *answer,
                Ok(Ok(Told::LookAgain)) => Box::pin(look_again(gateway, call, forward, search.next())).await,
                Ok(Err(_)) => Err(ended_early()),
                Err(_) => Err(flight_too_slow()),
            }
        }
        Part::Wait(wait) => {
            call.trace.waits_for(wait.flies_for());
            match timeout_at(call.deadline.inner, wait.landed()).await {
                Ok(landing) => landed(gateway, call, &key, landing, forward, search).await,
                Err(_) => Err(flight_too_slow()),
            }
        }
    }
}

/// Answers with what a flight found in the second level. What is not fresh is asked for in a flight that does not look
/// there again.
async fn look_again(
    gateway: &Arc<Gateway>,
    call: &Arc<Call>,
    forward: Forward,
    search: Search,
) -> Result<Answer, Failed> {
    match gateway.cache.lookup(&view(call, true), &call.lane.policy.cache, Instant::now()) {
        Lookup::Fresh(hit) => {
            call.live.metrics.cache(CacheResult::FleetHit);
            Ok(from_memory(call, &hit, CacheStatus::hit(hit.ttl()).detail("redis")))
        }
        Lookup::Stale { hit, while_revalidate: true, .. } => {
            call.live.metrics.cache(CacheResult::Stale);
            refresh_behind(gateway, call, &hit);
            Ok(from_memory(call, &hit, CacheStatus::hit(hit.ttl()).detail("stale")))
        }
        Lookup::Stale { hit, if_error, .. } => {
            let result = together(gateway, call, hit.key(), Some(hit.clone()), Forward::Stale, search).await;
            if if_error.is_zero() { result } else { or_stale(call, result, &hit) }
        }
        Lookup::MustRevalidate(hit) => {
            together(gateway, call, hit.key(), Some(hit), Forward::Stale, search).await
        }
        Lookup::Miss(key) => together(gateway, call, key, None, forward, search).await,
        _ => direct(gateway, call, forward).await,
    }
}

/// Joins the flight of this key, or begins it. Between a call's look and its joining a flight may have landed, so
/// whoever would begin one looks again first: without that, two who cross would both be sent.
fn join(gateway: &Gateway, call: &Call, key: &Key) -> Part {
    let part = gateway.flights.join(key, call.trace.place());
    let Part::Lead(lead) = part else { return part };
    match gateway.cache.lookup(&view(call, true), &call.lane.policy.cache, Instant::now()) {
        Lookup::Fresh(hit) => {
            let landing = Landing::Stored(Arc::clone(hit.entry()), 1);
            lead.land(landing.clone());
            Part::Over(landing)
        }
        _ => Part::Lead(lead),
    }
}

/// What a flight's end means to one who waited for it.
async fn landed(
    gateway: &Arc<Gateway>,
    call: &Arc<Call>,
    key: &Key,
    landing: Landing,
    forward: Forward,
    search: Search,
) -> Result<Answer, Failed> {
    let status = CacheStatus::forward(forward).collapsed();
    match landing {
        Landing::Stored(entry, attempts) => {
            match gateway.cache.share(&entry, &view(call, true), key, Instant::now()) {
                Some(hit) => {
                    call.live.metrics.cache(CacheResult::Collapsed);
                    let mut answer = from_memory(call, &hit, status);
                    answer.why.by = AnsweredBy::Upstream;
                    answer.why.attempts = attempts;
                    answer.outcome = Outcome::Upstream;
                    Ok(answer)
                }
                None => direct(gateway, call, forward).await,
            }
        }
        Landing::Error(held) => Ok(held.answer(status)),
        Landing::Found if search != Search::Upstream => {
            Box::pin(look_again(gateway, call, forward, search.next())).await
        }
        Landing::Alone | Landing::Found => direct(gateway, call, forward).await,
        Landing::Failed(failed) => Err(failed),
    }
}

/// Fetches a newer answer without anybody waiting, unless that is under way already.
pub(super) fn refresh_behind(gateway: &Arc<Gateway>, call: &Arc<Call>, hit: &Hit) {
    if !gateway.cache.tries_refresh(hit, Instant::now()) {
        return;
    }
    let Part::Lead(lead) = gateway.flights.join(&hit.key(), call.trace.place()) else { return };
    // A flight may have landed between the look and here.
    if gateway.cache.holds(hit) {
        gateway.tasks.spawn(fetch::refresh(Arc::clone(gateway), Arc::clone(call), lead, hit.clone()));
    } else {
        lead.land(Landing::Found);
    }
}

fn waiting_room_full() -> Failed {
    let detail = "Too many calls wait for the same answer already.";
    Failure::new(FailureKind::Overloaded, "connection_limit_reached", detail).with_nothing_sent().into()
}

fn flight_too_slow() -> Failed {
    let detail = "The call's time ran out while the upstream was being asked.";
    let failure = Failure::new(FailureKind::Timeout, "http_response_timeout", detail);
    Failed { failure, attempts: 1 }
}

fn ended_early() -> Failed {
    Failure::new(FailureKind::Internal, "proxy_internal_error", "The shared request ended early.").into()
}
