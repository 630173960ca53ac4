//! Upstreams that break, and connections that must not be used again.

use http_body_util::combinators::BoxBody;
use http_body_util::{Full, StreamBody};

use super::*;

fn is(failure: &SendFailure, kind: SendFailureKind, sent: Sent, token: &str) {
    assert_eq!((failure.kind, failure.sent, failure.token()), (kind, sent, token), "{failure}");
}

#[tokio::test]
async fn a_connection_closed_before_the_answer_is_a_reset_of_unknown_effect() {
    let upstream = Upstream::start().await;
    for beginning in ["", "HTTP/1.1 200 OK\r\nhalf-a-he"] {
        let serve = async {
            let mut peer = upstream.accept().await;
            peer.head().await;
            peer.say(beginning).await;
        };
        let ((), answer) = tokio::join!(serve, upstream.transport.send(get(), PATIENCE));
        is(&failure(answer), SendFailureKind::Reset, Sent::Unknown, "connection_terminated");
    }
    assert_eq!(counts(&upstream.transport), (0, 0, 2));
}

#[tokio::test]
async fn a_request_written_to_a_reused_connection_is_never_sent_twice() {
    let upstream = Upstream::start().await;
    let (mut peer, answer) = upstream.exchange(get(), "HTTP/1.1 204 No Content\r\n\r\n").await;
    answer.unwrap();
    let serve = async move { peer.head().await };
    let (_, answer) = tokio::join!(serve, upstream.transport.send(get(), PATIENCE));
    is(&failure(answer), SendFailureKind::Reset, Sent::Unknown, "connection_terminated");
    assert_eq!(counts(&upstream.transport), (0, 0, 1));
}

#[tokio::test]
async fn a_refused_connection_gives_the_request_back() {
    let Upstream { listener, transport } = Upstream::start().await;
    drop(listener);
    let failure = failure(transport.send(request(Method::POST, endless()), PATIENCE).await);
    is(&failure, SendFailureKind::Connect, Sent::Nothing, "connection_refused");
    assert!(!http_body::Body::is_end_stream(failure.request.unwrap().body()));
}

#[tokio::test]
async fn what_is_not_http_is_a_protocol_failure() {
    let upstream = Upstream::start().await;
    let too_long = format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "x".repeat(http1_limit()));
    let too_many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(101));
    let cases = [
        ("HTTP/1.1 200 OK\r\nbad header: x\r\n\r\n", "http_protocol_error"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", "http_protocol_error"),
        ("SSH-2.0-OpenSSH_9.9\r\n", "http_protocol_error"),
        (
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
            "http_protocol_error",
        ),
        (&too_long, "http_response_header_section_size"),
        (&too_many, "http_response_header_section_size"),
    ];
    for (answer, token) in cases {
        let (_, answer) = upstream.exchange(get(), answer).await;
        is(&failure(answer), SendFailureKind::Protocol, Sent::Unknown, token);
        assert_eq!(upstream.transport.connections().open, 0);
    }
}

fn http1_limit() -> usize {
    super::super::http1::MAX_HEAD
}

#[tokio::test]
async fn a_body_that_ends_early_or_is_malformed_fails_at_its_end() {
    let upstream = Upstream::start().await;
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n";
    let malformed = format!("{chunked}zz\r\n");
    let cases = [
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", "http_response_incomplete"),
        (chunked, "http_response_incomplete"),
        (&malformed, "http_response_transfer_coding"),
    ];
    for (answer, token) in cases {
        let (peer, answer) = upstream.exchange(get(), answer).await;
        drop(peer);
        let mut body = answer.unwrap().into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "abc");
        assert_eq!(body.frame().await.unwrap().unwrap_err().token(), token);
        assert!(body.frame().await.is_none());
        assert_eq!(upstream.transport.connections().open, 0);
    }
}

#[tokio::test]
async fn more_than_the_announced_length_is_cut_off_with_the_connection() {
    let upstream = Upstream::start().await;
    let (_peer, answer) =
        upstream.exchange(get(), "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200").await;
    assert_eq!(text(answer).await, "ok");
    assert_eq!(counts(&upstream.transport), (0, 0, 1));
}

#[tokio::test]
async fn connections_the_upstream_will_close_are_not_kept() {
    let upstream = Upstream::start().await;
    let (peer, answer) = upstream.exchange(get(), "HTTP/1.1 200 OK\r\n\r\nto the end").await;
    drop(peer);
    assert_eq!(text(answer).await, "to the end");
    let closing = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
    let (_peer, answer) = upstream.exchange(get(), closing).await;
    assert_eq!(text(answer).await, "ok");
    assert_eq!(counts(&upstream.transport), (0, 0, 2));
}

#[tokio::test]
async fn a_body_dropped_half_way_closes_its_connection() {
    let upstream = Upstream::start().await;
    let (peer, answer) = upstream.exchange(get(), "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc").await;
    let mut body = answer.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    peer.closed().await;
    assert_eq!(counts(&upstream.transport), (0, 0, 1));
}

#[tokio::test]
async fn a_call_dropped_before_its_answer_closes_its_connection() {
    let upstream = Upstream::start().await;
    let peer = {
        let mut sending = std::pin::pin!(upstream.transport.send(get(), PATIENCE));
        tokio::select! {
            _ = &mut sending => unreachable!("nothing was answered"),
            peer = async { let mut peer = upstream.accept().await; peer.head().await; peer } => peer,
        }
    };
    peer.closed().await;
    assert_eq!(counts(&upstream.transport), (0, 0, 1));
}

#[tokio::test]
async fn an_answer_during_the_upload_arrives_and_its_connection_is_not_used_again() {
    let upstream = Upstream::start().await;
    let early = "HTTP/1.1 413 Content Too Large\r\ncontent-length: 4\r\n\r\nnope";
    let (peer, answer) = upstream.exchange(request(Method::POST, endless()), early).await;
    let answer = answer.unwrap();
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(text(Ok(answer)).await, "nope");
    peer.closed().await;
    assert_eq!(counts(&upstream.transport), (0, 0, 1));
}

#[tokio::test]
async fn an_upload_goes_on_while_its_answer_streams() {
    let upstream = Upstream::start().await;
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel::<Bytes>();
    let frames = futures_util::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|data| (Ok(http_body::Frame::data(data)), receiver))
    });
    let body = RequestBody::from(BoxBody::new(StreamBody::new(frames)));
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n";
    let (mut peer, answer) = upstream.exchange(request(Method::POST, body), head).await;
    let mut body = answer.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    sender.send(Bytes::from_static(b"later")).unwrap();
    drop(sender);
    let serve = async {
        let mut upload = [0; 15];
        peer.0.read_exact(&mut upload).await.unwrap();
        peer.say("0\r\n\r\n").await;
        upload
    };
    let (upload, rest) = tokio::join!(serve, body.frame());
    assert_eq!(&upload, b"5\r\nlater\r\n0\r\n\r\n");
    assert!(rest.is_none());
    assert_eq!(counts(&upstream.transport), (1, 1, 1));
}

#[tokio::test]
async fn a_broken_upload_is_the_callers_doing() {
    let upstream = Upstream::start().await;
    let breaks = futures_util::stream::once(async { Err(io::Error::from(io::ErrorKind::BrokenPipe)) });
    let breaking = RequestBody::from(BoxBody::new(StreamBody::new(breaks)));
    let failed = failure(upstream.transport.send(request(Method::POST, breaking), PATIENCE).await);
    is(&failed, SendFailureKind::RequestBody, Sent::Unknown, "http_request_error");
    let short = Full::new(Bytes::from_static(b"short")).map_err(|never| match never {});
    let hidden =
        BoxBody::new(StreamBody::new(futures_util::StreamExt::map(short.into_data_stream(), |data| {
            data.map(http_body::Frame::data)
        })));
    let mut lying = request(Method::POST, RequestBody::from(hidden));
    lying.headers_mut().insert("content-length", HeaderValue::from_static("10"));
    let failed = failure(upstream.transport.send(lying, PATIENCE).await);
    is(&failed, SendFailureKind::RequestBody, Sent::Unknown, "http_request_error");
}
