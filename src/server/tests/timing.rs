//! Deadlines of a connection, under paused time.

use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use super::support::{Fixture, read_answer, read_to_end};

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

fn seconds(since: Instant) -> u64 {
    since.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_says_nothing_is_closed() {
    let (fixture, begun) = (Fixture::new(), Instant::now());
    assert_eq!(fixture.exchange("").await, "");
    assert_eq!(seconds(begun), 10);
}

#[tokio::test(start_paused = true)]
async fn a_slow_head_is_answered_with_408() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    let begun = Instant::now();
    let (mut inbound, mut outbound) = tokio::io::split(&mut client);
    let dripping = async {
        for byte in b"GET / HTTP/1.1\r\nhost: a\r\nx: yyyyyyyyyyyy".iter().cycle() {
            if outbound.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
    };
    let answer =
        tokio::select! { answer = read_to_end(&mut inbound) => answer, () = dripping => String::new() };
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("application/problem+json") && answer.contains("connection: close"), "{answer}");
    assert_eq!(seconds(begun), 10);
    assert!(fixture.probe.asked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_slow_second_head_is_timed_from_its_own_first_byte() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    client.write_all(GET).await.unwrap();
    read_answer(&mut client, 0).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    client.write_all(&GET[..20]).await.unwrap();
    let begun = Instant::now();
    assert!(read_to_end(&mut client).await.starts_with("HTTP/1.1 408"));
    assert_eq!(seconds(begun), 10);
    assert_eq!(fixture.probe.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_after_the_idle_time_since_its_last_answer() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    for _ in 0..3 {
        client.write_all(GET).await.unwrap();
        read_answer(&mut client, 0).await;
        tokio::time::sleep(Duration::from_secs(50)).await;
    }
    let begun = Instant::now();
    assert_eq!(read_to_end(&mut client).await, "");
    assert_eq!(seconds(begun), 25);
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_not_idleness() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    client.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_secs(1000)).await;
    fixture.probe.gate.add_permits(1);
    assert!(!read_answer(&mut client, 0).await.contains("connection: close"));
    let begun = Instant::now();
    read_to_end(&mut client).await;
    assert_eq!(seconds(begun), 75);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_take_its_answer_is_dropped() {
    let fixture = Fixture::new();
    let (mut client, serving) = fixture.connect_through(1024);
    client.write_all(b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let begun = Instant::now();
    serving.await.unwrap();
    assert_eq!(seconds(begun), 75);
}

#[tokio::test(start_paused = true)]
async fn input_behind_a_refusal_is_dropped_for_a_second_at_most() {
    let fixture = Fixture::new();
    let (mut client, serving) = fixture.connect_through(1024);
    let begun = Instant::now();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut more = 0;
    while client.write_all(&[b'x'; 512]).await.is_ok() {
        more += 512;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    serving.await.unwrap();
    assert!(read_to_end(&mut client).await.starts_with("HTTP/1.1 400"));
    assert!(more >= 4096 && seconds(begun) <= 2, "{more} bytes in {} s", seconds(begun));
}

#[tokio::test(start_paused = true)]
async fn an_answer_given_without_reading_the_body_still_arrives() {
    let fixture = Fixture::new();
    let mut client = fixture.connect_through(1024).0;
    client.write_all(b"POST /unread HTTP/1.1\r\nhost: a\r\ncontent-length: 8000\r\n\r\n").await.unwrap();
    client.write_all(&[b'x'; 4000]).await.unwrap();
    assert!(read_to_end(&mut client).await.starts_with("HTTP/1.1 413"));
}
