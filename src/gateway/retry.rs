//! Stage 7: whether one more attempt is worth it, and when.
//!
//! It stands outside the breaker, so that an attempt the breaker refuses ends the retrying instead of feeding it.
//! Nothing here waits or sends: it judges one outcome.

use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, header};

use super::failure::{Failure, FailureKind};
use crate::models::policy::{Retry, RetryMethods};
use crate::telemetry::metrics::RetryReason;

/// What one attempt came to, as far as retrying cares.
pub enum Outcome<'a> {
    /// The upstream answered.
    Status(StatusCode, &'a HeaderMap),
    /// It did not.
    Failed(&'a Failure),
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Take what there is.
    Done,
    /// Try again after a pause.
    Again {
        /// Why, for the metric.
        reason: RetryReason,
        /// How long to wait first.
        pause: Duration,
        /// It needs no budget: nothing was sent.
        free: bool,
    },
}

/// The attempts of one call so far.
#[derive(Debug)]
pub struct Tries {
    allowed: u32,
    repeatable: bool,
    made: u32,
    free_used: bool,
    early_used: bool,
    new_token: NewToken,
}

/// Whether another attempt is worth it because it would carry another token: once a call.
#[derive(Debug, PartialEq, Eq)]
enum NewToken {
    Unneeded,
    Expected,
    Used,
}

impl Tries {
    /// None yet. `below_levee`: another Levee in front of us does the retrying.
    pub fn new(policy: &Retry, method: &Method, headers: &HeaderMap, below_levee: bool) -> Self {
        Self {
            allowed: if below_levee { 1 } else { policy.attempts },
            repeatable: is_repeatable(policy, method, headers),
            made: 0,
            free_used: false,
            early_used: false,
            new_token: NewToken::Unneeded,
        }
    }

    /// Counts an attempt that begins; answers with its number, from 1.
    pub fn begin(&mut self) -> u32 {
        self.made += 1;
        self.made
    }

    /// The attempt that began never reached the wire.
    pub fn take_back(&mut self) {
        self.made -= 1;
    }

    /// The upstream refused a token of ours that was dropped since: the next attempt will carry another.
    pub fn expect_new_token(&mut self) {
        if self.new_token == NewToken::Unneeded {
            self.new_token = NewToken::Expected;
        }
    }

    /// Attempts made.
    pub fn made(&self) -> u32 {
        self.made
    }

    /// A second attempt is possible at all, so a body is worth holding.
    pub fn may_repeat(&self) -> bool {
        self.repeatable && self.allowed > 1
    }

    /// Judges an attempt. `sendable`: the body can be sent (again).
    pub fn judge(
        &mut self,
        policy: &Retry,
        outcome: &Outcome<'_>,
        sendable: bool,
        remaining: Duration,
    ) -> Verdict {
        if self.made >= self.allowed || !sendable {
            return Verdict::Done;
        }
        let verdict = match outcome {
            Outcome::Failed(failure) => self.judge_failure(policy, failure),
            Outcome::Status(status, headers) if self.repeatable => {
                self.judge_status(policy, *status, headers)
            }
            Outcome::Status(..) => Verdict::Done,
        };
        match verdict {
            Verdict::Again { pause, .. } if pause >= remaining => Verdict::Done,
            verdict => verdict,
        }
    }

    fn judge_failure(&mut self, policy: &Retry, failure: &Failure) -> Verdict {
        let reason = match failure.kind {
            FailureKind::Connect => RetryReason::ConnectFailure,
            FailureKind::Reset | FailureKind::Protocol => RetryReason::Reset,
            FailureKind::Timeout => RetryReason::Timeout,
            _ => return Verdict::Done,
        };
        if failure.nothing_sent && !self.free_used {
            self.free_used = true;
            return Verdict::Again { reason, pause: Duration::ZERO, free: true };
        }
        let wanted = failure.cause().is_some_and(|cause| policy.on.contains(&cause));
        if !(wanted && self.repeatable) {
            return Verdict::Done;
        }
        Verdict::Again { reason, pause: self.backoff(policy.base, policy.cap), free: false }
    }

    fn judge_status(&mut self, policy: &Retry, status: StatusCode, headers: &HeaderMap) -> Verdict {
        let early = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY);
        let reason = RetryReason::Status;
        if status == StatusCode::UNAUTHORIZED && self.new_token == NewToken::Expected {
            self.new_token = NewToken::Used;
            return Verdict::Again { reason, pause: Duration::ZERO, free: true };
        }
        if early && !self.early_used {
            self.early_used = true;
            return Verdict::Again { reason, pause: self.backoff(policy.base, policy.cap), free: false };
        }
        if !policy.statuses.contains(&status) {
            return Verdict::Done;
        }
        let throttled = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let pause = match retry_after(headers) {
            // Asking earlier than the upstream wishes would be refused again.
            Some(after) => after,
            None if throttled => self.backoff(policy.throttled_base, policy.cap),
            None => self.backoff(policy.base, policy.cap),
        };
        Verdict::Again { reason, pause, free: false }
    }

    /// Full jitter: anywhere between nothing and the step, so that callers do not return together.
    fn backoff(&self, base: Duration, cap: Duration) -> Duration {
        let doublings = self.made.saturating_sub(1).min(20);
        let step = base.saturating_mul(1 << doublings).min(cap);
        step.mul_f64(fastrand::f64())
    }
}

/// Whether the policy allows a second attempt of such a request.
pub fn is_repeatable(policy: &Retry, method: &Method, headers: &HeaderMap) -> bool {
    let listed = match &policy.methods {
        RetryMethods::Idempotent => true,
        RetryMethods::Listed(methods) => methods.contains(method),
    };
    listed && is_safe_twice(policy, method, headers)
}

/// Whether doing it twice means the same as doing it once (RFC 9110 section 9.2.2), by its method or because
/// the upstream honours the key that was sent.
pub fn is_safe_twice(policy: &Retry, method: &Method, headers: &HeaderMap) -> bool {
    is_idempotent(method) || (policy.idempotency_key_honoured && headers.contains_key("idempotency-key"))
}

fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE)
}

/// `Retry-After` in seconds or as a date; a date counts from the response's own `Date` (RFC 9110 section 10.2.3).
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let now = headers
        .get(header::DATE)
        .and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok())
        .unwrap_or_else(std::time::SystemTime::now);
    Some(until.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests;
