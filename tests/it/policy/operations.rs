//! Parts of an upstream with their own policy: matched by method and path, first match wins.

use super::*;
use crate::support::wire::Message;

fn operations(entries: &[&str]) -> String {
    let lines: Vec<_> = entries.iter().map(|entry| format!("  - {{ {entry} }}")).collect();
    format!("operations:\n{}", lines.join("\n"))
}

/// A static answer that tells which policy a call ran under.
fn telling(name: &str) -> String {
    format!("fallback: [{{ static: {{ body: {name} }} }}]")
}

#[tokio::test]
async fn the_first_operation_whose_method_and_path_match_gives_the_policy() {
    let server = Misbehaving::start().await;
    let quote =
        format!("name: quote, match: {{ methods: [GET], path: '/quotes/{{id}}' }}, {}", telling("quote"));
    let writing = format!(
        "name: writing, match: {{ methods: [PUT, DELETE], path: '/quotes/**' }}, {}",
        telling("writing")
    );
    let never =
        format!("name: never, match: {{ methods: [GET], path: '/quotes/{{id}}' }}, {}", telling("never"));
    let rest = format!("name: rest, match: {{ path: '/quotes/**' }}, {}", telling("rest"));
    let spec = format!(
        "{PLAIN}breaker: {{ mode: metrics_only }}\nfallbackOn: [reset]\n{}\n{}",
        telling("whole"),
        operations(&[&quote, &writing, &never, &rest])
    );
    let app = levee_before(&server, &spec).await;
    for (method, path, expected) in [
        (Method::GET, "/quotes/1", "quote"),
        (Method::GET, "/quotes/1?x=/", "quote"),
        (Method::GET, "/quotes/a%2Fb", "quote"),
        (Method::PUT, "/quotes/1", "writing"),
        (Method::DELETE, "/quotes/1/lines/2", "writing"),
        (Method::GET, "/quotes/1/lines", "rest"),
        (Method::POST, "/quotes/1", "rest"),
        (Method::GET, "/quotes", "rest"),
        (Method::GET, "/Quotes/1", "whole"),
        (Method::GET, "/other", "whole"),
    ] {
        server.script(path.split('?').next().unwrap(), [Behaviour::RawThenReset(Bytes::new())]);
        let answer = send(&app, method.clone(), path, b"").await;
        assert_eq!(answer.text(), expected, "{method} {path}");
    }
}

#[tokio::test]
async fn an_operation_overrides_whole_blocks_and_inherits_the_others() {
    let server = Misbehaving::start().await;
    let quick = "name: quick, match: { path: /hang }, timeout: { total: 300ms }";
    let eager = "name: eager, match: { path: '/status/{code}' }, retry: { attempts: 4, backoff: { base: 1ms, cap: 1ms } }";
    let kept = "name: kept, match: { path: /ok }, cache: { mode: override, ttl: 1h }";
    let marked = "name: marked, match: { path: /echo }, headers: { set: { x-operation: marked } }";
    let spec = format!(
        "{PLAIN}timeout: {{ total: 10m, attempt: 9m }}\nbreaker: {{ mode: metrics_only }}\nheaders: {{ set: {{ x-whole: yes-sir }} }}\n{}",
        operations(&[quick, eager, kept, marked])
    );
    let app = levee_before(&server, &spec).await;
    assert_eq!(problem(&get(&app, "/hang").await), "upstream-timeout");
    assert_eq!((get(&app, "/status/503").await.status.as_u16(), server.seen("/status/503")), (503, 4));
    for _ in 0..3 {
        get(&app, "/ok").await;
        get(&app, "/delay/1").await;
    }
    assert_eq!((server.seen("/ok"), server.seen("/delay/1")), (1, 3));
    assert!(get(&app, "/echo").await.text().contains("x-operation: marked"));
    let whole: Vec<_> = server
        .received()
        .iter()
        .filter(|request| request.header("x-whole").is_some())
        .map(Message::path)
        .collect();
    assert!(whole.contains(&"/ok".to_owned()) && !whole.contains(&"/echo".to_owned()), "{whole:?}");
}

const TRIPS: &str = "minimumCalls: 2, failureRate: 1.0, open: { base: 1h, cap: 1h }";

#[tokio::test]
async fn operations_share_the_breaker_unless_they_have_one_of_their_own() {
    let server = Misbehaving::start().await;
    let sharing = "name: sharing, match: { path: '/sharing/**' }, timeout: { total: 20s }".to_owned();
    let own = format!("name: own, match: {{ path: '/own/**' }}, breaker: {{ {TRIPS} }}");
    let spec = format!("{PLAIN}breaker: {{ {TRIPS} }}\n{}", operations(&[&sharing, &own]));
    let app = levee_before(&server, &spec).await;
    for path in ["/sharing/x", "/own/x"] {
        server.script(path, [Reply::status(503).into()]);
    }
    server.script("/own/good", [Reply::ok("").into()]);
    let state_of =
        async |query: &str| app.ask(&format!("/api/v1/breakers/api{query}")).await.json()["state"].clone();
    get(&app, "/own/x").await;
    get(&app, "/own/x").await;
    assert_eq!((state_of("?operation=own").await, state_of("").await), ("open".into(), "closed".into()));
    assert_eq!(problem(&get(&app, "/own/good").await), "circuit-open");
    assert_eq!(get(&app, "/ok").await.status, 200, "the whole goes on");
    let restart = levee_before(&server, &spec).await;
    get(&restart, "/sharing/x").await;
    get(&restart, "/sharing/x").await;
    assert_eq!(
        problem(&get(&restart, "/ok").await),
        "circuit-open",
        "a shared breaker opens for all who share it"
    );
    assert_eq!(get(&restart, "/own/good").await.status, 200);
    let metric = "levee_breaker_state{upstream=\"api\",operation=\"own\",state=\"closed\"}";
    assert_eq!(restart.metric(metric).await, Some(1.0));
    assert_eq!(restart.ask("/api/v1/breakers/api?operation=sharing").await.status, 404);
}

#[tokio::test]
async fn operations_share_the_seats_unless_they_have_some_of_their_own() {
    let server = Misbehaving::start().await;
    let sharing = "name: sharing, match: { path: /sharing }, timeout: { total: 10m }";
    let own = "name: own, match: { path: /own }, concurrency: { limit: 1, queue: 0 }";
    let spec = format!("{PLAIN}concurrency: {{ limit: 1, queue: 0 }}\n{}", operations(&[sharing, own]));
    let app = levee_before(&server, &spec).await;
    let gate = Gate::closed();
    for path in ["/whole", "/sharing", "/own"] {
        server.script(path, [held(&gate, Reply::ok(""))]);
    }
    let _whole = begin(&app, "/whole").await;
    until("the seat is taken", SOON, async || gate.waiting() == 1).await;
    assert_eq!(problem(&get(&app, "/sharing").await), "overloaded");
    let _own = begin(&app, "/own").await;
    until("the other seat is taken", SOON, async || gate.waiting() == 2).await;
    assert_eq!(problem(&get(&app, "/own").await), "overloaded");
}
