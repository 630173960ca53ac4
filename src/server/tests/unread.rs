//! Bodies that an endpoint does not read.

use tokio::io::AsyncWriteExt;

use super::support::{Fixture, read_answer};

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

fn post(more: &str) -> String {
    format!("POST /unread HTTP/1.1\r\nhost: a\r\n{more}\r\n\r\n")
}

/// What is answered to a refused request of which this much has been sent, and to the next one if there can be one.
async fn refused(sent: &[u8]) -> String {
    let fixture = Fixture::new();
    let mut client = fixture.connect_through(1 << 20).0;
    client.write_all(sent).await.unwrap();
    let refusal = read_answer(&mut client, 0).await;
    assert!(refusal.starts_with("HTTP/1.1 413"), "{refusal}");
    if !refusal.contains("connection: close") {
        client.write_all(GET).await.unwrap();
        assert!(read_answer(&mut client, 0).await.starts_with("HTTP/1.1 200"), "it promised to go on");
    }
    drop(fixture);
    refusal
}

#[tokio::test(start_paused = true)]
async fn a_body_that_has_arrived_is_dropped_and_the_connection_goes_on() {
    for length in [1, 100, 8 * 1024, 40_000] {
        let mut request = post(&format!("content-length: {length}")).into_bytes();
        request.extend(vec![b'x'; length]);
        assert!(!refused(&request).await.contains("connection: close"), "{length}");
    }
    let chunked = post("transfer-encoding: chunked") + "3\r\nabc\r\n0\r\n\r\n";
    assert!(!refused(chunked.as_bytes()).await.contains("connection: close"));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_still_to_come_ends_the_connection_and_the_answer_says_so() {
    for request in [
        post("content-length: 8000"),
        post("content-length: 8000") + "begun",
        post("transfer-encoding: chunked") + "3\r\nabc\r\n",
        post("content-length: 3\r\nexpect: 100-continue"),
    ] {
        assert!(refused(request.as_bytes()).await.contains("connection: close"), "{request}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_body_is_not_read_to_its_end() {
    let mut request = post("content-length: 500000").into_bytes();
    request.extend(vec![b'x'; 500_000]);
    assert!(refused(&request).await.contains("connection: close"));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_was_read_changes_nothing() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    for _ in 0..3 {
        client.write_all(b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc").await.unwrap();
        let answer = read_answer(&mut client, 3).await;
        assert!(answer.ends_with("\r\n\r\nabc") && !answer.contains("close"), "{answer}");
    }
}
