//! Traces as a collector and an upstream see them: which spans there are, how they hang together, what they never hold,
//! and that a collector that is away costs nothing.

use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use crate::support::client::{self, Answer};
use crate::support::collector::{Collector, attribute};
use crate::support::levee::{Setup, TestApp};
use crate::support::misbehaving::Misbehaving;
use crate::support::until::until;

/// A collector that is down, slow or deaf.
mod away;
/// The spans of calls.
mod calls;
/// What settings say.
mod settings;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
const SOON: Duration = Duration::from_secs(10);

fn document(name: &str, url: &str, policy: &str) -> String {
    let policy: Vec<_> = policy.lines().map(|line| format!("  {line}\n")).collect();
    let policy = policy.concat();
    format!(
        "apiVersion: levee.dev/v1alpha1\nkind: Upstream\nmetadata: {{ name: {name} }}\nspec:\n  url: {url}\n{policy}"
    )
}

fn traced(documents: impl Into<String>, collector: &Collector) -> Setup {
    TestApp::with(documents).env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
}

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

async fn ask(app: &TestApp, path: &str, headers: &[(&'static str, &str)]) -> Answer {
    let mut request = client::request(path);
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    client::send(app.data, request).await.unwrap()
}

fn is_server(span: &Span) -> bool {
    span.kind == SpanKind::Server as i32
}

fn is_client(span: &Span) -> bool {
    span.kind == SpanKind::Client as i32
}

fn hex(bytes: &[u8]) -> String {
    let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

/// The `traceparent`s an upstream got, in order.
fn parents_at(server: &Misbehaving) -> Vec<String> {
    let received = server.received();
    received.iter().filter_map(|request| request.header("traceparent")).collect()
}

/// Names of a span's events, each with the attribute that tells most.
fn events(span: &Span) -> Vec<(String, String)> {
    let telling = ["levee.cache.result", "levee.retry.reason", "levee.breaker.reason", "levee.fallback.step"];
    let told = |event: &opentelemetry_proto::tonic::trace::v1::span::Event| {
        let texts =
            telling.iter().find_map(|name| crate::support::collector::text_of(&event.attributes, name));
        (event.name.clone(), texts.unwrap_or_default())
    };
    span.events.iter().map(told).collect()
}

/// Waits for a line of the log that has all of these pieces.
async fn logged(app: &TestApp, pieces: &[&str]) {
    let has_all = |line: &String| pieces.iter().all(|piece| line.contains(piece));
    until(&format!("a line with {pieces:?}"), SOON, async || app.log().iter().any(has_all)).await;
}

fn call_id(span: &Span) -> String {
    attribute(span, "levee.call_id")
}
