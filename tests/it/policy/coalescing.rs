//! Many who ask the same at once: one request upstream, and nobody hurt by another's leaving, haste or privacy.

use std::collections::HashSet;

use super::*;
use crate::support::client::{Connection, burst};
use crate::support::wire::Message;

async fn misses(app: &TestApp) -> Option<f64> {
    app.metric("levee_cache_requests_total{upstream=\"api\",result=\"miss\"}").await
}

/// A thousand callers who have all looked in vain before the first answer comes; returns what they got.
async fn a_burst(app: &TestApp, gate: &Gate, path: &'static str) -> Vec<Answer> {
    let (address, before) = (app.data, misses(app).await.unwrap());
    let calls = tokio::spawn(burst(1000, move |_| client::get(address, path)));
    until("all have looked", SOON * 3, async || misses(app).await.unwrap() - before >= 1000.0).await;
    // Who has looked joins the flight a moment later, which nothing shows; on a busy machine the moment is longer.
    tokio::time::sleep(Duration::from_millis(300)).await;
    gate.open();
    calls.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_a_thousand_makes_one_request() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, "").await;
    let gate = Gate::closed();
    server.script("/x", [held(&gate, cacheable("max-age=60", "one for all")), Behaviour::Hang]);
    let answers = a_burst(&app, &gate, "/proxy/api/x").await;
    assert_eq!(server.seen("/x"), 1);
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.text() == "one for all"));
    let collapsed =
        answers.iter().filter(|answer| answer.header("cache-status").ends_with("collapsed")).count();
    assert_eq!(collapsed, 999);
    assert!(answers.iter().all(|answer| answer.header("levee-attempts") == "1"));
    let counted = "levee_cache_requests_total{upstream=\"api\",result=\"collapsed\"}";
    assert_eq!(app.metric(counted).await, Some(999.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_is_asked_for_once_however_calls_and_answers_cross() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, "").await;
    let paths: Vec<_> = (0..500).map(|number| format!("/x/{number}")).collect();
    for path in &paths {
        server.script(path, [cacheable("max-age=3600", "").into()]);
    }
    let (address, asked) = (app.data, paths.clone());
    burst(16, move |_| {
        let asked = asked.clone();
        async move {
            let mut connection = Connection::open(address).await;
            for path in &asked {
                let answer = connection.send(client::request(&format!("/proxy/api{path}"))).await.unwrap();
                assert_eq!(answer.status, 200);
            }
        }
    })
    .await;
    let again: Vec<_> = paths.iter().filter(|path| server.seen(path) != 1).collect();
    assert!(again.is_empty(), "asked for more than once: {again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_upstream_is_asked_once_for_the_burst() {
    for (then, status) in [(Reply::status(503).into(), 503), (Behaviour::RawThenReset(Bytes::new()), 502)] {
        let server = Misbehaving::start().await;
        let app = levee_before(&server, "retry: { attempts: 1 }\n").await;
        let gate = Gate::closed();
        server.script("/x", [held(&gate, then)]);
        let answers = a_burst(&app, &gate, "/proxy/api/x").await;
        assert_eq!(server.seen("/x"), 1);
        assert!(answers.iter().all(|answer| answer.status == status), "all get {status}");
        assert_eq!(window(&app).await, (1, 1), "and it failed once, not a thousand times");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_at_a_failing_upstream_is_tried_again_once_not_a_thousand_times() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, "retry: { attempts: 3, backoff: { base: 1ms, cap: 1ms } }\n").await;
    let gate = Gate::closed();
    server.script("/x", [held(&gate, Reply::status(502))]);
    let answers = a_burst(&app, &gate, "/proxy/api/x").await;
    assert_eq!(server.seen("/x"), 3);
    assert!(answers.iter().all(|answer| answer.status == 502 && answer.header("levee-attempts") == "3"));
}

/// Calls that are surely in one flight, the first of them its leader.
async fn together(app: &TestApp, gate: &Gate, count: usize, lines: &[&str]) -> Vec<RawConnection> {
    let mut calls = Vec::new();
    for number in 0..count {
        let before = misses(app).await.unwrap();
        calls.push(begin_with(app, "/x", lines.get(number).unwrap_or(&"")).await);
        until("it has looked", SOON, async || misses(app).await.unwrap() > before).await;
    }
    until("one is upstream", SOON, async || gate.waiting() == 1).await;
    calls
}

async fn text(call: &mut RawConnection) -> (String, String) {
    let answer: Message = call.read_answer().await.unwrap();
    (answer.second_word(), String::from_utf8(answer.body).unwrap())
}

fn ok(body: &str) -> (String, String) {
    ("200".to_owned(), body.to_owned())
}

#[tokio::test]
async fn a_leader_who_leaves_hurts_nobody() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, "").await;
    let gate = Gate::closed();
    server.script("/x", [held(&gate, cacheable("max-age=60", "good"))]);
    let mut calls = together(&app, &gate, 5, &[]).await;
    drop(calls.remove(0));
    let cancelled = "levee_calls_total{upstream=\"api\",method=\"GET\",outcome=\"cancelled\"}";
    until("its leaving was noticed", SOON, async || app.metric(cancelled).await == Some(1.0)).await;
    assert_eq!(gate.waiting(), 1, "the request goes on");
    gate.open();
    for call in &mut calls {
        assert_eq!(text(call).await, ok("good"));
    }
    assert_eq!(server.seen("/x"), 1);
}

#[tokio::test]
async fn everybody_keeps_its_own_deadline() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, "").await;
    let gate = Gate::closed();
    server.script("/x", [held(&gate, cacheable("max-age=60", "good"))]);
    let hasty = "Levee-Timeout: 400ms\r\n";
    let mut calls = together(&app, &gate, 4, &[hasty, "", hasty, ""]).await;
    for number in [0, 2] {
        assert_eq!(text(&mut calls[number]).await.0, "504", "call {number}");
    }
    gate.open();
    for number in [1, 3] {
        assert_eq!(text(&mut calls[number]).await, ok("good"), "call {number}");
    }
    assert_eq!(server.seen("/x"), 1);
}

#[tokio::test]
async fn answers_that_are_not_to_be_stored_are_not_shared() {
    for (directives, name, value) in [
        ("private, max-age=60", "X-Any", "1"),
        ("no-store", "X-Any", "1"),
        ("max-age=60", "Set-Cookie", "session=1"),
        ("max-age=60", "Vary", "*"),
    ] {
        let server = Misbehaving::start().await;
        let app = levee_before(&server, "").await;
        let gate = Gate::closed();
        let own = |number: usize| cacheable(directives, &format!("for {number}")).header(name, value);
        let first = held(&gate, own(0));
        server.script("/x", std::iter::once(first).chain((1..10).map(|number| own(number).into())));
        let mut calls = together(&app, &gate, 10, &[]).await;
        gate.open();
        let mut bodies = HashSet::new();
        for call in &mut calls {
            bodies.insert(text(call).await.1);
        }
        assert_eq!((bodies.len(), server.seen("/x")), (10, 10), "{directives} {name}");
    }
}

#[tokio::test]
async fn a_failure_meant_for_one_caller_is_not_given_to_another() {
    let (alice, bob) = ("Authorization: Bearer alice\r\n", "Authorization: Bearer bob\r\n");
    for (lines, name, value) in [
        ([alice, bob], "X-Any", "1"),
        (["", ""], "Set-Cookie", "session=1"),
        (["", ""], "Cache-Control", "private"),
        (["", ""], "Cache-Control", "no-store"),
    ] {
        let server = Misbehaving::start().await;
        let app = levee_before(&server, "cache: { shared: true }\nretry: { attempts: 1 }\n").await;
        let gate = Gate::closed();
        let failure = |whose: &str| Reply { body: whose.to_owned().into(), ..Reply::status(500) };
        let for_alice = held(&gate, failure("for alice").header(name, value));
        server.script("/x", [for_alice, failure("for bob").into()]);
        let mut calls = together(&app, &gate, 2, &lines).await;
        gate.open();
        for (call, whose) in calls.iter_mut().zip(["for alice", "for bob"]) {
            assert_eq!(text(call).await, ("500".to_owned(), whose.to_owned()), "{name}: {value}");
        }
    }
}

#[tokio::test]
async fn a_304_that_forbids_to_store_is_for_the_leader_alone() {
    for (name, value) in
        [("Set-Cookie", "session=of-one"), ("Cache-Control", "private"), ("Cache-Control", "no-store")]
    {
        let server = Misbehaving::start().await;
        let app = levee_before(&server, "").await;
        let gate = Gate::closed();
        let stored = cacheable("max-age=0", "stored").header("ETag", "\"v1\"");
        let confirmed = Reply::status(304).header("ETag", "\"v1\"").header(name, value);
        let own = |number: usize| Reply::ok(format!("for {number}")).into();
        let first = [stored.into(), held(&gate, confirmed)];
        server.script("/x", first.into_iter().chain((1..5).map(own)));
        assert_eq!(get(&app, "/x").await.text(), "stored");
        let mut calls = together(&app, &gate, 5, &[]).await;
        gate.open();
        let mut bodies = HashSet::new();
        for (number, call) in calls.iter_mut().enumerate() {
            let answer: Message = call.read_answer().await.unwrap();
            let cookie = answer.header("set-cookie").is_some();
            assert_eq!(cookie, number == 0 && name == "Set-Cookie", "{value}: call {number}");
            bodies.insert(answer.body);
        }
        assert_eq!((bodies.len(), server.seen("/x")), (5, 6), "{value}: everybody asked for itself");
    }
}

#[tokio::test]
async fn callers_with_different_credentials_are_never_in_one_flight() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, "").await;
    let gate = Gate::closed();
    server.script("/x", [held(&gate, cacheable("max-age=60", ""))]);
    let calls = [
        begin_with(&app, "/x", "Authorization: Bearer a\r\n").await,
        begin_with(&app, "/x", "Authorization: Bearer b\r\n").await,
        begin_with(&app, "/x", "Cookie: session=c\r\n").await,
        begin(&app, "/x").await,
    ];
    until("each asks for itself", SOON, async || gate.waiting() == calls.len()).await;
}

#[tokio::test]
async fn a_body_that_breaks_breaks_for_all_who_waited_and_is_not_kept() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, "").await;
    let gate = Gate::closed();
    let half = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\n01234";
    server.script(
        "/x",
        [held(&gate, Behaviour::RawThenClose(half.into())), cacheable("max-age=60", "whole").into()],
    );
    let mut calls = together(&app, &gate, 3, &[]).await;
    gate.open();
    assert!(calls[0].read_answer().await.is_err(), "the leader has its headers already");
    for call in &mut calls[1..] {
        assert_eq!(text(call).await.0, "502");
    }
    assert_eq!(get(&app, "/x").await.text(), "whole");
}
