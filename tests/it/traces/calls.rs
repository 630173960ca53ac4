//! One server span for a call, one client span for each attempt, and what happened between them.

use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use super::*;
use crate::support::misbehaving::{Behaviour, Gate, Reply};

const RETRY: &str = "retry: { attempts: 3, backoff: { base: 1ms, cap: 2ms } }\n";
const NO_CACHE: &str = "cache: { mode: off }\n";

fn status_of(span: &Span) -> StatusCode {
    span.status.as_ref().map_or(StatusCode::Unset, |status| StatusCode::try_from(status.code).unwrap())
}

/// An upstream that breaks off and then fails, with another one behind it that answers.
async fn a_fallback_after_retries(
    first: &Misbehaving,
    second: &Misbehaving,
    collector: &Collector,
) -> Answer {
    first.script("/v1/x", [Behaviour::RawThenReset(bytes::Bytes::new()), Reply::status(503).into()]);
    second.script("/x", [Reply::ok("kept going").into()]);
    let policy =
        format!("{RETRY}fallback: [{{ stale: {{ maxAge: 1h }} }}, {{ upstream: {{ name: backup }} }}]\n");
    let documents = format!(
        "{}---\n{}",
        document("rates", &format!("{}/v1", first.url()), &policy),
        document("backup", &second.url(), NO_CACHE)
    );
    let app = traced(documents, collector).start().await;
    let context = [("traceparent", &*traceparent("01")), ("tracestate", "vendor=1"), ("baggage", "user=ada")];
    let answer = ask(&app, "/proxy/rates/x?key=hunter2", &context).await;
    assert_eq!((answer.status.as_u16(), answer.header("levee-fallback")), (200, "upstream:backup"));
    collector.wait(5, |_| true).await;
    answer
}

#[tokio::test]
async fn a_call_with_retries_and_a_fallback_has_one_server_span_that_tells_it_all() {
    let (first, second, collector) =
        (Misbehaving::start().await, Misbehaving::start().await, Collector::start().await);
    let answer = a_fallback_after_retries(&first, &second, &collector).await;
    let [server] = &collector.wait(1, is_server).await[..] else { panic!("one server span") };
    assert_eq!((hex(&server.trace_id), hex(&server.parent_span_id)), (TRACE.to_owned(), PARENT.to_owned()));
    assert_eq!(server.name, "GET /proxy/{upstream}/{path}");
    for (name, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/proxy/{upstream}/{path}"),
        ("http.response.status_code", "200"),
        ("levee.upstream", "rates"),
        ("levee.call_id", answer.header("levee-call-id")),
        ("levee.answer", "fallback"),
        ("levee.outcome", "fallback"),
        ("levee.fallback", "upstream:backup"),
        ("levee.attempts", "4"),
    ] {
        assert_eq!(attribute(server, name), value, "{name}");
    }
    assert_eq!(status_of(server), StatusCode::Unset);
    let told = events(server);
    let expected = [
        ("cache", "miss"),
        ("retry", "reset"),
        ("retry", "status"),
        ("fallback", "stale"),
        ("cache", "bypass"),
        ("fallback", "upstream:backup"),
    ];
    assert_eq!(told.iter().map(|(name, what)| (&name[..], &what[..])).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn each_attempt_has_a_client_span_which_the_upstream_continues() {
    let (first, second, collector) =
        (Misbehaving::start().await, Misbehaving::start().await, Collector::start().await);
    a_fallback_after_retries(&first, &second, &collector).await;
    let server = &collector.wait(1, is_server).await[0];
    let clients = collector.wait(4, is_client).await;
    let inside = |span: &Span| span.trace_id == server.trace_id && span.parent_span_id == server.span_id;
    assert!(clients.iter().all(inside));
    let told: Vec<_> = clients
        .iter()
        .map(|span| {
            ["levee.upstream", "http.request.resend_count", "http.response.status_code", "error.type"]
                .map(|name| attribute(span, name))
        })
        .collect();
    assert_eq!(told[0][..3], ["rates", "", ""].map(str::to_owned));
    assert_ne!(told[0][3], "");
    assert_eq!(told[1], ["rates", "1", "503", "503"].map(str::to_owned));
    assert_eq!(told[2], ["rates", "2", "503", "503"].map(str::to_owned));
    assert_eq!(told[3], ["backup", "", "200", ""].map(str::to_owned));
    let statuses: Vec<_> = clients.iter().map(status_of).collect();
    assert_eq!(statuses, [StatusCode::Error, StatusCode::Error, StatusCode::Error, StatusCode::Unset]);
    assert_eq!(attribute(&clients[3], "server.port"), second.address.port().to_string());

    let expected = |span: &Span| format!("00-{TRACE}-{}-01", hex(&span.span_id));
    assert_eq!(parents_at(&first), clients[..3].iter().map(expected).collect::<Vec<_>>());
    assert_eq!(parents_at(&second), [expected(&clients[3])]);
    let sent = &second.received()[0];
    assert_eq!(sent.header("tracestate").as_deref(), Some("vendor=1"));
    assert!(sent.header("baggage").is_none());
}

#[tokio::test]
async fn what_is_secret_is_in_no_span() {
    let (server, collector) = (Misbehaving::start().await, Collector::start().await);
    let app = traced(document("api", &server.url(), NO_CACHE), &collector).start().await;
    let secrets = ["path-hunter2", "query-hunter2", "header-hunter2", "baggage-hunter2"];
    let path = format!("/proxy/api/{}?token={}", secrets[0], secrets[1]);
    let headers = [("authorization", secrets[2]), ("x-secret", secrets[2]), ("baggage", secrets[3])];
    assert_eq!(ask(&app, &path, &headers).await.status, 404);
    // Refused at the door, where the path was not looked at.
    let path = format!("/proxy/nobody-{}/{}", secrets[2], secrets[0]);
    assert_eq!(ask(&app, &path, &headers).await.status, 404);
    let spans = collector.wait(2, is_server).await;
    let told: Vec<_> = spans.iter().map(|span| attribute(span, "levee.outcome")).collect();
    assert_eq!(told, ["upstream", "refused"]);
    for secret in secrets {
        assert!(!collector.has_seen(secret), "{secret}");
    }
    assert!(collector.has_seen("levee.call_id"));
}

#[tokio::test]
async fn an_open_breaker_is_an_event_and_no_attempt() {
    let (server, collector) = (Misbehaving::start().await, Collector::start().await);
    let policy =
        "retry: { attempts: 1 }\nbreaker: { minimumCalls: 2, open: { base: 60s } }\ncache: { mode: off }\n";
    let app = traced(document("api", &server.url(), policy), &collector).start().await;
    for _ in 0..2 {
        assert_eq!(ask(&app, "/proxy/api/status/503", &[]).await.status, 503);
    }
    let refused = ask(&app, "/proxy/api/ok", &[]).await;
    assert_eq!(refused.header("levee-attempts"), "0");
    let id = refused.header("levee-call-id").to_owned();
    let span = &collector.wait(1, |span| is_server(span) && call_id(span) == id).await[0];
    assert_eq!(status_of(span), StatusCode::Error);
    assert_eq!(attribute(span, "error.type"), "destination_unavailable");
    assert_eq!(events(span)[1], ("breaker refused".to_owned(), "failure_rate".to_owned()));
    assert!(
        collector
            .spans()
            .iter()
            .filter(|span| is_client(span))
            .all(|client| client.parent_span_id != span.span_id)
    );
}

#[tokio::test]
async fn those_who_wait_for_a_flight_point_at_the_call_it_was_begun_for() {
    let (server, collector) = (Misbehaving::start().await, Collector::start().await);
    let gate = Gate::closed();
    let reply = Reply::ok("one for all").header("cache-control", "max-age=60");
    server.script("/x", [Behaviour::Held(gate.clone(), Box::new(reply.into()))]);
    let app = traced(document("api", &server.url(), ""), &collector).start().await;
    let address = app.data;
    let calls: Vec<_> = (0..3).map(|_| tokio::spawn(client::get(address, "/proxy/api/x"))).collect();
    let misses = "levee_cache_requests_total{upstream=\"api\",result=\"miss\"}";
    until("all have looked", SOON, async || app.metric(misses).await == Some(3.0)).await;
    gate.open();
    for call in calls {
        assert_eq!(call.await.unwrap().text(), "one for all");
    }
    let spans = collector.wait(3, is_server).await;
    let attempts = collector.wait(1, is_client).await;
    let (leaders, waiters): (Vec<_>, Vec<_>) = spans.iter().partition(|span| span.links.is_empty());
    assert_eq!((leaders.len(), waiters.len(), attempts.len()), (1, 2, 1));
    assert_eq!(attempts[0].parent_span_id, leaders[0].span_id);
    for waiter in waiters {
        assert_eq!(waiter.links[0].span_id, leaders[0].span_id);
        assert_ne!(waiter.trace_id, leaders[0].trace_id);
    }
}

#[tokio::test]
async fn a_caller_that_leaves_ends_its_spans() {
    let (server, collector) = (Misbehaving::start().await, Collector::start().await);
    let app = traced(document("api", &server.url(), NO_CACHE), &collector).start().await;
    let address = app.data;
    let call = tokio::spawn(client::get(address, "/proxy/api/hang"));
    until("it is under way", SOON, async || server.seen("/hang") == 1).await;
    call.abort();
    let span = &collector.wait(1, is_server).await[0];
    assert_eq!(attribute(span, "levee.outcome"), "cancelled");
    assert_eq!(attribute(span, "http.response.status_code"), "");
    let attempt = &collector.wait(1, is_client).await[0];
    assert_eq!(
        (attribute(attempt, "levee.cancelled"), status_of(attempt)),
        ("true".to_owned(), StatusCode::Unset)
    );
}

#[tokio::test]
async fn the_log_and_the_metrics_name_the_trace() {
    let (server, collector) = (Misbehaving::start().await, Collector::start().await);
    let app = traced(document("api", &server.url(), NO_CACHE), &collector).start().await;
    assert_eq!(ask(&app, "/proxy/api/reset", &[("traceparent", &traceparent("01"))]).await.status, 502);
    for message in ["attempt failed", "call"] {
        let pieces = [format!("\"message\":\"{message}\""), format!("\"trace_id\":\"{TRACE}\"")];
        logged(&app, &[&pieces[0], &pieces[1]]).await;
    }
    let mut request = client::request("/metrics");
    request.headers_mut().insert("accept", "application/openmetrics-text".parse().unwrap());
    let metrics = client::send(app.ops, request).await.unwrap();
    let exemplar = format!(" # {{trace_id=\"{TRACE}\"}} ");
    let lines: Vec<_> = metrics.text().lines().filter(|line| line.contains(&exemplar)).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].starts_with("levee_call_duration_seconds_bucket{upstream=\"api\",outcome=\"levee\",le=")
    );
    assert!(!app.metrics().await.contains("trace_id"), "plain Prometheus text has no place for it");
}

#[tokio::test]
async fn requests_to_the_control_plane_have_a_span_named_by_their_route() {
    let (server, collector) = (Misbehaving::start().await, Collector::start().await);
    let app = traced(document("api", &server.url(), ""), &collector).start().await;
    let answer = app.ask("/api/v1/upstreams/api").await;
    assert_eq!(answer.status, 200);
    let id = answer.header("x-request-id").to_owned();
    let span = &collector.wait(1, |span| attribute(span, "levee.request_id") == id).await[0];
    assert_eq!((&span.name[..], is_server(span)), ("GET /api/v1/upstreams/{name}", true));
    assert_eq!(attribute(span, "http.response.status_code"), "200");
    logged(&app, &[&id, &hex(&span.trace_id)]).await;
}
