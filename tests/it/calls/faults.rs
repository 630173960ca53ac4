//! Upstreams that break: the caller is told what happened, and is never given half an answer as a whole one.

use std::time::Duration;

use http::Method;

use super::{assert_well, before_shaky, problem, upstream};
use crate::support::client::{self, Connection, RawConnection};
use crate::support::levee::TestApp;
use crate::support::misbehaving::{Behaviour, Misbehaving, Reply};
use crate::support::ports::{ClosedPort, DeafPort};
use crate::support::until::until;

const SOON: Duration = Duration::from_secs(10);
/// One attempt, and a breaker that stays out of the way.
const ONCE: &[&str] = &["retry: { attempts: 1 }", "breaker: { mode: metrics_only }"];
/// Three attempts with next to no pause between them.
const THRICE: &[&str] =
    &["retry: { attempts: 3, backoff: { base: 1ms } }", "breaker: { mode: metrics_only }"];

fn proxy_status(error: &str) -> String {
    format!("levee; error={error}; next-hop=\"shaky\"")
}

#[tokio::test]
async fn a_refused_connection_is_told_after_all_attempts() {
    let port = ClosedPort::take();
    let url = format!("http://{}", port.address);
    let app = TestApp::start(upstream("shaky", &url, THRICE)).await;
    let answer = app.get("/proxy/shaky/ok").await;
    assert_eq!(problem(&answer), (502, "upstream-unreachable".to_owned()));
    assert_eq!(answer.header("proxy-status"), proxy_status("connection_refused"));
    assert_eq!(answer.header("levee-attempts"), "3");
    let posted = client::send_body(app.data, Method::POST, "/proxy/shaky/ok", b"x").await;
    assert_eq!(problem(&posted), (502, "upstream-unreachable".to_owned()));
    assert_eq!(posted.header("levee-attempts"), "2", "nothing was sent, so once more is safe");
}

#[tokio::test]
async fn a_connection_that_never_opens_is_given_up() {
    let port = DeafPort::take().await;
    let url = format!("http://{}", port.address);
    let spec = ["timeout: { connect: 100ms }", "retry: { attempts: 1 }"];
    let app = TestApp::start(upstream("shaky", &url, &spec)).await;
    let answer = app.get("/proxy/shaky/ok").await;
    assert_eq!(problem(&answer), (502, "upstream-unreachable".to_owned()));
    assert_eq!(answer.header("proxy-status"), proxy_status("connection_timeout"));
}

#[tokio::test]
async fn a_reset_is_asked_again_only_where_twice_is_as_good_as_once() {
    let (app, server) = before_shaky(THRICE).await;
    for (path, method, attempts) in
        [("/reset/a", "GET", 3), ("/close/b", "PUT", 3), ("/reset/c", "POST", 1), ("/close/d", "PATCH", 1)]
    {
        let method = method.parse().unwrap();
        let answer = client::send_body(app.data, method, &format!("/proxy/shaky{path}"), b"x").await;
        assert_eq!(problem(&answer), (502, "upstream-unreachable".to_owned()), "{path}");
        assert_eq!(answer.header("proxy-status"), proxy_status("connection_terminated"), "{path}");
        assert_eq!(answer.header("levee-attempts"), attempts.to_string(), "{path}");
        assert_eq!(server.seen(path), attempts, "{path}");
    }
    assert_well(&app).await;
}

#[tokio::test]
async fn two_failures_and_a_success_are_a_success() {
    let (app, server) = before_shaky(THRICE).await;
    server.script(
        "/x",
        [Behaviour::RawThenReset("".into()), Reply::status(502).into(), Reply::ok("third").into()],
    );
    let answer = app.get("/proxy/shaky/x").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "third"));
    assert_eq!((answer.header("levee-attempts"), server.seen("/x")), ("3", 3));
}

/// Passed on as it comes, and copied into the cache as it comes; by length and by chunks; to HTTP/1.1 and HTTP/2.
#[tokio::test]
async fn an_answer_that_breaks_off_never_looks_whole() {
    let (app, server) = before_shaky(ONCE).await;
    for (number, head) in [
        "Content-Length: 10\r\n\r\n01234",
        "Content-Length: 10\r\nCache-Control: max-age=60\r\n\r\n01234",
        "Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n",
        "Transfer-Encoding: chunked\r\nCache-Control: max-age=60\r\n\r\n5\r\n01234\r\n",
        "Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\nnonsense\r\n",
    ]
    .into_iter()
    .enumerate()
    {
        let bytes = bytes::Bytes::from(format!("HTTP/1.1 200 OK\r\n{head}"));
        let path = format!("/broken/{number}");
        server.script(&path, [Behaviour::RawThenReset(bytes.clone()), Behaviour::RawThenClose(bytes)]);
        let path = format!("/proxy/shaky{path}");
        for connection in [Connection::open(app.data).await, Connection::open_h2c(app.data).await] {
            let mut connection = connection;
            let answer = connection.send(client::request(&path)).await;
            assert!(answer.is_err(), "{head:?} looked whole: {answer:?}");
        }
    }
    assert_well(&app).await;
}

#[tokio::test]
async fn half_an_answer_is_never_stored() {
    let (app, server) = before_shaky(ONCE).await;
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nCache-Control: max-age=60\r\n\r\n01234";
    let whole = Reply::ok("0123456789").header("Cache-Control", "max-age=60");
    server.script("/x", [Behaviour::RawThenClose(half.into()), whole.into()]);
    let broken = Connection::open(app.data).await.send(client::request("/proxy/shaky/x")).await;
    assert!(broken.is_err());
    assert_eq!(app.get("/proxy/shaky/x").await.header("cache-status"), "levee; fwd=uri-miss; stored");
    assert_eq!(app.get("/proxy/shaky/x").await.text(), "0123456789");
}

#[tokio::test]
async fn a_hang_ends_with_the_attempts_time_and_its_connection() {
    let (app, server) =
        before_shaky(&["timeout: { total: 5s, attempt: 100ms }", "retry: { attempts: 1 }"]).await;
    let answer = app.get("/proxy/shaky/hang").await;
    assert_eq!(problem(&answer), (504, "upstream-timeout".to_owned()));
    assert_eq!(answer.header("proxy-status"), proxy_status("http_response_timeout"));
    assert_eq!(answer.header("levee-attempts"), "1");
    until("the hung connection is closed", SOON, async || server.connections_open() == 0).await;
}

#[tokio::test]
async fn a_slow_drip_passes_and_silence_does_not() {
    let (app, _server) = before_shaky(&["timeout: { idleBody: 1s }"]).await;
    assert_eq!(app.get("/proxy/shaky/drip/20").await.text(), "0123456789");
    let silent = Connection::open(app.data).await.send(client::request("/proxy/shaky/drip/20000")).await;
    assert!(silent.is_err(), "{silent:?}");
    assert_well(&app).await;
}

#[tokio::test]
async fn more_bytes_than_announced_are_nobodys_answer() {
    let (app, server) = before_shaky(ONCE).await;
    assert_eq!(app.get("/proxy/shaky/long").await.text(), "01234");
    for _ in 0..3 {
        assert_eq!(app.get("/proxy/shaky/ok").await.text(), "ok\n");
    }
    assert!(server.connections_accepted() >= 2, "the connection with the surplus was used again");
}

#[tokio::test]
async fn what_is_not_http_is_told_as_such() {
    let (app, server) = before_shaky(ONCE).await;
    let fields = (0..101).map(|number| format!("x-{number}: 1\r\n")).collect::<Vec<_>>().concat();
    let long = format!("x-long: {}\r\n", "a".repeat(70_000));
    for (number, (answer, token)) in [
        ("SSH-2.0-OpenSSH_9.2\r\n", "http_protocol_error"),
        ("HTTP/1.1 2x0 OK\r\n\r\n", "http_protocol_error"),
        ("HTTP/1.1 200 OK\r\nba\0d: x\r\nContent-Length: 0\r\n\r\n", "http_protocol_error"),
        ("HTTP/1.1 200 OK\r\nbad: a\0b\r\nContent-Length: 0\r\n\r\n", "http_protocol_error"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "http_protocol_error"),
        ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "http_protocol_error"),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            "http_protocol_error",
        ),
        (&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"), "http_response_header_section_size"),
        (&format!("HTTP/1.1 200 OK\r\n{long}\r\n"), "http_response_header_section_size"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/nonsense/{number}");
        server.script(&path, [Behaviour::Raw(answer.to_owned().into())]);
        let told = app.get(&format!("/proxy/shaky{path}")).await;
        let shown = &answer[..answer.len().min(60)];
        assert_eq!(problem(&told), (502, "upstream-protocol".to_owned()), "{shown:?}");
        assert_eq!(told.header("proxy-status"), proxy_status(token), "{shown:?}");
    }
    assert_well(&app).await;
}

/// A response is ambiguous with both: RFC 9112 section 6.3 wants it read by its chunks, or refused.
#[tokio::test]
async fn an_answer_with_length_and_chunks_is_read_by_its_chunks_or_refused() {
    let (app, server) = before_shaky(ONCE).await;
    let both =
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n";
    server.script("/both", [Behaviour::Raw(both.into())]);
    let answer = app.get("/proxy/shaky/both").await;
    assert!(answer.status == 502 || answer.text() == "whole", "{answer:?}");
    let mut raw = RawConnection::open(app.data).await;
    raw.write("GET /proxy/shaky/both HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let head = raw.read_head().await.unwrap();
    let framings = ["content-length", "transfer-encoding"].map(|name| head.headers(name).len());
    assert_eq!(framings.iter().sum::<usize>(), 1, "{head:?}");
}

#[tokio::test]
async fn a_connection_the_upstream_closed_meanwhile_costs_no_call() {
    let (app, server) = before_shaky(ONCE).await;
    let closing = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    server.script("/once", [Behaviour::RawThenClose(closing.into())]);
    for _ in 0..20 {
        let answer = client::send_body(app.data, Method::POST, "/proxy/shaky/once", b"pay").await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "ok"));
        until("the upstream has closed it", SOON, async || server.connections_open() == 0).await;
    }
    assert_eq!(server.seen("/once"), 20);
}

#[tokio::test]
async fn an_answer_over_the_policys_limit_is_cut_off() {
    let (app, server) = before_shaky(&["limits: { response: 1KiB }"]).await;
    server.script("/large", [Reply::ok(vec![b'x'; 4096]).into()]);
    let cut = Connection::open(app.data).await.send(client::request("/proxy/shaky/large")).await;
    assert!(cut.is_err(), "{cut:?}");
    assert_well(&app).await;
}

#[tokio::test]
async fn a_misbehaving_server_that_dies_is_told_as_unreachable() {
    let server = Misbehaving::start().await;
    let app = TestApp::start(upstream("shaky", &server.url(), ONCE)).await;
    assert_eq!(app.get("/proxy/shaky/ok").await.status, 200);
    drop(server);
    until("its port is closed", SOON, async || {
        let answer = app.get("/proxy/shaky/ok").await;
        problem(&answer) == (502, "upstream-unreachable".to_owned())
    })
    .await;
}
