//! Our accept loop over Poem: deadlines, limits, the wire guard and drain for HTTP/1.1 and cleartext HTTP/2.
//!
//! Poem's own server sets none of its HTTP library's timers and trusts its reading of malformed requests. Here each
//! connection is a tracked task; HTTP/2 is spoken with whoever begins with its preface (prior knowledge).

mod accept;
mod activity;
mod answer;
mod connection;
mod drain;
mod guard;
/// The ops port.
pub mod ops;
/// Which part answers what.
pub mod planes;
mod problem;
mod stream;
#[cfg(test)]
mod tests;
mod unread;
mod wire;

use poem::Endpoint;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::OwnedSemaphorePermit;

pub use drain::{Drain, Phase};

use accept::{Accepted, Accepting};
use connection::Connections;

/// Connections the kernel may hold ready for us; it caps this by `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

/// What one listener bears.
#[derive(Clone, Debug)]
pub struct Limits {
    /// From the first byte of a request head to its last, and from connecting to the first byte.
    pub header_read: Duration,
    /// Between requests of one connection; also the longest a peer may leave our bytes untaken, on the connection or
    /// on one HTTP/2 stream of it.
    pub idle: Duration,
    /// Connections at once; more wait in the kernel's backlog.
    pub connections: usize,
    /// Bytes of one request head, request line included.
    pub header_bytes: usize,
    /// Fields of one request head.
    pub header_fields: usize,
    /// Concurrent streams of one HTTP/2 connection.
    pub http2_streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_read: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            connections: 10_000,
            header_bytes: 64 * 1024,
            header_fields: 100,
            http2_streams: 100,
        }
    }
}

/// One bound listener, not serving yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
    open: OpenConnections,
}

/// How many connections one listener has; clones share it.
#[derive(Clone, Debug, Default)]
pub struct OpenConnections(Arc<AtomicUsize>);

impl OpenConnections {
    /// Open now.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts as open until dropped.
struct OpenConnection(OpenConnections);

impl OpenConnection {
    fn new(open: &OpenConnections) -> Self {
        open.0.fetch_add(1, Ordering::Relaxed);
        Self(open.clone())
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Server {
    /// Binds and listens; port 0 picks a free one. Must be called within a Tokio runtime, the one that will
    /// [`run`](Self::run) it.
    pub fn bind(address: SocketAddr, limits: Limits) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, limits, open: OpenConnections::default() })
    }

    /// The address it listens on, with the port that was picked.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Counts its connections, also while it runs.
    pub fn open_connections(&self) -> OpenConnections {
        self.open.clone()
    }

    /// Serves `endpoint` until `drain` has run its course: returns when this listener is closed and every connection
    /// that shares `drain` is gone.
    pub async fn run<E>(self, endpoint: E, drain: Drain)
    where
        E: Endpoint<Output = poem::Response> + 'static,
    {
        // Counts as a connection, lest the drain take a moment without one for the end.
        let accepting_still = drain.connections().token();
        let mut accepting = Accepting::new(self.listener, self.limits.connections);
        let connections = Arc::new(Connections::new(endpoint, self.limits, drain.clone()));
        while let Some(accepted) = accepting.next(&drain).await {
            serve(&connections, &drain, &self.open, accepted);
        }
        for accepted in accepting.late_comers() {
            serve(&connections, &drain, &self.open, accepted);
        }
        drop(accepting_still);
        drain.finished().await;
    }
}

fn serve<E>(
    connections: &Arc<Connections<E>>,
    drain: &Drain,
    open: &OpenConnections,
    (stream, peer, permit): Accepted,
) where
    E: Endpoint<Output = poem::Response> + 'static,
{
    let connections = Arc::clone(connections);
    let open = OpenConnection::new(open);
    drain.connections().spawn(async move {
        let _until_the_end: (OwnedSemaphorePermit, OpenConnection) = (permit, open);
        if let Ok(local) = prepare(&stream) {
            connections.serve(stream, local, peer).await;
        }
    });
}

/// Answers are written whole: waiting to fill a segment only delays them.
fn prepare(stream: &TcpStream) -> io::Result<SocketAddr> {
    stream.set_nodelay(true)?;
    stream.local_addr()
}
