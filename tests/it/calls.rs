//! Calls through Levee against real upstreams: what passes, what is refused, and what an answer says of itself.

use http::Request;
use http_body_util::Full;

use crate::support::client::{self, Answer, Connection};
use crate::support::levee::TestApp;
use crate::support::misbehaving::Misbehaving;
use crate::support::wire::Message;

/// Names, addresses and what may be dialled.
mod addresses;
/// Framing that two parsers could read differently.
mod ambiguous;
/// Proxy-Status, Cache-Status and their kin on every kind of answer.
mod explained;
/// Upstreams that break.
mod faults;
/// Large files, ranges and validators, against nginx.
mod files;
/// Against httpbin.
mod httpbin;
/// What never reaches an upstream, and of the caller's headers what does.
mod hygiene;
/// Protocol versions and connections on both sides.
mod protocols;
/// Requests that are no calls.
mod refused;
/// Bodies arrive as they are sent, in both directions.
mod streaming;
/// HTTP/2 over TLS with a private authority, against nginx.
mod tls;
/// A long failure, and recovery.
mod trouble;

/// An upstream document with further lines of its `spec`.
fn upstream(name: &str, url: &str, spec: &[&str]) -> String {
    let head = "apiVersion: levee.dev/v1alpha1\nkind: Upstream\nmetadata:";
    let spec = spec.iter().map(|line| format!("  {line}\n")).collect::<Vec<_>>().concat();
    format!("---\n{head} {{ name: {name} }}\nspec:\n  url: {url}\n{spec}")
}

/// Levee before a misbehaving server registered as `shaky`, with these lines of policy.
async fn before_shaky(spec: &[&str]) -> (TestApp, Misbehaving) {
    let server = Misbehaving::start().await;
    let app = TestApp::start(upstream("shaky", &server.url(), spec)).await;
    (app, server)
}

/// A request with headers.
fn with_headers(path: &str, headers: &[(&'static str, &str)]) -> Request<Full<bytes::Bytes>> {
    let mut request = client::request(path);
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    request
}

/// GET with headers, on a connection of its own.
async fn get_with(app: &TestApp, path: &str, headers: &[(&'static str, &str)]) -> Answer {
    Connection::open(app.data).await.send(with_headers(path, headers)).await.unwrap()
}

/// Says which problem an answer is, after checking that it is told as every problem is.
#[track_caller]
fn problem(answer: &Answer) -> (u16, String) {
    let said = answer.text();
    assert_eq!(answer.header("content-type"), "application/problem+json", "{said}");
    assert_eq!(answer.header("levee-answer"), "levee", "{said}");
    let body = answer.json();
    assert_eq!(body["status"], answer.status.as_u16(), "{said}");
    assert_eq!(body["instance"], format!("call:{}", answer.header("levee-call-id")), "{said}");
    assert!(["title", "detail"].iter().all(|name| !body[*name].as_str().unwrap().is_empty()), "{said}");
    (answer.status.as_u16(), slug(&body))
}

/// The same for an answer read from a raw connection.
#[track_caller]
fn raw_problem(answer: &Message) -> (u16, String) {
    let said = String::from_utf8_lossy(&answer.bytes()).into_owned();
    assert_eq!(answer.header("content-type").as_deref(), Some("application/problem+json"), "{said}");
    assert_eq!(answer.header("levee-answer").as_deref(), Some("levee"), "{said}");
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["status"].to_string(), answer.second_word(), "{said}");
    (answer.second_word().parse().unwrap(), slug(&body))
}

#[track_caller]
fn slug(body: &serde_json::Value) -> String {
    let kind = body["type"].as_str().unwrap();
    kind.strip_prefix("https://levee.dev/problems/").unwrap_or_else(|| panic!("{kind}")).to_owned()
}

/// Whether it still answers calls and says that it is well.
async fn assert_well(app: &TestApp) {
    assert_eq!(app.get("/proxy/shaky/ok").await.text(), "ok\n");
    assert_eq!(client::get(app.ops, "/livez").await.status, 200);
    assert_eq!(client::get(app.ops, "/readyz").await.status, 200);
}
