//! The ops port: health, status and metrics, from a thread and runtime of its own, so that a wedged main runtime
//! shows instead of hiding its own witness.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::telemetry::metrics::Format;

mod answers;
mod health;

pub use health::{Health, heartbeat};

/// Connections served at once; the next one waits in the kernel's queue.
const CONNECTIONS: usize = 64;
/// Longest wait for a request, and for what answers it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest life of a connection: a request, and as much again to take the answer.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for open connections when the port closes.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// What the ops port asks of the rest. Both may block, and are given up after 5 s.
pub struct Sources {
    /// Renders all metrics.
    pub metrics: Box<dyn Fn(Format) -> String + Send + Sync>,
    /// The members of `/status`, an object; `phase` and `live` are put before them.
    pub status: Box<dyn Fn() -> Value + Send + Sync>,
}

/// The ops port while it serves. Dropping it closes it without waiting.
#[derive(Debug)]
pub struct OpsPort {
    address: SocketAddr,
    stop: DropGuard,
    stopped: oneshot::Receiver<()>,
}

/// Binds `address` and serves it until closed.
pub fn start(address: SocketAddr, health: Arc<Health>, sources: Sources) -> io::Result<OpsPort> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(2).build()?;
    let token = CancellationToken::new();
    let stop = token.clone().drop_guard();
    let (done, stopped) = oneshot::channel();
    thread::Builder::new().name("ops".to_owned()).spawn(move || {
        if let Err(error) = runtime.block_on(serve(listener, Arc::new(Served { health, sources }), token)) {
            tracing::error!(%error, "the ops port stopped");
        }
        // A source that hangs must not keep the process from ending.
        runtime.shutdown_background();
        drop(done);
    })?;
    Ok(OpsPort { address, stop, stopped })
}

impl OpsPort {
    /// Where it listens, with the port that was picked for 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting and waits at most a second for answers under way.
    pub async fn close(self) {
        drop(self.stop);
        // The sender is dropped, never used: both outcomes mean that the thread is done.
        let _ended = self.stopped.await;
    }
}

/// What every connection shares.
struct Served {
    health: Arc<Health>,
    sources: Sources,
}

async fn serve(listener: TcpListener, served: Arc<Served>, token: CancellationToken) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let seats = Arc::new(Semaphore::new(CONNECTIONS));
    let tracker = TaskTracker::new();
    let accepting = async {
        while let Ok(seat) = Arc::clone(&seats).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let served = Arc::clone(&served);
                    tracker.spawn(async move {
                        connection(stream, served).await;
                        drop(seat);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the ops port cannot accept");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    };
    token.run_until_cancelled(accepting).await;
    tracker.close();
    // Who has not been answered by then is cut off with the runtime.
    let _drained = timeout(CLOSE_TIMEOUT, tracker.wait()).await;
    Ok(())
}

/// One request, one answer: a scrape every few seconds gains nothing from keeping the connection.
async fn connection(stream: TcpStream, served: Arc<Served>) {
    let service = service_fn(move |request| answers::answer(request, Arc::clone(&served)));
    let exchange = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIMEOUT)
        .keep_alive(false)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(CONNECTION_TIMEOUT, exchange).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection to the ops port broke"),
        Err(_) => tracing::debug!("a client of the ops port took too long"),
    }
}

#[cfg(test)]
mod tests;
