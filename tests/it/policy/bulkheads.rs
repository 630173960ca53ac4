//! Seats: how many calls at once, who waits, who is refused, and that every seat comes back.

use std::time::{Duration, Instant};

use super::*;
use crate::support::client::Connection;

const OTHER_CALLER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

async fn queued(app: &TestApp) -> Option<f64> {
    app.metric("levee_queue_depth{upstream=\"api\"}").await
}

#[tokio::test]
async fn a_full_upstream_has_a_bounded_queue_and_refuses_what_does_not_fit() {
    let server = Misbehaving::start().await;
    let app =
        levee_before(&server, &format!("{PLAIN}concurrency: {{ limit: 2, queue: 1, queueTimeout: 60s }}\n"))
            .await;
    let gate = Gate::closed();
    server.script("/held", [held(&gate, Reply::ok("through"))]);
    let mut calls = Vec::new();
    for _ in 0..3 {
        calls.push(begin(&app, "/held").await);
    }
    until("two are upstream, one waits", SOON, async || {
        gate.waiting() == 2 && queued(&app).await == Some(1.0)
    })
    .await;
    let refused = get(&app, "/held").await;
    assert_eq!((refused.status.as_u16(), problem(&refused).as_str()), (503, "overloaded"));
    assert_eq!((refused.header("retry-after"), refused.header("levee-attempts")), ("1", "0"));
    assert_eq!(refused.header("proxy-status"), "levee; error=connection_limit_reached; next-hop=\"api\"");
    assert_eq!(server.seen("/held"), 2, "neither the queue nor the refusal reached it");
    gate.let_through(1);
    until("the one that waited took the seat", SOON, async || server.seen("/held") == 3).await;
    assert_eq!(queued(&app).await, Some(0.0));
    gate.open();
    for call in &mut calls {
        assert_eq!(call.read_answer().await.unwrap().body, b"through");
    }
    assert_eq!(window(&app).await, (3, 0), "a refusal of ours is not the upstream's failure");
}

#[tokio::test]
async fn waiting_in_the_queue_ends_after_its_timeout_or_with_the_call() {
    let server = Misbehaving::start().await;
    let gate = Gate::closed();
    server.script("/held", [held(&gate, Reply::ok(""))]);
    for (queue_timeout, asked) in [("200ms", "10m"), ("60s", "200ms")] {
        let seats = format!("concurrency: {{ limit: 1, queueTimeout: {queue_timeout} }}\n");
        let app = levee_before(&server, &format!("{PLAIN}{seats}")).await;
        let _seated = begin(&app, "/held").await;
        until("the seat is taken", SOON, async || gate.waiting() > 0).await;
        let started = Instant::now();
        let refused = get_with(&app, "/ok", "levee-timeout", asked).await;
        assert_eq!((refused.status.as_u16(), problem(&refused).as_str()), (503, "overloaded"));
        assert!(started.elapsed() >= Duration::from_millis(200));
        assert_eq!(refused.header("retry-after"), "1");
        assert_eq!(queued(&app).await, Some(0.0), "its place in the line is free again");
    }
    assert_eq!(server.seen("/ok"), 0);
}

#[tokio::test]
async fn one_caller_has_its_own_limit_and_others_keep_their_seats() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, &format!("{PLAIN}concurrency: {{ limit: 100, perCaller: 2 }}\n")).await;
    let gate = Gate::closed();
    server.script("/held", [held(&gate, Reply::ok(""))]);
    let mut calls = [begin(&app, "/held").await, begin(&app, "/held").await];
    until("both are in flight", SOON, async || gate.waiting() == 2).await;
    let refused = get(&app, "/ok").await;
    assert_eq!((refused.status.as_u16(), problem(&refused).as_str()), (429, "too-many-concurrent"));
    assert_eq!((refused.header("retry-after"), refused.header("levee-attempts")), ("1", "0"));
    assert_eq!(status_from(OTHER_CALLER, app.data, "/proxy/api/ok").await, 200);
    assert_eq!(server.seen("/ok"), 1);
    gate.open();
    for call in &mut calls {
        assert_eq!(call.read_answer().await.unwrap().second_word(), "200");
    }
    until("its places are free again", SOON, async || get(&app, "/ok").await.status == 200).await;
}

/// Fills every seat at once and finds exactly as many as there are.
async fn assert_full_capacity(app: &TestApp, server: &Misbehaving, seats: usize, after: &str) {
    until_idle(app).await;
    let gate = Gate::closed();
    server.script("/fill", [held(&gate, Reply::ok(""))]);
    let mut calls = Vec::new();
    for _ in 0..seats {
        calls.push(begin(app, "/fill").await);
    }
    until(&format!("all seats are taken after {after}"), SOON, async || gate.waiting() == seats).await;
    assert_eq!(problem(&get(app, "/ok").await), "overloaded", "after {after}");
    gate.open();
    for call in &mut calls {
        assert_eq!(call.read_answer().await.unwrap().second_word(), "200", "after {after}");
    }
}

#[tokio::test]
async fn every_seat_comes_back_however_a_call_ends() {
    let server = Misbehaving::start().await;
    let spec = "cache: { mode: off }\nconcurrency: { limit: 3, queue: 0, perCaller: 4 }\n\
        timeout: { total: 2s, attempt: 500ms, idleBody: 500ms }\nbreaker: { mode: metrics_only }\n\
        retry: { attempts: 2, backoff: { base: 1ms, cap: 1ms } }\n";
    let app = levee_before(&server, spec).await;
    let unfinished = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234";
    server.script("/unfinished", [Behaviour::Raw(unfinished.into())]);
    assert_full_capacity(&app, &server, 3, "the start").await;
    for path in ["/ok", "/status/503", "/status/204", "/status/304", "/reset", "/close", "/hang", "/garbage"]
    {
        for _ in 0..3 {
            get(&app, path).await;
        }
        assert_full_capacity(&app, &server, 3, path).await;
    }
    for _ in 0..3 {
        send(&app, Method::HEAD, "/ok", b"").await;
    }
    assert_full_capacity(&app, &server, 3, "HEAD").await;
    for path in ["/reset-in-body", "/short", "/unfinished"] {
        for _ in 0..3 {
            assert!(client::send(app.data, client::request(&format!("/proxy/api{path}"))).await.is_err());
        }
        assert_full_capacity(&app, &server, 3, path).await;
    }
    for _ in 0..3 {
        let seen = server.seen("/hang");
        let caller = begin(&app, "/hang").await;
        until("it is upstream", SOON, async || server.seen("/hang") > seen).await;
        drop(caller);
    }
    assert_full_capacity(&app, &server, 3, "callers who left before headers").await;
    for _ in 0..3 {
        let mut caller = Connection::open(app.data).await;
        let answer = caller.begin(client::request("/proxy/api/unfinished")).await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    assert_full_capacity(&app, &server, 3, "callers who left inside the body").await;
}

#[tokio::test]
async fn a_caller_who_leaves_the_queue_gives_its_place_back() {
    let server = Misbehaving::start().await;
    let app =
        levee_before(&server, &format!("{PLAIN}concurrency: {{ limit: 1, queue: 1, queueTimeout: 60s }}\n"))
            .await;
    let gate = Gate::closed();
    server.script("/held", [held(&gate, Reply::ok(""))]);
    let _seated = begin(&app, "/held").await;
    until("the seat is taken", SOON, async || gate.waiting() == 1).await;
    for _ in 0..3 {
        let waiting = begin(&app, "/ok").await;
        until("it waits", SOON, async || queued(&app).await == Some(1.0)).await;
        drop(waiting);
        until("its place is free", SOON, async || queued(&app).await == Some(0.0)).await;
    }
    assert_eq!(server.seen("/ok"), 0);
}

#[tokio::test]
async fn a_caller_keeps_its_place_until_it_has_taken_what_is_copied_for_it() {
    let server = Misbehaving::start().await;
    let spec = "concurrency: { perCaller: 1 }\ncache: { maxObject: 8MiB }\n";
    let app = levee_before(&server, spec).await;
    server.script("/large", [Reply::ok(vec![b'x'; 7 << 20]).header("Cache-Control", "max-age=60").into()]);
    let mut slow = Connection::open_h2c(app.data).await;
    let unread = slow.begin(client::request("/proxy/api/large")).await.unwrap();
    assert_eq!(unread.headers()["levee-answer"], "upstream");
    until("it is stored", SOON, async || get(&app, "/large").await.header("levee-answer") == "cache").await;
    assert_eq!(problem(&get(&app, "/ok").await), "too-many-concurrent", "its copy waits in memory");
    drop((unread, slow));
    until("its place is free", SOON, async || get(&app, "/ok").await.status == 200).await;
}
