//! `flaky`, the built-in upstream of `levee dev` that misbehaves on demand, so that a person can watch a breaker trip
//! and recover. What it does is changed while it runs, at `/_flaky`.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod answers;
mod behaviour;
mod control;

use behaviour::{Behaviour, Mode};

/// Connections at once; further ones wait.
const CONNECTIONS: usize = 4096;
/// Longest wait for a request on an open connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// Longest `hang`.
const HANG: Duration = Duration::from_secs(300);

type Body = BoxBody<Bytes, io::Error>;

/// The misbehaving upstream while it serves; it ends with the token it was given.
#[derive(Debug)]
pub(crate) struct Flaky {
    address: SocketAddr,
}

impl Flaky {
    /// Binds a loopback address and serves it until `token` is cancelled, in tasks of `tracker`. Any other address
    /// is refused: whoever reaches it can change it.
    pub(crate) async fn bind(
        address: SocketAddr,
        tracker: &TaskTracker,
        token: CancellationToken,
    ) -> io::Result<Self> {
        if !address.ip().is_loopback() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "flaky listens on loopback only"));
        }
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let upstream = Arc::new(Upstream { behaviour: watch::Sender::default(), served: AtomicU64::new(0) });
        let (connections, stop) = (tracker.clone(), token.clone());
        tracker.spawn(async move {
            token.run_until_cancelled(accept(listener, upstream, connections, stop)).await;
        });
        Ok(Self { address })
    }

    /// Where it listens, with the port that was picked for 0.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

/// What all connections share.
struct Upstream {
    behaviour: watch::Sender<Behaviour>,
    /// Requests that were answered as they should be.
    served: AtomicU64,
}

/// The connection is to be broken off without an answer.
#[derive(Debug, thiserror::Error)]
#[error("reset as told")]
struct Reset;

async fn accept(
    listener: TcpListener,
    upstream: Arc<Upstream>,
    tracker: TaskTracker,
    token: CancellationToken,
) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS));
    while let Ok(seat) = Arc::clone(&seats).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (upstream, token) = (Arc::clone(&upstream), token.clone());
                tracker.spawn(async move {
                    token.run_until_cancelled(connection(stream, upstream)).await;
                    drop(seat);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "flaky cannot accept");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, upstream: Arc<Upstream>) {
    let reset = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&reset);
    let service = service_fn(move |request| {
        let (upstream, told) = (Arc::clone(&upstream), Arc::clone(&told));
        // Boxed so that the connection can be polled in place and taken apart afterwards.
        let answer: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(async move {
            let answer = answer(request, &upstream).await;
            told.store(answer.is_err(), Relaxed);
            answer
        });
        answer
    });
    let _nagle = stream.set_nodelay(true);
    let mut exchanges = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let ended = Pin::new(&mut exchanges).await;
    if reset.load(Relaxed) {
        // Closing without lingering sends RST instead of FIN.
        let _linger = exchanges.into_parts().io.into_inner().set_zero_linger();
    } else if let Err(error) = ended {
        tracing::debug!(%error, "a connection to flaky broke");
    }
}

async fn answer(request: Request<Incoming>, upstream: &Upstream) -> Result<Response<Body>, Reset> {
    if request.uri().path() == control::PATH {
        return Ok(control::answer(request, &upstream.behaviour).await);
    }
    let behaviour = upstream.behaviour.borrow().clone();
    match behaviour.mode {
        Mode::Slow => sleep(behaviour.latency).await,
        Mode::Hang => {
            let mut changes = upstream.behaviour.subscribe();
            let released = changes.wait_for(|now| now.mode != Mode::Hang);
            let _released_or_over = tokio::time::timeout(HANG, released).await;
        }
        Mode::Reset => return Err(Reset),
        Mode::Error => return Ok(answers::failure(behaviour.status)),
        Mode::Random if fastrand::f64() < behaviour.failure_rate => {
            return Ok(answers::failure(behaviour.status));
        }
        Mode::Ok | Mode::Random => {}
    }
    let served = upstream.served.fetch_add(1, Relaxed) + 1;
    Ok(answers::answer(request, served).await)
}

#[cfg(test)]
mod tests;
