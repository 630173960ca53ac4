//! The client span of one exchange with an upstream, and the context that goes there with it.

use http::{HeaderMap, Method, StatusCode, Version};
use opentelemetry::trace::{SpanKind, TraceState};

use super::context::{SpanPlace, TRACEPARENT, TRACESTATE};
use super::span::{OpenSpan, Opening};
use super::{Trace, method_name};

/// Who is asked.
pub struct Peer<'a> {
    /// The upstream's name.
    pub upstream: &'a str,
    /// The operation, where one matched.
    pub operation: Option<&'a str>,
    /// Its host.
    pub host: &'a str,
    /// Its port.
    pub port: u16,
}

/// One exchange. Dropped unsettled it ends all the same: the caller left.
#[derive(Default)]
pub struct Attempt {
    /// What the upstream is to continue; none where traces are off.
    place: Option<SpanPlace>,
    span: Option<Box<OpenSpan>>,
}

impl Trace {
    /// Begins the span of attempt `number`, counted from 1.
    pub fn attempt(&self, peer: &Peer<'_>, method: &Method, number: u32) -> Attempt {
        let Some(shared) = &self.0 else { return Attempt::default() };
        if shared.span.is_none() {
            // Not recorded, so no span of ours comes between the server span and the upstream.
            return Attempt { place: Some(shared.place), span: None };
        }
        let place = shared.place.child();
        let opening = Opening {
            place,
            parent: Some(shared.place),
            parent_is_remote: false,
            state: TraceState::default(),
            kind: SpanKind::Client,
            name: method_name(method, "HTTP").into(),
            scope: &shared.recorder.scope,
        };
        let mut span = Box::new(OpenSpan::open(opening, &shared.recorder.queue));
        span.set("http.request.method", method_name(method, "_OTHER"));
        span.set("server.address", peer.host.to_owned());
        span.set("server.port", i64::from(peer.port));
        span.set("levee.upstream", peer.upstream.to_owned());
        if let Some(operation) = peer.operation {
            span.set("levee.operation", operation.to_owned());
        }
        if number > 1 {
            span.set("http.request.resend_count", i64::from(number - 1));
        }
        Attempt { place: Some(place), span: Some(span) }
    }
}

impl Attempt {
    /// Puts the context into the request, in the place of the caller's. What the caller's tracing systems said goes on only
    /// with a `traceparent` that it belonged to.
    pub fn inject(&self, headers: &mut HeaderMap) {
        let Some(place) = self.place else { return };
        if SpanPlace::of_caller(headers).is_none() {
            headers.remove(TRACESTATE);
        }
        headers.insert(TRACEPARENT, place.header());
    }

    /// The response's headers are here.
    pub fn answered(mut self, status: StatusCode, version: Version) {
        let Some(span) = &mut self.span else { return };
        span.set("http.response.status_code", i64::from(status.as_u16()));
        span.set("network.protocol.version", if version == Version::HTTP_2 { "2" } else { "1.1" });
        if status.is_client_error() || status.is_server_error() {
            span.fail(status.as_str().to_owned());
        }
    }

    /// There is no response; `token` says why.
    pub fn failed(mut self, token: &'static str) {
        if let Some(span) = &mut self.span {
            span.fail(token);
        }
    }

    /// The caller left.
    pub fn cancelled(mut self) {
        if let Some(span) = &mut self.span {
            span.set("levee.cancelled", true);
        }
    }
}
