//! A span while it is open. Without a trace that is recorded it is nothing: no allocation, one branch at each event.

use std::borrow::Cow;
use std::time::SystemTime;

use opentelemetry::trace::{Event, Link, SpanId, SpanKind, Status, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use tokio::time::Instant;

use super::context::SpanPlace;
use super::export::Queue;

/// Most events of one span: a call has a handful.
const MOST_EVENTS: usize = 64;

/// An open span that is being recorded. It is handed over when it is closed or dropped.
pub(super) struct OpenSpan {
    data: Option<Box<SpanData>>,
    began: Instant,
    queue: Queue,
}

/// What a span is opened with.
pub(super) struct Opening<'a> {
    pub(super) place: SpanPlace,
    pub(super) parent: Option<SpanPlace>,
    /// The parent is in another process.
    pub(super) parent_is_remote: bool,
    pub(super) state: TraceState,
    pub(super) kind: SpanKind,
    pub(super) name: Cow<'static, str>,
    pub(super) scope: &'a InstrumentationScope,
}

impl OpenSpan {
    pub(super) fn open(opening: Opening<'_>, queue: &Queue) -> Self {
        let now = SystemTime::now();
        let data = SpanData {
            span_context: opening.place.context(opening.state),
            parent_span_id: opening.parent.map_or(SpanId::INVALID, |parent| parent.span),
            parent_span_is_remote: opening.parent_is_remote,
            span_kind: opening.kind,
            name: opening.name,
            start_time: now,
            end_time: now,
            attributes: Vec::with_capacity(16),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: opening.scope.clone(),
        };
        Self { data: Some(Box::new(data)), began: Instant::now(), queue: queue.clone() }
    }

    pub(super) fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        if let Some(data) = &mut self.data {
            data.attributes.push(KeyValue::new(name, value));
        }
    }

    pub(super) fn event(&mut self, name: &'static str, attributes: Vec<KeyValue>) {
        let now = self.now();
        let Some(data) = &mut self.data else { return };
        if data.events.len() < MOST_EVENTS {
            data.events.events.push(Event::new(name, now, attributes, 0));
        } else {
            data.events.dropped_count += 1;
        }
    }

    pub(super) fn link(&mut self, to: SpanPlace) {
        if let Some(data) = &mut self.data {
            data.links.links.push(Link::with_context(to.context(TraceState::default())));
        }
    }

    /// It failed, and `kind` says how.
    pub(super) fn fail(&mut self, kind: impl Into<Value>) {
        self.set("error.type", kind);
        if let Some(data) = &mut self.data {
            data.status = Status::error("");
        }
    }

    /// By the clock that does not jump: a span that ends before it began helps nobody.
    fn now(&self) -> SystemTime {
        let start = self.data.as_ref().map_or_else(SystemTime::now, |data| data.start_time);
        start + self.began.elapsed()
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        let now = self.now();
        if let Some(mut data) = self.data.take() {
            data.end_time = now;
            self.queue.push(*data);
        }
    }
}
