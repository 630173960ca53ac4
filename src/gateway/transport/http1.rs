//! One HTTP/1.1 connection, polled inside the task of the call that uses it.
//!
//! The usual arrangement, a task per connection that a call talks to over a channel, costs two task switches for
//! every request.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Waker};

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::uri::Parts;
use http::{HeaderValue, Method, Request, Response, Uri, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;

use super::body::RequestBody;
use super::failure::{SendFailure, SendFailureKind};
use super::pool::OpenConnection;
use super::stream::Stream;
use super::wake::{ConnectionWaker, quietly};

/// Largest response head, bytes. hyper allows at most 100 fields in it.
pub(super) const MAX_HEAD: usize = 64 * 1024;
/// Largest read at once, and so what one connection may hold, bytes.
const MAX_BUFFER: usize = 128 * 1024;

/// A connection and the only handle to it.
pub(super) struct Http1 {
    sender: SendRequest<RequestBody>,
    /// `None` once it is finished.
    connection: Option<Connection<TokioIo<Stream>, RequestBody>>,
    waker: ConnectionWaker,
    _open: OpenConnection,
}

impl Http1 {
    pub(super) async fn new(stream: Stream, open: OpenConnection) -> Result<Box<Self>, SendFailure> {
        let mut builder = Builder::new();
        builder.max_buf_size(MAX_BUFFER).max_header_size(MAX_HEAD);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(|error| {
            SendFailure::unsent(SendFailureKind::Connect, "connection_terminated", error.to_string())
        })?;
        Ok(Box::new(Self {
            sender,
            connection: Some(connection),
            waker: ConnectionWaker::new(),
            _open: open,
        }))
    }

    /// Sends a request and waits for the response's head.
    ///
    /// hyper reads before it writes: where the upstream has closed an idle connection, that is found before any
    /// of the request is written, and the request comes back in the failure.
    pub(super) async fn exchange(
        mut self: Box<Self>,
        mut request: Request<RequestBody>,
        host: &HeaderValue,
    ) -> Result<(Response<Incoming>, Box<Self>), SendFailure> {
        prepare(&mut request, host);
        let mut response = pin!(quietly(|| self.sender.try_send_request(request)));
        let response = poll_fn(|context| {
            self.advance(context);
            // Only the connection can answer, and it has just been polled, so the response needs no waker.
            quietly(|| response.as_mut().poll(&mut Context::from_waker(Waker::noop())))
        })
        .await;
        match response {
            Ok(response) => Ok((response, self)),
            Err(mut error) => Err(match error.take_message() {
                Some(request) => SendFailure::untouched(error.error(), request),
                None => SendFailure::of_exchange(error.error()),
            }),
        }
    }

    /// Moves the connection on as far as it goes, for the task of `context`.
    pub(super) fn advance(&mut self, context: &Context<'_>) {
        let Some(connection) = &mut self.connection else { return };
        if self.waker.poll(context, |context| Pin::new(connection).poll(context)).is_ready() {
            // Dropping it gives back a request it had not taken up.
            self.connection = None;
        }
    }

    /// Nothing is under way in either direction and the upstream has not closed it, as far as is known.
    pub(super) fn is_idle(&self) -> bool {
        self.connection.is_some() && self.sender.is_ready()
    }

    /// Looks whether the upstream has closed an idle connection.
    pub(super) fn is_still_open(&mut self) -> bool {
        self.advance(&Context::from_waker(Waker::noop()));
        self.is_idle()
    }

    /// No task waits for it any more.
    pub(super) fn release(&self) {
        self.waker.release();
    }
}

impl fmt::Debug for Http1 {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Http1").field("idle", &self.is_idle()).finish_non_exhaustive()
    }
}

/// Makes the request what HTTP/1.1 wants: origin form, a `Host`, and a length that is true of the body.
fn prepare(request: &mut Request<RequestBody>, host: &HeaderValue) {
    *request.version_mut() = Version::HTTP_11;
    if request.uri().authority().is_some() {
        *request.uri_mut() = origin_form(std::mem::take(request.uri_mut()));
    }
    if !request.headers().contains_key(HOST) {
        request.headers_mut().insert(HOST, host.clone());
    }
    frame(request);
    if !request.body().is_end_stream() && !request.headers().contains_key(CONTENT_LENGTH) {
        // hyper would leave the body of a GET out.
        request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

fn origin_form(uri: Uri) -> Uri {
    let mut parts = Parts::default();
    parts.path_and_query = uri.into_parts().path_and_query;
    Uri::from_parts(parts).unwrap_or_default()
}

/// Makes `Content-Length` say what the body is, whatever the caller's headers said of it (RFC 9110 section 8.6).
/// A stream that does not know its length keeps the caller's word, which hyper then holds it to.
pub(super) fn frame(request: &mut Request<RequestBody>) {
    let length = request.body().size_hint().exact();
    let means_content = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH);
    let headers = request.headers_mut();
    headers.remove(TRANSFER_ENCODING);
    match length {
        Some(0) if !means_content => drop(headers.remove(CONTENT_LENGTH)),
        Some(length) => drop(headers.insert(CONTENT_LENGTH, HeaderValue::from(length))),
        None => {}
    }
}
