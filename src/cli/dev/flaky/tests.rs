//! Tests of the misbehaving upstream over real sockets.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::yield_now;
use tokio::time::Instant;

use super::*;

struct World {
    flaky: Flaky,
    tracker: TaskTracker,
    token: CancellationToken,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl World {
    async fn start() -> Self {
        let (tracker, token) = (TaskTracker::new(), CancellationToken::new());
        let flaky = Flaky::bind("127.0.0.1:0".parse().unwrap(), &tracker, token.clone()).await.unwrap();
        Self { flaky, tracker, token }
    }

    async fn connect(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.flaky.local_addr()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    async fn try_send(&self, line: &str, headers: &str, body: &str) -> io::Result<Answer> {
        let request = format!(
            "{line} HTTP/1.1\r\nhost: flaky\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut answer = String::new();
        self.connect(&request).await.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Ok(Answer { status: head[9..12].parse().unwrap(), head: head.to_owned(), body: body.to_owned() })
    }

    async fn send(&self, line: &str, body: &str) -> Answer {
        self.try_send(line, "", body).await.unwrap()
    }

    async fn change(&self, body: &str) {
        assert_eq!(self.send("PUT /_flaky", body).await.status, 200);
    }
}

#[tokio::test]
async fn it_behaves_at_first() {
    let world = World::start().await;
    let hello = world.send("GET /hello", "").await.json();
    assert_eq!((&hello["message"], &hello["served"]), (&"hello from flaky".into(), &1.into()));
    let time = world.send("GET /time", "").await;
    assert!(
        time.head.contains("cache-control: public, max-age=5, stale-while-revalidate=30"),
        "{}",
        time.head
    );
    assert_eq!(world.send("GET /nowhere", "").await.status, 404);
    assert_eq!(world.send("DELETE /hello", "").await.status, 405);
}

#[tokio::test]
async fn an_echo_tells_what_arrived() {
    let world = World::start().await;
    let answer = world.try_send("PATCH /echo?a=1&a=2", "x-odd: ü\r\n", "some body").await.unwrap();
    let told = answer.json();
    assert_eq!(told["method"], "PATCH");
    assert_eq!(told["query"], "a=1&a=2");
    assert_eq!(told["headers"]["x-odd"], "ü");
    assert_eq!(told["body"], "some body");
    let large = "x".repeat(1024 * 1024);
    assert_eq!(world.send("POST /echo", &large).await.json()["bytes"], 1024 * 1024);
}

#[tokio::test]
async fn items_answer_304_to_who_holds_them() {
    let world = World::start().await;
    let item = world.send("GET /items/7", "").await;
    assert_eq!(item.json()["id"], "7");
    let tag = item.head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
    let modified = "Thu, 01 Jan 2026 00:00:00 GMT";
    assert!(item.head.contains(&format!("last-modified: {modified}")), "{}", item.head);
    for (condition, status) in [
        (format!("if-none-match: {tag}"), 304),
        (format!("if-none-match: \"other\", W/{tag}"), 304),
        ("if-none-match: *".to_owned(), 304),
        (format!("if-modified-since: {modified}"), 304),
        ("if-none-match: \"other\"".to_owned(), 200),
        (format!("if-none-match: \"other\"\r\nif-modified-since: {modified}"), 200),
        ("if-modified-since: Wed, 31 Dec 2025 23:59:59 GMT".to_owned(), 200),
        ("if-modified-since: nonsense".to_owned(), 200),
    ] {
        let answer = world.try_send("GET /items/7", &format!("{condition}\r\n"), "").await.unwrap();
        assert_eq!(answer.status, status, "{condition}");
    }
}

#[tokio::test]
async fn a_stream_arrives_line_by_line() {
    let world = World::start().await;
    let answer = world.send("GET /stream?count=3&every=1ms", "").await;
    assert!(answer.head.contains("transfer-encoding: chunked"), "{}", answer.head);
    let numbers: Vec<&str> = answer.body.lines().filter(|line| line.starts_with('{')).collect();
    assert_eq!(numbers, ["{\"number\":1}", "{\"number\":2}", "{\"number\":3}"]);
}

#[tokio::test]
async fn the_behaviour_is_shown_and_changed_by_body_and_by_query() {
    let world = World::start().await;
    world.change(r#"{"mode":"error","status":500}"#).await;
    assert_eq!(world.send("GET /hello", "").await.status, 500);
    assert_eq!(world.send("POST /_flaky?latency=200ms&failureRate=0.25", "").await.status, 200);
    let shown = world.send("GET /_flaky", "").await.body;
    assert_eq!(shown, "{\"mode\":\"error\",\"failureRate\":0.25,\"latency\":\"200ms\",\"status\":500}\n");
    world.change(r#"{"mode":"ok"}"#).await;
    assert_eq!(world.send("GET /hello", "").await.status, 200);
}

#[tokio::test]
async fn bad_input_changes_nothing_and_names_every_wrong_field() {
    let world = World::start().await;
    let before = world.send("GET /_flaky", "").await.body;
    let body = r#"{"mode":"lazy","failureRate":1.5,"latency":200,"status":200,"a/b":1}"#;
    let refused = world.send("PUT /_flaky", body).await;
    assert_eq!(refused.status, 400);
    assert!(refused.head.contains("content-type: application/problem+json"), "{}", refused.head);
    let problem = refused.json();
    let pointers: Vec<_> =
        problem["errors"].as_array().unwrap().iter().map(|fault| &fault["pointer"]).collect();
    assert_eq!(pointers, ["/mode", "/failureRate", "/latency", "/status", "/a~1b"]);
    for body in [
        "{",
        "[]",
        "{\"mode\":1}",
        "{\"latency\":\"6m\"}",
        "{\"latency\":\"99999999999s\"}",
        &"x".repeat(9000),
    ] {
        assert_eq!(world.send("PUT /_flaky", body).await.status, 400, "{body}");
    }
    assert_eq!(world.send("POST /_flaky?mode", "").await.status, 400);
    assert_eq!(world.send("DELETE /_flaky", "").await.status, 405);
    let page =
        world.try_send("POST /_flaky?mode=error", "origin: https://example.com\r\n", "").await.unwrap();
    assert_eq!(page.status, 403);
    assert_eq!(world.send("GET /_flaky", "").await.body, before);
}

#[tokio::test]
async fn random_fails_at_the_rate_given() {
    let world = World::start().await;
    world.change(r#"{"mode":"random","failureRate":1.0,"status":502}"#).await;
    assert_eq!(world.send("GET /hello", "").await.status, 502);
    world.change(r#"{"failureRate":0}"#).await;
    assert_eq!(world.send("GET /hello", "").await.status, 200);
}

#[tokio::test]
async fn reset_breaks_the_connection_off() {
    let world = World::start().await;
    world.change(r#"{"mode":"reset"}"#).await;
    let broken = world.try_send("GET /hello", "", "").await;
    assert_eq!(broken.err().unwrap().kind(), io::ErrorKind::ConnectionReset);
    world.change(r#"{"mode":"ok"}"#).await;
    assert_eq!(world.send("GET /hello", "").await.status, 200);
}

#[tokio::test]
async fn slow_answers_after_the_latency() {
    let world = World::start().await;
    world.change(r#"{"mode":"slow","latency":"30ms"}"#).await;
    let start = Instant::now();
    assert_eq!(world.send("GET /hello", "").await.status, 200);
    assert!(start.elapsed() >= Duration::from_millis(30));
}

#[tokio::test]
async fn hang_answers_when_the_mode_changes() {
    let world = World::start().await;
    world.change(r#"{"mode":"hang"}"#).await;
    let mut hanging = world.connect("GET /hello HTTP/1.1\r\nhost: flaky\r\nconnection: close\r\n\r\n").await;
    world.change(r#"{"mode":"hang","status":500}"#).await;
    let mut first = [0; 12];
    assert!(futures_util::FutureExt::now_or_never(hanging.read_exact(&mut first)).is_none());
    world.change(r#"{"mode":"ok"}"#).await;
    hanging.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
}

#[tokio::test]
async fn a_caller_who_leaves_a_hang_leaves_nothing_behind() {
    let world = World::start().await;
    world.change(r#"{"mode":"hang"}"#).await;
    let hanging = world.connect("GET /hello HTTP/1.1\r\nhost: flaky\r\n\r\n").await;
    while world.tracker.len() < 2 {
        yield_now().await;
    }
    drop(hanging);
    while world.tracker.len() > 1 {
        yield_now().await;
    }
}

#[tokio::test]
async fn it_ends_with_its_token_and_listens_on_loopback_only() {
    let world = World::start().await;
    let _idle = world.connect("").await;
    world.token.cancel();
    world.tracker.close();
    world.tracker.wait().await;
    assert!(TcpStream::connect(world.flaky.local_addr()).await.is_err());
    let refused = Flaky::bind("0.0.0.0:0".parse().unwrap(), &world.tracker, world.token.clone()).await;
    assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::InvalidInput);
}
