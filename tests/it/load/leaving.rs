//! Ten thousand callers who connect and go, at every moment there is to go.

use std::net::SocketAddr;

use super::{CROWD, LIMIT, in_flight, patient};
use crate::support::client::{self, RawConnection, burst};
use crate::support::levee::TestApp;
use crate::support::misbehaving::{Behaviour, Gate, Misbehaving, Reply};
use crate::support::until::until;

const CALLERS: usize = 10_000;
/// At once.
const WAVE: usize = 500;

const SERIES: &str = r#"upstream="mire""#;

/// One caller of the ten thousand leaves before its first byte, inside the head, after the head, inside the body,
/// or while the answer is awaited.
async fn come_and_go(levee: SocketAddr, number: usize) {
    let mut connection = RawConnection::open(levee).await;
    let get = "GET /proxy/mire/hang HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let post = "POST /proxy/mire/hang HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n0123456789";
    let sent = match number % 5 {
        0 => "",
        1 => &get[..20],
        2 | 3 => get,
        _ => post,
    };
    let _ = connection.write(sent).await;
    if number % 5 == 3 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn gauge(app: &TestApp, series: &str) -> f64 {
    app.metric(series).await.unwrap_or_else(|| panic!("no series {series}"))
}

#[tokio::test]
async fn ten_thousand_callers_who_leave_take_nothing_with_them() {
    let (mire, gate) = (Misbehaving::start().await, Gate::closed());
    mire.script("/held", [Behaviour::Held(gate.clone(), Box::new(Reply::ok("at last\n").into()))]);
    let app = TestApp::start(patient("mire", &mire)).await;
    assert_eq!(app.get("/proxy/mire/ok").await.status, 200);
    let (tasks, connections) = ("levee_tokio_alive_tasks", r#"levee_connections{listener="proxy"}"#);
    let tasks_before = gauge(&app, tasks).await;
    let levee = app.data;
    for wave in 0..CALLERS / WAVE {
        burst(WAVE, |number| come_and_go(levee, wave * WAVE + number)).await;
    }
    until("nothing is in flight", LIMIT, async || in_flight(&app).await == 0.0).await;
    until("every connection is closed", LIMIT, async || gauge(&app, connections).await == 0.0).await;
    until("no task is left", LIMIT, async || gauge(&app, tasks).await <= tasks_before).await;
    until("the upstream is rid of them", LIMIT, async || mire.connections_open() <= 256).await;
    assert_eq!(gauge(&app, &format!("levee_queue_depth{{{SERIES}}}")).await, 0.0);
    let closed = format!(r#"levee_breaker_state{{{SERIES},operation="",state="closed"}}"#);
    assert_eq!(gauge(&app, &closed).await, 1.0, "callers who leave say nothing of the upstream");

    // Every seat can still be taken, by this one caller too.
    let calls = tokio::spawn(burst(CROWD, move |_| client::send(levee, client::request("/proxy/mire/held"))));
    until("all seats are taken", LIMIT, async || gate.waiting() == CROWD).await;
    gate.open();
    for answer in calls.await.unwrap() {
        assert_eq!(answer.unwrap().status, 200);
    }
}
