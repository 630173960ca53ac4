//! The caller's request body on its way to an upstream: bounded, watched for silence, held where it may be needed twice.
//!
//! A body that breaks off or stalls is the caller's doing: the shared `Upload` says so, so that the breaker is not
//! told of a failure the upstream had no part in.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep};

use super::failure::{Failure, FailureKind};
use super::transport::RequestBody;

/// What is known of a streaming upload while an attempt waits for its response.
#[derive(Debug, Default)]
pub struct Upload {
    state: AtomicU8,
    fed: Mutex<Option<Instant>>,
}

const FLOWING: u8 = 0;
const WAITING: u8 = 1;
const DONE: u8 = 2;
const TOO_LARGE: u8 = 3;
const BROKEN: u8 = 4;
const SILENT: u8 = 5;

impl Upload {
    /// The next byte is the caller's to send.
    pub fn waits_for_caller(&self) -> bool {
        self.state.load(Ordering::Acquire) == WAITING
    }

    /// The caller's fault, where there is one.
    pub fn fault(&self) -> Option<Failure> {
        let (kind, detail) = match self.state.load(Ordering::Acquire) {
            TOO_LARGE => (
                FailureKind::BodyTooLarge,
                "The request body is larger than `limits.request` of this upstream allows.",
            ),
            BROKEN => (FailureKind::BodyBroken, "The request body broke off."),
            SILENT => {
                (FailureKind::BodyBroken, "The request body fell silent for longer than `timeout.idleBody`.")
            }
            _ => return None,
        };
        Some(Failure::new(kind, "http_request_error", detail))
    }

    /// When the caller last sent what was being waited for: until then the upstream had nothing to answer.
    pub fn last_fed(&self) -> Option<Instant> {
        *self.fed.lock()
    }

    fn set(&self, state: u8) {
        if self.state.swap(state, Ordering::AcqRel) == WAITING && state != WAITING {
            *self.fed.lock() = Some(Instant::now());
        }
    }
}

/// A call's body: held in memory, or streaming once.
pub struct CallBody {
    source: Source,
    /// The caller sent none; a body that was sent away is something else.
    none: bool,
    upload: Arc<Upload>,
}

enum Source {
    Empty,
    Held(Bytes),
    Stream(CallerBody),
    Returned(RequestBody),
    Gone,
}

impl CallBody {
    /// No body.
    pub fn empty() -> Self {
        Self { source: Source::Empty, none: true, upload: Arc::default() }
    }

    /// A body from the wire: at most `limit` bytes, never silent for longer than `idle`.
    pub fn incoming(body: BoxBody<Bytes, io::Error>, limit: u64, idle: Duration) -> Self {
        if body.is_end_stream() {
            return Self::empty();
        }
        let upload = Arc::<Upload>::default();
        let stream =
            CallerBody { inner: body, limit, seen: 0, idle, silence: None, upload: Arc::clone(&upload) };
        Self { source: Source::Stream(stream), none: false, upload }
    }

    /// What the caller's side of the transfer is doing.
    pub fn upload(&self) -> &Arc<Upload> {
        &self.upload
    }

    /// It can be sent again, whatever happened to the last attempt.
    pub fn is_replayable(&self) -> bool {
        matches!(self.source, Source::Empty | Source::Held(_))
    }

    /// There is something to send: a stream given away has not come back.
    pub fn is_at_hand(&self) -> bool {
        !matches!(self.source, Source::Gone)
    }

    /// There is no body at all, and never was.
    pub fn is_empty(&self) -> bool {
        self.none
    }

    /// Reads a body of known length at most `most` into memory, so that it can be sent again. Others keep streaming.
    pub async fn hold(&mut self, most: u64) -> Result<(), Failure> {
        let Source::Stream(stream) = &mut self.source else { return Ok(()) };
        if stream.size_hint().exact().is_none_or(|length| length > most) {
            return Ok(());
        }
        let mut held = BytesMut::new();
        while let Some(frame) = stream.frame().await {
            let frame = frame.map_err(|error| {
                let broken =
                    || Failure::new(FailureKind::BodyBroken, "http_request_error", error.to_string());
                self.upload.fault().unwrap_or_else(broken)
            })?;
            if let Ok(data) = frame.into_data() {
                held.extend_from_slice(&data);
            }
        }
        self.source = Source::Held(held.freeze());
        Ok(())
    }

    /// The body for one attempt. A stream is given away; [`CallBody::give_back`] returns one that was not touched.
    pub fn for_attempt(&mut self) -> RequestBody {
        match std::mem::replace(&mut self.source, Source::Gone) {
            Source::Held(bytes) => {
                self.source = Source::Held(bytes.clone());
                RequestBody::from(bytes)
            }
            Source::Stream(stream) => RequestBody::from(BoxBody::new(stream)),
            Source::Returned(body) => body,
            Source::Empty | Source::Gone => {
                self.source = Source::Empty;
                RequestBody::empty()
            }
        }
    }
}

impl CallBody {
    /// Takes back a body of which nothing was sent, so that another attempt can.
    pub fn give_back(&mut self, body: RequestBody) {
        if !self.is_at_hand() {
            self.source = Source::Returned(body);
        }
    }
}

/// The caller's body, counted and timed.
struct CallerBody {
    inner: BoxBody<Bytes, io::Error>,
    limit: u64,
    seen: u64,
    idle: Duration,
    silence: Option<Pin<Box<Sleep>>>,
    upload: Arc<Upload>,
}

impl CallerBody {
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let idle = self.idle;
        let silence = self.silence.get_or_insert_with(|| Box::pin(tokio::time::sleep(idle)));
        if !self.upload.waits_for_caller() {
            self.upload.set(WAITING);
            silence.as_mut().reset(Instant::now() + idle);
        }
        silence.as_mut().poll(context)
    }

    fn fail(&self, state: u8, kind: io::ErrorKind) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.upload.set(state);
        Poll::Ready(Some(Err(io::Error::from(kind))))
    }
}

impl Body for CallerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Pending => match self.poll_silence(context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(()) => self.fail(SILENT, io::ErrorKind::TimedOut),
            },
            Poll::Ready(Some(Ok(frame))) => {
                self.seen += frame.data_ref().map_or(0, |data| data.len() as u64);
                if self.seen > self.limit {
                    return self.fail(TOO_LARGE, io::ErrorKind::FileTooLarge);
                }
                self.upload.set(if self.inner.is_end_stream() { DONE } else { FLOWING });
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.upload.set(BROKEN);
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(None) => {
                self.upload.set(DONE);
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
