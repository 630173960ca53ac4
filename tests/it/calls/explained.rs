//! Every answer explains itself, in exactly the words of the contract.

use std::collections::HashSet;

use super::{before_shaky, problem};
use crate::support::client::Answer;
use crate::support::misbehaving::{Behaviour, Reply};

/// The five headers that say where a body comes from.
#[derive(Debug, PartialEq, Eq)]
struct Said<'a> {
    answer: &'a str,
    fallback: &'a str,
    attempts: &'a str,
    cache: &'a str,
    proxy: &'a str,
}

fn said(answer: &Answer) -> Said<'_> {
    Said {
        answer: answer.header("levee-answer"),
        fallback: answer.header("levee-fallback"),
        attempts: answer.header("levee-attempts"),
        cache: answer.header("cache-status"),
        proxy: answer.header("proxy-status"),
    }
}

fn reset() -> Behaviour {
    Behaviour::RawThenReset("".into())
}

#[track_caller]
fn seconds(answer: &Answer, name: &str) -> u64 {
    answer.header(name).parse().unwrap_or_else(|error| panic!("{name}: {error}: {answer:?}"))
}

#[tokio::test]
async fn an_upstreams_own_answer() {
    let (app, server) = before_shaky(&[]).await;
    server.script("/x", [Reply::ok("x").header("Cache-Control", "no-store").into()]);
    let answer = app.get("/proxy/shaky/x").await;
    let expected =
        Said { answer: "upstream", fallback: "", attempts: "1", cache: "levee; fwd=uri-miss", proxy: "" };
    assert_eq!(said(&answer), expected);
    for name in ["age", "retry-after"] {
        assert!(!answer.headers.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn an_upstreams_error_passed_on() {
    let (app, server) = before_shaky(&["retry: { attempts: 1 }"]).await;
    server.script("/x", [Reply::status(503).header("Retry-After", "7").into()]);
    let answer = app.get("/proxy/shaky/x").await;
    let proxy = r#"levee; received-status=503; next-hop="shaky""#;
    let expected =
        Said { answer: "upstream", fallback: "", attempts: "1", cache: "levee; fwd=uri-miss", proxy };
    assert_eq!(said(&answer), expected);
    assert_eq!((answer.text(), answer.header("retry-after")), ("status 503\n", "7"));
}

#[tokio::test]
async fn a_stored_answer_and_its_hit() {
    let (app, server) = before_shaky(&[]).await;
    server.script("/x", [Reply::ok("x").header("Cache-Control", "max-age=100").header("Age", "40").into()]);
    let stored = app.get("/proxy/shaky/x").await;
    let cache = "levee; fwd=uri-miss; stored";
    assert_eq!(said(&stored), Said { answer: "upstream", fallback: "", attempts: "1", cache, proxy: "" });
    assert_eq!(seconds(&stored, "age"), 40);
    let hit = app.get("/proxy/shaky/x").await;
    let age = seconds(&hit, "age");
    assert!((40..60).contains(&age), "{age}");
    let cache = &*format!("levee; hit; ttl={}; detail=memory", 100 - age);
    assert_eq!(said(&hit), Said { answer: "cache", fallback: "", attempts: "0", cache, proxy: "" });
    assert_eq!((server.seen("/x"), hit.text()), (1, "x"));
}

#[tokio::test]
async fn a_stale_answer_in_place_of_an_error() {
    let (app, server) =
        before_shaky(&["retry: { attempts: 1 }", "fallback: [ stale: { maxAge: 1h } ]"]).await;
    let stale_already = || Reply::ok("old").header("Cache-Control", "max-age=10").header("Age", "70");
    server.script("/reset", [stale_already().into(), reset()]);
    server.script("/503", [stale_already().into(), Reply::status(503).into()]);
    for (path, cache, error) in [
        ("/reset", "levee; fwd=stale; detail=stale", "error=connection_terminated"),
        ("/503", "levee; fwd=stale; fwd-status=503; detail=stale", "received-status=503"),
    ] {
        let path = format!("/proxy/shaky{path}");
        assert_eq!(app.get(&path).await.text(), "old");
        let answer = app.get(&path).await;
        let proxy = &*format!("levee; {error}; next-hop=\"shaky\"");
        let expected = Said { answer: "fallback", fallback: "stale", attempts: "1", cache, proxy };
        assert_eq!(said(&answer), expected);
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "old"));
        assert!((70..90).contains(&seconds(&answer, "age")), "{answer:?}");
    }
}

#[tokio::test]
async fn the_responses_own_stale_if_error() {
    let (app, server) = before_shaky(&["retry: { attempts: 1 }"]).await;
    let reply =
        Reply::ok("old").header("Cache-Control", "max-age=10, stale-if-error=1000").header("Age", "70");
    server.script("/x", [reply.into(), Reply::status(503).into()]);
    app.get("/proxy/shaky/x").await;
    let answer = app.get("/proxy/shaky/x").await;
    let cache = "levee; fwd=stale; fwd-status=503; detail=stale";
    let proxy = r#"levee; received-status=503; next-hop="shaky""#;
    assert_eq!(said(&answer), Said { answer: "cache", fallback: "", attempts: "1", cache, proxy });
    assert_eq!(answer.text(), "old");
}

#[tokio::test]
async fn a_confirmed_answer() {
    let (app, server) = before_shaky(&[]).await;
    let reply =
        Reply::ok("same").header("Cache-Control", "max-age=10").header("Age", "70").header("ETag", "\"1\"");
    let not_modified = Reply::status(304).header("Cache-Control", "max-age=10").header("ETag", "\"1\"");
    server.script("/x", [reply.into(), not_modified.into()]);
    app.get("/proxy/shaky/x").await;
    let answer = app.get("/proxy/shaky/x").await;
    let cache = "levee; fwd=stale; fwd-status=304; stored";
    assert_eq!(said(&answer), Said { answer: "cache", fallback: "", attempts: "1", cache, proxy: "" });
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "same"));
    assert_eq!(server.received()[1].header("if-none-match").as_deref(), Some("\"1\""));
}

#[tokio::test]
async fn a_fixed_fallback() {
    let fallback =
        "fallback: [ static: { status: 203, headers: { content-type: text/plain }, body: sorry } ]";
    let (app, _server) = before_shaky(&["retry: { attempts: 1 }", fallback]).await;
    let answer = app.get("/proxy/shaky/reset").await;
    let proxy = r#"levee; error=connection_terminated; next-hop="shaky""#;
    let cache = "levee; fwd=uri-miss";
    assert_eq!(said(&answer), Said { answer: "fallback", fallback: "static", attempts: "1", cache, proxy });
    assert_eq!((answer.status.as_u16(), answer.text()), (203, "sorry"));
    assert_eq!(answer.header("content-type"), "text/plain");
}

#[tokio::test]
async fn another_upstream_as_a_fallback() {
    let other = crate::support::misbehaving::Misbehaving::start().await;
    let server = crate::support::misbehaving::Misbehaving::start().await;
    let spec = ["retry: { attempts: 1 }", "fallback: [ upstream: { name: backup } ]"];
    let documents =
        super::upstream("shaky", &server.url(), &spec) + &super::upstream("backup", &other.url(), &[]);
    let app = crate::support::levee::TestApp::start(documents).await;
    other.script("/reset", [Reply::ok("backup").into()]);
    let answer = app.get("/proxy/shaky/reset").await;
    let proxy = r#"levee; error=connection_terminated; next-hop="shaky""#;
    let cache = "levee; fwd=uri-miss";
    let expected = Said { answer: "fallback", fallback: "upstream:backup", attempts: "2", cache, proxy };
    assert_eq!(said(&answer), expected);
    assert_eq!(answer.text(), "backup");
}

#[tokio::test]
async fn an_open_circuit_without_a_fallback() {
    let spec = ["retry: { attempts: 1 }", "breaker: { open: { base: 20s, cap: 20s } }"];
    let (app, _server) = before_shaky(&spec).await;
    for _ in 0..5 {
        assert_eq!(app.get("/proxy/shaky/reset").await.status, 502);
    }
    let answer = app.get("/proxy/shaky/ok").await;
    assert_eq!(problem(&answer), (503, "circuit-open".to_owned()));
    let proxy = r#"levee; error=destination_unavailable; next-hop="shaky""#;
    let cache = "levee; fwd=uri-miss";
    assert_eq!(said(&answer), Said { answer: "levee", fallback: "", attempts: "0", cache, proxy });
    let after = seconds(&answer, "retry-after");
    assert!((1..=30).contains(&after), "{after}");
}

#[tokio::test]
async fn only_if_cached_when_nothing_is() {
    let (app, server) = before_shaky(&[]).await;
    let answer = super::get_with(&app, "/proxy/shaky/ok", &[("cache-control", "only-if-cached")]).await;
    assert_eq!(problem(&answer), (504, "only-if-cached".to_owned()));
    let proxy = r#"levee; error=http_request_denied; next-hop="shaky""#;
    assert_eq!(said(&answer), Said { answer: "levee", fallback: "", attempts: "0", cache: "levee", proxy });
    assert_eq!(server.seen_in_all(), 0);
}

#[tokio::test]
async fn refusals_before_any_upstream() {
    let (app, _server) = before_shaky(&[]).await;
    for (path, status, error) in [
        ("/proxy/nobody/ok", 404, "destination_not_found"),
        ("/proxy/shaky/%2e%2e/ok", 400, "http_request_error"),
    ] {
        let answer = app.get(path).await;
        assert_eq!(problem(&answer).0, status);
        let proxy = &*format!("levee; error={error}");
        let expected = Said { answer: "levee", fallback: "", attempts: "0", cache: "levee", proxy };
        assert_eq!(said(&answer), expected);
    }
}

#[tokio::test]
async fn caches_and_proxies_further_up_keep_their_word() {
    let (app, server) = before_shaky(&[]).await;
    let reply =
        Reply::ok("x").header("Cache-Status", "origin; hit").header("Proxy-Status", "edge; details=x");
    server.script("/x", [reply.into()]);
    let answer = app.get("/proxy/shaky/x").await;
    let values =
        |name| answer.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(values("cache-status"), ["origin; hit", "levee; fwd=uri-miss"]);
    assert_eq!(values("proxy-status"), ["edge; details=x"]);
}

#[tokio::test]
async fn every_call_has_an_id_of_its_own_that_sorts_by_time() {
    let (app, _server) = before_shaky(&[]).await;
    let mut ids = Vec::new();
    for path in
        ["/proxy/shaky/ok", "/proxy/shaky/ok", "/proxy/nobody", "/proxy/shaky/..", "/proxy/shaky/close"]
    {
        let answer = app.get(path).await;
        let id = uuid::Uuid::parse_str(answer.header("levee-call-id")).unwrap();
        assert_eq!(id.get_version_num(), 7);
        ids.push(id);
    }
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
    let times = ids.iter().map(|id| id.get_timestamp().unwrap().to_unix());
    assert!(times.is_sorted(), "{ids:?}");
}
