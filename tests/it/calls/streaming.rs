//! Bodies arrive as they are sent, in both directions: an upstream that the test itself plays, byte by byte.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::upstream;
use crate::support::client::{Connection, RawConnection};
use crate::support::levee::TestApp;
use crate::support::wire::{self, Message};

const LIMIT: Duration = Duration::from_secs(20);

/// An upstream whose every byte is the test's.
struct Played {
    listener: TcpListener,
}

impl Played {
    async fn start(spec: &[&str]) -> (TestApp, Self) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        (TestApp::start(upstream("played", &url, spec)).await, Self { listener })
    }

    /// The next connection, with the head of its first request read.
    async fn accept(&self) -> (BufReader<TcpStream>, Message) {
        let (stream, _) = timeout(LIMIT, self.listener.accept()).await.unwrap().unwrap();
        let mut stream = BufReader::new(stream);
        let head = timeout(LIMIT, wire::read_head(&mut stream)).await.unwrap().unwrap();
        (stream, head.expect("a request"))
    }
}

async fn expect(stream: &mut (impl tokio::io::AsyncRead + Unpin), bytes: &[u8]) {
    let mut read = vec![0; bytes.len()];
    timeout(LIMIT, stream.read_exact(&mut read))
        .await
        .expect("the bytes arrive before more is sent")
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&read), String::from_utf8_lossy(bytes));
}

#[tokio::test]
async fn an_upload_reaches_the_upstream_piece_by_piece() {
    let (app, played) = Played::start(&[]).await;
    let mut caller = RawConnection::open(app.data).await;
    let head = "POST /proxy/played/upload HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
    caller.write(format!("{head}5\r\nfirst\r\n")).await.unwrap();
    let (mut upstream, request) = played.accept().await;
    assert_eq!(request.start_line(), "POST /upload HTTP/1.1");
    assert_eq!(request.header("transfer-encoding").as_deref(), Some("chunked"));
    expect(&mut upstream, b"5\r\nfirst\r\n").await;
    caller.write("6\r\nsecond\r\n").await.unwrap();
    expect(&mut upstream, b"6\r\nsecond\r\n").await;
    caller.write("0\r\n\r\n").await.unwrap();
    expect(&mut upstream, b"0\r\n\r\n").await;
    upstream.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    assert_eq!(caller.read_answer().await.unwrap().second_word(), "201");
}

#[tokio::test]
async fn an_upload_of_known_length_larger_than_may_be_held_streams_too() {
    let (app, played) = Played::start(&["retry: { maxBody: 4 }"]).await;
    let mut caller = RawConnection::open(app.data).await;
    caller
        .write("PUT /proxy/played/x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n")
        .await
        .unwrap();
    caller.write("01234").await.unwrap();
    let (mut upstream, request) = played.accept().await;
    assert_eq!(request.header("content-length").as_deref(), Some("10"));
    expect(&mut upstream, b"01234").await;
    caller.write("56789").await.unwrap();
    expect(&mut upstream, b"56789").await;
    upstream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    assert_eq!(caller.read_answer().await.unwrap().second_word(), "204");
}

/// Once for an answer that is passed on, once for one that is copied into the cache on its way.
#[tokio::test]
async fn an_answer_reaches_the_caller_piece_by_piece() {
    for cache_control in ["no-store", "max-age=60"] {
        let (app, played) = Played::start(&[]).await;
        let mut caller = RawConnection::open(app.data).await;
        caller.write("GET /proxy/played/x HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let (mut upstream, _) = played.accept().await;
        let head = format!("HTTP/1.1 200 OK\r\nCache-Control: {cache_control}\r\n");
        upstream.write_all(head.as_bytes()).await.unwrap();
        upstream.write_all(b"Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n").await.unwrap();
        let answer = caller.read_head().await.unwrap();
        assert_eq!(answer.header("transfer-encoding").as_deref(), Some("chunked"), "{cache_control}");
        caller.expect(b"5\r\nfirst\r\n").await;
        upstream.write_all(b"6\r\nsecond\r\n0\r\n\r\n").await.unwrap();
        caller.expect(b"6\r\nsecond\r\n0\r\n\r\n").await;
    }
}

#[tokio::test]
async fn the_answers_head_does_not_wait_for_its_body() {
    let (app, played) = Played::start(&[]).await;
    let mut connection = Connection::open(app.data).await;
    let begun = connection.begin(crate::support::client::request("/proxy/played/events"));
    let played = async {
        let (mut upstream, _) = played.accept().await;
        let head =
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        upstream.write_all(head).await.unwrap();
        upstream
    };
    let (answer, _upstream) = timeout(LIMIT, async { tokio::join!(begun, played) }).await.unwrap();
    assert_eq!(answer.unwrap().headers()["content-type"], "text/event-stream");
}

/// The upstream answers before it has read all: both go on at once.
#[tokio::test]
async fn an_answer_may_begin_before_the_upload_has_ended() {
    let (app, played) = Played::start(&[]).await;
    let mut caller = RawConnection::open(app.data).await;
    let head = "POST /proxy/played/chat HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
    caller.write(format!("{head}2\r\nhi\r\n")).await.unwrap();
    let (mut upstream, _) = played.accept().await;
    expect(&mut upstream, b"2\r\nhi\r\n").await;
    upstream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").await.unwrap();
    assert_eq!(caller.read_head().await.unwrap().second_word(), "200");
    caller.expect(b"5\r\nhello\r\n").await;
    caller.write("3\r\nbye\r\n0\r\n\r\n").await.unwrap();
    expect(&mut upstream, b"3\r\nbye\r\n0\r\n\r\n").await;
    upstream.write_all(b"0\r\n\r\n").await.unwrap();
    caller.expect(b"0\r\n\r\n").await;
}

#[tokio::test]
async fn expect_100_continue_lets_the_body_come() {
    let (app, played) = Played::start(&[]).await;
    let mut caller = RawConnection::open(app.data).await;
    let head = "POST /proxy/played/x HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";
    caller.write(head).await.unwrap();
    assert_eq!(caller.read_head().await.unwrap().start_line(), "HTTP/1.1 100 Continue");
    caller.write("body").await.unwrap();
    let (mut upstream, request) = played.accept().await;
    assert_eq!(request.header("expect"), None, "the expectation is met here");
    expect(&mut upstream, b"body").await;
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
    let answer = caller.read_answer().await.unwrap();
    assert_eq!((answer.second_word().as_str(), &answer.body[..]), ("200", &b"ok"[..]));
}

#[tokio::test]
async fn a_caller_who_leaves_takes_the_call_along() {
    let (app, played) = Played::start(&[]).await;
    let mut caller = RawConnection::open(app.data).await;
    caller
        .write("GET /proxy/played/x HTTP/1.1\r\nhost: localhost\r\ncache-control: no-store\r\n\r\n")
        .await
        .unwrap();
    let (mut upstream, _) = played.accept().await;
    upstream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n").await.unwrap();
    caller.read_head().await.unwrap();
    drop(caller);
    let closed = timeout(LIMIT, upstream.read(&mut [0; 16])).await.expect("the connection is closed");
    assert_eq!(closed.unwrap_or(0), 0);
}

#[tokio::test]
async fn trailers_and_interim_answers_do_no_harm() {
    let (app, played) = Played::start(&[]).await;
    let mut caller = RawConnection::open(app.data).await;
    caller.write("GET /proxy/played/x HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let (mut upstream, _) = played.accept().await;
    upstream.write_all(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n").await.unwrap();
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n";
    upstream.write_all(head).await.unwrap();
    upstream.write_all(b"2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n").await.unwrap();
    assert_eq!(caller.read_head().await.unwrap().second_word(), "200");
    caller.expect(b"2\r\nok\r\n0\r\n").await;
}

/// The upstream has heard enough and stops reading: its answer counts, not the body that can go nowhere.
#[tokio::test]
async fn an_answer_in_the_middle_of_an_upload_is_heard() {
    let (app, played) = Played::start(&[]).await;
    let mut caller = RawConnection::open(app.data).await;
    let head = "POST /proxy/played/x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9000000\r\n\r\n";
    caller.write(head).await.unwrap();
    let (mut upstream, _) = played.accept().await;
    caller.write([b'x'; 1000]).await.unwrap();
    upstream.write_all(b"HTTP/1.1 413 Too Much\r\nContent-Length: 4\r\n\r\nstop").await.unwrap();
    let answer = caller.read_answer().await.unwrap();
    assert_eq!(answer.header("levee-answer").as_deref(), Some("upstream"));
    assert_eq!((answer.second_word().as_str(), &answer.body[..]), ("413", &b"stop"[..]));
}
