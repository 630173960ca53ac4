//! When a call is tried again, and how often: methods, causes, `Retry-After`, the budget, and two Levees in a row.

use std::time::{Duration, Instant};

use super::*;
use crate::support::client::{Connection, burst};
use crate::support::ports::ClosedPort;

/// Next to no pause between attempts, and no breaker in the way.
const QUICK: &str = "backoff: { base: 1ms, cap: 10s, throttledBase: 1ms }";
const NO_BREAKER: &str = "breaker: { mode: metrics_only }\ncache: { mode: off }\n";

fn retry(settings: &str) -> String {
    format!("retry: {{ {QUICK}, {settings} }}\n{NO_BREAKER}")
}

fn once_then_ok(first: impl Into<Behaviour>) -> [Behaviour; 2] {
    [first.into(), Reply::ok("at last").into()]
}

fn reset() -> Behaviour {
    Behaviour::RawThenReset(Bytes::new())
}

#[tokio::test]
async fn only_idempotent_methods_are_tried_again_when_something_may_have_been_sent() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, &retry("attempts: 3")).await;
    for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE] {
        for (path, first) in [("/reset", reset()), ("/busy", Reply::status(503).into())] {
            let path = format!("{path}-{method}");
            server.script(&path, once_then_ok(first));
            let answer = send(&app, method.clone(), &path, b"").await;
            assert_eq!((answer.status.as_u16(), answer.header("levee-attempts")), (200, "2"), "{path}");
            assert_eq!(server.seen(&path), 2, "{path}");
        }
    }
    for method in [Method::POST, Method::PATCH] {
        for (path, first, status) in [("/reset", reset(), 502), ("/busy", Reply::status(503).into(), 503)] {
            let path = format!("{path}-{method}");
            server.script(&path, once_then_ok(first));
            let answer = send(&app, method.clone(), &path, b"{}").await;
            assert_eq!((answer.status.as_u16(), answer.header("levee-attempts")), (status, "1"), "{path}");
            assert_eq!(server.seen(&path), 1, "{path}");
        }
    }
}

#[tokio::test]
async fn any_method_is_tried_once_more_when_nothing_was_sent_and_that_costs_no_budget() {
    let closed = ClosedPort::take();
    let url = format!("http://{}", closed.address);
    let no_budget = retry("attempts: 3, budget: { percent: 0, minPerSecond: 0 }");
    let app = TestApp::start(document("api", &url, &no_budget)).await;
    for method in [Method::GET, Method::POST, Method::PATCH] {
        let answer = send(&app, method.clone(), "/x", b"{}").await;
        assert_eq!((answer.status.as_u16(), answer.header("levee-attempts")), (502, "2"), "{method}");
        assert_eq!(problem(&answer), "upstream-unreachable");
    }
    let large = send(&app, Method::POST, "/x", &vec![b'x'; 200_000]).await;
    assert_eq!(large.header("levee-attempts"), "2", "a body of which nothing was sent is still at hand");
    let with_budget = TestApp::start(document("api", &url, &retry("attempts: 3"))).await;
    assert_eq!(get(&with_budget, "/x").await.header("levee-attempts"), "3", "from then on it pays");
    assert_eq!(send(&with_budget, Method::POST, "/x", b"").await.header("levee-attempts"), "2");
    let off = TestApp::start(document("api", &url, &retry("attempts: 1"))).await;
    assert_eq!(send(&off, Method::POST, "/x", b"").await.header("levee-attempts"), "1");
}

#[tokio::test]
async fn a_post_is_tried_again_only_where_the_key_is_honoured_and_sent() {
    let server = Misbehaving::start().await;
    for (settings, key, attempts) in [
        ("idempotencyKey: honoured", true, 2),
        ("idempotencyKey: honoured", false, 1),
        ("attempts: 3", true, 1),
    ] {
        let app = levee_before(&server, &retry(settings)).await;
        let path = format!("/pay-{key}-{attempts}");
        server.script(&path, once_then_ok(reset()));
        let mut request = client::request(&format!("/proxy/api{path}"));
        *request.method_mut() = Method::POST;
        if key {
            request.headers_mut().insert("idempotency-key", "k-1".parse().unwrap());
        }
        let answer = client::send(app.data, request).await.unwrap();
        assert_eq!((answer.status == 200, server.seen(&path)), (attempts == 2, attempts), "{settings} {key}");
    }
    let keys: Vec<_> =
        server.received().iter().filter_map(|request| request.header("idempotency-key")).collect();
    assert_eq!(keys, ["k-1", "k-1", "k-1"], "the same key each time");
}

#[tokio::test]
async fn no_more_attempts_are_made_than_allowed_and_the_last_answer_is_passed_on() {
    let server = Misbehaving::start().await;
    for attempts in [1, 2, 4] {
        let app = levee_before(&server, &retry(&format!("attempts: {attempts}"))).await;
        let path = format!("/busy-{attempts}");
        server.script(&path, [Reply::status(503).header("X-Own", "1").into()]);
        let answer = get(&app, &path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.text(), answer.header("x-own")),
            (503, "status 503\n", "1")
        );
        assert_eq!((answer.header("levee-answer"), server.seen(&path)), ("upstream", attempts));
        assert_eq!(answer.header("levee-attempts"), attempts.to_string());
    }
}

#[tokio::test]
async fn what_the_policy_does_not_list_is_not_tried_again() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, &retry("on: [timeout], statuses: [502], methods: [GET]")).await;
    assert_eq!((get(&app, "/reset").await.status.as_u16(), server.seen("/reset")), (502, 1));
    assert_eq!((get(&app, "/status/503").await.status.as_u16(), server.seen("/status/503")), (503, 1));
    assert_eq!((get(&app, "/status/502").await.status.as_u16(), server.seen("/status/502")), (502, 3));
    server.script("/put", once_then_ok(Reply::status(502)));
    assert_eq!((send(&app, Method::PUT, "/put", b"").await.status.as_u16(), server.seen("/put")), (502, 1));
}

#[tokio::test]
async fn too_early_and_request_timeout_are_tried_once_more() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, &retry("attempts: 5")).await;
    for status in [408, 425] {
        let path = format!("/status/{status}");
        assert_eq!((get(&app, &path).await.status.as_u16(), server.seen(&path)), (status, 2));
    }
}

#[tokio::test]
async fn retry_after_is_waited_for_when_it_fits() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, &retry("attempts: 2")).await;
    let in_seconds = Reply::status(503).header("Retry-After", "1");
    let as_a_date = Reply::status(503)
        .header("Date", "Mon, 01 Jan 2024 00:00:00 GMT")
        .header("Retry-After", "Mon, 01 Jan 2024 00:00:01 GMT");
    for (path, first) in [("/seconds", in_seconds), ("/date", as_a_date)] {
        server.script(path, once_then_ok(first));
        let started = Instant::now();
        assert_eq!((get(&app, path).await.text(), server.seen(path)), ("at last", 2));
        assert!(
            started.elapsed() >= Duration::from_secs(1),
            "{path}: asked again after {:?}",
            started.elapsed()
        );
    }
}

#[tokio::test]
async fn retry_after_that_does_not_fit_ends_the_retrying_and_is_passed_on() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, &format!("timeout: {{ total: 20s }}\n{}", retry("attempts: 3"))).await;
    server.script("/busy", [Reply::status(503).header("Retry-After", "60").into()]);
    let started = Instant::now();
    let answer = get(&app, "/busy").await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after"), server.seen("/busy")), (503, "60", 1));
    assert!(started.elapsed() < Duration::from_secs(15));
    let shortened = get_with(&app, "/busy", "levee-timeout", "50s").await;
    assert_eq!((shortened.status.as_u16(), server.seen("/busy")), (503, 2), "a wish cannot lengthen");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_budget_stops_a_storm() {
    let server = Misbehaving::start().await;
    let budget = "attempts: 3, budget: { percent: 20, minPerSecond: 0.5, window: 60s }";
    let app = levee_before(&server, &retry(budget)).await;
    let address = app.data;
    let done = burst(10, move |_| async move {
        let mut connection = Connection::open(address).await;
        for _ in 0..40 {
            let answer = connection.send(client::request("/proxy/api/status/503")).await.unwrap();
            assert_eq!(answer.status, 503);
        }
    });
    done.await;
    let (calls, reserve) = (400, 30);
    assert_eq!(
        server.seen("/status/503"),
        calls + calls / 5 + reserve,
        "each spends all there is, and no more"
    );
    assert_eq!(app.metric("levee_retry_budget_remaining{upstream=\"api\"}").await, Some(0.0));
    assert_eq!(
        app.metric("levee_retries_total{upstream=\"api\",reason=\"status\"}").await,
        Some(f64::from(110_u32))
    );
}

#[tokio::test]
async fn attempts_do_not_multiply_in_a_chain_of_levees() {
    let server = Misbehaving::start().await;
    let settings = retry("attempts: 3");
    let last = levee_before(&server, &settings).await;
    let below = |app: &TestApp| document("api", &format!("http://{}/proxy/api", app.data), &settings);
    let middle = TestApp::start(below(&last)).await;
    let first = TestApp::start(below(&middle)).await;
    for (app, path) in [(&last, "/one"), (&middle, "/two"), (&first, "/three")] {
        server.script(path, [Reply::status(503).into()]);
        let answer = get(app, path).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (503, "status 503\n"));
        assert_eq!(server.seen(path), 3, "{path}: only the outermost Levee tries again");
        assert_eq!(answer.header("levee-attempts"), "3");
    }
}

/// Five bytes of an answer in chunks that never ends.
fn broken_off(status: u16) -> Behaviour {
    let head = format!("HTTP/1.1 {status} Scripted\r\nTransfer-Encoding: chunked\r\n\r\n");
    Behaviour::RawThenClose(format!("{head}5\r\n01234\r\n").into())
}

#[tokio::test]
async fn an_error_that_breaks_off_is_no_whole_answer() {
    let server = Misbehaving::start().await;
    let budget = "retry: { budget: { percent: 0, minPerSecond: 0 } }\n";
    for (rest, told) in [("retry: { attempts: 1 }\n", 502), (budget, 502), ("", 200)] {
        for status in [503, 502] {
            let app = levee_before(&server, &format!("{rest}breaker: {{ mode: metrics_only }}\n")).await;
            let path = format!("/{status}");
            server.script(&path, [broken_off(status), Reply::ok("good").into()]);
            let answer = get(&app, &path).await;
            assert_eq!(answer.status, told, "{rest:?} {status}");
            if told == 502 {
                assert_eq!(problem(&answer), "upstream-unreachable");
                assert!(answer.header("proxy-status").contains("error=http_response_incomplete"));
            }
        }
    }
}

#[tokio::test]
async fn an_error_over_the_limit_has_no_hole() {
    let server = Misbehaving::start().await;
    let spec = "retry: { budget: { percent: 0, minPerSecond: 0 } }\nlimits: { response: 8 }\n";
    let app = levee_before(&server, spec).await;
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let body = ["0123", "456789ab", "xyz"].map(chunk).concat();
    let head = "HTTP/1.1 503 Scripted\r\nTransfer-Encoding: chunked\r\n\r\n";
    server.script("/x", [Behaviour::RawThenClose(format!("{head}{body}0\r\n\r\n").into())]);
    let mut caller = begin_with(&app, "/x", "Cache-Control: no-store\r\n").await;
    // It may break off before the head or after it: what matters is that it does not look whole.
    let rest = String::from_utf8(caller.read_to_end().await.unwrap_or_default()).unwrap();
    assert!(!rest.contains("xyz") && !rest.ends_with("0\r\n\r\n"), "{rest:?}");
}
