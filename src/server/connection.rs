//! One connection from its first byte to its last, with the deadlines the HTTP library does not keep.

use futures_util::future::poll_fn;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use poem::Endpoint;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::Limits;
use super::activity::{Activity, Due, LAST_WORD};
use super::answer::Answering;
use super::drain::{Drain, Phase};
use super::stream::Streams;
use super::wire::{Protocol, Wire};

/// Room for a body beside the largest head in the HTTP/1 buffers.
const BODY_ROOM: usize = 8 * 1024;

/// Body bytes a caller may send ahead on one HTTP/2 stream.
const STREAM_WINDOW: u32 = 128 * 1024;

/// The largest window there is (RFC 9113 section 6.9.1).
const MOST_WINDOW: u32 = (1 << 31) - 1;

/// What every connection of a listener shares.
pub(super) struct Connections<E> {
    endpoint: Arc<E>,
    limits: Limits,
    drain: Drain,
    http1: Builder<Streams>,
    http2: Builder<Streams>,
}

impl<E: Endpoint<Output = poem::Response> + 'static> Connections<E> {
    pub(super) fn new(endpoint: E, limits: Limits, drain: Drain) -> Self {
        let streams = Streams::new(drain.streams().clone(), limits.idle);
        let mut http1 = Builder::new(streams.clone()).http1_only();
        http1.http1().max_buf_size(limits.header_bytes.max(BODY_ROOM) + BODY_ROOM);
        if limits.header_fields > 100 {
            // Its own default is 100 and lives on the stack; more are allocated for each head.
            http1.http1().max_headers(limits.header_fields);
        }
        let mut http2 = Builder::new(streams).http2_only();
        http2
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.http2_streams)
            .initial_stream_window_size(STREAM_WINDOW)
            // Room for all streams: an upload that nobody takes must keep nothing from the others.
            .initial_connection_window_size(
                STREAM_WINDOW.saturating_mul(limits.http2_streams).min(MOST_WINDOW),
            )
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
            .keep_alive_interval(limits.idle / 2)
            .keep_alive_timeout(limits.header_read);
        Self { endpoint: Arc::new(endpoint), limits, drain, http1, http2 }
    }

    /// Serves one connection until it ends, whoever ends it.
    pub(super) async fn serve<S>(&self, stream: S, local: SocketAddr, peer: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Activity::new();
        let mut wire = Wire::new(stream, Arc::clone(&activity));
        let Some(protocol) = self.protocol(&mut wire).await else { return };
        let builder = if protocol == Protocol::Http1 { &self.http1 } else { &self.http2 };
        let answering = Arc::new(Answering {
            endpoint: Arc::clone(&self.endpoint),
            activity: Arc::clone(&activity),
            drain: self.drain.clone(),
            peer,
            local,
            header_fields: self.limits.header_fields,
        });
        let service = service_fn(move |request| {
            let answering = Arc::clone(&answering);
            async move { Ok::<_, Infallible>(answering.answer(request).await) }
        });
        let mut connection = pin!(builder.serve_connection(TokioIo::new(wire), service));
        let mut watch = Watch::new(&self.drain, &activity, &self.limits);
        loop {
            let event = poll_fn(|cx| match connection.as_mut().poll(cx) {
                Poll::Ready(ended) => Poll::Ready(Event::Ended(ended)),
                Poll::Pending => watch.poll(cx),
            });
            match event.await {
                Event::Ended(Ok(())) | Event::Drop => return,
                Event::Ended(Err(error)) => return tracing::debug!(%peer, error, "connection ended early"),
                Event::SlowHead => activity.give_up_head(),
                // GOAWAY tells an HTTP/2 caller; an HTTP/1 caller is told by an answer.
                Event::DoorClosed if protocol == Protocol::Http1 => activity.leave_when_quiet(),
                Event::DoorClosed | Event::Leave => {
                    activity.leave();
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }

    /// Waits for the first bytes. `None`: there were none, in time.
    async fn protocol<S>(&self, wire: &mut Wire<S>) -> Option<Protocol>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let last_call = async {
            self.drain.closed().await;
            sleep(LAST_WORD).await;
        };
        tokio::select! {
            biased;
            () = self.drain.aborted() => None,
            protocol = wire.protocol(&self.limits) => protocol.ok().flatten(),
            () = sleep(self.limits.header_read) => None,
            () = last_call => None,
        }
    }
}

enum Event {
    Ended(Result<(), Box<dyn std::error::Error + Send + Sync>>),
    SlowHead,
    DoorClosed,
    Leave,
    Drop,
}

/// Watches the drain and the connection's deadline with one timer, moved only when it must ring earlier or has rung.
struct Watch<'a> {
    drain: &'a Drain,
    activity: &'a Activity,
    limits: &'a Limits,
    awaited: Phase,
    signal: Pin<Box<WaitForCancellationFutureOwned>>,
    signal_polled: bool,
    timer: Pin<Box<Sleep>>,
    timer_polled: bool,
}

impl<'a> Watch<'a> {
    fn new(drain: &'a Drain, activity: &'a Activity, limits: &'a Limits) -> Self {
        Self {
            drain,
            activity,
            limits,
            awaited: Phase::Closed,
            signal: Box::pin(drain.signal(Phase::Closed)),
            signal_polled: false,
            timer: Box::pin(sleep(limits.idle)),
            timer_polled: false,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        // The signal is shared by all connections: it is asked once to be woken by it, then only when it has come.
        if !self.signal_polled || self.drain.phase() >= self.awaited {
            self.signal_polled = true;
            if self.signal.as_mut().poll(cx).is_ready() {
                return Poll::Ready(self.signalled());
            }
        }
        self.poll_timer(cx)
    }

    fn signalled(&mut self) -> Event {
        if self.awaited == Phase::Aborted {
            return Event::Drop;
        }
        self.awaited = Phase::Aborted;
        self.signal = Box::pin(self.drain.signal(Phase::Aborted));
        self.signal_polled = false;
        Event::DoorClosed
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        loop {
            let due = self.activity.due(self.limits);
            if let Some((at, _)) = due.filter(|(at, _)| *at < self.timer.deadline()) {
                self.arm(at);
            }
            if self.timer_polled && !self.timer.is_elapsed() {
                return Poll::Pending;
            }
            self.timer_polled = true;
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            match due {
                Some((at, due)) if at <= now => return Poll::Ready(due.into()),
                Some((at, _)) => self.arm(at),
                None => self.arm(now + self.limits.idle),
            }
        }
    }

    fn arm(&mut self, at: Instant) {
        self.timer.as_mut().reset(at);
        self.timer_polled = false;
    }
}

impl From<Due> for Event {
    fn from(due: Due) -> Self {
        match due {
            Due::SlowHead => Self::SlowHead,
            Due::Idle => Self::Leave,
            Due::Over => Self::Drop,
        }
    }
}
