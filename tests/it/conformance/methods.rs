//! Methods and statuses (RFC 9111 sections 3, 4 and 4.4): what may be stored, and what makes it worthless.

use super::Fate::{Asked, Reused};
use super::*;

const FRESH: &str = "Cache-Control: max-age=3600";

#[tokio::test]
async fn a_status_with_a_lifetime_is_kept_understood_or_not() {
    let kept =
        [200, 203, 204, 300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 410, 414, 451, 499, 299, 399]
            .map(|status| {
                let body = if status == 204 { bytes::Bytes::new() } else { "first".into() };
                case_of(
                    "3 any final status that says how long",
                    Reply { body, ..reply(status, &[FRESH]) },
                    Reused,
                )
            });
    let passed = [500, 501, 502, 503, 504, 599]
        .map(|status| case_of("a server error is never kept", reply(status, &[FRESH]), Asked));
    let unsaid = [201, 202, 302, 307, 400, 403, 499, 299].map(|status| {
        case_of("RFC 9110 15.1 a status that says nothing is not kept", reply(status, &[]), Asked)
    });
    Stage::set().await.check(kept.into_iter().chain(passed).chain(unsaid).collect()).await;
}

#[tokio::test]
async fn only_get_is_stored_and_head_is_answered_from_it() {
    let stage = Stage::set().await;
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "FOO"] {
        let path = format!("/{method}");
        stage.server.script(&path, [reply(200, &[FRESH]).into()]);
        for seen in 1..=2 {
            let answer = stage.ask(method.parse().unwrap(), &path, &[]).await;
            assert_eq!(
                (answer.status.as_u16(), stage.server.seen(&path)),
                (200, seen),
                "RFC 9111 3: {method}"
            );
        }
        assert_eq!(
            stage.get(&path).await.header("levee-answer"),
            "upstream",
            "{method} brings nothing for GET"
        );
    }
    stage.server.script("/head", [reply(200, &[FRESH, "X-A: b"]).into()]);
    stage.get("/head").await;
    let head = stage.ask(Method::HEAD, "/head", &[]).await;
    assert_eq!(
        (head.header("x-a"), head.body.len(), stage.server.seen("/head")),
        ("b", 0, 1),
        "RFC 9110 9.3.2"
    );
}

#[tokio::test]
async fn a_successful_unsafe_method_makes_what_is_stored_worthless() {
    let stage = Stage::set().await;
    for (method, status, forgotten) in [
        ("POST", 200, true),
        ("POST", 201, true),
        ("POST", 303, true),
        ("PUT", 204, true),
        ("DELETE", 200, true),
        ("PATCH", 200, true),
        ("FOO", 200, true),
        ("POST", 400, false),
        ("POST", 404, false),
        ("DELETE", 500, false),
        ("PUT", 409, false),
        ("OPTIONS", 200, false),
    ] {
        let path = format!("/{method}/{status}");
        let body = if status == 204 { bytes::Bytes::new() } else { "changed".into() };
        let changed = Reply { body, ..reply(status, &[]) };
        stage
            .server
            .script(&path, [reply(200, &[FRESH]).into(), changed.into(), reply(200, &[FRESH]).into()]);
        stage.get(&path).await;
        stage.ask(method.parse().unwrap(), &path, &[]).await;
        let again = stage.get(&path).await;
        let expected = if forgotten { "upstream" } else { "cache" };
        assert_eq!(again.header("levee-answer"), expected, "RFC 9111 4.4: {method} {status}");
    }
}

#[tokio::test]
async fn so_does_what_it_names_on_the_same_origin() {
    let stage = Stage::set().await;
    let other = Misbehaving::start().await;
    for (name, of, forgotten) in [
        ("Location", "/named/0", true),
        ("Content-Location", "/named/1", true),
        ("Location", "2", true),
        ("Location", "/named/3?x=1", true),
        ("Location", "ORIGIN/named/4", true),
        ("Location", "OTHER/named/5", false),
        ("Content-Location", "OTHER/named/6", false),
        ("Link", "</named/7>", false),
    ]
    .map(|(name, of, forgotten)| {
        (name, of.replace("ORIGIN", &stage.server.url()).replace("OTHER", &other.url()), forgotten)
    }) {
        let number = of.split('?').next().unwrap().trim_end_matches('>').rsplit('/').next().unwrap();
        let path = format!("/named/{number}");
        stage.server.script(&path, [reply(200, &[FRESH]).into()]);
        stage.server.script("/named/form", [reply(201, &[&line(name, &of)]).into()]);
        stage.get(&path).await;
        stage.ask(Method::POST, "/named/form", &[]).await;
        let expected = if forgotten { "upstream" } else { "cache" };
        assert_eq!(stage.get(&path).await.header("levee-answer"), expected, "RFC 9111 4.4: {name}: {of}");
    }
}

#[tokio::test]
async fn what_did_not_come_whole_is_not_kept() {
    let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\n";
    let short = Behaviour::RawThenClose(format!("{head}Content-Length: 10\r\n\r\nfirst").into());
    let chunked =
        Behaviour::RawThenClose(format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n").into());
    let stage = Stage::set().await;
    for (path, broken) in [("/short", short), ("/chunked", chunked)] {
        stage.server.script(path, [broken, reply(200, &[FRESH]).into()]);
        let mut request = client::request(&format!("/proxy/api{path}"));
        *request.method_mut() = Method::GET;
        assert!(client::send(stage.app.data, request).await.is_err(), "the answer breaks off");
        assert_eq!(stage.get(path).await.header("levee-answer"), "upstream", "RFC 9111 3.3: {path}");
    }
    let until_close = Behaviour::RawThenClose(format!("{head}\r\nfirst").into());
    stage.server.script("/close", [until_close, reply(200, &[]).into()]);
    stage.get("/close").await;
    assert_eq!(
        stage.get("/close").await.text(),
        "first",
        "a body that the connection's end delimits is whole"
    );
}

#[tokio::test]
async fn interim_answers_are_no_answers() {
    let stage = Stage::set().await;
    let answer = "HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nContent-Length: 5\r\n\r\nfirst";
    for (path, interim) in [
        ("/hints", "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nX-Hint: a\r\n\r\n"),
        ("/processing", "HTTP/1.1 102 Processing\r\nCache-Control: no-store\r\n\r\n"),
    ] {
        stage.server.script(path, [Behaviour::Raw(format!("{interim}{answer}").into())]);
        assert_eq!(stage.get(path).await.text(), "first");
        let kept = stage.get(path).await;
        assert_eq!(
            (kept.header("levee-answer"), kept.header("x-hint")),
            ("cache", ""),
            "RFC 9110 15.2: {path}"
        );
    }
}
