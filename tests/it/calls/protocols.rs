//! Protocol versions and connections on both sides: HTTP/1.0, 1.1 and 2, one after the other and many at once.

use http::{Method, Version};
use std::time::Duration;

use super::{assert_well, before_shaky, with_headers};
use crate::support::client::{self, Connection, RawConnection, burst};
use crate::support::misbehaving::{Behaviour, Gate, Reply};
use crate::support::until::until;

const SOON: Duration = Duration::from_secs(10);
const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n";

#[tokio::test]
async fn an_http_1_0_client_gets_an_answer_it_can_read() {
    let (app, server) = before_shaky(&[]).await;
    server.script("/chunked", [Behaviour::Raw(CHUNKED.into())]);
    for (path, body) in [("/ok", "ok\n"), ("/chunked", "firstsecond")] {
        let mut caller = RawConnection::open(app.data).await;
        caller.write(format!("GET /proxy/shaky{path} HTTP/1.0\r\nHost: localhost\r\n\r\n")).await.unwrap();
        let head = caller.read_head().await.unwrap();
        assert_eq!(head.second_word(), "200", "{path}");
        assert_eq!(head.header("transfer-encoding"), None, "{path}: HTTP/1.0 knows no chunks");
        assert_eq!(String::from_utf8(caller.read_to_end().await.unwrap()).unwrap(), body, "{path}");
    }
    assert!(server.received().iter().all(|request| request.start_line().ends_with(" HTTP/1.1")));
}

#[tokio::test]
async fn an_http_1_0_client_may_keep_its_connection() {
    let (app, _server) = before_shaky(&[]).await;
    let mut caller = RawConnection::open(app.data).await;
    for _ in 0..3 {
        let head = "GET /proxy/shaky/ok HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n";
        caller.write(head).await.unwrap();
        let answer = caller.read_answer().await.unwrap();
        assert_eq!((answer.second_word().as_str(), &answer.body[..]), ("200", &b"ok\n"[..]));
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let (app, server) = before_shaky(&[]).await;
    for (number, wait) in [(1, 300), (2, 100), (3, 0)] {
        let answer = Box::new(Reply::ok(format!("answer {number}")).into());
        server.script(&format!("/{number}"), [Behaviour::After(Duration::from_millis(wait), answer)]);
    }
    let mut caller = RawConnection::open(app.data).await;
    let line = |number| {
        format!("POST /proxy/shaky/{number} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n\r\nx")
    };
    caller.write((1..=3).map(line).collect::<String>()).await.unwrap();
    for number in 1..=3 {
        let answer = caller.read_answer().await.unwrap();
        assert_eq!(String::from_utf8_lossy(&answer.body), format!("answer {number}"));
    }
}

#[tokio::test]
async fn a_client_that_asks_to_close_is_closed() {
    let (app, _server) = before_shaky(&[]).await;
    let mut caller = RawConnection::open(app.data).await;
    caller
        .write("GET /proxy/shaky/ok HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let answer = caller.read_answer().await.unwrap();
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
    assert!(caller.read_to_end().await.unwrap().is_empty());
}

#[tokio::test]
async fn many_streams_share_one_http_2_connection() {
    let (app, server) = before_shaky(&[]).await;
    let gate = Gate::closed();
    server.script("/held", [Behaviour::Held(gate.clone(), Box::new(Behaviour::Echo))]);
    let connection = Connection::open_h2c(app.data).await;
    let calls = tokio::spawn(burst(40, move |number| {
        let mut connection = connection.another_stream();
        async move {
            let mut request = with_headers(&format!("/proxy/shaky/held?n={number}"), &[("x-own", "1")]);
            *request.method_mut() = Method::POST;
            *request.body_mut() = format!("body {number}").into();
            connection.send(request).await.unwrap()
        }
    }));
    until("all are in flight at once", SOON, async || gate.waiting() == 40).await;
    gate.open();
    for (number, answer) in calls.await.unwrap().iter().enumerate() {
        assert_eq!((answer.version, answer.status.as_u16()), (Version::HTTP_2, 200));
        let text = answer.text();
        assert!(text.starts_with(&format!("POST /held?n={number} HTTP/1.1\r\n")), "{text}");
        assert!(text.ends_with(&format!("body {number}")), "{text}");
    }
    assert_well(&app).await;
}

#[tokio::test]
async fn a_reset_stream_leaves_the_others_alone() {
    let (app, server) = before_shaky(&[]).await;
    let gate = Gate::closed();
    server.script("/held", [Behaviour::Held(gate.clone(), Box::new(Reply::ok("held").into()))]);
    let mut connection = Connection::open_h2c(app.data).await;
    let mut leaving = connection.another_stream();
    let abandoned = tokio::spawn(async move { leaving.send(client::request("/proxy/shaky/held?a")).await });
    let mut staying = connection.another_stream();
    let kept = tokio::spawn(async move { staying.send(client::request("/proxy/shaky/held?b")).await });
    until("both are in flight", SOON, async || gate.waiting() == 2).await;
    abandoned.abort();
    assert_eq!(connection.send(client::request("/proxy/shaky/ok")).await.unwrap().text(), "ok\n");
    gate.open();
    assert_eq!(kept.await.unwrap().unwrap().text(), "held");
}

#[tokio::test]
async fn a_hundred_calls_share_the_upstreams_connection() {
    let (app, server) = before_shaky(&[]).await;
    let mut kept = Connection::open(app.data).await;
    for number in 0..100 {
        let mut request = client::request(&format!("/proxy/shaky/ok?{number}"));
        if number % 3 == 0 {
            *request.method_mut() = Method::POST;
            *request.body_mut() = "some body".into();
        }
        let answer =
            if number % 2 == 0 { kept.send(request).await } else { client::send(app.data, request).await };
        assert_eq!(answer.unwrap().text(), "ok\n");
    }
    assert_eq!(server.seen("/ok"), 100);
    assert_eq!(server.connections_accepted(), 1);
}

#[tokio::test]
async fn calls_at_once_use_no_more_connections_than_there_are_calls() {
    let (app, server) = before_shaky(&[]).await;
    let data = app.data;
    for round in 0..5 {
        burst(
            20,
            |number| async move { client::get(data, &format!("/proxy/shaky/ok?{round}.{number}")).await },
        )
        .await;
    }
    assert_eq!(server.seen("/ok"), 100);
    let accepted = server.connections_accepted();
    assert!(accepted <= 20, "{accepted} connections for at most 20 calls at once");
}

#[tokio::test]
async fn chunks_of_the_upstream_become_frames_of_http_2_and_back() {
    let (app, server) = before_shaky(&[]).await;
    server.script("/chunked", [Behaviour::Raw(CHUNKED.into())]);
    let mut h2 = Connection::open_h2c(app.data).await;
    let answer = h2.send(client::request("/proxy/shaky/chunked")).await.unwrap();
    assert_eq!((answer.version, answer.text()), (Version::HTTP_2, "firstsecond"));
    assert!(!answer.headers.contains_key("transfer-encoding"));
    assert_eq!(app.get("/proxy/shaky/chunked").await.text(), "firstsecond");
}
