//! Where a span stands in its trace, and how that travels: `traceparent` and `tracestate` of the W3C's Trace Context.

use std::fmt::{self, Display};

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// The caller's span, and ours for the upstream.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What tracing systems on the way tell each other.
pub(super) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The bit of the flags that says that the trace is being recorded.
const SAMPLED: u8 = 1;
/// The bit that says that the trace id is random (level 2): whoever made the id sets it, and the rest pass it on.
const RANDOM: u8 = 2;

/// One span's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanPlace {
    /// The trace it belongs to.
    pub(super) trace: TraceId,
    /// The span itself.
    pub(super) span: SpanId,
    /// Whether the trace is being recorded, and how its id was made.
    flags: u8,
}

impl SpanPlace {
    /// The first span of a new trace. The ids are not secret, so a fast generator makes them.
    pub(super) fn root() -> Self {
        let trace = TraceId::from(fastrand::u128(1..));
        Self { trace, span: new_span(), flags: RANDOM }
    }

    /// Another span of the same trace.
    pub(super) fn child(self) -> Self {
        Self { span: new_span(), ..self }
    }

    /// The caller's, if the headers name exactly one that is valid.
    pub(super) fn of_caller(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let value = values.next()?.to_str().ok()?;
        if values.next().is_some() { None } else { parse(value) }
    }

    pub(super) fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    pub(super) fn sampled(self, sampled: bool) -> Self {
        let flags = if sampled { self.flags | SAMPLED } else { self.flags & !SAMPLED };
        Self { flags, ..self }
    }

    /// As the value of a `traceparent`.
    pub(super) fn header(self) -> HeaderValue {
        let text = format!("00-{}-{}-{:02x}", self.trace, self.span, self.flags);
        HeaderValue::try_from(text).expect("hexadecimal digits and hyphens are a valid value")
    }

    /// As the exporter wants it.
    pub(super) fn context(self, state: TraceState) -> SpanContext {
        SpanContext::new(self.trace, self.span, TraceFlags::new(self.flags), false, state)
    }
}

fn new_span() -> SpanId {
    SpanId::from(fastrand::u64(1..))
}

/// What the caller's tracing systems say, where it is well formed; it goes to the upstream as it is, either way.
pub(super) fn state_of(headers: &HeaderMap) -> TraceState {
    let values = headers.get_all(TRACESTATE).iter().filter_map(|value| value.to_str().ok());
    let joined = values.collect::<Vec<_>>().join(",");
    joined.parse().unwrap_or_default()
}

/// Version 00 is exactly this long; a later version may go on after a hyphen (section 3.2.4).
fn parse(value: &str) -> Option<SpanPlace> {
    let mut fields = value.split('-');
    let (version, trace, span, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let known = [(version, 2), (trace, 32), (span, 16), (flags, 2)];
    let well_formed = known.iter().all(|(field, length)| field.len() == *length && is_lower_hex(field));
    if !well_formed || version == "ff" || (version == "00" && fields.next().is_some()) {
        return None;
    }
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let flags = u8::from_str_radix(flags, 16).ok()? & (SAMPLED | RANDOM);
    let valid = trace != TraceId::INVALID && span != SpanId::INVALID;
    valid.then_some(SpanPlace { trace, span, flags })
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A trace's id, for log lines: also of a caller's trace that is not recorded here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceName(pub(super) TraceId);

impl TraceName {
    /// The caller's, where its headers name one.
    pub fn of_caller(headers: &HeaderMap) -> Option<Self> {
        SpanPlace::of_caller(headers).map(|place| Self(place.trace))
    }
}

impl Display for TraceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_was_read_is_written_the_same() {
        for flags in ["00", "01", "02", "03"] {
            let text = format!("{}{flags}", &CALLER[..53]);
            assert_eq!(parse(&text).unwrap().header(), text);
        }
    }

    #[test]
    fn a_child_has_the_trace_and_the_flags_and_a_span_of_its_own() {
        let caller = parse(CALLER).unwrap();
        let child = caller.child();
        assert_eq!((child.trace, child.flags), (caller.trace, caller.flags));
        assert_ne!(child.span, caller.span);
        assert!(!child.sampled(false).is_sampled() && child.is_sampled());
    }

    #[test]
    fn what_is_malformed_names_no_trace() {
        for wrong in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-+1",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert!(parse("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more").is_some());
    }

    #[test]
    fn two_parents_are_none() {
        let mut headers = HeaderMap::new();
        headers.append(TRACEPARENT, HeaderValue::from_static(CALLER));
        assert!(SpanPlace::of_caller(&headers).is_some());
        headers.append(TRACEPARENT, HeaderValue::from_static(CALLER));
        assert_eq!(SpanPlace::of_caller(&headers), None);
    }
}
