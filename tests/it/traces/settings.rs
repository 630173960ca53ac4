//! Where spans go, which, and what happens to a caller's trace that is not recorded.

use super::*;
use crate::support::levee::levee;

const NO_CACHE: &str = "cache: { mode: off }\n";

#[tokio::test]
async fn spans_travel_by_either_protocol_with_headers_and_resource() {
    for protocol in ["grpc", "http/protobuf"] {
        let (server, collector) = (Misbehaving::start().await, Collector::start().await);
        let app = traced(document("api", &server.url(), NO_CACHE), &collector)
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
            .env("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=rates%20team")
            .env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
            .start()
            .await;
        assert_eq!(app.get("/proxy/api/ok").await.status, 200);
        collector.wait(2, |_| true).await;
        let message = &collector.messages()[0];
        assert_eq!(message.headers["x-tenant"], "rates team", "{protocol}");
        let expected = if protocol == "grpc" { ("grpc", None) } else { ("http", Some("/v1/traces")) };
        assert_eq!(message.protocol, expected.0);
        assert!(expected.1.is_none_or(|path| path == message.path), "{}", message.path);
        assert_eq!(collector.resource("service.name").as_deref(), Some("levee"));
        assert_eq!(collector.resource("service.version").as_deref(), Some(env!("CARGO_PKG_VERSION")));
        assert_eq!(collector.resource("deployment.environment.name").as_deref(), Some("test"));
        let exported = async || app.metric("levee_spans_exported_total").await == Some(2.0);
        until("they are counted", SOON, exported).await;
    }
}

#[tokio::test]
async fn a_collector_is_reached_over_tls_where_the_system_trusts_it() {
    for protocol in ["grpc", "http/protobuf"] {
        let (server, (collector, certificate)) =
            (Misbehaving::start().await, Collector::start_over_tls().await);
        let trusted = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(trusted.path(), certificate).unwrap();
        let app = TestApp::with(document("api", &server.url(), NO_CACHE))
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("https://localhost:{}", collector.address.port()))
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
            .env("SSL_CERT_FILE", trusted.path().to_str().unwrap())
            .start()
            .await;
        assert_eq!(app.get("/proxy/api/ok").await.status, 200);
        collector.wait(2, |_| true).await;
    }
}

#[tokio::test]
async fn the_service_can_be_named() {
    let (server, collector) = (Misbehaving::start().await, Collector::start().await);
    let app = TestApp::with(document("api", &server.url(), NO_CACHE))
        .env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", format!("{}/own/path", collector.url()))
        .env("OTEL_SERVICE_NAME", "gate")
        .start()
        .await;
    assert_eq!(app.get("/proxy/api/ok").await.status, 200);
    collector.wait(1, is_server).await;
    assert_eq!(collector.resource("service.name").as_deref(), Some("gate"));
    assert_eq!(collector.messages()[0].path, "/own/path");
}

#[tokio::test]
async fn the_callers_decision_is_followed_and_passed_on() {
    let (server, collector) = (Misbehaving::start().await, Collector::start().await);
    let app = traced(document("api", &server.url(), NO_CACHE), &collector)
        .env("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
        .env("OTEL_TRACES_SAMPLER_ARG", "0")
        .start()
        .await;
    assert_eq!(ask(&app, "/proxy/api/ok", &[("traceparent", &traceparent("00"))]).await.status, 200);
    assert_eq!(ask(&app, "/proxy/api/ok", &[]).await.status, 200);
    assert_eq!(ask(&app, "/proxy/api/ok", &[("traceparent", &traceparent("01"))]).await.status, 200);
    let spans = collector.wait(2, |_| true).await;
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE));
    let parents = parents_at(&server);
    assert!(parents[0].starts_with(&format!("00-{TRACE}-")) && parents[0].ends_with("-00"), "{parents:?}");
    assert!(!parents[1].contains(TRACE) && parents[1].ends_with("-02"), "{parents:?}");
    assert!(parents[2].ends_with("-01"), "{parents:?}");
    assert_eq!(collector.spans().len(), 2);
}

#[tokio::test]
async fn a_malformed_trace_is_begun_anew_and_its_state_dropped() {
    let (server, collector) = (Misbehaving::start().await, Collector::start().await);
    let app = traced(document("api", &server.url(), NO_CACHE), &collector).start().await;
    let headers = [("traceparent", "00-nonsense"), ("tracestate", "vendor=1")];
    assert_eq!(ask(&app, "/proxy/api/ok", &headers).await.status, 200);
    let span = &collector.wait(1, is_server).await[0];
    assert_eq!(span.parent_span_id, Vec::<u8>::new());
    assert!(parents_at(&server)[0].contains(&hex(&span.trace_id)));
    assert!(server.received()[0].header("tracestate").is_none());
}

#[tokio::test]
async fn an_upstream_whose_policy_removes_the_context_gets_none() {
    let (server, collector) = (Misbehaving::start().await, Collector::start().await);
    let policy = format!("{NO_CACHE}headers: {{ remove: [traceparent, tracestate] }}\n");
    let app = traced(document("api", &server.url(), &policy), &collector).start().await;
    assert_eq!(ask(&app, "/proxy/api/ok", &[("traceparent", &traceparent("01"))]).await.status, 200);
    collector.wait(2, |span| hex(&span.trace_id) == TRACE).await;
    assert_eq!(parents_at(&server), Vec::<String>::new());
}

#[tokio::test]
async fn without_an_endpoint_the_callers_context_passes_as_it_is_and_stands_in_the_log() {
    let server = Misbehaving::start().await;
    let app = TestApp::start(document("api", &server.url(), NO_CACHE)).await;
    let headers = [("traceparent", &*traceparent("01")), ("tracestate", "vendor=1"), ("baggage", "user=ada")];
    assert_eq!(ask(&app, "/proxy/api/status/500", &headers).await.status, 500);
    let sent = &server.received()[0];
    assert_eq!(sent.header("traceparent"), Some(traceparent("01")));
    assert_eq!(sent.header("tracestate").as_deref(), Some("vendor=1"));
    assert!(sent.header("baggage").is_none());
    logged(&app, &["\"message\":\"call\"", &format!("\"trace_id\":\"{TRACE}\"")]).await;
    assert_eq!(app.metric("levee_spans_exported_total").await, Some(0.0));
}

#[test]
fn wrong_settings_are_refused_with_every_fault_and_no_secret() {
    let refused = levee()
        .args(["serve", "--listen", "nonsense"])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "https://me:hunter2@collector")
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier-pigeon")
        .env("OTEL_EXPORTER_OTLP_HEADERS", "hunter2")
        .env("OTEL_TRACES_SAMPLER_ARG", "often")
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(64));
    let told = String::from_utf8(refused.stderr).unwrap();
    for name in ["LEVEE_LISTEN", "_ENDPOINT:", "_PROTOCOL:", "_HEADERS:", "OTEL_TRACES_SAMPLER_ARG:"] {
        assert!(told.contains(name), "{name}: {told}");
    }
    assert!(!told.contains("hunter2"), "{told}");
}
