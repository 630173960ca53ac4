//! What goes to an upstream and what comes back.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use thiserror::Error;

use super::failure::BodyFailure;
use super::http1::Http1;
use super::http2::Http2Stream;
use super::pool::ReturnTo;
use super::wake::quietly;

/// The body of a request.
#[derive(Debug, Default)]
pub struct RequestBody(Source);

#[derive(Debug, Default)]
enum Source {
    #[default]
    Empty,
    Held(Bytes),
    Stream(BoxBody<Bytes, io::Error>),
}

/// The caller's body broke off, as opposed to the upstream's connection.
#[derive(Debug, Error)]
#[error("the request body broke off")]
pub struct CallerBodyFailure(#[source] io::Error);

impl RequestBody {
    /// No body.
    pub fn empty() -> Self {
        Self::default()
    }
}

impl From<Bytes> for RequestBody {
    fn from(held: Bytes) -> Self {
        Self(if held.is_empty() { Source::Empty } else { Source::Held(held) })
    }
}

impl From<BoxBody<Bytes, io::Error>> for RequestBody {
    fn from(stream: BoxBody<Bytes, io::Error>) -> Self {
        Self(if stream.is_end_stream() { Source::Empty } else { Source::Stream(stream) })
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = CallerBodyFailure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CallerBodyFailure>>> {
        match &mut self.0 {
            Source::Empty => Poll::Ready(None),
            Source::Held(held) => {
                let whole = std::mem::take(held);
                self.0 = Source::Empty;
                Poll::Ready(Some(Ok(Frame::data(whole))))
            }
            Source::Stream(stream) => Pin::new(stream)
                .poll_frame(context)
                .map(|next| next.map(|frame| frame.map_err(CallerBodyFailure))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Empty => true,
            Source::Held(_) => false,
            Source::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Empty => SizeHint::with_exact(0),
            Source::Held(held) => SizeHint::with_exact(held.len() as u64),
            Source::Stream(stream) => stream.size_hint(),
        }
    }
}

/// The body of a response. It carries the connection it arrives on: polling the body is what moves the connection,
/// its end gives the connection back, and dropping it early closes it.
#[derive(Debug)]
pub struct ResponseBody {
    incoming: Incoming,
    carrier: Carrier,
}

#[derive(Debug)]
pub(super) enum Carrier {
    /// The body is complete, or its connection gone.
    Done,
    Http1(Box<Http1>, ReturnTo),
    Http2 {
        _place: Http2Stream,
    },
}

impl ResponseBody {
    pub(super) fn new(incoming: Incoming, carrier: Carrier) -> Self {
        let mut body = Self { incoming, carrier };
        if body.incoming.is_end_stream() {
            body.settle();
        }
        body
    }

    /// The body has ended: the connection goes back, unless the upload is still under way or the upstream closes.
    fn settle(&mut self) {
        if let Carrier::Http1(connection, pool) = std::mem::replace(&mut self.carrier, Carrier::Done) {
            pool.put(connection);
        }
    }

    fn poll_incoming(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Carrier::Http1(connection, _) = &mut self.carrier else {
            return Pin::new(&mut self.incoming).poll_frame(context);
        };
        // Only the connection can fill the body, and only this task polls the connection, so the body needs no waker.
        let mut unwoken = Context::from_waker(Waker::noop());
        let mut next = || quietly(|| Pin::new(&mut self.incoming).poll_frame(&mut unwoken));
        match next() {
            Poll::Pending => {
                connection.advance(context);
                next()
            }
            ready @ Poll::Ready(_) => ready,
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyFailure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFailure>>> {
        let next = std::task::ready!(self.poll_incoming(context));
        match &next {
            Some(Ok(_)) if !self.incoming.is_end_stream() => {}
            Some(Err(_)) => self.carrier = Carrier::Done,
            _ => self.settle(),
        }
        Poll::Ready(next.map(|frame| frame.map_err(BodyFailure::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
