//! Why an exchange with an upstream failed, and whether anything of the request had left by then.
//!
//! Decided here, where it arises, because only the transport knows: retrying a payment is safe exactly when nothing
//! was sent.

use std::error::Error;
use std::fmt;
use std::io;

use http::Request;
use thiserror::Error;

use super::body::{CallerBodyFailure, RequestBody};

/// A request that got no response.
#[derive(Debug, Error)]
#[error("{detail}")]
pub struct SendFailure {
    /// What kind it is.
    pub kind: SendFailureKind,
    /// Whether the upstream may have seen the request.
    pub sent: Sent,
    /// For the log: addresses and library errors included, so never for the caller.
    pub detail: String,
    /// The request as it was, where none of it was touched. A refused HTTP/2 stream was not processed either, but
    /// its request is spent.
    pub request: Option<Box<Request<RequestBody>>>,
    token: &'static str,
}

/// Whether the upstream may have seen a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It has not processed any of it: safe to send again, whatever the method.
    Nothing,
    /// It may have.
    Unknown,
}

/// The ways to fail before response headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendFailureKind {
    /// An address of the upstream may not be dialled.
    DestinationRefused,
    /// Its name could not be resolved.
    Dns,
    /// TCP found nobody.
    Connect,
    /// TLS could not agree, or the certificate is not to be trusted.
    Tls,
    /// DNS, TCP and TLS together took too long.
    ConnectTimeout,
    /// This machine ran out of sockets, ports or memory for them: not the upstream's doing.
    Exhausted,
    /// The connection broke before response headers.
    Reset,
    /// What the upstream said is not HTTP, or more of it than is accepted.
    Protocol,
    /// HTTP/2: the upstream said it did not process the request (REFUSED_STREAM, or GOAWAY before its stream).
    RefusedStream,
    /// The body that was to be sent broke off: the caller's doing.
    RequestBody,
}

impl SendFailure {
    /// A failure before anything was sent.
    pub(super) fn unsent(kind: SendFailureKind, token: &'static str, detail: String) -> Self {
        Self { kind, sent: Sent::Nothing, detail, request: None, token }
    }

    /// A failure after the request was handed to a connection.
    pub(super) fn unknown(kind: SendFailureKind, token: &'static str, detail: String) -> Self {
        Self { kind, sent: Sent::Unknown, detail, request: None, token }
    }

    /// hyper gave the request back: the connection was gone before any of it was written.
    pub(super) fn untouched(error: &hyper::Error, request: Request<RequestBody>) -> Self {
        Self::unsent(SendFailureKind::Reset, "connection_terminated", chain(error)).giving_back(request)
    }

    pub(super) fn giving_back(mut self, request: Request<RequestBody>) -> Self {
        self.request = Some(Box::new(request));
        self
    }

    /// Sorts an error of hyper's that came after the request was taken.
    pub(super) fn of_exchange(error: &hyper::Error) -> Self {
        let detail = chain(error);
        if let Some(h2) = source_of::<h2::Error>(error) {
            return Self::of_stream(h2, detail);
        }
        if error.is_body_write_aborted() || source_of::<CallerBodyFailure>(error).is_some() {
            return Self::unknown(SendFailureKind::RequestBody, "http_request_error", detail);
        }
        if error.is_parse_too_large() {
            return Self::unknown(SendFailureKind::Protocol, "http_response_header_section_size", detail);
        }
        if error.is_parse() {
            return Self::unknown(SendFailureKind::Protocol, "http_protocol_error", detail);
        }
        Self::unknown(SendFailureKind::Reset, "connection_terminated", detail)
    }

    fn of_stream(error: &h2::Error, detail: String) -> Self {
        let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        // h2 gives a received GOAWAY as the error of those streams only that lie past its last one.
        if error.is_remote() && (refused || error.is_go_away()) {
            return Self::unsent(SendFailureKind::RefusedStream, "connection_terminated", detail);
        }
        // A stream reset from our side, and not by the library's own judgement, lost its request body.
        if error.is_reset() && !error.is_remote() && !error.is_library() {
            return Self::unknown(SendFailureKind::RequestBody, "http_request_error", detail);
        }
        if error.is_library() {
            return Self::unknown(SendFailureKind::Protocol, "http_protocol_error", detail);
        }
        Self::unknown(SendFailureKind::Reset, "connection_terminated", detail)
    }

    /// The error type for `Proxy-Status` (RFC 9209 section 2.3).
    pub fn token(&self) -> &'static str {
        self.token
    }

    /// Any method may be tried again.
    pub fn nothing_sent(&self) -> bool {
        self.sent == Sent::Nothing
    }

    /// What a caller may be told: no addresses, no library's words.
    pub fn public_detail(&self) -> &'static str {
        match self.kind {
            SendFailureKind::DestinationRefused => "The upstream's address is not one that may be called.",
            SendFailureKind::Dns => "The upstream's name could not be resolved.",
            SendFailureKind::Connect => "No connection to the upstream could be made.",
            SendFailureKind::Tls => "No trusted TLS connection to the upstream could be made.",
            SendFailureKind::ConnectTimeout => {
                "Connecting to the upstream took longer than `timeout.connect`."
            }
            SendFailureKind::Exhausted => {
                "No connection could be opened for want of sockets or look-ups on this side."
            }
            SendFailureKind::Reset => "The upstream closed the connection before it answered.",
            SendFailureKind::Protocol => "The upstream's answer is not valid HTTP.",
            SendFailureKind::RefusedStream => "The upstream refused the request unprocessed.",
            SendFailureKind::RequestBody => "The request body broke off.",
        }
    }
}

/// A response body that did not arrive whole.
#[derive(Debug, Error)]
#[error("{detail}")]
pub struct BodyFailure {
    token: &'static str,
    detail: String,
}

impl BodyFailure {
    /// The error type for `Proxy-Status` (RFC 9209 section 2.3).
    pub fn token(&self) -> &'static str {
        self.token
    }
}

impl From<hyper::Error> for BodyFailure {
    fn from(error: hyper::Error) -> Self {
        let malformed = source_of::<io::Error>(&error)
            .is_some_and(|io| matches!(io.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData));
        let unlawful = source_of::<h2::Error>(&error).is_some_and(h2::Error::is_library);
        let token = match (malformed, unlawful) {
            (true, _) => "http_response_transfer_coding",
            (_, true) => "http_protocol_error",
            _ => "http_response_incomplete",
        };
        Self { token, detail: chain(&error) }
    }
}

/// An error with all its causes, outermost first.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    struct Chain<'a>(&'a (dyn Error + 'static));
    impl fmt::Display for Chain<'_> {
        fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(out, "{}", self.0)?;
            std::iter::successors(self.0.source(), |error| (*error).source())
                .try_for_each(|error| write!(out, ": {error}"))
        }
    }
    Chain(error).to_string()
}

fn source_of<E: Error + 'static>(error: &hyper::Error) -> Option<&E> {
    std::iter::successors(error.source(), |error| (*error).source()).find_map(|error| error.downcast_ref())
}
