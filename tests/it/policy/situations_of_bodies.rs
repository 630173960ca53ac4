//! The situations a correct engine handles, at the level of calls: what probes are told, attempts, and bodies.

use std::time::Instant;

use http_body_util::BodyExt as _;

use super::*;
use crate::support::client::Connection;
use crate::support::nginx::nginx;

/// One failure opens it, for long.
const TRIPS_AT_ONCE: &str = "breaker: { minimumCalls: 1, failureRate: 0.5, open: { base: 60s, cap: 60s } }\n";

#[tokio::test]
async fn a_probe_answered_with_retry_after_sets_the_open_period_up_to_the_cap() {
    for (asked, least, most) in [(120, 38, 49), (20, 18, 25)] {
        let server = Misbehaving::start().await;
        let open = "breaker: { minimumCalls: 1, failureRate: 0.5, open: { base: 50ms, cap: 40s } }\n";
        let app = levee_before(&server, &format!("{PLAIN}{open}")).await;
        let busy = Reply::status(503).header("Retry-After", &asked.to_string());
        server.script("/probe", [busy.into()]);
        assert_eq!(get(&app, "/status/503").await.status, 503);
        until("a probe went through", SOON, async || {
            get(&app, "/probe").await;
            server.seen("/probe") == 1
        })
        .await;
        let refused = get(&app, "/ok").await;
        let retry_after: u64 = refused.header("retry-after").parse().unwrap();
        assert_eq!(problem(&refused), "circuit-open");
        assert!((least..=most).contains(&retry_after), "asked {asked}, told {retry_after}");
        assert_eq!(server.seen("/ok"), 0);
    }
}

#[tokio::test]
async fn a_probe_that_levee_itself_refuses_is_neutral() {
    let server = Misbehaving::start().await;
    let seats = "concurrency: { limit: 1, queue: 0 }\n";
    let open = "breaker: { minimumCalls: 1, failureRate: 0.5, open: { base: 50ms, cap: 50ms }, halfOpen: { probes: 1 } }\n";
    let app = levee_before(&server, &format!("{PLAIN}{seats}{open}")).await;
    let unfinished = "HTTP/1.1 503 Scripted\r\nContent-Length: 10\r\n\r\n01234";
    server.script("/unfinished", [Behaviour::Raw(unfinished.into())]);
    let mut caller = Connection::open(app.data).await;
    let answer = caller.begin(client::request("/proxy/api/unfinished")).await.unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(state(&app).await, "open", "its headers opened it, its body still holds the only seat");
    for _ in 0..3 {
        until("a probe is refused a seat", SOON, async || problem(&get(&app, "/ok").await) == "overloaded")
            .await;
        assert_eq!(state(&app).await, "half_open");
    }
    assert_eq!(server.seen("/ok"), 0);
    drop((answer, caller));
    until("the next one is served", SOON, async || get(&app, "/ok").await.status == 200).await;
    assert_eq!(state(&app).await, "closed");
    assert_eq!(transitions(&app, "open", "probe_failed").await, 0);
}

#[tokio::test]
async fn a_breaker_that_opens_between_attempts_ends_the_retrying_at_once_and_the_fallback_answers() {
    let server = Misbehaving::start().await;
    let retry = "retry: { attempts: 5, backoff: { base: 60s, cap: 60s, throttledBase: 60s } }\n";
    let rest = "cache: { mode: off }\ntimeout: { total: 10m }\nfallback: [{ static: { body: calm } }]\n";
    for (path, told) in [("/reset", "error=connection_terminated"), ("/status/503", "received-status=503")] {
        let app = levee_before(&server, &format!("{retry}{TRIPS_AT_ONCE}{rest}")).await;
        let started = Instant::now();
        let answer = get(&app, path).await;
        assert_eq!((answer.text(), answer.header("levee-fallback")), ("calm", "static"));
        assert_eq!(answer.header("proxy-status"), format!("levee; {told}; next-hop=\"api\""));
        assert_eq!((answer.header("levee-attempts"), server.seen(path)), ("1", 1));
        assert!(started.elapsed() < SOON, "no backoff was slept");
        assert_eq!(state(&app).await, "open");
    }
}

#[tokio::test]
async fn a_breaker_that_opens_during_a_backoff_leaves_the_last_real_answer() {
    let server = Misbehaving::start().await;
    let breaker = TRIPS_AT_ONCE.replace("minimumCalls: 1", "minimumCalls: 2");
    let app = levee_before(&server, &format!("cache: {{ mode: off }}\n{breaker}")).await;
    let busy = Reply::status(503).header("Retry-After", "2");
    server.script("/busy", [busy.into(), Reply::ok("").into()]);
    let mut first = begin(&app, "/busy").await;
    until("it failed once", SOON, async || window(&app).await == (1, 1)).await;
    assert_eq!(send(&app, Method::POST, "/status/503", b"").await.status, 503);
    assert_eq!(state(&app).await, "open");
    let answer = first.read_answer().await.unwrap();
    assert_eq!((answer.second_word().as_str(), answer.body.as_slice()), ("503", &b"status 503\n"[..]));
    assert_eq!(answer.header("proxy-status").unwrap(), "levee; received-status=503; next-hop=\"api\"");
    assert_eq!(answer.header("levee-attempts").unwrap(), "1");
    assert_eq!(server.seen("/busy"), 1);
}

#[tokio::test]
async fn a_body_that_breaks_after_fine_headers_is_a_failure_at_its_end_and_never_tried_again() {
    let nine_of_ten = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n012345678";
    for cache in ["cache: { mode: off }\n", "", "cache: { mode: override, ttl: 60s }\n"] {
        let server = Misbehaving::start().await;
        let app = levee_before(&server, cache).await;
        server.script("/breaks", [Behaviour::Raw(nine_of_ten.into())]);
        let mut caller = Connection::open(app.data).await;
        let answer = caller.begin(client::request("/proxy/api/breaks")).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(window(&app).await, (0, 0), "{cache}: not over yet");
        assert_eq!(server.seen("/breaks"), 1);
        drop(server);
        let body = http_body_util::BodyExt::collect(answer.into_body()).await;
        assert!(body.is_err(), "{cache}: the caller sees that it broke");
        until("it counts as a failure", SOON, async || window(&app).await == (1, 1)).await;
        until_idle(&app).await;
    }
}

#[tokio::test]
async fn bodies_that_break_open_the_circuit() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, "").await;
    for _ in 0..5 {
        assert!(client::send(app.data, client::request("/proxy/api/reset-in-body")).await.is_err());
    }
    until("five in a row opened it", SOON, async || state(&app).await == "open").await;
    assert_eq!(server.seen("/reset-in-body"), 5, "each was asked for once");
    assert_eq!(transitions(&app, "open", "consecutive_failures").await, 1);
}

#[tokio::test]
async fn callers_who_abort_inside_a_body_are_nobodys_failure() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, PLAIN).await;
    let unfinished = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234";
    server.script("/unfinished", [Behaviour::Raw(unfinished.into())]);
    for _ in 0..50 {
        let mut caller = Connection::open(app.data).await;
        let answer = caller.begin(client::request("/proxy/api/unfinished")).await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    until_idle(&app).await;
    assert_eq!((window(&app).await, state(&app).await.as_str()), ((0, 0), "closed"));
    until("their connections are closed", SOON, async || server.connections_open() == 0).await;
}

#[tokio::test]
async fn a_body_that_its_caller_takes_too_slowly_is_no_failure_of_the_upstream() {
    let spec = format!("{PLAIN}timeout: {{ body: 1s }}\n");
    let app = TestApp::start(document("api", &format!("http://{}", nginx().await.http), &spec)).await;
    let mut caller = Connection::open(app.data).await;
    let answer = caller.begin(client::request("/proxy/api/large.bin")).await.unwrap();
    let begun = Instant::now();
    until("the whole time is over", SOON, async || begun.elapsed() > Duration::from_millis(1500)).await;
    assert!(answer.into_body().collect().await.is_err(), "broken off all the same");
    until_idle(&app).await;
    assert_eq!(window(&app).await, (0, 0), "the time was the caller's");
}
