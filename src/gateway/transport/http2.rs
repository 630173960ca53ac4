//! HTTP/2 connections of one upstream, each shared by many calls.
//!
//! One connection is enough until it is at the upstream's limit of streams; then another is dialled, up to a few.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::HOST;
use http::uri::{Authority, Parts, PathAndQuery, Scheme};
use http::{Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, Connection, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::body::RequestBody;
use super::failure::{SendFailure, SendFailureKind, chain};
use super::http1::{MAX_HEAD, frame};
use super::pool::{IDLE_LIMIT, OpenConnection};
use super::stream::Stream;

/// Connections to one upstream; past this, streams wait for one another.
const MOST_CONNECTIONS: usize = 8;
/// Request bytes held for one stream while the upstream's window is closed.
const SEND_BUFFER: usize = 256 * 1024;
/// Response bytes an upstream may send ahead on one stream; what a slow caller has not taken stays in memory.
const STREAM_WINDOW: u32 = 256 * 1024;
/// As good as none (RFC 9113 section 6.9.1): one window for the whole connection would let a few slow callers keep
/// every other call's bytes back. The streams' own windows and the upstream's seats bound the memory.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;
/// While streams are open, a connection silent for this long is pinged, and given up if the ping is not answered.
const PING_AFTER: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// The connections.
#[derive(Debug, Default)]
pub(super) struct Http2Pool {
    connections: Mutex<Vec<Arc<Shared>>>,
}

#[derive(Debug)]
struct Shared {
    sender: SendRequest<RequestBody>,
    /// Streams in use.
    streams: AtomicUsize,
    driver: Arc<Driver>,
    /// When the last stream ended.
    idle_since: Mutex<Instant>,
}

/// What moves a connection on. Its task does that; the rest asks it how many streams the upstream allows.
#[derive(Debug)]
struct Driver(Mutex<Option<Connection<TokioIo<Stream>, RequestBody, Tracked>>>);

/// A place on a connection, held until the response's body has ended.
#[derive(Debug)]
pub(super) struct Http2Stream(Arc<Shared>);

/// Spawns hyper's tasks where the shutdown can wait for them.
#[derive(Debug, Clone)]
struct Tracked(TaskTracker);

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

impl Http2Pool {
    /// A place on the least busy connection; `None` where a new connection should be made first.
    pub(super) fn take(&self) -> Option<Http2Stream> {
        let mut connections = self.connections.lock();
        if connections.is_empty() {
            return None;
        }
        connections.retain(|shared| !shared.sender.is_closed());
        let quietest = connections.iter().min_by_key(|shared| shared.streams.load(Ordering::Relaxed))?;
        let full = quietest.streams.load(Ordering::Relaxed) >= quietest.driver.most_streams();
        (!full || connections.len() >= MOST_CONNECTIONS).then(|| Http2Stream::on(quietest))
    }

    /// Takes a new connection in, and the first place on it.
    pub(super) async fn open(
        &self,
        stream: Stream,
        open: OpenConnection,
        tracker: &TaskTracker,
    ) -> Result<Http2Stream, SendFailure> {
        let failed = |error: hyper::Error| {
            SendFailure::unsent(SendFailureKind::Connect, "http_protocol_error", chain(&error))
        };
        let (sender, connection) =
            builder(tracker.clone()).handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let driver = Arc::new(Driver(Mutex::new(Some(connection))));
        let moved = Arc::clone(&driver);
        tracker.spawn(async move {
            let _open = open;
            poll_fn(|context| moved.poll(context)).await;
        });
        let idle_since = Mutex::new(Instant::now());
        let shared = Arc::new(Shared { sender, streams: AtomicUsize::new(0), driver, idle_since });
        let place = Http2Stream::on(&shared);
        self.connections.lock().push(shared);
        Ok(place)
    }

    /// Stops using a connection; streams on it go on.
    pub(super) fn forget(&self, stream: &Http2Stream) {
        self.connections.lock().retain(|shared| !Arc::ptr_eq(shared, &stream.0));
    }

    /// Closes what has had no stream for too long.
    pub(super) fn sweep(&self, now: Instant) {
        let is_over = |shared: &Shared| {
            let unused = shared.streams.load(Ordering::Relaxed) == 0;
            unused && now.saturating_duration_since(*shared.idle_since.lock()) >= IDLE_LIMIT
        };
        self.connections.lock().retain(|shared| !shared.sender.is_closed() && !is_over(shared));
    }

    /// Connections without a stream.
    pub(super) fn idle(&self) -> usize {
        let connections = self.connections.lock();
        connections.iter().filter(|shared| shared.streams.load(Ordering::Relaxed) == 0).count()
    }
}

impl Driver {
    fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut connection = self.0.lock();
        let Some(driven) = &mut *connection else { return Poll::Ready(()) };
        let ended = std::task::ready!(Pin::new(driven).poll(context));
        // Dropping it tells the sender that it is closed.
        *connection = None;
        if let Err(error) = ended {
            tracing::debug!(error = chain(&error), "an HTTP/2 connection to an upstream ended");
        }
        Poll::Ready(())
    }

    fn most_streams(&self) -> usize {
        self.0.lock().as_ref().map_or(0, Connection::current_max_send_streams)
    }
}

impl Http2Stream {
    fn on(shared: &Arc<Shared>) -> Self {
        shared.streams.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(shared))
    }

    /// Sends a request and waits for the response's head. `own` is the upstream's authority.
    pub(super) async fn exchange(
        &self,
        mut request: Request<RequestBody>,
        own: &Authority,
    ) -> Result<Response<Incoming>, SendFailure> {
        prepare(&mut request, own);
        let mut sender = self.0.sender.clone();
        sender.try_send_request(request).await.map_err(|mut error| match error.take_message() {
            Some(request) => SendFailure::untouched(error.error(), request),
            None => SendFailure::of_exchange(error.error()),
        })
    }
}

impl Drop for Http2Stream {
    fn drop(&mut self) {
        if self.0.streams.fetch_sub(1, Ordering::Relaxed) == 1 {
            *self.0.idle_since.lock() = Instant::now();
        }
    }
}

fn builder(tracker: TaskTracker) -> Builder<Tracked> {
    let mut builder = Builder::new(Tracked(tracker));
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_header_list_size(MAX_HEAD as u32)
        .max_send_buf_size(SEND_BUFFER);
    builder
}

/// Makes the request what HTTP/2 wants: `:scheme` and `:authority` from the URI, no `Host`, a true length.
fn prepare(request: &mut Request<RequestBody>, own: &Authority) {
    *request.version_mut() = Version::HTTP_2;
    let host = request.headers_mut().remove(HOST);
    // A `Host` that the policy sets names a virtual host, here as in HTTP/1.1.
    let named = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let mut parts = Parts::default();
    parts.scheme = Some(Scheme::HTTPS);
    parts.authority = Some(named.unwrap_or_else(|| own.clone()));
    parts.path_and_query = std::mem::take(request.uri_mut())
        .into_parts()
        .path_and_query
        .or(Some(PathAndQuery::from_static("/")));
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    frame(request);
}
