//! What a healthy HTTP/1.1 exchange looks like.

use std::pin::pin;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Wake, Waker};

use super::*;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn a_connection_is_used_again() {
    let upstream = Upstream::start().await;
    let (mut peer, answer) = upstream.exchange(get(), OK).await;
    assert_eq!(text(answer).await, "ok");
    for _ in 0..3 {
        assert_eq!(text(upstream.again(&mut peer, OK).await).await, "ok");
    }
    assert_eq!(counts(&upstream.transport), (1, 1, 1));
}

#[tokio::test]
async fn a_chunked_body_gives_its_connection_back_too() {
    let upstream = Upstream::start().await;
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
    let (_peer, answer) = upstream.exchange(get(), chunked).await;
    assert_eq!(text(answer).await, "abc");
    assert_eq!(counts(&upstream.transport), (1, 1, 1));
}

#[tokio::test]
async fn an_answer_without_a_body_gives_its_connection_back_at_once() {
    let upstream = Upstream::start().await;
    let long_head = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n";
    let head = request(Method::HEAD, RequestBody::empty());
    let (mut peer, answer) = upstream.exchange(head, long_head).await;
    let _unread = answer.unwrap();
    assert_eq!(counts(&upstream.transport), (1, 1, 1));
    for status in ["204 No Content", "304 Not Modified", "200 OK\r\ncontent-length: 0"] {
        let answer = upstream.again(&mut peer, &format!("HTTP/1.1 {status}\r\n\r\n")).await;
        let _unread = answer.unwrap();
        assert_eq!(counts(&upstream.transport), (1, 1, 1), "{status}");
    }
}

#[tokio::test]
async fn interim_responses_are_skipped() {
    let upstream = Upstream::start().await;
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
    let (_peer, answer) = upstream.exchange(get(), &format!("{interim}{OK}")).await;
    assert_eq!(text(answer).await, "ok");
}

#[tokio::test]
async fn a_closed_idle_connection_is_noticed_before_use() {
    let upstream = Upstream::start().await;
    let (peer, answer) = upstream.exchange(get(), OK).await;
    text(answer).await;
    drop(peer);
    noticed().await;
    let (_peer, answer) = upstream.exchange(request(Method::POST, RequestBody::empty()), OK).await;
    assert_eq!(text(answer).await, "ok");
    assert_eq!(counts(&upstream.transport), (1, 1, 2));
}

#[tokio::test]
async fn the_sweep_closes_what_the_upstream_closed_and_what_grew_old() {
    let upstream = Upstream::start().await;
    let (closing, first) = upstream.exchange(get(), OK).await;
    let (staying, second) = upstream.exchange(get(), OK).await;
    text(first).await;
    text(second).await;
    assert_eq!(counts(&upstream.transport), (2, 2, 2));
    drop(closing);
    noticed().await;
    upstream.transport.sweep(Instant::now());
    assert_eq!(counts(&upstream.transport), (1, 1, 2));
    upstream.transport.sweep(Instant::now() + pool::IDLE_LIMIT);
    staying.closed().await;
    assert_eq!(counts(&upstream.transport), (0, 0, 2));
}

#[tokio::test]
async fn a_dropped_transport_closes_its_connections_once_their_calls_are_over() {
    let Upstream { listener, transport } = Upstream::start().await;
    let upstream = Upstream { listener, transport };
    let (peer, answer) = upstream.exchange(get(), OK).await;
    drop(upstream.transport);
    assert_eq!(text(answer).await, "ok");
    peer.closed().await;
}

#[tokio::test]
async fn the_request_is_framed_by_what_its_body_is() {
    let upstream = Upstream::start().await;
    let cases = [
        (request(Method::GET, endless()), "transfer-encoding: chunked"),
        (request(Method::POST, RequestBody::from(Bytes::from_static(b"four"))), "content-length: 4"),
        (request(Method::POST, RequestBody::empty()), "content-length: 0"),
    ];
    for (mut request, line) in cases {
        request.headers_mut().insert("transfer-encoding", HeaderValue::from_static("gzip"));
        let mut sending = pin!(upstream.transport.send(request, PATIENCE));
        let head = tokio::select! {
            _ = &mut sending => unreachable!("nothing was answered"),
            head = async { upstream.accept().await.head().await } => head,
        };
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{head}");
        assert_eq!(
            head.matches("transfer-encoding").count() + head.matches("content-length").count(),
            1,
            "{head}"
        );
    }
}

#[tokio::test]
async fn the_upstream_sees_its_own_host_and_a_path() {
    let upstream = Upstream::start().await;
    let mut request = get();
    *request.uri_mut() = "https://elsewhere.example/a%2Fb?c".parse().unwrap();
    request.headers_mut().insert("content-length", HeaderValue::from_static("7"));
    *request.version_mut() = http::Version::HTTP_3;
    let mut sending = pin!(upstream.transport.send(request, PATIENCE));
    let head = tokio::select! {
        _ = &mut sending => unreachable!("nothing was answered"),
        head = async { upstream.accept().await.head().await } => head,
    };
    let address = upstream.listener.local_addr().unwrap();
    assert_eq!(head, format!("get /a%2fb?c http/1.1\r\nhost: {address}\r\n\r\n"));
}

#[tokio::test]
async fn a_whole_exchange_wakes_its_task_once() {
    struct Counting(Waker, AtomicUsize);
    impl Wake for Counting {
        fn wake(self: Arc<Self>) {
            self.1.fetch_add(1, Ordering::SeqCst);
            self.0.wake_by_ref();
        }
    }

    let upstream = Upstream::start().await;
    let (mut peer, answer) = upstream.exchange(get(), OK).await;
    text(answer).await;
    let mut exchange = pin!(async { text(upstream.transport.send(get(), PATIENCE).await).await });
    let outer = std::future::poll_fn(|context| std::task::Poll::Ready(context.waker().clone())).await;
    let counting = Arc::new(Counting(outer, AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&counting));
    let mut context = Context::from_waker(&waker);
    assert!(exchange.as_mut().poll(&mut context).is_pending());
    assert_eq!(
        counting.1.load(Ordering::SeqCst),
        0,
        "the request is out, and nothing asks to be polled again"
    );
    peer.head().await;
    peer.say(OK).await;
    noticed().await;
    assert_eq!(counting.1.load(Ordering::SeqCst), 1, "the answer is in");
    assert!(exchange.as_mut().poll(&mut context).is_ready());
    noticed().await;
    assert_eq!(counting.1.load(Ordering::SeqCst), 1, "and nothing was left to be polled for");
}
