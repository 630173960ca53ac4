//! Policies at work: what callers get from the whole process, and what of it reaches the upstream.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::Value;
use tokio::net::TcpSocket;
use tokio::time::timeout;

use crate::support::client::{self, Answer, RawConnection};
use crate::support::levee::TestApp;
use crate::support::misbehaving::{Behaviour, Gate, Misbehaving, Reply};
use crate::support::until::until;

/// Seats and conditions: what a full bulkhead says.
mod bulkheads;
/// What is answered from memory.
mod caching;
/// Many who ask the same at once.
mod coalescing;
/// Requests and answers with validators.
mod conditional;
/// How long a call may take.
mod deadlines;
/// Which causes set a fallback going.
mod fallback_causes;
/// What answers when the upstream cannot.
mod fallbacks;
/// Parts of an upstream with their own policy.
mod operations;
/// What the upstream gets in a while.
mod quotas;
/// New documents while calls are in flight.
mod reloading;
/// What crosses when a call is tried again.
mod replaying;
/// When a call is tried again, and how often.
mod retrying;
/// The circuit breaker in the situations a correct engine handles.
mod situations;
/// The same, where bodies and attempts are what matters.
mod situations_of_bodies;
/// Answers past their freshness.
mod stale;

/// Nothing that is waited for here takes longer.
const SOON: Duration = Duration::from_secs(20);

/// Neither cached nor coalesced nor tried again: one call is one request.
const PLAIN: &str = "cache: { mode: off }\nretry: { attempts: 1 }\n";

/// The document of one upstream; `spec` is YAML, a block a line.
fn document(name: &str, url: &str, spec: &str) -> String {
    let blocks: Vec<_> = spec.lines().map(|line| format!("  {line}")).collect();
    format!(
        "---\napiVersion: levee.dev/v1alpha1\nkind: Upstream\nmetadata: {{ name: {name} }}\nspec:\n  url: {url}\n{}\n",
        blocks.join("\n")
    )
}

/// Levee before one upstream called `api`.
async fn levee_before(server: &Misbehaving, spec: &str) -> TestApp {
    TestApp::start(document("api", &server.url(), spec)).await
}

/// A GET request to `api` with one more header.
fn asking(path: &str, name: &'static str, value: &str) -> Request<Full<Bytes>> {
    let mut request = client::request(&format!("/proxy/api{path}"));
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

/// GET with one more header.
async fn get_with(app: &TestApp, path: &str, name: &'static str, value: &str) -> Answer {
    client::send(app.data, asking(path, name, value)).await.unwrap()
}

/// GET on `api`.
async fn get(app: &TestApp, path: &str) -> Answer {
    app.get(&format!("/proxy/api{path}")).await
}

/// Any method on `api`, with a body.
async fn send(app: &TestApp, method: Method, path: &str, body: &[u8]) -> Answer {
    client::send_body(app.data, method, &format!("/proxy/api{path}"), body).await
}

/// Sends a GET on `api` and waits for nothing. Dropping the connection is leaving.
async fn begin(app: &TestApp, path: &str) -> RawConnection {
    begin_with(app, path, "").await
}

/// The same with further header lines, each ended by CRLF.
async fn begin_with(app: &TestApp, path: &str, lines: &str) -> RawConnection {
    let mut connection = RawConnection::open(app.data).await;
    let request = format!("GET /proxy/api{path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
    connection.write(request).await.unwrap();
    connection
}

/// The status of a GET that comes from another loopback address: another caller.
async fn status_from(source: Ipv4Addr, server: SocketAddr, path: &str) -> u16 {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((source, 0).into()).unwrap();
    let stream = socket.connect(server).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, Full<Bytes>>(hyper_util::rt::TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let mut request = client::request(path);
    request.headers_mut().insert("host", "localhost".parse().unwrap());
    timeout(SOON, sender.send_request(request)).await.unwrap().unwrap().status().as_u16()
}

/// Answers that wait at a gate.
fn held(gate: &Gate, then: impl Into<Behaviour>) -> Behaviour {
    Behaviour::Held(gate.clone(), Box::new(then.into()))
}

/// `200` with a `Cache-Control` and a body.
fn cacheable(directives: &str, body: &str) -> Reply {
    Reply::ok(body.to_owned()).header("Cache-Control", directives)
}

/// The kebab-case end of a problem's type; empty where Levee did not refuse.
fn problem(answer: &Answer) -> String {
    if answer.header("content-type") != "application/problem+json" {
        return String::new();
    }
    answer.json()["type"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
}

/// What the API says of the breaker of `api`.
async fn breaker(app: &TestApp) -> Value {
    app.ask("/api/v1/breakers/api").await.json()
}

/// Where the breaker of `api` stands.
async fn state(app: &TestApp) -> String {
    breaker(app).await["state"].as_str().unwrap().to_owned()
}

/// Calls and failures in the breaker's window.
async fn window(app: &TestApp) -> (u64, u64) {
    let breaker = breaker(app).await;
    (breaker["calls"].as_u64().unwrap(), breaker["failures"].as_u64().unwrap())
}

/// How often the breaker of `api` went there for that reason.
async fn transitions(app: &TestApp, to: &str, reason: &str) -> u64 {
    let labels = format!("upstream=\"api\",operation=\"\",to=\"{to}\",reason=\"{reason}\"");
    app.metric(&format!("levee_breaker_transitions_total{{{labels}}}")).await.unwrap() as u64
}

/// Waits until no attempt is in flight at `api`.
async fn until_idle(app: &TestApp) {
    until("no attempt is in flight", SOON, async || {
        app.metric("levee_inflight{upstream=\"api\"}").await == Some(0.0)
    })
    .await;
}
