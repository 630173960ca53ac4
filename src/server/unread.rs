//! What an endpoint leaves unread of a request's body, which over HTTP/1 stands between its answer and the next request.
//!
//! A short rest is read and dropped, so that a refusal costs no connection. A long one, or one that is still to come, is
//! not waited for: the connection ends with the answer, and the answer says so, lest the caller's next request be lost.

use bytes::Bytes;
use http::Request;
use http::header::EXPECT;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::BoxBody;
use parking_lot::Mutex;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::task::yield_now;

/// Most that is read and dropped.
const DROPPED: usize = 64 * 1024;

/// How often the connection gets a turn to hand on what has arrived.
const TURNS: usize = 16;

type RequestBody = BoxBody<Bytes, io::Error>;

/// The place where an unread body is found again.
pub(super) struct Unread {
    left: Arc<Mutex<Option<RequestBody>>>,
    /// The caller waits to be told to send it.
    held_back: bool,
}

impl Unread {
    /// For the body of this request.
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        Self { left: Arc::default(), held_back: request.headers().contains_key(EXPECT) }
    }

    /// The body as the endpoint gets it.
    pub(super) fn watch(&self, body: RequestBody) -> RequestBody {
        BoxBody::new(Watched { body, ended: false, left: Arc::clone(&self.left) })
    }

    /// True when some of it is left that cannot be dropped here and now.
    pub(super) async fn stands_in_the_way(&self) -> bool {
        let Some(mut body) = self.left.lock().take() else { return false };
        if self.held_back {
            return true;
        }
        let mut dropped = 0;
        for _ in 0..TURNS {
            match poll_fn(|cx| Poll::Ready(Pin::new(&mut body).poll_frame(cx))).await {
                Poll::Ready(None) => return false,
                Poll::Ready(Some(Err(_))) => return true,
                Poll::Ready(Some(Ok(frame))) => dropped += frame.data_ref().map_or(0, Bytes::len),
                Poll::Pending => yield_now().await,
            }
            if dropped > DROPPED {
                return true;
            }
        }
        true
    }
}

/// A body that comes back when it is dropped before its end.
struct Watched {
    body: RequestBody,
    ended: bool,
    left: Arc<Mutex<Option<RequestBody>>>,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.ended |= matches!(polled, Poll::Ready(None | Some(Err(_))));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.ended && !self.body.is_end_stream() {
            let body = std::mem::take(&mut self.body);
            *self.left.lock() = Some(body);
        }
    }
}
