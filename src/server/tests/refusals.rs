//! Every refusal of the wire guard: its status, its type, its reason; and that the endpoint was not asked.

use tokio::io::AsyncWriteExt;

use super::support::{Fixture, read_to_end};
use crate::server::Limits;

/// Request, and a part of the reason.
const MALFORMED: &[(&str, &str)] = &[
    (
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "stands together",
    ),
    (
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n",
        "stands together",
    ),
    (
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 3\r\n\r\nabc",
        "Content-Length is repeated",
    ),
    ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3, 3\r\n\r\nabc", "Content-Length is not one"),
    ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +3\r\n\r\nabc", "Content-Length is not one"),
    ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -3\r\n\r\nabc", "Content-Length is not one"),
    ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0x3\r\n\r\nabc", "Content-Length is not one"),
    ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length:\r\n\r\n", "Content-Length is not one"),
    (
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 18446744073709551616\r\n\r\n",
        "Content-Length is not one",
    ),
    (
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 18446744073709551615\r\n\r\n",
        "Content-Length is not one",
    ),
    (
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "not exactly chunked",
    ),
    ("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: identity\r\n\r\n", "not exactly chunked"),
    ("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: \x0bchunked\r\n\r\n", "control character"),
    (
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding is repeated",
    ),
    ("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "not part of HTTP/1.0"),
    ("GET / HTTP/1.1\nhost: a\r\n\r\n", "LF alone"),
    ("GET / HTTP/1.1\r\nhost: a\n\r\n", "LF alone"),
    ("GET / HTTP/1.1\r\nhost: a\r\n\n", "LF alone"),
    ("\nGET / HTTP/1.1\r\nhost: a\r\n\r\n", "LF alone"),
    ("GET / HTTP/1.1\r\nhost: a\rb: c\r\n\r\n", "contains CR"),
    ("GET / HTTP/1.1\r\nhost: a\r\nb\r: c\r\n\r\n", "contains CR"),
    ("GET /\r HTTP/1.1\r\nhost: a\r\n\r\n", "contains CR"),
    ("GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\n 2\r\n\r\n", "begins with white space"),
    ("GET / HTTP/1.1\r\n host: a\r\n\r\n", "begins with white space"),
    ("GET / HTTP/1.1\r\nhost: a\r\nx : 1\r\n\r\n", "before the colon"),
    ("GET / HTTP/1.1\r\nhost: a\r\n: 1\r\n\r\n", "empty name"),
    ("GET / HTTP/1.1\r\nhost: a\r\nx\0y: 1\r\n\r\n", "name holds a byte"),
    ("GET / HTTP/1.1\r\nhost: a\r\nx(y): 1\r\n\r\n", "name holds a byte"),
    ("GET / HTTP/1.1\r\nhost: a\r\nnonsense\r\n\r\n", "no colon"),
    ("GET / HTTP/1.1\r\nhost: a\r\nx: 1\0\r\n\r\n", "control character"),
    ("GET / HTTP/1.1\r\nhost: a\r\nx: \x7f\r\n\r\n", "control character"),
    ("GET / HTTP/1.1\r\n\r\n", "Host is missing"),
    ("GET / HTTP/1.1\r\nhost: a\r\nHost: a\r\n\r\n", "Host is repeated"),
    ("GET  / HTTP/1.1\r\nhost: a\r\n\r\n", "request line"),
    ("GET / HTTP/1.1 \r\nhost: a\r\n\r\n", "request line"),
    ("GET /\r\nhost: a\r\n\r\n", "request line"),
    ("G(T / HTTP/1.1\r\nhost: a\r\n\r\n", "method"),
    ("GET / HTTP/1.2\r\nhost: a\r\n\r\n", "neither HTTP/1.1"),
    ("GET / HTTP/2.0\r\nhost: a\r\n\r\n", "neither HTTP/1.1"),
    ("GET /a\0b HTTP/1.1\r\nhost: a\r\n\r\n", "request target"),
    ("GET /a#b HTTP/1.1\r\nhost: a\r\n\r\n", "request target"),
    ("GET a/b HTTP/1.1\r\nhost: a\r\n\r\n", "request target"),
    ("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n", "empty lines"),
];

fn assert_refused(answer: &str, status: u16, problem: &str, reason: &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    assert!(head.contains("content-type: application/problem+json\r\n"), "{head}");
    assert!(head.contains("connection: close"), "{head}");
    let problem_body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(problem_body["type"], format!("https://levee.dev/problems/{problem}"));
    assert_eq!(problem_body["status"], status);
    assert!(problem_body["detail"].as_str().unwrap().contains(reason), "{body} lacks {reason:?}");
}

#[tokio::test(start_paused = true)]
async fn a_malformed_head_is_refused_and_never_asked() {
    let fixture = Fixture::new();
    for (request, reason) in MALFORMED {
        let answer = fixture.exchange(request).await;
        assert_refused(&answer, 400, "invalid-request", reason);
    }
    assert!(fixture.probe.asked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_malformed_head_is_refused_just_the_same_byte_by_byte() {
    let fixture = Fixture::new();
    for (request, reason) in MALFORMED {
        let mut client = fixture.connect_through(1).0;
        let (mut inbound, mut outbound) = tokio::io::split(&mut client);
        // Once refused the rest is not wanted, and the pipe may be gone.
        let writing = async { _ = outbound.write_all(request.as_bytes()).await };
        let (answer, ()) = tokio::join!(read_to_end(&mut inbound), writing);
        assert_refused(&answer, 400, "invalid-request", reason);
    }
    assert!(fixture.probe.asked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_reason_names_the_line_and_echoes_nothing() {
    let answer = Fixture::new().exchange("GET / HTTP/1.1\r\nhost: a\r\nsecret : hidden\r\n\r\n").await;
    assert!(answer.contains("(line 3 of the request head)"), "{answer}");
    assert!(!answer.contains("secret") && !answer.contains("hidden"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_head_over_the_limits_is_431_and_a_long_request_line_400() {
    let fixture = Fixture::new();
    let fields = |count: usize| format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(count - 1));
    assert!(
        fixture
            .exchange(
                fields(100).replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n").replacen("x: y\r\n", "", 1)
            )
            .await
            .starts_with("HTTP/1.1 200")
    );
    assert_eq!(fixture.probe.asked().len(), 1);

    assert_refused(&fixture.exchange(fields(101)).await, 431, "headers-too-large", "more header fields");
    let fat = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}", "y".repeat(70_000));
    assert_refused(
        &fixture.exchange(&fat[..66_000]).await,
        431,
        "headers-too-large",
        "larger than the limit",
    );
    assert_refused(
        &fixture.exchange(fat + "\r\n\r\n").await,
        431,
        "headers-too-large",
        "larger than the limit",
    );
    let long = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "y".repeat(20_000));
    assert_refused(&fixture.exchange(&long[..17_000]).await, 400, "invalid-request", "line is too long");
    assert_refused(&fixture.exchange(long).await, 400, "invalid-request", "line is too long");
    assert_eq!(fixture.probe.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_in_a_pipeline_is_answered_after_the_good_ones() {
    let fixture = Fixture::new();
    let good = "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc";
    let answer = fixture
        .exchange(format!("{good}GET /b HTTP/1.1\r\nhost: b\r\n\r\nGET /c HTTP/1.1\r\n\r\n{good}"))
        .await;
    assert_eq!(fixture.probe.asked(), ["POST /a abc", "GET /b "]);
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 2, "{answer}");
    assert_refused(
        &answer[answer.find("HTTP/1.1 400").unwrap()..],
        400,
        "invalid-request",
        "Host is missing",
    );
}

#[tokio::test(start_paused = true)]
async fn a_refusal_waits_for_the_slow_answer_before_it() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    client
        .write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n")
        .await
        .unwrap();
    fixture.probe.asked_times(1).await;
    fixture.probe.gate.add_permits(1);
    let answer = read_to_end(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_refused(
        &answer[answer.find("HTTP/1.1 400").unwrap()..],
        400,
        "invalid-request",
        "Host is repeated",
    );
    assert_eq!(fixture.probe.asked(), ["GET /slow "]);
}

#[tokio::test(start_paused = true)]
async fn a_malformed_chunked_body_is_a_400_and_ends_the_connection() {
    let fixture = Fixture::new();
    let bodies = [
        ("zz\r\n", "not a hexadecimal"),
        ("\r\n", "not a hexadecimal"),
        ("3 4\r\nabc\r\n", "not a hexadecimal"),
        ("10000000000000000\r\n", "too large"),
        ("3\nabc\r\n0\r\n\r\n", "CR LF"),
        ("3\r\nabcd\r\n0\r\n\r\n", "longer than its size"),
        ("3\r\nabc\r\n0\r\n x\r\n\r\n", "trailer field"),
        ("3\r\nabc\r\n0\r\nx: y\n\r\n", "CR LF"),
    ];
    for (body, reason) in bodies {
        let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        let answer = fixture.exchange(format!("{head}{body}GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        assert_refused(&answer, 400, "invalid-request", reason);
    }
    let long = format!(
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3;{}\r\nabc",
        "x".repeat(2000)
    );
    assert_refused(&fixture.exchange(long).await, 400, "invalid-request", "line is too long");
    assert!(fixture.probe.asked().iter().all(|asked| asked == "POST /"), "{:?}", fixture.probe.asked());
}

#[tokio::test(start_paused = true)]
async fn what_is_tighter_than_the_default_limits_holds_too() {
    let fixture = Fixture::with(Limits { header_fields: 2, header_bytes: 128, ..Limits::default() });
    let answer = fixture.exchange("GET / HTTP/1.1\r\nhost: a\r\nb: c\r\nd: e\r\n\r\n").await;
    assert_refused(&answer, 431, "headers-too-large", "more header fields");
    let answer =
        fixture.exchange(format!("GET / HTTP/1.1\r\nhost: a\r\nb: {}\r\n\r\n", "c".repeat(128))).await;
    assert_refused(&answer, 431, "headers-too-large", "larger than the limit");
}
