//! A collector that is down, slow or black-holed costs no call anything; spans are dropped and counted.

use std::time::Instant;

use rustix::process::Signal;

use super::*;
use crate::support::client::Connection;
use crate::support::ports::{ClosedPort, DeafPort};

const NO_CACHE: &str = "cache: { mode: off }\n";
const FAILED: &str = "levee_spans_dropped_total{reason=\"export_failed\"}";
const FULL: &str = "levee_spans_dropped_total{reason=\"queue_full\"}";

async fn calls(app: &TestApp, count: usize) {
    let mut connection = Connection::open(app.data).await;
    for _ in 0..count {
        let answer = connection.send(client::request("/proxy/api/ok")).await.unwrap();
        assert_eq!(answer.status, 200);
    }
}

async fn dropped(app: &TestApp, series: &str) -> f64 {
    app.metric(series).await.unwrap()
}

#[tokio::test]
async fn a_collector_that_refuses_connections_loses_spans_and_nothing_else() {
    let (server, closed) = (Misbehaving::start().await, ClosedPort::take());
    let app = TestApp::with(document("api", &server.url(), NO_CACHE))
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", closed.address))
        .env("OTEL_EXPORTER_OTLP_TIMEOUT", "500")
        .start()
        .await;
    calls(&app, 20).await;
    until("the loss is counted", SOON, async || dropped(&app, FAILED).await >= 40.0).await;
    calls(&app, 20).await;
    until("the loss is counted", SOON, async || dropped(&app, FAILED).await >= 80.0).await;
    let told = app.log().iter().filter(|line| line.contains("does not take spans")).count();
    assert_eq!(told, 1, "it is said once, not for every message");
}

#[tokio::test]
async fn a_deaf_collector_fills_the_queue_holds_up_no_call_and_no_drain() {
    for protocol in ["grpc", "http/protobuf"] {
        let (server, deaf) = (Misbehaving::start().await, DeafPort::take().await);
        let mut app = TestApp::with(document("api", &server.url(), NO_CACHE))
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", deaf.address))
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
            .env("OTEL_EXPORTER_OTLP_TIMEOUT", "60000")
            .start()
            .await;
        // More than wait and travel together, at two spans each.
        calls(&app, 2600).await;
        assert!(dropped(&app, FULL).await > 0.0, "{protocol}");
        assert_eq!(app.metric(FAILED).await, Some(0.0));
        let began = Instant::now();
        app.signal(Signal::TERM);
        assert!(app.wait_exit(Duration::from_secs(15)).await.success());
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn the_last_spans_are_sent_before_the_process_ends() {
    let (server, collector) = (Misbehaving::start().await, Collector::start().await);
    let mut app = traced(document("api", &server.url(), NO_CACHE), &collector).start().await;
    calls(&app, 100).await;
    app.signal(Signal::TERM);
    assert!(app.wait_exit(SOON).await.success());
    assert_eq!(collector.spans().len(), 200);
}
