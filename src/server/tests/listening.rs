//! Real sockets: binding, the connection limit, and the closing of the door.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::support::{Probe, endpoint, read_answer, read_to_end};
use crate::server::{Drain, Limits, Server};

const GET: &[u8] = b"GET /idle HTTP/1.1\r\nhost: a\r\n\r\n";

fn start(limits: Limits) -> (Arc<Probe>, Drain, SocketAddr, impl Future<Output = ()>) {
    let server = Server::bind(SocketAddr::from(([127, 0, 0, 1], 0)), limits).unwrap();
    let (probe, drain, address) = (Probe::new(), Drain::new(), server.local_addr());
    let running = server.run(endpoint(&probe), drain.clone());
    (probe, drain, address, running)
}

#[tokio::test]
async fn a_running_server_drains_with_no_request_lost_and_closes_its_door() {
    let (probe, drain, address, running) = start(Limits::default());
    let clients = async {
        let mut busy = TcpStream::connect(address).await.unwrap();
        busy.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        probe.asked_times(1).await;
        let answered = async {
            drain.closed().await;
            probe.gate.add_permits(1);
            read_to_end(&mut busy).await
        };
        let (cut, answer) = tokio::join!(drain.run_to_end(Duration::ZERO, Duration::from_secs(30)), answered);
        assert_eq!(cut, 0);
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
    };
    tokio::join!(running, clients);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn at_the_connection_limit_the_next_one_waits_for_a_place() {
    let (probe, drain, address, running) = start(Limits { connections: 1, ..Limits::default() });
    let clients = async {
        let mut first = TcpStream::connect(address).await.unwrap();
        first.write_all(GET).await.unwrap();
        read_answer(&mut first, 0).await;
        let mut second = TcpStream::connect(address).await.unwrap();
        second.write_all(b"GET /second HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        for _ in 0..3 {
            first.write_all(GET).await.unwrap();
            read_answer(&mut first, 0).await;
        }
        assert!(!probe.asked().iter().any(|asked| asked.contains("/second")));
        drop(first);
        assert!(read_answer(&mut second, 0).await.starts_with("HTTP/1.1 200"));
        drain.run_to_end(Duration::ZERO, Duration::from_secs(30)).await;
    };
    tokio::join!(running, clients);
}

#[tokio::test]
async fn whoever_was_in_the_queue_when_the_door_closed_is_served() {
    let (probe, drain, address, running) = start(Limits::default());
    let mut queued = TcpStream::connect(address).await.unwrap();
    queued.write_all(GET).await.unwrap();
    // The server runs only from here on, with the drain closed already.
    let draining = drain.run_to_end(Duration::ZERO, Duration::from_secs(30));
    let (cut, (), answer) = tokio::join!(draining, running, read_to_end(&mut queued));
    assert_eq!((cut, probe.asked().len()), (0, 1));
    assert!(answer.contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn a_refusal_is_not_lost_to_a_reset_when_more_input_is_on_its_way() {
    let (probe, drain, address, running) = start(Limits::default());
    let client = async {
        let mut client = TcpStream::connect(address).await.unwrap();
        let request =
            [&b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n"[..], &vec![b'y'; 100_000]].concat();
        client.write_all(&request).await.unwrap();
        assert!(read_to_end(&mut client).await.starts_with("HTTP/1.1 400"));
        drop(client);
        assert_eq!(drain.run_to_end(Duration::ZERO, Duration::from_secs(30)).await, 0);
    };
    tokio::join!(running, client);
    assert!(probe.asked().is_empty());
}
