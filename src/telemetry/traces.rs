//! Spans of calls and of requests to the control plane, exported by OTLP where an endpoint is set. Otherwise a
//! [`Trace`](crate::telemetry::traces::Trace) is empty: beginning it reads no header, and each event costs one branch.
//!
//! The decision whether to record comes first, from the caller's `traceparent` or by the sampler; a trace that is not
//! recorded is still continued to the upstream. What is recorded is a [`SpanData`](opentelemetry_sdk::trace::SpanData) of
//! OpenTelemetry's own, filled in here and handed to a bounded queue when it ends. The names are those of its semantic
//! conventions for HTTP; paths, queries, headers and bodies are never part of it.

use std::sync::Arc;

use http::{HeaderMap, Method};
use opentelemetry::InstrumentationScope;
use opentelemetry::trace::SpanKind;
use opentelemetry_otlp::SpanExporter;
use parking_lot::Mutex;

use super::metrics::Metrics;

/// One exchange with an upstream.
mod attempt;
/// The span of a call, and what happens to it.
mod call;
/// The trace and the place in it.
mod context;
/// The queue and what empties it.
mod export;
/// The sender.
mod exporter;
/// The span of a request to the control plane.
mod request;
/// Which traces are recorded.
mod sampler;
/// What the environment says.
mod settings;
/// A span while it is open.
mod span;

pub use attempt::{Attempt, Peer};
pub use call::{Answered, CallEnd};
pub use context::{SpanPlace, TRACEPARENT, TraceName};
pub use export::Export;
pub use settings::TraceSettings;

use self::export::Queue;
use self::sampler::Sampler;
use self::span::{OpenSpan, Opening};

/// Begins traces.
#[derive(Clone, Default)]
pub struct Traces(Option<Arc<Recorder>>);

struct Recorder {
    sampler: Sampler,
    queue: Queue,
    scope: InstrumentationScope,
}

/// One trace as far as one server span of ours reaches; cheap to clone, nothing when traces are off.
#[derive(Clone, Default)]
pub struct Trace(Option<Arc<Shared>>);

struct Shared {
    place: SpanPlace,
    recorder: Arc<Recorder>,
    /// The server span until it ends, where the trace is recorded.
    span: Option<Mutex<Option<OpenSpan>>>,
}

impl Traces {
    /// Nothing is recorded, and nobody's headers are read or changed.
    pub fn off() -> Self {
        Self(None)
    }

    /// Records by these settings; the other half sends. Needs a runtime.
    pub fn to(
        settings: &TraceSettings,
        metrics: &Arc<Metrics>,
    ) -> Result<(Self, Export<SpanExporter>), String> {
        let exporter = exporter::build(settings)?;
        let (queue, export) = export::queue(exporter, settings.timeout, metrics);
        Ok((Self::recording(settings.sampler, queue), export))
    }

    fn recording(sampler: Sampler, queue: Queue) -> Self {
        let scope = InstrumentationScope::builder("levee").with_version(crate::VERSION).build();
        Self(Some(Arc::new(Recorder { sampler, queue, scope })))
    }

    /// Continues the caller's trace, or begins one, with a server span named by the method and `route`.
    fn begin(&self, headers: &HeaderMap, method: &Method, route: &str) -> Trace {
        let Some(recorder) = &self.0 else { return Trace::default() };
        let parent = SpanPlace::of_caller(headers);
        let place = parent.map_or_else(SpanPlace::root, SpanPlace::child);
        let sampled = recorder.sampler.decides_on(place.trace, parent);
        let place = place.sampled(sampled);
        let span = sampled.then(|| {
            let mut span = OpenSpan::open(
                Opening {
                    place,
                    parent,
                    parent_is_remote: parent.is_some(),
                    state: context::state_of(headers),
                    kind: SpanKind::Server,
                    name: format!("{} {route}", method_name(method, "HTTP")).into(),
                    scope: &recorder.scope,
                },
                &recorder.queue,
            );
            span.set("http.request.method", method_name(method, "_OTHER"));
            span.set("url.scheme", "http");
            span.set("http.route", route.to_owned());
            Mutex::new(Some(span))
        });
        Trace(Some(Arc::new(Shared { place, recorder: Arc::clone(recorder), span })))
    }
}

impl Trace {
    /// The trace's name for the log; the caller's own, in `headers`, where nothing is recorded here.
    pub fn name(&self, headers: &HeaderMap) -> Option<TraceName> {
        match &self.0 {
            Some(shared) => Some(TraceName(shared.place.trace)),
            None => TraceName::of_caller(headers),
        }
    }

    /// The trace's name, where it is being recorded: then there is something to look up.
    pub fn recorded(&self) -> Option<TraceName> {
        let shared = self.0.as_ref().filter(|shared| shared.span.is_some())?;
        Some(TraceName(shared.place.trace))
    }

    /// Where its server span stands, for others to point at; only of a trace that is recorded.
    pub fn place(&self) -> Option<SpanPlace> {
        self.0.as_ref().filter(|shared| shared.span.is_some()).map(|shared| shared.place)
    }

    /// Does something with the span while it is open and recorded.
    fn with(&self, act: impl FnOnce(&mut OpenSpan)) {
        if let Some(span) = self.0.as_ref().and_then(|shared| shared.span.as_ref())
            && let Some(span) = &mut *span.lock()
        {
            act(span);
        }
    }

    /// Ends the server span after a last change.
    fn finish(&self, act: impl FnOnce(&mut OpenSpan)) {
        let open = self.0.as_ref().and_then(|shared| shared.span.as_ref()?.lock().take());
        if let Some(mut span) = open {
            act(&mut span);
        }
    }
}

/// A known method, or what stands for the others: callers must not make names.
fn method_name(method: &Method, other: &'static str) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or(other)
}

#[cfg(test)]
mod tests;
