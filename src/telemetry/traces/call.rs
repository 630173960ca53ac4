//! The server span of a call: one, however often the upstream is asked, with the stages' decisions as its events.

use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use opentelemetry::{KeyValue, Value};

use super::context::SpanPlace;
use super::{Trace, Traces};
use crate::telemetry::metrics::{CacheResult, FallbackCause, Outcome, RetryReason};

/// Every call's route: what follows the upstream's name is the caller's, and may hold secrets.
const ROUTE: &str = "/proxy/{upstream}/{path}";

/// How a call ended.
pub struct CallEnd<'a> {
    /// Shown as `Levee-Call-Id`.
    pub id: &'a str,
    /// Status sent to the caller, unless it left before.
    pub status: Option<StatusCode>,
    /// As the metrics count it.
    pub outcome: Outcome,
    /// `Levee-Answer`.
    pub answer: &'static str,
    /// `Levee-Fallback`.
    pub fallback: Option<&'a str>,
    /// Attempts made.
    pub attempts: u32,
    /// The token of what failed on the way, where something did.
    pub error: Option<&'static str>,
}

impl Traces {
    /// Begins the span of a call, or of what asked to be one.
    pub fn call(&self, headers: &HeaderMap, method: &Method) -> Trace {
        self.begin(headers, method, ROUTE)
    }
}

impl Trace {
    /// The call goes to this upstream.
    pub fn goes_to(&self, upstream: &str, operation: Option<&str>) {
        self.with(|span| {
            span.set("levee.upstream", upstream.to_owned());
            if let Some(operation) = operation {
                span.set("levee.operation", operation.to_owned());
            }
        });
    }

    /// The call is over; later words change nothing.
    pub fn end_call(&self, end: &CallEnd<'_>) {
        self.finish(|span| {
            span.set("levee.call_id", end.id.to_owned());
            span.set("levee.outcome", end.outcome.text());
            let Some(status) = end.status else { return };
            span.set("http.response.status_code", i64::from(status.as_u16()));
            span.set("levee.answer", end.answer);
            span.set("levee.attempts", i64::from(end.attempts));
            if let Some(fallback) = end.fallback {
                span.set("levee.fallback", fallback.to_owned());
            }
            // A client's mistake is no failure of the server (semantic conventions for HTTP).
            if status.is_server_error() {
                let kind = end.error.map_or_else(|| Value::from(status.as_str().to_owned()), Value::from);
                span.fail(kind);
            }
        });
    }

    /// The cache was asked.
    pub fn cache(&self, upstream: &str, result: CacheResult) {
        self.with(|span| {
            let attributes = vec![upstream_of(upstream), KeyValue::new("levee.cache.result", result.text())];
            span.event("cache", attributes);
        });
    }

    /// The call waits for the answer to another one, whose span is `flight` where it is recorded.
    pub fn waits_for(&self, flight: Option<SpanPlace>) {
        self.with(|span| {
            span.event("coalesced", Vec::new());
            if let Some(flight) = flight {
                span.link(flight);
            }
        });
    }

    /// The breaker let no attempt through.
    pub fn breaker_refused(&self, upstream: &str, why: &'static str) {
        self.with(|span| {
            let attributes = vec![upstream_of(upstream), KeyValue::new("levee.breaker.reason", why)];
            span.event("breaker refused", attributes);
        });
    }

    /// An attempt waited in line for this long, and got a seat or did not.
    pub fn queued(&self, upstream: &str, waited: Duration, seated: &'static str) {
        self.with(|span| {
            let attributes = vec![
                upstream_of(upstream),
                KeyValue::new("levee.queue.result", seated),
                KeyValue::new("levee.queue.duration", waited.as_secs_f64()),
            ];
            span.event("queued", attributes);
        });
    }

    /// An attempt waited so long for a token of the quota, and got one or did not.
    pub fn quota(&self, upstream: &str, waited: Duration, result: &'static str) {
        self.with(|span| {
            let attributes = vec![
                upstream_of(upstream),
                KeyValue::new("levee.quota.result", result),
                KeyValue::new("levee.quota.duration", waited.as_secs_f64()),
            ];
            span.event("quota", attributes);
        });
    }

    /// Another attempt follows after this pause.
    pub fn retry(&self, upstream: &str, reason: RetryReason, pause: Duration) {
        self.with(|span| {
            let attributes = vec![
                upstream_of(upstream),
                KeyValue::new("levee.retry.reason", reason.text()),
                KeyValue::new("levee.retry.pause", pause.as_secs_f64()),
            ];
            span.event("retry", attributes);
        });
    }

    /// A step of the fallback chain was tried.
    pub fn fallback(&self, step: &str, cause: FallbackCause, answered: Answered) {
        self.with(|span| {
            let attributes = vec![
                KeyValue::new("levee.fallback.step", step.to_owned()),
                KeyValue::new("levee.fallback.cause", cause.text()),
                KeyValue::new("levee.fallback.answered", answered == Answered::Yes),
            ];
            span.event("fallback", attributes);
        });
    }
}

/// Whether a step of the fallback chain had an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// It did.
    Yes,
    /// The next one is asked.
    No,
}

fn upstream_of(name: &str) -> KeyValue {
    KeyValue::new("levee.upstream", name.to_owned())
}
