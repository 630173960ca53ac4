//! Stage 13: the HTTP client of one upstream. It dials only where it may, keeps connections, never follows a
//! redirect and knows no proxy.
//!
//! HTTP/1.1 connections belong to one call at a time and are polled inside that call's task (`http1`); HTTP/2
//! ones are shared (`http2`). TLS upstreams choose between them by ALPN.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::uri::Authority;
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use ipnet::IpNet;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::rustls::ClientConfig;
use tokio_util::task::TaskTracker;

use crate::models::policy;
use body::Carrier;
use dial::{Border, Dialler};
use http1::Http1;
use http2::{Http2Pool, Http2Stream};
use pool::{Counters, Pool};
use stream::Stream;
use tls::Tls;

/// What is sent and what comes back.
mod body;
/// Addresses.
mod dial;
/// What goes wrong.
mod failure;
/// One HTTP/1.1 connection.
mod http1;
/// The HTTP/2 connections.
mod http2;
/// Names to addresses.
mod lookup;
/// The idle HTTP/1.1 connections.
mod pool;
/// Plain or TLS.
mod stream;
/// Trust.
mod tls;
/// Wake-ups.
mod wake;

pub use body::{CallerBodyFailure, RequestBody, ResponseBody};
pub use dial::Service;
pub use failure::{BodyFailure, SendFailure, SendFailureKind, Sent};
pub use tls::SetupFailure;

/// What the transports of all upstreams share.
pub struct Network {
    border: Arc<Border>,
    /// Read from the system when the first upstream needs them.
    system_roots: Mutex<Option<Arc<ClientConfig>>>,
    tracker: TaskTracker,
}

impl Network {
    /// `allowed_cidrs` are the private ranges upstreams may resolve to, `forbidden` our own listeners. The tasks of
    /// HTTP/2 connections run on `tracker`; they end when their upstream's [`Transport`] is dropped and its calls are
    /// over.
    pub fn new(allowed_cidrs: Vec<IpNet>, forbidden: Vec<SocketAddr>, tracker: TaskTracker) -> Arc<Self> {
        Self::beside(Vec::new(), allowed_cidrs, forbidden, tracker)
    }

    /// The same, where no upstream may lead to one of `services` either.
    pub fn beside(
        services: Vec<Service>,
        allowed_cidrs: Vec<IpNet>,
        forbidden: Vec<SocketAddr>,
        tracker: TaskTracker,
    ) -> Arc<Self> {
        let border = Arc::new(Border::new(allowed_cidrs, forbidden, services, tracker.clone()));
        Arc::new(Self { border, system_roots: Mutex::new(None), tracker })
    }

    /// Runs what outlives a call.
    pub(super) fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    fn system_roots(&self) -> Result<Arc<ClientConfig>, SetupFailure> {
        let mut loaded = self.system_roots.lock();
        if loaded.is_none() {
            *loaded = Some(tls::trusting_the_system()?);
        }
        loaded.clone().ok_or_else(|| SetupFailure::NoRoots("none loaded".to_owned()))
    }
}

/// What the transport of one upstream needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it lives; the path is the gateway's business.
    pub url: policy::BaseUrl,
    /// How to trust it.
    pub tls: policy::Tls,
    /// Narrows the allowed private ranges.
    pub narrowed: Option<Vec<IpNet>>,
}

/// The HTTP client of one upstream.
pub struct Transport {
    dialler: Dialler,
    tls: Option<Tls>,
    authority: Authority,
    host: HeaderValue,
    http1: Arc<Pool>,
    http2: Http2Pool,
    /// The last TLS connection spoke HTTP/1.1, so calls do not wait for one another's connections.
    speaks_http1: AtomicBool,
    /// Whose turn it is to make a connection that others may share.
    turn: tokio::sync::Mutex<()>,
    counters: Arc<Counters>,
    tracker: TaskTracker,
}

/// Connections of one upstream, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionCounts {
    /// Established now.
    pub open: usize,
    /// Of those, in use by no call.
    pub idle: usize,
    /// Established since the start.
    pub dialled: u64,
}

enum Connection {
    Http1(Box<Http1>),
    Http2(Http2Stream),
}

type Answer = Result<Response<ResponseBody>, SendFailure>;

impl Transport {
    /// Prepares, dialling nothing yet. The first TLS upstream without a `ca` reads the system's roots from disk.
    pub fn new(network: &Network, settings: Settings) -> Result<Arc<Self>, SetupFailure> {
        let Settings { url, tls, narrowed } = settings;
        let tls = match (url.https, tls.ca) {
            (false, _) => None,
            (true, Some(ca)) => Some(Tls::new(tls::trusting(&ca)?, &url.host)?),
            (true, None) => Some(Tls::new(network.system_roots()?, &url.host)?),
        };
        let written = url.authority();
        let bad_host = |_| SetupFailure::Host(url.host.clone());
        let authority: Authority = written.parse().map_err(bad_host)?;
        let host = HeaderValue::from_str(&written).map_err(|_| SetupFailure::Host(url.host.clone()))?;
        let border = Arc::clone(&network.border);
        Ok(Arc::new(Self {
            dialler: Dialler { border, host: url.host, port: url.port, narrowed },
            tls,
            authority,
            host,
            http1: Arc::default(),
            http2: Http2Pool::default(),
            speaks_http1: AtomicBool::new(false),
            turn: tokio::sync::Mutex::default(),
            counters: Arc::default(),
            tracker: network.tracker.clone(),
        }))
    }

    /// Sends one request and answers when the response's head is here. Only path and query of the URI are used;
    /// scheme and authority are the upstream's, unless the request has a `Host`. Interim responses are skipped.
    ///
    /// An idle connection that turns out to be closed is replaced without a word. `connect_timeout` bounds DNS, TCP
    /// and TLS together; for anything longer, drop the future: that closes the connection, or resets the stream.
    pub async fn send(&self, mut request: Request<RequestBody>, connect_timeout: Duration) -> Answer {
        loop {
            let connection = match self.http1.take() {
                Some(idle) => Connection::Http1(idle),
                None => match self.http2.take() {
                    Some(place) => Connection::Http2(place),
                    None => break,
                },
            };
            match self.exchange(connection, request).await {
                Err(SendFailure { request: Some(untouched), .. }) => request = *untouched,
                answer => return answer,
            }
        }
        // Boxed, so that calls with a connection at hand do not carry the room that dialling needs.
        match Box::pin(self.connect(Instant::now() + connect_timeout)).await {
            Ok(connection) => self.exchange(connection, request).await,
            Err(failure) => Err(failure.giving_back(request)),
        }
    }

    /// Closes connections that were idle for longer than 50 s before `now`, and those the upstream has closed.
    pub fn sweep(&self, now: Instant) {
        self.http1.sweep(now);
        self.http2.sweep(now);
    }

    /// How many connections there are.
    pub fn connections(&self) -> ConnectionCounts {
        ConnectionCounts {
            open: self.counters.open(),
            idle: self.http1.len() + self.http2.idle(),
            dialled: self.counters.dialled(),
        }
    }

    async fn exchange(&self, connection: Connection, request: Request<RequestBody>) -> Answer {
        let (response, carrier) = match connection {
            Connection::Http1(connection) => {
                let (response, connection) = connection.exchange(request, &self.host).await?;
                (response, Carrier::Http1(connection, Arc::clone(&self.http1)))
            }
            Connection::Http2(place) => match place.exchange(request, &self.authority).await {
                Ok(response) => (response, Carrier::Http2 { _place: place }),
                Err(failure) => {
                    if failure.request.is_some() {
                        self.http2.forget(&place);
                    }
                    return Err(failure);
                }
            },
        };
        refuse_upgrade(&response)?;
        Ok(response.map(|incoming| ResponseBody::new(incoming, carrier)))
    }

    /// A new connection, or a place on one that another call has made in the meantime.
    async fn connect(&self, deadline: Instant) -> Result<Connection, SendFailure> {
        let Some(tls) = &self.tls else {
            let stream = Stream::Plain(self.dialler.dial(deadline).await?);
            return Http1::new(stream, self.counters.opened()).await.map(Connection::Http1);
        };
        let mut turn = None;
        if !self.speaks_http1.load(Ordering::Relaxed) {
            turn = Some(timeout_at(deadline, self.turn.lock()).await.map_err(|_| waited_in_vain())?);
            if let Some(place) = self.http2.take() {
                return Ok(Connection::Http2(place));
            }
        }
        if self.speaks_http1.load(Ordering::Relaxed) {
            turn = None;
        }
        let stream = tls.handshake(self.dialler.dial(deadline).await?, deadline).await?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        self.speaks_http1.store(!is_http2, Ordering::Relaxed);
        let stream = Stream::Tls(Box::new(stream));
        let open = self.counters.opened();
        let connection = if is_http2 {
            self.http2.open(stream, open, &self.tracker).await.map(Connection::Http2)
        } else {
            Http1::new(stream, open).await.map(Connection::Http1)
        };
        drop(turn);
        connection
    }
}

/// We never ask for an upgrade, so 101 is a lie about what follows (RFC 9110 section 15.2.2).
fn refuse_upgrade(response: &Response<Incoming>) -> Result<(), SendFailure> {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(());
    }
    let detail = "the upstream switched protocols unasked".to_owned();
    Err(SendFailure::unknown(SendFailureKind::Protocol, "http_protocol_error", detail))
}

fn waited_in_vain() -> SendFailure {
    let detail = "another call's connection, to be shared, was not made in time".to_owned();
    SendFailure::unsent(SendFailureKind::ConnectTimeout, "connection_timeout", detail)
}

#[cfg(test)]
mod tests;
