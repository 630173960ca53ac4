//! Validators both ways: ours toward the upstream, and the caller's answered from memory.

use super::*;
use crate::support::wire::Message;

fn tagged(tag: &str, directives: &str, body: &str) -> Reply {
    cacheable(directives, body).header("ETag", tag)
}

fn not_modified(tag: &str, directives: &str) -> Behaviour {
    Reply::status(304).header("ETag", tag).header("Cache-Control", directives).into()
}

fn last(server: &Misbehaving) -> Message {
    server.received().pop().unwrap()
}

#[tokio::test]
async fn a_stale_copy_is_confirmed_by_a_304_and_the_caller_gets_it_whole() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, "").await;
    server.script(
        "/x",
        [tagged("\"v1\"", "max-age=0", "the body").into(), not_modified("\"v1\"", "max-age=60")],
    );
    assert_eq!(get(&app, "/x").await.header("levee-answer"), "upstream");
    assert_eq!(last(&server).header("if-none-match"), None);
    let confirmed = get(&app, "/x").await;
    assert_eq!(last(&server).header("if-none-match").unwrap(), "\"v1\"");
    assert_eq!((confirmed.status.as_u16(), confirmed.text()), (200, "the body"));
    assert_eq!(confirmed.header("cache-status"), "levee; fwd=stale; fwd-status=304; stored");
    assert_eq!((confirmed.header("levee-answer"), confirmed.header("levee-attempts")), ("cache", "1"));
    let fresh = get(&app, "/x").await;
    assert_eq!((fresh.text(), fresh.header("levee-attempts"), server.seen("/x")), ("the body", "0", 2));
    assert_eq!(
        app.metric("levee_cache_requests_total{upstream=\"api\",result=\"revalidated\"}").await,
        Some(1.0)
    );
}

#[tokio::test]
async fn a_copy_that_no_longer_holds_is_replaced() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, "").await;
    let modified = "Mon, 01 Jan 2024 00:00:00 GMT";
    let old = tagged("\"v1\"", "no-cache", "old").header("Last-Modified", modified);
    server.script(
        "/x",
        [old.into(), tagged("\"v2\"", "no-cache", "new").into(), not_modified("\"v2\"", "no-cache")],
    );
    for (body, tag, since) in
        [("old", None, None), ("new", Some("\"v1\""), Some(modified)), ("new", Some("\"v2\""), None)]
    {
        assert_eq!(get(&app, "/x").await.text(), body);
        let asked = last(&server);
        assert_eq!(asked.header("if-none-match").as_deref(), tag);
        assert_eq!(asked.header("if-modified-since").as_deref(), since);
    }
}

#[tokio::test]
async fn a_callers_own_condition_is_answered_from_memory() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, "").await;
    let modified = "Mon, 01 Jan 2024 00:00:00 GMT";
    server
        .script("/x", [tagged("\"v1\"", "max-age=60", "the body").header("Last-Modified", modified).into()]);
    get(&app, "/x").await;
    for (name, value, status) in [
        ("if-none-match", "\"v1\"", 304),
        ("if-none-match", "W/\"v1\"", 304),
        ("if-none-match", "\"v0\", \"v1\"", 304),
        ("if-none-match", "*", 304),
        ("if-none-match", "\"v2\"", 200),
        ("if-modified-since", modified, 304),
        ("if-modified-since", "Sun, 31 Dec 2023 00:00:00 GMT", 200),
    ] {
        let answer = get_with(&app, "/x", name, value).await;
        assert_eq!(answer.status, status, "{name}: {value}");
        assert_eq!((answer.header("levee-answer"), answer.header("etag")), ("cache", "\"v1\""));
        assert_eq!(answer.body.is_empty(), status == 304);
    }
    assert_eq!(server.seen("/x"), 1);
}

#[tokio::test]
async fn a_304_for_the_stored_tag_is_not_one_for_the_callers() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, "").await;
    server
        .script("/x", [tagged("\"v1\"", "no-cache", "the body").into(), not_modified("\"v1\"", "no-cache")]);
    get(&app, "/x").await;
    for (tag, status) in [("\"v0\"", 200), ("\"v1\"", 304)] {
        let answer = get_with(&app, "/x", "if-none-match", tag).await;
        assert_eq!(answer.status, status, "{tag}");
        assert_eq!(last(&server).header("if-none-match").unwrap(), "\"v1\"", "ours, whatever the caller's");
    }
}

#[tokio::test]
async fn a_callers_condition_passes_where_nothing_can_be_stored() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, "").await;
    server.script(
        "/x",
        [tagged("\"v1\"", "private, max-age=60", "the body").into(), not_modified("\"v1\"", "private")],
    );
    assert_eq!(get(&app, "/x").await.text(), "the body");
    let answer = get_with(&app, "/x", "if-none-match", "\"v1\"").await;
    assert_eq!(last(&server).header("if-none-match").as_deref(), Some("\"v1\""));
    assert_eq!((answer.status.as_u16(), answer.body.len()), (304, 0));
}

#[tokio::test]
async fn a_304_that_nobody_can_use_is_asked_about_again() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, "").await;
    server.script(
        "/x",
        [
            tagged("\"v1\"", "no-cache", "old").into(),
            not_modified("\"v9\"", "no-cache"),
            tagged("\"v9\"", "no-cache", "new").into(),
        ],
    );
    get(&app, "/x").await;
    let answer = get(&app, "/x").await;
    assert_eq!((answer.status.as_u16(), answer.text(), server.seen("/x")), (200, "new", 3));
    assert_eq!(last(&server).header("if-none-match"), None);
}
