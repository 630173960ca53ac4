//! The ops port as a scraper and a person see it: every metric from the start, and each moves with what happens.

#![expect(clippy::float_cmp, reason = "counts are whole numbers")]

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http_body_util::Full;

use crate::support::client::{self, request};
use crate::support::cluster::FakeCluster;
use crate::support::levee::TestApp;
use crate::support::misbehaving::{Behaviour, Gate, Misbehaving, Reply};
use crate::support::redis::RedisServer;
use crate::support::until::until;

const SOON: Duration = Duration::from_secs(20);

fn upstream(name: &str, url: &str, more: &str) -> String {
    format!(
        "---\napiVersion: levee.dev/v1alpha1\nkind: Upstream\nmetadata: {{ name: {name} }}\nspec:\n  url: {url}\n{more}"
    )
}

/// Every series without its value.
fn series(metrics: &str) -> BTreeSet<&str> {
    let samples = metrics.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    samples.map(|line| line.rsplit_once(' ').expect("a sample has a value").0).collect()
}

/// `levee_calls_total{upstream="quotes",…}` for the upstream of these tests.
fn of_quotes(name: &str, labels: &str) -> String {
    let comma = if labels.is_empty() { "" } else { "," };
    format!(r#"{name}{{upstream="quotes"{comma}{labels}}}"#)
}

async fn value(app: &TestApp, name: &str, labels: &str) -> f64 {
    let series = of_quotes(name, labels);
    app.metric(&series).await.unwrap_or_else(|| panic!("no series {series}"))
}

#[tokio::test]
async fn a_registered_upstream_has_all_its_series_at_zero_and_loses_them_when_it_goes() {
    let server = Misbehaving::start().await;
    let app = TestApp::start(upstream("quotes", &server.url(), "")).await;
    for (name, labels) in [
        ("levee_calls_total", r#"method="GET",outcome="upstream""#),
        ("levee_calls_total", r#"method="_other",outcome="internal""#),
        ("levee_call_duration_seconds_count", r#"outcome="fallback""#),
        ("levee_attempts_total", r#"result="timeout""#),
        ("levee_attempt_duration_seconds_count", ""),
        ("levee_retries_total", r#"reason="reset""#),
        ("levee_fallbacks_total", r#"step="stale",cause="circuit_open""#),
        ("levee_inflight", ""),
        ("levee_queue_depth", ""),
        ("levee_cache_requests_total", r#"result="hit""#),
        ("levee_breaker_state", r#"operation="",state="open""#),
        ("levee_breaker_transitions_total", r#"operation="",to="open",reason="consecutive_failures""#),
    ] {
        assert_eq!(value(&app, name, labels).await, 0.0, "{name} {labels}");
    }
    assert_eq!(value(&app, "levee_breaker_state", r#"operation="",state="closed""#).await, 1.0);
    assert_eq!(value(&app, "levee_concurrency_limit", "").await, 256.0);
    assert!(value(&app, "levee_retry_budget_remaining", "").await > 0.0);

    app.rewrite_upstreams(&upstream("others", &server.url(), ""));
    until("the edit is in force", SOON, async || {
        app.metric("levee_upstream_file_loads_total").await == Some(2.0)
    })
    .await;
    let metrics = app.metrics().await;
    assert!(!metrics.contains("quotes") && metrics.contains(r#"upstream="others""#), "{metrics}");
}

/// The names come from the source, so a metric that nothing feeds is found here.
#[tokio::test]
async fn every_metric_that_telemetry_names_appears() {
    let families = include_str!("../../src/telemetry/metrics/families.rs");
    let named: BTreeSet<&str> =
        families.split('"').filter(|part| part.starts_with("levee_") && !part.contains(' ')).collect();
    assert!(named.len() > 20, "{named:?}");
    let server = Misbehaving::start().await;
    let keyed = upstream(
        "keyed",
        &server.url(),
        "  credentials: { basic: { username: levee } }\n  quota: { rate: 1/s }\n  fallback: [{ stale: { maxAge: 1h } }]\n",
    );
    let redis = RedisServer::start().await;
    let (cluster, folder) = (FakeCluster::start().await, tempfile::tempdir().unwrap());
    let kubeconfig = folder.path().join("kubeconfig");
    cluster.write_kubeconfig(&kubeconfig);
    let app = TestApp::with(format!("{}---\n{keyed}", upstream("quotes", &server.url(), "")))
        .env("LEVEE_KUBERNETES", "on")
        .env("KUBECONFIG", kubeconfig.display().to_string())
        .env("LEVEE_REDIS_URL", redis.url())
        .start()
        .await;
    assert_eq!(app.get("/proxy/quotes/ok").await.status, 200);
    assert_eq!(app.ask("/api/v1/breakers").await.status, 200);
    let metrics = app.metrics().await;
    let shown: BTreeSet<&str> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .filter(|name| name.starts_with("levee_"))
        .collect();
    assert_eq!(named, shown);
    assert!(metrics.contains("\nprocess_resident_memory_bytes "), "{metrics}");
}

#[tokio::test]
async fn calls_attempts_retries_and_the_breaker_are_counted_as_they_happen() {
    let server = Misbehaving::start().await;
    let policy = "  retry: { attempts: 3, backoff: { base: 1ms, cap: 2ms } }\n  breaker: { minimumCalls: 5, open: { base: 60s } }\n  cache: { mode: off }\n";
    let app = TestApp::start(upstream("quotes", &server.url(), policy)).await;
    app.get("/proxy/quotes/ok").await;
    assert_eq!(app.get("/proxy/quotes/status/404").await.status, 404);
    assert_eq!(app.get("/proxy/quotes/fail/1").await.header("levee-attempts"), "2");
    assert_eq!(client::send_body(app.data, Method::POST, "/proxy/quotes/status/500", b"x").await.status, 500);
    let calls = async |method: &str, outcome: &str| {
        value(&app, "levee_calls_total", &format!(r#"method="{method}",outcome="{outcome}""#)).await
    };
    assert_eq!((calls("GET", "upstream").await, calls("POST", "upstream_error").await), (3.0, 1.0));
    let attempts =
        async |result: &str| value(&app, "levee_attempts_total", &format!(r#"result="{result}""#)).await;
    assert_eq!((attempts("success").await, attempts("failure").await), (4.0, 1.0));
    assert_eq!(value(&app, "levee_retries_total", r#"reason="status""#).await, 1.0);
    assert_eq!(value(&app, "levee_attempt_duration_seconds_count", "").await, 5.0);
    assert_eq!(value(&app, "levee_call_duration_seconds_count", r#"outcome="upstream""#).await, 4.0);
    assert_eq!(value(&app, "levee_cache_requests_total", r#"result="bypass""#).await, 4.0);

    let transitions = r#"operation="",to="open",reason="failure_rate""#;
    until("the breaker opens", SOON, async || {
        app.get("/proxy/quotes/status/503").await;
        value(&app, "levee_breaker_transitions_total", transitions).await == 1.0
    })
    .await;
    assert_eq!(value(&app, "levee_breaker_state", r#"operation="",state="open""#).await, 1.0);
    let unavailable = calls("GET", "unavailable").await;
    let refused = app.get("/proxy/quotes/ok").await;
    assert_eq!(
        (refused.status.as_u16(), refused.json()["type"].as_str()),
        (503, Some("https://levee.dev/problems/circuit-open"))
    );
    assert_eq!(calls("GET", "unavailable").await, unavailable + 1.0);
}

#[tokio::test]
async fn the_cache_and_the_fallbacks_are_counted_as_they_answer() {
    let server = Misbehaving::start().await;
    server.script("/kept", [Reply::ok("kept\n").header("Cache-Control", "max-age=60").into()]);
    let policy = "  retry: { attempts: 1 }\n  fallback:\n    - static: { status: 200, body: 'instead' }\n";
    let app = TestApp::start(upstream("quotes", &server.url(), policy)).await;
    app.get("/proxy/quotes/kept").await;
    until("it is kept", SOON, async || app.get("/proxy/quotes/kept").await.header("levee-answer") == "cache")
        .await;
    assert!(value(&app, "levee_cache_requests_total", r#"result="hit""#).await >= 1.0);
    assert!(value(&app, "levee_cache_requests_total", r#"result="miss""#).await >= 1.0);
    assert!(app.metric("levee_cache_bytes").await.unwrap() > 0.0);

    assert_eq!(app.get("/proxy/quotes/status/503").await.text(), "instead");
    assert_eq!(app.get("/proxy/quotes/reset").await.text(), "instead");
    for cause in ["status", "reset"] {
        let labels = format!(r#"step="static",cause="{cause}""#);
        assert_eq!(value(&app, "levee_fallbacks_total", &labels).await, 1.0, "{cause}");
    }
    assert_eq!(value(&app, "levee_calls_total", r#"method="GET",outcome="fallback""#).await, 2.0);
}

#[tokio::test]
async fn what_is_under_way_shows_and_goes() {
    let (server, gate) = (Misbehaving::start().await, Gate::closed());
    server.script("/held", [Behaviour::Held(gate.clone(), Box::new(Reply::ok("").into()))]);
    let policy =
        "  concurrency: { limit: 3, queue: 10, queueTimeout: 30s, perCaller: 20 }\n  cache: { mode: off }\n";
    let app = TestApp::start(upstream("quotes", &server.url(), policy)).await;
    let connections = r#"levee_connections{listener="proxy"}"#;
    assert_eq!(app.metric(connections).await, Some(0.0));
    let data = app.data;
    let calls = tokio::spawn(client::burst(5, move |_| client::send(data, request("/proxy/quotes/held"))));
    until("two wait", SOON, async || value(&app, "levee_queue_depth", "").await == 2.0).await;
    assert_eq!(value(&app, "levee_inflight", "").await, 3.0);
    assert_eq!(app.metric(connections).await, Some(5.0));
    gate.open();
    assert!(calls.await.unwrap().iter().all(|answer| answer.as_ref().unwrap().status == 200));
    until("nothing is left", SOON, async || {
        value(&app, "levee_inflight", "").await == 0.0 && app.metric(connections).await == Some(0.0)
    })
    .await;
    assert_eq!(value(&app, "levee_queue_depth", "").await, 0.0);
}

#[tokio::test]
async fn the_control_plane_counts_by_route_template() {
    let server = Misbehaving::start().await;
    let app = TestApp::start(upstream("quotes", &server.url(), "")).await;
    for path in ["/api/v1/breakers/quotes", "/api/v1/breakers/nobody", "/nowhere/at/all", "/nowhere/else"] {
        app.ask(path).await;
    }
    let metrics = app.metrics().await;
    let counted = |route: &str, status: u16| {
        let beginning = format!(r#"levee_http_requests_total{{method="GET",route="{route}"#);
        let mut lines = metrics.lines().filter(|line| line.starts_with(&beginning));
        let line = lines.find(|line| line.contains(&format!(r#"status="{status}"}}"#)));
        line.map(|line| line.rsplit_once(' ').unwrap().1.to_owned())
    };
    for (route, status, expected) in [
        ("/api/v1/breakers/{upstream}", 200, "1"),
        ("/api/v1/breakers/{upstream}", 404, "1"),
        ("_other", 404, "2"),
    ] {
        assert_eq!(counted(route, status).as_deref(), Some(expected), "{route} {status}");
    }
    assert!(!metrics.contains("breakers/quotes") && !metrics.contains("nowhere"), "{metrics}");
}

/// What a caller invents becomes no label: fifty methods, fifty upstreams that do not exist, fifty paths.
#[tokio::test]
async fn callers_cannot_make_series() {
    let server = Misbehaving::start().await;
    let app = TestApp::start(upstream("quotes", &server.url(), "")).await;
    let invented = async |number: usize| {
        let seed = (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let word: String = (0..8).map(|at| char::from(b'A' + ((seed >> (at * 7)) % 26) as u8)).collect();
        for (method, path) in [
            (word.as_str(), "/proxy/quotes/ok".to_owned()),
            ("GET", format!("/proxy/{}/ok", word.to_lowercase())),
            ("GET", format!("/proxy/quotes/{word}")),
        ] {
            let mut asked = request(&path);
            *asked.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
            *asked.body_mut() = Full::new(Bytes::new());
            client::send(app.data, asked).await.unwrap();
        }
        client::get(app.api, &format!("/{word}")).await;
        client::get(app.api, &format!("/api/v1/breakers/{word}")).await;
    };
    invented(0).await;
    let before = app.metrics().await;
    for number in 1..50 {
        invented(number).await;
    }
    let after = app.metrics().await;
    assert_eq!(series(&before), series(&after));
    let other: f64 = after
        .lines()
        .filter(|line| line.starts_with("levee_calls_total{") && line.contains(r#"method="_other""#))
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
        .sum();
    assert_eq!(other, 50.0);
}

#[tokio::test]
async fn status_tells_what_runs_and_under_which_documents() {
    let server = Misbehaving::start().await;
    let app = TestApp::start(upstream("quotes", &server.url(), "  owner: team-pricing\n")).await;
    app.get("/proxy/quotes/ok").await;
    let status = client::get(app.ops, "/status").await.json();
    assert_eq!((status["phase"].as_str(), status["live"].as_bool()), (Some("ready"), Some(true)));
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert!(status["snapshot"]["revision"].as_u64().unwrap() > 0, "{status}");
    assert_eq!(status["database"]["up"], true);
    let upstream = &status["upstreams"][0];
    assert_eq!(
        (upstream["name"].as_str(), upstream["owner"].as_str()),
        (Some("quotes"), Some("team-pricing"))
    );
    assert_eq!(
        (upstream["breakers"][0]["state"].as_str(), upstream["connections"]["dialled"].as_u64()),
        (Some("closed"), Some(1))
    );
    assert_eq!(status["upstreamFileFaults"].as_array().unwrap().len(), 0);
    assert_eq!(status["problems"].as_array().unwrap().len(), 0, "{status}");
    assert_eq!(status["previousStop"], "unknown");

    app.rewrite_upstreams("kind: Upstream\nspec: { urk: 1 }\n");
    until("the faults show", SOON, async || {
        let status = client::get(app.ops, "/status").await.json();
        status["upstreamFileFaults"].to_string().contains("urk")
    })
    .await;
    assert_eq!(app.metric("levee_upstream_files_valid").await, Some(0.0));
    assert_eq!(app.metric("levee_upstream_file_errors_total").await, Some(1.0));
    assert_eq!(client::get(app.ops, "/readyz").await.status, 200, "what runs is the last good version");
}

#[tokio::test]
async fn status_begins_with_what_is_wrong_now_and_names_the_runbook() {
    let server = Misbehaving::start().await;
    let policy = "  owner: team-pricing\n  retry: { attempts: 1 }\n  cache: { mode: off }\n  breaker: { consecutiveFailures: 2, open: { base: 60s } }\n";
    let app = TestApp::start(upstream("quotes", &server.url(), policy)).await;
    for _ in 0..2 {
        assert_eq!(app.get("/proxy/quotes/reset").await.status, 502);
    }
    let problems = client::get(app.ops, "/status").await.json()["problems"].clone();
    let of = |field: &str| problems[0][field].as_str().map(str::to_owned);
    assert_eq!(of("runbook").as_deref(), Some("LeveeBreakerOpen"), "{problems}");
    assert_eq!((of("upstream").as_deref(), of("owner").as_deref()), (Some("quotes"), Some("team-pricing")));
    let detail = of("detail").unwrap();
    assert!(
        detail.starts_with("the breaker has been open for ") && detail.contains("consecutive"),
        "{detail}"
    );
    assert_eq!(problems.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn probes_list_their_checks_and_scrapers_choose_their_format() {
    let app = TestApp::start("").await;
    for (path, check) in
        [("/livez", "heartbeat"), ("/readyz", "snapshot"), ("/readyz", "drain"), ("/startupz", "started")]
    {
        assert_eq!(client::get(app.ops, path).await.text(), "ok\n");
        let verbose = client::get(app.ops, &format!("{path}?verbose")).await;
        assert!(verbose.text().contains(&format!("[+] {check}: ok")), "{path}: {}", verbose.text());
    }
    let mut asked = request("/metrics");
    asked.headers_mut().insert("accept", "application/openmetrics-text".parse().unwrap());
    let open = client::send(app.ops, asked).await.unwrap();
    assert!(open.header("content-type").starts_with("application/openmetrics-text"), "{open:?}");
    assert!(open.text().ends_with("# EOF\n"));
    assert_eq!(client::get(app.ops, "/proxy/x").await.status, 404);
}
