//! THE file: a call's way through the stages, outermost first.
//!
//! Plain code, one verb per stage, `?` for a refusal, guards for permits. The order and its reasons:
//!
//! | stage | verb | why it stands there |
//! | --- | --- | --- |
//! | 0 who calls | [`Gatekeeper`](crate::gateway::access::Gatekeeper) at arrival | whoever is not let in learns and costs nothing |
//! | 2 deadline | [`Deadline::of`](crate::gateway::deadline::Deadline::of) at arrival | everything inside reads what remains |
//! | 3 fallback | `fallback::complete` | sees every failure below |
//! | 4 cache, 5 coalescing | `caching::answer` | a hit costs nothing below; one flight for many waiters |
//! | 6 caller bulkhead | [`CallerBulkhead::enter`](crate::gateway::bulkhead::CallerBulkhead::enter) | one caller cannot take all seats, nor multiply by retrying |
//! | 7 retry and budget | [`Tries::judge`](crate::gateway::retry::Tries::judge), [`Budget::withdraw`](crate::gateway::budget::Budget::withdraw) | outside the breaker: an open circuit ends the retrying |
//! | 9 breaker, 10 quota, 11 upstream bulkhead, 12 attempt timeout, 13 transport | `attempt` | the breaker sees each exchange with the wire, and no refusal of ours |

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::response::Parts;
use http_body_util::BodyExt;
use tokio::time::Instant;

use super::Gateway;
use super::answer::{Answer, AnswerBody};
use super::attempt::{Exchange, attempt};
use super::breaker::{Breaker, Mode, State};
use super::bulkhead::CallerSeat;
use super::call::Call;
use super::failure::{Failure, FailureKind};
use super::outgoing::{self, Conditions};
use super::retry::{Outcome, Tries, Verdict};
use super::stream::UpstreamBody;
use super::upload::CallBody;
use super::{caching, fallback, hygiene};
use crate::cache::{CacheStatus, Lookup};

/// Answers a call, whatever happens below.
///
/// Of `body` comes back what is left of it: all, where it was held or never touched.
pub async fn run(gateway: &Arc<Gateway>, call: &Arc<Call>, body: &mut CallBody) -> Answer {
    match caching::look_up(gateway, call, body) {
        Lookup::Fresh(hit) => caching::fresh(gateway, call, &hit),
        // A future moves whole at every level above, so the large one is put aside once, here.
        lookup => Box::pin(ask(gateway, call, body, lookup)).await,
    }
}

/// What memory has no fresh answer for.
async fn ask(gateway: &Arc<Gateway>, call: &Arc<Call>, body: &mut CallBody, lookup: Lookup) -> Answer {
    let forward = lookup.forward();
    let result = caching::answer(gateway, call, body, lookup).await;
    let mut answer = fallback::complete(gateway, call, body, result).await;
    // Failures and fallbacks too say what the cache had to do with them.
    answer.why.cache.get_or_insert_with(|| forward.map_or_else(CacheStatus::aside, CacheStatus::forward));
    answer
}

/// What the upstream said in the end.
pub struct Reached {
    /// Status and headers, fit for the caller.
    pub parts: Parts,
    /// The body: streaming, or already read.
    pub body: ReachedBody,
    /// Attempts made.
    pub attempts: u32,
}

/// Where a reached upstream's body is.
pub enum ReachedBody {
    /// On the wire.
    Streaming(Box<UpstreamBody>),
    /// In memory: it was read so that its connection could be used for another attempt.
    Held(Bytes),
}

/// A call that no attempt could answer.
#[derive(Debug, Clone)]
pub struct Failed {
    /// The last real reason.
    pub failure: Failure,
    /// Attempts made.
    pub attempts: u32,
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self { failure, attempts: 0 }
    }
}

impl From<Reached> for Answer {
    fn from(reached: Reached) -> Self {
        let body = match reached.body {
            ReachedBody::Streaming(body) => AnswerBody::Upstream(body),
            ReachedBody::Held(bytes) => AnswerBody::Whole(bytes),
        };
        Self::from_upstream(reached.parts, body, reached.attempts)
    }
}

/// Stages 6 to 13: asks the upstream, again where that is safe and worth it.
///
/// `conditions` says whose conditions the request carries: for the cache, the caller's own are ours to judge.
pub async fn reach(
    gateway: &Gateway,
    call: &Call,
    body: &mut CallBody,
    conditions: Conditions<'_>,
) -> Result<Reached, Failed> {
    let lane = &*call.lane;
    let seat = lane.callers.enter(call.caller.key).ok_or_else(caller_busy)?;
    lane.budget.deposit();
    let policy = &lane.policy.retry;
    let mut tries = Tries::new(policy, &call.method, &call.headers, call.below_levee);
    if tries.may_repeat() || fallback::may_repeat(call) {
        hold(body, policy.max_body, call.deadline.inner).await?;
    }
    let mut last = once(gateway, call, body, conditions, &mut tries).await;
    while let Verdict::Again { reason, pause, free } = judge(&mut tries, call, body, &last) {
        if gateway.is_stopping() || !admits(&lane.breaker) {
            break;
        }
        if let Ok(answered) = last {
            match Box::pin(answered.set_aside()).await {
                Ok(aside) => last = Ok(aside),
                Err(NotAside::Streaming(streaming)) => {
                    last = Ok(streaming);
                    break;
                }
                Err(NotAside::Broken(failure)) => {
                    log_failed(call, tries.made(), &failure);
                    last = Err(failure);
                }
            }
        }
        if !(free || lane.budget.withdraw()) {
            break;
        }
        call.live.metrics.retry(reason);
        call.trace.retry(&call.live.upstream.name, reason, pause);
        tokio::time::sleep(pause).await;
        let next = once(gateway, call, body, conditions, &mut tries).await;
        if next.as_ref().is_err_and(is_refusal_of_ours) {
            // Refused between attempts: the last real outcome tells more than "open" or "used up".
            break;
        }
        last = next;
    }
    conclude(last, seat, tries.made())
}

/// Reads a small body, for as long as the call has: a caller that drips must not hold its seat for ever.
async fn hold(body: &mut CallBody, most: u64, deadline: Instant) -> Result<(), Failure> {
    tokio::time::timeout_at(deadline, body.hold(most)).await.unwrap_or_else(|_| {
        let detail = "The request body did not arrive within the call's time.";
        Err(Failure::new(FailureKind::BodyBroken, "http_request_error", detail))
    })
}

/// How the last attempt ended.
type Last = Result<Reached, Failure>;

async fn once(
    gateway: &Gateway,
    call: &Call,
    body: &mut CallBody,
    conditions: Conditions<'_>,
    tries: &mut Tries,
) -> Last {
    let credential = call.live.credentials.obtain(call.deadline.inner).await?;
    let (number, no_body) = (tries.begin(), body.is_empty());
    let sent = body.for_attempt();
    let request = outgoing::request(gateway, call, sent, tries, number, conditions, credential.as_ref())?;
    match attempt(call, request, body.upload(), number).await {
        Ok(Exchange { mut parts, body }) => {
            if parts.status == StatusCode::UNAUTHORIZED && call.live.credentials.refused(credential.as_ref())
            {
                tries.expect_new_token();
            }
            hygiene::clean_response(parts.status, &mut parts.headers);
            gateway.cache.purge_unsafe(&caching::view(call, no_body), parts.status, &parts.headers);
            Ok(Reached { parts, body: ReachedBody::Streaming(Box::new(body)), attempts: number })
        }
        Err((failure, unsent)) => {
            if is_refusal_of_ours(&failure) || failure.kind == FailureKind::Overloaded {
                tries.take_back();
            } else {
                log_failed(call, number, &failure);
            }
            if let Some(unsent) = unsent {
                body.give_back(unsent);
            }
            Err(failure)
        }
    }
}

/// By the breaker or the quota.
fn is_refusal_of_ours(failure: &Failure) -> bool {
    matches!(failure.kind, FailureKind::CircuitOpen | FailureKind::QuotaExhausted)
}

fn log_failed(call: &Call, attempt: u32, failure: &Failure) {
    tracing::info!(
        call_id = %call.id,
        upstream = call.live.upstream.name,
        attempt,
        error = failure.token,
        cause = failure.cause_text,
        trace_id = call.trace_name(),
        "attempt failed"
    );
}

fn judge(tries: &mut Tries, call: &Call, body: &CallBody, last: &Last) -> Verdict {
    let outcome = match last {
        Ok(Reached { parts, .. }) => Outcome::Status(parts.status, &parts.headers),
        Err(failure) => Outcome::Failed(failure),
    };
    let sendable = match last {
        Err(failure) if failure.nothing_sent => body.is_at_hand(),
        _ => body.is_replayable(),
    };
    tries.judge(&call.lane.policy.retry, &outcome, sendable, call.deadline.remaining())
}

/// Largest body read to free its connection and seat.
const SET_ASIDE_MOST: usize = 64 * 1024;
/// Longest time spent on reading it.
const SET_ASIDE_TIME: Duration = Duration::from_millis(100);

/// Why an answer could not be set aside.
pub enum NotAside {
    /// Too large or too slow: it comes back as it was.
    Streaming(Reached),
    /// It broke off. The caller has none of it yet, so it is as good as no answer.
    Broken(Failure),
}

impl Reached {
    /// Reads the answer whole, so that nothing of the upstream is held and it can still be passed on.
    pub async fn set_aside(self) -> Result<Self, NotAside> {
        let Self { parts, body, attempts } = self;
        let ReachedBody::Streaming(mut streaming) = body else { return Ok(Self { parts, body, attempts }) };
        let mut read = BytesMut::new();
        let reading = tokio::time::timeout(SET_ASIDE_TIME, read_small(&mut streaming, &mut read));
        let why = match reading.await {
            Ok(Ok(true)) => return Ok(Self { parts, body: ReachedBody::Held(read.freeze()), attempts }),
            Ok(Err(error)) if error.kind() != io::ErrorKind::FileTooLarge => {
                return Err(NotAside::Broken(broken_off()));
            }
            Ok(Err(error)) => Some(error),
            Ok(Ok(false)) | Err(_) => None,
        };
        streaming.put_back(read.freeze(), why);
        Err(NotAside::Streaming(Self { parts, body: ReachedBody::Streaming(streaming), attempts }))
    }
}

/// Whether the body was small enough to be read to its end.
async fn read_small(body: &mut UpstreamBody, read: &mut BytesMut) -> io::Result<bool> {
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            read.extend_from_slice(&data);
        }
        if read.len() > SET_ASIDE_MOST {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The upstream's answer ended before its end, and nobody has seen any of it.
pub fn broken_off() -> Failure {
    Failure::new(FailureKind::Reset, "http_response_incomplete", "The upstream's answer broke off.")
}

fn conclude(last: Last, seat: CallerSeat, attempts: u32) -> Result<Reached, Failed> {
    match last {
        Ok(mut reached) => {
            reached.attempts = attempts;
            if let ReachedBody::Streaming(body) = &mut reached.body {
                body.hold_caller(seat);
            }
            Ok(reached)
        }
        Err(failure) => Err(Failed { failure, attempts }),
    }
}

/// Whether another attempt would get past the breaker: an open circuit ends the retrying before any sleep.
fn admits(breaker: &Breaker) -> bool {
    let view = breaker.view();
    match (view.mode, view.state) {
        (Mode::MetricsOnly | Mode::ForcedClosed, _) | (_, State::Closed | State::HalfOpen) => true,
        (_, State::Open) => view.open_remaining.is_none_or(|left| left.is_zero()),
        (_, State::ForcedOpen) => false,
    }
}

fn caller_busy() -> Failure {
    let detail = "You have as many calls in flight to this upstream as `concurrency.perCaller` allows.";
    Failure::new(FailureKind::CallerBusy, "connection_limit_reached", detail)
}
