//! From the HTTP library's request to the endpoint's answer and back.

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{CONNECTION, HeaderValue};
use http::uri::Scheme;
use http::{Request, Response, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use poem::Endpoint;
use poem::web::{LocalAddr, RemoteAddr};
use std::any::Any;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::activity::{Activity, Call};
use super::drain::Drain;
use super::problem::{PANICKED, Refusal, TOO_MANY_FIELDS};
use super::stream::Turn;
use super::unread::Unread;

/// Answers the requests of one connection.
pub(super) struct Answering<E> {
    pub(super) endpoint: Arc<E>,
    pub(super) activity: Arc<Activity>,
    pub(super) drain: Drain,
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
    pub(super) header_fields: usize,
}

impl<E: Endpoint<Output = poem::Response>> Answering<E> {
    /// The answer to one request. Never fails: a panic becomes a 500.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<AnswerBody> {
        let (call, refused) = Call::begin(&self.activity);
        let http1 = request.version() < Version::HTTP_2;
        let crowded = || (request.headers().len() > self.header_fields).then_some(TOO_MANY_FIELDS);
        let asked = match refused.or_else(crowded) {
            Some(refusal) => Err(refusal),
            None => self.ask(request).await,
        };
        let refused = asked.is_err();
        let answer = asked.unwrap_or_else(|refusal| {
            tracing::debug!(peer = %self.peer, reason = refusal.detail(), "request refused");
            refusal.response()
        });
        let mut answer: Response<BoxBody<Bytes, io::Error>> = answer.into();
        // The connection decides the version; an upstream's must not shine through.
        *answer.version_mut() = Version::HTTP_11;
        if http1 && (refused || self.drain.is_announced()) {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer.map(|body| AnswerBody { body, turn: Turn::of_this_stream(), rest: Bytes::new(), _call: call })
    }

    async fn ask(&self, request: Request<Incoming>) -> Result<poem::Response, Refusal> {
        let has_body = !request.body().is_end_stream();
        let unread = (has_body && request.version() < Version::HTTP_2).then(|| Unread::of(&request));
        let (local, remote) = (LocalAddr(self.local.into()), RemoteAddr(self.peer.into()));
        let mut request = poem::Request::from((request, local, remote, Scheme::HTTP));
        if let Some(unread) = &unread {
            let body = unread.watch(request.take_body().into());
            request.set_body(body);
        }
        let answer = AssertUnwindSafe(self.endpoint.as_ref().get_response(request)).catch_unwind().await;
        // A malformed body is the caller's fault, whatever its breaking off looked like to the endpoint.
        if let Some(refusal) = has_body.then(|| self.activity.body_fault()).flatten() {
            return Err(refusal);
        }
        let mut answer = answer.unwrap_or_else(|panic| {
            tracing::error!(peer = %self.peer, panic = message(panic.as_ref()), "an endpoint panicked");
            PANICKED.response()
        });
        if let Some(unread) = unread
            && unread.stands_in_the_way().await
        {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(answer)
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// An answer's body; the call is in flight until it has been sent or dropped.
pub(super) struct AnswerBody {
    body: BoxBody<Bytes, io::Error>,
    /// Over HTTP/2 only.
    turn: Option<Turn>,
    /// What is left of a large piece that goes out in small ones.
    rest: Bytes,
    _call: Call,
}

/// Largest piece given to an HTTP/2 stream at once: its caller is known to take something each time a piece is gone.
const PIECE: usize = 16 * 1024;

impl AnswerBody {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                other => return Poll::Ready(other),
            }
        }
        let length = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        if this.turn.is_none() {
            return Pin::new(&mut this.body).poll_frame(cx);
        }
        let polled = this.poll_piece(cx);
        if let Some(turn) = &this.turn {
            turn.asked(polled.is_pending());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        hint.exact().map_or(hint, |left| SizeHint::with_exact(left + rest))
    }
}
