//! Ten thousand clients of the control plane who leave at every moment there is to leave.

use std::net::SocketAddr;
use std::time::Duration;

use http::Method;

use super::ask;
use crate::support::client::{RawConnection, burst};
use crate::support::levee::TestApp;
use crate::support::until::until;

const CLIENTS: usize = 10_000;
/// At once.
const WAVE: usize = 500;
const LIMIT: Duration = Duration::from_secs(60);

/// Before the first byte, inside the head, after it, inside a body, after one that makes the database work.
async fn come_and_go(levee: SocketAddr, number: usize) {
    let mut connection = RawConnection::open(levee).await;
    let body = r#"{"email":"nobody@example.com","password":"not the right one"}"#;
    let post = format!(
        "POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let get = "GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let sent = match number % 5 {
        0 => "",
        1 => &get[..20],
        2 => get,
        3 => &post[..post.len() - 10],
        _ => &post,
    };
    let _ = connection.write(sent).await;
}

#[tokio::test]
async fn ten_thousand_clients_who_leave_poison_nothing() {
    let app = TestApp::start("").await;
    let (tasks, connections) = ("levee_tokio_alive_tasks", r#"levee_connections{listener="api"}"#);
    ask(&app, Method::GET, "/api/v1/health", &[], b"").await;
    until("the first is gone", LIMIT, async || app.metric(connections).await == Some(0.0)).await;
    let before = app.metric(tasks).await.unwrap();
    let levee = app.api;
    for wave in 0..CLIENTS / WAVE {
        burst(WAVE, |number| come_and_go(levee, wave * WAVE + number)).await;
    }
    until("every connection is closed", LIMIT, async || app.metric(connections).await == Some(0.0)).await;
    until("no task is left", LIMIT, async || app.metric(tasks).await.unwrap() <= before).await;
    // What needs the database and a hashing seat is answered as before.
    let body = br#"{"email":"nobody@example.com","password":"not the right one"}"#;
    for _ in 0..5 {
        let json = [("content-type", "application/json")];
        assert_eq!(ask(&app, Method::POST, "/api/v1/auth/login", &json, body).await.status, 401);
    }
    let log = app.log();
    let bad: Vec<_> =
        log.iter().filter(|line| line.contains("panicked") || line.contains("poisoned")).collect();
    assert!(bad.is_empty(), "{bad:?}");
}
