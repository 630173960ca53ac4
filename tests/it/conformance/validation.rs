//! Validators, and the headers of what is stored (RFC 9111 sections 3.1, 3.2 and 4.3; RFC 9110 section 13).

use super::Fate::{Asked, Confirmed, Reused};
use super::*;

const FRESH: &str = "Cache-Control: max-age=3600";
const OLD: [&str; 2] = ["Cache-Control: max-age=1", "Age: 60"];
const CHANGED: &str = "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT";

#[tokio::test]
async fn a_fresh_answer_judges_the_callers_conditions() {
    let stage = Stage::set().await;
    for (number, (validator, condition, unchanged)) in [
        ("ETag: \"a\"", "If-None-Match: \"a\"", true),
        ("ETag: \"a\"", "If-None-Match: W/\"a\"", true),
        ("ETag: W/\"a\"", "If-None-Match: \"a\"", true),
        ("ETag: \"a\"", "If-None-Match: \"b\"", false),
        ("ETag: \"a\"", "If-None-Match: \"b\", \"a\"", true),
        ("ETag: \"a\"", "If-None-Match: *", true),
        ("ETag: \"a,b\"", "If-None-Match: \"x\", \"a,b\"", true),
        ("ETag: \"a\"", "If-None-Match: \"A\"", false),
        (CHANGED, "If-Modified-Since: Mon, 01 Jan 2024 00:00:00 GMT", true),
        (CHANGED, "If-Modified-Since: Tue, 02 Jan 2024 00:00:00 GMT", true),
        (CHANGED, "If-Modified-Since: Sun, 31 Dec 2023 00:00:00 GMT", false),
        (CHANGED, "If-Modified-Since: yesterday", false),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/if/{number}");
        stage.server.script(&path, [reply(200, &[FRESH, validator]).into()]);
        stage.get(&path).await;
        let answer = stage.ask(Method::GET, &path, &[header(condition)]).await;
        let expected = if unchanged { 304 } else { 200 };
        let seen = stage.server.seen(&path);
        assert_eq!(
            (answer.status.as_u16(), seen),
            (expected, 1),
            "RFC 9111 4.3.2: {validator} and {condition}"
        );
    }
    stage.server.script("/both", [reply(200, &[FRESH, "ETag: \"a\"", CHANGED]).into()]);
    stage.get("/both").await;
    let conditions = ["If-None-Match: \"b\"", "If-Modified-Since: Tue, 02 Jan 2024 00:00:00 GMT"].map(header);
    let answer = stage.ask(Method::GET, "/both", &conditions).await;
    assert_eq!(answer.status.as_u16(), 200, "RFC 9110 13.2.2: the tag counts, not the date");
}

#[tokio::test]
async fn a_304_tells_what_a_caller_needs_and_no_more() {
    let stage = Stage::set().await;
    let expires = line("Expires", &date(3600));
    let lines =
        [FRESH, "ETag: \"a\"", "Vary: Accept", "Content-Location: /x", &expires, "Content-Type: text/plain"];
    stage.server.script("/304", [reply(200, &lines).into()]);
    stage.get("/304").await;
    let answer = stage.ask(Method::GET, "/304", &[header("If-None-Match: \"a\"")]).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (304, 0));
    for name in ["cache-control", "etag", "vary", "content-location", "expires", "date"] {
        assert!(!answer.header(name).is_empty(), "RFC 9110 15.4.5: {name}");
    }
}

#[tokio::test]
async fn a_stale_answer_is_confirmed_by_its_own_validator() {
    let by_tag = [OLD[0], OLD[1], "ETag: \"a\""];
    Stage::set()
        .await
        .check(vec![
            case("4.3.1 by its tag", &by_tag, Confirmed),
            case("4.3.1 by a weak tag", &[OLD[0], OLD[1], "ETag: W/\"a\""], Confirmed),
            case("4.3.1 by its date", &[OLD[0], OLD[1], CHANGED], Confirmed),
            case("4.3.3 a whole answer takes its place", &by_tag, Asked)
                .then(Reply { body: "second".into(), ..reply(200, &[FRESH]) }),
            case("4.3.4 a 304 with the same tag", &by_tag, Confirmed)
                .then(Reply { body: bytes::Bytes::new(), ..reply(304, &["ETag: \"a\""]) }),
        ])
        .await;
    let stage = Stage::set().await;
    stage.server.script(
        "/other",
        [
            reply(200, &by_tag).into(),
            Reply { body: bytes::Bytes::new(), ..reply(304, &["ETag: \"b\""]) }.into(),
            Reply { body: "second".into(), ..reply(200, &[FRESH]) }.into(),
        ],
    );
    stage.get("/other").await;
    let answer = stage.get("/other").await;
    assert_eq!(
        (answer.text(), stage.server.seen("/other")),
        ("second", 3),
        "RFC 9111 4.3.4: a 304 about another answer"
    );
}

#[tokio::test]
async fn a_304_brings_what_is_stored_up_to_date() {
    let stage = Stage::set().await;
    let first = reply(
        200,
        &[OLD[0], OLD[1], "ETag: \"a\"", "X-Kept: old", "X-Changed: old", "Content-Type: text/plain"],
    );
    let confirmed = Reply {
        body: bytes::Bytes::new(),
        ..reply(304, &["ETag: \"a\"", FRESH, "X-Changed: new", "X-Added: new", "Content-Length: 0"])
    };
    stage.server.script("/update", [first.into(), confirmed.into()]);
    stage.get("/update").await;
    for by in ["cache", "cache"] {
        let answer = stage.get("/update").await;
        assert_eq!((answer.header("levee-answer"), answer.text()), (by, "first"));
        let headers =
            ["x-kept", "x-changed", "x-added", "content-type"].map(|name| answer.header(name).to_owned());
        assert_eq!(headers, ["old", "new", "new", "text/plain"], "RFC 9111 3.2");
        assert_eq!(answer.header("content-length"), "5", "RFC 9111 3.2: but not Content-Length");
    }
    assert_eq!(stage.server.seen("/update"), 2, "RFC 9111 4.3.4: it is fresh again");
}

#[tokio::test]
async fn stored_headers_are_those_from_end_to_end() {
    let stage = Stage::set().await;
    let lines = [
        FRESH,
        "X-Twice: one",
        "X-Twice: two",
        "Connection: X-Hop",
        "X-Hop: a",
        "Keep-Alive: timeout=5",
        "Upgrade: foo",
        "Proxy-Authenticate: Basic",
        "ETag: \"a\"",
        "X-Odd: \u{e9}",
        "Age: 30",
    ];
    stage.server.script("/headers", [reply(200, &lines).into()]);
    stage.get("/headers").await;
    let kept = stage.get("/headers").await;
    assert_eq!(kept.header("levee-answer"), "cache");
    let twice: Vec<_> = kept.headers.get_all("x-twice").iter().collect();
    assert_eq!(twice, ["one", "two"], "RFC 9111 3.1: repeated lines stay");
    for name in ["x-hop", "keep-alive", "upgrade", "proxy-authenticate"] {
        assert!(!kept.headers.contains_key(name), "RFC 9111 3.1: {name} is for one connection");
    }
    assert_eq!(kept.headers.get("x-odd").unwrap().as_bytes(), "\u{e9}".as_bytes(), "bytes stay as they came");
    let age: u64 = kept.header("age").parse().unwrap();
    assert!((30..60).contains(&age), "RFC 9111 5.1: {age}");
    assert_eq!(kept.headers.get_all("date").iter().count(), 1);
}

#[tokio::test]
async fn an_answer_to_a_credential_is_for_that_credential() {
    let (alice, bob) = (&["Authorization: Basic YWxpY2U="][..], &["Authorization: Basic Ym9i"][..]);
    let mut cases = Vec::new();
    for directives in [
        "max-age=3600",
        "public, max-age=3600",
        "s-maxage=3600",
        "must-revalidate, max-age=3600",
        "private, max-age=3600",
    ] {
        let lines = line("Cache-Control", directives);
        cases.push(case("3.5 another's credential", &[&lines], Asked).asked_with(alice).then_with(bob));
        cases.push(case("3.5 none the second time", &[&lines], Asked).asked_with(alice));
        cases.push(case("3.5 the same one", &[&lines], Reused).both_with(alice));
    }
    Stage::set().await.check(cases).await;
}
