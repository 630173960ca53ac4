//! Stages 9 to 13: one attempt, from the breaker's permission to the response's headers.
//!
//! Breaker, then the quota, then the upstream's bulkhead, then the attempt's clock, then the wire. What is refused here
//! was never sent, and never counts as the upstream's failure.

use std::pin::pin;
use std::time::Duration;

use http::{Request, Response, response};
use tokio::time::Instant;

use super::breaker::{Outcome, Permit, Rejected};
use super::bulkhead::{NoSeat, Seat};
use super::call::Call;
use super::failure::{Failure, FailureKind};
use super::quota::{NoToken, Shortage};
use super::retry;
use super::stream::{Holds, UpstreamBody};
use super::transport::{RequestBody, ResponseBody, SendFailure, SendFailureKind};
use super::upload::Upload;
use crate::models::policy::Cause;
use crate::telemetry::metrics::AttemptResult;
use crate::telemetry::traces::{self, Peer};

/// An answered attempt: headers are here, the body streams.
pub(super) struct Exchange {
    /// Status and headers as the upstream sent them.
    pub parts: response::Parts,
    /// Its body, holding the attempt's permit and seat.
    pub body: UpstreamBody,
}

/// Makes one attempt of a call. What was not touched of the request's body comes back with the failure.
pub(super) async fn attempt(
    call: &Call,
    mut request: Request<RequestBody>,
    upload: &Upload,
    number: u32,
) -> Result<Exchange, (Failure, Option<RequestBody>)> {
    let (lane, deadline) = (&call.lane, call.deadline.inner);
    let (permit, seat) = match admit(call).await {
        Ok(admitted) => admitted,
        Err(failure) => return Err((failure, Some(request.into_body()))),
    };
    let mut in_flight = InFlight::start(call, upload, permit, seat, number);
    in_flight.inject_trace(&mut request);
    let connect = lane.policy.timeout.connect.min(deadline.saturating_duration_since(in_flight.started));
    let sending = call.live.transport.send(request, connect);
    match wait_for_headers(sending, &mut in_flight, deadline).await {
        Ok(Ok(response)) => Ok(in_flight.answered(response)),
        Ok(Err(failed)) => {
            let failure = upload.fault().unwrap_or_else(|| describe(&failed));
            in_flight.failed(&failure);
            Err((failure, failed.request.map(|request| request.into_body())))
        }
        Err(failure) => {
            in_flight.failed(&failure);
            Err((failure, None))
        }
    }
}

/// Stages 9 to 11: the breaker's permit, a token of the quota, a seat.
async fn admit(call: &Call) -> Result<(Permit, Seat), Failure> {
    let lane = &call.lane;
    let ask = || lane.breaker.try_acquire(call.caller.key).map_err(|rejected| circuit_open(call, &rejected));
    let mut permit = ask()?;
    let mut token = None;
    while let Some(quota) = lane.quota.as_ref().filter(|_| token.is_none()) {
        let began = Instant::now();
        let answer = quota.take(call.deadline.inner, &call.redis, || permit.is_current()).await;
        tell_of_quota(call, began.elapsed(), answer.as_ref().err());
        match answer {
            Ok(granted) => token = Some(granted),
            Err(NoToken::Refused(shortage, after)) => return Err(quota_exhausted(shortage, after)),
            Err(NoToken::Overtaken) => {
                drop(permit);
                permit = ask()?;
            }
        }
    }
    let seat = take_seat(call).await.map_err(overloaded)?;
    if !permit.is_current() {
        // It opened while this attempt waited in line; asking again gives the honest reason.
        drop(permit);
        permit = ask()?;
    }
    if let Some(token) = token {
        token.spend();
    }
    Ok((permit, seat))
}

/// Waits until headers, failure, or the end of the attempt's time, which does not run against the upstream before
/// the caller has sent what it waits for.
async fn wait_for_headers<F>(
    sending: F,
    in_flight: &mut InFlight<'_>,
    deadline: Instant,
) -> Result<F::Output, Failure>
where
    F: Future,
{
    let mut sending = pin!(sending);
    let mut end = pin!(tokio::time::sleep_until(in_flight.end()));
    loop {
        tokio::select! {
            biased;
            sent = &mut sending => return Ok(sent),
            () = &mut end => {
                let (now, waits_for_caller) = (Instant::now(), in_flight.upload.waits_for_caller());
                in_flight.restart_clock();
                if now >= deadline && waits_for_caller {
                    let detail = "The request body did not arrive within the call's time.";
                    return Err(Failure::new(FailureKind::BodyBroken, "http_request_error", detail));
                }
                if now >= in_flight.end() {
                    return Err(timed_out(now.saturating_duration_since(in_flight.clock)));
                }
                end.as_mut().reset(in_flight.end());
            }
        }
    }
}

fn timed_out(waited: Duration) -> Failure {
    let detail = format!("The upstream sent no response headers within {} ms.", waited.as_millis());
    Failure::new(FailureKind::Timeout, "http_response_timeout", detail)
}

/// A token that was at hand is not worth a word.
fn tell_of_quota(call: &Call, waited: Duration, refused: Option<&NoToken>) {
    let result = match refused {
        None => "token",
        Some(NoToken::Refused(Shortage::Tokens, _)) => "exhausted",
        Some(NoToken::Refused(Shortage::Paused, _)) => "paused",
        Some(NoToken::Refused(Shortage::Room, _)) => "queue_full",
        Some(NoToken::Overtaken) => return,
    };
    if refused.is_some() || waited >= Duration::from_millis(1) {
        call.trace.quota(&call.live.upstream.name, waited, result);
    }
}

async fn take_seat(call: &Call) -> Result<Seat, NoSeat> {
    let bulkhead = &call.lane.bulkhead;
    if let Some(seat) = bulkhead.enter_now() {
        return Ok(seat);
    }
    let began = Instant::now();
    let seat = bulkhead.enter(call.deadline.remaining()).await;
    let result = match &seat {
        Ok(_) => "seat",
        Err(NoSeat::QueueFull) => "queue_full",
        Err(NoSeat::WaitedTooLong) => "waited_too_long",
    };
    call.trace.queued(&call.live.upstream.name, began.elapsed(), result);
    seat
}

fn circuit_open(call: &Call, rejected: &Rejected) -> Failure {
    call.trace.breaker_refused(&call.live.upstream.name, rejected.why.as_str());
    let detail =
        format!("The circuit breaker of this upstream lets no calls through: {}.", rejected.why.as_str());
    Failure::new(FailureKind::CircuitOpen, "destination_unavailable", detail)
        .with_retry_after(rejected.retry_after)
        .with_nothing_sent()
}

fn quota_exhausted(shortage: Shortage, after: Duration) -> Failure {
    let detail = match shortage {
        Shortage::Tokens => "`quota` of this upstream is used up for the time this call has.",
        Shortage::Paused => "This upstream asked for a pause, and none of this call's time is left after it.",
        Shortage::Room => "`quota` of this upstream is used up, and as many calls wait for it as may.",
    };
    Failure::new(FailureKind::QuotaExhausted, "http_request_denied", detail)
        .with_retry_after(Some(after))
        .with_nothing_sent()
}

fn overloaded(no_seat: NoSeat) -> Failure {
    let detail = match no_seat {
        NoSeat::QueueFull => "`concurrency.limit` of this upstream is reached and its queue is full.",
        NoSeat::WaitedTooLong => "`concurrency.limit` of this upstream is reached and no call ended in time.",
    };
    Failure::new(FailureKind::Overloaded, "connection_limit_reached", detail)
        .with_retry_after(Some(Duration::from_secs(1)))
        .with_nothing_sent()
}

fn describe(failed: &SendFailure) -> Failure {
    let kind = match failed.kind {
        SendFailureKind::DestinationRefused => FailureKind::Destination,
        SendFailureKind::Dns
        | SendFailureKind::Connect
        | SendFailureKind::Tls
        | SendFailureKind::ConnectTimeout
        | SendFailureKind::RefusedStream => FailureKind::Connect,
        SendFailureKind::Exhausted => FailureKind::Overloaded,
        SendFailureKind::Reset => FailureKind::Reset,
        SendFailureKind::Protocol => FailureKind::Protocol,
        SendFailureKind::RequestBody => FailureKind::BodyBroken,
    };
    let failure = Failure::new(kind, failed.token(), failed.public_detail()).with_cause_text(&failed.detail);
    if failed.nothing_sent() { failure.with_nothing_sent() } else { failure }
}

/// An attempt on the wire. Dropped before it is settled means that the caller left: neutral, unless the
/// upstream had been silent for half the attempt's time, when impatient callers must not hide it.
struct InFlight<'a> {
    call: &'a Call,
    upload: &'a Upload,
    permit: Option<Permit>,
    seat: Option<Seat>,
    started: Instant,
    /// When the upstream's time began: at the start, or later with what the caller sent last.
    clock: Instant,
    limit: Duration,
    /// Taken when it is settled.
    span: traces::Attempt,
}

impl<'a> InFlight<'a> {
    fn start(call: &'a Call, upload: &'a Upload, mut permit: Permit, seat: Seat, number: u32) -> Self {
        let started = Instant::now();
        let limit = call.lane.attempt_limit(&call.method, &call.headers);
        permit.start_clock(started);
        permit.expect_end_by((started + limit).min(call.deadline.inner));
        let url = &call.live.upstream.url;
        let peer = Peer {
            upstream: &call.live.upstream.name,
            operation: call.lane.operation.as_deref(),
            host: &url.host,
            port: url.port,
        };
        let span = call.trace.attempt(&peer, &call.method, number);
        Self { call, upload, permit: Some(permit), seat: Some(seat), started, clock: started, limit, span }
    }

    /// Lets the upstream continue the trace, unless the policy wants none of it there.
    fn inject_trace(&self, request: &mut Request<RequestBody>) {
        let rules = &self.call.lane.policy.headers;
        if !rules.remove.contains(&traces::TRACEPARENT) {
            self.span.inject(request.headers_mut());
        }
    }

    fn end(&self) -> Instant {
        (self.clock + self.limit).min(self.call.deadline.inner)
    }

    /// The upstream is not to blame for the time the caller took.
    fn restart_clock(&mut self) {
        let fed = if self.upload.waits_for_caller() { Some(Instant::now()) } else { self.upload.last_fed() };
        let Some(fed) = fed.filter(|fed| *fed > self.clock) else { return };
        self.clock = fed;
        let end = self.end();
        if let Some(permit) = &mut self.permit {
            permit.start_clock(fed);
            permit.expect_end_by(end);
        }
    }

    fn was_patient(&self) -> bool {
        self.clock.elapsed() >= self.limit / 2
    }

    fn answered(mut self, response: Response<ResponseBody>) -> Exchange {
        self.restart_clock();
        let policy = &self.call.lane.policy;
        let (parts, body) = response.into_parts();
        std::mem::take(&mut self.span).answered(parts.status, parts.version);
        self.heed_limits(&parts);
        let mut permit = self.permit.take();
        if let Some(permit) = &mut permit {
            permit.mark_headers();
        }
        let counts_as_failure = policy.breaker.fail_statuses.contains(&parts.status);
        if counts_as_failure {
            let retry_after = retry::retry_after(&parts.headers);
            if let Some(permit) = permit.take() {
                permit.finish(Outcome::Failure { transport: false, retry_after });
            }
        }
        let slow = policy.breaker.slow_call.is_some_and(|slow| self.clock.elapsed() > slow.threshold);
        self.count(match (counts_as_failure, slow) {
            (true, _) => AttemptResult::Failure,
            (false, true) => AttemptResult::Slow,
            (false, false) => AttemptResult::Success,
        });
        let holds = Holds { permit, seat: self.seat.take(), caller: None };
        Exchange { parts, body: UpstreamBody::new(body, holds, policy) }
    }

    fn heed_limits(&self, parts: &response::Parts) {
        let quota = self.call.lane.quota.as_ref();
        if let Some(pause) = quota.and_then(|quota| quota.learn(parts.status, &parts.headers)) {
            let (upstream, operation) = (&self.call.live.upstream.name, &self.call.lane.operation);
            let status = parts.status.as_u16();
            tracing::info!(upstream, operation, status, ?pause, "the upstream asked for a pause");
        }
    }

    fn failed(mut self, failure: &Failure) {
        self.restart_clock();
        let Some(permit) = self.permit.take() else { return };
        self.count(result_of(failure.kind));
        std::mem::take(&mut self.span).failed(failure.token);
        let fail_on = &self.call.lane.policy.breaker.fail_on;
        let counts = failure.cause().is_some_and(|cause| fail_on.contains(&cause));
        let early = failure.cause() == Some(Cause::Timeout) && !self.was_patient();
        permit.finish(if counts && !early {
            Outcome::Failure { transport: true, retry_after: None }
        } else {
            Outcome::Neutral
        });
    }

    fn count(&self, result: AttemptResult) {
        self.call.live.metrics.attempt(result, self.started.elapsed());
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.restart_clock();
        let Some(permit) = self.permit.take() else { return };
        self.count(AttemptResult::Cancelled);
        std::mem::take(&mut self.span).cancelled();
        let counts = self.call.lane.policy.breaker.fail_on.contains(&Cause::Timeout);
        if counts && self.was_patient() && !std::thread::panicking() {
            permit.finish(Outcome::Failure { transport: true, retry_after: None });
        }
    }
}

/// How an attempt without an answer counts.
fn result_of(kind: FailureKind) -> AttemptResult {
    match kind {
        FailureKind::Timeout => AttemptResult::Timeout,
        FailureKind::Connect | FailureKind::Destination | FailureKind::Overloaded => {
            AttemptResult::ConnectFailure
        }
        FailureKind::Protocol => AttemptResult::Protocol,
        FailureKind::BodyTooLarge | FailureKind::BodyBroken => AttemptResult::Cancelled,
        _ => AttemptResult::Reset,
    }
}
