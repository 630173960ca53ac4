//! A tiny endpoint that remembers what it was asked, and clients that write bytes.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use poem::http::StatusCode;
use poem::{Body, Endpoint, Request, Response};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::server::connection::Connections;
use crate::server::{Drain, Limits};

/// What the endpoint was asked, and the gate that `/slow` waits at.
pub(super) struct Probe {
    pub(super) asked: Mutex<Vec<String>>,
    pub(super) gate: Semaphore,
}

/// One of the four that `/chunks` is made of.
pub(super) const CHUNK: Bytes = Bytes::from_static(&[b'x'; 256 * 1024]);

/// A body of two chunks, the second once the gate lets it through.
fn gated(probe: Arc<Probe>) -> Body {
    let second = stream::once(async move {
        probe.gate.acquire().await.unwrap().forget();
        Ok(Bytes::from_static(b"second"))
    });
    Body::from_bytes_stream(
        stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"first"))]).chain(second),
    )
}

impl Probe {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { asked: Mutex::default(), gate: Semaphore::new(0) })
    }

    async fn answer(self: &Arc<Self>, mut request: Request) -> poem::Result<Response> {
        let peer = request.remote_addr().clone();
        let line = format!("{} {}", request.method(), request.uri().path());
        let place = {
            let mut asked = self.asked.lock();
            asked.push(line);
            asked.len() - 1
        };
        match request.uri().path() {
            "/slow" => self.gate.acquire().await.unwrap().forget(),
            "/panic" => panic!("as asked"),
            "/large" => return Ok(vec![b'x'; 1 << 20].into()),
            "/chunks" => {
                return Ok(Body::from_bytes_stream(stream::iter(
                    (0..4).map(|_| Ok::<_, std::io::Error>(CHUNK)),
                ))
                .into());
            }
            "/gated" => return Ok(gated(Arc::clone(self)).into()),
            "/unread" => return Ok(StatusCode::PAYLOAD_TOO_LARGE.into()),
            "/peer" => return Ok(peer.to_string().into()),
            _ => {}
        }
        let body = request.take_body().into_vec().await?;
        let mut asked = self.asked.lock();
        asked[place].push(' ');
        asked[place].push_str(&String::from_utf8_lossy(&body));
        Ok(body.into())
    }

    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }

    /// Waits until the endpoint has been asked so many times.
    pub(super) async fn asked_times(&self, times: usize) {
        while self.asked.lock().len() < times {
            tokio::task::yield_now().await;
        }
    }
}

pub(super) fn endpoint(probe: &Arc<Probe>) -> impl Endpoint<Output = Response> + use<> {
    let probe = Arc::clone(probe);
    poem::endpoint::make(move |request| {
        let probe = Arc::clone(&probe);
        async move { probe.answer(request).await }
    })
}

/// Connections in memory, so that time can be paused.
pub(super) struct Fixture {
    pub(super) probe: Arc<Probe>,
    pub(super) drain: Drain,
    connections: Arc<Connections<Box<dyn poem::endpoint::DynEndpoint<Output = Response>>>>,
}

impl Fixture {
    pub(super) fn new() -> Self {
        Self::with(Limits::default())
    }

    pub(super) fn with(limits: Limits) -> Self {
        let (probe, drain) = (Probe::new(), Drain::new());
        let endpoint: Box<dyn poem::endpoint::DynEndpoint<Output = Response>> =
            Box::new(poem::endpoint::ToDynEndpoint(endpoint(&probe)));
        let connections = Arc::new(Connections::new(endpoint, limits, drain.clone()));
        Self { probe, drain, connections }
    }

    pub(super) fn connect(&self) -> DuplexStream {
        self.connect_through(64 * 1024).0
    }

    /// A connection whose pipe holds `capacity` bytes, and the task that serves it.
    pub(super) fn connect_through(&self, capacity: usize) -> (DuplexStream, JoinHandle<()>) {
        let (client, server) = duplex(capacity);
        let connections = Arc::clone(&self.connections);
        let here = SocketAddr::from(([127, 0, 0, 1], 1));
        let task = self.drain.connections().spawn(async move { connections.serve(server, here, here).await });
        (client, task)
    }

    /// Writes `request` on a connection of its own and reads until the server closes.
    pub(super) async fn exchange(&self, request: impl AsRef<[u8]>) -> String {
        let mut client = self.connect();
        client.write_all(request.as_ref()).await.unwrap();
        read_to_end(&mut client).await
    }
}

/// Everything until the server closes.
pub(super) async fn read_to_end(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

/// One answer without a body, or with one of `body` bytes.
pub(super) async fn read_answer(stream: &mut (impl AsyncRead + Unpin), body: usize) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    let head = answer.len();
    answer.resize(head + body, 0);
    stream.read_exact(&mut answer[head..]).await.unwrap();
    String::from_utf8(answer).unwrap()
}
