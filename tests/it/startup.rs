//! Levee starts, says where it listens, takes new documents while it runs, and leaves when told.

use std::time::Duration;

use http::Version;
use rustix::process::Signal;

use crate::support::client::{self, Connection};
use crate::support::levee::{TestApp, levee};
use crate::support::misbehaving::Misbehaving;
use crate::support::until::until;

const SOON: Duration = Duration::from_secs(5);

fn upstream(name: &str, url: &str) -> String {
    format!(
        "apiVersion: levee.dev/v1alpha1\nkind: Upstream\nmetadata: {{ name: {name} }}\nspec:\n  url: {url}\n"
    )
}

#[tokio::test]
async fn a_call_reaches_the_upstream_as_it_was_sent() {
    let server = Misbehaving::start().await;
    let app = TestApp::start(upstream("quotes", &server.url())).await;
    let answer = app.get("/proxy/quotes/ok?a=%2F&b").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "ok\n"));
    assert_eq!(answer.header("levee-answer"), "upstream");
    assert_eq!(server.received()[0].second_word(), "/ok?a=%2F&b");
}

#[tokio::test]
async fn the_ops_port_says_it_is_alive_and_ready_and_the_api_port_has_the_document() {
    let app = TestApp::start("").await;
    for probe in ["/livez", "/readyz", "/startupz"] {
        assert_eq!(client::get(app.ops, probe).await.status, 200, "{probe}");
    }
    assert_eq!(client::get(app.api, "/openapi.json").await.json()["openapi"], "3.0.3");
    assert_eq!(app.metric("levee_draining").await, Some(0.0));
}

#[tokio::test]
async fn an_edit_takes_effect_and_a_bad_one_keeps_the_last_good_version() {
    let server = Misbehaving::start().await;
    let app = TestApp::start(upstream("before", &server.url())).await;
    app.rewrite_upstreams(&upstream("after", &server.url()));
    until("the edit is in force", SOON, async || app.get("/proxy/after/ok").await.status == 200).await;
    assert_eq!(app.get("/proxy/before/ok").await.status, 404);
    app.rewrite_upstreams("kind: Upstream\nspec: { urk: 1 }\n");
    until("the fault is logged", SOON, async || app.log().iter().any(|line| line.contains("urk"))).await;
    assert_eq!(app.get("/proxy/after/ok").await.status, 200);
}

#[tokio::test]
async fn cleartext_http_2_is_spoken_to_a_client_that_knows() {
    let server = Misbehaving::start().await;
    let app = TestApp::start(upstream("quotes", &server.url())).await;
    let mut connection = Connection::open_h2c(app.data).await;
    let answer = connection.send(client::request("/proxy/quotes/ok")).await.unwrap();
    assert_eq!((answer.version, answer.text()), (Version::HTTP_2, "ok\n"));
}

#[tokio::test]
async fn sigterm_is_announced_before_anything_closes_and_ends_with_exit_code_0() {
    let server = Misbehaving::start().await;
    let setup = TestApp::with(upstream("quotes", &server.url()));
    let mut app = setup.env("LEVEE_DRAIN_DELAY", "1s").start().await;
    app.signal(Signal::TERM);
    until("it is no longer ready", SOON, async || client::get(app.ops, "/readyz").await.status == 503).await;
    let answer = app.get("/proxy/quotes/ok").await;
    assert_eq!((answer.status.as_u16(), answer.header("connection")), (200, "close"));
    assert_eq!(client::get(app.ops, "/livez").await.status, 200);
    assert_eq!(app.wait_exit(SOON).await.code(), Some(0));
}

#[tokio::test]
async fn a_start_takes_little_memory() {
    let megabytes = TestApp::start("").await.resident_memory() / (1024 * 1024);
    assert!(megabytes < 128, "{megabytes} MiB");
}

#[test]
fn it_says_its_version() {
    let output = levee().arg("--version").output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("levee 0."));
    assert!(output.status.success());
}
