//! Fetching for the cache: one exchange, the decision at its headers, and the copy made while the body passes.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::StatusCode;
use http::response::Parts;
use http_body::Body;
use http_body_util::BodyExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::Gateway;
use super::answer::{Answer, AnswerBody};
use super::caching::{confirmed, stale_fallback, view};
use super::call::Call;
use super::coalescing::Search;
use super::failure::Origin;
use super::flight::{FlightBody, HeldAnswer, Landing, Lead, Piece};
use super::outgoing::Conditions;
use super::pipeline::{Failed, NotAside, Reached, ReachedBody, broken_off, reach};
use super::rewrite;
use super::upload::CallBody;
use crate::cache::{
    CacheStatus, Claim, Entry, ExchangeTimes, Forward, Hit, Key, Plan, Refusal, ResponseHead, StoreRules,
    Turn,
};
use crate::redis::{CALL_LIMIT, SHORT_LIMIT, USUAL_LIMIT};

/// What a fetch brought.
pub(super) enum Fetched {
    /// The stored answer still holds, freshened; with the attempts it took.
    Confirmed(Arc<Entry>, u32),
    /// A new answer that may be stored.
    Storable(Box<Storable>),
    /// An answer that may not, and why.
    Passing(Reached, Refusal),
}

/// A storable answer whose body is still to come.
pub(super) struct Storable {
    plan: Plan,
    reached: Reached,
}

/// Asks the upstream, with the conditions of what is stored, and decides at the headers.
pub(super) async fn fetch(
    gateway: &Gateway,
    call: &Call,
    key: &Key,
    hit: Option<&Hit>,
) -> Result<Fetched, Failed> {
    let requested = Instant::now();
    let conditions = hit.map_or(Conditions::Unconditional, Conditions::Stored);
    let reached = reach(gateway, call, &mut CallBody::empty(), conditions).await?;
    if let (Some(hit), StatusCode::NOT_MODIFIED) = (hit, reached.parts.status) {
        let head = head(&reached.parts, requested);
        return if let Some(entry) = gateway.cache.freshen(&view(call, true), hit, &head, &rules(call)) {
            Ok(Fetched::Confirmed(entry, reached.attempts))
        } else {
            let requested = Instant::now();
            let again = reach(gateway, call, &mut CallBody::empty(), Conditions::Unconditional).await?;
            Ok(admit(gateway, call, key, again, requested))
        };
    }
    Ok(admit(gateway, call, key, reached, requested))
}

fn admit(gateway: &Gateway, call: &Call, key: &Key, reached: Reached, requested: Instant) -> Fetched {
    let head = head(&reached.parts, requested);
    match gateway.cache.admit(&view(call, true), key, &head, &rules(call)) {
        Ok(plan) => Fetched::Storable(Box::new(Storable { plan, reached })),
        Err(refusal) => Fetched::Passing(reached, refusal),
    }
}

fn head(parts: &Parts, requested: Instant) -> ResponseHead<'_> {
    let times = ExchangeTimes { requested, received: Instant::now(), wall: SystemTime::now() };
    ResponseHead { status: parts.status, headers: &parts.headers, times }
}

fn rules(call: &Call) -> StoreRules<'_> {
    StoreRules { cache: &call.lane.policy.cache, stale_fallback: stale_fallback(call) }
}

/// The upstream's answer for this caller alone.
pub(super) fn pass_on(call: &Call, reached: Reached, status: CacheStatus) -> Answer {
    let mut answer = Answer::from(reached);
    rewrite::rewrite_response(&mut answer.headers, &call.live.upstream.url, &call.live.upstream.name);
    answer.why.cache = Some(status);
    answer
}

/// The part of an answer that is being copied.
pub(super) struct Copying {
    plan: Plan,
    body: ReachedBody,
    pieces: Option<mpsc::UnboundedSender<Piece>>,
    attempts: u32,
}

impl Storable {
    /// Splits into the caller's answer, which streams, and the copy, which [`keep`] makes.
    pub(super) fn streaming(self, call: &Call, forward: Forward) -> (Answer, Copying) {
        let Reached { parts, mut body, attempts } = self.reached;
        let (size, seat) = match &mut body {
            ReachedBody::Streaming(body) => (body.size_hint(), body.release_caller()),
            ReachedBody::Held(bytes) => (http_body::SizeHint::with_exact(bytes.len() as u64), None),
        };
        let (pieces, streamed) = FlightBody::channel(size, seat);
        let mut answer = Answer::from_upstream(parts, AnswerBody::Flight(streamed), attempts);
        rewrite::rewrite_response(&mut answer.headers, &call.live.upstream.url, &call.live.upstream.name);
        answer.why.cache = Some(CacheStatus::forward(forward).stored());
        (answer, Copying { plan: self.plan, body, pieces: Some(pieces), attempts })
    }

    fn unwatched(self) -> Copying {
        Copying { plan: self.plan, body: self.reached.body, pieces: None, attempts: self.reached.attempts }
    }
}

/// Copies the body into the cache as it passes, and says how that ended.
pub(super) async fn keep(gateway: Arc<Gateway>, key: Key, copying: Copying) -> Landing {
    let Copying { plan, body, mut pieces, attempts } = copying;
    let mut body = match body {
        ReachedBody::Streaming(body) => body,
        ReachedBody::Held(bytes) => {
            let entry = gateway.cache.insert(plan, std::slice::from_ref(&bytes));
            send(&mut pieces, Piece::Data(bytes));
            send(&mut pieces, Piece::End);
            return Landing::Stored(entry, attempts);
        }
    };
    let mut kept: Vec<Bytes> = Vec::new();
    let mut size = 0;
    let mut last = None;
    while let Some(frame) = body.frame().await {
        let data = match frame.map(http_body::Frame::into_data) {
            Ok(Ok(data)) => data,
            Ok(Err(_trailers)) => continue,
            Err(error) => return broken(error, pieces, attempts),
        };
        size += data.len() as u64;
        if size > plan.largest_body() {
            gateway.cache.mark_hit_for_miss(&key, Instant::now());
            send(&mut pieces, Piece::Data(data));
            send(&mut pieces, Piece::Rest(body));
            return Landing::Alone;
        }
        kept.push(data.clone());
        if body.is_end_stream() {
            last = Some(data);
            break;
        }
        send(&mut pieces, Piece::Data(data));
    }
    // Stored before its end is passed on: a caller that has it whole finds it in memory.
    let entry = gateway.cache.insert(plan, &kept);
    if let Some(data) = last {
        send(&mut pieces, Piece::Data(data));
    }
    send(&mut pieces, Piece::End);
    Landing::Stored(entry, attempts)
}

/// Passes a piece on while somebody is there to take it: the copy goes on either way.
fn send(pieces: &mut Option<mpsc::UnboundedSender<Piece>>, piece: Piece) {
    if pieces.as_ref().is_some_and(|sender| sender.send(piece).is_err()) {
        *pieces = None;
    }
}

fn broken(error: io::Error, mut pieces: Option<mpsc::UnboundedSender<Piece>>, attempts: u32) -> Landing {
    send(&mut pieces, Piece::Broken(error));
    Landing::Failed(Failed { failure: broken_off(), attempts })
}

/// What a flight tells the one who began it.
pub(super) enum Told {
    /// Its answer.
    Answer(Box<Result<Answer, Failed>>),
    /// Memory has something now that it did not have before.
    LookAgain,
}

/// Who began a flight and waits for its answer, with the reason it went to the upstream.
pub(super) type Reply = (oneshot::Sender<Told>, Forward);

/// One flight: at first to the second level, which answers for all who wait if it can, or to what another replica is
/// about to bring there.
pub(super) async fn fly(
    gateway: Arc<Gateway>,
    call: Arc<Call>,
    lead: Lead,
    key: Key,
    hit: Option<Hit>,
    reply: Option<Reply>,
    search: Search,
) {
    let lease = match Box::pin(seek(&gateway, &call, &key, hit.as_ref(), search)).await {
        Turn::Brought => {
            if let Some((sender, _)) = reply {
                // A caller that has left does not look again.
                let _ = sender.send(Told::LookAgain);
            }
            return lead.land(Landing::Found);
        }
        Turn::Ours(lease) => Some(lease),
        Turn::Unshared => None,
    };
    fly_on(gateway, call, lead, key, hit, reply).await;
    drop(lease);
}

/// Looks for what other replicas have, and for one that is at it: half of the call's time is left for asking the
/// upstream all the same. Where nothing can be gained by waiting, as nobody's answer would be fresh, nobody waits.
async fn seek(gateway: &Gateway, call: &Call, key: &Key, hit: Option<&Hit>, search: Search) -> Turn {
    let (cache, request) = (&gateway.cache, view(call, true));
    let limit = if hit.is_some() { SHORT_LIMIT } else { CALL_LIMIT };
    if search == Search::Fleet && call.redis.spend(limit, |limit| cache.recall(&request, key, limit)).await {
        return Turn::Brought;
    }
    if search == Search::Upstream || hit.is_some_and(|hit| !hit.can_be_fresh()) {
        return Turn::Unshared;
    }
    cache.take_turn(&request, key, call.deadline.remaining() / 2, &call.redis).await
}

/// A refresh that nobody waits for: by the one replica that holds the lease for it. The others take what it brings.
pub(super) async fn refresh(gateway: Arc<Gateway>, call: Arc<Call>, lead: Lead, hit: Hit) {
    let key = hit.key();
    let claim = gateway.cache.lease(&key).await;
    // Asked with the lease in hand: who had it before has written what it fetched.
    let found =
        gateway.cache.recall(&view(&call, true), &key, USUAL_LIMIT).await && !gateway.cache.holds(&hit);
    if found || matches!(claim, Claim::Theirs) {
        return lead.land(Landing::Found);
    }
    fly_on(gateway, call, lead, key, Some(hit), None).await;
    drop(claim);
}

/// Fetches under the policy's own time, whoever leaves, and lands for all who wait.
async fn fly_on(
    gateway: Arc<Gateway>,
    call: Arc<Call>,
    lead: Lead,
    key: Key,
    hit: Option<Hit>,
    reply: Option<Reply>,
) {
    let call = call.for_flight();
    let fetched = fetch(&gateway, &call, &key, hit.as_ref()).await;
    let landing = match fetched {
        Err(failed) => {
            answer(reply, |_| Err(failed.clone()));
            landing_of(failed)
        }
        Ok(Fetched::Confirmed(entry, attempts)) => {
            if let Some(hit) = gateway.cache.share(&entry, &view(&call, true), &key, Instant::now()) {
                answer(reply, |_| Ok(confirmed(&call, &hit, attempts)));
            }
            // The 304 may have brought a cookie, or the word that this is for one caller only.
            if entry.is_spent() { Landing::Alone } else { Landing::Stored(entry, attempts) }
        }
        Ok(Fetched::Storable(storable)) => {
            let copying = match reply {
                Some((sender, forward)) => {
                    let (streaming, copying) = storable.streaming(&call, forward);
                    // A caller that has left misses its answer; those who wait still get the copy.
                    let _ = sender.send(Told::Answer(Box::new(Ok(streaming))));
                    copying
                }
                None => storable.unwatched(),
            };
            keep(Arc::clone(&gateway), key, copying).await
        }
        Ok(Fetched::Passing(reached, Refusal::ServerError)) => server_error(&call, reached, reply).await,
        Ok(Fetched::Passing(reached, refusal)) => {
            if refusal.is_lasting(reached.parts.status) {
                gateway.cache.mark_hit_for_miss(&key, Instant::now());
            }
            answer(reply, |forward| Ok(pass_on(&call, reached, CacheStatus::forward(forward))));
            Landing::Alone
        }
    };
    lead.land(landing);
}

/// What is wrong with the upstream is so for all who wait; what its own caller did wrong, a full bulkhead of its own
/// included, is nothing to the others.
fn landing_of(failed: Failed) -> Landing {
    match failed.failure.origin() {
        Origin::Caller => Landing::Alone,
        Origin::Upstream | Origin::Levee => Landing::Failed(failed),
    }
}

fn answer(reply: Option<Reply>, make: impl FnOnce(Forward) -> Result<Answer, Failed>) {
    if let Some((sender, forward)) = reply {
        // Whoever asked may have left; then the answer is dropped with what it holds.
        let _ = sender.send(Told::Answer(Box::new(make(forward))));
    }
}

/// A small server error is read and given to all who wait: each asking again would be a stampede on an upstream
/// in trouble. A large one is for the first only, as is one that was never to be shared.
async fn server_error(call: &Call, reached: Reached, reply: Option<Reply>) -> Landing {
    let attempts = reached.attempts;
    match reached.set_aside().await {
        Ok(Reached { mut parts, body: ReachedBody::Held(body), attempts }) => {
            let url = &call.live.upstream.url;
            rewrite::rewrite_response(&mut parts.headers, url, &call.live.upstream.name);
            let held = Arc::new(HeldAnswer { status: parts.status, headers: parts.headers, body, attempts });
            answer(reply, |forward| Ok(held.answer(CacheStatus::forward(forward))));
            Landing::Error(held)
        }
        Ok(reached) | Err(NotAside::Streaming(reached)) => {
            answer(reply, |forward| Ok(pass_on(call, reached, CacheStatus::forward(forward))));
            Landing::Alone
        }
        Err(NotAside::Broken(failure)) => {
            let failed = Failed { failure, attempts };
            answer(reply, |_| Err(failed.clone()));
            Landing::Failed(failed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::failure::{Failure, FailureKind};
    use super::*;

    #[test]
    fn a_leaders_own_refusal_is_nobody_elses() {
        let landing = |kind| landing_of(Failed::from(Failure::new(kind, "any", "any")));
        assert!(matches!(landing(FailureKind::CallerBusy), Landing::Alone));
        for kind in
            [FailureKind::Connect, FailureKind::Timeout, FailureKind::CircuitOpen, FailureKind::Overloaded]
        {
            assert!(matches!(landing(kind), Landing::Failed(_)), "{kind:?}");
        }
    }
}
