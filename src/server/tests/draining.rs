//! Stopping: what is in flight is finished, what is idle goes, what overstays is cut.

use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::support::{Fixture, read_answer, read_to_end};

const SLOW: &[u8] = b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n";
const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const DELAY: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(45);

#[tokio::test(start_paused = true)]
async fn answers_say_close_while_the_drain_is_announced_and_new_connections_are_served() {
    let fixture = Fixture::new();
    let (mut early, mut idle) = (fixture.connect(), fixture.connect());
    early.write_all(SLOW).await.unwrap();
    idle.write_all(GET).await.unwrap();
    read_answer(&mut idle, 0).await;
    fixture.probe.asked_times(2).await;

    let clients = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(fixture.drain.is_announced());
        fixture.probe.gate.add_permits(1);
        assert!(read_to_end(&mut early).await.contains("connection: close"));
        idle.write_all(GET).await.unwrap();
        assert!(read_to_end(&mut idle).await.contains("connection: close"));
        let mut late = fixture.connect();
        late.write_all(GET).await.unwrap();
        assert!(read_to_end(&mut late).await.contains("connection: close"));
    };
    let (cut, ()) = tokio::join!(fixture.drain.run_to_end(DELAY, LIMIT), clients);
    assert_eq!(cut, 0);
}

#[tokio::test(start_paused = true)]
async fn once_closed_idle_connections_go_and_busy_ones_finish() {
    let fixture = Fixture::new();
    let (mut busy, mut idle) = (fixture.connect(), fixture.connect());
    idle.write_all(GET).await.unwrap();
    read_answer(&mut idle, 0).await;
    busy.write_all(SLOW).await.unwrap();
    fixture.probe.asked_times(2).await;

    let begun = Instant::now();
    let clients = async {
        assert_eq!(read_to_end(&mut idle).await, "");
        assert_eq!(begun.elapsed().as_secs(), DELAY.as_secs());
        tokio::time::sleep(Duration::from_secs(30)).await;
        fixture.probe.gate.add_permits(1);
        let answer = read_to_end(&mut busy).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
    };
    let (cut, ()) = tokio::join!(fixture.drain.run_to_end(DELAY, LIMIT), clients);
    assert_eq!((cut, begun.elapsed().as_secs()), (0, 35));
}

#[tokio::test(start_paused = true)]
async fn what_outstays_the_limit_is_cut_and_counted() {
    let fixture = Fixture::new();
    let mut clients: Vec<_> = (0..3).map(|_| fixture.connect()).collect();
    for client in &mut clients {
        client.write_all(SLOW).await.unwrap();
    }
    fixture.probe.asked_times(3).await;
    let begun = Instant::now();
    assert_eq!(fixture.drain.run_to_end(DELAY, LIMIT).await, 3);
    assert_eq!(begun.elapsed(), DELAY + LIMIT);
    assert_eq!(read_to_end(&mut clients[0]).await, "");
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_ends_the_drain_at_once() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    client.write_all(SLOW).await.unwrap();
    fixture.probe.asked_times(1).await;
    let begun = Instant::now();
    let second_signal = async {
        tokio::time::sleep(Duration::from_secs(7)).await;
        fixture.drain.abort();
    };
    let (cut, ()) = tokio::join!(fixture.drain.run_to_end(DELAY, LIMIT), second_signal);
    assert_eq!((cut, begun.elapsed().as_secs()), (1, 7));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_has_just_arrived_may_still_ask_once() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    let asking = async {
        fixture.drain.closed().await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        client.write_all(GET).await.unwrap();
        assert!(read_to_end(&mut client).await.starts_with("HTTP/1.1 200"));
    };
    let (cut, ()) = tokio::join!(fixture.drain.run_to_end(Duration::ZERO, LIMIT), asking);
    assert_eq!(cut, 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_whose_answer_began_before_the_drain_is_told_by_the_next_one() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    client.write_all(b"GET /gated HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let first = b"5\r\nfirst\r\n".len();
    assert!(!read_answer(&mut client, first).await.contains("connection: close"));
    let asking = async {
        fixture.drain.closed().await;
        fixture.probe.gate.add_permits(1);
        let mut second = [0; b"6\r\nsecond\r\n0\r\n\r\n".len()];
        client.read_exact(&mut second).await.unwrap();
        tokio::time::sleep(Duration::from_millis(900)).await;
        client.write_all(GET).await.unwrap();
        let answer = read_to_end(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
    };
    let (cut, ()) = tokio::join!(fixture.drain.run_to_end(DELAY, LIMIT), asking);
    assert_eq!(cut, 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_was_just_answered_is_waited_for_a_second() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    client.write_all(GET).await.unwrap();
    read_answer(&mut client, 0).await;
    let begun = Instant::now();
    let (cut, rest) = tokio::join!(fixture.drain.run_to_end(Duration::ZERO, LIMIT), read_to_end(&mut client));
    assert_eq!((cut, rest.as_str(), begun.elapsed().as_secs()), (0, "", 1));
}
