//! Cleartext HTTP/2 with prior knowledge.

use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::support::{CHUNK, Fixture};

async fn client(fixture: &Fixture) -> (SendRequest<Full<Bytes>>, JoinHandle<hyper::Result<()>>) {
    let (sender, connection) =
        handshake(TokioExecutor::new(), TokioIo::new(fixture.connect())).await.unwrap();
    (sender, tokio::spawn(connection))
}

fn post(path: &str) -> Request<Full<Bytes>> {
    Request::post(format!("http://a{path}")).body(Full::from("hello")).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_request_with_prior_knowledge_is_served_and_drained_with_goaway() {
    let fixture = Fixture::new();
    let (mut sender, connection) = client(&fixture).await;
    let answer = sender.send_request(post("/a")).await.unwrap();
    assert_eq!((answer.status(), answer.version()), (StatusCode::OK, Version::HTTP_2));
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "hello");

    let slow = sender.send_request(post("/slow"));
    let answered = async {
        fixture.drain.closed().await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        fixture.probe.gate.add_permits(1);
        assert_eq!(slow.await.unwrap().status(), StatusCode::OK);
    };
    fixture.probe.asked_times(2).await;
    let (cut, ()) = tokio::join!(fixture.drain.run_to_end(Duration::ZERO, Duration::from_secs(45)), answered);
    assert_eq!(cut, 0);
    connection.await.unwrap().expect("closed with good manners");
    assert!(sender.send_request(post("/late")).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_sent_away() {
    let fixture = Fixture::new();
    let (mut sender, connection) = client(&fixture).await;
    sender.send_request(post("/a")).await.unwrap().into_body().collect().await.unwrap();
    let begun = Instant::now();
    connection.await.unwrap().expect("closed with good manners");
    assert_eq!(begun.elapsed().as_secs(), 75);
}

#[tokio::test(start_paused = true)]
async fn too_many_fields_are_431_here_too() {
    let fixture = Fixture::new();
    let (mut sender, _connection) = client(&fixture).await;
    let mut request = post("/a");
    for number in 0..101 {
        request.headers_mut().append("x", number.into());
    }
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert!(fixture.probe.asked().is_empty());
}

/// A client that lets a stream have so many bytes before it takes any.
async fn narrow_client(fixture: &Fixture) -> SendRequest<Full<Bytes>> {
    let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(100_000)
        .handshake(TokioIo::new(fixture.connect()))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_its_caller_leaves_alone_is_reset_after_the_idle_time() {
    let fixture = Fixture::new();
    let mut sender = narrow_client(&fixture).await;
    for (left_alone, whole) in [(70, true), (80, false)] {
        let answer = sender.send_request(post("/chunks")).await.unwrap();
        tokio::time::sleep(Duration::from_secs(left_alone)).await;
        let taken = answer.into_body().collect().await;
        assert_eq!(taken.is_ok_and(|body| body.to_bytes().len() == 4 * CHUNK.len()), whole, "{left_alone} s");
    }
    assert_eq!(sender.send_request(post("/a")).await.unwrap().status(), StatusCode::OK, "the others go on");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_its_caller_takes_bit_by_bit_comes_whole() {
    let fixture = Fixture::new();
    let mut body = narrow_client(&fixture).await.send_request(post("/chunks")).await.unwrap().into_body();
    let mut taken = 0;
    while let Some(frame) = body.frame().await {
        taken += frame.unwrap().into_data().unwrap().len();
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    assert_eq!(taken, 4 * CHUNK.len());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_its_time_is_not_held_against_the_caller() {
    let fixture = Fixture::new();
    let mut sender = narrow_client(&fixture).await;
    let answer = sender.send_request(post("/gated")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(600)).await;
    fixture.probe.gate.add_permits(1);
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "firstsecond");
}

#[tokio::test(start_paused = true)]
async fn a_preface_that_never_ends_is_closed() {
    let fixture = Fixture::new();
    let mut stream = fixture.connect();
    stream.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    let begun = Instant::now();
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn uploads_that_nobody_takes_keep_nothing_from_the_others() {
    let fixture = Fixture::new();
    let (mut sender, _connection) = client(&fixture).await;
    let mut hung = Vec::new();
    for _ in 0..20 {
        let large = Request::post("http://a/slow").body(Full::from(vec![b'x'; 4 << 20])).unwrap();
        hung.push(tokio::spawn(sender.send_request(large)));
    }
    fixture.probe.asked_times(20).await;
    let body = Bytes::from(vec![b'y'; 60_000]);
    let answered = sender.send_request(Request::post("http://a/a").body(Full::from(body.clone())).unwrap());
    let answer = tokio::time::timeout(Duration::from_secs(60), answered).await.expect("its body arrives");
    assert_eq!(answer.unwrap().into_body().collect().await.unwrap().to_bytes(), body);
}
