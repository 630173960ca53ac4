//! HTTP/2 has no `Connection: close`: clients are told by GOAWAY, and lose nothing.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use rustix::process::Signal;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::{SOON, leaves, no_longer_accepting, not_ready, started, waiting_at};
use crate::support::client;
use crate::support::misbehaving::{Behaviour, Gate, Misbehaving, Reply};
use crate::support::until::until;

/// A connection, and how it ends.
async fn open(server: SocketAddr) -> (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>) {
    let stream = TcpStream::connect(server).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    (sender, tokio::spawn(connection))
}

/// One request; its whole body as text.
async fn ask(sender: SendRequest<Bytes>, server: SocketAddr, path: &str) -> Result<String, h2::Error> {
    let request = Request::get(format!("http://{server}{path}")).body(()).unwrap();
    let (answer, _) = sender.ready().await?.send_request(request, true)?;
    let mut body = answer.await?.into_body();
    let mut text = String::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        text.push_str(std::str::from_utf8(&data).unwrap());
    }
    Ok(text)
}

/// The peer said that it leaves and has nothing against us: what was asked too late may be asked elsewhere.
fn is_goodbye(error: &h2::Error) -> bool {
    error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR)
}

#[tokio::test]
async fn goaway_is_sent_and_what_was_asked_before_is_answered() {
    let (server, gate) = (Misbehaving::start().await, Gate::closed());
    server.script("/held", [Behaviour::Held(gate.clone(), Box::new(Reply::ok("at last\n").into()))]);
    let app = started(&server, "0s").await;
    let (sender, connection) = open(app.data).await;
    let calls: Vec<_> =
        (0..10).map(|_| tokio::spawn(ask(sender.clone(), app.data, "/proxy/quotes/held"))).collect();
    waiting_at(&gate, 10).await;
    app.signal(Signal::TERM);
    no_longer_accepting(&app).await;
    until("goodbye is said", SOON, async || match ask(sender.clone(), app.data, "/proxy/quotes/ok").await {
        Ok(answer) => {
            assert_eq!(answer, "ok\n");
            false
        }
        Err(error) => {
            assert!(is_goodbye(&error), "{error:?}");
            true
        }
    })
    .await;
    gate.open();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), "at last\n");
    }
    drop(sender);
    connection.await.unwrap().unwrap();
    leaves(app).await;
}

#[tokio::test]
async fn new_streams_are_served_while_the_end_is_only_announced() {
    let server = Misbehaving::start().await;
    let app = started(&server, "1s").await;
    let (sender, connection) = open(app.data).await;
    assert_eq!(ask(sender.clone(), app.data, "/proxy/quotes/ok").await.unwrap(), "ok\n");
    app.signal(Signal::TERM);
    not_ready(&app).await;
    assert_eq!(ask(sender.clone(), app.data, "/proxy/quotes/ok").await.unwrap(), "ok\n");
    assert_eq!(client::get(app.ops, "/livez").await.status, 200);
    drop(sender);
    connection.await.unwrap().unwrap();
    leaves(app).await;
}

/// Every stream is answered, or refused by a GOAWAY that names it as never begun.
#[tokio::test]
async fn a_busy_connection_loses_no_stream() {
    let server = Misbehaving::start().await;
    let app = started(&server, "300ms").await;
    let address = app.data;
    let (sender, connection) = open(address).await;
    let clients: Vec<_> = (0..16)
        .map(|_| {
            let sender = sender.clone();
            tokio::spawn(async move {
                let mut answered = 0;
                loop {
                    match ask(sender.clone(), address, "/proxy/quotes/delay/3").await {
                        Ok(answer) => assert_eq!(answer, "ok\n"),
                        Err(error) if is_goodbye(&error) => return answered,
                        Err(error) => panic!("lost after {answered}: {error:?}"),
                    }
                    answered += 1;
                }
            })
        })
        .collect();
    drop(sender);
    until("calls flow", SOON, async || server.seen("/delay/3") >= 100).await;
    app.signal(Signal::TERM);
    let mut answered = 0;
    for client in clients {
        answered += client.await.unwrap();
    }
    assert_eq!(server.seen("/delay/3"), answered, "none was begun and not answered");
    connection.await.unwrap().unwrap();
    leaves(app).await;
}
