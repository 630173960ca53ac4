//! Requests that are no calls: each refused with its problem type, none reaches the upstream, and all stays well.

use http::Method;

use super::{assert_well, before_shaky, get_with, problem, raw_problem, upstream, with_headers};
use crate::support::client::{self, Connection, RawConnection, exchange};
use crate::support::levee::TestApp;
use crate::support::misbehaving::Misbehaving;

fn get_line(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")
}

#[tokio::test]
async fn an_unknown_upstream_is_named() {
    let (app, server) = before_shaky(&[]).await;
    for path in ["/proxy/nobody/ok", "/proxy/nobody", "/proxy/", "/proxy/SHAKY/ok", "/proxy/shaky%2Fok"] {
        let answer = app.get(path).await;
        assert_eq!(problem(&answer), (404, "unknown-upstream".to_owned()), "{path}");
    }
    assert!(app.get("/proxy/nobody/ok").await.text().contains("nobody"));
    let long = app.get(&format!("/proxy/{}/ok", "n".repeat(5_000))).await;
    assert_eq!(problem(&long), (404, "unknown-upstream".to_owned()));
    assert!(long.body.len() < 1_000, "the name came back at full length");
    assert_eq!(server.seen_in_all(), 0);
}

#[tokio::test]
async fn dot_segments_backslashes_and_nuls_are_refused_in_every_spelling() {
    let (app, server) = before_shaky(&[]).await;
    for path in [
        "/../ok",
        "/a/../ok",
        "/..",
        "/.",
        "/a/./ok",
        "/%2e%2e/ok",
        "/%2E%2e/ok",
        "/.%2e/ok",
        "/%2e./ok",
        "/%2e/ok",
        "/a%2f..%2fok",
        "/a%2F%2e%2E%2Fok",
        "/a%2f..",
        "/..%2fok",
        "/a\\..\\ok",
        "/a%5c..%5Cok",
        "/a\\ok",
        "/a%5Cok",
        "/%00",
        "/ok%00.txt",
    ] {
        let answer = exchange(app.data, get_line(&format!("/proxy/shaky{path}"))).await.unwrap();
        assert_eq!(raw_problem(&answer), (400, "invalid-request".to_owned()), "{path}");
    }
    for path in ["/proxy/../proxy/shaky/ok", "/proxy/./shaky/ok", "/proxy/%2e%2e/shaky/ok"] {
        let answer = exchange(app.data, get_line(path)).await.unwrap();
        assert_eq!(raw_problem(&answer), (400, "invalid-request".to_owned()), "{path}");
    }
    let mut h2 = Connection::open_h2c(app.data).await;
    let answer = h2.send(client::request("/proxy/shaky/a/%2e%2e/ok")).await.unwrap();
    assert_eq!(problem(&answer), (400, "invalid-request".to_owned()));
    assert_eq!(server.seen_in_all(), 0);
    assert_well(&app).await;
}

#[tokio::test]
async fn too_many_or_too_large_headers_are_refused() {
    let (app, server) = before_shaky(&[]).await;
    let fields =
        |count: usize| (1..count).map(|number| format!("x-{number}: 1\r\n")).collect::<Vec<_>>().concat();
    let request = |fields: &str| format!("GET /proxy/shaky/ok HTTP/1.1\r\nhost: localhost\r\n{fields}\r\n");
    let large = format!("x-large: {}\r\n", "a".repeat(70_000));
    let many_large = format!("x-large: {}\r\n", "a".repeat(1_000)).repeat(70);
    for headers in [fields(101), fields(5_000), large, many_large] {
        let answer = exchange(app.data, request(&headers)).await.unwrap();
        assert_eq!(raw_problem(&answer), (431, "headers-too-large".to_owned()), "{} bytes", headers.len());
    }
    let names: Vec<_> =
        (0..101).map(|number| format!("x-{number}").parse::<http::HeaderName>().unwrap()).collect();
    let mut crowded = client::request("/proxy/shaky/ok");
    crowded.headers_mut().extend(names.into_iter().map(|name| (name, "1".parse().unwrap())));
    let answer = Connection::open_h2c(app.data).await.send(crowded).await.unwrap();
    assert_eq!(problem(&answer), (431, "headers-too-large".to_owned()));
    assert_eq!(server.seen_in_all(), 0);
    assert_eq!(exchange(app.data, request(&fields(100))).await.unwrap().second_word(), "200");
    assert_well(&app).await;
}

#[tokio::test]
async fn only_programs_on_this_machine_may_call_anonymously() {
    let (app, server) = before_shaky(&[]).await;
    for (name, value) in [
        ("host", "api.example.com"),
        ("host", "localhost.example.com"),
        ("host", "10.0.0.1:8080"),
        ("origin", "http://localhost:8080"),
        ("origin", "null"),
        ("forwarded", "for=127.0.0.1"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "localhost"),
    ] {
        let answer = get_with(&app, "/proxy/shaky/ok", &[(name, value)]).await;
        assert_eq!(problem(&answer), (401, "unauthorized".to_owned()), "{name}: {value}");
    }
    let elsewhere = "GET http://api.example.com/proxy/shaky/ok HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let answer = exchange(app.data, elsewhere).await.unwrap();
    assert_eq!(raw_problem(&answer), (401, "unauthorized".to_owned()));
    assert_eq!(server.seen_in_all(), 0);
    let absolute = "GET http://localhost/proxy/shaky/ok HTTP/1.1\r\nhost: localhost\r\n\r\n";
    assert_eq!(exchange(app.data, absolute).await.unwrap().second_word(), "200");
    assert_well(&app).await;
}

#[tokio::test]
async fn trace_is_not_allowed_and_says_what_is() {
    let (app, server) = before_shaky(&[]).await;
    let answer = client::send_body(app.data, Method::TRACE, "/proxy/shaky/ok", b"").await;
    assert_eq!(problem(&answer), (405, "method-not-allowed".to_owned()));
    assert_eq!(answer.header("allow"), "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    assert_eq!(server.seen_in_all(), 0);
}

#[tokio::test]
async fn tunnels_and_other_protocols_are_not_supported() {
    let (app, server) = before_shaky(&[]).await;
    let websocket =
        "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: x\r\n";
    for request in [
        format!("GET /proxy/shaky/ok HTTP/1.1\r\nhost: localhost\r\n{websocket}\r\n"),
        "GET /proxy/shaky/ok HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: h2c, tls/1.2\r\n\r\n".to_owned(),
        "CONNECT localhost:443 HTTP/1.1\r\nhost: localhost:443\r\n\r\n".to_owned(),
        "CONNECT 127.0.0.1:22 HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(),
    ] {
        let answer = exchange(app.data, &request).await.unwrap();
        assert_eq!(raw_problem(&answer), (501, "not-supported".to_owned()), "{request}");
    }
    assert_eq!((server.seen_in_all(), server.connections_accepted()), (0, 0));
    assert_well(&app).await;
}

/// Java's client offers it with every request.
#[tokio::test]
async fn an_offer_of_cleartext_http_2_is_ignored() {
    let (app, server) = before_shaky(&[]).await;
    let offer = "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n";
    let request = format!("GET /proxy/shaky/ok HTTP/1.1\r\nhost: localhost\r\n{offer}\r\n");
    let answer = exchange(app.data, request).await.unwrap();
    assert_eq!((answer.start_line().as_str(), &answer.body[..]), ("HTTP/1.1 200 OK", &b"ok\n"[..]));
    let sent = &server.received()[0];
    for name in ["connection", "upgrade", "http2-settings"] {
        assert_eq!(sent.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn a_timeout_must_be_a_duration() {
    let (app, server) = before_shaky(&[]).await;
    for value in ["soon", "", "-1s", "0s", "0ms", "5", "1.5", "1s 2s", "99999999999999999999s"] {
        let answer = get_with(&app, "/proxy/shaky/ok", &[("levee-timeout", value)]).await;
        assert_eq!(problem(&answer), (400, "invalid-request".to_owned()), "{value:?}");
        assert!(answer.text().contains("Levee-Timeout"), "{value:?}");
    }
    assert_eq!(server.seen_in_all(), 0);
    for value in ["1500ms", "1.5s", "30s", "1h"] {
        assert_eq!(
            get_with(&app, "/proxy/shaky/ok", &[("levee-timeout", value)]).await.status,
            200,
            "{value}"
        );
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_at_once_by_its_length() {
    let (app, server) = before_shaky(&["limits: { request: 1KiB }"]).await;
    let mut caller = RawConnection::open(app.data).await;
    caller
        .write("POST /proxy/shaky/ok HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1025\r\n\r\n")
        .await
        .unwrap();
    let answer = caller.read_answer().await.unwrap();
    assert_eq!(raw_problem(&answer), (413, "payload-too-large".to_owned()));
    assert!(String::from_utf8_lossy(&answer.body).contains("limits.request"));
    assert_eq!(server.seen_in_all(), 0);
    let fits = client::send_body(app.data, Method::POST, "/proxy/shaky/ok", &[b'x'; 1024]).await;
    assert_eq!(fits.status, 200);
    assert_well(&app).await;
}

#[tokio::test]
async fn a_body_that_grows_over_the_limit_never_becomes_a_request() {
    let (app, server) = before_shaky(&["limits: { request: 1KiB }"]).await;
    for method in ["POST", "PUT"] {
        let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
        let head = format!(
            "{method} /proxy/shaky/ok HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        let answer = exchange(app.data, format!("{head}{chunk}1\r\nx\r\n0\r\n\r\n")).await.unwrap();
        assert_eq!(raw_problem(&answer), (413, "payload-too-large".to_owned()), "{method}");
        assert!(String::from_utf8_lossy(&answer.body).contains("limits.request"), "{method}");
    }
    assert!(server.received().is_empty(), "a request was completed");
    assert_well(&app).await;
}

#[tokio::test]
async fn a_call_that_has_been_here_before_is_a_loop() {
    let (app, server) = before_shaky(&[]).await;
    app.get("/proxy/shaky/ok").await;
    let via = server.received()[0].header("via").unwrap();
    let foreign = ["1.1 levee-other"; 8].join(", ");
    for via in [via.clone(), format!("1.1 edge, {via}"), format!("{via}, 2 edge"), foreign] {
        let answer = get_with(&app, "/proxy/shaky/ok", &[("via", &via)]).await;
        assert_eq!(problem(&answer), (508, "loop-detected".to_owned()), "{via}");
    }
    assert_eq!(server.seen_in_all(), 1);
    let passed = get_with(&app, "/proxy/shaky/ok", &[("via", "1.1 edge")]).await;
    assert_eq!(passed.status, 200);
    assert_eq!(server.received()[1].headers("via").join(", "), format!("1.1 edge, {via}"));
}

#[tokio::test]
async fn two_levees_that_call_each_other_end_it() {
    let server = Misbehaving::start().await;
    let first = TestApp::start(upstream("shaky", &server.url(), &[])).await;
    let back = format!("http://{}/proxy/there", first.data);
    let second = TestApp::start(upstream("back", &back, &[])).await;
    let there = format!("http://{}/proxy/back", second.data);
    first.rewrite_upstreams(&(upstream("shaky", &server.url(), &[]) + &upstream("there", &there, &[])));
    let soon = std::time::Duration::from_secs(10);
    crate::support::until::until("the edit is in force", soon, async || {
        first.get("/proxy/there/x").await.status != 404
    })
    .await;
    let answer = first.get("/proxy/there/x").await;
    assert_eq!((answer.status.as_u16(), answer.header("levee-answer")), (508, "upstream"));
    assert_well(&first).await;
}

#[tokio::test]
async fn what_is_not_below_proxy_is_not_a_call() {
    let (app, server) = before_shaky(&[]).await;
    for path in ["/", "/proxy", "/shaky/ok", "/Proxy/shaky/ok", "//proxy/shaky/ok", "/api/v1/breakers"] {
        let answer = app.get(path).await;
        assert_eq!(problem(&answer), (404, "not-found".to_owned()), "{path}");
    }
    let mut star = with_headers("/", &[]);
    *star.method_mut() = Method::OPTIONS;
    *star.uri_mut() = "*".parse().unwrap();
    let answer = client::send(app.data, star).await.unwrap();
    assert_eq!(answer.status, 404);
    assert_eq!(server.seen_in_all(), 0);
}
