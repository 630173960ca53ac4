//! Stage 3: what answers when everything below could not.
//!
//! A chain of steps, tried in order; the first that can answer wins. The cause must be one the policy names: a refusal
//! that is the caller's doing never sets it going.

use std::sync::Arc;

use http::StatusCode;

use super::Gateway;
use super::answer::{Answer, AnswerBody, AnsweredBy, Trouble, Why};
use super::call::Call;
use super::pipeline::{self, Failed};
use super::retry;
use super::upload::CallBody;
use super::{caching, snapshot::Live};
use crate::models::policy::{Cause, FallbackStep};
use crate::telemetry::metrics::{self, Outcome};
use crate::telemetry::traces::Answered;

/// Passes a good answer on; otherwise asks the chain, and says what went wrong where it has no answer either.
pub(super) async fn complete(
    gateway: &Arc<Gateway>,
    call: &Arc<Call>,
    body: &mut CallBody,
    result: Result<Answer, Failed>,
) -> Answer {
    let Some(mut trigger) = Trigger::of(call, &result) else { return conclude(call, result) };
    for step in &call.lane.policy.fallback.steps {
        let answered = match step {
            FallbackStep::Stale { max_age } => {
                caching::stale(gateway, call, body.is_empty(), *max_age, trigger.status())
            }
            FallbackStep::Static { status, headers, body } => Some(fixed(*status, headers, body)),
            FallbackStep::Upstream { name } => match gateway.upstream(name) {
                Some(live) if trigger.may_go_elsewhere(call) && body.is_at_hand() && admits(&live, call) => {
                    another(gateway, call, &live, body, &mut trigger).await
                }
                _ => None,
            },
        };
        let (label, kind) = label(step);
        let had_answer = if answered.is_some() { Answered::Yes } else { Answered::No };
        call.trace.fallback(&label, trigger.cause, had_answer);
        if let Some(mut answer) = answered {
            call.live.metrics.fallback(kind, trigger.cause);
            answer.why.by = AnsweredBy::Fallback;
            answer.why.fallback = Some(label);
            answer.why.attempts += trigger.attempts;
            answer.why.trouble = Some(trigger.trouble);
            answer.outcome = Outcome::Fallback;
            return answer;
        }
    }
    let mut answer = conclude(call, result);
    answer.why.nothing_sent &= trigger.nothing_sent;
    answer
}

fn conclude(call: &Call, result: Result<Answer, Failed>) -> Answer {
    result.unwrap_or_else(|failed| {
        let mut answer = Answer::problem(&failed.failure, &call.id.to_string());
        answer.why.attempts = failed.attempts;
        answer
    })
}

/// What set the chain going.
struct Trigger {
    cause: metrics::FallbackCause,
    trouble: Trouble,
    attempts: u32,
    /// By the last attempt; then by none before it where sending twice is not safe, or there would have been no other.
    nothing_sent: bool,
}

impl Trigger {
    fn of(call: &Call, result: &Result<Answer, Failed>) -> Option<Self> {
        let policy = &call.lane.policy.fallback;
        if policy.steps.is_empty() {
            return None;
        }
        match result {
            Ok(answer) => {
                let wanted =
                    answer.why.by == AnsweredBy::Upstream && policy.statuses.contains(&answer.status);
                wanted.then_some(Self {
                    cause: metrics::FallbackCause::Status,
                    trouble: Trouble::Status(answer.status),
                    attempts: answer.why.attempts,
                    nothing_sent: false,
                })
            }
            Err(Failed { failure, attempts }) => {
                let cause = failure.cause().filter(|cause| policy.on.contains(cause))?;
                Some(Self {
                    cause: label_of(cause),
                    trouble: Trouble::Error(failure.token),
                    attempts: *attempts,
                    nothing_sent: failure.nothing_sent,
                })
            }
        }
    }

    /// What the upstream answered, where it did.
    fn status(&self) -> Option<StatusCode> {
        match self.trouble {
            Trouble::Status(status) => Some(status),
            Trouble::Error(_) => None,
        }
    }

    /// A payment must not be made twice: what may have been done already is only repeated elsewhere where that is safe.
    fn may_go_elsewhere(&self, call: &Call) -> bool {
        self.nothing_sent || retry::is_safe_twice(&call.lane.policy.retry, &call.method, &call.headers)
    }
}

/// A fallback lets nobody in where it could not call itself.
fn admits(live: &Live, call: &Call) -> bool {
    live.upstream.access.admits(call.principal.as_deref())
}

/// Whether the chain may send a request elsewhere that has been sent once already: then its body is worth holding.
pub(super) fn may_repeat(call: &Call) -> bool {
    let policy = &call.lane.policy;
    policy.fallback.steps.iter().any(|step| matches!(step, FallbackStep::Upstream { .. }))
        && retry::is_safe_twice(&policy.retry, &call.method, &call.headers)
}

/// The same request to another upstream, under that one's own policy; its own fallback chain included. What was sent
/// there counts for the steps that follow.
async fn another(
    gateway: &Arc<Gateway>,
    call: &Arc<Call>,
    live: &Arc<Live>,
    body: &mut CallBody,
    trigger: &mut Trigger,
) -> Option<Answer> {
    let redirected = Arc::new(call.redirected(live));
    // The recursion is as deep as the chain of upstreams, which is checked to have no cycle.
    let answer = Box::pin(pipeline::run(gateway, &redirected, body)).await;
    trigger.nothing_sent &= answer.why.nothing_sent;
    let useful = answer.why.by != AnsweredBy::Levee
        && !redirected.lane.policy.breaker.fail_statuses.contains(&answer.status);
    useful.then_some(answer)
}

fn fixed(
    status: StatusCode,
    headers: &[(http::HeaderName, http::HeaderValue)],
    body: &bytes::Bytes,
) -> Answer {
    let mut map = http::HeaderMap::with_capacity(headers.len() + 8);
    for (name, value) in headers {
        map.append(name.clone(), value.clone());
    }
    Answer {
        status,
        headers: map,
        body: AnswerBody::Whole(body.clone()),
        why: Why::default(),
        outcome: Outcome::Fallback,
        problem: None,
    }
}

fn label_of(cause: Cause) -> metrics::FallbackCause {
    match cause {
        Cause::ConnectFailure => metrics::FallbackCause::ConnectFailure,
        Cause::Reset => metrics::FallbackCause::Reset,
        Cause::Timeout => metrics::FallbackCause::Timeout,
        Cause::CircuitOpen => metrics::FallbackCause::CircuitOpen,
        Cause::QuotaExhausted => metrics::FallbackCause::QuotaExhausted,
        Cause::Overloaded => metrics::FallbackCause::Overloaded,
    }
}

fn label(step: &FallbackStep) -> (String, metrics::FallbackStep) {
    match step {
        FallbackStep::Stale { .. } => ("stale".to_owned(), metrics::FallbackStep::Stale),
        FallbackStep::Static { .. } => ("static".to_owned(), metrics::FallbackStep::Static),
        FallbackStep::Upstream { name } => (format!("upstream:{name}"), metrics::FallbackStep::Upstream),
    }
}
