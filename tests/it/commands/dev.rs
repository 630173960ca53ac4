//! `levee dev` and the tour it prints: a breaker trips, the fallback answers, the upstream recovers.

use std::net::SocketAddr;
use std::time::Duration;

use http::Method;

use crate::support::client;
use crate::support::levee::TestApp;
use crate::support::until::until;

const SOON: Duration = Duration::from_secs(20);

/// The upstream of the examples, with an open period that a test can wait for.
fn flaky(address: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/upstreams.yaml");
    let example = std::fs::read_to_string(path).unwrap();
    for part in ["http://127.0.0.1:9099\n", "base: 5s"] {
        assert_eq!(example.matches(part).count(), 1, "{part}");
    }
    example.replace("http://127.0.0.1:9099\n", &format!("http://{address}\n")).replace("base: 5s", "base: 1s")
}

/// Where the tour says that a thing is.
fn told(app: &TestApp, name: &str) -> SocketAddr {
    let log = app.log();
    let line = log.iter().find(|line| line.starts_with(&format!("  {name} "))).expect("the tour names it");
    let (_, address) = line.split_once("http://").unwrap();
    address.split(['/', ' ']).next().unwrap().parse().unwrap()
}

/// Whether the upstream may be called is for its own port to say.
async fn behave(flaky: SocketAddr, mode: &str) {
    let answer = client::send_body(flaky, Method::POST, &format!("/_flaky?mode={mode}"), b"").await;
    assert_eq!((answer.status.as_u16(), answer.json()["mode"].as_str()), (200, Some(mode)));
}

async fn breaker(app: &TestApp) -> String {
    let answer = app.ask("/api/v1/breakers/flaky").await;
    answer.json()["state"].as_str().unwrap_or_default().to_owned()
}

async fn state_shown(app: &TestApp, state: &str) -> bool {
    let series = format!(r#"levee_breaker_state{{upstream="flaky",operation="",state="{state}"}}"#);
    app.metric(&series).await == Some(1.0)
}

#[tokio::test]
async fn the_tour_names_addresses_that_answer() {
    let app = TestApp::start("").await;
    until("the tour is printed", SOON, async || app.log().iter().any(|line| line.contains("mode=ok"))).await;
    assert_eq!((told(&app, "calls"), told(&app, "operations")), (app.data, app.ops));
    assert_eq!(client::get(told(&app, "control"), "/api/v1/health").await.status, 200);
    assert_eq!(client::get(told(&app, "operations"), "/status").await.status, 200);
    assert_eq!(client::get(told(&app, "flaky"), "/_flaky").await.json()["mode"], "ok");
    let log = app.log();
    for line in log.iter().filter(|line| line.contains("curl") && line.contains("/api/v1/")) {
        assert!(line.contains(&app.api.to_string()), "{line}");
    }
}

#[tokio::test]
async fn the_tour_can_be_taken() {
    let app = TestApp::start("").await;
    until("the tour is printed", SOON, async || app.log().iter().any(|line| line.contains("mode=ok"))).await;
    let upstream = told(&app, "flaky");
    app.rewrite_upstreams(&flaky(&upstream.to_string()));
    until("the upstream is registered", SOON, async || app.get("/proxy/flaky/hello").await.status == 200)
        .await;
    assert!(breaker(&app).await == "closed" && state_shown(&app, "closed").await);

    behave(upstream, "error").await;
    let first = app.get("/proxy/flaky/hello").await;
    assert_eq!((first.status.as_u16(), first.header("levee-answer")), (200, "fallback"));
    assert_eq!((first.header("levee-fallback"), first.header("levee-attempts")), ("stale", "3"));
    assert_eq!(first.json()["message"], "hello from flaky", "the last good answer");
    assert!(
        !first.header("proxy-status").is_empty() && !first.header("cache-status").is_empty(),
        "{first:?}"
    );
    until("the breaker opens", SOON, async || {
        assert_eq!(app.get("/proxy/flaky/hello").await.status, 200);
        breaker(&app).await == "open"
    })
    .await;
    assert!(state_shown(&app, "open").await);
    let never_seen = app.get("/proxy/flaky/items/7").await;
    assert_eq!((never_seen.header("levee-attempts"), never_seen.header("levee-fallback")), ("0", "static"));
    assert_eq!(never_seen.json()["message"], "flaky is away; this answer was prepared beforehand");

    behave(upstream, "ok").await;
    until("it recovers", SOON, async || {
        let answer = app.get("/proxy/flaky/hello").await;
        assert_eq!(answer.status, 200, "the caller never sees the trouble");
        breaker(&app).await == "closed" && answer.header("levee-answer") == "upstream"
    })
    .await;
    assert!(state_shown(&app, "closed").await);
    let transitions = app.metrics().await;
    for (to, reason) in [("open", "failure_rate"), ("half_open", "period_over"), ("closed", "probes_good")] {
        let series = format!(
            r#"levee_breaker_transitions_total{{upstream="flaky",operation="",to="{to}",reason="{reason}"}}"#
        );
        assert!(transitions.contains(&format!("{series} 1\n")), "{series}\n{transitions}");
    }
}

/// The address is a flag, so that two of them can run on one machine.
#[tokio::test]
async fn flaky_listens_where_it_is_told() {
    let (one, two) = tokio::join!(TestApp::start(""), TestApp::start(""));
    for app in [&one, &two] {
        until("the tour is printed", SOON, async || app.log().iter().any(|line| line.contains("mode=ok")))
            .await;
    }
    assert_ne!(told(&one, "flaky"), told(&two, "flaky"));
}
