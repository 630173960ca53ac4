//! What crosses when a call is tried again: the body exactly, or not at all.

use super::*;
use crate::support::wire::Message;

const RETRY: &str = "cache: { mode: off }\nbreaker: { mode: metrics_only }\n\
    retry: { attempts: 3, backoff: { base: 1ms, cap: 10ms, throttledBase: 1ms } }\n";

fn bodies(server: &Misbehaving, path: &str) -> Vec<Message> {
    server.received().into_iter().filter(|request| request.path() == path).collect()
}

/// Every byte value, in an order that shows gaps and repeats.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + at / 256) as u8).collect()
}

#[tokio::test]
async fn a_small_body_is_sent_again_byte_for_byte() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, RETRY).await;
    for length in [0, 1, 4096, 64 * 1024] {
        let (path, body) = (format!("/put-{length}"), pattern(length));
        let reset = Behaviour::RawThenReset(Bytes::new());
        server.script(&path, [Reply::status(503).into(), reset, Reply::ok("done").into()]);
        let answer = send(&app, Method::PUT, &path, &body).await;
        assert_eq!((answer.text(), answer.header("levee-attempts")), ("done", "3"), "{length}");
        let requests = bodies(&server, &path);
        assert_eq!(requests.len(), 3);
        assert!(requests.iter().all(|request| request.body == body), "{length}: the same bytes each time");
        let lengths: Vec<_> =
            requests.iter().filter_map(|request| request.header("content-length")).collect();
        assert!(length == 0 || lengths == vec![length.to_string(); 3], "{lengths:?}");
    }
}

#[tokio::test]
async fn a_large_body_streams_and_is_not_sent_again() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, RETRY).await;
    let body = pattern(64 * 1024 + 1);
    server.script("/put", [Reply::status(503).into(), Reply::ok("").into()]);
    let answer = send(&app, Method::PUT, "/put", &body).await;
    assert_eq!((answer.status.as_u16(), answer.header("levee-attempts")), (503, "1"));
    let requests = bodies(&server, "/put");
    assert!(requests.len() == 1 && requests[0].body == body);
}

#[tokio::test]
async fn a_large_body_reaches_the_upstream_while_it_is_still_being_sent() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, RETRY).await;
    let mut caller = RawConnection::open(app.data).await;
    let head = "PUT /proxy/api/ok HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n";
    caller.write(head).await.unwrap();
    caller.write(pattern(50_000)).await.unwrap();
    until("its head arrived", SOON, async || server.seen("/ok") == 1).await;
    caller.write(pattern(50_000)).await.unwrap();
    assert_eq!(caller.read_answer().await.unwrap().second_word(), "200");
}

#[tokio::test]
async fn a_body_of_unknown_length_streams_and_is_not_sent_again() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, RETRY).await;
    server.script("/put", [Reply::status(503).into(), Reply::ok("").into()]);
    let request = "PUT /proxy/api/put HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let answer = client::exchange(app.data, request).await.unwrap();
    assert_eq!((answer.second_word().as_str(), server.seen("/put")), ("503", 1));
    assert_eq!(bodies(&server, "/put")[0].body, b"3\r\nabc\r\n0\r\n\r\n");
}

#[tokio::test]
async fn an_answer_too_large_to_set_aside_is_passed_on_whole_instead_of_asking_again() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, RETRY).await;
    let body = pattern(300_000);
    let large = Reply { status: 503, headers: Vec::new(), body: body.clone().into() };
    server.script("/busy", [large.into(), Reply::ok("").into()]);
    let answer = get(&app, "/busy").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("levee-attempts"), server.seen("/busy")),
        (503, "1", 1)
    );
    assert!(answer.body == body);
    assert_eq!(answer.header("content-length"), "300000");
}

#[tokio::test]
async fn attempts_are_numbered_for_the_levee_below() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, RETRY).await;
    server.script("/busy", [Reply::status(503).into()]);
    get(&app, "/busy").await;
    let numbers: Vec<_> =
        bodies(&server, "/busy").iter().filter_map(|request| request.header("levee-attempt")).collect();
    assert_eq!(numbers, ["1", "2", "3"]);
    send(&app, Method::POST, "/ok", b"").await;
    assert_eq!(bodies(&server, "/ok")[0].header("levee-attempt"), None, "nobody here tries that again");
}
