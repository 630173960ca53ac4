//! What is under way when the process is told to stop is finished, in the order of the contract.

use std::time::Duration;

use rustix::process::Signal;

use super::{
    ALONE, SHARED, SOON, accepts, leaves, no_longer_accepting, not_ready, position, started, upstream,
    waiting_at,
};
use crate::support::client::{self, Connection, RawConnection};
use crate::support::levee::TestApp;
use crate::support::misbehaving::{Behaviour, Gate, Misbehaving, Reply};
use crate::support::until::until;

/// An upstream that holds its answers to `/held` at the gate.
async fn holding() -> (Misbehaving, Gate) {
    let (server, gate) = (Misbehaving::start().await, Gate::closed());
    server.script("/held", [Behaviour::Held(gate.clone(), Box::new(Reply::ok("at last\n").into()))]);
    (server, gate)
}

/// A call that waits at the gate.
fn call(app: &TestApp) -> tokio::task::JoinHandle<hyper::Result<client::Answer>> {
    tokio::spawn(client::send(app.data, client::request("/proxy/quotes/held")))
}

#[tokio::test]
async fn the_steps_come_in_the_contracts_order() {
    let (server, gate) = holding().await;
    let app = started(&server, "1500ms").await;
    let call = call(&app);
    waiting_at(&gate, 1).await;
    app.signal(Signal::TERM);

    not_ready(&app).await;
    assert_eq!(app.metric("levee_draining").await, Some(1.0));
    for (port, path) in [(app.data, "/proxy/quotes/ok"), (app.api, "/openapi.json")] {
        let answer = client::get(port, path).await;
        assert_eq!((answer.status.as_u16(), answer.header("connection")), (200, "close"), "{path}");
    }

    no_longer_accepting(&app).await;
    assert!(!call.is_finished());
    assert_eq!(client::get(app.ops, "/livez").await.status, 200);
    assert_eq!(client::get(app.ops, "/status").await.json()["phase"], "draining");

    gate.open();
    assert_eq!(call.await.unwrap().unwrap().text(), "at last\n");
    let ops = app.ops;
    let log = leaves(app).await;
    assert!(position(&log, "\"draining\"") < position(&log, "\"stopped\""));
    assert!(!accepts(ops).await);
}

#[tokio::test]
async fn sigint_behaves_like_sigterm() {
    let (server, gate) = holding().await;
    let app = started(&server, "500ms").await;
    let call = call(&app);
    waiting_at(&gate, 1).await;
    app.signal(Signal::INT);
    not_ready(&app).await;
    assert_eq!(client::get(app.ops, "/livez").await.status, 200);
    no_longer_accepting(&app).await;
    gate.open();
    assert_eq!(call.await.unwrap().unwrap().text(), "at last\n");
    leaves(app).await;
}

#[tokio::test]
async fn a_request_body_may_go_on_coming_in() {
    let server = Misbehaving::start().await;
    let app = started(&server, "0s").await;
    let mut caller = RawConnection::open(app.data).await;
    let head = "POST /proxy/quotes/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n01234";
    caller.write(head).await.unwrap();
    until("the call is under way", SOON, async || server.seen("/echo") == 1).await;
    app.signal(Signal::TERM);
    no_longer_accepting(&app).await;
    caller.write("56789").await.unwrap();
    let answer = caller.read_answer().await.unwrap();
    assert_eq!(
        (answer.second_word().as_str(), answer.header("connection").as_deref()),
        ("200", Some("close"))
    );
    assert!(answer.body.ends_with(b"0123456789"));
    leaves(app).await;
}

#[tokio::test]
async fn a_streaming_answer_runs_to_its_end() {
    let (server, gate) = (Misbehaving::start().await, Gate::closed());
    server.script("/stream", [Behaviour::Halves(gate.clone(), Reply::ok("0123456789"))]);
    let app = started(&server, "0s").await;
    let mut caller = Connection::open(app.data).await;
    let answer = caller.begin(client::request("/proxy/quotes/stream")).await.unwrap();
    app.signal(Signal::TERM);
    no_longer_accepting(&app).await;
    gate.open();
    let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
    assert_eq!(body, "0123456789");
    leaves(app).await;
}

/// The caller has left, but the answer was to be kept for others: it is fetched to its end.
#[tokio::test]
async fn a_flight_that_nobody_waits_for_any_more_is_finished() {
    let (server, gate) = holding().await;
    let mut app = TestApp::start(upstream(&server, SHARED)).await;
    let call = call(&app);
    waiting_at(&gate, 1).await;
    call.abort();
    until("the caller is gone", SOON, async || {
        app.metric(r#"levee_calls_total{upstream="quotes",method="GET",outcome="cancelled"}"#).await
            == Some(1.0)
    })
    .await;
    app.signal(Signal::TERM);
    no_longer_accepting(&app).await;
    let gave_up = tokio::time::timeout(Duration::from_millis(300), app.wait_exit(SOON)).await;
    assert!(gave_up.is_err() && gate.waiting() == 1, "it left without the answer: {gave_up:?}");
    gate.open();
    let log = leaves(app).await;
    assert!(!log.iter().any(|line| line.contains("overran")), "{}", log.join("\n"));
}

/// Kept connections, HTTP/2 ones and those that never said anything: none holds the process up.
#[tokio::test]
async fn idle_connections_do_not_delay_the_exit() {
    let server = Misbehaving::start().await;
    let setup = TestApp::with(upstream(&server, ALONE));
    let mut app = setup.env("LEVEE_DRAIN_TIMEOUT", "60s").start().await;
    let mut kept = Vec::new();
    for _ in 0..20 {
        kept.push(Connection::open(app.data).await);
        kept.push(Connection::open_h2c(app.data).await);
    }
    for connection in &mut kept {
        assert_eq!(connection.send(client::request("/proxy/quotes/ok")).await.unwrap().status, 200);
    }
    let _silent = [RawConnection::open(app.data).await, RawConnection::open(app.api).await];
    app.signal(Signal::TERM);
    // Half of what a connection may take to name its first request.
    assert_eq!(app.wait_exit(Duration::from_secs(5)).await.code(), Some(0));
}
