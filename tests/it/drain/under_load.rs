//! SIGTERM in the middle of everything: no request fails.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{ALONE, SOON, leaves, no_longer_accepting, not_ready, upstream};
use crate::support::client::{self, Connection, RawConnection};
use crate::support::levee::TestApp;
use crate::support::misbehaving::{Behaviour, Gate, Misbehaving, Reply};
use crate::support::until::until;

/// Clients of each slow kind.
const SLOW: usize = 8;
/// Clients with a kept connection, asking all the time.
const BUSY: usize = 24;

/// Asks on a kept connection, one request after the other, and heeds what it is told: an answer with
/// `Connection: close` is the last of its connection, and after readiness failed it opens no further one, as a load
/// balancer would not. Answers with how many were answered.
async fn keep_asking(levee: SocketAddr, ready: Arc<AtomicBool>) -> usize {
    let mut answered = 0;
    while ready.load(Relaxed) {
        let mut connection = Connection::open(levee).await;
        loop {
            let answer = connection.send(client::request("/proxy/quotes/delay/2")).await;
            let answer = answer.unwrap_or_else(|error| panic!("lost after {answered}: {error:?}"));
            assert_eq!((answer.status.as_u16(), answer.text()), (200, "ok\n"));
            answered += 1;
            if answer.header("connection") == "close" {
                break;
            }
        }
    }
    answered
}

/// Sends the first half of a body, and the second when the port is closed.
async fn slow_body(levee: SocketAddr, mut closed: watch::Receiver<bool>) -> u16 {
    let mut connection = RawConnection::open(levee).await;
    let head = "POST /proxy/quotes/echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    connection.write(format!("{head}5\r\n01234\r\n")).await.unwrap();
    closed.wait_for(|closed| *closed).await.unwrap();
    for piece in ["5\r\n", "567", "89\r\n", "0\r\n\r\n"] {
        connection.write(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    let answer = connection.read_answer().await.unwrap();
    // The pieces are framed anew on their way, so only their bytes can be looked for.
    let echoed = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(["01234", "567", "89"].iter().all(|piece| echoed.contains(piece)), "{echoed}");
    answer.second_word().parse().unwrap()
}

async fn whole(levee: SocketAddr, path: &str, expected: String) -> u16 {
    let answer = client::get(levee, path).await;
    assert_eq!(answer.text(), expected, "{path}");
    answer.status.as_u16()
}

/// Slow callers and callers of slow upstreams. All of them are under way when the ports close.
fn slow_clients(levee: SocketAddr, closed: &watch::Receiver<bool>) -> Vec<JoinHandle<u16>> {
    let mut clients = Vec::new();
    for _ in 0..SLOW {
        clients.push(tokio::spawn(slow_body(levee, closed.clone())));
        clients.push(tokio::spawn(whole(levee, "/proxy/quotes/held", "at last\n".to_owned())));
        clients.push(tokio::spawn(whole(levee, "/proxy/quotes/stream", "0123456789".to_owned())));
    }
    clients
}

#[tokio::test]
async fn no_request_fails_when_it_is_stopped_under_load() {
    let (server, gate) = (Misbehaving::start().await, Gate::closed());
    server.script("/held", [Behaviour::Held(gate.clone(), Box::new(Reply::ok("at last\n").into()))]);
    server.script("/stream", [Behaviour::Halves(gate.clone(), Reply::ok("0123456789"))]);
    let setup = TestApp::with(upstream(&server, ALONE));
    let app = setup.env("LEVEE_DRAIN_DELAY", "1s").env("LEVEE_DRAIN_TIMEOUT", "30s").start().await;

    let ready = Arc::new(AtomicBool::new(true));
    let busy: Vec<_> = (0..BUSY).map(|_| tokio::spawn(keep_asking(app.data, Arc::clone(&ready)))).collect();
    let (close, closed) = watch::channel(false);
    let slow = slow_clients(app.data, &closed);
    until("everything is under way", SOON, async || {
        let slow_ones = ["/echo", "/held", "/stream"].map(|path| server.seen(path));
        slow_ones == [SLOW; 3] && server.seen("/delay/2") > 10 * BUSY && gate.waiting() == 2 * SLOW
    })
    .await;

    let told = Instant::now();
    app.signal(Signal::TERM);
    not_ready(&app).await;
    ready.store(false, Relaxed);
    let mut answered = 0;
    for client in busy {
        answered += client.await.unwrap();
    }
    assert_eq!(answered, server.seen("/delay/2"), "each request was answered, and made once");
    no_longer_accepting(&app).await;
    assert!(slow.iter().all(|client| !client.is_finished()), "they were to outlive the ports");
    gate.open();
    close.send_replace(true);
    for client in slow {
        assert_eq!(client.await.unwrap(), 200);
    }
    let log = leaves(app).await;
    assert!(!log.iter().any(|line| line.contains("overran")), "{}", log.join("\n"));
    assert!(told.elapsed() < Duration::from_secs(31), "the bound is the delay and the timeout");
}
