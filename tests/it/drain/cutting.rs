//! What does not finish by itself is cut: by the drain's time, or by a second signal.

use std::time::Duration;

use rustix::process::Signal;

use super::{ALONE, SHARED, SOON, leaves, no_longer_accepting, not_ready, position, started, upstream};
use crate::support::client::{self, Connection};
use crate::support::levee::TestApp;
use crate::support::misbehaving::{Behaviour, Misbehaving, Reply};
use crate::support::until::until;

async fn with_timeout(server: &Misbehaving, cache: &str) -> TestApp {
    TestApp::with(upstream(server, cache)).env("LEVEE_DRAIN_TIMEOUT", "400ms").start().await
}

/// A call that is never answered, once the upstream has it.
async fn hanging(
    server: &Misbehaving,
    app: &TestApp,
) -> tokio::task::JoinHandle<hyper::Result<client::Answer>> {
    let call = tokio::spawn(client::send(app.data, client::request("/proxy/quotes/hang")));
    until("the call hangs", SOON, async || server.seen("/hang") == 1).await;
    call
}

#[tokio::test]
async fn a_call_that_overruns_the_drain_is_cut_and_the_exit_code_is_0() {
    let server = Misbehaving::start().await;
    let app = with_timeout(&server, ALONE).await;
    let call = hanging(&server, &app).await;
    app.signal(Signal::TERM);
    let log = leaves(app).await;
    let line: serde_json::Value = serde_json::from_str(&log[position(&log, "overran")]).unwrap();
    assert_eq!(line["level"], "WARN");
    assert_eq!(line.get("fields").unwrap_or(&line)["connections"], 1);
    assert!(call.await.unwrap().is_err());
}

/// The caller must not take half an answer for a whole one.
#[tokio::test]
async fn an_answer_that_overruns_the_drain_breaks_off_for_the_caller_to_see() {
    let server = Misbehaving::start().await;
    server
        .script("/stream", [Behaviour::Drip(Duration::from_millis(200), Reply::ok("0123456789".repeat(20)))]);
    let app = with_timeout(&server, ALONE).await;
    let mut caller = Connection::open(app.data).await;
    let answer = caller.begin(client::request("/proxy/quotes/stream")).await.unwrap();
    app.signal(Signal::TERM);
    assert!(http_body_util::BodyExt::collect(answer.into_body()).await.is_err());
    position(&leaves(app).await, "overran");
}

#[tokio::test]
async fn a_flight_that_overruns_the_drain_is_cut_and_named() {
    let server = Misbehaving::start().await;
    let app = with_timeout(&server, SHARED).await;
    let call = hanging(&server, &app).await;
    call.abort();
    app.signal(Signal::TERM);
    let log = leaves(app).await;
    let line: serde_json::Value = serde_json::from_str(&log[position(&log, "overran")]).unwrap();
    assert_eq!(line.get("fields").unwrap_or(&line)["flights"], 1);
}

/// A drain wants calls to end, so an upstream that fails is not asked again.
#[tokio::test]
async fn nothing_is_retried_any_more() {
    let server = Misbehaving::start().await;
    let app = started(&server, "1500ms").await;
    assert_eq!(client::get(app.data, "/proxy/quotes/status/503").await.header("levee-attempts"), "3");
    app.signal(Signal::TERM);
    not_ready(&app).await;
    let answer = client::get(app.data, "/proxy/quotes/status/503").await;
    assert_eq!((answer.status.as_u16(), answer.header("levee-attempts")), (503, "1"));
    leaves(app).await;
}

#[tokio::test]
async fn a_second_signal_aborts_with_a_failure() {
    for (first, second) in
        [(Signal::TERM, Signal::TERM), (Signal::INT, Signal::INT), (Signal::TERM, Signal::INT)]
    {
        let server = Misbehaving::start().await;
        let mut app = started(&server, "0s").await;
        let call = hanging(&server, &app).await;
        app.signal(first);
        no_longer_accepting(&app).await;
        app.signal(second);
        assert_eq!(app.wait_exit(SOON).await.code(), Some(1), "{first:?} {second:?}");
        position(&app.log(), "second signal");
        assert!(call.await.unwrap().is_err());
    }
}

#[tokio::test]
async fn a_second_signal_aborts_while_the_first_is_only_announced() {
    let server = Misbehaving::start().await;
    let mut app = started(&server, "60s").await;
    app.signal(Signal::TERM);
    not_ready(&app).await;
    app.signal(Signal::TERM);
    assert_eq!(app.wait_exit(SOON).await.code(), Some(1));
}
