//! A long failure and what comes of it: the breaker opens, fallbacks answer, and the upstream is found again.

use std::time::Duration;

use super::before_shaky;
use crate::support::client::burst;
use crate::support::misbehaving::{Behaviour, Reply};
use crate::support::until::until;

const SOON: Duration = Duration::from_secs(30);

const POLICY: &[&str] = &[
    "retry: { attempts: 2, backoff: { base: 1ms } }",
    "breaker: { open: { base: 1s, cap: 2s } }",
    "fallback: [ static: { status: 200, body: 'from the fallback' } ]",
];

#[tokio::test]
async fn a_thousand_failures_reach_the_upstream_as_a_few_and_recovery_needs_nobody() {
    let (app, server) = before_shaky(POLICY).await;
    server.script("/x", [Behaviour::RawThenReset("".into())]);
    let data = app.data;
    for _ in 0..10 {
        let answers = burst(100, |_| crate::support::client::get(data, "/proxy/shaky/x")).await;
        for answer in answers {
            assert_eq!((answer.status.as_u16(), answer.text()), (200, "from the fallback"));
            assert_eq!(answer.header("levee-answer"), "fallback");
            assert_eq!(answer.header("levee-fallback"), "static");
        }
    }
    let reached = server.seen("/x");
    assert!((1..200).contains(&reached), "{reached} of 1,000 calls reached the upstream");
    let state = |state| format!(r#"levee_breaker_state{{upstream="shaky",operation="",state="{state}"}}"#);
    assert_eq!(app.metric(&state("closed")).await, Some(0.0));
    server.script("/x", [Reply::ok("recovered").into()]);
    until("the upstream answers again", SOON, async || {
        app.get("/proxy/shaky/x").await.header("levee-answer") == "upstream"
    })
    .await;
    until("the circuit is closed", SOON, async || {
        app.get("/proxy/shaky/x").await;
        app.metric(&state("closed")).await == Some(1.0)
    })
    .await;
    let answers = burst(50, |_| crate::support::client::get(data, "/proxy/shaky/x")).await;
    assert!(answers.iter().all(|answer| answer.text() == "recovered"));
}

#[tokio::test]
async fn while_the_circuit_is_open_nothing_is_asked_of_the_upstream() {
    let (app, server) =
        before_shaky(&["breaker: { open: { base: 60s, cap: 60s } }", "retry: { attempts: 1 }"]).await;
    server.script("/x", [Behaviour::RawThenReset("".into())]);
    until("the circuit is open", SOON, async || app.get("/proxy/shaky/x").await.status == 503).await;
    let (seen, connections) = (server.seen_in_all(), server.connections_accepted());
    for _ in 0..50 {
        assert_eq!(app.get("/proxy/shaky/ok").await.status, 503);
    }
    assert_eq!((server.seen_in_all(), server.connections_accepted()), (seen, connections));
}
